"""What an auditor walks through: credits bought and locked, an agent of a node that serves, usage, the settlement of
the cell, its evidence judged again, its receipt; and what each kind of failing comes to."""

import hashlib
import json
import pathlib
import signal
import subprocess
import sys

from harness import until
from ledger_client import SETTINGS, Ledger, cell, within
from settled_network import HOUR, WINDOW, judged
from shifted_clock import ShiftedClock

VERIFIER = pathlib.Path(__file__).resolve().parents[1] / "ledger/verify_receipt.py"


def verify_receipt(world, receipt):
    """By the verifier that shares no line with the product; what it prints."""
    file = world.path / "receipt.json"
    file.write_text(json.dumps(receipt))
    done = subprocess.run([sys.executable, VERIFIER, file], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_who_serves_is_paid_who_stops_is_not_and_nobody_for_nothing(network):
    network.prepare(("n1", "steady"), ("n2", "stopped"), ("n3", None))
    control = network.start(HOUR - 60)
    network.agent("n1", "steady")
    stopped = network.agent("n2", "stopped")
    assert control.app_agents("steady")[0]["node_id"] == "n1"
    stopped.signal(signal.SIGSTOP)
    try:
        report = network.ask("/v1/usage/report", 201, account_id="alice", node_id="n1", app_name="steady",
                             vcpu_hours="3", period=network.period, report_id="r1")
        assert (report["amount_usd"], report["uncollected_usd"]) == ("0.15", "0")
        assert network.now() < HOUR - 3 * WINDOW, "the machine is too busy: the cell is over"

        paid = network.settled("n1", "pass")
        refunded = network.settled("n2", "fail")
        unserved = network.settled("n3", "fail")
    finally:
        stopped.signal(signal.SIGCONT)
    assert (paid["reasons"], paid["paid_usd"], paid["returned_usd"]) == ([], "0.15", "0.05")
    assert (refunded["reasons"], refunded["paid_usd"], refunded["returned_usd"]) == (["health_miss"], "0", "0.2")
    assert (unserved["reasons"], unserved["returned_usd"]) == (["no_evidence"], "0.2")

    control.wait_event("ledger.cell_settled", cell=network.period, passed=1, failed=2)
    until(lambda: network.balance("alice")["locked_usd"] == "0", what="all transfers are made")
    assert network.balance("alice")["available_usd"] == "99.85"
    assert network.balance("node:n1")["available_usd"] == "0.15"
    assert network.balance("node:n2")["available_usd"] == "0"

    for node in ("n1", "n2", "n3"):
        unit, text, receipt = network.bundle(node)
        assert unit["evidence_sha256"] == hashlib.sha256(text.encode()).hexdigest()
        assert judged(json.loads(text), network.cell) == unit["outcome"], text
        said = verify_receipt(network.world, receipt)
        assert f"evidence_sha256: {unit['evidence_sha256']}" in said and f"outcome: {unit['outcome']}" in said
    slot = json.loads(network.bundle("n1")[1])["slots"][0]
    assert (slot["app_name"], slot["agent_id"], slot["window_s"]) == ("steady", "agent-of-n1", WINDOW)
    assert "m" not in slot["windows"] and slot["challenges_passed"] >= 1
    # The digest names evidence that anybody can have judged again.
    found = control.get(f"/v1/apps/steady/evidence?id={slot['verdicts'][0]}")
    assert found.status == 200, found
    # What came into force is in the log: both networks' policies, and the release's allowlist, each once.
    leaves = network.admin("/v1/ledger/entries?limit=500").text
    assert leaves.count('"kind":"allowlist"') == 1, leaves
    assert leaves.count('"kind":"policy"') >= 2


def test_a_control_plane_that_was_away_is_held_against_nobody(network):
    network.prepare(("n1", "steady"))
    network.start(HOUR - 70)
    agent = network.agent("n1", "steady")
    network.ask("/v1/usage/report", 201, account_id="alice", node_id="n1", app_name="steady", vcpu_hours="4",
                period=network.period, report_id="r1")
    network.control.wait_event("slots.recorded")  # From now on the agent is expected until the cell's end.
    away_from = network.now()
    network.control.kill()
    # As long as it takes to come back, and 20 s more.
    mark = agent.mark()
    control = network.start(away_from + 22)
    agent.wait_event("agent.serving", 20, since=mark)
    outage = control.wait_event("control.outage", cause="not_running")
    assert outage["from"] < outage["to"]
    assert network.now() < HOUR - 2 * WINDOW, "the machine is too busy: the cell is over"

    outcome = network.finalize("n1")
    assert (outcome["outcome"], outcome["reasons"]) == ("inconclusive", ["hole"])
    control.wait_event("ledger.cell_held", cell=network.period, inconclusive=1, reported=0)
    assert network.balance("alice")["locked_usd"] == "0.2"
    unit, text, _ = network.bundle("n1")
    assert judged(json.loads(text), network.cell) == unit["outcome"] == "inconclusive"

    resolved = network.ask(f"/v1/settlements/{network.period}/resolve", node_id="n1", app_name="steady",
                           outcome="pass", reason="its monitoring saw it up")
    assert (resolved["outcome"], resolved["paid_usd"]) == ("pass", "0.2")
    until(lambda: network.balance("node:n1")["available_usd"] == "0.2", what="the node is paid")
    verify_receipt(network.world, resolved["receipt"])


# All its cells are due at once, before anybody looks at the clock again.
def test_no_cell_is_settled_before_the_step_of_the_clock_that_ended_it_is_recorded(world):
    clock = ShiftedClock(world.path)
    control = world.control(**clock.settings, **SETTINGS)
    ledger = Ledger(control)
    ledger.open_account("alice", "100")
    ledger.register_node("n1")
    cells = [cell(hours) for hours in range(1, 6)]
    for period in cells:
        ledger.ok("/v1/locks", {"account_id": "alice", "node_id": "n1", "vcpu_hours": "4", "period": period}, "alice")
    clock.set_ahead(30 * HOUR)
    control.wait_event("control.outage", cause="clock_step")

    def outcomes():
        return [item["outcome"] for period in cells for item in ledger.ok(f"/v1/settlements/{period}")["items"]]
    until(lambda: "open" not in outcomes(), what="all are settled")
    assert outcomes() == ["inconclusive"] * len(cells)
    assert ledger.balance("alice") == ("99", "1")


# A machine's clock that is wrong for a moment: what it would end cannot be begun again.
def test_a_clock_that_is_months_ahead_for_a_moment_ends_no_cell(world):
    clock = ShiftedClock(world.path)
    control = world.control(**{**clock.settings, **SETTINGS, "EE_SETTLE_DELAY_SEC": "0"})
    ledger = Ledger(control)
    ledger.open_account("alice", "100")
    ledger.register_node("n1")
    periods = cell(1), cell(20), cell(2)
    for period in periods[:2]:
        ledger.ok("/v1/locks", {"account_id": "alice", "node_id": "n1", "vcpu_hours": "4", "period": period}, "alice")
    clock.set_ahead(60 * 24 * HOUR)
    control.wait_event("ledger.clock_doubted")
    ledger.open_account("bob", "1")
    for period in periods[:2]:
        assert [item["outcome"] for item in ledger.ok(f"/v1/settlements/{period}")["items"]] == ["open"]
    clock.set_ahead(0)
    ledger.ok("/v1/locks", {"account_id": "alice", "node_id": "n1", "vcpu_hours": "4", "period": periods[2]}, "alice")
    assert ledger.balance("alice") == ("99.4", "0.6")
    assert not control.events("control.outage", cause="clock_step")


# L7: what is shown, and what a dry run says, is of the ledger's time, as what is written is.
def test_a_clock_that_steps_back_does_not_take_what_is_shown_with_it(world):
    clock, period = ShiftedClock(world.path), cell(1)
    control = world.control(**{**clock.settings, **within(period), **SETTINGS, "EE_SETTLE_AUTO": "false"})
    ledger = Ledger(control)
    ledger.open_account("alice", "10")
    ledger.register_node("n1")
    ledger.ok("/v1/locks", {"account_id": "alice", "node_id": "n1", "vcpu_hours": "1", "period": period}, "alice")
    clock.set_ahead(HOUR)
    ledger.register_node("n2", price="0.07")
    clock.set_ahead(-10 * 60)
    assert ledger.ok("/v1/nodes/n2")["price_usd_per_vcpu_hour"] == "0.07"
    (dry,) = ledger.ok(f"/v1/settlements/{period}/finalize?dry_run=true", {})["outcomes"]
    (real,) = ledger.ok(f"/v1/settlements/{period}/finalize", {})["outcomes"]
    assert dry["outcome"] == real["outcome"] != "open"
