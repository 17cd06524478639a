"""What a copy of the ledger lacks, and what a stop finds, is held against nobody."""

import pathlib
import signal
import time

import pytest

from harness import until
from settled_network import HOUR, Network
from shifted_clock import ShiftedClock
from simulated_platform import eectl


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
        # More than the copy writes before its loss is accepted: no agent's checkpoint may be of what both have written.
        for number in range(16):
            network.ask("/v1/accounts", 201, account_id=f"lost-{number}")
        network.control.terminate()
        world.hide_absence()
        network.start(HOUR + 30)
        network.control.wait_event("slots.recorded")
    size = network.admin("/v1/ledger/head").json()["tree_size"]
    network.control.kill()
    if how == "beside the newer mark":
        agent.kill()  # It holds a checkpoint of what is lost now: that the copy lacks it would be known by it.
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
