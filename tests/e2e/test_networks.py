"""Network policies from a file: read at start, replaced at SIGHUP, refused as a whole when anything is wrong."""

import signal

import pytest


def write(world, text):
    file = world.path / "networks.toml"
    file.write_text(text)
    return file


def reload(control, text=None, event="control.reloaded"):
    if text is not None:
        write(control.world, text)
    mark = control.mark()
    control.signal(signal.SIGHUP)
    return control.wait_event(event, since=mark)


def networks(control):
    return control.get("/health").json()["networks"]


def test_a_stricter_network_takes_its_agents_out_at_once(world):
    control = world.control(EE_NETWORKS_FILE=write(world, "[sandbox-1]\n"))
    wire = control.wire_agent().attest().serve()
    assert control.visit("myapp", "/").status == 200
    reload(control, '[sandbox-1]\nfmspc_allowed = ["00a0b0c0d0e0"]\n')
    assert control.wait_event("network.changed", network="sandbox-1")["change"] == "changed"
    challenge = wire.expect("attest_request", reason="operator")
    assert challenge["binding"] == "nonce"
    assert wire.expect("status", state="invalid")["reason"] == "fmspc_not_allowed"
    assert wire.expect_closed() == 1008
    assert not control.resolve("myapp")["allowed"]
    refused = control.wait_event("attestation.refused", code="fmspc_not_allowed")
    assert "sandbox-1 allows 00a0b0c0d0e0" in refused["detail"]
    assert "fmspc_allowed" in refused["remedy"]
    shown = control.app("myapp")["refusals"][0]
    assert (shown["code"], shown["remedy"]) == ("fmspc_not_allowed", refused["remedy"])


def test_a_stricter_binding_is_asked_for_and_refuses_who_cannot_give_it(world):
    control = world.control(EE_NETWORKS_FILE=write(world, ""))
    wire = control.wire_agent().attest().serve()
    reload(control, '[sandbox-1]\nbinding = "channel"\nlegacy_none = false\n')
    assert wire.expect("attest_request", reason="operator")["binding"] == "channel"
    assert wire.expect("status", state="invalid")["reason"] == "binding_too_weak"
    assert wire.expect_closed() == 1008


def test_a_looser_network_lets_in_whom_it_refused(world):
    control = world.control(EE_NETWORKS_FILE=write(world, '[sandbox-1]\nfmspc_allowed = ["00a0b0c0d0e0"]\n'))
    agent = world.agent(control, world.backend(), wait=False)
    agent.wait_event("agent.refused", reason="fmspc_not_allowed")
    reload(control, "[sandbox-1]\n")
    agent.wait_event("agent.serving")
    control.wait_status("myapp", "active")
    assert control.visit("myapp", "/").status == 200


def test_an_unchanged_network_is_left_alone(world):
    control = world.control(EE_NETWORKS_FILE=write(world, "[sandbox-1]\n"))
    wire = control.wire_agent().attest().serve()
    reload(control, '[lab]\nbase = "sandbox-1"\n')
    assert control.events("network.changed")[0]["change"] == "added"
    assert networks(control) == ["forge-1", "lab", "sandbox-1"]
    assert len(wire.challenges()) == 1 and not control.events("networks.challenging")
    lab = control.wire_agent(agent_id="w2", app_name="labapp", network="lab").attest().serve()
    assert control.resolve("labapp")["allowed"]
    # A network that goes takes its agents with it, and nobody else's.
    reload(control, "")
    assert lab.expect("status", state="invalid")["reason"] == "invalid_network"
    assert networks(control) == ["forge-1", "sandbox-1"]
    assert control.resolve("myapp")["allowed"] and not control.resolve("labapp")["allowed"]
    late = control.wire_agent(agent_id="w3", app_name="labapp", network="lab")
    late.register()
    assert late.expect("status", state="invalid")["reason"] == "invalid_network"


@pytest.mark.parametrize("text", [
    "[sandbox-1]\ndebug = 3\n",
    "[sandbox-1\n",
    "[forge-1]\ndebug = true\n[sandbox-1]\nfmspc_allowed = [\"00a0b0c0d0e0\"]\n",
    "#" * (256 * 1024 + 1),
    None,
], ids=["wrong", "no TOML", "half of it good", "too large", "gone"])
def test_a_bad_file_changes_nothing_and_is_logged(world, text):
    file = write(world, "[lab]\nbase = \"sandbox-1\"\n")
    control = world.control(EE_NETWORKS_FILE=file)
    wire = control.wire_agent().attest().serve()
    if text is None:
        file.unlink()
    failed = reload(control, text, "control.reload_failed")
    assert "networks.toml" in failed["detail"]
    assert networks(control) == ["forge-1", "lab", "sandbox-1"]
    assert len(wire.challenges()) == 1 and control.resolve("myapp")["allowed"]
    # The next good one counts.
    reload(control, "[sandbox-1]\n")
    assert networks(control) == ["forge-1", "sandbox-1"]


def test_every_problem_is_named_at_once_and_nothing_starts(world):
    file = write(world, '[forge-1]\ndebug = true\nsimulated_root = true\n[sandbox-1]\nbinding = "weak"\nx = 1\n')
    settings = {"EE_NETWORKS_FILE": file, "EE_CONTROL_PORT": "x", "EE_DB_PATH": world.path / "other.db"}
    for arguments in (["--check-config"], []):
        program = world.program("easyenclave-control", settings, *arguments)
        assert program.wait() == 78
        text = "\n".join(str(line) for line in program.other_lines)
        assert "5 problems" in text
        for part in ("EE_CONTROL_PORT", f"{file}:2: [forge-1] debug = true: a sealed network admits no debug TD",
                     f"{file}:3: [forge-1] simulated_root = true", f"{file}:5: [sandbox-1] binding = \"weak\": must be",
                     f"{file}:6: [sandbox-1] x = 1: no such key"):
            assert part in text, text
    assert not (world.path / "other.db").exists()


def test_a_good_file_is_good_and_what_is_unwise_is_a_warning(world):
    file = write(world, '[sandbox-1]\ntcb_accepted = ["UpToDate", "Revoked"]\n')
    program = world.program("easyenclave-control", {"EE_NETWORKS_FILE": file}, "--check-config")
    assert program.wait() == 0
    assert "[sandbox-1] tcb_accepted holds Revoked" in "\n".join(map(str, program.other_lines + program.access))
    control = world.control(EE_NETWORKS_FILE=file)
    assert any("tcb_accepted holds Revoked" in line["detail"] for line in control.events("config.warning"))


def test_legacy_answers_come_from_listed_peers_only(world):
    control = world.control(EE_NETWORKS_FILE=write(world, '[sandbox-1]\nlegacy_cidrs = ["10.0.0.0/8"]\n'))
    wire = control.wire_agent(agent_id="w1")
    wire.register()
    wire.answer_challenge(wire.expect("attest_request"), legacy=True)
    assert wire.expect("status", state="invalid")["reason"] == "binding_too_weak"
    refused = control.wait_event("attestation.refused", code="binding_too_weak")
    assert "127.0.0.1" in refused["detail"] and "10.0.0.0/8" in refused["detail"]
    # Answers that hold the nonce may come from anywhere; and the list can be widened.
    control.wire_agent(agent_id="w2").attest().serve()
    reload(control, '[sandbox-1]\nlegacy_cidrs = ["127.0.0.0/8"]\n')
    control.wire_agent(agent_id="w3").attest(legacy=True).serve()


def test_a_legacy_agent_behind_a_front_end_comes_from_where_that_says(world):
    control = world.control(EE_NETWORKS_FILE=write(world, '[sandbox-1]\nlegacy_cidrs = ["127.0.0.0/8"]\n'))
    wire = control.wire_agent(agent_id="w1", headers={"X-Forwarded-For": "192.0.2.9"})
    wire.register()
    wire.answer_challenge(wire.expect("attest_request"), legacy=True)
    assert wire.expect("status", state="invalid")["reason"] == "binding_too_weak"
    assert "192.0.2.9" in control.wait_event("attestation.refused", code="binding_too_weak")["detail"]
    reload(control, '[sandbox-1]\nlegacy_cidrs = ["192.0.2.0/24"]\n')
    control.wire_agent(agent_id="w2", headers={"X-Forwarded-For": "192.0.2.9"}).attest(legacy=True)
