"""easyenclave-agent against easyenclave-control: serving, ends of every kind, TLS, sealing."""

import concurrent.futures
import shutil
import signal

from backend import answer
from harness import lasting_port, make_authority, until
from simulated_platform import SimulatedPlatform


def visits(control, count=1):
    return [control.visit("myapp", "/status/200").status for _ in range(count)]


def test_a_request_reaches_the_backend_through_both_ways_in(world):
    backend, control = world.backend(), world.control()
    world.agent(control, backend)
    visited = control.visit("myapp", "/x?y=1", headers={"X-Mine": "a"})
    assert visited.status == 200 and visited.json()["path"] == "/x?y=1"
    assert ["Host", "myapp.app.test"] in visited.json()["headers"]
    enveloped = control.envelope("myapp", "PUT", "/z", {"X-Mine": "b"}, b"\x00\xff")
    assert enveloped.status == 200
    assert (enveloped.json()["method"], enveloped.json()["path"], enveloped.json()["body_b64"]) == ("PUT", "/z", "AP8=")
    detail, = control.app_agents("myapp")
    assert detail["binding"] == "key" and detail["requests"] == 2


def test_lesson_9_an_agent_serves_from_its_attestation_on_before_any_heartbeat(world):
    backend, control = world.backend(), world.control()
    agent = world.agent(control, backend, wait=False, EE_HEALTH_INTERVAL_SEC=3600)
    control.wait_event("agent.active")
    assert visits(control) == [200]
    agent.wait_event("agent.serving")


def test_a_unix_socket_backend_is_served(world):
    backend, control = world.backend(unix=True), world.control()
    world.agent(control, backend)
    assert control.visit("myapp", "/over/unix").json()["path"] == "/over/unix"


def test_a_killed_agent_is_out_of_routing_and_back_under_its_old_id(world):
    backend, control = world.backend(), world.control()
    agent = world.agent(control, backend)
    before, = control.app_agents("myapp")
    agent.kill()
    control.wait_event("agent.disconnected")
    refused = control.visit("myapp", "/")
    assert (refused.status, refused.reason) == (503, "offline") and refused.header("Retry-After")
    world.agent(control, backend)
    after, = control.app_agents("myapp")
    assert after["agent_id"] == before["agent_id"] and after["connected"]
    assert visits(control) == [200]


def test_sigterm_lets_the_agent_answer_what_is_open_and_take_nothing_new(world):
    backend, control = world.backend(), world.control()
    agent = world.agent(control, backend)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        open_request = pool.submit(control.visit, "myapp", "/hold/a")
        backend.hold("a").wait_arrived()
        agent.signal(signal.SIGTERM)
        control.wait_status("myapp", "draining")
        assert control.visit("myapp", "/").reason == "draining"
        backend.hold("a").release()
        assert open_request.result(10).text == "held a"
    assert agent.wait() == 0
    control.wait_event("agent.disconnected")
    assert control.visit("myapp", "/").reason == "offline"


def test_sigterm_during_the_wait_for_a_control_plane_ends_the_agent_at_once(world):
    control = world.control()
    agent = world.agent(control, world.backend(), EE_RECONNECT_MIN_SEC=60, EE_RECONNECT_MAX_SEC=60)
    control.kill()
    agent.wait_event("tunnel.lost")
    assert agent.terminate() == 0


def test_the_agent_comes_back_after_the_control_plane_was_killed(world):
    port = lasting_port()
    backend, control = world.backend(), world.control(EE_CONTROL_PORT=port)
    agent = world.agent(control, backend)
    control.kill()
    agent.wait_event("tunnel.lost")
    again = world.control(EE_CONTROL_PORT=port)
    again.wait_event("agent.active", timeout=15)
    assert visits(again, 3) == [200, 200, 200]


def test_the_agent_comes_back_after_the_control_plane_was_stopped(world):
    port = lasting_port()
    backend, control = world.backend(), world.control(EE_CONTROL_PORT=port)
    agent = world.agent(control, backend)
    assert control.terminate() == 0
    agent.wait_event("agent.draining", reason="draining")
    again = world.control(EE_CONTROL_PORT=port)
    again.wait_event("agent.active", timeout=15)
    assert visits(again) == [200]


def test_a_backend_that_is_down_makes_the_app_unhealthy_and_one_that_is_back_serves(world):
    backend, control = world.backend(), world.control()
    agent = world.agent(control, backend)
    backend.stop()
    control.wait_event("agent.health", **{"pass": False})
    refused = control.visit("myapp", "/")
    assert (refused.status, refused.reason) == (503, "unhealthy") and refused.header("Retry-After")
    assert control.resolve("myapp")["health_status"] == "fail"
    agent.wait_event("backend.unhealthy")
    mark = control.mark()
    backend.start()
    control.wait_event("agent.health", since=mark, **{"pass": True})
    assert visits(control) == [200]
    kinds = [event["kind"] for event in control.app("myapp")["events"]]
    assert "backend_fail" in kinds and "attest_miss" not in kinds and "disconnected" not in kinds


def test_a_health_url_decides_what_passes(world):
    backend, control = world.backend(), world.control()
    world.agent(control, backend, EE_HEALTH_URL=backend.url + "/health")
    backend.healthy = False
    control.wait_event("agent.health", **{"pass": False})
    assert control.visit("myapp", "/").reason == "unhealthy"


def test_only_a_2xx_of_the_health_url_passes(world):
    backend, control = world.backend(), world.control()
    status = [204]
    backend.on("/health-of", lambda request: answer(status[0], [("Location", "/login")] if status[0] == 302 else []))
    world.agent(control, backend, EE_HEALTH_URL=backend.url + "/health-of")
    for other in (302, 304, 404):
        mark = control.mark()
        status[0] = other
        assert str(other) in control.wait_event("agent.health", since=mark, **{"pass": False})["detail"]
        mark = control.mark()
        status[0] = 204
        control.wait_event("agent.health", since=mark, **{"pass": True})


# ---- TLS ----

def test_over_wss_the_quote_is_bound_to_the_channel(world):
    backend, control = world.backend(), world.control(**world.make_tls())
    world.agent(control, backend, EE_TLS_CA=world.tls_ca)
    detail, = control.app_agents("myapp")
    assert (detail["binding"], detail["unbound"]) == ("channel", False)
    assert visits(control) == [200]


def test_a_control_plane_with_a_certificate_of_another_ca_is_refused(world):
    control = world.control(**world.make_tls())
    make_authority(world.path / "tls", "other")
    agent = world.agent(control, world.backend(), wait=False, EE_TLS_CA=world.path / "tls" / "other.pem")
    lost = agent.wait_event("tunnel.lost")
    assert "certificate" in lost["detail"]
    failed = control.wait_event("tls.handshake_failed", listener="control", reason="certificate_refused")
    assert failed["peer"].startswith("127.0.0.1:")
    assert control.metric("ee_tls_handshakes_failed_total", listener="control", reason="certificate_refused") >= 1
    assert not control.events("agent.active") and not agent.events("tunnel.connected")


def test_no_simulated_platform_serves_on_forge_1_even_bound_to_its_channel(world):
    control = world.control(**world.make_tls())
    agent = world.agent(control, world.backend(), wait=False, EE_NETWORK="forge-1", EE_TLS_CA=world.tls_ca)
    refused = agent.wait_event("agent.refused")
    assert refused["reason"] == "simulated_root" and refused["advice"]
    assert control.get("/v1/resolve/myapp").status == 404


def test_an_agent_in_the_clear_is_told_why_forge_1_refuses_it(world):
    control = world.control()
    agent = world.agent(control, world.backend(), wait=False, EE_NETWORK="forge-1")
    refused = agent.wait_event("agent.refused")
    assert refused["reason"] == "binding_too_weak" and "wss" in refused["advice"]


# ---- Sealing ----

def sealed_platform(world):
    folder = world.path / "sealed-platform"
    shutil.copytree(world.platform.directory, folder)
    (folder / "sealed").write_text("true\n")
    return folder


def test_a_sealed_release_is_shown_as_sealed_only_when_agent_and_allowlist_say_so(world):
    folder = sealed_platform(world)
    backend, control = world.backend(), world.control()
    world.agent(control, backend, app="plain", EE_SIMULATED_TDX_DIR=folder)
    assert control.resolve("plain")["sealed"] is False
    world.allow(tag="v1", measurements={"sealed": True})
    world.agent(control, backend, app="sealed", EE_SIMULATED_TDX_DIR=folder, EE_RELEASE_TAG="v1")
    assert control.resolve("sealed")["sealed"] is True
    lowered = world.agent(control, backend, app="lowered", wait=False, EE_SIMULATED_TDX_DIR=folder,
                          EE_RELEASE_TAG="v1", EE_SEALED="false")
    assert lowered.wait_event("agent.refused")["reason"] == "measurement_mismatch:sealed"


def test_a_sealed_agent_refuses_a_backend_outside_its_own_machine(world):
    control = world.control()
    settings = world.agent_settings(control, EE_SIMULATED_TDX_DIR=sealed_platform(world),
                                    EE_BACKEND_URL="http://203.0.113.7:8080")
    agent = world.program("easyenclave-agent", settings)
    assert agent.wait() != 0
    assert "EE_BACKEND_URL" in agent.transcript()


def test_an_agent_of_another_platform_is_refused_and_told_so(world):
    other = SimulatedPlatform(world.path / "other-platform")
    control = world.control()
    agent = world.agent(control, world.backend(), wait=False, EE_SIMULATED_TDX_DIR=other.directory)
    refused = agent.wait_event("agent.refused")
    assert refused["reason"] == "certificate_chain_invalid" and "EE_TDX_ROOT_CA" in refused["advice"]
    # It tries again by itself, and is refused for as long as nothing changes.
    control.wait_event("tunnel.refused", count=2, code="certificate_chain_invalid")
    until(lambda: control.metric("ee_tunnel_refusals_total", reason="certificate_chain_invalid") >= 2)
