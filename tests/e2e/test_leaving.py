"""What takes an agent out while visitors go on asking: each from one request to the next, and at no visitor's cost.

The agent of n1 is the cheaper one, so that it alone is asked until it is out; then it is n2's turn."""

import sqlite3
import time

import pytest

from event_stream import EventStream
from github import GitHub
from harness import APP_DOMAIN, until
from ledger_client import Ledger
from market import Market, Visitors
from raw_http import Connection
from shifted_clock import ShiftedClock
from streaming_backend import StreamingBackend
from wire_agent import text_answer

CHEAPER, DEARER = "agent-of-n1", "agent-of-n2"


def two_nodes(world, policy="", **settings):
    market = Market(world, policy, **settings)
    market.node("n1", price="0.05")
    market.node("n2", price="0.08")
    return market


def challenge_all(market):
    answer = market.control.post("/v1/apps/myapp/attest", {}, market.ledger.headers("admin"))
    assert (answer.status, answer.json()["challenged"]) == (202, 2), answer


def told(stream, kind, **fields):
    """When the event had been told."""
    stream.wait_for(kind, **fields)
    return time.monotonic()


# ---- Attestation ----

@pytest.mark.parametrize("change, code", [
    ({"nonce": "00" * 32}, "nonce_mismatch"),
    ({"quote": "AAAA"}, "quote_malformed"),
    ({"node_token": "of another"}, "node_token_invalid"),
    (None, "attestation_timeout"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_an_agent_that_fails_a_later_challenge_is_out(world, change, code):
    market = two_nodes(world, **({"EE_ATTEST_DEADLINE_SEC": 4} if change is None else {}))
    failing = market.agent("n1").serve(text_answer("n1"), challenges=False)
    market.agent("n2")
    with EventStream(market.control, app="myapp") as stream, Visitors(market.control) as visitors:
        challenge_all(market)
        challenge = failing.expect("attest_request", reason="operator")
        assert visitors.since(0) == {"n1"}, "the challenge is open"
        if change is not None:
            failing.send({**failing.evidence(challenge["nonce"]), **change})
        out = told(stream, "attest_miss", agent_id=CHEAPER, code=code)
        assert visitors.since(out) == {"n2"}
    assert visitors.statuses() == {200}


@pytest.mark.parametrize("withdraw, code", [
    (lambda world: (world.allowlist_dir / "org/repo/v0.1.3.json").unlink(), "allowlist_missing"),
    (lambda world: world.allow(quote_measurements={"rtmr2": "ab" * 48}), "measurement_mismatch:rtmr2"),
    (lambda world: world.allow(text="{}"), "allowlist_invalid:/version"),
], ids=["removed", "of another machine", "emptied"])
def test_agents_of_a_withdrawn_allowlist_are_out_with_their_next_verdict(world, withdraw, code):
    world.allow(tag="v0.1.4")
    market = two_nodes(world)
    market.agent("n1", release_tag="v0.1.3")
    market.agent("n2", release_tag="v0.1.4")
    with EventStream(market.control, app="myapp") as stream, Visitors(market.control) as visitors:
        withdraw(world)
        assert visitors.since(time.monotonic()) == {"n1"}, "nobody has been judged by it"
        challenge_all(market)
        out = told(stream, "attest_miss", agent_id=CHEAPER, code=code)
        assert visitors.since(out) == {"n2"}
        stream.wait_for("attested", agent_id=DEARER)
    assert visitors.statuses() == {200}


def test_an_agent_that_nobody_can_judge_serves_until_its_grace_is_over(world):
    grace_s = 12
    market = two_nodes(world, f"evidence_grace_s = {grace_s}\n")
    judged_from = time.monotonic()
    market.agent("n1")
    judged_by = time.monotonic()
    # Its challenge stays open meanwhile, so that the evidence of before goes on counting.
    patient = market.agent("n2").serve(text_answer("n2"), challenges=False)
    with EventStream(market.control, app="myapp") as stream, Visitors(market.control) as visitors:
        world.remove_collateral()
        challenge_all(market)
        unjudged = told(stream, "inconclusive", agent_id=CHEAPER, code="collateral_unavailable")
        assert unjudged < judged_from + grace_s, "the machine is too busy: its grace is over"
        out = told(stream, "evidence_lapsed", agent_id=CHEAPER, code="collateral_unavailable")
        assert visitors.since(out) == {"n2"}
        world.put_collateral()
        patient.answer_challenge(patient.expect("attest_request", reason="operator"))
        stream.wait_for("attested", agent_id=DEARER)
        assert visitors.since(out) == {"n2"}
    assert visitors.before(judged_from + grace_s) == {"n1"}, "nothing but its own time takes it out"
    assert {answer.of for answer in visitors.answers if answer.asked_at >= judged_by + grace_s} == {"n2"}
    assert visitors.statuses() == {200}


# ---- The registration ----

def test_a_registration_that_ends_takes_its_app_out_and_one_that_is_renewed_brings_it_back(world):
    """By a copy of its allowlist an agent goes on serving, but does not renew: GitHub is away."""
    github = GitHub()
    github.publish((world.allowlist_dir / "org/repo/v0.1.3.json").read_text())
    settings = {"EE_ALLOWLIST_DIR": None, "EE_GITHUB_API_URL": github.url, "EE_ALLOWLIST_TTL_SEC": 1,
                "EE_ATTEST_INTERVAL_SEC": 2}
    control = world.control(**settings)
    control.wire_agent().attest()
    until(lambda: control.events("allowlist.fetched", outcome="published"), what="the copy is kept")
    assert control.terminate() == 0
    github.behave("v0.1.3", "release", lambda request: request.answer(500))
    lasts_s = 8
    ends_at, ends_at_ms = time.monotonic() + lasts_s, int((time.time() + lasts_s) * 1000)
    with sqlite3.connect(world.path / "control-plane.db") as store:
        assert store.execute("UPDATE registrations SET expires_at_ms = ?", (ends_at_ms,)).rowcount == 1
        assert store.execute("UPDATE allowlists SET checked_at_ms = checked_at_ms - 60000").rowcount == 1
    control = world.control(**settings)
    control.wire_agent().attest().serve(text_answer("served"))
    with EventStream(control, app="myapp") as stream, Visitors(control) as visitors:
        assert time.monotonic() < ends_at, "the machine is too busy: it has ended"
        assert visitors.before(ends_at) == {"served"}
        out = told(stream, "registration_expired")
        assert visitors.since(out) == {"expired"}
        # The clocks of both programs are one, and read to the millisecond.
        assert visitors.before(ends_at - 0.05) == {"served"}
        assert visitors.since(ends_at + 0.05) == {"expired"}
        github.behave("v0.1.3", "release", None)
        until(lambda: visitors.answers[-1].of == "served", 20, "it is renewed")
        renewed = time.monotonic()
        assert visitors.since(renewed) == {"served"}
    github.stop()


# ---- In the middle of an answer ----

def test_a_ban_cuts_what_the_nodes_agent_is_answering(world):
    market = Market(world, **world.make_tls())
    market.node("n1", price="0.05")
    backend = StreamingBackend()
    world.agent(market.control, backend, EE_NODE_ID="n1", EE_NODE_TOKEN=market.ledger.tokens["n1"],
                EE_TLS_CA=world.tls_ca)
    with Connection(market.control.proxy_port) as visitor:
        visitor.send(f"GET /download/1000 HTTP/1.1\r\nHost: myapp.{APP_DOMAIN}\r\n\r\n".encode())
        assert visitor.read_head()[0] == 200
        market.ledger.ok("/v1/nodes/n1/ban", {"reason": "fraud"})
        received = 0
        while piece := visitor.socket.recv(1 << 20):  # What was on its way still comes.
            received += len(piece)
        assert received < 1000 << 20, "whole"
    assert backend.cancelled.wait(10), "the app works on for nobody"
    line = market.control.wait_access(path="/download/1000")
    assert (line["status"], line["error"]) == (200, "tunnel_closed")
    assert market.control.visit("myapp").reason in ("banned", "offline")
    backend.stop()


# ---- A rollout ----

def test_a_withdrawn_release_that_alone_has_weight_leaves_nobody_until_the_owner_says_so(world):
    world.allow(tag="v0.1.4")
    control = world.control()
    ledger = Ledger(control)
    ledger.ok("/v1/apps", {"app_name": "myapp", "repo": "org/repo", "network": "sandbox-1"})
    for tag in "v0.1.3", "v0.1.4":
        control.wire_agent(agent_id=tag, release_tag=tag).attest().serve(text_answer(tag))

    def weigh(**weights):
        answer = control.request("PUT", "/v1/apps/myapp/rollout", ledger.headers("admin"), {"weights": weights})
        assert answer.status == 200, answer
    weigh(**{"v0.1.4": 100})
    with EventStream(control, app="myapp") as stream, Visitors(control) as visitors:
        assert visitors.since(time.monotonic()) == {"v0.1.4"}
        world.allow(tag="v0.1.4", text="{}")
        assert ledger.post("/v1/apps/myapp/attest").status == 202
        out = told(stream, "attest_miss", agent_id="v0.1.4")
        assert visitors.since(out) == {"draining"}
        explained = control.admin_get("/v1/route/myapp/explain").json()
        assert (explained["chosen"], explained["refusal"]) == (None, "draining")
        weigh()
        assert visitors.since(time.monotonic()) == {"v0.1.3"}


# ---- The clock ----

def test_a_clock_that_steps_by_an_hour_takes_nobody_out(world):
    clock = ShiftedClock(world.path)
    control = world.control(**clock.settings)
    ledger = Ledger(control)
    control.wire_agent(agent_id="a1").attest().serve(text_answer("served"))
    with EventStream(control, after=0, app="myapp") as stream, Visitors(control) as visitors:
        stream.wait_for("attested")
        for step, kind, count in (3600, "attested", 2), (0, "attested", 3), (-3600, "inconclusive", 1), (0, "attested", 4):
            clock.set_ahead(step)
            assert visitors.since(time.monotonic()) == {"served"}, step
            # Before the collateral's time nobody can judge the agent: that is no fault of its own.
            assert ledger.post("/v1/apps/myapp/attest").status == 202
            stream.wait_for(kind, count=count)
            assert visitors.since(time.monotonic()) == {"served"}, step
            assert control.visit("myapp", headers={"EE-Require": "max-age=300"}).status == 200, step
    assert visitors.statuses() == {200}
