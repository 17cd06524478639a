"""Sealed passthrough: visitors' TLS goes through the control plane unopened, and ends in the agent."""

import asyncio
import hashlib
import os
import signal
import socket
import ssl
import struct
import subprocess
import time

import pytest

from backend import FullListener
from harness import until
from programs import memory_factor
from sealed_visitor import HandMadeVisitor, PipeBackend, echo, passthrough_port, read_all, trusting_tls, visit

NAME = "myapp.app.test"
MIB = 1024 * 1024


@pytest.fixture
def site(world):
    class Site:
        backend = PipeBackend(echo)
        control = world.control(EE_PASSTHROUGH_BIND="127.0.0.1", EE_PASSTHROUGH_PORT=0)
        agent = world.agent(control, backend, EE_HEALTH_INTERVAL_SEC=60)
        port = passthrough_port(control)

        def raw(self, timeout=20):
            return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    site = Site()
    yield site
    site.backend.stop()


def alert_after(site, *pieces, half_close=False):
    """What the listener says to these bytes, until it closes: a fatal alert's description, or None for nothing."""
    with site.raw() as connection:
        for piece in pieces:
            connection.sendall(piece)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        said = read_all(connection)
    if not said:
        return None
    assert said[:6] == b"\x15\x03\x03\x00\x02\x02" and len(said) == 7, said
    return said[6]


# ---- What is carried ----


def test_bytes_go_both_ways_and_the_log_has_a_line(site):
    with visit(site.port) as connection:
        assert connection.version() == "TLSv1.3"
        assert connection.selected_alpn_protocol() is None
        for size in [1, 1000, 100_000]:
            data = os.urandom(size)
            connection.sendall(data)
            got = b""
            while len(got) < size:
                got += connection.recv(65536)
            assert got == data
        connection.unwrap().close()
    line = site.control.wait_access(method="TLS")
    assert (line["status"], line["app"], line["client"]) == (200, "myapp", "127.0.0.1"), line
    assert line["agent"] and line["request_bytes"] > 101_000 and line["response_bytes"] > 101_000, line
    assert "error" not in line and "path" not in line, line
    assert site.control.metric("ee_passthrough_connections_total") == 1
    until(lambda: site.control.metric("ee_passthrough_open") == 0, what="no connection is open")


def test_the_control_plane_carries_ciphertext_only(site, world):
    """What the visitor says is nowhere in the memory of the control plane, and the backend has it."""
    marker = b"plaintext-marker-" + os.urandom(16).hex().encode()
    with visit(site.port) as connection:
        connection.sendall(marker)
        assert connection.recv(100) == marker
        assert marker not in memory_of(site.control.pid)


def memory_of(pid):
    found = bytearray()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            where, mode = line.split()[:2]
            start, end = (int(part, 16) for part in where.split("-"))
            if not mode.startswith("rw") or "[v" in line or end - start > 512 * MIB:
                continue
            try:
                memory.seek(start)
                found += memory.read(end - start)
            except (OSError, ValueError):
                pass
    return bytes(found)


def test_curl_and_openssl_are_served_like_by_any_tls_server(world):
    backend = world.backend()
    control = world.control(EE_PASSTHROUGH_BIND="127.0.0.1", EE_PASSTHROUGH_PORT=0)
    world.agent(control, backend)
    port = passthrough_port(control)
    said = subprocess.run(["curl", "-sSk", "--resolve", f"{NAME}:{port}:127.0.0.1", f"https://{NAME}:{port}/hello?x=1",
                           "-w", "\n%{http_code} %{ssl_verify_result}"], capture_output=True, text=True, timeout=20)
    body, _, result = said.stdout.rpartition("\n")
    assert result.split()[0] == "200", said
    assert "/hello?x=1" in body, body
    line = control.wait_access(method="TLS")
    assert line["status"] == 200 and "error" not in line, "one that leaves as clients do has not broken off"
    seen = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", NAME, "-showcerts"],
                          input=b"", capture_output=True, timeout=20).stdout
    assert b"TLSv1.3" in seen and b"easyenclave ratls" in seen
    text = subprocess.run(["openssl", "x509", "-noout", "-text"], input=seen, capture_output=True).stdout
    assert b"2.25.18693766207096646941995422661099424490" in text, "the quote's extension"


def test_64_mib_go_each_way(site):
    size, piece = 64 * MIB, os.urandom(MIB)
    expected = hashlib.sha256(piece * (size // MIB)).hexdigest()
    before = site.control.rss_bytes() + site.agent.rss_bytes()

    async def talk():  # By asyncio: a TLS connection of Python's may not be read and written by two threads at once.
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port, ssl=trusting_tls(),
                                                       server_hostname="myapp.app.test")

        async def send():
            for _ in range(size // MIB):
                writer.write(piece)
                await writer.drain()

        sender = asyncio.create_task(send())
        digest, got = hashlib.sha256(), 0
        while got < size:
            chunk = await reader.read(MIB)
            assert chunk, f"it ended after {got} bytes"
            digest.update(chunk)
            got += len(chunk)
        await sender
        writer.close()
        return digest.hexdigest()

    assert asyncio.run(asyncio.wait_for(talk(), 60)) == expected
    assert site.control.rss_bytes() + site.agent.rss_bytes() - before < 48 * MIB * memory_factor(), "it was not gathered"


def in_records(message, size):
    parts = (message[i:i + size] for i in range(0, len(message), size))
    return b"".join(b"\x16\x03\x01" + struct.pack(">H", len(part)) + part for part in parts)


@pytest.mark.parametrize("how", ["bytes", "records", "bytes_of_records"])
def test_a_hello_may_come_in_pieces_and_over_records(site, how):
    visitor = HandMadeVisitor(NAME).connect(site.port)
    said = visitor.hello if how == "bytes" else in_records(visitor.hello[5:], 40)
    for i in range(0, len(said), len(said) if how == "records" else 1):
        visitor.socket.sendall(said[i:i + (len(said) if how == "records" else 1)])
    visitor.handshake()
    visitor.send(b"hello")
    visitor.end()
    assert visitor.read_all() == b"hello"


def test_apps_are_told_apart_by_their_names(world):
    control = world.control(EE_PASSTHROUGH_BIND="127.0.0.1", EE_PASSTHROUGH_PORT=0)
    backends = {app: PipeBackend(lambda connection, app=app: connection.sendall(app.encode()))
                for app in ("first", "second")}
    for app, backend in backends.items():
        world.agent(control, backend, app=app)
    for app in ("second", "first", "SECOND"):
        with visit(passthrough_port(control), f"{app}.app.test") as connection:
            assert read_all(connection).decode() == app.lower()
    for backend in backends.values():
        backend.stop()


def test_a_unix_socket_may_be_behind_it(world):
    backend = PipeBackend(echo, world.path / "backend.sock")
    control = world.control(EE_PASSTHROUGH_BIND="127.0.0.1", EE_PASSTHROUGH_PORT=0)
    world.agent(control, backend)
    with visit(passthrough_port(control)) as connection:
        connection.sendall(b"over a unix socket")
        assert connection.recv(100) == b"over a unix socket"
    backend.stop()


# ---- Ends ----


def test_a_visitor_may_end_its_side_and_still_listen(world):
    """The backend answers only once it has heard all."""
    def count(connection):
        connection.sendall(b"%d bytes" % len(read_all(connection)))

    backend = PipeBackend(count)
    control = world.control(EE_PASSTHROUGH_BIND="127.0.0.1", EE_PASSTHROUGH_PORT=0)
    world.agent(control, backend)
    for shut in (True, False):
        visitor = HandMadeVisitor().visit(passthrough_port(control))
        visitor.send(b"x" * 300_000)
        visitor.end(shut=shut)
        assert visitor.read_all() == b"300000 bytes"
        visitor.socket.close()
    assert all(control.wait_access(method="TLS", count=n)["status"] == 200 for n in (1, 2))
    backend.stop()


def test_a_backend_may_end_its_side_and_still_listen(world):
    heard = []

    def greet(connection):
        connection.sendall(b"welcome")
        connection.shutdown(socket.SHUT_WR)
        heard.append(read_all(connection))

    backend = PipeBackend(greet)
    control = world.control(EE_PASSTHROUGH_BIND="127.0.0.1", EE_PASSTHROUGH_PORT=0)
    world.agent(control, backend)
    visitor = HandMadeVisitor().visit(passthrough_port(control))
    assert visitor.read_all() == b"welcome"
    visitor.send(b"y" * 300_000)
    visitor.end()
    assert until(lambda: any(heard) and heard[-1], what="the backend has heard all") == b"y" * 300_000
    backend.stop()


def test_a_visitor_that_is_cut_off_is_no_end_to_the_backend(world):
    """Without close_notify more may have been meant to come (RFC 8446 section 6.1)."""
    outcome = []

    def listen(connection):
        try:
            outcome.append(read_all(connection))
        except ConnectionResetError:
            outcome.append("reset")

    backend = PipeBackend(listen)
    control = world.control(EE_PASSTHROUGH_BIND="127.0.0.1", EE_PASSTHROUGH_PORT=0)
    world.agent(control, backend, EE_HEALTH_URL=world.backend().url + "/")
    visitor = HandMadeVisitor().visit(passthrough_port(control))
    visitor.send(b"transfer 100")
    visitor.socket.shutdown(socket.SHUT_WR)
    assert until(lambda: outcome, what="the backend's connection has ended") == ["reset"]
    backend.stop()


def test_a_visitor_that_has_read_its_answer_and_closes_without_close_notify_is_no_failure(site):
    connection = visit(site.port)
    connection.sendall(b"all I want")
    assert connection.recv(100) == b"all I want"
    connection.close()
    line = site.control.wait_access(method="TLS")
    assert (line["status"], line.get("error")) == (200, None)
    assert "ee_passthrough_refused_total{" not in site.control.admin_get("/metrics").text


def test_a_backend_that_breaks_off_is_no_end_to_the_visitor(world):
    def cut(connection):
        connection.recv(100)
        connection.sendall(b"half")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    backend = PipeBackend(cut)
    control = world.control(EE_PASSTHROUGH_BIND="127.0.0.1", EE_PASSTHROUGH_PORT=0)
    world.agent(control, backend)
    visitor = HandMadeVisitor().visit(passthrough_port(control))
    visitor.send(b"x")
    with pytest.raises(ConnectionResetError):
        visitor.read_all()
    assert control.wait_access(method="TLS")["error"] == "bad_agent_answer"
    backend.stop()


def test_an_agent_that_is_killed_breaks_its_connections_off(site):
    visitor = HandMadeVisitor().visit(site.port)
    site.agent.kill()
    with pytest.raises(ConnectionResetError):
        visitor.read_all()
    assert site.control.wait_access(method="TLS")["error"] == "tunnel_closed"
    site.control.wait_status("myapp", "offline")
    assert alert_after(site, HandMadeVisitor(NAME).hello) == INTERNAL_ERROR


def test_what_is_open_is_finished_when_the_control_plane_stops(site):
    connection = visit(site.port)
    site.control.signal(signal.SIGTERM)
    site.control.wait_event("control.draining")
    with pytest.raises(ConnectionRefusedError):
        site.raw().close()
    connection.sendall(b"still here")
    assert connection.recv(100) == b"still here"
    connection.unwrap().close()
    assert site.control.wait() == 0


def test_what_is_open_is_finished_when_the_agent_stops(site):
    connection = visit(site.port)
    site.agent.signal(signal.SIGTERM)
    site.agent.wait_event("agent.stopping")
    site.control.wait_status("myapp", "draining")
    assert alert_after(site, HandMadeVisitor(NAME).hello) == INTERNAL_ERROR
    connection.sendall(b"still here")
    assert connection.recv(100) == b"still here"
    connection.unwrap().close()
    assert site.agent.wait() == 0


def test_a_connection_without_a_byte_either_way_ends(world):
    backend = PipeBackend(echo)
    control = world.control(EE_PASSTHROUGH_BIND="127.0.0.1", EE_PASSTHROUGH_PORT=0, EE_STREAM_IDLE_SEC=3)
    world.agent(control, backend)
    visitor = HandMadeVisitor().visit(passthrough_port(control))
    with pytest.raises(ConnectionResetError):
        visitor.read_all()
    assert control.wait_access(method="TLS")["error"] == "proxy_timeout"
    backend.stop()


# ---- Who is turned away ----

DECODE_ERROR, INTERNAL_ERROR, MISSING_EXTENSION, UNRECOGNIZED_NAME = 50, 80, 109, 112


@pytest.mark.parametrize("said, alert, reason", [
    (HandMadeVisitor(None).hello, MISSING_EXTENSION, "server_name_missing"),
    (HandMadeVisitor("other.app.test").hello, UNRECOGNIZED_NAME, "unknown_app"),
    (HandMadeVisitor("myapp.example.com").hello, UNRECOGNIZED_NAME, "unknown_app"),
    (HandMadeVisitor("x.myapp.app.test").hello, UNRECOGNIZED_NAME, "unknown_app"),
    (b"GET / HTTP/1.1\r\nHost: myapp.app.test\r\n\r\n", DECODE_ERROR, "not_tls"),
    (b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", DECODE_ERROR, "client_hello_malformed"),
    (b"\x16\x03\x01\x40\x00\x01\x00\x40\x01" + bytes(100), DECODE_ERROR, "client_hello_too_large"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_who_cannot_be_served_hears_an_alert(site, said, alert, reason):
    assert alert_after(site, said) == alert
    line = site.control.wait_access(method="TLS", error=reason)
    assert line["status"] in (400, 404) and "agent" not in line
    assert site.control.metric("ee_passthrough_refused_total", reason=reason) == 1


def test_clients_of_others_making_say_which_alert_it_was(site):
    seen = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{site.port}", "-servername", "no.app.test"],
                          input=b"", capture_output=True, timeout=20)
    assert b"unrecognized name" in seen.stderr and b"alert number 112" in seen.stderr, seen.stderr
    with pytest.raises(ssl.SSLError, match="(?i)unrecognized.name"):
        visit(site.port, "no.app.test")


def test_an_app_whose_agents_are_v1_has_no_passthrough(site):
    site.control.wire_agent(app_name="old").attest().serve()
    site.control.wait_status("old", "active")
    assert alert_after(site, HandMadeVisitor("old.app.test").hello) == INTERNAL_ERROR
    assert site.control.wait_access(method="TLS")["error"] == "upgrade_unsupported"


def test_a_backend_that_is_not_there_is_an_internal_error(site):
    site.backend.stop()
    for visitor in range(3):  # The first has the certificate made for it; at the others nothing else moves.
        mark = len(site.control.access)
        started = time.monotonic()
        assert alert_after(site, HandMadeVisitor(NAME).hello) == INTERNAL_ERROR
        assert time.monotonic() - started < 2, visitor
        line = site.control.wait_access(method="TLS", since=mark)
        assert (line["status"], line["error"]) == (502, "backend_unreachable")


def test_a_backend_that_cannot_be_connected_to_in_5_s_is_silent_not_unreachable(site, world):
    full, healthy = FullListener(), world.backend()
    world.backends.append(full)
    world.agent(site.control, app="full", EE_BACKEND_URL=f"http://{full.address}", EE_HEALTH_URL=f"{healthy.url}/health")
    assert alert_after(site, HandMadeVisitor("full.app.test").hello) == INTERNAL_ERROR
    line = site.control.wait_access(method="TLS")
    assert (line["status"], line["error"]) == (504, "proxy_timeout")


def test_a_slow_hello_is_waited_for_ten_seconds(site):
    started = time.monotonic()
    with site.raw() as connection:
        connection.sendall(HandMadeVisitor(NAME).hello[:100])
        try:
            assert connection.recv(100) == b""
        except ConnectionResetError:
            pass
    assert 9.5 < time.monotonic() - started < 13
    assert site.control.wait_access(method="TLS")["error"] == "hello_timeout"


def test_it_is_off_by_default(world):
    control = world.control()
    assert not control.events("control.passthrough")
