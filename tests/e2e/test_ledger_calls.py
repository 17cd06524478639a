"""The ledger over HTTP: the examples of its contract, and that what is sent twice is done once."""

import base64
import concurrent.futures
import hashlib
import json
import re
import signal
import threading

import pytest

from ledger_client import SETTINGS, Ledger, cell, unique, within
from ledger_endpoints import ENDPOINTS
from simulated_platform import eectl

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"


def start(world, **settings):
    return Ledger(world.control(**{"EE_SETTLE_AUTO": "false", **SETTINGS, **settings}))


def start_again(ledger, how=signal.SIGTERM, **settings):
    """The same ledger, by another process."""
    ledger.control.signal(how)
    ledger.control.wait(15)
    ledger.control.world.hide_absence()
    again = start(ledger.control.world, **settings)
    again.tokens = ledger.tokens
    return again


@pytest.fixture(scope="module")
def ledger(shared_world):
    made = start(shared_world)
    for account in ("alice", "bob", "spare"):
        made.open_account(account, "100")
    for node in ("n1", "n2", "victim"):
        made.register_node(node)
    return made


# ---- The examples of the contract --------------------------------------------------------------------------


def includes(answer, expected, status=201):
    assert answer.status == status, answer
    body = answer.json()
    assert {name: body.get(name) for name in expected} == expected
    return body


def check_receipt(body):
    receipt = body["receipt"]
    assert set(receipt) == {"leaf_index", "leaf", "salt", "path", "checkpoint", "log_key", "attested"}
    assert receipt["attested"] is False and len(base64.b64decode(receipt["salt"])) == 16


def test_from_purchase_to_settlement(world):
    ledger = start(world)
    opened = ledger.post("/v1/accounts", '{"account_id":"alice"}')
    ledger.tokens["alice"] = opened.json()["token"]
    assert re.fullmatch(r"ee_[0-9a-f]{64}", opened.json()["token"])
    assert opened.json() == {"account_id": "alice", "available_usd": "0", "locked_usd": "0", "token": ledger.tokens["alice"]}
    bought = ledger.post("/v1/credits/purchase", '{"account_id":"alice","amount_usd":"100.5"}')
    check_receipt(includes(bought, {"account_id": "alice", "available_usd": "100.5", "locked_usd": "0"}))
    ledger.open_account("bob")
    passed_on = ledger.post("/v1/credits/transfer", '{"from_account":"alice","to_account":"bob","amount_usd":"0.5"}', "alice")
    check_receipt(includes(passed_on, {"available_usd": "100"}))
    registered = includes(ledger.post(
        "/v1/nodes/register", '{"node_id":"n1","capacity_vcpus":8,"price_usd_per_vcpu_hour":"0.05","stake_tier":"standard","stake_amount_usd":"10"}'), {})
    ledger.tokens["n1"] = registered["node_token"]
    assert re.fullmatch(r"ee_[0-9a-f]{64}", ledger.tokens["n1"])
    expected = {"node_id": "n1", "capacity_vcpus": 8, "price_usd_per_vcpu_hour": "0.05", "stake_tier": "standard", "stake_amount_usd": "10",
                "banned": False, "owner_account": None, "available_usd": "0", "open_units": 0}
    assert {name: registered["node"][name] for name in expected} == expected
    hour = cell(1)
    lock = {"account_id": "alice", "node_id": "n1", "period": hour, "vcpu_hours": "4"}
    held = includes(ledger.post("/v1/locks", lock, "alice"), {"amount_usd": "0.2", "state": "held", "period": hour})
    check_receipt(held)
    balance = includes(ledger.get("/v1/balances/alice", "alice"), {"account_id": "alice", "available_usd": "99.8", "locked_usd": "0.2",
                                                                   "total_usd": "100"}, 200)
    assert balance["as_of_seq"] == ledger.ok("/v1/ledger/head")["tree_size"]
    ledger = start_again(ledger, **within(hour))
    usage = {"account_id": "alice", "node_id": "n1", "vcpu_hours": "4", "period": hour, "report_id": "r1"}
    check_receipt(includes(ledger.post("/v1/usage/report", usage, "uptime"), {"lock_id": held["lock_id"], "amount_usd": "0.2", "uncollected_usd": "0"}))
    assert ledger.post(f"/v1/settlements/{hour}/finalize", "{}").reason == "period_open"
    ledger = start_again(ledger, **within(cell(1, hour)))
    proposed = ledger.ok(f"/v1/settlements/{hour}/finalize?dry_run=true", {})
    assert "receipt" not in proposed and ledger.ok(f"/v1/locks/{held['lock_id']}")["state"] == "held"
    settled = includes(ledger.post(f"/v1/settlements/{hour}/finalize", "{}"), {"period": hour, "complete": True}, 200)
    check_receipt(settled)
    (outcome,) = settled["outcomes"]
    # Nobody was attested on the node: all goes back.
    expected = {"cell": hour, "node_id": "n1", "app_name": None, "outcome": "fail", "reasons": ["no_evidence"], "paid_usd": "0", "returned_usd": "0.2"}
    assert {name: outcome[name] for name in expected} == expected
    assert {k: v for k, v in proposed["outcomes"][0].items() if k not in ("settled_at", "evidence_sha256")} == {
        k: v for k, v in outcome.items() if k not in ("settled_at", "evidence_sha256")}
    listed = ledger.ok(f"/v1/settlements/{hour}")
    check_receipt(listed)
    evidence = re.search(r'"evidence":(\{.*?\}),"transfers":', ledger.get(f"/v1/settlements/{hour}").text)[1]
    assert hashlib.sha256(evidence.encode()).hexdigest() == outcome["evidence_sha256"]
    assert ledger.balance("alice") == ("100", "0")
    assert ledger.ok(f"/v1/locks/{held['lock_id']}")["state"] == "settled"
    (transfer,) = listed["items"][0]["transfers"]
    assert (transfer["lock_id"], transfer["account_id"], transfer["drawn_usd"], transfer["returned_usd"]) == (held["lock_id"], "alice", "0.2", "0.2")
    for caller, count in (("alice", 1), ("bob", 0), ("n1", 1), ("auditor", 1)):
        assert len(ledger.ok(f"/v1/settlements/{hour}", caller=caller)["items"]) == count, caller
    again = ledger.post(f"/v1/settlements/{hour}/finalize", "{}").json()
    assert again["outcomes"] == settled["outcomes"]
    assert ledger.post(f"/v1/settlements/{hour}/finalize", {"node_id": "n9"}).reason == "unknown_node"


def test_what_a_node_announces_is_shown_before_it_is_in_force(world):
    hour = cell(1)
    ledger = start(world, **within(hour))
    ledger.register_node("n1", capacity_vcpus=8)
    assert ledger.ok("/v1/nodes/n1")["next_terms"] is None
    answered = ledger.ok("/v1/nodes/register", {"node_id": "n1", "price_usd_per_vcpu_hour": "0.07", "capacity_vcpus": 6}, "n1")["node"]
    assert (answered["capacity_vcpus"], answered["price_usd_per_vcpu_hour"]) == (8, "0.05")
    assert answered["next_terms"] == {"effective_at": f"{cell(1, hour)}:00:00Z", "capacity_vcpus": 6,
                                      "price_usd_per_vcpu_hour": "0.07", "stake_tier": answered["stake_tier"]}
    assert ledger.ok("/v1/nodes/n1", caller="n1")["next_terms"] == answered["next_terms"]
    ledger = start_again(ledger, **within(cell(1, hour)))
    shown = ledger.ok("/v1/nodes/n1")
    assert (shown["capacity_vcpus"], shown["price_usd_per_vcpu_hour"], shown["next_terms"]) == (6, "0.07", None)


def test_an_account_sees_of_a_settlement_what_is_its_own(world):
    hour = cell(2)
    ledger = start(world, **within(cell(1)))
    ledger.register_node("n1")
    for account in ("alice", "bob", "carol"):
        ledger.open_account(account, "100")
    lock = {"node_id": "n1", "period": hour}
    ledger.ok("/v1/locks", {**lock, "account_id": "alice", "vcpu_hours": "4"}, "alice")
    ledger.ok("/v1/locks", {**lock, "account_id": "bob", "vcpu_hours": "2"}, "bob")
    ledger.ok("/v1/locks", {**lock, "account_id": "bob", "vcpu_hours": "1", "app_name": "his"}, "bob")
    # Who gave it back has no part.
    taken = ledger.ok("/v1/locks", {**lock, "account_id": "carol", "vcpu_hours": "1"}, "carol")
    ledger.ok(f"/v1/locks/{taken['lock_id']}/release", {}, "carol")
    ledger = start_again(ledger, **within(cell(1, hour)))
    ledger.ok(f"/v1/settlements/{hour}/finalize", {})
    path = f"/v1/settlements/{hour}?app_name="

    def seen(caller, app=""):
        listed = ledger.ok(path + app, caller=caller)
        return [(item["returned_usd"], [t["account_id"] for t in item["transfers"]]) for item in listed["items"]], "receipt" in listed
    assert seen("auditor") == ([("0.3", ["alice", "bob"])], True)
    assert seen("n1") == ([("0.3", ["alice", "bob"])], True)
    # The settlement's leaf says what all of them got.
    assert seen("alice") == ([("0.2", ["alice"])], False)
    assert seen("bob") == ([("0.1", ["bob"])], False)
    assert seen("bob", "his") == ([("0.05", ["bob"])], True)
    assert seen("carol") == ([], False) and seen("alice", "his") == ([], False)
    assert "bob" not in ledger.get(path, "alice").text


def test_the_audit_says_who_did_what_from_where(world):
    ledger = start(world)
    ledger.register_node("n1")
    for account in ("alice", "bob"):
        ledger.open_account(account, "10")
    transfer = {"from_account": "alice", "to_account": "bob", "amount_usd": "1"}
    key = unique("key")
    moved = ledger.post("/v1/credits/transfer", transfer, "alice", key, X_Request_Id="request-of-alice")
    ledger.post("/v1/credits/transfer", transfer, "alice", key)  # The first answer again is no call.
    ledger.post("/v1/credits/transfer", {**transfer, "amount_usd": "100"}, "alice")  # Nor is a refusal.
    ledger.ok("/v1/nodes/n1/ban", {"reason": "because"})
    listed = ledger.ok("/v1/audit", caller="auditor")
    ban, transferred, *others = listed["items"]
    assert (ban["principal"], ban["method"], ban["route"], ban["resource"]) == ("admin", "POST", "/v1/nodes/{node}/ban", "n1")
    assert (transferred["principal"], transferred["resource"], transferred["request_id"]) == ("account:alice", None, "request-of-alice")
    assert transferred["leaf_index"] == moved.json()["receipt"]["leaf_index"]
    assert [call["route"] for call in others] == ["/v1/credits/purchase", "/v1/accounts"] * 2 + ["/v1/nodes/register"]
    # Who is from the same address can be told, which it is cannot.
    assert len({call["address_salted"] for call in listed["items"]}) == 1
    assert hashlib.sha256(b"127.0.0.1").hexdigest() != ban["address_salted"]
    assert [call["leaf_index"] for call in listed["items"]] == sorted((call["leaf_index"] for call in listed["items"]), reverse=True)
    (refused,) = [row for row in listed["refusals"] if row["code"] == "insufficient_credit"]
    assert (refused["route"], refused["network"], refused["count"]) == ("/v1/credits/transfer", "127.0.0.0/24", 1)
    # In pieces; the counts are with the first.
    first = ledger.ok("/v1/audit?limit=3")
    second = ledger.ok(f"/v1/audit?limit=500&cursor={first['next_cursor']}")
    assert first["items"] + second["items"] == listed["items"] and second["next_cursor"] is None and second["refusals"] == []
    assert ledger.get("/v1/audit", "alice").status == ledger.get("/v1/audit", "n1").status == 403
    # It outlives the process; the counts do not.
    again = start_again(ledger).ok("/v1/audit")
    assert again["items"] == listed["items"] and again["refusals"] == []


def test_abuse_and_what_follows(world):
    ledger = start(world)
    ledger.register_node("n1")
    filed = includes(ledger.post("/v1/abuse/reports", {"node_id": "n1", "reason": "spam", "period": cell()}, "launcher"), {"status": "pending"})
    path = f"/v1/abuse/reports/{filed['report_id']}/authorize"
    assert [item["report_id"] for item in ledger.ok("/v1/abuse/reports?status=pending")["items"]] == [filed["report_id"]]
    decided = includes(ledger.post(path, {"action": "authorize", "authorized_by": "carol"}), {"status": "authorized", "decided_by": "carol"}, 200)
    check_receipt(decided)
    assert ledger.post(path, {"action": "deny"}).reason == "already_decided"
    event = {"event_id": "e1", "type": "downtime_migration", "from": "2026-01-09T13:00:00Z", "to": "2026-01-09T13:30:00Z"}
    includes(ledger.post("/v1/nodes/n1/events", event, "uptime"), {"node_id": "n1", "event_id": "e1"})
    assert ledger.post("/v1/nodes/n1/events", event, "uptime").header("Idempotency-Replayed") == "true"
    assert ledger.post("/v1/nodes/n1/events", {**event, "type": "health_miss"}, "uptime").reason == "event_conflict"
    for day in "2019-12-30", "2199-01-01":
        never = {**event, "event_id": "e2", "from": f"{day}T13:00:00Z", "to": f"{day}T13:30:00Z"}
        refused = ledger.post("/v1/nodes/n1/events", never, "uptime")
        assert (refused.status, refused.reason) == (422, "invalid_field:to")
    slashed = includes(ledger.post("/v1/nodes/n1/slash", {"cause": "other", "amount_usd": "4", "event_ids": ["e1"], "reason": "because"}),
                       {"amount_usd": "4", "status": "done", "cause": "other"})
    assert ledger.post("/v1/nodes/n1/slash", {"cause": "other", "amount_usd": "4", "event_ids": ["e1"], "reason": "because"}).reason == "already_slashed"
    assert [item["slashing_id"] for item in ledger.ok("/v1/slashings?status=done")["items"]] == [slashed["slashing_id"]]
    assert ledger.balance("stake:n1") == ("6", "0") and ledger.balance("@slashed") == ("4", "0")
    assert ledger.post("/v1/nodes/n1/unstake", {}).json()["returned_usd"] == "6"
    assert ledger.post("/v1/nodes/n1/unstake", {}).reason == "no_stake"
    assert includes(ledger.post("/v1/nodes/n1/ban", {"reason": "enough"}), {}, 200)["node"]["ban_reason"] == "enough"
    ledger.open_account("alice", "1")
    refused = ledger.post("/v1/locks", {"account_id": "alice", "node_id": "n1", "period": cell(1), "vcpu_hours": "4"})
    assert (refused.status, refused.reason) == (409, "node_banned")


def test_the_log_proves_itself(ledger):
    head = ledger.ok("/v1/ledger/head", caller=None)
    assert re.fullmatch("[0-9a-f]{64}", head["root_hash"]) and re.fullmatch(TIME, head["timestamp"]) and head["attested"] is False
    assert head["checkpoint"].splitlines()[:2] == [f"easyenclave/{head['log_id']}", str(head["tree_size"])]
    size = head["tree_size"]
    proof = ledger.ok(f"/v1/ledger/proof/inclusion?leaf_index=0&tree_size={size}", caller=None)
    assert (proof["leaf_index"], proof["tree_size"]) == (0, size) and proof["path"]
    assert ledger.ok(f"/v1/ledger/proof/consistency?first=1&second={size}", caller=None)["path"]
    for query in (f"inclusion?leaf_index={size}&tree_size={size}", f"inclusion?leaf_index=0&tree_size={size + 1000000}", "inclusion?leaf_index=0&tree_size=0",
                  f"consistency?first={size + 1000000}", f"consistency?first=2&second={size + 1000000}", "consistency?first=2&second=1",
                  f"inclusion?leaf_index={2**64 - 1}", f"consistency?first=1&second={2**64 - 1}"):
        refused = ledger.get(f"/v1/ledger/proof/{query}", None)
        assert (refused.status, refused.reason) == (400, "log_range"), query
    for query in ("inclusion", "consistency"):
        assert ledger.get(f"/v1/ledger/proof/{query}", None).status == 400


# ---- Once --------------------------------------------------------------------------------------------------

POSTS = [endpoint for endpoint in ENDPOINTS if endpoint.body]
# Those of what only a settlement or a challenge makes.
NOTHING_THERE = {"/v1/settlements/{period}/resolve": "unknown_settlement", "/v1/slashings/{id}/dismiss": "unknown_slashing"}


def send(ledger, endpoint, path, body, key, caller=None):
    caller = caller or next(role for role in ("admin", "launcher", "uptime") if role in endpoint.roles)
    return ledger.post(path, body, caller, key)


def check_replay(first, again, secret):
    expected = first.body
    if secret and secret in first.json():
        expected = first.body.replace(f'"{secret}":"{first.json()[secret]}"'.encode(), f'"{secret}":null,"secret_omitted":true'.encode())
    assert (again.status, again.body) == (first.status, expected)
    assert first.header("Idempotency-Replayed") is None
    assert again.header("Idempotency-Replayed") == "true"


@pytest.mark.parametrize("endpoint", POSTS, ids=lambda endpoint: endpoint.path.replace("/", "_"))
def test_a_request_with_its_key_is_done_once(ledger, endpoint):
    path, body, key = endpoint.at(ledger), json.dumps(endpoint.body(ledger)), unique("once")
    if endpoint.path in NOTHING_THERE:
        assert send(ledger, endpoint, path, body, key).reason == NOTHING_THERE[endpoint.path]
        return
    first, size = send(ledger, endpoint, path, body, key), ledger.ok("/v1/ledger/head")["tree_size"]
    for _ in range(2):
        check_replay(first, send(ledger, endpoint, path, body, key), endpoint.secret)
    assert ledger.ok("/v1/ledger/head")["tree_size"] == size
    others = [(path, body + " "), (path, body.replace("{", "{ ", 1))] + [("/v1/credits/redeem", body)] * path.endswith("/purchase")
    for other_path, other_body in others:
        refused = send(ledger, endpoint, other_path, other_body, key)
        assert (refused.status, refused.reason) == (422, "idempotency_key_reused"), (other_path, refused)


def test_a_new_node_and_its_token_are_made_once(ledger):
    node, key = unique("node"), unique("once")
    body = json.dumps({"node_id": node, "capacity_vcpus": 8})
    first = ledger.post("/v1/nodes/register", body, key=key)
    check_replay(first, ledger.post("/v1/nodes/register", body, key=key), "node_token")
    ledger.tokens[node] = first.json()["node_token"]
    assert ledger.get(f"/v1/nodes/{node}", node).status == 200
    rotated = ledger.ok("/v1/nodes/register", {"node_id": node, "rotate_token": True}, node)["node_token"]
    assert ledger.get(f"/v1/nodes/{node}", node).status == 401
    assert ledger.get(f"/v1/nodes/{node}", rotated).status == 200


def test_a_nodes_stake_is_set_by_who_pays_for_it(ledger):
    owner, node = ledger.open_account(unique("owner"), "20"), unique("owned")
    ledger.register_node(node, stake="0")
    asked = {"node_id": node, "owner_account": owner, "stake_amount_usd": "8"}
    for token in ({}, {"X_EE_Owner_Token": "ee_" + "0" * 64}, {"X_EE_Owner_Token": ledger.tokens["bob"]}, {"X_EE_Owner_Token": ledger.tokens[node]}):
        refused = ledger.post("/v1/nodes/register", asked, node, **token)
        assert (refused.status, refused.reason) == (403, "forbidden"), token
    paid = ledger.ok("/v1/nodes/register", asked, node, X_EE_Owner_Token=ledger.tokens[owner])
    assert (paid["node"]["stake_amount_usd"], paid["node"]["owner_account"]) == ("8", owner)
    assert ledger.balance(owner) == ("12", "0") and ledger.balance(f"stake:{node}", node) == ("8", "0")
    assert ledger.post("/v1/nodes/register", {**asked, "stake_amount_usd": "21"}, node, X_EE_Owner_Token=ledger.tokens[owner]).reason == "insufficient_credit"
    ledger.ok("/v1/nodes/register", {"node_id": node, "stake_amount_usd": "0"}, node, X_EE_Owner_Token=ledger.tokens[owner])
    assert ledger.balance(owner) == ("20", "0")
    # Its own offer it changes alone, and downwards where others count on it.
    assert ledger.ok("/v1/nodes/register", {"node_id": node, "capacity_vcpus": 4, "price_usd": 1}, node)
    assert ledger.post("/v1/nodes/register", {"node_id": node, "capacity_vcpus": 9}, node).reason == "forbidden"
    assert ledger.post("/v1/nodes/register", {"node_id": "n1", "capacity_vcpus": 4}, node).reason == "forbidden"


def test_a_key_belongs_to_a_principal(ledger):
    key, body = unique("shared"), {"from_account": "alice", "to_account": "bob", "amount_usd": "0.01"}
    first = ledger.post("/v1/credits/transfer", body, "alice", key)
    assert ledger.post("/v1/credits/transfer", body, "admin", key).json()["transfer_id"] != first.json()["transfer_id"]
    back = {"from_account": "bob", "to_account": "alice", "amount_usd": "0.01"}
    assert ledger.post("/v1/credits/transfer", back, "bob", key).status == 201
    # And outlives its token.
    ledger.tokens["alice"] = ledger.ok("/v1/accounts/alice/token", {}, "alice")["token"]
    check_replay(first, ledger.post("/v1/credits/transfer", body, "alice", key), None)


def test_what_the_ledger_refused_is_remembered_and_what_came_before_is_not(ledger):
    poor, key = ledger.open_account(unique("poor")), unique("key")
    body = {"from_account": poor, "to_account": "bob", "amount_usd": "1"}
    first = ledger.post("/v1/credits/transfer", body, poor, key)
    assert (first.status, first.reason) == (409, "insufficient_credit")
    ledger.ok("/v1/credits/purchase", {"account_id": poor, "amount_usd": "5"})
    check_replay(first, ledger.post("/v1/credits/transfer", body, poor, key), None)
    assert ledger.balance(poor) == ("5", "0")
    for bad, reason in (({**body, "amount_usd": "0"}, "invalid_amount"), ({**body, "to_account": "nobody"}, "unknown_account"),
                        ({**body, "from_account": "alice"}, "forbidden"), ({**body, "x": 1}, "unknown_field:x")):
        key = unique("key")
        assert ledger.post("/v1/credits/transfer", bad, poor, key).reason == reason
        assert ledger.post("/v1/credits/transfer", body, poor, key).status == 201, reason


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_key_outlives_the_process(world, how):
    ledger = start(world)
    for account in ("alice", "bob", "spare"):
        ledger.open_account(account, "100")
    for node in ("n1", "n2", "victim"):
        ledger.register_node(node)
    sent = []
    for endpoint in POSTS:
        if endpoint.path not in NOTHING_THERE:
            path, body, key = endpoint.at(ledger), json.dumps(endpoint.body(ledger)), unique("once")
            sent.append((endpoint, path, body, key, send(ledger, endpoint, path, body, key)))
    size = ledger.ok("/v1/ledger/head")["tree_size"]
    ledger = start_again(ledger, how)
    for endpoint, path, body, key, first in sent:
        assert first.status < 300, (endpoint.name, first)
        check_replay(first, send(ledger, endpoint, path, body, key), endpoint.secret)
    assert ledger.ok("/v1/ledger/head")["tree_size"] == size + 1  # The key of the new start.


def test_one_key_sent_by_many_at_once_is_done_once(ledger):
    account, key = ledger.open_account(unique("many")), unique("at-once")
    body = {"account_id": account, "amount_usd": "1"}
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: ledger.post("/v1/credits/purchase", body, key=key), range(32)))
    in_flight = [answer for answer in answers if answer.status != 201]
    assert {answer.reason for answer in in_flight} <= {"idempotency_in_flight"}
    assert all(answer.status == 409 and answer.header("Retry-After") for answer in in_flight)
    answers = [answer for answer in answers if answer.status == 201] + [ledger.post("/v1/credits/purchase", body, key=key)]
    assert len({answer.body for answer in answers}) == 1
    assert [answer.header("Idempotency-Replayed") for answer in answers].count(None) == 1
    assert ledger.balance(account) == ("1", "0")


def test_locks_that_many_take_at_once_come_to_what_there_is_and_no_more(ledger):
    # K1: 16 callers with 4 locks each, and a balance for 31 of the 64.
    account, node = ledger.open_account(unique("locker"), "31.9"), ledger.register_node(unique("locked"))
    lock = {"account_id": account, "node_id": node, "period": cell(1), "amount_usd": "1"}
    together = threading.Barrier(16)

    def take_four(_):
        together.wait(10)
        return [ledger.post("/v1/locks", lock, account) for _ in range(4)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = [answer for four in pool.map(take_four, range(16)) for answer in four]
    assert sorted(answer.status for answer in answers) == [201] * 31 + [409] * 33
    assert {answer.reason for answer in answers if answer.status == 409} == {"insufficient_credit"}
    assert len({answer.json()["lock_id"] for answer in answers if answer.status == 201}) == 31
    assert ledger.balance(account) == ("0.9", "31")
    checked = json.loads(eectl("ledger", "check", ledger.control.world.path / "control-plane.db", "--json").stdout)
    assert checked["good"] is True, checked


def test_a_payment_and_a_report_have_names_of_their_own(ledger):
    account, ref = ledger.open_account(unique("payer")), unique("ref")
    body = {"account_id": account, "amount_usd": "2", "payment_ref": ref}
    first = ledger.post("/v1/credits/purchase", body, key=None)
    check_replay(first, ledger.post("/v1/credits/purchase", body, key=None), None)
    assert ledger.post("/v1/credits/purchase", {**body, "amount_usd": "3"}, key=None).reason == "payment_ref_used"
    assert ledger.post("/v1/credits/redeem", body, key=None).json()["available_usd"] == "0"  # Another name space.
    report = {"account_id": "alice", "node_id": "n1", "period": cell(), "vcpu_hours": "0.1", "report_id": unique("report")}
    first = ledger.post("/v1/usage/report", report, "uptime", None)
    check_replay(first, ledger.post("/v1/usage/report", report, "uptime", None), None)
    assert ledger.post("/v1/usage/report", {**report, "vcpu_hours": "0.2"}, "uptime", None).reason == "report_conflict"


# ---- Spellings ---------------------------------------------------------------------------------------------


def test_amounts_are_decimals_however_they_are_sent(ledger):
    account = ledger.open_account(unique("decimal"))
    total = 0
    for text, micro in (("0.1", 100000), ('"0.2"', 200000), ("0.000001", 1), ("100.10", 100100000), ('"0.300000"', 300000), ("7", 7000000),
                        ("0.1", 100000), ("123456789.123456", 123456789123456)):
        for name in ("amount_usd", "amount"):
            answer = ledger.post("/v1/credits/purchase", f'{{"account_id":"{account}","{name}":{text}}}')
            assert answer.status == 201, (text, answer)
            total += micro
            whole, rest = divmod(total, 1000000)
            assert answer.json()["available_usd"] == f"{whole}.{rest:06d}".rstrip("0").rstrip("."), text
    refused = ledger.post("/v1/credits/purchase", f'{{"account_id":"{account}","amount":1e2}}')
    assert (refused.status, refused.reason) == (422, "invalid_amount")
    refused = ledger.post("/v1/credits/purchase", f'{{"account_id":"{account}","amount":1,"amount_usd":1}}')
    assert refused.reason == "invalid_field:amount"


def test_older_names_of_fields_are_taken(ledger):
    node = unique("old")
    registered = ledger.ok("/v1/nodes/register", {"node_id": node, "capacity_vcpus": 8, "price_usd": 0.07})
    assert registered["node"]["price_usd_per_vcpu_hour"] == "0.07"
    hour = cell(1)
    end = cell(1, hour)
    lock = {"account_id": "alice", "node_id": node, "period_start": f"{hour}:00:00Z", "period_end": f"{end}:00:00Z", "amount": "0.5"}
    assert ledger.ok("/v1/locks", lock)["period"] == hour
    for bad in ({"period": hour}, {"period_start": None}, {"period_end": None}, {"period_start": f"{hour}:00"}, {"period_end": f"{hour}:00:00Z"}):
        refused = ledger.post("/v1/locks", {**lock, **bad})
        assert (refused.status, refused.reason) in ((422, "invalid_field:period"), (422, "invalid_period")), bad
    usage = {"account_id": "alice", "node_id": node, "period_start": f"{cell(-1, hour)}:00:00Z", "period_end": f"{hour}:00:00Z", "vcpu_hours": 0.5}
    assert ledger.ok("/v1/usage/report", usage)["amount_usd"] == "0.035"


# ---- Lists -------------------------------------------------------------------------------------------------


def pages(ledger, path, limit, caller="admin"):
    items, cursor, count = [], None, 0
    while True:
        query = f"limit={limit}" + (f"&cursor={cursor.replace('+', '%2B').replace('=', '%3D').replace('/', '%2F')}" if cursor else "")
        body = ledger.ok(f"{path}{'&' if '?' in path else '?'}{query}", caller=caller)
        assert len(body["items"]) <= limit
        items, cursor, count = items + body["items"], body["next_cursor"], count + 1
        if cursor is None:
            return items, count


def test_lists_come_in_pages_that_lose_and_repeat_nothing(ledger):
    for _ in range(5):
        ledger.ok("/v1/credits/transfer", {"from_account": "alice", "to_account": "bob", "amount_usd": "0.01"})
        ledger.ok("/v1/abuse/reports", {"node_id": "n1", "reason": "spam"}, "launcher")
        ledger.ok("/v1/nodes/victim/slash", {"cause": "other", "amount_usd": "0.01", "event_ids": [unique("event")], "reason": "because"})
        ledger.register_node(unique("listed"))
    for path, caller in (("/v1/accounts/bob/entries", "bob"), ("/v1/nodes", "auditor"), ("/v1/abuse/reports", "admin"), ("/v1/slashings?status=done", "auditor"),
                         ("/v1/ledger/entries", "auditor"), (f"/v1/settlements/{cell(1)}", "auditor")):
        whole, _ = pages(ledger, path, 500, caller)
        assert whole
        for limit in (1, 2, 3, len(whole)):
            items, count = pages(ledger, path, limit, caller)
            assert items == whole, (path, limit)
            assert count == max(1, -(-len(whole) // limit)), (path, limit)


def test_a_cursor_shows_nothing_that_its_caller_may_not_see(ledger):
    mine = pages(ledger, "/v1/accounts/bob/entries", 500, "bob")[0]
    leaves = {item["leaf_index"] for item in mine}
    foreign = [ledger.ok("/v1/accounts/alice/entries?limit=1")["next_cursor"], ledger.ok("/v1/ledger/entries?limit=1")["next_cursor"],
               ledger.ok("/v1/nodes?limit=1")["next_cursor"]]
    forged = [base64.b64encode(data).decode() for data in (b"", b"\0", b"\0" * 8, b"\0" * 16, b"\xff" * 8, b"\xff" * 200, b"bob", bytes(range(256)))]
    for cursor in foreign + forged:
        quoted = cursor.replace("+", "%2B").replace("=", "%3D").replace("/", "%2F")
        body = ledger.ok(f"/v1/accounts/bob/entries?cursor={quoted}", caller="bob")
        assert {item["leaf_index"] for item in body["items"]} <= leaves, cursor
        for path in ("/v1/nodes", "/v1/abuse/reports", "/v1/slashings", "/v1/ledger/entries", f"/v1/settlements/{cell(1)}"):
            assert ledger.get(f"{path}?cursor={quoted}").status == 200, (path, cursor)
    for item in ledger.ok(f"/v1/settlements/{cell(1)}?cursor=AAAA", caller="n2")["items"]:
        assert item["node_id"] == "n2"


def test_a_balance_at_a_time_is_that_after_the_last_entry_until_then(ledger):
    account = ledger.open_account(unique("past"))
    for amount in ("1", "2.5", "0.25"):
        ledger.ok("/v1/credits/purchase", {"account_id": account, "amount_usd": amount})
    ledger.ok("/v1/credits/redeem", {"account_id": account, "amount_usd": "3"})
    entries = pages(ledger, f"/v1/accounts/{account}/entries", 500)[0]
    assert [entry["available_usd"] for entry in entries] == ["1", "3.5", "3.75", "0.75"]
    for entry in entries:
        body = ledger.ok(f"/v1/balances/{account}?at={entry['time']}", caller=account)
        # Several may be of one commit, and then of one time.
        last = [e for e in entries if e["time"] <= entry["time"]][-1]
        assert (body["available_usd"], body["as_of_seq"]) == (last["available_usd"], last["leaf_index"])
    before = ledger.ok(f"/v1/balances/{account}?at=2026-01-01T00:00:00Z")
    assert (before["available_usd"], before["locked_usd"], before["total_usd"]) == ("0", "0", "0")
    after = ledger.ok(f"/v1/balances/{account}?at=2199-01-01T00:00:00.999999Z")
    assert after["available_usd"] == "0.75"
