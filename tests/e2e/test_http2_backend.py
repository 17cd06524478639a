"""A backend that speaks HTTP/2 with prior knowledge (EE_BACKEND_URL=h2c://...), from the visitor to it and back."""

import hashlib
import json

import pytest

from harness import APP_DOMAIN, assert_leaving_is_heard, until
from http2_backend import Http2Backend
from programs import memory_factor
from raw_http import Connection
from raw_http2 import Http2Connection
from streaming_backend import PIECE

HOST = f"myapp.{APP_DOMAIN}"
MIB = 1024 * 1024
CANCEL = 8


@pytest.fixture
def site(world):
    class Site:
        backend = Http2Backend()
        control = world.control()
        agent = world.agent(control, backend, EE_HEALTH_INTERVAL_SEC=60)

        def connection(self, **how):
            return Connection(self.control.proxy_port, **how)

        def get(self, path):
            return self.control.visit("myapp", path)

        def rss(self):
            return self.control.rss_bytes() + self.agent.rss_bytes()

        def open_streams(self):
            return self.control.app_agents("myapp")[0]["open_streams"]

    site = Site()
    yield site
    site.backend.stop()


def read_to_the_end_of_chunks(visitor):
    got = visitor.buffered()
    while b"\r\n0\r\n" not in got or not got.endswith(b"\r\n\r\n"):
        piece = visitor.socket.recv(4096)
        assert piece, got
        got += piece
    return got


def test_requests_arrive_without_what_belongs_to_the_hop(site):
    fields = {"X-One": "1", "Connection": "x-hop, te", "X-Hop": "1", "TE": "trailers, gzip", "Keep-Alive": "5"}
    got = dict(site.control.visit("myapp", "/fields", headers=fields).json())
    assert (got[":method"], got[":path"], got[":scheme"], got[":authority"]) == ("GET", "/fields", "http", HOST)
    assert got["x-one"] == "1" and got["te"] == "trailers" and got["x-forwarded-host"] == HOST
    assert not {"connection", "x-hop", "keep-alive", "host"} & got.keys()
    assert site.control.envelope("myapp", "GET", "/").text == "ok"
    assert site.backend.accepted == 2, "one connection to probe, one for all requests"


def test_large_bodies_pass_both_ways_without_filling_memory(site):
    size = 128 * MIB
    site.get("/")
    before, peak, sha = site.rss(), 0, hashlib.sha256()
    with site.connection(timeout=60) as visitor:
        visitor.send(f"POST /upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {size}\r\n\r\n".encode())
        for at in range(0, size, len(PIECE)):
            visitor.send(PIECE)
            sha.update(PIECE)
            if at % (4 * MIB) == 0:
                peak = max(peak, site.rss())
        got = json.loads(visitor.read_answer().body)
        assert (got["bytes"], got["sha256"]) == (size, sha.hexdigest())
        visitor.send(f"GET /download/128 HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        assert visitor.read_head()[0] == 200
        came = hashlib.sha256(visitor.buffered())
        left = size - len(visitor.buffered())
        while left:
            piece = visitor.socket.recv(MIB)
            left -= len(piece)
            came.update(piece)
            if left % 16 == 0:
                peak = max(peak, site.rss())
        assert came.digest() == sha.digest()
    # Windows grow to 8 MiB where either side takes its time.
    assert peak - before < 64 * MIB * memory_factor(), f"{(peak - before) / MIB:.0f} MiB more"


def test_trailers_pass_both_ways(site):
    for path, fields, wanted in (("/trailers", "TE: trailers\r\nConnection: TE\r\n", b"\r\n0\r\ngrpc-status: 0\r\n\r\n"),
                                 ("/trailers", "", b"\r\n0\r\n\r\n")):
        with site.connection() as visitor:
            visitor.send(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n".encode())
            assert visitor.read_head()[0] == 200
            assert read_to_the_end_of_chunks(visitor).endswith(b"7\r\nmessage" + wanted)
    answer = site.get("/trailers-only")
    assert (answer.status, answer.header("grpc-status"), answer.body) == (200, "12", b"")
    with Http2Connection(site.control.proxy_port, HOST) as visitor:
        empty = visitor.wait(visitor.request("POST", "/trailers/empty", [("te", "trailers")]))
    assert (empty.status, empty.field("content-length"), empty.trailers) == (200, "0", [("grpc-status", "0")])
    answer = site.get("/trailers/empty")  # Over HTTP/1.1 there is no room for them.
    assert (answer.status, answer.header("content-length"), answer.body) == (200, "0", b"")
    with site.connection() as visitor:
        visitor.send(f"POST /upload HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n".encode())
        got = json.loads(visitor.read_answer().body)
        assert got["bytes"] == 3 and got["trailers"] == {"x-sum": "1"}


def test_interim_answers_pass(site):
    with site.connection() as visitor:
        visitor.send(f"GET /early HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        status, fields = visitor.read_head()
        assert status == 103 and ("link", "</style.css>") in [(name.lower(), value) for name, value in fields]
        assert visitor.read_answer().body == b"late"


def test_a_backend_that_restarts_is_found_again_by_itself(site):
    assert site.get("/").text == "ok"
    for _ in range(3):
        site.backend.kill()
        site.backend.start()
        assert site.control.visit("myapp", "/upload", "POST", body=b"x").json()["bytes"] == 1
        site.backend.goaway()
        assert site.control.visit("myapp", "/upload", "POST", body=b"y").json()["bytes"] == 1


def test_what_was_begun_is_finished_on_a_connection_that_takes_no_more(site):
    with site.connection() as visitor:
        visitor.send(f"GET /half HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        assert visitor.read_head()[0] == 200
        site.backend.goaway()
        assert site.get("/").text == "ok"
        site.backend.finish_half()
        got = visitor.buffered()
        while len(got) < 8:
            got += visitor.socket.recv(64)
        assert got == b"halfhalf"


def test_a_backend_killed_during_a_request_is_502_before_the_head_and_a_cut_behind_it(site):
    with site.connection() as early, site.connection() as late:
        late.send(f"GET /half HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        assert late.read_head()[0] == 200
        site.backend.arrived.clear()
        early.send(f"POST /hold HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\r\n".encode())
        assert site.backend.arrived.wait(5)
        site.backend.kill()
        answer = early.read_answer()
        assert (answer.status, answer.reason) == (502, "backend_unreachable")
        got = late.buffered()
        while piece := late.socket.recv(64):
            got += piece
        assert got == b"half", "cut, not completed"
    refused = site.get("/")
    assert (refused.status, refused.reason) == (502, "backend_unreachable")
    site.backend.start()
    assert site.get("/").text == "ok"
    until(lambda: site.open_streams() == 0, what="no stream is left open")


def test_the_backend_hears_within_a_second_that_the_visitor_left(site):
    def leave():
        with site.connection() as visitor:
            visitor.send(f"GET /half HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            assert visitor.read_head()[0] == 200

    assert_leaving_is_heard(site.backend.reset, leave)
    assert set(site.backend.resets) == {CANCEL}
    until(lambda: site.open_streams() == 0, what="no stream is left open")
    assert site.get("/").text == "ok"


def test_slow_ones_slow_nobody_else_on_the_same_connection(site):
    site.get("/")
    before = site.rss()
    with site.connection(receive_buffer=16 * 1024) as reader, site.connection(timeout=1) as writer:
        reader.send(f"GET /download/64 HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        assert reader.read_head()[0] == 200
        site.backend.arrived.clear()
        writer.send(f"POST /upload/held HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {64 * MIB}\r\n\r\n".encode())
        assert site.backend.arrived.wait(5)
        sent = 0
        try:
            while sent < 64 * MIB:
                sent += writer.socket.send(PIECE)
        except TimeoutError:
            pass
        assert sent < 32 * MIB, "the visitor is held back"
        for _ in range(20):
            assert site.get("/").text == "ok"
        assert site.rss() - before < 24 * MIB * memory_factor()
        site.backend.go()
        writer.socket.settimeout(30)
        while sent < 64 * MIB:
            sent += writer.socket.send(PIECE[:64 * MIB - sent])
        assert json.loads(writer.read_answer().body)["bytes"] == 64 * MIB


def test_an_upload_that_has_all_of_a_connections_window_holds_up_no_other_body(world):
    backend = Http2Backend(grows_window=False)
    world.backends.append(backend)
    control = world.control()
    world.agent(control, backend, EE_HEALTH_INTERVAL_SEC=60)
    with Connection(control.proxy_port, timeout=1) as writer:
        writer.send(f"POST /upload/held HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {64 * MIB}\r\n\r\n".encode())
        assert backend.arrived.wait(5)
        with pytest.raises(TimeoutError):
            for _ in range(0, 64 * MIB, len(PIECE)):
                writer.send(PIECE)
        for _ in range(5):
            assert control.visit("myapp", "/upload", "POST", body=b"x" * 1000).json()["bytes"] == 1000
            assert control.visit("myapp", "/").text == "ok"
        assert len(backend.connections) == 2, "one for the upload, one for what follows"


UPGRADE = (f"GET /ws HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode()


def test_a_websocket_goes_by_extended_connect(site):
    with site.connection() as visitor:
        visitor.send(UPGRADE)
        status, fields = visitor.read_head()
        assert status == 101
        assert ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") in [(n.lower(), v) for n, v in fields]
        for message in (b"first", bytes(300_000)):
            visitor.send(message)
            got = visitor.buffered()
            while len(got) < len(message):
                got += visitor.socket.recv(MIB)
            assert got == message
    until(lambda: site.open_streams() == 0, what="no stream is left open")


def test_a_websocket_that_the_backend_does_not_take_is_501(world):
    backend = Http2Backend(connect_protocol=False)
    world.backends.append(backend)
    control = world.control()
    world.agent(control, backend)
    with Connection(control.proxy_port) as visitor:
        visitor.send(UPGRADE)
        answer = visitor.read_answer()
        assert (answer.status, answer.reason) == (501, "upgrade_unsupported")


def test_the_backends_limit_on_streams_is_kept(world):
    backend = Http2Backend(streams_max=2)
    world.backends.append(backend)
    control = world.control()
    world.agent(control, backend, EE_HEALTH_INTERVAL_SEC=60)
    visitors = [Connection(control.proxy_port) for _ in range(5)]
    for visitor in visitors:
        visitor.send(f"GET /half HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    for visitor in visitors:
        assert visitor.read_head()[0] == 200
    assert len(backend.connections) == 3
    for visitor in visitors:
        visitor.close()


def test_health_is_asked_over_http2(world):
    backend = Http2Backend()
    world.backends.append(backend)
    control = world.control()
    agent = world.agent(control, backend, EE_HEALTH_URL=backend.url + "/")
    backend.kill()
    agent.wait_event("backend.unhealthy")
    until(lambda: control.visit("myapp", "/").status == 503, what="the agent is out of routing")
    backend.start()
    agent.wait_event("backend.healthy", count=2)
    until(lambda: control.visit("myapp", "/").status == 200, what="the agent is routed to again")
