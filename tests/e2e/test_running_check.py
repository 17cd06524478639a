"""The check beside a running server: what it finds halts the ledger, and nothing else."""

import sqlite3
import subprocess

import pytest

from harness import until
from ledger_client import SETTINGS, Ledger, cell, unique, within
from wire_agent import text_answer

LEAVES = 100_000  # since the last good check: then there is another
CELLS = 31 * 24  # of one usage report, which appends a transfer and the usage of each
REPORTS = LEAVES // (2 * CELLS)  # hardly too few
FIND_SECONDS = 60


def start(world, **settings):
    return Ledger(world.control(EE_SETTLE_AUTO="false", **SETTINGS, **settings))


def ledger_with_past(world):
    """Its node has been there for as long as a usage report may reach back."""
    ledger = start(world, **within(cell(-CELLS - 1)))
    for account in ("alice", "bob"):
        ledger.open_account(account)
    ledger.register_node("n1")
    tokens = ledger.tokens
    ledger.control.terminate()
    world.hide_absence()
    ledger = start(world)
    ledger.tokens = tokens
    return ledger


def pay(ledger):
    return ledger.post("/v1/credits/transfer", {"from_account": "alice", "to_account": "bob", "amount_usd": "1"}, "alice")


def report(ledger):
    # Of an app of its own: the more locks there are for one, the longer it takes.
    usage = {"account_id": "alice", "node_id": "n1", "app_name": unique("app"), "vcpu_hours": "7.44", "period_start": f"{cell(-CELLS)}:00:00Z",
             "period_end": f"{cell()}:00:00Z"}
    assert ledger.ok("/v1/usage/report", usage, "uptime")["uncollected_usd"] == "0"


def another_balance(database):
    ((record,),) = database.execute("SELECT value FROM ledger_accounts WHERE key = ?", (b"bob",)).fetchall()
    had, has = (3_000_000).to_bytes(8, "big"), (9_000_000).to_bytes(8, "big")
    assert record[16:24] == had
    database.execute("UPDATE ledger_accounts SET value = ? WHERE key = ?", (record[:16] + has + record[24:], b"bob"))


def another_leaf(database):
    database.execute("DROP TRIGGER ledger_leaves_unchanged")  # As a disk does, which asks no trigger.
    ((first, leaves),) = [row for row in database.execute("SELECT first_leaf, leaves FROM ledger_leaves")
                          if b"invoice-7" in row[1]]
    database.execute("UPDATE ledger_leaves SET leaves = ? WHERE first_leaf = ?", (leaves.replace(b"invoice-7", b"invoice-8"), first))


@pytest.mark.parametrize("change, finding", [(another_balance, "balance_is_its_entries: bob has 9 USD available"),
                                             (another_leaf, "root: the checkpoint of ")])
def test_what_is_damaged_while_the_server_runs_halts_its_ledger_alone(world, change, finding):
    ledger = ledger_with_past(world)
    control = ledger.control
    world.agent(control, world.backend())
    ledger.ok("/v1/credits/purchase", {"account_id": "alice", "amount_usd": "1000", "payment_ref": "invoice-7"})
    for _ in range(3):
        assert pay(ledger).status == 201
    for _ in range(REPORTS):
        report(ledger)
    with sqlite3.connect(world.path / "control-plane.db", timeout=30) as database:
        change(database)
    database.close()
    # Nobody asks for what is damaged, and all goes on.
    assert ledger.ok("/readyz?verbose")["ledger"] == "ok" and not control.events("ledger.standstill")
    report(ledger)
    standstill = control.wait_event("ledger.standstill", FIND_SECONDS, code="ledger_halted")
    assert standstill["detail"].startswith(finding)

    head = ledger.ok("/v1/ledger/head", caller=None)
    for refused in (pay(ledger), ledger.post("/v1/accounts", {"account_id": "late"})):
        assert (refused.status, refused.reason) == (503, "ledger_halted") and refused.header("Retry-After")
    assert ledger.ok("/v1/ledger/head", caller=None) == head and head["tree_size"] > LEAVES
    # What is not damaged is answered and proven.
    assert ledger.ok("/v1/accounts/alice/entries?limit=1", caller="alice")["items"][0]["leaf_index"] < head["tree_size"]
    assert ledger.ok("/v1/nodes/n1")["open_units"] == (REPORTS + 1) * CELLS
    last = head["tree_size"] - 1
    assert ledger.ok(f"/v1/ledger/proof/inclusion?leaf_index={last}&tree_size={last + 1}", caller=None)["path"]
    assert ledger.ok(f"/v1/ledger/proof/consistency?first={LEAVES}&second={last + 1}", caller=None)["path"]
    assert control.visit("myapp", "/status/200").status == 200
    # And everybody who looks after it is told.
    assert control.get("/readyz").status == 200
    body = ledger.ok("/readyz?verbose")
    assert (body["status"], body["ledger"]) == ("ok", "halted")
    assert body["ledger_detail"] == f"ledger_halted: {standstill['detail']}"
    assert control.metric("ee_ledger_standstill", code="ledger_halted") == 1
    assert control.metric("ee_ledger_standstill", code="store_unavailable") == 0


def test_a_limit_of_file_sizes_is_a_disk_that_refuses_not_the_end(world):
    ledger = ledger_with_past(world)
    control = ledger.control
    agent = control.wire_agent().attest().serve(text_answer("served"))
    ledger.ok("/v1/credits/purchase", {"account_id": "alice", "amount_usd": "100", "payment_ref": "p1"})
    assert pay(ledger).status == 201
    database = world.path / "control-plane.db-wal"
    subprocess.run(["prlimit", "--pid", str(control.pid), f"--fsize={database.stat().st_size}"], check=True)
    until(lambda: pay(ledger).status == 503, 30, what="the ledger can't be written")
    assert (pay(ledger).status, pay(ledger).reason) == (503, "store_unavailable")
    assert control.visit("myapp", "/").text == "served"
    assert ledger.ok("/readyz?verbose")["ledger"] == "halted"
    assert not agent.closed
