"""Who may come in: limits, bindings of names, identities, and how each refusal closes the tunnel."""

import concurrent.futures
import sqlite3
import time

import pytest

from harness import until
from wire_agent import AgentKey, run

DAY_MS = 86_400_000


def refused_and_closed(wire, reason, close_code=1008):
    status = wire.expect("status", reason=reason)
    assert status["state"] == "invalid"
    assert wire.expect_closed() == close_code
    return status


def event_kinds(control, app="myapp"):
    return [event["kind"] for event in control.app(app)["events"]]


# ---- Limits ----

def test_too_many_tunnels_of_one_address_wait_for_attestation(world):
    control = world.control(EE_MAX_UNREGISTERED_PER_ADDRESS=2)
    first, second = control.wire_agent(agent_id="1"), control.wire_agent(agent_id="2")
    status = refused_and_closed(control.wire_agent(agent_id="3"), "too_many_tunnels")
    assert status["retry_after_s"] > 0
    first.attest(legacy=True)  # Attested ones do not count.
    third = control.wire_agent(agent_id="3")
    refused_and_closed(control.wire_agent(agent_id="4"), "too_many_tunnels")
    second.close()  # Nor do those that left.
    until(lambda: control.metric("ee_tunnels_unattested") == 1)
    control.wire_agent(agent_id="4").attest(legacy=True)
    third.attest(legacy=True)


@pytest.mark.parametrize("setting", ["EE_MAX_UNREGISTERED", "EE_MAX_TUNNELS"])
def test_too_many_tunnels_in_all(world, setting):
    control = world.control(**{setting: 1})
    control.wire_agent(agent_id="1")
    refused_and_closed(control.wire_agent(agent_id="2"), "too_many_tunnels")


@pytest.mark.parametrize("setting, reason", [("EE_MAX_APPS", "too_many_apps"),
                                             ("EE_MAX_NEW_APPS_PER_ADDRESS", "too_many_new_apps")])
def test_agents_bind_so_many_names_and_no_more(world, setting, reason):
    control = world.control(**{setting: 1})
    control.wire_agent(agent_id="1").attest(legacy=True)
    other = control.wire_agent(agent_id="2", app_name="another")
    other.register()
    other.answer_challenge(other.expect("attest_request"), legacy=True)
    refused_and_closed(other, reason)
    assert control.metric("ee_tunnel_refusals_total", reason=reason) == 1
    assert control.get("/v1/resolve/another").status == 404
    control.wire_agent(agent_id="3").attest(legacy=True)  # The name that is bound has room for agents.
    if reason == "too_many_new_apps":  # Behind a trusted proxy each client has its own hour.
        control.wire_agent(agent_id="4", app_name="third", headers={"X-Forwarded-For": "192.0.2.9"}).attest(legacy=True)


def test_lesson_17_sockets_that_never_register_do_not_keep_agents_of_others_out(world):
    """The limit of an address is far below the limit in all."""
    control = world.control(EE_MAX_UNREGISTERED_PER_ADDRESS=8, EE_MAX_UNREGISTERED=16)
    silent = [control.wire_agent(agent_id=f"s{i}") for i in range(8)]
    refused_and_closed(control.wire_agent(agent_id="s8"), "too_many_tunnels")
    assert control.metric("ee_tunnels_unattested") == 8
    assert control.get("/health").status == 200
    for wire in silent:
        wire.close()


def test_more_agents_a_second_than_are_admitted_are_rate_limited(world):
    control = world.control(EE_ADMIT_RPS=1)
    wires = [control.wire_agent(agent_id=str(i)) for i in range(20)]

    async def register_all():
        for wire in wires:
            await wire.aregister()
    began = time.monotonic()
    run(register_all())
    admitted = 0
    for wire in wires:
        until(lambda: wire.messages, what="each has its answer")
        if wire.messages[0]["type"] == "attest_request":
            admitted += 1
        else:
            assert refused_and_closed(wire, "rate_limited")["retry_after_s"] >= 1
    # One at once, and one for each second that it took.
    assert 1 <= admitted <= 1 + time.monotonic() - began < len(wires)


# ---- Networks and names ----

def test_a_network_that_is_not_configured_is_refused(world):
    control = world.control()
    wire = control.wire_agent(network="nowhere-9")
    wire.register()
    refused_and_closed(wire, "invalid_network")


def test_without_a_network_it_is_forge_1(world):
    control = world.control()
    wire = control.wire_agent(network=None)
    wire.send({"type": "register", **{k: v for k, v in wire.identity.items() if k != "network"}})
    assert wire.expect("attest_request")["binding"] == "channel"


@pytest.mark.parametrize("change, reason", [
    ({"repo": "other/repo"}, "app_bound_to_other_repo"),
    ({"network": "forge-1"}, "app_bound_to_other_network"),
])
def test_a_bound_name_is_refused_to_others(world, change, reason):
    control = world.control()
    control.wire_agent(agent_id="owner").attest(legacy=True)
    other = control.wire_agent(agent_id="other", **change)
    other.register()
    refused_and_closed(other, reason)
    assert control.resolve("myapp")["allowed"] and event_kinds(control) == ["attested", "registered"]


def test_of_two_that_claim_a_free_name_the_first_attested_one_gets_it(world):
    """A claim alone reserves nothing."""
    world.allow(repo="other/repo")
    control = world.control()
    squatter = control.wire_agent(agent_id="squatter", repo="other/repo")
    squatter.register()
    challenge = squatter.expect("attest_request")
    control.wire_agent(agent_id="owner").attest(legacy=True)
    squatter.answer_challenge(challenge, legacy=True)
    refused_and_closed(squatter, "app_bound_to_other_repo")
    assert control.resolve("myapp")["repo"] == "org/repo"


def test_lesson_16_a_restart_keeps_names_for_their_owners(world):
    world.allow(repo="other/repo")
    control = world.control()
    control.wire_agent(agent_id="owner").attest(legacy=True)
    control.kill()  # Not even given the time to say goodbye.
    control = world.control()
    resolution = control.resolve("myapp")
    assert (resolution["status"], resolution["repo"], resolution["allowed"]) == ("offline", "org/repo", False)
    thief = control.wire_agent(agent_id="thief", repo="other/repo")
    thief.register()
    refused_and_closed(thief, "app_bound_to_other_repo")
    control.wire_agent(agent_id="owner").attest(legacy=True)
    assert control.resolve("myapp")["status"] == "active"


# ---- The end of a registration ----

def age_registration(world, days):
    """As if the registration had ended so many days ago."""
    with sqlite3.connect(world.path / "control-plane.db") as store:
        changed = store.execute("UPDATE registrations SET expires_at_ms = (strftime('%s', 'now') * 1000) - ?",
                                (days * DAY_MS,)).rowcount
    assert changed == 1


def test_an_expired_name_stays_reserved_and_its_owner_renews_it(world):
    world.allow(repo="other/repo")
    control = world.control()
    control.wire_agent().attest(legacy=True)
    assert control.terminate() == 0
    age_registration(world, 1)
    control = world.control()
    assert control.resolve("myapp")["status"] == "expired"
    visit = control.visit("myapp", "/")
    assert (visit.status, visit.reason, visit.json()["registration_state"]) == (403, "expired", "expired")
    thief = control.wire_agent(agent_id="thief", repo="other/repo")
    thief.register()
    refused_and_closed(thief, "app_bound_to_other_repo")
    control.wire_agent().attest(legacy=True)
    resolution = control.resolve("myapp")
    assert (resolution["status"], resolution["registration_state"]) == ("active", "active")


def test_after_the_reservation_anybody_may_take_the_name(world):
    world.allow(repo="other/repo")
    control = world.control()
    control.wire_agent().attest(legacy=True)
    assert control.terminate() == 0
    age_registration(world, 91)
    control = world.control()
    control.wire_agent(agent_id="heir", repo="other/repo").attest(legacy=True)
    assert control.resolve("myapp")["repo"] == "other/repo"
    former = control.wire_agent(agent_id="former")
    former.register()
    refused_and_closed(former, "app_bound_to_other_repo")


@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_a_name_that_was_given_up_to_make_room_does_not_come_back(world, end):
    control = world.control(EE_MAX_APPS=1)
    control.wire_agent().attest(legacy=True)
    assert control.terminate() == 0
    age_registration(world, 91)
    control = world.control(EE_MAX_APPS=1)
    control.wire_agent(app_name="another").attest(legacy=True)
    assert control.get("/v1/resolve/myapp").status == 404
    getattr(control, end)()
    control = world.control(EE_MAX_APPS=1)
    assert control.resolve("another")["status"] == "offline"
    assert control.get("/v1/resolve/myapp").status == 404


def test_a_registration_about_to_end_is_said_and_still_routed(world):
    control = world.control(EE_REGISTRATION_TTL_DAYS=1, EE_REGISTRATION_WARN_DAYS=1)
    wire = control.wire_agent().attest(legacy=True).serve()
    wire.expect("status", state="warning", reason="registration_expiring")
    resolution = control.resolve("myapp")
    assert (resolution["status"], resolution["allowed"], resolution["registration_state"]) == ("warning", True, "warning")
    assert control.visit("myapp", "/").status == 200


# ---- One identity, two tunnels ----

def test_a_second_tunnel_of_a_living_agent_is_refused_and_nothing_is_recorded(world):
    control = world.control()
    holder = control.wire_agent(agent_id="one").attest(legacy=True).serve()
    events = control.app("myapp")["events"]
    second = control.wire_agent(agent_id="one")
    second.register()
    second.answer_challenge(second.expect("attest_request"), legacy=True)
    refused_and_closed(second, "agent_id_taken")
    assert not holder.closed and holder.pings > 0
    assert control.app("myapp")["events"] == events
    assert control.visit("myapp", "/").status == 200


def test_the_same_key_takes_over_at_once_and_the_old_tunnel_finishes_its_streams(world):
    control = world.control()
    old, new = control.wire_agent(agent_id="one", answer_pings=False), control.wire_agent(agent_id="one")
    old.agent_key = new.agent_key = AgentKey(world.path, "agent")
    old.attest()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        open_request = pool.submit(control.visit, "myapp", "/open")
        request = old.expect("proxy_request")
        new.attest().serve()
        old.expect("status", state="draining", reason="superseded")
        assert control.visit("myapp", "/next").status == 200
        old.send({"type": "proxy_response", "request_id": request["request_id"], "status": 201, "headers": {},
                  "body_b64": ""})
        assert open_request.result(10).status == 201
    assert old.expect_closed() == 1001
    assert not [m for m in old.messages if m["type"] == "proxy_request" and m["path"] == "/next"]
    control.wait_event("agent.disconnected", reason="superseded")
    # What the older one leaves behind does not touch the newer one.
    assert control.resolve("myapp")["agents"] == 1 and control.visit("myapp", "/").status == 200
    assert "superseded" in event_kinds(control)


def test_another_key_does_not_take_over_from_a_living_agent(world):
    control = world.control()
    holder, thief = control.wire_agent(agent_id="one"), control.wire_agent(agent_id="one")
    holder.agent_key, thief.agent_key = AgentKey(world.path, "holder"), AgentKey(world.path, "thief")
    holder.attest()
    thief.register()
    thief.answer_challenge(thief.expect("attest_request"))
    refused_and_closed(thief, "agent_id_taken")
    assert not holder.closed


# ---- Nothing before attestation counts ----

def test_lesson_11_registering_with_anothers_name_and_hanging_up_changes_nothing(world):
    control = world.control()
    victim = control.wire_agent(agent_id="victim").attest(legacy=True).serve()
    before = control.app("myapp")
    for i in range(20):
        attacker = control.wire_agent(agent_id="victim" if i % 2 else f"attacker-{i}")
        attacker.register()
        attacker.expect("attest_request")
        attacker.abort() if i % 4 < 2 else attacker.close()
        assert control.resolve("myapp")["allowed"]
    until(lambda: control.metric("ee_tunnels") == 1)
    after = control.app("myapp")
    assert after["events"] == before["events"] and after["status"] == "active"
    victim.send({"type": "health", "status": "pass"})
    assert control.visit("myapp", "/").status == 200


def test_lesson_12_a_lapsed_deadline_under_anothers_id_is_no_miss_of_the_victims(world):
    control = world.control(EE_ATTEST_DEADLINE_SEC=3)
    control.wire_agent(agent_id="victim").attest(legacy=True).serve()
    before = control.app("myapp")["events"]
    attackers = [control.wire_agent(agent_id="victim") for _ in range(3)]
    for attacker in attackers:
        attacker.register()
    for attacker in attackers:
        refused_and_closed(attacker, "attestation_timeout")
    assert control.app("myapp")["events"] == before
    assert control.resolve("myapp")["attestation_status"] == "valid" and control.visit("myapp", "/").status == 200


def test_lesson_12_a_bad_answer_under_anothers_id_is_no_miss_of_the_victims(world):
    control = world.control()
    control.wire_agent(agent_id="victim").attest(legacy=True).serve()
    before = control.app("myapp")["events"]
    for how in ({"nonce": "00" * 32}, {"report_data": bytes(64)}):
        attacker = control.wire_agent(agent_id="victim")
        attacker.register()
        attacker.answer_challenge(attacker.expect("attest_request"), **how) if "nonce" not in how else \
            attacker.send({**attacker.evidence(attacker.expect("attest_request")["nonce"], legacy=True), **how})
        attacker.expect_closed()
    assert control.app("myapp")["events"] == before and control.visit("myapp", "/").status == 200


# ---- Several agents of one app ----

def test_lesson_13_agents_of_one_app_share_its_requests_and_each_may_leave(world):
    control = world.control()
    first, second = (control.wire_agent(agent_id=name).attest(legacy=True).serve() for name in ("first", "second"))

    def served(wire):
        return sum(m["type"] == "proxy_request" for m in wire.messages)
    for _ in range(60):
        assert control.visit("myapp", "/").status == 200
    assert served(first) + served(second) == 60
    assert served(first) > 5 and served(second) > 5
    second.close()
    control.wait_event("agent.disconnected", agent="second")
    assert control.resolve("myapp")["status"] == "active"
    assert [control.visit("myapp", "/").status for _ in range(10)] == [200] * 10


# ---- Draining ----

def test_sigterm_drains_agents_and_lets_open_requests_finish(world):
    control = world.control()
    wire = control.wire_agent().attest(legacy=True)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        open_request = pool.submit(control.visit, "myapp", "/open")
        request = wire.expect("proxy_request")
        control.signal(15)
        status = wire.expect("status", state="draining", reason="draining")
        assert status["reconnect_after_ms"] > 0
        wire.send({"type": "proxy_response", "request_id": request["request_id"], "status": 202, "headers": {},
                   "body_b64": ""})
        assert open_request.result(10).status == 202
    assert wire.expect_closed() == 1001
    assert control.wait() == 0


def test_sigterm_waits_no_longer_than_the_drain_time(world):
    control = world.control(EE_DRAIN_SEC=1)
    wire = control.wire_agent().attest(legacy=True)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        open_request = pool.submit(control.visit, "myapp", "/never-answered")
        wire.expect("proxy_request")
        control.signal(15)
        assert open_request.result(10).status == 502
    assert control.wait(5) == 0


def test_an_agent_that_has_not_attested_is_told_too(world):
    control = world.control()
    wire = control.wire_agent()
    wire.register()
    wire.expect("attest_request")
    control.signal(15)
    wire.expect("status", state="draining", reason="draining")
    assert wire.expect_closed() == 1001
    assert control.wait(5) == 0
