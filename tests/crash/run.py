#!/usr/bin/python3
"""kill -9 of the real control plane, at any moment under load, again and again. After each: nothing that was
acknowledged is lost, nothing is done twice, a retried key gets its first answer to the byte, balances are those of the
callers' own books, the log goes on from where it was, and the start's checks pass; at the end the full check does.

    tests/crash/run.py [--kills 200] [--seed N] [--callers 6]
    tests/crash/run.py --self-test      takes the write-ahead log away after each kill: that must be noticed

    EE_BIN_DIR   folder of the programs (default: build/release/bin)

The seed makes the same requests and pauses again; where a kill falls is the machine's."""

import argparse
import base64
import pathlib
import random
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e"), str(HERE.parent / "ledger")]

import verify_receipt  # noqa: E402
from client import ACCOUNTS, NODES, Books, Caller, Connection, Operation, head_of, micros  # noqa: E402
from programs import Program  # noqa: E402
from simulated_platform import BIN_DIR  # noqa: E402

ADMIN_TOKEN = "admin-token-of-the-crash-test"
START_SECONDS = 60
REPLAYS_EACH = 25
LOAD_SECONDS = (0.01, 0.4)


class Ledger:
    """The control plane's process, started again and again on one file."""

    def __init__(self, folder):
        self.database = folder / "control-plane.db"
        self.settings = {
            "EE_CONTROL_BIND": "127.0.0.1", "EE_CONTROL_PORT": 0, "EE_PROXY_BIND": "127.0.0.1", "EE_PROXY_PORT": 0,
            "EE_ADMIN_TOKEN": ADMIN_TOKEN, "EE_GITHUB_API_URL": "none", "EE_COLLATERAL_DIR": folder,
            "EE_DB_PATH": self.database, "EE_LOG_FORMAT": "json"}
        self.program = None

    def start(self):
        self.program = Program("easyenclave-control", self.settings)
        started = self.program.wait_event("control.started", START_SECONDS)
        self.port = int(started["control"].rsplit(":", 1)[1])
        if halted := self.program.events("ledger.standstill"):
            raise AssertionError(f"the start's check failed: {halted}")
        return self

    def connect(self):
        return Connection(self.port, ADMIN_TOKEN)


def open_books(connection):
    for account in ACCOUNTS:
        expect(connection.ask(Operation(f"open-{account}", "/v1/accounts", {"account_id": account})))
    for node in NODES:
        expect(connection.ask(Operation(f"node-{node}", "/v1/nodes/register", {
            "node_id": node, "capacity_vcpus": 8, "price_usd_per_vcpu_hour": "0.05", "stake_tier": "standard",
            "stake_amount_usd": "10"})))


def expect(answered):
    if answered[0] not in (200, 201):
        raise AssertionError(f"the books could not be opened: {answered}")


def retry(connection, books):
    """What had no answer is asked again: now it gets one, and a second time the same."""
    replays = 0
    unanswered, books.unanswered = books.unanswered, []
    for operation in unanswered:
        status, answer, replayed = connection.ask(operation)
        replays += replayed
        if status not in (200, 201, 409):
            books.violate(f"retried, answered with {status} {answer!r}: {operation}")
        books.known(operation, status, answer)
    return len(unanswered), replays


def replay(connection, books, operations):
    for operation in operations:
        status, answer, replayed = connection.ask(operation)
        if (status, answer) != (operation.status, operation.answer):
            books.violate(f"asked again, it was answered with {status} {answer!r}: {operation}")
        if status < 400 and not replayed:
            books.violate(f"asked again, it was done anew: {operation}")


def compare(connection, books):
    for account in ACCOUNTS:
        shown = connection.get(f"/v1/balances/{account}")
        here = (micros(shown["available_usd"]), micros(shown["locked_usd"]))
        if here != (books.available[account], books.locked[account]):
            books.violate(f"{account} has {here} micro-USD available and locked, by the answers it must be "
                          f"{(books.available[account], books.locked[account])}")


def goes_on(connection, books, before):
    """The log now; it has only been added to."""
    size, root = head_of(connection)
    if before:
        try:
            verify_receipt.require(size >= before[0], f"it has {size} leaves")
            proof = connection.get(f"/v1/ledger/proof/consistency?first={before[0]}&second={size}")
            verify_receipt.verify_consistency(before[0], before[1], size, root,
                                              [base64.b64decode(line) for line in proof["path"]])
        except (verify_receipt.Refused, AssertionError) as why:
            books.violate(f"the log does not go on from its {before[0]} leaves: {why}")
    return size, root


def cell_to_lock():
    """One that has not begun, and does not within the run."""
    return time.strftime("%Y-%m-%dT%H", time.gmtime(time.time() + 20 * 3600))


def check_file(books, database):
    checked = subprocess.run([str(BIN_DIR / "eectl"), "ledger", "check", str(database)], capture_output=True, text=True,
                             timeout=600)
    if checked.returncode != 0:
        books.violate(f"the full check: {checked.stdout}{checked.stderr}")
    return checked.stdout.splitlines()[0] if checked.stdout else ""


def run(options, folder):
    choices, books, ledger = random.Random(options.seed), Books(), Ledger(folder).start()
    connection, head, retried, replays, cell = ledger.connect(), None, 0, 0, cell_to_lock()
    open_books(connection)
    for kill in range(options.kills):
        head = head_of(connection)
        connection.close()
        callers = [Caller(f"{kill}-{i}", random.Random(choices.random()), books, ledger.port, ADMIN_TOKEN, cell)
                   for i in range(options.callers)]
        for caller in callers:
            caller.start()
        time.sleep(choices.uniform(*LOAD_SECONDS))
        ledger.program.kill()
        for caller in callers:
            caller.join()
        if options.self_test:
            pathlib.Path(f"{ledger.database}-wal").unlink()
        connection = ledger.start().connect()
        counts = retry(connection, books)
        retried, replays = retried + counts[0], replays + counts[1]
        answered = books.answered
        replay(connection, books, [operation for operation in answered[-options.callers:]])
        replay(connection, books, choices.sample(answered, min(REPLAYS_EACH, len(answered))))
        compare(connection, books)
        goes_on(connection, books, head)
        if books.violations:
            break
        if kill % 20 == 19:
            print(f"{kill + 1} kills, {len(books.answered)} answers, {retried} retried ({replays} were done already), "
                  f"{head[0]} leaves", flush=True)
    connection.close()
    ledger.program.kill()
    said = check_file(books, ledger.database)
    if not books.violations and retried == 0:
        books.violate("no kill came while a request was under way")
    done = sum(operation.status in (200, 201) for operation in books.answered)
    print(f"{options.kills} kills: {len(books.answered)} answers, {done} of them changes; {retried} had none at first, "
          f"{replays} of these were done already. {said}")
    return books.violations


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--callers", type=int, default=6)
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="ee-crash-") as folder:
        try:
            violations = run(options, pathlib.Path(folder))
        except AssertionError as why:
            violations = [f"it could not go on: {why}"]
    if options.self_test:
        print("noticed" if violations else "NOT noticed")
        return 0 if violations else 1
    for violation in violations[:20]:
        print(violation, file=sys.stderr)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
