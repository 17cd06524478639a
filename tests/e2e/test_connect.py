"""`eectl connect`: bytes to a sealed app, once its agent has proven what it is on the connection that carries them."""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import threading

import pytest

from sealed_visitor import PipeBackend, echo, eectl_connect, passthrough_port, read_all
from simulated_platform import binary

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def site(shared_world):
    class Site:
        world = shared_world
        heard = []

        def serve(self, connection):
            data = read_all(connection)
            self.heard.append(data)
            connection.sendall(data[::-1])

    site = Site()
    site.backend = PipeBackend(site.serve)
    site.control = shared_world.control(EE_PASSTHROUGH_BIND="127.0.0.1", EE_PASSTHROUGH_PORT=0)
    site.agent = shared_world.agent(site.control, site.backend, EE_HEALTH_INTERVAL_SEC=60)
    site.port = passthrough_port(site.control)
    yield site
    site.backend.stop()


def test_standard_input_and_output_are_carried(site):
    done = eectl_connect(site.world, site.port, data=b"hello")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"olleh", b"")


def test_it_says_what_was_verified(site):
    done = eectl_connect(site.world, site.port, "--check", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["result"], said["app"], said["release_tag"], said["network"]) == ("ok", "myapp", "v0.1.3", "sandbox-1")
    for quote in ("certificate_quote", "fresh_quote"):
        assert said[quote]["checks"] == list("ABCDEFGHIJKLMNOP")
        assert said[quote]["tcb_status"] == "UpToDate"
    assert said["certificate_quote"]["report_data"] != said["fresh_quote"]["report_data"]
    done = eectl_connect(site.world, site.port, "--check")
    assert done.stdout.startswith(b"ok: myapp is v0.1.3 of org/repo on sandbox-1, TCB UpToDate"), done
    done = eectl_connect(site.world, site.port, "--json", data=b"x")
    assert done.stdout == b"x" and json.loads(done.stderr)["result"] == "ok"


def test_two_connections_have_quotes_of_their_own_over_one_certificate(site):
    first, second = (json.loads(eectl_connect(site.world, site.port, "--check", "--json").stdout) for _ in range(2))
    assert first["spki_sha256"] == second["spki_sha256"]
    assert first["fresh_quote"]["report_data"] != second["fresh_quote"]["report_data"]


def test_a_local_port_carries_each_connection(site):
    folder = site.world.platform.directory
    program = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", binary("eectl"), "connect", "myapp.app.test", "--via",
         f"127.0.0.1:{site.port}", "--listen", "127.0.0.1:0", "--network", "sandbox-1", "--collateral",
         folder / "collateral.json", "--root", site.world.platform.root, "--allowlist",
         site.world.allowlist_dir / "org/repo/v0.1.3.json"], stderr=subprocess.PIPE, text=True)
    try:
        port = int(program.stderr.readline().rsplit(":", 1)[1])
        data = os.urandom(4 * MIB)
        answers = {}

        def ask(n):
            with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
                connection.sendall(data[n:])
                connection.shutdown(socket.SHUT_WR)
                answers[n] = read_all(connection)

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(answers[n] == data[n:][::-1] for n in range(3))
        site.agent.signal(19)  # SIGSTOP: nobody answers the TLS.
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            site.agent.signal(18)
            connection.shutdown(socket.SHUT_WR)
            assert read_all(connection) == b""
    finally:
        program.kill()
        program.wait()


@pytest.mark.parametrize("how, code", [
    ({"root": None}, "certificate_chain_invalid"),
    ({"network": "forge-1"}, "certificate_mismatch:network"),
    ({"app": "other.app.test"}, "tls_failed"),
])
def test_who_is_not_what_was_asked_for_is_refused_by_code(site, how, code):
    before = len(site.heard)
    done = eectl_connect(site.world, site.port, data=b"secret", **how)
    assert done.returncode == 1 and done.stdout == b"", done
    assert done.stderr.startswith(f"eectl: {code}: ".encode()), done.stderr
    assert not any(data for data in site.heard[before:]), "nothing was said"


def test_a_sealed_image_that_was_told_not_to_be_is_not_connected_to(world):
    """Its registers are those of the sealed image, and no quote shows where it sends the plaintext."""
    heard = []
    backend = PipeBackend(lambda connection: heard.append(read_all(connection)))
    control = world.control(EE_PASSTHROUGH_BIND="127.0.0.1", EE_PASSTHROUGH_PORT=0)
    folder = world.path / "sealed-platform"
    shutil.copytree(world.platform.directory, folder)
    (folder / "sealed").write_text("true\n")
    agent = world.agent(control, backend, EE_SIMULATED_TDX_DIR=folder, EE_SEALED="false", EE_HEALTH_INTERVAL_SEC=60)
    done = eectl_connect(world, passthrough_port(control), data=b"secret")
    assert done.returncode == 1 and done.stderr.startswith(b"eectl: tls_failed: "), done
    refused = agent.wait_event("sealed.refused")
    assert refused["code"] == "sealed_unavailable" and "EE_SEALED=false" in refused["detail"], refused
    backend.stop()
    assert not any(heard)


@pytest.mark.parametrize("changes, code", [
    ({"quote_measurements": {"mrtd": "00" * 48}}, "measurement_mismatch:mrtd"),
    ({"quote_measurements": {"rtmr2": "11" * 48}}, "measurement_mismatch:rtmr2"),
    ({"release_tag": "v9"}, "allowlist_invalid:/release_tag"),
])
def test_another_release_than_the_allowlists_is_refused(site, tmp_path, changes, code):
    allowlist = json.loads((site.world.allowlist_dir / "org/repo/v0.1.3.json").read_text())
    for name, value in changes.items():
        allowlist[name] = {**allowlist[name], **value} if isinstance(value, dict) else value
    file = tmp_path / "allowlist.json"
    file.write_text(json.dumps(allowlist))
    done = eectl_connect(site.world, site.port, "--check", "--json", allowlist=file)
    assert done.returncode == 1
    said = json.loads(done.stdout)
    assert (said["result"], said["code"]) == ("refused", code), said


def test_a_server_that_is_no_agent_is_refused(site, world):
    world.make_tls()
    settings = ["-accept", "0", "-cert", world.path / "tls/server.pem", "-key", world.path / "tls/server.key", "-naccept", "1"]
    server = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "openssl", "s_server", *settings],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        port = next(int(line.rsplit(":", 1)[1]) for line in server.stdout if line.startswith("ACCEPT"))
        done = eectl_connect(site.world, port, data=b"secret")
        assert done.returncode == 1 and done.stderr.startswith(b"eectl: connect_unsupported: "), done
    finally:
        server.kill()
        server.wait()


@pytest.mark.parametrize("arguments, words", [
    (["myapp"], b"which domain the apps are under is not known"),
    (["myapp.app.test"], b"--allowlist is missing"),
    (["myapp.app.test", "--allowlist", "/dev/null", "--via", "a b"], b"--via takes HOST:PORT"),
    (["myapp.app.test", "--allowlist", "/dev/null"], b"--collateral is missing"),
])
def test_bad_usage_is_named(arguments, words):
    done = subprocess.run([binary("eectl"), "connect", *arguments], capture_output=True,
                          env={k: v for k, v in os.environ.items() if k != "EE_APP_DOMAIN"})
    assert done.returncode == 2 and words in done.stderr, done


def test_32_mib_go_through_standard_input_and_output(site):
    data = os.urandom(32 * MIB)
    done = eectl_connect(site.world, site.port, data=data)
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data[::-1]).digest()
