"""What an auditor walks through: credits bought and locked, an agent of a node that serves, usage, the settlement of
the cell, its evidence judged again, its receipt; and what each kind of failing comes to."""

import hashlib
import json
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from harness import ADMIN_TOKEN, lasting_port, until
from ledger_client import SETTINGS, Ledger, cell, within
from raw_http2 import GOAWAY, SETTINGS as HTTP2_SETTINGS, Http2Connection
from shifted_clock import ShiftedClock, ahead_by
from simulated_platform import eectl

WINDOW = 4
HOUR = 3600
VERIFIER = pathlib.Path(__file__).resolve().parents[1] / "ledger/verify_receipt.py"


class Network:
    """One world and its control plane, started anew at whatever time it is to be; cell `cell` is the one settled."""

    def __init__(self, world):
        self.world = world
        self.cell = (int(time.time()) // HOUR + 2) * HOUR
        self.period = time.strftime("%Y-%m-%dT%H", time.gmtime(self.cell))
        self.port, self.control, self.started_at, self.keys = lasting_port(), None, 0, 0
        self.tokens = {}

    def start(self, at, **settings):
        """At this many seconds after the cell's start, by its own clock. It does not step while the program runs: that
        would be an outage."""
        self.control = self.world.control(**ahead_by(self.cell + at - time.time()), **self.world.make_tls(),
                                          EE_CONTROL_PORT=self.port, EE_HEALTH_TIMEOUT_SEC=WINDOW,
                                          EE_SETTLE_AUTO="false", **settings)
        self.started_at = time.monotonic() - at
        return self.control

    def now(self):
        """Seconds after the cell's start, as the control plane believes."""
        return time.monotonic() - self.started_at

    def ask(self, path, status=200, **body):
        self.keys += 1
        answer = self.control.post(path, body, {"Authorization": f"Bearer {ADMIN_TOKEN}",
                                                "Idempotency-Key": f"key-{self.keys}"})
        assert answer.status == status, answer
        return answer.json()

    def admin(self, path):
        answer = self.control.admin_get(path)
        assert answer.status == 200, answer
        return answer

    def node(self, node):
        made = self.ask("/v1/nodes/register", 201, node_id=node, capacity_vcpus=8, price_usd_per_vcpu_hour="0.05",
                        stake_tier="standard", stake_amount_usd="10")
        self.tokens[node] = made["node_token"]

    def prepare(self, *nodes):
        """Before the cell: nodes with stake, alice with 100 USD, and a lock of 4 vCPU-hours on each (node, app)."""
        self.start(-30)
        self.ask("/v1/accounts", 201, account_id="alice")
        self.ask("/v1/credits/purchase", 201, account_id="alice", amount_usd="100", payment_ref="p1")
        for node, app in nodes:
            self.node(node)
            self.ask("/v1/locks", 201, account_id="alice", node_id=node, period=self.period, vcpu_hours="4",
                     **({"app_name": app} if app else {}))
        assert self.now() < 0, "the machine is too busy: the cell has begun"
        assert self.control.terminate() == 0
        self.world.hide_absence()

    def agent(self, node, app):
        return self.world.agent(self.control, self.world.backend(), app=app, EE_NODE_ID=node,
                                EE_NODE_TOKEN=self.tokens[node], EE_TLS_CA=self.world.tls_ca,
                                EE_AGENT_ID=f"agent-of-{node}")

    def finalize(self, node):
        """Once the cell is over: the outcome of the node's only unit."""
        path, body = f"/v1/settlements/{self.period}/finalize", {"node_id": node}

        def try_it():
            self.keys += 1
            answer = self.control.post(path, body, {"Authorization": f"Bearer {ADMIN_TOKEN}",
                                                    "Idempotency-Key": f"key-{self.keys}"})
            if answer.status == 409:
                assert answer.reason == "period_open", answer
                return None
            assert answer.status == 200, answer
            return answer.json()
        settled = until(try_it, 90, "the cell is over")
        assert len(settled["outcomes"]) == 1
        return settled["outcomes"][0]

    def settled(self, node, outcome):
        """The outcome, asked for until it is this one: the last window is recorded as the cell ends."""
        got = self.finalize(node)  # Waits for the end of the cell.
        try:
            until(lambda: got.update(self.finalize(node)) or got["outcome"] == outcome, 10)
        except AssertionError:
            raise AssertionError(f"{node} is {got}, not {outcome}, by {self.bundle(node)[1]}") from None
        return got

    def bundle(self, node):
        """The stored outcome, and the text of its evidence."""
        text = self.admin(f"/v1/settlements/{self.period}?node_id={node}").text
        unit = json.loads(text)["items"][0]
        start = text.index('"evidence":') + len('"evidence":')
        return unit, text[start:start + json.JSONDecoder().raw_decode(text[start:])[1]], json.loads(text).get("receipt")

    def balance(self, account):
        return self.admin(f"/v1/balances/{account}").json()


def judged(bundle, cell):
    """What the page says of evidence, in other words than the ledger's."""
    misses, holes = False, False
    windows = {}
    for slot in bundle["slots"]:
        length = slot["window_s"] * 1_000_000
        begin = max(slot["attested_at_us"], cell * 1_000_000)
        for k in range(begin // length, (cell + HOUR) * 1_000_000 // length):
            if k * length < begin:
                continue  # not a whole one
            place = k - begin // length
            letter = slot["windows"][place] if place < len(slot["windows"]) else "?"
            windows.setdefault(k * length, []).append((letter, length))
    for start, seen in windows.items():
        seen = [(letter, length) for letter, length in seen if letter != "d"]  # Drained: not expected.
        if not seen or any(letter == "p" for letter, _ in seen):
            continue
        end = start + seen[0][1]
        overlapped = any(o["from_us"] < end and (o["to_us"] is None or start < o["to_us"]) for o in bundle["outages"])
        if all(letter == "m" for letter, _ in seen) and not overlapped:
            misses = True
        else:
            holes = True
    if not bundle["held_standing"] or any(s["challenges_missed"] for s in bundle["slots"]) or misses:
        return "fail"
    if not windows and not any(s["challenges_passed"] for s in bundle["slots"]):
        return "inconclusive" if bundle["outages"] else "fail"
    return "inconclusive" if holes or any(s["challenges_inconclusive"] for s in bundle["slots"]) else "pass"


def verify_receipt(world, receipt):
    """By the verifier that shares no line with the product; what it prints."""
    file = world.path / "receipt.json"
    file.write_text(json.dumps(receipt))
    done = subprocess.run([sys.executable, VERIFIER, file], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def network(world):
    return Network(world)


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


def test_whom_the_apps_owner_dismisses_owes_nothing_more(network):
    network.prepare(("n1", "drained"), ("n2", "unlisted"))
    control = network.start(HOUR - 50)
    drained = network.agent("n1", "drained")
    network.agent("n2", "unlisted")
    control.wait_event("slots.recorded")  # Both are expected until the cell's end.
    network.ask("/v1/apps/drained/agents/agent-of-n1/drain", 202)
    drained.kill()
    answer = control.request("PUT", "/v1/apps/unlisted/nodes", {"Authorization": f"Bearer {ADMIN_TOKEN}"}, {"nodes": []})
    assert answer.json()["closed_tunnels"] == 1
    assert network.now() < HOUR - 3 * WINDOW, "the machine is too busy: nothing is left to owe"
    for node in ("n1", "n2"):
        assert network.settled(node, "pass")["reasons"] == []
        slot = json.loads(network.bundle(node)[1])["slots"][0]
        assert slot["drained_at_us"], slot


def test_a_node_is_proven_by_its_token_and_lost_with_it(network):
    network.start(0)
    network.node("n1")
    wire = {"app_name": "noded", "network": "sandbox-1", "node_id": "n1"}
    control = network.control

    def refusal(**how):
        agent = control.wire_agent(agent_id="w1", **wire)
        agent.register()
        # The deployed agents' layout: it binds no channel, which this client does not know.
        agent.answer_challenge(agent.expect("attest_request"), legacy=True, **how)
        reason = agent.expect("status", state="invalid")["reason"]
        agent.expect_closed()
        return reason
    assert refusal() == "node_token_invalid"
    assert refusal(node_token="ee_" + "00" * 32) == "node_token_invalid"
    unknown = control.wire_agent(agent_id="w1", **{**wire, "node_id": "n9"})
    unknown.register()
    unknown.answer_challenge(unknown.expect("attest_request"), legacy=True, node_token=network.tokens["n1"])
    assert unknown.expect("status", state="invalid")["reason"] == "node_token_invalid"

    serving = network.agent("n1", "steady")
    rotated = network.ask("/v1/nodes/register", node_id="n1", rotate_token=True)
    assert not control.resolve("steady")["allowed"]  # before the answer
    serving.wait_event("agent.refused", reason="node_token_invalid")
    network.tokens["n1"] = rotated["node_token"]
    serving.kill()
    again = network.agent("n1", "steady")
    network.ask("/v1/nodes/n1/ban", reason="fraud")
    assert not control.resolve("steady")["allowed"]
    again.wait_event("agent.refused", reason="node_banned")
    banned = control.wire_agent(agent_id="w2", **wire)
    banned.register()
    assert banned.expect("status", state="invalid")["reason"] == "node_banned"
    # No token was ever written down.
    assert network.tokens["n1"] not in serving.transcript(1000) + control.transcript(10000)


class V2Agent:
    """An agent of the wire's second version by hand: it may leave without having answered."""

    def __init__(self, network, node, app, agent):
        self.wire = network.control.wire_agent(agent_id=agent, node_id=node, app_name=app,
                                               headers={"Sec-WebSocket-Protocol": "easyenclave.tunnel.v2"})
        self.wire.node_token = network.tokens[node]
        self.wire.register()
        self.wire.send(self.evidence(self.wire.expect("attest_request")))
        self.wire.expect("status", state="ok", reason="attested")
        self.wire.send(Http2Connection.frame(HTTP2_SETTINGS, 0, 0) + Http2Connection.frame(HTTP2_SETTINGS, 1, 0))

    def evidence(self, challenge, **how):
        # The deployed agents' layout: it binds no channel, which this client does not know.
        return self.wire.evidence(challenge["nonce"], legacy=True, **how)

    def leave(self, *words):
        self.wire.send(*words, Http2Connection.frame(GOAWAY, 0, 0, bytes(8)))


def test_nobody_leaves_a_challenge_behind(world):
    network = Network(world)
    leavers = {"n1": "silent", "n2": "wrong", "n3": "right"}
    network.prepare(*leavers.items())
    network.start(HOUR - 45, EE_ATTEST_DEADLINE_SEC=6)
    agents = {node: network.agent(node, app) for node, app in leavers.items()}  # It passes the windows.
    for node, app in leavers.items():
        network.ask("/v1/usage/report", 201, account_id="alice", node_id=node, app_name=app, vcpu_hours="4",
                    period=network.period, report_id="r1")
        leaver = V2Agent(network, node, app, "leaver")
        network.ask(f"/v1/apps/{app}/attest", 202)
        challenge = leaver.wire.expect("attest_request", reason="operator")
        if app == "wrong":
            leaver.leave(leaver.evidence(challenge, report_data=bytes(64)))
        if app == "right":
            leaver.leave(leaver.evidence(challenge))
        if app == "silent":
            leaver.leave()
            leaver.wire.expect("status", state="invalid", reason="attestation_timeout")
    for node, app in leavers.items():
        outcome = network.settled(node, "pass" if app == "right" else "fail")
        assert outcome["reasons"] == ([] if app == "right" else ["attest_miss"]), (app, outcome)
        agents[node].terminate()


def test_who_is_drained_and_comes_back_is_expected_again(world):
    network = Network(world)
    network.prepare(("n1", "shop"), ("n2", "other"))
    network.start(HOUR - 45)
    for node, app in (("n1", "shop"), ("n2", "other")):
        network.ask("/v1/usage/report", 201, account_id="alice", node_id=node, app_name=app, vcpu_hours="4",
                    period=network.period, report_id="r1")
    back, gone = network.agent("n1", "shop"), network.agent("n2", "other")
    for agent, app in ((back, "shop"), (gone, "other")):
        network.ask(f"/v1/apps/{app}/agents/agent-of-{'n1' if app == 'shop' else 'n2'}/drain", 202)
        mark = agent.mark()
        agent.wait_event("agent.serving", 20, since=mark)
    gone.kill()
    assert network.settled("n1", "pass")["reasons"] == []
    assert network.settled("n2", "fail")["reasons"] == ["health_miss"]
    assert back.terminate() == 0


def put_copy_in_place(network, copy):
    """As on another disk: nothing else is there but the key."""
    database = network.world.path / "control-plane.db"
    for name in ("", "-wal", "-shm"):
        pathlib.Path(f"{database}{name}").unlink(missing_ok=True)
    database.write_bytes(copy.read_bytes())
    return database


@pytest.mark.parametrize("how", ["on another disk", "beside the newer mark", "its loss accepted", "its loss accepted later"])
def test_what_a_copy_of_the_ledger_lacks_is_held_against_nobody(world, how):
    network = Network(world)
    network.start(-30)
    network.ask("/v1/accounts", 201, account_id="alice")
    network.ask("/v1/credits/purchase", 201, account_id="alice", amount_usd="100", payment_ref="p1")
    network.node("n1")
    network.ask("/v1/locks", 201, account_id="alice", node_id="n1", app_name="shop", period=network.period, vcpu_hours="4")
    agent = network.agent("n1", "shop")
    network.control.wait_event("slots.recorded")
    copy = world.path / "backup.db"
    assert eectl("ledger", "backup", str(world.path / "control-plane.db"), str(copy)).returncode == 0
    if how != "on another disk":  # It runs on, into the next cell, and then loses what came after the copy.
        network.control.terminate()
        world.hide_absence()
        network.start(HOUR + 30)
        network.control.wait_event("slots.recorded")
    size = network.admin("/v1/ledger/head").json()["tree_size"]
    network.control.kill()
    database = put_copy_in_place(network, copy)
    mark = world.path / "control-plane.db.alive"
    assert mark.exists()
    if how == "on another disk":
        mark.unlink()
    if how == "its loss accepted later":  # Once it has run, and a leaf of its own is the last one.
        network.start(HOUR + 45)
        network.control.kill()
    if how.startswith("its loss"):
        done = eectl("restore", "--accept-loss", str(database), "--size", str(size + 10))
        assert done.returncode == 0, done.stderr
    network.start(HOUR + 60)
    network.ask("/v1/usage/report", 201, account_id="alice", node_id="n1", app_name="shop", vcpu_hours="4",
                period=network.period, report_id="r1")
    network.settled("n1", "inconclusive")
    agent.kill()


def test_what_a_stop_finds_that_nobody_saw_is_an_outage(world):
    clock = ShiftedClock(world.path)
    control = world.control(**clock.settings)
    mark = world.path / "control-plane.db.alive"
    until(lambda: mark.exists() and mark.read_text(), what="it has marked itself alive")
    control.signal(signal.SIGSTOP)
    clock.set_ahead(HOUR)
    control.signal(signal.SIGTERM)
    control.signal(signal.SIGCONT)
    assert control.wait() == 0
    assert control.events("control.outage", cause="clock_step")
    assert int(mark.read_text().split()[0]) < (time.time() + HOUR / 2) * 1e6, "the mark would cover it"
