"""Challenges after the first, and health: when they come, what a missed one does."""

import time

import pytest

from event_stream import EventStream
from harness import until


def kinds(control, app="myapp"):
    return [event["kind"] for event in control.app(app)["events"]]


def test_lesson_14_there_is_one_challenge_an_interval_however_many_were_answered(world):
    control = world.control(EE_ATTEST_INTERVAL_SEC=2, EE_ATTEST_DEADLINE_SEC=30)
    wire = control.wire_agent().attest(legacy=True).serve()
    world.agent(control, world.backend(), app="ours")
    for _ in range(4):
        assert wire.expect("attest_request", timeout=10)["reason"] == "periodic"
    times = [at for at, message in zip(wire.received_at, wire.messages) if message["type"] == "attest_request"]
    # The first is the registration's. Due at 80 to 95 % of the interval after the last success: late on a busy
    # machine, never early.
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    assert min(gaps) >= 0.8 * 2 - 0.1, gaps
    nonces = [challenge["nonce"] for challenge in wire.challenges()]
    assert len(set(nonces)) == len(nonces) == 5
    control.wait_event("attestation.ok", app="ours", count=3)
    ours = control.events("attestation.ok", app="ours")
    assert len(ours) <= 1 + (time.monotonic() - times[0] + 1) / (0.8 * 2)
    assert "attest_miss" not in kinds(control) + kinds(control, "ours")


def test_the_agent_serves_while_a_challenge_is_open_and_is_out_at_once_when_it_is_missed(world):
    control = world.control(EE_ATTEST_INTERVAL_SEC=2, EE_ATTEST_DEADLINE_SEC=4)
    wire = control.wire_agent().attest(legacy=True).serve(challenges=False)
    wire.expect("attest_request", reason="periodic")
    assert control.visit("myapp", "/").status == 200
    status = wire.expect("status", state="invalid")
    refused = control.visit("myapp", "/")
    assert status["reason"] == "attestation_timeout"
    assert (refused.status, refused.reason) in {(403, "unattested"), (503, "offline")}
    assert wire.expect_closed() == 1008
    assert kinds(control)[:2] == ["disconnected", "attest_miss"]
    assert control.app("myapp")["events"][1]["code"] == "attestation_timeout"


@pytest.mark.parametrize("change, code", [
    ({"nonce": "00" * 32}, "nonce_mismatch"),
    ({"report_data": "00" * 64}, "report_data_mismatch"),
    ({"quote": "AAAA"}, "quote_malformed"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_bad_answer_to_a_later_challenge_is_a_miss_and_closes(world, change, code):
    control = world.control(EE_ATTEST_INTERVAL_SEC=1)
    wire = control.wire_agent().attest(legacy=True).serve(challenges=False)
    challenge = wire.expect("attest_request", reason="periodic")
    wire.send({**wire.evidence(challenge["nonce"], legacy=True), **change})
    assert wire.expect("status", state="invalid")["reason"] == code
    assert not control.resolve("myapp")["allowed"]
    assert wire.expect_closed() == 1008
    assert (control.app("myapp")["events"][1]["kind"], control.app("myapp")["events"][1]["code"]) == ("attest_miss", code)


def test_a_release_that_is_no_longer_allowed_is_out_at_its_next_challenge(world):
    control = world.control(EE_ATTEST_INTERVAL_SEC=1)
    wire = control.wire_agent().attest(legacy=True).serve()
    world.allow(quote_measurements={"rtmr2": "ab" * 48})
    assert wire.expect("status", state="invalid")["reason"] == "measurement_mismatch:rtmr2"
    assert wire.expect_closed() == 1008
    assert not control.resolve("myapp")["allowed"]


def test_missing_collateral_is_inconclusive_later_on_no_miss_and_the_agent_serves(world):
    control = world.control(EE_ATTEST_INTERVAL_SEC=1, EE_ATTEST_DEADLINE_SEC=3)
    wire = control.wire_agent().attest(legacy=True).serve()
    world.remove_collateral()
    wire.expect("status", state="warning", reason="collateral_unavailable")
    # Longer than a verdict lasts: what carries it now is the network's grace.
    asked = len(wire.challenges())
    deadline = time.monotonic() + 1 + 3 + 0.5
    until(lambda: time.monotonic() > deadline or wire.closed, what="an interval, a deadline and a half second")
    assert not wire.closed and len(wire.challenges()) == asked  # The same quote is judged again, each minute.
    resolution = control.resolve("myapp")
    assert (resolution["status"], resolution["attestation_status"]) == ("active", "inconclusive")
    assert control.visit("myapp", "/").status == 200
    assert "inconclusive" in kinds(control) and "attest_miss" not in kinds(control)


# ---- Health ----

def test_silence_fails_an_agent_and_a_heartbeat_heals_it(world):
    control = world.control(EE_HEALTH_TIMEOUT_SEC=2)
    wire = control.wire_agent().attest(legacy=True).serve()
    assert control.visit("myapp", "/").status == 200
    control.wait_status("myapp", "unhealthy", timeout=6)
    refused = control.visit("myapp", "/")
    assert (refused.status, refused.reason) == (503, "unhealthy")
    assert control.resolve("myapp")["health_status"] == "unknown"
    wire.send({"type": "health", "status": "pass"})
    control.wait_event("agent.health")
    assert control.visit("myapp", "/").status == 200 and not wire.closed


@pytest.mark.parametrize("status", ["fail", "PASS", "ok", ""])
def test_any_status_but_pass_takes_the_agent_out_until_the_next_pass(world, status):
    control = world.control()
    wire = control.wire_agent().attest(legacy=True).serve()
    wire.send({"type": "health", "status": status, "detail": "disk full"})
    control.wait_event("agent.health", **{"pass": False})
    assert control.visit("myapp", "/").reason == "unhealthy"
    assert control.app_agents("myapp")[0]["health_detail"] == "disk full"
    wire.send({"type": "health", "status": "pass"})
    control.wait_event("agent.health", **{"pass": True})
    assert control.visit("myapp", "/").status == 200
    assert [kind for kind in kinds(control) if kind not in ("attested", "registered")] == ["backend_pass", "backend_fail"]


def test_an_attestation_does_not_heal_a_backend_that_is_down(world):
    control = world.control(EE_ATTEST_INTERVAL_SEC=1)
    wire = control.wire_agent().attest(legacy=True).serve()
    wire.send({"type": "health", "status": "fail"})
    for _ in range(2):
        wire.expect("status", timeout=5, state="ok", reason="attested")
    assert control.visit("myapp", "/").reason == "unhealthy"


def test_lesson_9_the_first_request_after_the_attestation_is_served(world):
    control = world.control()
    control.wire_agent().serve().attest(legacy=True)
    assert control.visit("myapp", "/").status == 200
    assert not control.events("agent.health")


def test_lesson_10_heartbeats_write_nothing_to_the_store(world):
    control = world.control()
    wire = control.wire_agent().attest(legacy=True).serve()

    # What the attestation leaves behind is on disk once it can be read: the evidence, and the event.
    assert len(control.get("/v1/apps/myapp/evidence").json()["items"]) == 1
    with EventStream(control, after=0, app="myapp") as stream:
        stream.wait_for("attested")

    def written():
        return {file.name: (file.stat().st_size, file.stat().st_mtime_ns) for file in world.path.glob("control-plane.db*")
                # The index of the -wal in memory, which readers write, too; the mark that the process lives.
                if not file.name.endswith(("-shm", ".alive"))}
    before = written()
    assert before
    for _ in range(100):
        wire.send({"type": "health", "status": "pass"})
    control.wait_event("agent.health", count=100)
    assert [control.visit("myapp", "/").status for _ in range(20)] == [200] * 20
    assert written() == before
