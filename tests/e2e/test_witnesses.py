"""Agents as witnesses of the ledger's log: a ledger restored from an older copy is found out by what they hold."""

import shutil

from event_stream import EventStream
from harness import ADMIN_TOKEN, lasting_port, until
from simulated_platform import eectl


def command(control, path, key, **body):
    return control.post(path, body, {"Authorization": f"Bearer {ADMIN_TOKEN}", "Idempotency-Key": key})


def buy(control, *keys):
    for key in keys:
        answer = command(control, "/v1/credits/purchase", key, account_id="alice", amount_usd="1")
        assert answer.status == 201, answer


def open_account(control):
    assert command(control, "/v1/accounts", "open", account_id="alice").status in (200, 201)


def bring_allowlist_into_force(control):
    """By the release's first agent, which adds a leaf: those that come later add none."""
    control.wire_agent(app_name="first", agent_id="first").attest().close()
    until(lambda: '"allowlist"' in control.admin_get("/v1/ledger/entries?limit=100").text)


def head(control):
    answer = control.get("/v1/ledger/head")
    assert answer.status == 200, answer
    return answer.json()


def held(world, file="checkpoint"):
    path = world.path / "state-myapp" / file
    return path.read_text() if path.exists() else ""


def agent_holds(world, note):
    until(lambda: held(world) == note, what="the agent's checkpoint is the newest")


def ledger_state(control):
    ready = control.admin_get("/readyz?verbose")
    assert ready.status == 200, ready
    return ready.json()["ledger"]


def copy_database(world, to):
    """Of a control plane that has ended: all is in the file."""
    assert not (world.path / "control-plane.db-wal").exists()
    shutil.copy(world.path / "control-plane.db", world.path / to)


def put_back(world, copy):
    shutil.copy(world.path / copy, world.path / "control-plane.db")


def restart(world, control, port):
    assert control.terminate() == 0
    return world.control(EE_CONTROL_PORT=port)


def witnessed_ledger(world):
    """A control plane whose agent has seen more of the log than the file `older.db` has. Its port and the agent."""
    port = lasting_port()
    control = world.control(EE_CONTROL_PORT=port)
    open_account(control)
    buy(control, "before")
    bring_allowlist_into_force(control)
    assert control.terminate() == 0
    copy_database(world, "older.db")
    control = world.control(EE_CONTROL_PORT=port)
    buy(control, "lost-1", "lost-2", "lost-3")
    agent = world.agent(control, world.backend())
    agent_holds(world, head(control)["checkpoint"])
    return control, port, agent


def test_an_agent_keeps_the_newest_checkpoint_and_goes_on_from_it(world):
    control = world.control()
    open_account(control)
    bring_allowlist_into_force(control)
    backend = world.backend()
    agent = world.agent(control, backend)
    agent_holds(world, head(control)["checkpoint"])
    # Its next heartbeat brings it back.
    until(lambda: control.metric("ee_ledger_witnessed_total", result="consistent") == 1)
    assert (world.path / "state-myapp" / "checkpoint").stat().st_mode & 0o777 == 0o600
    assert agent.terminate() == 0
    buy(control, *map(str, range(300)))  # A full tile of the tree, and more.
    agent = world.agent(control, backend)
    agent_holds(world, head(control)["checkpoint"])
    assert control.metric("ee_ledger_witnessed_total", result="consistent") >= 2
    assert not agent.events("witness.refused") and not control.events("witness.fork")
    assert ledger_state(control) == "ok"


def test_a_ledger_restored_from_an_older_copy_is_found_out_and_stays_read_only(world):
    control, port, agent = witnessed_ledger(world)
    shown, note = head(control), held(world)
    assert control.terminate() == 0
    put_back(world, "older.db")
    control = world.control(EE_CONTROL_PORT=port)
    standstill = control.wait_event("ledger.standstill", 20, code="ledger_forked")
    assert f"size {shown['tree_size']} with root" in standstill["detail"]
    with EventStream(control, after=0, kind="ledger_standstill") as stream:
        assert stream.wait_for("ledger_standstill", code="ledger_forked").data["detail"] == standstill["detail"]
    refused = command(control, "/v1/credits/purchase", "after", account_id="alice", amount_usd="1")
    assert (refused.status, refused.reason) == (503, "ledger_forked")
    # Reads, proofs and routing go on.
    assert control.admin_get("/v1/balances/alice").json()["available_usd"] == "1"
    assert head(control)["tree_size"] < shown["tree_size"]
    assert control.get("/v1/ledger/proof/consistency?first=1").status == 200
    control.wait_status("myapp", "active")
    assert control.visit("myapp", "/").status == 200
    assert ledger_state(control) == "forked"
    assert control.metric("ee_ledger_standstill", code="ledger_forked") == 1
    assert control.metric("ee_ledger_standstill", code="ledger_halted") == 0
    size = head(control)["tree_size"]

    # Also when nobody shows it again, and the file is not touched.
    assert agent.terminate() == 0
    control = restart(world, control, port)
    control.wait_event("ledger.standstill", code="ledger_forked")
    refused = command(control, "/v1/credits/purchase", "later", account_id="alice", amount_usd="1")
    assert (refused.status, refused.reason) == (503, "ledger_forked")
    assert head(control)["tree_size"] == size
    assert held(world) == note, "the witness holds on to what it saw"


def test_an_accepted_loss_is_in_the_log_and_witnesses_go_on_from_there(world):
    control, port, agent = witnessed_ledger(world)
    note, lost_to = held(world), head(control)["tree_size"]
    assert control.terminate() == 0
    put_back(world, "older.db")
    control = world.control(EE_CONTROL_PORT=port)
    control.wait_event("ledger.standstill", 20, code="ledger_forked")
    database = world.path / "control-plane.db"
    running = eectl("restore", "--accept-loss", database, check=False)
    assert running.returncode == 1 and "store_locked" in running.stderr
    assert control.terminate() == 0
    too_small = eectl("restore", "--accept-loss", database, "--size", lost_to - 1, check=False)
    assert too_small.returncode == 1 and "size_too_small" in too_small.stderr
    said = eectl("restore", "--accept-loss", database).stdout
    assert "entries are kept" in said

    control = world.control(EE_CONTROL_PORT=port)
    buy(control, "after")
    assert ledger_state(control) == "ok"
    entries = control.admin_get("/v1/ledger/entries?limit=100").text
    assert '"restored"' in entries
    agent.wait_event("witness.entries_lost", 20)
    until(lambda: held(world, "checkpoints.old") == note + "\n", what="the lost checkpoint is kept beside")
    until(lambda: held(world) != note)
    agent.terminate()
    world.agent(control, world.backend())
    agent_holds(world, head(control)["checkpoint"])
    assert not control.events("witness.fork") and ledger_state(control) == "ok"

    # What the lost history had beyond what was accepted would be a fork again: here the copy, once more.
    assert control.terminate() == 0
    put_back(world, "older.db")
    control = world.control(EE_CONTROL_PORT=port)
    control.wait_event("ledger.standstill", 20, code="ledger_forked")


def test_a_rollback_after_an_accepted_loss_is_found_out_as_well(world):
    """At sizes that the lost history had, too: what the log said after the loss is not lost by it."""
    control, port, agent = witnessed_ledger(world)
    buy(control, *(f"lost-too-{i}" for i in range(9)))
    assert agent.terminate() == 0
    agent = world.agent(control, world.backend())
    agent_holds(world, head(control)["checkpoint"])
    lost_to = head(control)["tree_size"]
    assert control.terminate() == 0
    put_back(world, "older.db")
    control = world.control(EE_CONTROL_PORT=port)
    control.wait_event("ledger.standstill", 20, code="ledger_forked")
    assert control.terminate() == 0
    database = world.path / "control-plane.db"
    too_large = eectl("restore", "--accept-loss", database, "--size", lost_to + 1, check=False)
    assert too_large.returncode == 1 and "size_too_large" in too_large.stderr
    eectl("restore", "--accept-loss", database)
    control = world.control(EE_CONTROL_PORT=port)
    agent.wait_event("witness.entries_lost", 20)
    assert control.terminate() == 0
    copy_database(world, "after.db")

    control = world.control(EE_CONTROL_PORT=port)
    buy(control, "only-in-the-new-history")
    assert agent.terminate() == 0
    agent = world.agent(control, world.backend())
    agent_holds(world, head(control)["checkpoint"])
    note, shown = held(world), head(control)["tree_size"]
    assert shown < lost_to
    assert control.terminate() == 0
    put_back(world, "after.db")
    control = world.control(EE_CONTROL_PORT=port)
    control.wait_event("witness.fork", 20, found="newer")
    control.wait_event("ledger.standstill", 20, code="ledger_forked")
    assert head(control)["tree_size"] < shown and ledger_state(control) == "forked"
    assert held(world) == note
    # It is accepted as the first one was.
    assert control.terminate() == 0
    eectl("restore", "--accept-loss", database)
    control = world.control(EE_CONTROL_PORT=port)
    agent.wait_event("witness.entries_lost", 20)
    buy(control, "after-both")
    assert ledger_state(control) == "ok" and not control.events("witness.fork")


def test_two_histories_of_one_copy_are_a_fork(world):
    control, port, agent = witnessed_ledger(world)
    size = head(control)["tree_size"]
    assert agent.terminate() == 0
    assert control.terminate() == 0
    put_back(world, "older.db")
    control = world.control(EE_CONTROL_PORT=port)
    buy(control, *(f"other-{i}" for i in range(20)))
    assert head(control)["tree_size"] > size, "longer than what the witness saw, and with another root there"
    world.agent(control, world.backend())
    control.wait_event("witness.fork", found="differs")
    control.wait_event("ledger.standstill", code="ledger_forked")
    refused = command(control, "/v1/credits/purchase", "after", account_id="alice", amount_usd="1")
    assert (refused.status, refused.reason) == (503, "ledger_forked")


def test_what_the_log_has_not_signed_changes_nothing(world):
    control = world.control()
    open_account(control)
    note = head(control)["checkpoint"]
    origin, size, root, blank, signature = note.splitlines()
    other = origin[:-1] + ("0" if origin[-1] != "0" else "1")
    for told, code in {
        "made up": "checkpoint_malformed",
        note.replace(f"\n{size}\n", "\n1000000\n"): "checkpoint_signature_invalid",
        note.replace(root, "A" * 43 + "="): "checkpoint_signature_invalid",
        note.replace(signature.split()[-1], "AAAAAA" + "B" * 84 + "A="): "checkpoint_unsigned",
        note.replace(origin, other): "checkpoint_other_log",
        note.replace("\n\n", "\nextension\n\n"): "checkpoint_malformed",
    }.items():
        mark = control.mark()
        wire = control.wire_agent(agent_id="liar", checkpoint=told).attest()
        control.wait_event("witness.ignored", since=mark, code=code)
        wire.close()
    # In a heartbeat as well; and before attestation nothing is even looked at.
    mark = control.mark()
    wire = control.wire_agent(agent_id="late").attest()
    wire.send({"type": "health", "status": "pass", "checkpoint": "made up"})
    control.wait_event("witness.ignored", since=mark, agent="late")
    early = control.wire_agent(agent_id="early", checkpoint="made up")
    early.register()
    early.expect("attest_request")
    early.close()
    assert not control.events("witness.ignored", agent="early")
    buy(control, "still")
    assert ledger_state(control) == "ok" and not control.events("ledger.standstill")
    assert control.metric("ee_ledger_witnessed_total", result="checkpoint_malformed") == 3


def test_an_agent_is_heard_once_a_minute(world):
    control = world.control()
    wire = control.wire_agent(agent_id="eager").attest()
    for _ in range(50):
        wire.send({"type": "health", "status": "pass", "checkpoint": "made up"})
    control.wait_event("witness.ignored", agent="eager")
    mark = control.mark()
    wire.send({"type": "health", "status": "fail", "checkpoint": "made up"})
    control.wait_event("agent.health", since=mark)
    assert len(control.events("witness.ignored", agent="eager")) == 1


def cannot_start(world, **more):
    """Why a control plane on the world's database does not start."""
    settings = {"EE_CONTROL_BIND": "127.0.0.1", "EE_CONTROL_PORT": 0, "EE_PROXY_BIND": "127.0.0.1",
                "EE_PROXY_PORT": 0, "EE_ADMIN_TOKEN": ADMIN_TOKEN, "EE_GITHUB_API_URL": "none",
                "EE_COLLATERAL_DIR": world.collateral_dir, "EE_DB_PATH": world.path / "control-plane.db",
                "EE_LOG_FORMAT": "json", **more}
    program = world.program("easyenclave-control", settings)
    why = program.wait_event("control.cannot_start", 15)
    assert program.wait() == 1
    return why


def test_a_second_server_on_the_same_database_is_refused_and_readers_are_not(world):
    control = world.control()
    open_account(control)
    why = cannot_start(world)
    assert why["code"] == "store_locked"
    assert f"process {control.pid}" in why["detail"] and "control-plane.db.lock" in why["detail"]
    buy(control, "still")
    control.kill()
    # The lock ends with its process, however that ends.
    buy(world.control(), "again")
