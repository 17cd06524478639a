"""Settings with which a program cannot start: --check-config and the start itself name them, exit 78, and leave nothing
behind."""

import subprocess

import pytest

from ledger_client import Ledger, cell


def made_files(world):
    return sorted(str(path) for path in world.path.rglob("*"))


def check(world, name, settings, *named):
    """Both ways of finding out say the same and make nothing."""
    before = made_files(world)
    for arguments in (["--check-config"], []):
        program = world.program(name, settings, *arguments)
        assert program.wait() == 78, program.log
        text = "\n".join(map(str, program.other_lines))
        assert f"{len(named)} problem" in text and all(f"  {setting}: " in text for setting in named), text
    assert made_files(world) == before


def control_settings(world, **more):
    return {"EE_CONTROL_BIND": "127.0.0.1", "EE_CONTROL_PORT": 0, "EE_PROXY_BIND": "127.0.0.1", "EE_PROXY_PORT": 0,
            "EE_GITHUB_API_URL": "none", "EE_DB_PATH": world.path / "data" / "control-plane.db",
            "EE_LOG_FORMAT": "json", **more}


def test_every_setting_that_names_what_is_of_no_use_is_named_at_once(world):
    text = world.path / "text.pem"
    text.write_text("neither a certificate nor a key\n")
    check(world, "easyenclave-control",
          control_settings(world, EE_TLS_CERT=text, EE_TLS_KEY=text, EE_TDX_ROOT_CA=text, EE_LEDGER_KEY_FILE=text),
          "EE_TLS_CERT, EE_TLS_KEY", "EE_TDX_ROOT_CA", "EE_LEDGER_KEY_FILE")


def test_a_certificate_must_belong_to_its_key(world):
    tls = world.make_tls()
    other = world.path / "other.key"
    subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", other],
                   check=True, capture_output=True)
    check(world, "easyenclave-control", control_settings(world, **{**tls, "EE_TLS_KEY": other}),
          "EE_TLS_CERT, EE_TLS_KEY")
    # Of the right form, and no key to sign the ledger's log with.
    check(world, "easyenclave-control", control_settings(world, EE_LEDGER_KEY_FILE=other), "EE_LEDGER_KEY_FILE")
    program = world.program("easyenclave-control", control_settings(world, **tls), "--check-config")
    assert program.wait() == 0


@pytest.mark.parametrize("settings, named", [
    ({"EE_QUOTE_PROVIDER": "tsm"}, "EE_QUOTE_PROVIDER"),
    ({"EE_QUOTE_PROVIDER": "simulated", "EE_SIMULATED_TDX_DIR": "/proc"}, "EE_QUOTE_PROVIDER"),
    ({"EE_DB_PATH": "/proc/x/y", "EE_LEDGER_KEY_FILE": "/dev/shm/never.key"}, "EE_DB_PATH"),
    ({"EE_LEDGER_KEY_FILE": "/proc/x"}, "EE_LEDGER_KEY_FILE"),
    ({"EE_PROXY_BIND": "192.0.2.1"}, "EE_PROXY_BIND"),
])
def test_the_machine_must_have_what_the_settings_name(world, settings, named):
    check(world, "easyenclave-control", control_settings(world, **settings), named)


def test_a_port_that_is_in_use_is_no_settings_fault(world):
    control = world.control()
    settings = control_settings(world, EE_CONTROL_PORT=control.port)
    assert world.program("easyenclave-control", settings, "--check-config").wait() == 0, "as before a reload"
    program = world.program("easyenclave-control", settings)
    assert program.wait_event("control.cannot_start")["code"] == "bind_failed" and program.wait() == 1


def test_a_period_that_the_ledgers_locks_rule_out_is_found_by_the_start(world):
    ledger = Ledger(world.control(EE_SETTLE_AUTO="false"))
    ledger.open_account("alice", "100")
    ledger.register_node("n1")
    ledger.ok("/v1/locks", {"account_id": "alice", "node_id": "n1", "period": cell(1), "amount_usd": "1"})
    ledger.control.terminate()
    settings = control_settings(world, EE_DB_PATH=world.path / "control-plane.db", EE_SETTLE_PERIOD="day")
    program = world.program("easyenclave-control", settings)
    assert program.wait_event("control.cannot_start")["code"] == "settle_period_in_use"
    assert program.wait() == 78


def test_a_simulated_platform_needs_its_folder(world):
    program = world.program("easyenclave-control", control_settings(world, EE_QUOTE_PROVIDER="simulated"),
                            "--check-config")
    assert program.wait() == 78
    assert "EE_SIMULATED_TDX_DIR is not set" in "\n".join(map(str, program.other_lines))


@pytest.mark.parametrize("settings", [
    {"EE_TLS_CA": "text"}, {"EE_MEASUREMENTS_FILE": "text"},
    {"EE_QUOTE_PROVIDER": "tsm"}, {"EE_STATE_DIR": "/proc/x"},
])
def test_an_agent_is_checked_alike(world, settings):
    text = world.path / "text"
    text.write_text("neither a root nor JSON\n")
    settings = {name: text if value == "text" else value for name, value in settings.items()}
    agent = {"EE_CONTROL_WS": "wss://localhost:1/v1/tunnel", "EE_REPO": "org/repo", "EE_RELEASE_TAG": "v0.1.3",
             "EE_APP_NAME": "myapp", "EE_QUOTE_PROVIDER": "simulated",
             "EE_SIMULATED_TDX_DIR": world.platform.directory, "EE_STATE_DIR": world.path / "state"}
    check(world, "easyenclave-agent", {**agent, **settings}, *settings)
    program = world.program("easyenclave-agent", agent, "--check-config")
    assert program.wait() == 0
