"""HTTP/2 at the proxy listener, asked by clients and checkers that are not ours."""

import json
import os
import re
import shutil
import struct
import subprocess

import pytest

from backend import answer as answer_bytes
from backend import Cut
from harness import APP_DOMAIN, assert_below, assert_leaving_is_heard, raw_exchange, until
from programs import memory_factor
from raw_http2 import CONTINUATION, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS, Http2Connection
from streaming_backend import StreamingBackend

HOST = f"myapp.{APP_DOMAIN}"
MIB = 1024 * 1024


@pytest.fixture
def site(world):
    class Site:
        backend = StreamingBackend()
        control = world.control()
        agent = world.agent(control, backend, EE_HEALTH_INTERVAL_SEC=60)

        def connect(self, **how):
            return Http2Connection(self.control.proxy_port, HOST, **how)

        def url(self, path):
            return f"http://{HOST}:{self.control.proxy_port}{path}"

        def curl(self, *arguments, timeout=60):
            """What curl says, by HTTP/2 with prior knowledge."""
            resolve = f"{HOST}:{self.control.proxy_port}:127.0.0.1"
            done = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "--resolve", resolve, *arguments],
                                  capture_output=True, timeout=timeout, check=True)
            return done.stdout

    site = Site()
    yield site
    site.backend.stop()


class Echo:
    """A control plane and an agent before the backend that tells what it was asked."""

    def __init__(self, world):
        self.backend, self.control = world.backend(), world.control()
        self.agent = world.agent(self.control, self.backend)

    def connect(self, **how):
        return Http2Connection(self.control.proxy_port, HOST, **how)


@pytest.fixture
def echo(world):
    return Echo(world)


@pytest.fixture(scope="module")
def shared_echo(shared_world):
    return Echo(shared_world)


# ---- Clients that people use -------------------------------------------------------------------------------


def test_curl_with_prior_knowledge(site):
    said = site.curl("-o", "/dev/null", "-w", "%{http_version} %{http_code}", site.url("/")).decode()
    assert said == "2 200"
    said = site.curl("-o", "/dev/null", "-w", "%{http_version} %{http_code} %{size_download}",
                     site.url("/download/64")).decode()
    assert said == f"2 200 {64 * MIB}"


def test_curl_uploads_with_and_without_a_length(site):
    body = os.urandom(3 * MIB)
    for extra in [[], ["-H", "Expect: 100-continue"], ["-H", "Transfer-Encoding:", "-T", "-"]]:
        command = ["curl", "-sS", "--http2-prior-knowledge", "--resolve",
                   f"{HOST}:{site.control.proxy_port}:127.0.0.1", "-X", "POST", site.url("/upload")]
        command += extra if "-T" in extra else ["--data-binary", "@-", *extra]
        done = subprocess.run(command, input=body, capture_output=True, timeout=60, check=True)
        assert json.loads(done.stdout)["bytes"] == len(body), extra


def test_under_tls_alpn_chooses(world):
    tls = world.make_tls()
    backend = world.backend()
    control = world.control(EE_PROXY_TLS_CERT=tls["EE_TLS_CERT"], EE_PROXY_TLS_KEY=tls["EE_TLS_KEY"],
                            EE_APP_DOMAIN=None, EE_TRUSTED_PROXIES="127.0.0.0/8")
    world.agent(control, backend)
    for option, version in [("--http2", "2"), ("--http1.1", "1.1"), ("--no-alpn", "1.1")]:
        done = subprocess.run(
            ["curl", "-sS", option, "--cacert", world.tls_ca, "-H", "X-EE-App: myapp", "-o", "/dev/null", "-w",
             "%{http_version} %{http_code}", f"https://localhost:{control.proxy_port}/"],
            capture_output=True, text=True, timeout=30, check=True)
        assert done.stdout == f"{version} 200"
    # Of a client that speaks neither, the handshake is refused (RFC 7301 section 3.2).
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{control.proxy_port}", "-alpn", "spdy/3"],
                          input="", capture_output=True, text=True, timeout=30)
    assert "no application protocol" in done.stderr


@pytest.mark.skipif(shutil.which("h2load") is None, reason="no h2load: apt-get install nghttp2-client")
def test_h2load_gets_every_answer(site):
    done = subprocess.run(["h2load", "-n", "20000", "-c", "5", "-m", "50", "-H", f":authority: {HOST}",
                           f"http://127.0.0.1:{site.control.proxy_port}/"],
                          capture_output=True, text=True, timeout=120, check=True)
    assert "20000 succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout, done.stdout
    assert "20000 2xx" in done.stdout, done.stdout
    until(lambda: site.control.app_agents("myapp")[0]["open_streams"] == 0, what="no stream is left open")


# ---- Conformance -------------------------------------------------------------------------------------------

H2SPEC = shutil.which("h2spec", path=os.pathsep.join([os.environ.get("EE_H2SPEC_DIR", ""), os.environ["PATH"]]))
needs_h2spec = pytest.mark.skipif(
    H2SPEC is None, reason="no h2spec: go install github.com/summerwind/h2spec/cmd/h2spec@latest, or EE_H2SPEC_DIR")


def h2spec(control, *arguments):
    """(passed, what failed) of its 145 checks. It asks by the name localhost, so an app of that name answers."""
    done = subprocess.run([H2SPEC, "-h", "localhost", "-p", str(control.proxy_port), "-o", "5", *arguments],
                          capture_output=True, text=True, timeout=280)
    said = re.search(r"145 tests, (\d+) passed, 0 skipped, (\d+) failed", done.stdout)
    assert said, done.stdout + done.stderr
    return int(said[1]), sorted(set(re.findall(r"× (\d+: .*)", done.stdout)))


@needs_h2spec
def test_h2spec_finds_nothing_under_tls(world):
    tls = world.make_tls()
    control = world.control(EE_PROXY_TLS_CERT=tls["EE_TLS_CERT"], EE_PROXY_TLS_KEY=tls["EE_TLS_KEY"],
                            EE_APP_DOMAIN=None, EE_TRUSTED_PROXIES="127.0.0.0/8,::1")
    world.agent(control, world.backend(), app="localhost")
    assert h2spec(control, "-t", "-k") == (145, [])


@needs_h2spec
def test_h2spec_in_clear_finds_only_that_http1_is_spoken_too(world):
    control = world.control(EE_APP_DOMAIN=None, EE_TRUSTED_PROXIES="127.0.0.0/8,::1")
    world.agent(control, world.backend(), app="localhost")
    # What begins otherwise than the preface is taken for HTTP/1.1, and refused as such.
    assert h2spec(control) == (144, ["2: Sends invalid connection preface"])


# ---- Streams -----------------------------------------------------------------------------------------------


def test_requests_on_one_connection_are_answered_in_any_order(echo):
    held = echo.backend.hold("first")
    with echo.connect() as visitor:
        first = visitor.request("GET", "/hold/first")
        held.wait_arrived()
        second = visitor.request("GET", "/status/201")
        assert visitor.wait(second).status == 201
        assert visitor.answers[first].status is None
        held.release()
        assert visitor.wait(first).status == 200
    line = echo.control.wait_access(path="/status/201")
    assert line["status"] == 201 and "error" not in line


def test_what_the_backend_is_told(echo):
    with echo.connect() as visitor:
        extra = [("x-kept", "1"), ("te", "trailers"), ("cookie", "a=1"), ("cookie", "b=2"), ("ee-forged", "x"),
                 ("x-forwarded-for", "9.9.9.9")]
        answer = visitor.wait(visitor.request("POST", "/echo?q=%2F", extra, body=b"hello"))
    assert answer.status == 200
    told = json.loads(answer.body)
    fields = [(name.lower(), value) for name, value in told["headers"]]
    assert told["path"] == "/echo?q=%2F" and told["body_b64"] == "aGVsbG8="
    assert [value for name, value in fields if name == "host"] == [HOST]
    assert ("x-kept", "1") in fields and ("cookie", "a=1; b=2") in fields
    assert ("x-forwarded-for", "9.9.9.9, 127.0.0.1") in fields and ("via", "2.0 easyenclave") in fields
    assert not [name for name, _ in fields if name.startswith((":", "ee-"))]
    assert not {name for name, _ in answer.fields} & {"connection", "transfer-encoding", "keep-alive"}


def test_trailers_pass_both_ways(world):
    backend = world.backend()
    chunked = [("Transfer-Encoding", "chunked"), ("Trailer", "X-Sum")]
    backend.on("/trailers", lambda request: answer_bytes(200, chunked, b"3\r\none\r\n0\r\nX-Sum: 1\r\n\r\n"))
    control = world.control()
    world.agent(control, backend)
    with Http2Connection(control.proxy_port, HOST) as visitor:
        stream = visitor.request("POST", "/trailers", [("te", "trailers")], body=b"x", end=False)
        visitor.headers(stream, [("x-asked", "1")])
        answer = visitor.wait(stream)
    assert (answer.status, answer.body, answer.trailers) == (200, b"one", [("x-sum", "1")])


def test_a_websocket_by_extended_connect(site):
    mask = bytes(4)
    with site.connect() as visitor:
        assert visitor.peer_settings[8] == 1, "ENABLE_CONNECT_PROTOCOL"
        stream = visitor.next_stream()
        visitor.headers(stream, [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"),
                                 (":authority", HOST), (":path", "/ws"), ("sec-websocket-version", "13"),
                                 ("sec-websocket-protocol", "echo")], end=False)
        answer = visitor.answers[stream]
        assert visitor.until(lambda: answer.status)
        assert (answer.status, answer.field("sec-websocket-protocol")) == (200, "echo")
        visitor.data(stream, b"\x81\x85" + mask + b"hello")
        assert visitor.until(lambda: answer.body == b"\x81\x05hello"), answer.body
        visitor.data(stream, b"\x81\x85" + mask + b"close")
        closing = b"\x88\x0a\x0f\xa1as asked"
        assert visitor.until(lambda: answer.body.endswith(closing)), answer.body
        visitor.data(stream, b"\x88\x82" + mask + closing[2:4])
        assert visitor.wait(stream).ended
    unknown = [(":method", "CONNECT"), (":protocol", "connect-udp"), (":scheme", "http"), (":authority", HOST),
               (":path", "/ws")]
    with site.connect() as visitor:
        stream = visitor.next_stream()
        visitor.headers(stream, unknown, end=False)
        assert visitor.wait(stream).status == 501


def test_every_event_passes_at_once(site):
    with site.connect() as visitor:
        stream = visitor.request("GET", "/events")
        answer = visitor.answers[stream]
        assert visitor.until(lambda: answer.status == 200)

        def receive(event):
            assert visitor.until(lambda: answer.body.endswith(event)), answer.body

        assert_below(0.05, lambda: site.backend.slowest_event(receive))
        site.backend.emit(None)
        assert visitor.wait(stream).ended


def test_the_backend_hears_within_a_second_that_the_visitor_gave_up(site):
    with site.connect() as visitor:
        def leave():
            site.backend.arrived.clear()
            stream = visitor.request("POST", "/upload", body=b"x", end=False)
            assert site.backend.arrived.wait(5)
            visitor.cancel(stream)

        assert_leaving_is_heard(site.backend.cancelled, leave)
        assert visitor.wait(visitor.request("GET", "/")).status == 200


def test_where_one_stream_may_be_open_the_next_takes_the_place_of_one_that_is_over(world):
    backend, control = world.backend(), world.control(EE_MAX_STREAMS_PER_AGENT=1)
    world.agent(control, backend)
    requests = [f"GET /{n} HTTP/1.1\r\nHost: {HOST}\r\n{'Connection: close' if n == 4 else 'X: y'}\r\n\r\n"
                for n in range(5)]
    said = raw_exchange(control.proxy_port, "".join(requests).encode())
    assert re.findall(rb"HTTP/1.1 (\d+)", said) == [b"200"] * 5
    for n in range(5):
        held = backend.hold(f"left-{n}")
        with Http2Connection(control.proxy_port, HOST) as visitor:
            left = visitor.request("GET", f"/hold/left-{n}")
            held.wait_arrived()
            stream = visitor.next_stream()
            block = visitor.encoder.encode(visitor.fields("GET", "/"))
            visitor.raw(visitor.frame(RST_STREAM, 0, left, struct.pack(">I", 8)) +
                        visitor.frame(HEADERS, END_HEADERS | END_STREAM, stream, block))  # In one packet.
            assert visitor.wait(stream).status == 200
        held.release()


def test_a_reader_that_stops_holds_its_own_stream_and_no_memory(site):
    with site.connect() as visitor:
        assert visitor.wait(visitor.request("GET", "/")).status == 200
        before = site.control.rss_bytes() + site.agent.rss_bytes()
        visitor.consumes = False
        held = visitor.request("GET", "/download/1024")
        assert visitor.until(lambda: len(visitor.answers[held].body) == 65535), "the visitor's window"
        # The connection's window is as full: of a small answer only the head comes.
        for _ in range(20):
            assert visitor.until(lambda s=visitor.request("HEAD", "/"): visitor.answers[s].status == 200)
        after = site.control.rss_bytes() + site.agent.rss_bytes()
        assert after - before < 24 * MIB * memory_factor()
    assert site.backend.cancelled.wait(5), "the backend hears that the visitor has left"


def test_an_answer_that_breaks_off_resets_its_stream(world):
    backend = world.backend()
    backend.on("/cut", lambda request: Cut(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789"))
    control = world.control()
    world.agent(control, backend)
    with Http2Connection(control.proxy_port, HOST) as visitor:
        answer = visitor.wait(visitor.request("GET", "/cut"))
        assert not answer.ended or answer.status == 502
        assert visitor.wait(visitor.request("GET", "/status/200")).status == 200


def test_a_control_plane_that_stops_serves_what_has_begun(world):
    backend = world.backend()
    control = world.control()
    world.agent(control, backend)
    held = backend.hold("last")
    with Http2Connection(control.proxy_port, HOST) as visitor:
        stream = visitor.request("GET", "/hold/last")
        held.wait_arrived()
        control.process.terminate()
        assert visitor.until(lambda: visitor.goaway is not None)
        assert visitor.goaway == 0
        held.release()
        answer = visitor.wait(stream)
        assert (answer.status, answer.ended) == (200, True)
        visitor.wait_closed()
    assert control.process.wait(10) == 0


# ---- Smuggling ---------------------------------------------------------------------------------------------

PLAIN = [(":method", "POST"), (":scheme", "http"), (":authority", HOST), (":path", "/echo")]


def without(name):
    return [field for field in PLAIN if field[0] != name]


def changed(name, value):
    return [(field, value if field == name else before) for field, before in PLAIN]


# What is sent, and how it is refused: by a status, or by RST_STREAM (PROTOCOL_ERROR).
AMBIGUOUS_HEADS = {
    "CR LF in a value": (PLAIN + [("x", "a\r\nTransfer-Encoding: chunked")], "reset"),
    "LF in a value": (PLAIN + [("x", "a\nb")], "reset"),
    "CR in a value": (PLAIN + [("x", "a\rb")], "reset"),
    "NUL in a value": (PLAIN + [("x", "a\0b")], "reset"),
    "CR LF in a name": (PLAIN + [("x\r\ntransfer-encoding: chunked\r\ny", "a")], "reset"),
    "a colon in a name": (PLAIN + [("transfer-encoding: chunked", "a")], "reset"),
    "a space in a name": (PLAIN + [("x y", "a")], "reset"),
    "an upper-case name": (PLAIN + [("X-Upper", "a")], "reset"),
    "an empty name": (PLAIN + [("", "a")], "reset"),
    "white space before a value": (PLAIN + [("x", " a")], "reset"),
    "white space behind a value": (PLAIN + [("x", "a\t")], "reset"),
    "Transfer-Encoding": (PLAIN + [("transfer-encoding", "chunked")], "reset"),
    "Connection": (PLAIN + [("connection", "x-kept")], "reset"),
    "Keep-Alive": (PLAIN + [("keep-alive", "timeout=5")], "reset"),
    "Proxy-Connection": (PLAIN + [("proxy-connection", "keep-alive")], "reset"),
    "Upgrade": (PLAIN + [("upgrade", "h2c")], "reset"),
    "TE other than trailers": (PLAIN + [("te", "trailers, chunked")], "reset"),
    "two lengths": (PLAIN + [("content-length", "4"), ("content-length", "5")], "reset"),
    "two equal lengths": (PLAIN + [("content-length", "4"), ("content-length", "4")], "reset"),
    "a list of lengths": (PLAIN + [("content-length", "4, 4")], "reset"),
    "a length with a sign": (PLAIN + [("content-length", "+4")], "reset"),
    "a negative length": (PLAIN + [("content-length", "-4")], "reset"),
    "a hexadecimal length": (PLAIN + [("content-length", "0x4")], "reset"),
    "a length too large for any": (PLAIN + [("content-length", "18446744073709551620")], "reset"),
    "a body shorter than its length": (PLAIN + [("content-length", "5")], "cut"),
    "a body longer than its length": (PLAIN + [("content-length", "3")], "cut"),
    "another Host": (PLAIN + [("host", "other." + APP_DOMAIN)], 400),
    "two Hosts": (without(":authority") + [("host", HOST), ("host", HOST)], "reset"),
    "no authority": (without(":authority"), "reset"),
    "an authority with a path": (changed(":authority", HOST + "/x"), "refused"),
    "an authority with user information": (changed(":authority", "a@" + HOST), "refused"),
    "an authority with CR LF": (changed(":authority", HOST + "\r\nX: y"), "reset"),
    "two authorities": (PLAIN + [(":authority", HOST)], "reset"),
    "a request line in the path": (changed(":path", "/ HTTP/1.1\r\nHost: x\r\n\r\nGET /smuggled"), "refused"),
    "a space in the path": (changed(":path", "/a b"), "refused"),
    "a fragment": (changed(":path", "/a#b"), "refused"),
    "an absolute path": (changed(":path", "http://other.app.test/"), "reset"),
    "an empty path": (changed(":path", ""), "reset"),
    "no path": (without(":path"), "reset"),
    "the asterisk": (changed(":path", "*"), "reset"),
    "two paths": (PLAIN + [(":path", "/b")], "reset"),
    "a request line in the method": (changed(":method", "GET / HTTP/1.1\r\nX: y"), "refused"),
    "no method": (without(":method"), "reset"),
    "another scheme": (changed(":scheme", "ftp"), 400),
    "no scheme": (without(":scheme"), "reset"),
    "an unknown pseudo-header field": (PLAIN + [(":x", "y")], "reset"),
    "an answer's pseudo-header field": (PLAIN + [(":status", "200")], "reset"),
    "a pseudo-header field behind another": (PLAIN[:3] + [("x", "y")] + PLAIN[3:], "reset"),
    "plain CONNECT": ([(":method", "CONNECT"), (":authority", HOST)], "refused"),
    "a head over 64 KiB": (PLAIN + [(f"x-{i}", "a" * 8000) for i in range(9)], 431),
    "201 fields": (PLAIN + [("x", "a")] * 201, 431),
    "an unknown expectation": (PLAIN + [("expect", "tea")], 417),
}


@pytest.mark.parametrize("name", AMBIGUOUS_HEADS)
def test_lesson_23_what_two_servers_could_read_differently_is_refused(shared_echo, name):
    fields, how = AMBIGUOUS_HEADS[name]
    before = len(shared_echo.backend.requests)
    with shared_echo.connect() as visitor:
        stream = visitor.next_stream()
        large = sum(len(field) + len(value) for field, value in fields) > 16000
        if large:
            send_in_pieces(visitor, stream, fields)
        else:
            visitor.headers(stream, fields, end=False)
        visitor.data(stream, b"four", end=True)
        refused = visitor.wait(stream)
        if how == "reset":
            assert (refused.status, refused.reset) == (None, 1), vars(refused)
        elif how == "refused":
            assert refused.reset == 1 or refused.status in (400, 501), vars(refused)
        elif how == "cut":
            assert refused.reset is not None or refused.status in (400, 502), vars(refused)
        else:
            assert refused.status == how, vars(refused)
        # That request alone.
        assert visitor.wait(visitor.request("GET", "/status/200")).status == 200
    # What began and was cut, in this row or one before, is no request: who was told a length did not get so much.
    whole = [request for request in shared_echo.backend.requests[before:] if request.target != "/status/200"
             and request.header("Content-Length") in ([], [str(len(request.body))])]
    assert not whole, [vars(request) for request in whole]


def send_in_pieces(visitor, stream, fields):
    block = visitor.encoder.encode(fields)
    pieces = [block[at:at + 16000] for at in range(0, len(block), 16000)]
    for at, piece in enumerate(pieces):
        flags = END_HEADERS if at == len(pieces) - 1 else 0
        visitor.send(CONTINUATION if at else HEADERS, flags, stream, piece)


# ---- Abuse -------------------------------------------------------------------------------------------------


def test_floods_end_their_connection_and_nobody_elses(shared_echo):
    floods = {
        "resets": lambda visitor: [visitor.cancel(visitor.request("GET", "/slow/5")) for _ in range(2000)],
        "pings": lambda visitor: [visitor.send(PING, 0, 0, bytes(8)) for _ in range(20000)],
        "settings": lambda visitor: [visitor.send(SETTINGS, 0, 0, b"\0\1\0\0\x10\0") for _ in range(20000)],
        "continuations": endless_head,
        "heads that unfold": unfolding_heads,
    }
    with shared_echo.connect() as other:
        assert other.wait(other.request("GET", "/status/200")).status == 200
        before = shared_echo.control.rss_bytes()
        for name, flood in floods.items():
            with shared_echo.connect() as visitor:
                try:
                    flood(visitor)
                    visitor.wait_closed()
                except OSError:  # Cut while it was sending.
                    visitor.closed = True
                assert visitor.closed, name
        assert other.wait(other.request("GET", "/status/200")).status == 200
        assert shared_echo.control.rss_bytes() - before < 24 * MIB * memory_factor()


def endless_head(visitor):
    stream = visitor.next_stream()
    visitor.send(HEADERS, 0, stream, visitor.encoder.encode(visitor.fields("GET", "/")))
    for i in range(20000):
        visitor.send(CONTINUATION, 0, stream, visitor.encoder.encode([(f"x-{i}", "a" * 1000)]))


def unfolding_heads(visitor):
    """A field of 3,900 bytes in HPACK's table, and heads of as many references to it as a frame holds, a byte each."""
    fields = visitor.encoder.encode(visitor.fields("GET", "/"))
    length = bytes([0x7f, 0x80 | (3900 - 127) & 0x7f, (3900 - 127) >> 7])
    visitor.send(HEADERS, END_HEADERS | END_STREAM, visitor.next_stream(), fields + b"\x40\x01x" + length + b"v" * 3900)
    for _ in range(200):
        visitor.send(HEADERS, END_HEADERS | END_STREAM, visitor.next_stream(),
                     visitor.encoder.encode(visitor.fields("GET", "/")) + b"\xbe" * 16000)
