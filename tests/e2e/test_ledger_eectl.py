"""eectl and the ledger of a real control plane: every endpoint as a command, and its file beside the server."""

import json
import pathlib
import re
import sqlite3
import subprocess

import pytest

from event_stream import EventStream
from harness import ADMIN_TOKEN
from ledger_client import SETTINGS, Ledger, cell, within
from ledger_endpoints import ENDPOINTS
from simulated_platform import binary

TABLE = pathlib.Path(__file__).resolve().parents[2] / "src/cli/ledger_api_table.cpp"


class Eectl:
    """eectl against one control plane, by one caller."""

    def __init__(self, ledger):
        self.ledger = ledger

    def run(self, *arguments, caller="admin", expect=0):
        """Its standard output; the test fails where it ends with another code."""
        token = self.ledger.tokens.get(caller, caller) or ""
        done = subprocess.run([binary("eectl"), *map(str, arguments)], capture_output=True, text=True, timeout=60,
                              env={"EECTL_URL": f"http://127.0.0.1:{self.ledger.control.port}", "EECTL_TOKEN": token})
        assert done.returncode == expect, (arguments, done)
        self.errors = done.stderr
        return done.stdout

    def json(self, *arguments, **more):
        return json.loads(self.run(*arguments, "--json", **more))

    def items(self, *arguments, **more):
        return self.json(*arguments, **more)["items"]


@pytest.fixture
def eectl(world):
    return Eectl(Ledger(world.control(EE_SETTLE_AUTO="false", **SETTINGS)))


def file_of(eectl):
    return eectl.ledger.control.world.path / "control-plane.db"


def start_again(eectl, **settings):
    tokens = eectl.ledger.tokens
    eectl.ledger.control.terminate()
    eectl.ledger.control.world.hide_absence()
    eectl.ledger = Ledger(eectl.ledger.control.world.control(EE_SETTLE_AUTO="false", **SETTINGS, **settings))
    eectl.ledger.tokens = tokens


def test_every_endpoint_has_a_command():
    commands = re.findall(r'"(GET|POST)",\s*"(/v1/[^"]*)"', TABLE.read_text())
    assert sorted(f"{method} {path}" for method, path in commands) == sorted(re.sub(r"\{\w+\}", "{}", e.name) for e in ENDPOINTS)


def settle_a_cell(eectl):
    """An account, a node, a lock, usage, and a cell that is settled as failed; the cell."""
    for name in ("alice", "bob"):
        eectl.ledger.tokens[name] = eectl.json("account", "open", name)["token"]
    assert eectl.json("credits", "purchase", "alice", "--amount-usd", "100.5", "--payment-ref", "p1")["available_usd"] == "100.5"
    registered = eectl.json("node", "register", "n1", "--capacity-vcpus", 8, "--price-usd-per-vcpu-hour", "0.05", "--stake-amount-usd", 10)
    eectl.ledger.tokens["n1"] = registered["node_token"]
    hour = cell(1)
    lock = eectl.json("lock", "take", "--account-id", "alice", "--node-id", "n1", "--period", hour, "--vcpu-hours", 4, caller="alice")
    assert lock["amount_usd"] == "0.2"
    start_again(eectl, **within(hour))
    used = eectl.json("usage", "report", "--account-id", "alice", "--node-id", "n1", "--period", hour, "--vcpu-hours", 4, caller="uptime")
    assert used["lock_id"] == lock["lock_id"]
    assert "period_open" in (eectl.run("settlement", "finalize", hour, expect=1) + eectl.errors)
    start_again(eectl, **within(cell(1, hour)))
    assert eectl.json("settlement", "finalize", hour, "--dry-run")["outcomes"][0]["outcome"] == "fail"
    (outcome,) = eectl.json("settlement", "finalize", hour)["outcomes"]
    assert outcome["reasons"] == ["no_evidence"]
    return hour


def test_accounts_and_credits(eectl):
    words = eectl.run("account", "open", "alice")
    eectl.ledger.tokens["alice"] = re.search(r"^token +(ee_[0-9a-f]{64})$", words, re.M)[1]
    eectl.run("account", "open", "bob")
    bought = eectl.run("credits", "purchase", "alice", "--amount-usd", "5")
    assert re.search(r"^available_usd +5$", bought, re.M) and "receipt" in bought and '"leaf"' not in bought
    passed_on = ("credits", "transfer", "--from-account", "alice", "--to-account", "bob", "--amount-usd", "2")
    first = eectl.json(*passed_on, "--memo", "für dich", "--idempotency-key", "k1", caller="alice")
    assert eectl.json(*passed_on, "--memo", "für dich", "--idempotency-key", "k1", caller="alice") == first
    assert eectl.json("account", "balance", "alice", caller="alice")["available_usd"] == "3"
    assert eectl.json("account", "balance", "alice", "--at", "2026-01-01T00:00:00Z")["available_usd"] == "0"
    assert [entry["kind"] for entry in eectl.items("account", "entries", "alice", caller="auditor")] == ["purchase", "transfer"]
    assert "für dich" in eectl.run("account", "entries", "bob")
    assert eectl.json("credits", "redeem", "bob", "--amount-usd", "2")["available_usd"] == "0"
    # The refusal is remembered under its key, so a retry is one with another.
    again = ("credits", "redeem", "bob", "--amount-usd", "2", "--idempotency-key", "k2")
    eectl.run(*again, expect=1)
    assert "insufficient_credit" in eectl.errors and "ask again with a new one" in eectl.errors
    eectl.run("credits", "purchase", "bob", "--amount-usd", "2")
    eectl.run(*again, expect=1)
    assert eectl.json("account", "balance", "bob")["available_usd"] == "2"
    eectl.ledger.tokens["alice"] = eectl.json("account", "token", "alice", caller="alice")["token"]
    eectl.run("account", "balance", "alice", caller="alice")
    eectl.run("account", "balance", "bob", caller="alice", expect=1)
    assert "forbidden" in eectl.errors
    eectl.run("account", "balance", "alice", caller=None, expect=1)
    assert "EECTL_TOKEN" in eectl.errors


def test_nodes_and_abuse(eectl):
    eectl.run("node", "register", "n1", "--capacity-vcpus", 8, "--price-usd-per-vcpu-hour", "0.05", "--stake-amount-usd", 10, "--stake-tier", "economy")
    assert eectl.json("node", "show", "n1")["stake_tier"] == "economy"
    assert "n1" in eectl.run("node", "list", caller="auditor").splitlines()[1]
    eectl.run("node", "event", "n1", "--event-id", "e1", "--type", "health_miss", "--from", "2026-01-09T13:00:00Z", "--to", "2026-01-09T13:01:00Z", caller="uptime")
    report = eectl.json("abuse", "file", "--node-id", "n1", "--reason", "spam", caller="launcher")["report_id"]
    assert [item["report_id"] for item in eectl.items("abuse", "list", "--status", "pending")] == [report]
    assert eectl.json("abuse", "decide", report, "--action", "deny")["status"] == "denied"
    assert eectl.run("abuse", "list", "--status", "pending") == "None.\n"
    eectl.run("node", "slash", "n1", "--cause", "other", "--event-ids", "e1", "--event-ids", "e2", "--amount-usd", 4, "--reason", "because")
    (slashing,) = eectl.items("node", "slashings", "--status", "done")
    assert (slashing["amount_usd"], slashing["event_ids"]) == ("4", ["e1", "e2"])
    assert eectl.json("node", "unstake", "n1")["returned_usd"] == "6"
    assert eectl.json("node", "ban", "n1", "--reason", "enough")["node"]["banned"] is True


def test_settlements_are_judged_again(eectl, tmp_path):
    hour = settle_a_cell(eectl)
    bundle = tmp_path / "settlements.json"
    bundle.write_text(eectl.run("settlement", "list", hour, "--json", caller="alice"))
    assert eectl.run("settlement", "recompute", bundle) == f"{hour} n1  fail [no_evidence]\n"
    for old, new in (('"outcome":"fail"', '"outcome":"pass"'), ('"held_standing":true', '"held_standing":false'), ('"amount_usd":"0.2"', '"amount_usd":"0.1"')):
        text = bundle.read_text()
        assert old in text
        (tmp_path / "forged.json").write_text(text.replace(old, new))
        assert "BUT" in eectl.run("settlement", "recompute", tmp_path / "forged.json", expect=1)
    eectl.run("settlement", "resolve", hour, "--node-id", "n1", "--outcome", "pass", "--reason", "seen", expect=1)
    assert "period_finalized" in eectl.errors
    assert re.search(r"  fail +no_evidence  ", eectl.run("settlement", "list", hour))
    (lock,) = [e for e in eectl.items("account", "entries", "alice") if e["kind"] == "lock"]
    assert eectl.json("lock", "show", lock["reference"])["state"] == "settled"
    eectl.run("lock", "release", lock["reference"], expect=1)
    assert "already_settled" in eectl.errors


def test_what_is_recorded_without_evidence_is_a_difference(eectl, tmp_path):
    hour = settle_a_cell(eectl)
    settled = eectl.ledger.ok(f"/v1/settlements/{hour}?node_id=n1")
    file = tmp_path / "settlement.json"

    def recompute(expect, receipt=True, **item):
        forged = {**settled, "items": [{**settled["items"][0], **item}]}
        file.write_text(json.dumps(forged if receipt else {"items": forged["items"]}))
        words = eectl.run("settlement", "recompute", file, expect=expect)
        (unit,) = eectl.json("settlement", "recompute", file, expect=expect)["units"]
        assert bool(unit["difference"]) == (expect == 1)
        return words

    assert recompute(0) == f"{hour} n1  fail [no_evidence]\n"
    for receipt in (True, False):
        said = recompute(1, receipt, outcome="pass", reasons=[], paid_usd="0.2", returned_usd="0", evidence=None)
        assert "BUT evidence_missing: recorded are pass [], 0.2 USD paid" in said
    assert "paid_usd" in recompute(1, False, transfers=[], transfers_complete=False, returned_usd="0", paid_usd="999")
    assert "NOT COMPARED: transfers but the 0 that are shown\n" in recompute(0, True, transfers=[], transfers_complete=False)
    assert "and their sums: 0 USD paid, 9 returned" in recompute(0, False, transfers=[], transfers_complete=False, returned_usd="9")


def test_what_strangers_wrote_controls_no_terminal(eectl, tmp_path):
    for name in ("alice", "bob"):
        eectl.ledger.open_account(name, "5")
    passed_on = ("credits", "transfer", "--from-account", "alice", "--to-account", "bob", "--amount-usd", "1")
    receipt = eectl.json(*passed_on, "--memo", "a\u009b2Jb\u202ec\u2066\u200f\u061c\x1b[2J", caller="alice")["receipt"]
    shown = "a?2Jb?c????[2J"
    assert shown in eectl.run("account", "entries", "bob", caller="bob")
    (tmp_path / "receipt.json").write_text(json.dumps(receipt))
    (tmp_path / "key").write_text(eectl.json("ledger", "head")["public_key"])
    assert shown in eectl.run("ledger", "verify", tmp_path / "receipt.json", "--key", tmp_path / "key")
    eectl.ledger.register_node("n1")
    eectl.run("abuse", "file", "--node-id", "n1", "--reason", "a\u009b2Jb\u202ec", caller="launcher")
    assert "a?2Jb?c" in eectl.run("abuse", "list")


def test_the_log_and_the_file_beside_the_server(eectl, tmp_path):
    settle_a_cell(eectl)
    size = eectl.json("ledger", "head", caller=None)["tree_size"]
    assert "log_id" in eectl.run("ledger", "head", caller=None)
    eectl.run("ledger", "inclusion", "--leaf-index", 0, "--tree-size", size, caller=None)
    assert eectl.json("ledger", "consistency", "--first", 1, caller=None)["second"] == size
    leaves = eectl.items("ledger", "entries", caller="auditor")
    assert len(leaves) == size and len(eectl.items("ledger", "entries", "--limit", 3)) == 3
    exported = [json.loads(line) for line in eectl.run("ledger", "export", file_of(eectl)).splitlines()]
    assert [(row["leaf_index"], row["leaf"]["kind"]) for row in exported] == [(leaf["leaf_index"], leaf["kind"]) for leaf in leaves]
    checked = eectl.json("ledger", "check", file_of(eectl))
    assert checked == {"good": True, "leaves": size, "accounts": 5, "held_locks": 0, "findings": []}
    checked = eectl.run("ledger", "check", file_of(eectl))
    checked = " ".join(checked.split())
    assert "balances, held locks and settlements with their evidence agree" in checked and "Other records were not compared" in checked
    copy = tmp_path / "copy.db"
    assert eectl.json("ledger", "backup", file_of(eectl), copy) == {"leaves": size}
    assert copy.stat().st_mode & 0o777 == 0o600
    # The server went on, and the copy is of then.
    eectl.run("account", "open", "later")
    assert eectl.json("ledger", "check", copy)["leaves"] == size and eectl.json("ledger", "check", file_of(eectl))["leaves"] == size + 1
    for path, code, why in ((tmp_path / "nowhere.db", 2, "No such file"), (TABLE, 2, "no database of SQLite")):
        for command in (("check", path), ("export", path), ("backup", path, tmp_path / "x.db")):
            eectl.run("ledger", *command, expect=code)
            assert why in eectl.errors
    eectl.ledger.control.terminate()
    assert eectl.json("ledger", "check", file_of(eectl))["good"] is True  # Nobody runs it now.


def damage(path, change):
    with sqlite3.connect(path) as database:
        change(database)
    database.close()


def more_for_bob(database):
    ((record,),) = database.execute("SELECT value FROM ledger_accounts WHERE key = ?", (b"bob",)).fetchall()
    dollar, more = (1000000).to_bytes(8, "big"), (2000000).to_bytes(8, "big")
    assert dollar in record
    database.execute("UPDATE ledger_accounts SET value = ? WHERE key = ?", (record.replace(dollar, more, 1), b"bob"))


def no_locks(database):
    database.execute("DELETE FROM ledger_locks")


def another_checkpoint(database):
    database.execute("DELETE FROM ledger_checkpoints WHERE number = (SELECT max(number) FROM ledger_checkpoints)")


def start_halted(eectl):
    tokens = eectl.ledger.tokens
    ledger = Ledger(eectl.ledger.control.world.control(EE_SETTLE_AUTO="false", **SETTINGS))
    ledger.tokens = tokens
    refused = ledger.post("/v1/accounts", {"account_id": "late"})
    assert (refused.status, refused.reason) == (503, "ledger_halted") and refused.header("Retry-After")
    body = ledger.ok("/readyz?verbose")
    assert (body["status"], body["ledger"]) == ("ok", "halted") and body["ledger_detail"].startswith("ledger_halted: ")
    assert ledger.control.get("/readyz").status == 200 and ledger.control.get("/health").json()["status"] == "ok"
    return ledger


def newest_leaf(database):
    database.execute("DROP TRIGGER ledger_leaves_unchanged")
    database.execute("UPDATE ledger_leaves SET leaves = zeroblob(length(leaves)) "
                     "WHERE first_leaf = (SELECT max(first_leaf) FROM ledger_leaves)")


@pytest.mark.parametrize("change", [more_for_bob, no_locks, another_checkpoint, newest_leaf])
def test_a_damaged_ledger_is_found_and_written_to_no_more(eectl, tmp_path, change):
    for name in ("alice", "bob"):
        eectl.ledger.open_account(name, "1")
    eectl.ledger.register_node("n1")
    eectl.ledger.ok("/v1/locks", {"account_id": "alice", "node_id": "n1", "period": cell(1), "amount_usd": "0.5"})
    eectl.ledger.control.terminate()
    damage(file_of(eectl), change)
    report = eectl.json("ledger", "check", file_of(eectl), expect=1)
    assert report["good"] is False and report["findings"]
    assert "NOT" in eectl.run("ledger", "check", file_of(eectl), expect=1)
    ledger = start_halted(eectl)
    assert ledger.ok("/v1/balances/alice", caller="alice")["locked_usd"] == "0.5", "what is not damaged is shown"
    assert ledger.ok("/v1/nodes/n1")["node_id"] == "n1" and ledger.ok("/v1/ledger/head")["checkpoint"]
    assert ledger.control.metric("ee_ledger_standstill", code="ledger_halted") == 1
    assert ledger.control.metric("ee_ledger_standstill", code="store_unavailable") == 0
    assert ledger.control.events("ledger.standstill", code="ledger_halted")
    with EventStream(ledger.control, after=0) as stream:
        stream.wait_for("ledger_standstill", code="ledger_halted")
    assert ADMIN_TOKEN not in json.dumps(ledger.control.log)


def test_a_bit_of_a_checkpoints_note_is_missed(eectl):
    for name in ("alice", "bob"):
        eectl.ledger.open_account(name, "1")
    eectl.ledger.control.terminate()
    first = "SELECT number, value FROM ledger_checkpoints ORDER BY number LIMIT 1"
    with sqlite3.connect(file_of(eectl)) as database:
        ((number, record),) = database.execute(first).fetchall()
    note = record.index(b"easyenclave/")
    root = record.index(b"\n", record.index(b"\n", note) + 1) + 1
    signature = record.index("\u2014 easyenclave/".encode()) + len("\u2014 easyenclave/".encode()) + 32 + 20
    for place in (note + len("easyenclave/"), root, signature):
        flipped = record[:place] + bytes([record[place] ^ 1]) + record[place + 1:]
        damage(file_of(eectl), lambda database: database.execute("UPDATE ledger_checkpoints SET value = ? WHERE number = ?", (flipped, number)))
        (finding,) = eectl.json("ledger", "check", file_of(eectl), expect=1)["findings"]
        assert finding.startswith("notes: the checkpoint of "), finding
    damage(file_of(eectl), lambda database: database.execute("UPDATE ledger_checkpoints SET value = ? WHERE number = ?", (record, number)))
    assert eectl.json("ledger", "check", file_of(eectl))["good"] is True


# What no check of the journal reads: the start itself does.
@pytest.mark.parametrize("table, key", [("meta", "identity"), ("meta", "verified"), ("meta", "grid"), ("meta", "head"), ("nodes", "n1")])
def test_a_record_that_is_cut_off_halts_the_ledger_of_a_start(eectl, table, key):
    eectl.ledger.register_node("n1")
    eectl.ledger.open_account("alice", "1")
    eectl.ledger.control.terminate()
    eectl.ledger.control.world.control(**SETTINGS).terminate()  # Now there is something that a start has found good.

    def cut(database):
        assert database.execute(f"UPDATE ledger_{table} SET value = substr(value, 1, 3) WHERE key = ?", (key.encode(),)).rowcount == 1

    damage(file_of(eectl), cut)
    assert start_halted(eectl).balance("alice") == ("1", "0")
