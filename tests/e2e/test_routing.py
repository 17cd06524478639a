"""Routing by price and trust: who gets the next request while nodes change, and what explains it."""

import os
import subprocess
import time

import pytest

from event_stream import EventStream
from harness import ADMIN_TOKEN, lasting_port, until
from ledger_client import cell, within
from market import POLICY, Market, Visitors
from shifted_clock import ShiftedClock
from simulated_platform import binary
from wire_agent import text_answer


@pytest.fixture
def market(world):
    made = Market(world)
    made.node("n1", price="0.05")
    made.node("n2", price="0.08")
    made.agent("n1")
    made.agent("n2")
    return made


# ---- R4: each change counts before the next request ----

def test_traffic_goes_to_the_cheaper_and_follows_its_price(market):
    with Visitors(market.control) as visitors:
        assert visitors.since(0) == {"n1"}
        changed = market.change("n1", price_usd_per_vcpu_hour="0.2")
        assert visitors.since(changed) == {"n2"}
        changed = market.change("n1", price_usd_per_vcpu_hour="0.0799")
        until(lambda: visitors.since(changed) == {"n1", "n2"}, what="within 1 %: they share")
    assert visitors.statuses() == {200}


def test_a_ban_takes_a_node_out(market):
    with Visitors(market.control) as visitors:
        market.ledger.ok("/v1/nodes/n1/ban", {"reason": "fraud"})
        banned = time.monotonic()
        assert visitors.since(banned) == {"n2"}
        market.ledger.ok("/v1/nodes/n2/ban", {"reason": "fraud"})
        banned = time.monotonic()
        assert visitors.since(banned) <= {"banned", "offline"}, "their tunnels are closed"
    assert visitors.before(banned) >= {"n1", "n2"}


def test_lost_stake_takes_a_node_out_where_stake_is_required(world):
    market = Market(world, 'stake_required = true\nstake_min_usd = { standard = 10 }\n')
    for node, price in ("n1", "0.05"), ("n2", "0.08"):
        market.node(node, price=price)
        market.agent(node)
    with EventStream(market.control, app="myapp") as events, Visitors(market.control) as visitors:
        assert visitors.since(0) == {"n1"}
        changed = market.change("n1", stake_amount_usd="9.99")
        assert visitors.since(changed) == {"n2"}, "below what its tier asks for"
        assert events.wait_for("unfit", agent_id="agent-of-n1", node_id="n1").data["code"] == "no_stake"
        changed = market.change("n1", stake_amount_usd="10")
        assert visitors.since(changed) == {"n1"}
        events.wait_for("fit", agent_id="agent-of-n1")
        market.ledger.ok("/v1/nodes/n1/unstake", {"reason": "leaves"})
        changed = time.monotonic()
        assert visitors.since(changed) == {"n2"}
        market.ledger.ok("/v1/nodes/n2/unstake", {"reason": "leaves"})
        changed = time.monotonic()
        assert visitors.since(changed) == {"no_stake"}
    refused = market.control.get("/v1/resolve/myapp")
    assert (refused.status, refused.reason) == (403, "no_stake")


def test_a_price_is_required_where_the_network_says_so(world):
    market = Market(world, "price_required = true\n")
    market.node("n1")
    market.agent("n1")
    market.control.wire_agent(agent_id="of-no-node").attest().serve(text_answer("nobody's"))
    assert market.control.visit("myapp").reason == "unfunded"
    explained = market.explain()
    assert [c["reason"] for c in explained["candidates"]] == ["no_price", "no_price"]
    assert (explained["chosen"], explained["refusal"]) == (None, "unfunded")
    market.change("n1", price_usd_per_vcpu_hour="0.000001")
    assert market.control.visit("myapp").text == "n1"


def test_a_price_of_zero_is_the_lowest_and_is_not_the_lack_of_one(world):
    market = Market(world, "price_required = true\n")
    for node, price in ("free", "0"), ("cheap", "0.000001"), ("unpriced", None):
        market.node(node, price=price)
        market.agent(node)
    assert {market.control.visit("myapp").text for _ in range(20)} == {"free"}
    shown = {c["node_id"]: (c["reason"], c["price_usd_per_vcpu_hour"], c["effective_price_usd_per_vcpu_hour"])
             for c in market.explain()["candidates"]}
    assert shown["free"] == (None, "0", "0") and shown["unpriced"] == ("no_price", None, None)
    of_nodes = {node: market.control.admin_get(f"/v1/nodes/{node}").json() for node in shown}
    assert [of_nodes[n]["price_usd_per_vcpu_hour"] for n in ("free", "cheap", "unpriced")] == ["0", "0.000001", None]
    # What is known of a node survives a restart.
    assert market.control.terminate() == 0
    market.control = world.control(**market.settings)
    assert market.control.admin_get("/v1/nodes/free").json()["price_usd_per_vcpu_hour"] == "0"
    assert market.control.admin_get("/v1/nodes/unpriced").json()["price_usd_per_vcpu_hour"] is None


def test_a_lock_funds_a_node_for_its_cell_and_no_longer(world):
    """Twenty seconds before an hour ends: n1 and n2 are funded for this one, n2 for the next one too."""
    period = cell(3)
    shift = within(period)
    shift["CLOCK_SHIFT_SECONDS"] += 55 * 60 - 20
    ends_at = time.monotonic() + 20
    market = Market(world, "funded = true\n", **shift)
    market.ledger.open_account("alice", "100")
    market.ledger.ok("/v1/apps", {"app_name": "myapp", "repo": "org/repo", "network": "sandbox-1",
                                  "billing_account": "alice"})
    for node, price in ("n1", "0.05"), ("n2", "0.08"):
        market.node(node, price=price)
        market.agent(node)
    with Visitors(market.control) as visitors:
        assert visitors.since(0) == {"unfunded"}
        market.ledger.ok("/v1/locks", {"account_id": "alice", "node_id": "n1", "app_name": "other", "period": period,
                                       "amount_usd": "1"})
        assert visitors.since(time.monotonic()) == {"unfunded"}, "it pays for another app"
        market.ledger.ok("/v1/locks", {"account_id": "alice", "node_id": "n1", "app_name": "myapp", "period": period,
                                       "amount_usd": "1"})
        locked = time.monotonic()
        served_by = visitors.since(locked)
        assert time.monotonic() < ends_at, "the machine is too busy: the hour is over"
        assert served_by == {"n1"}
        for at in period, cell(1, after=period):
            market.ledger.ok("/v1/locks", {"account_id": "alice", "node_id": "n2", "period": at, "amount_usd": "1"})
        assert time.monotonic() < ends_at, "the machine is too busy: the hour is over"
        until(lambda: time.monotonic() > ends_at + 1, timeout=40, what="the hour is over")
        # The program's start is not known to the second: the hour has ended within it.
        assert visitors.since(ends_at + 1) == {"n2"}
    first = min(answer.came_at for answer in visitors.answers if answer.of == "n2")
    later = {answer.of for answer in visitors.answers if answer.asked_at >= first}
    assert later == {"n2"}, "from one request to the next, and for good"


def test_a_free_node_is_funded_by_a_lock_of_any_amount(world):
    market = Market(world, "funded = true\n")
    market.ledger.open_account("alice", "1")
    market.ledger.ok("/v1/apps", {"app_name": "myapp", "repo": "org/repo", "network": "sandbox-1",
                                  "billing_account": "alice"})
    market.node("n1", price="0")
    market.agent("n1")
    assert market.control.visit("myapp").reason == "unfunded"
    lock = {"account_id": "alice", "node_id": "n1", "app_name": "myapp", "period": cell()}
    refused = market.ledger.post("/v1/locks", {**lock, "vcpu_hours": "8"})
    assert (refused.status, refused.reason) == (422, "invalid_amount") and "amount_usd" in refused.json()["detail"]
    market.ledger.ok("/v1/locks", {**lock, "amount_usd": "0.000001"})
    assert market.control.visit("myapp").text == "n1"
    used = market.ledger.ok("/v1/usage/report", {**lock, "vcpu_hours": "8", "report_id": "r1"})
    assert (used["amount_usd"], used["uncollected_usd"]) == ("0", "0")
    assert market.ledger.balance("alice") == ("0.999999", "0.000001")


def test_a_stricter_policy_counts_for_the_next_request(world):
    import signal
    market = Market(world)
    market.node("n1", stake=None)
    market.agent("n1")
    assert market.control.visit("myapp").text == "n1"
    (world.path / "networks.toml").write_text(POLICY + "stake_required = true\n")
    mark = market.control.mark()
    market.control.signal(signal.SIGHUP)
    market.control.wait_event("control.reloaded", since=mark)
    assert market.control.visit("myapp").reason == "no_stake"
    market.change("n1", stake_amount_usd="1")
    assert market.control.visit("myapp").text == "n1"


def owners_challenge(market):
    """All agents of the app are asked for fresh evidence now."""
    assert market.ledger.post("/v1/apps/myapp/attest").status == 202


def test_a_missed_challenge_takes_an_agent_out(world):
    market = Market(world, EE_ATTEST_DEADLINE_SEC=4)
    for node, price in ("n1", "0.05"), ("n2", "0.08"):
        market.node(node, price=price)
    market.agent("n1", answers_challenges=False)
    market.agent("n2")
    with Visitors(market.control) as visitors:
        assert visitors.since(0) == {"n1"}
        owners_challenge(market)
        market.control.wait_event("agent.disconnected", agent="agent-of-n1", reason="attestation_timeout")
        missed = time.monotonic()
        assert visitors.since(missed) == {"n2"}
        assert visitors.before(missed) >= {"n1"}, "it serves while the challenge is open"
    assert visitors.statuses() == {200}


def test_a_withdrawn_allowlist_takes_its_agents_out_at_the_next_verdict(world):
    world.allow(tag="v0.1.4")
    market = Market(world, EE_ALLOWLIST_TTL_SEC=1)
    for node, price in ("n1", "0.05"), ("n2", "0.08"):
        market.node(node, price=price)
    withdrawn = market.agent("n1", release_tag="v0.1.4")
    market.agent("n2")
    with Visitors(market.control) as visitors:
        (world.allowlist_dir / "org/repo/v0.1.4.json").unlink()
        assert visitors.since(time.monotonic()) == {"n1"}, "until the next verdict"

        def is_out():
            owners_challenge(market)
            return withdrawn.closed
        until(is_out, 10, "the allowlist's absence counts")
        assert visitors.since(time.monotonic()) == {"n2"}
    assert withdrawn.statuses()[-1] == ("invalid", "allowlist_missing")
    assert visitors.statuses() == {200}


def test_an_inconclusive_verdict_takes_an_agent_out_after_its_grace(world):
    market = Market(world, "evidence_grace_s = 12\n")
    market.node("n1", price="0.05")
    market.agent("n1")
    with EventStream(market.control, app="myapp") as events, Visitors(market.control) as visitors:
        world.remove_collateral()
        until(lambda: owners_challenge(market) or events.matching("inconclusive"), 5, "nobody can judge the agent")
        assert visitors.since(time.monotonic()) == {"n1"}, "within the grace"
        market.control.wait_status("myapp", "unattested", 30)
        assert visitors.since(time.monotonic()) == {"unattested"}
        events.wait_for("evidence_lapsed")
        world.put_collateral()
        until(lambda: owners_challenge(market) or market.control.resolve("myapp")["allowed"], 10, "it is judged again")
        assert visitors.since(time.monotonic()) == {"n1"}


def test_an_expired_registration_serves_nobody_until_it_is_renewed(world):
    clock = ShiftedClock(world.path)
    market = Market(world, EE_REGISTRATION_TTL_DAYS=1, EE_REGISTRATION_WARN_DAYS=0, **clock.settings)
    market.node("n1", price="0.05")
    market.agent("n1")
    with EventStream(market.control, app="myapp") as events, Visitors(market.control) as visitors:
        assert visitors.since(0) == {"n1"}
        clock.set_ahead(24 * 3600 + 60)
        assert visitors.since(time.monotonic()) == {"expired"}
        events.wait_for("registration_expired")
        owners_challenge(market)
        events.wait_for("registration_renewed")
        assert visitors.since(time.monotonic()) == {"n1"}
    assert market.control.resolve("myapp")["registration_state"] == "active"


# ---- R3: trust ----

def test_abuse_that_was_authorized_halves_trust(world):
    market = Market(world, EE_LAUNCHER_TOKEN="launcher-token-of-the-tests")
    market.node("n1", price="0.05")
    market.node("n2", price="0.08")
    market.agent("n1")
    market.agent("n2")
    before = market.candidate("n1")
    with Visitors(market.control) as visitors:
        filed = market.ledger.ok("/v1/abuse/reports", {"node_id": "n1", "reason": "spam"}, "launcher")
        assert visitors.since(time.monotonic()) == {"n1"}, "nobody has decided"
        market.ledger.ok(f"/v1/abuse/reports/{filed['report_id']}/authorize", {"action": "authorize"})
        assert visitors.since(time.monotonic()) == {"n2"}
    after = market.candidate("n1")
    assert after["trust_parts"]["abuse_reports"] == 1
    assert after["trust"] == before["trust"] // 2
    market.ledger.ok("/v1/nodes/register", {"node_id": "n1", "rotate_token": True})
    assert market.candidate("n1")["trust"] == after["trust"], "registering again sheds nothing"


def test_missed_windows_are_remembered_after_a_restart(world):
    market = Market(world, EE_HEALTH_TIMEOUT_SEC=1, EE_CONTROL_PORT=lasting_port())
    market.node("n1")
    agent = market.agent("n1")
    until(lambda: (market.candidate("n1")["trust_parts"]["windows_expected"]) >= 1, what="a window is counted")
    agent.abort()

    def missed():
        parts = market.candidate("n1")["trust_parts"]
        return parts["windows_expected"] - parts["windows_passed"]
    until(lambda: missed() >= 2, what="windows are missed")
    parts = market.candidate("n1")["trust_parts"]
    assert parts["health"] == ((parts["windows_passed"] + 648) * 1_000_000) // (parts["windows_expected"] + 720)
    before = missed()
    assert market.control.terminate() == 0
    market.control = world.control(**market.settings)
    market.ledger.control = market.control
    market.agent("n1", agent_id="of-another-name")
    assert missed() >= before


# ---- What explains it ----

def choose(explained):
    """The choice again, by the specification, out of what was answered."""
    free = [c for c in explained["candidates"]
            if c["eligible"] and not c["ejected"] and c["open_streams"] < c["stream_limit"]]
    if explained["release"] is not None:
        free = [c for c in free if c["release_tag"] == explained["release"]]

    def micro(candidate):
        whole, _, part = candidate["price_usd_per_vcpu_hour"].partition(".")
        return int(whole) * 1_000_000 + int(part.ljust(6, "0"))
    priced = [c for c in free if c["price_usd_per_vcpu_hour"] is not None]
    if priced and min(map(micro, priced)) > 0:
        best = priced[0]
        for c in priced:
            if micro(c) * best["trust"] < micro(best) * c["trust"]:
                best = c
        equals = [c for c in priced if micro(c) * best["trust"] * 100 <= micro(best) * c["trust"] * 101]
    else:
        free = [c for c in priced if micro(c) == 0] or free
        most = max(c["trust"] for c in free)
        equals = [c for c in free if c["trust"] * 100 >= most * 99]
    if len(equals) == 1:
        return equals[0]["agent_id"]
    first = int(explained["random"][0] * len(equals))
    second = int(explained["random"][1] * (len(equals) - 1))
    second += second >= first
    return min(equals[first], equals[second], key=lambda c: c["open_streams"])["agent_id"]


def test_an_explanation_recomputes(market):
    market.node("n3", price="0.0501")
    market.node("n4", price="0.05")
    market.agent("n3")
    market.agent("n4", agent_id="failing").send({"type": "health", "status": "fail"})
    market.control.wire_agent(agent_id="of-no-node").attest().serve(text_answer("nobody's"))
    until(lambda: not market.candidate("n4")["eligible"], what="it fails")
    chosen = set()
    for _ in range(60):
        explained = market.explain()
        assert explained["chosen"] == choose(explained)
        chosen.add(explained["chosen"])
    assert chosen == {"agent-of-n1", "agent-of-n3"}
    by_agent = {c["agent_id"]: c for c in explained["candidates"]}
    assert by_agent["failing"]["reason"] == "unhealthy"
    assert by_agent["of-no-node"]["trust_parts"]["windows_expected"] is None
    # A simulated platform: A = 0.5; no node: H = 0.5.
    assert by_agent["of-no-node"]["trust"] == 250_000
    assert by_agent["agent-of-n1"]["trust_parts"]["attestation"] == 500_000
    for agent in market.control.app_agents("myapp"):
        shown = by_agent[agent["agent_id"]]
        for name in "price_usd_per_vcpu_hour", "trust", "effective_price_usd_per_vcpu_hour":
            assert agent[name] == shown[name]


def test_an_explanation_of_a_rollout_recomputes(market):
    market.world.allow(tag="v0.1.4")
    market.node("n3", price="0.9")
    market.agent("n3", release_tag="v0.1.4")
    made = market.ledger.ok("/v1/apps", {"app_name": "myapp", "repo": "org/repo", "network": "sandbox-1"})
    owner = {"Authorization": f"Bearer {made['token']}"}
    answer = market.control.request("PUT", "/v1/apps/myapp/rollout",
                                    {**owner, "Content-Type": "application/json", "Idempotency-Key": "k1"},
                                    {"weights": {"v0.1.4": 70, "v0.1.3": 30}})
    assert answer.status == 200, answer
    chosen = set()
    for _ in range(40):
        explained = market.control.get("/v1/route/myapp/explain", owner).json()
        assert explained["chosen"] == choose(explained)
        assert explained["release"] == ("v0.1.3" if explained["release_random"] * 100 < 30 else "v0.1.4")
        chosen.add((explained["release"], explained["chosen"]))
    assert chosen == {("v0.1.3", "agent-of-n1"), ("v0.1.4", "agent-of-n3")}


def test_eectl_explains_in_words(market):
    done = subprocess.run([binary("eectl"), "route", "explain", "myapp"], capture_output=True, text=True, timeout=30,
                          env={**os.environ, "EECTL_URL": f"http://127.0.0.1:{market.control.port}",
                               "EE_ADMIN_TOKEN": ADMIN_TOKEN})
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[1].split()[:4] == ["agent-of-n1", "n1", "eligible", "0.05"]
    assert lines[-1] == "The next request would go to agent-of-n1."


def test_an_explanation_is_the_operators(market):
    assert market.control.get("/v1/route/myapp/explain").status == 401
    answer = market.control.admin_get("/v1/route/nobody/explain")
    assert (answer.status, answer.reason) == (404, "unknown_app")
    assert market.ledger.get("/v1/route/myapp/explain", "n1").status in (401, 403)
