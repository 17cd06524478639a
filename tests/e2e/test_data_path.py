"""The data path: a visitor's request through the proxy listener or the envelope, the tunnel (v1), and the backend.

Tests called test_lesson_NN_... are faults that tunnels of this kind were seen to have: none of them may come back."""

import base64
import concurrent.futures
import gzip
import json
import re
import socket
import sqlite3
import time

import pytest

from backend import Backend, Cut, answer, pattern
from event_stream import EventStream
from harness import ADMIN_TOKEN, APP_DOMAIN, until
from raw_http import Connection, FramingError
from wire_agent import text_answer

HOST = f"myapp.{APP_DOMAIN}"
TRUSTED = "127.0.0.9"  # The only address whose forwarding headers are believed; tests come from 127.0.0.1.
MIB = 1024 * 1024


class Site:
    """A control plane, one easyenclave-agent and its backend, shared by the tests of this file."""

    def __init__(self, world):
        self.backend = world.backend()
        self.control = world.control(EE_TRUSTED_PROXIES=TRUSTED + "/32", EE_MAX_BODY_BYTES=4 * MIB)
        self.agent = world.agent(self.control, self.backend, EE_HEALTH_INTERVAL_SEC=60)
        self.visit = lambda *args, **how: self.control.visit("myapp", *args, **how)

    def connection(self, **how):
        return Connection(self.control.proxy_port, **how)

    def assert_tunnel_stood(self, since):
        assert not self.control.events("agent.disconnected", since=since, app="myapp")


@pytest.fixture(scope="module")
def site(shared_world):
    return Site(shared_world)


@pytest.fixture(scope="module")
def wired(shared_world):
    """A control plane to which the tests bring agents spoken by hand."""
    return shared_world.control(EE_TRUSTED_PROXIES=TRUSTED + "/32", EE_MAX_BODY_BYTES=MIB,
                                EE_DB_PATH=shared_world.path / "wired.db")


def wire_app(control, app, handler=None, **register):
    """An agent by hand that serves `app`."""
    return control.wire_agent(app_name=app, agent_id=f"agent-of-{app}", **register).attest().serve(handler)


def received(answer_):
    """What the backend got, from its echo: (method, path, headers as pairs, body)."""
    echo = answer_.json()
    return echo["method"], echo["path"], echo["headers"], base64.b64decode(echo["body_b64"])


def values(pairs, name):
    return [value for field, value in pairs if field.lower() == name.lower()]


def in_background(function, *args, **how):
    pool = concurrent.futures.ThreadPoolExecutor(1)
    future = pool.submit(function, *args, **how)
    pool.shutdown(wait=False)
    return future


# ---- 1: bodies at the limits of v1 -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def narrow(shared_world):
    """An app whose agent speaks v1: whole requests, in frames of at most 4 MiB."""
    control = shared_world.control(EE_MAX_BODY_BYTES=8 * MIB, EE_DB_PATH=shared_world.path / "narrow.db")
    return control, wire_app(control, "narrow")


@pytest.mark.parametrize("size", [3 * MIB + 200 * 1024, 4 * MIB, 5 * MIB])
def test_lesson_01_a_request_too_large_for_a_v1_tunnel_is_refused_at_once_and_alone(narrow, size):
    control, agent = narrow
    started = time.monotonic()
    refused = control.visit("narrow", "/echo", "POST", body=pattern(size))
    assert (refused.status, refused.reason) == (413, "body_too_large")
    assert time.monotonic() - started < 3
    assert control.visit("narrow").status == 200
    assert not agent.closed


def test_lesson_01_the_largest_request_that_is_sent_is_one_that_a_deployed_agent_takes(narrow):
    control, _ = narrow
    sizes = []

    def measure(request):
        sizes.append(len(json.dumps(request, separators=(",", ":"))))
        return text_answer("")(request)

    agent = wire_app(control, "deployed", measure, max_msg_size=4 * MIB)  # aiohttp's own limit.

    def upload(size, pad):
        return control.visit("deployed", "/in", "POST", body=bytes(size), headers={
            "X-Request-Id": "0123456789abcdef", "traceparent": f"00-{'1' * 32}-{'2' * 16}-01", "X-Pad": "p" * pad})

    assert upload(3 * MIB - 6000, 1).status == 200
    missing = 4 * MIB - 1 - sizes[0]
    assert upload(3 * MIB - 6000, 1 + missing).status == 200
    assert sizes[1] == 4 * MIB - 1
    refused = upload(3 * MIB - 6000, 2 + missing)
    assert (refused.status, refused.reason) == (413, "body_too_large")
    assert upload(0, 1).status == 200
    assert len(sizes) == 3 and not agent.closed


def test_lesson_01_so_is_a_chunked_one_whose_size_nobody_knew(narrow):
    control, agent = narrow
    with Connection(control.proxy_port) as visitor:
        visitor.send(f"POST /echo HTTP/1.1\r\nHost: narrow.{APP_DOMAIN}\r\n"
                     "Transfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"%x\r\n" % (64 * 1024) + bytes(64 * 1024) + b"\r\n"
        for _ in range(5 * 16):
            visitor.send(chunk)
        visitor.send(b"0\r\n\r\n")
        refused = visitor.read_answer()
    assert (refused.status, refused.reason) == (413, "body_too_large")
    assert control.visit("narrow").status == 200
    assert not agent.closed


def test_lesson_01_an_agent_that_sends_too_large_an_answer_keeps_its_tunnel(wired):
    size = {"bytes": MIB + 1}
    agent = wire_app(wired, "large", lambda request: text_answer("x" * size["bytes"])(request))
    refused = wired.visit("large")
    assert (refused.status, refused.reason) == (502, "bad_agent_answer")
    size["bytes"] = MIB
    assert len(wired.visit("large").body) == MIB
    assert not agent.closed


def test_lesson_01_a_body_that_just_fits_passes_both_ways(site):
    body = pattern(int(2.9 * MIB))
    site.backend.on("/mirror", lambda request: answer(200, [("Content-Type", "application/octet-stream")], request.body))
    assert site.visit("/mirror", "POST", body=body).body == body
    assert site.control.envelope("myapp", "POST", "/mirror", body=body).body == body


# ---- 4: framing, coding, cookies, redirects, targets ------------------------------------------------------


def test_lesson_04_a_chunked_answer_has_one_framing_and_an_end(site):
    with site.connection() as visitor:
        first = visitor.request("GET", "/chunked", HOST)
        assert (first.status, first.body) == (200, b"onetwothree")
        assert len(first.header_all("Content-Length") + first.header_all("Transfer-Encoding")) == 1
        # The connection goes on: nothing was left over or taken away.
        assert visitor.request("GET", "/status/201", HOST).body == b"status 201"


def test_lesson_04_a_gzip_body_stays_gzip(site):
    coded = site.visit("/gzip", headers={"Accept-Encoding": "gzip"})
    assert coded.header_all("Content-Encoding") == ["gzip"]
    assert coded.body == gzip.compress(b"compressed", mtime=0)


def test_lesson_04_every_set_cookie_arrives(site):
    assert site.visit("/cookies").header_all("Set-Cookie") == ["a=1; Path=/", "b=2"]


def test_lesson_04_the_host_is_passed_as_the_visitor_sent_it(site):
    for host in (HOST, f"MyApp.{APP_DOMAIN.upper()}:9090", f"x.y.{HOST}".split(".", 2)[2]):
        _, _, headers, _ = received(site.visit("/", headers=[("Host", host)]))
        assert values(headers, "Host") == [host]


TARGETS = ["//a//b/../x?q=%2F", "/a/./b/../../c", "/%2e%2e/%2F%00%zz", "/a;b=c,d@e:f!$&'()*+", "/?", "/??a=b?c", "/?a=b&a=b#"[:-1],
           "/" + "p" * 8000, "/x?url=http://169.254.169.254/", '/a"b<c>d|e\\f^g`h{i}']


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target[:40])
def test_lesson_04_the_target_reaches_the_backend_byte_by_byte(site, target):
    with site.connection() as visitor:
        _, path, _, _ = received(visitor.request("GET", target, HOST))
    assert path == target
    assert received(site.control.envelope("myapp", "GET", target))[1] == target


# ---- 5: chunked uploads ------------------------------------------------------------------------------------


def test_lesson_05_a_chunked_upload_arrives_and_wedges_nothing(site):
    body = pattern(MIB)
    with site.connection() as visitor:
        visitor.send(f"POST /echo HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        visitor.send(b"10000;ext=1\r\n" + body[:65536] + b"\r\n")
        # While this upload waits for its visitor, others are served.
        assert site.visit("/status/200").status == 200
        for at in range(65536, len(body), 65536):
            visitor.send(b"10000\r\n" + body[at:at + 65536] + b"\r\n")
        visitor.send(b"0\r\nX-Trailer: t\r\n\r\n")
        method, _, headers, arrived = received(visitor.read_answer("POST"))
        assert (method, arrived) == ("POST", body)
        assert values(headers, "Transfer-Encoding") == ["chunked"]  # Nobody knows how much will come.
        assert visitor.request("GET", "/status/200", HOST).status == 200


# ---- 6: WebSocket ------------------------------------------------------------------------------------------


def test_lesson_06_a_websocket_upgrade_is_refused_in_words_where_the_tunnel_cannot_carry_it(narrow):
    control, agent = narrow
    upgrade = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
               ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]
    with Connection(control.proxy_port) as visitor:
        refused = visitor.request("GET", "/socket", f"narrow.{APP_DOMAIN}", upgrade)
    assert (refused.status, refused.reason) == (501, "upgrade_unsupported")
    assert not [m for m in agent.messages if m["type"] == "proxy_request" and m["path"] == "/socket"]


# ---- 7: many at once ---------------------------------------------------------------------------------------


def test_lesson_07_a_fast_request_overtakes_slow_ones(site):
    holds = [site.backend.hold(f"slow-{i}") for i in range(8)]
    slow = [in_background(site.visit, f"/hold/slow-{i}") for i in range(8)]
    for hold in holds:
        hold.wait_arrived()
    assert site.visit("/status/200").status == 200  # While all eight wait.
    for hold in holds:
        hold.release()
    assert [future.result(10).body for future in slow] == [b"held slow-%d" % i for i in range(8)]


def test_lesson_07_a_serial_agent_gets_its_requests_one_at_a_time(wired):
    agent = wire_app(wired, "serial", lambda request: None)
    visits = [in_background(wired.visit, "serial", f"/{i}") for i in range(3)]
    seen = []
    for turn in range(3):
        request = agent.expect("proxy_request")
        seen.append(request["path"])
        until(lambda: wired.app_agents("serial")[0]["open_streams"] == 3 - turn, what="the others wait")
        # The next one is sent when this one is answered, and not before.
        assert len([m for m in agent.messages if m["type"] == "proxy_request"]) == turn + 1
        agent.send({"type": "proxy_response", "request_id": request["request_id"],
                    **text_answer(request["path"])(request)})
    assert sorted(seen) == ["/0", "/1", "/2"]
    assert [visit.result(10).text for visit in visits] == ["/0", "/1", "/2"]


# ---- 8, 9, 10: backend down, first heartbeat, disk --------------------------------------------------------


def test_lesson_08_a_backend_that_is_down_is_reported_at_once(site):
    mark = site.control.mark()
    site.backend.stop()
    try:
        started = time.monotonic()
        refused = site.visit("/status/200")
        assert (refused.status, refused.reason) == (502, "backend_unreachable")
        assert time.monotonic() - started < 2
    finally:
        site.backend.start()
    assert site.visit("/status/200").status == 200
    site.assert_tunnel_stood(mark)


def test_lesson_09_an_agent_serves_from_its_attestation_on(wired):
    agent = wire_app(wired, "prompt", text_answer("at once"))
    assert wired.visit("prompt").text == "at once"
    assert wired.resolve("prompt")["health_status"] == "pass"
    assert not [m for m in agent.messages if m["type"] == "health"]


def test_lesson_10_serving_writes_nothing_to_the_store(wired, shared_world):
    agent = wire_app(wired, "diskless", text_answer("ok"))

    def store():
        return {path.name: (path.stat().st_size, path.stat().st_mtime_ns)
                for path in shared_world.path.glob("wired.db*")
                # The index of the -wal in memory, which readers write, too; the mark that the process lives.
                if not path.name.endswith(("-shm", ".alive"))}

    def written():
        with open(f"/proc/{wired.pid}/io") as counters:
            return int(dict(line.split(": ") for line in counters)["write_bytes"])

    assert wired.visit("diskless").status == 200
    # What the attestation leaves behind is on disk once it can be read.
    assert len(wired.get("/v1/apps/diskless/evidence").json()["items"]) == 1
    with EventStream(wired, after=0, app="diskless") as events:
        events.wait_for("attested")
    before, bytes_before, began = store(), written(), time.monotonic()
    assert before
    for _ in range(200):
        assert wired.visit("diskless").status == 200
        agent.send({"type": "health", "status": "pass"})  # As deployed agents do after every answer.
    assert store() == before
    marks = 1 + (time.monotonic() - began) // 5
    assert written() - bytes_before <= 4096 * marks, "more than the mark, which is made each 5 s"


# ---- 21, 22: other hosts, other visitors -------------------------------------------------------------------


@pytest.fixture(scope="module")
def canary():
    """Something that must not be reached."""
    backend = Backend()
    yield backend
    backend.stop()


def test_lesson_21_an_absolute_target_reaches_no_other_host(site, canary):
    other = f"127.0.0.1:{canary.port}"
    for target, host in ((f"http://{other}/steal", HOST), (f"http://{other}/steal", other),
                         (f"http://{HOST}@{other}/steal", HOST), (f"http://{other}", HOST),
                         ("ftp://x/y", HOST), (f"http://{HOST}?x", HOST)):
        with site.connection() as visitor:
            refused = visitor.request("GET", target, host)
            assert refused.status == 400, target
            assert refused.reason in ("bad_request", "missing_app")
    # One that names this very host is valid (RFC 9112 section 3.2.2): its path goes to the app's own backend.
    with site.connection() as visitor:
        _, path, headers, _ = received(visitor.request("GET", f"http://{HOST}/own?x=1", HOST))
    assert (path, values(headers, "Host")) == ("/own?x=1", [HOST])
    assert not canary.requests


def test_lesson_21_no_envelope_reaches_another_host(site, canary):
    other = f"127.0.0.1:{canary.port}"
    for path in (f"http://{other}/steal", f"{other}/steal", f"@{other}/", "", "steal", "*", "\\\\x", " /x", "/a b",
                 "/a\r\nHost: x", "/a#b", "/ä"):
        refused = site.control.envelope("myapp", "GET", path)
        assert (refused.status, refused.reason) == (422, "invalid_field:path"), path
    assert received(site.control.envelope("myapp", "GET", f"//{other}/x"))[1] == f"//{other}/x"
    answer_ = site.control.envelope("myapp", "GET", "/x", {"Host": other})
    assert values(received(answer_)[2], "Host") == [other]
    assert not canary.requests


def test_lesson_21_redirects_are_the_visitors_to_follow(site, canary):
    to = f"http://127.0.0.1:{canary.port}/stolen"
    answers = [site.visit(f"/redirect?to={to}"), site.control.envelope("myapp", "GET", f"/redirect?to={to}")]
    for redirect in answers:
        assert (redirect.status, redirect.header("Location")) == (302, to)
    assert not canary.requests
    assert not [request for request in site.backend.requests if request.target.startswith("/stolen")]


def test_lesson_22_visitors_share_no_cookies(site):
    assert site.visit("/cookies").header_all("Set-Cookie")
    _, _, headers, _ = received(site.visit("/"))
    assert not values(headers, "Cookie")
    _, _, headers, _ = received(site.visit("/", headers={"Cookie": "mine=1"}))
    assert values(headers, "Cookie") == ["mine=1"]


# ---- 23: smuggling -----------------------------------------------------------------------------------------

AMBIGUOUS_REQUESTS = {
    "CL and TE": (b"POST / HTTP/1.1\r\nHost: %H%\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", 400),
    "TE and CL": (b"POST / HTTP/1.1\r\nHost: %H%\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nG", 400),
    "two CL": (b"POST / HTTP/1.1\r\nHost: %H%\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    "two equal CL": (b"POST / HTTP/1.1\r\nHost: %H%\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", 400),
    "CL list": (b"POST / HTTP/1.1\r\nHost: %H%\r\nContent-Length: 1, 1\r\n\r\na", 400),
    "CL sign": (b"POST / HTTP/1.1\r\nHost: %H%\r\nContent-Length: +1\r\n\r\na", 400),
    "CL negative": (b"POST / HTTP/1.1\r\nHost: %H%\r\nContent-Length: -1\r\n\r\na", 400),
    "CL hex": (b"POST / HTTP/1.1\r\nHost: %H%\r\nContent-Length: 0x1\r\n\r\na", 400),
    "CL empty": (b"POST / HTTP/1.1\r\nHost: %H%\r\nContent-Length: \r\n\r\n", 400),
    "CL overflow": (b"POST / HTTP/1.1\r\nHost: %H%\r\nContent-Length: 18446744073709551617\r\n\r\na", 400),
    "TE twice": (b"POST / HTTP/1.1\r\nHost: %H%\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "TE identity": (b"POST / HTTP/1.1\r\nHost: %H%\r\nTransfer-Encoding: identity\r\n\r\n", 400),
    "TE misspelt": (b"POST / HTTP/1.1\r\nHost: %H%\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    "TE vertical tab": (b"POST / HTTP/1.1\r\nHost: %H%\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    "TE not last": (b"POST / HTTP/1.1\r\nHost: %H%\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400),
    "TE gzip, chunked": (b"POST / HTTP/1.1\r\nHost: %H%\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "TE in 1.0": (b"POST / HTTP/1.0\r\nHost: %H%\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "space before colon": (b"POST / HTTP/1.1\r\nHost: %H%\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    "bare LF": (b"GET / HTTP/1.1\nHost: %H%\n\n", 400),
    "bare LF in a field": (b"GET / HTTP/1.1\r\nHost: %H%\r\nX: a\nTransfer-Encoding: chunked\r\n\r\n", 400),
    "bare CR in a field": (b"GET / HTTP/1.1\r\nHost: %H%\r\nX: a\rb\r\n\r\n", 400),
    "NUL in a field": (b"GET / HTTP/1.1\r\nHost: %H%\r\nX: a\0b\r\n\r\n", 400),
    "NUL in a name": (b"GET / HTTP/1.1\r\nHost: %H%\r\nX\0: a\r\n\r\n", 400),
    "obs-fold": (b"GET / HTTP/1.1\r\nHost: %H%\r\nX: a\r\n b\r\n\r\n", 400),
    "obs-fold first": (b"GET / HTTP/1.1\r\n Host: %H%\r\n\r\n", 400),
    "no colon": (b"GET / HTTP/1.1\r\nHost: %H%\r\nnonsense\r\n\r\n", 400),
    "empty name": (b"GET / HTTP/1.1\r\nHost: %H%\r\n: x\r\n\r\n", 400),
    "two Host": (b"GET / HTTP/1.1\r\nHost: %H%\r\nHost: %H%\r\n\r\n", 400),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "Host with a path": (b"GET / HTTP/1.1\r\nHost: %H%/x\r\n\r\n", 400),
    "Host with user": (b"GET / HTTP/1.1\r\nHost: a@%H%\r\n\r\n", 400),
    "target with NUL": (b"GET /\0 HTTP/1.1\r\nHost: %H%\r\n\r\n", 400),
    "target with space": (b"GET /a b HTTP/1.1\r\nHost: %H%\r\n\r\n", 400),
    "target with fragment": (b"GET /a#b HTTP/1.1\r\nHost: %H%\r\n\r\n", 400),
    "method no token": (b"G(T / HTTP/1.1\r\nHost: %H%\r\n\r\n", 400),
    "version 1.2": (b"GET / HTTP/1.2\r\nHost: %H%\r\n\r\n", 505),
    "version 0.9": (b"GET /\r\n\r\n", 400),
    "chunk size sign": (b"POST / HTTP/1.1\r\nHost: %H%\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n", 400),
    "chunk size 0x": (b"POST / HTTP/1.1\r\nHost: %H%\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n", 400),
    "chunk size overflow": (b"POST / HTTP/1.1\r\nHost: %H%\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000001\r\na\r\n0\r\n\r\n", 400),
    "chunk bare LF": (b"POST / HTTP/1.1\r\nHost: %H%\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n", 400),
    "chunk without end": (b"POST / HTTP/1.1\r\nHost: %H%\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab0\r\n\r\n", 400),
    "head over 64 KiB": (b"GET / HTTP/1.1\r\nHost: %H%\r\nX: " + b"a" * 70000 + b"\r\n\r\n", 431),
    "201 fields": (b"GET / HTTP/1.1\r\nHost: %H%\r\n" + b"X: a\r\n" * 200 + b"\r\n", 431),
    "CONNECT": (b"CONNECT %H%:443 HTTP/1.1\r\nHost: %H%:443\r\n\r\n", 501),
    "unknown expectation": (b"POST / HTTP/1.1\r\nHost: %H%\r\nExpect: tea\r\nContent-Length: 0\r\n\r\n", 417),
}
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: " + HOST.encode() + b"\r\n\r\n"


@pytest.mark.parametrize("name", AMBIGUOUS_REQUESTS)
def test_lesson_23_what_two_servers_could_read_differently_is_refused(site, name):
    text, status = AMBIGUOUS_REQUESTS[name]
    before = len(site.backend.requests)
    with site.connection() as visitor:
        visitor.send(text.replace(b"%H%", HOST.encode()) + SMUGGLED)
        refused = visitor.read_answer()
        assert refused.status == status
        assert refused.header("Content-Type") == "application/problem+json"
        assert visitor.closed()
    assert len(site.backend.requests) == before


@pytest.mark.parametrize("name", ["Transfer-Encoding", "Content-Length", "Connection", "Keep-Alive", "TE", "Upgrade"])
def test_lesson_23_an_envelope_cannot_frame_the_request(site, name):
    before = len(site.backend.requests)
    sent = site.control.envelope("myapp", "POST", "/echo", {name: "chunked" if name != "Content-Length" else "0"},
                                 b"0\r\n\r\n" + SMUGGLED)
    _, _, headers, body = received(sent)
    assert body == b"0\r\n\r\n" + SMUGGLED
    assert values(headers, "Content-Length") == [str(len(body))]
    assert not values(headers, "Transfer-Encoding")
    assert len(site.backend.requests) == before + 1


BROKEN_ANSWERS = {
    "CL and TE": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two CL": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "CL list": b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\na",
    "CL negative": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "TE not chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "bare CR": b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
    "NUL": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    "obs-fold": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n",
    "status 99": b"HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n",
    "status 600": b"HTTP/1.1 600 High\r\nContent-Length: 0\r\n\r\n",
    "101 unasked": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "head over 64 KiB": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70000 + b"\r\nContent-Length: 0\r\n\r\n",
    "201 fields": b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 201 + b"Content-Length: 0\r\n\r\n",
    "bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "head cut short": b"HTTP/1.1 200 OK\r\nX: ",
}


# Their heads are on their way when they break.
CUT_ANSWERS = {
    "cut short": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789",
    "chunks cut short": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n",
}


@pytest.mark.parametrize("name", BROKEN_ANSWERS)
def test_lesson_23_a_backends_broken_answer_is_not_passed_on(site, name):
    mark = site.control.mark()
    site.backend.on("/broken", lambda request: Cut(BROKEN_ANSWERS[name]))
    with site.connection() as visitor:
        refused = visitor.request("GET", "/broken", HOST)
        assert (refused.status, refused.reason) == (502, "bad_agent_answer")
        assert visitor.request("GET", "/status/200", HOST).status == 200  # That request alone.
    site.assert_tunnel_stood(mark)


@pytest.mark.parametrize("name", CUT_ANSWERS)
def test_an_answer_that_breaks_off_does_not_pass_for_whole(site, name):
    mark = site.control.mark()
    site.backend.on("/cut", lambda request: Cut(CUT_ANSWERS[name]))
    with site.connection() as visitor:
        try:
            reply = visitor.request("GET", "/cut", HOST)
            assert (reply.status, reply.reason) == (502, "bad_agent_answer")  # It broke before its head had left.
        except FramingError:
            pass
    assert site.visit("/status/200").status == 200
    site.assert_tunnel_stood(mark)


# ---- 24: hop-by-hop, and who names the app -----------------------------------------------------------------


def test_lesson_24_hop_by_hop_fields_stay_on_their_hop(site):
    _, _, headers, _ = received(site.visit("/", headers={
        "Connection": "X-Named, keep-alive", "X-Named": "1", "Keep-Alive": "timeout=5", "Proxy-Authorization": "Basic x",
        "Proxy-Connection": "keep-alive", "TE": "trailers, deflate", "X-Kept": "1"}))
    for name in ("X-Named", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "Upgrade", "Transfer-Encoding"):
        assert not values(headers, name), name
    assert values(headers, "TE") in ([], ["trailers"])
    assert values(headers, "X-Kept") == ["1"]

    site.backend.on("/hops", lambda request: answer(200, [
        ("Connection", "X-Named"), ("X-Named", "1"), ("Keep-Alive", "timeout=5"), ("Proxy-Authenticate", "Basic"),
        ("Upgrade", "h2c"), ("X-Kept", "1")], "ok"))
    reply = site.visit("/hops")
    for name in ("X-Named", "Keep-Alive", "Proxy-Authenticate", "Upgrade", "Connection"):
        assert not reply.header_all(name), name
    assert (reply.header("X-Kept"), reply.body) == ("1", b"ok")


def test_lesson_24_connection_cannot_name_away_what_others_rely_on(site):
    _, _, headers, body = received(site.visit("/echo", "POST", body=b"body",
                                              headers={"Connection": "Host, Content-Length, X-Forwarded-For"}))
    assert (values(headers, "Host"), values(headers, "Content-Length"), body) == ([HOST], ["4"], b"body")
    assert values(headers, "X-Forwarded-For") == ["127.0.0.1"]


def test_lesson_24_only_a_trusted_peer_names_the_app_by_header(site):
    named = [("X-EE-App", "myapp")]
    with site.connection() as visitor:
        refused = visitor.request("GET", "/", "elsewhere.example", named)
        assert (refused.status, refused.reason) == (400, "missing_app")
    with site.connection() as visitor:  # Nor does it override the Host.
        refused = visitor.request("GET", "/", f"other.{APP_DOMAIN}", named)
        assert (refused.status, refused.reason) == (404, "unknown_app")
    with site.connection(source=TRUSTED) as front:
        _, _, headers, _ = received(front.request("GET", "/", "elsewhere.example", named))
        assert not values(headers, "X-EE-App")
        refused = front.request("GET", "/", HOST, [("X-EE-App", "../x")])
        assert (refused.status, refused.reason) == (400, "missing_app")


@pytest.mark.parametrize("host", ["myapp.elsewhere.example", "myapp", APP_DOMAIN, f"myapp.{APP_DOMAIN}.example",
                                  f"myapp{APP_DOMAIN}", "127.0.0.1", "[::1]", f"-myapp.{APP_DOMAIN}", f"my_app.{APP_DOMAIN}"])
def test_lesson_24_the_app_is_the_first_label_under_the_domain_and_nothing_else(site, host):
    refused = site.visit("/", headers=[("Host", host)])
    assert (refused.status, refused.reason) == (400, "missing_app")
    assert refused.header("Content-Type") == "application/problem+json"


def test_lesson_24_without_a_domain_only_trusted_peers_name_an_app_by_host(world):
    control = world.control(EE_APP_DOMAIN=None, EE_TRUSTED_PROXIES=TRUSTED + "/32")
    wire_app(control, "myapp", text_answer("here"))
    with Connection(control.proxy_port) as visitor:
        refused = visitor.request("GET", "/", "myapp.example.com")
        assert (refused.status, refused.reason) == (400, "missing_app")
    with Connection(control.proxy_port, source=TRUSTED) as front:
        assert front.request("GET", "/", "myapp.example.com").body == b"here"
        assert front.request("GET", "/", "127.0.0.9").reason == "missing_app"


# ---- 27: answers of a broken agent -------------------------------------------------------------------------

GOOD = {"status": 200, "headers": {"X-A": "1"}, "body_b64": "b2s="}
LEFT_OUT = "left out"
WRONG_ANSWERS = (
    [{"status": status} for status in (99999, -1, 0, True, 101, 100, 199, 600, 200.5, "200", None, [], {}, 2 ** 63)]
    + [{"headers": headers} for headers in (
        None, [], "x", {"X-A": 1}, {"X-A": None}, {"X-A": [1]}, {"X-A": {"b": "c"}}, {"X-A": "a\r\nSet-Cookie: b=1"},
        {"X-A": "a\nb"}, {"X-A": "a\0b"}, {"X-A\r\nX-B": "1"}, {"": "1"}, {"X A": "1"}, {"X-A:": "1"},
        {"X-A": ["ok", "a\r\nb"]}, {"X-A": ["x"] * 300})]
    + [{"body_b64": body} for body in ("@", "b2s", "b2s==", "b2 s=", "=b2s", 1, None, [], {}, "b2s\n", "_-8=")])


def test_lesson_27_a_wrong_answer_is_a_502_for_its_request_alone(wired):
    changes = {}

    def handler(request):
        return {name: value for name, value in {**GOOD, **changes}.items() if value != LEFT_OUT}

    agent = wire_app(wired, "wrong", handler)
    for wrong in WRONG_ANSWERS + [{name: LEFT_OUT} for name in GOOD]:
        changes.clear()
        changes.update(wrong)
        with Connection(wired.proxy_port) as visitor:
            refused = visitor.request("GET", "/", f"wrong.{APP_DOMAIN}")
            assert (refused.status, refused.reason) == (502, "bad_agent_answer"), wrong
            changes.clear()
            good = visitor.request("GET", "/", f"wrong.{APP_DOMAIN}")
            assert (good.status, good.body, good.header("X-A")) == (200, b"ok", "1")
    assert not agent.closed


def test_lesson_27_an_agents_framing_fields_are_not_believed(wired):
    fields = {"Content-Length": "99999", "Transfer-Encoding": "chunked", "Connection": "close", "content-length": "1"}
    wire_app(wired, "framing", lambda request: {"status": 200, "headers": fields, "body_b64": "b2s="})
    with Connection(wired.proxy_port) as visitor:
        for _ in range(2):  # The connection stays in step.
            reply = visitor.request("GET", "/", f"framing.{APP_DOMAIN}")
            assert (reply.status, reply.body, reply.header_all("Content-Length")) == (200, b"ok", ["2"])


def test_lesson_27_an_answer_nobody_asked_for_is_dropped_and_counted(wired):
    agent = wire_app(wired, "stranger", text_answer("ok"))
    before = wired.metric("ee_tunnel_answers_dropped_total", reason="unknown_request")
    for request_id in ("999999", "", "x", "01", "-1"):
        agent.send({"type": "proxy_response", "request_id": request_id, **GOOD})
    assert wired.visit("stranger").text == "ok"
    assert wired.metric("ee_tunnel_answers_dropped_total", reason="unknown_request") == before + 5
    assert not agent.closed


# ---- What is added to a request, and what is kept from one --------------------------------------------------

FORGED = [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "bank.example"),
          ("Forwarded", "for=6.6.6.6;proto=https"), ("X-Request-Id", "chosen-by-caller"),
          ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), ("tracestate", "a=b"),
          ("EE-Agent", "forged"), ("EE-Attestation", "forged"), ("ee-app", "forged")]
TRACEPARENT = r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"


def test_the_backend_learns_who_asked_and_nothing_forged(site):
    with site.connection() as visitor:
        reply = visitor.request("GET", "/", HOST, FORGED)
    _, _, headers, _ = received(reply)
    assert values(headers, "X-Forwarded-For") == ["127.0.0.1"]
    assert values(headers, "X-Forwarded-Proto") == ["http"]
    assert values(headers, "X-Forwarded-Host") == [HOST]
    assert values(headers, "Forwarded") == [f'for=127.0.0.1;proto=http;host="{HOST}"']
    assert values(headers, "Via") == ["1.1 easyenclave"]
    assert values(headers, "X-Request-Id") == ["chosen-by-caller"] == reply.header_all("X-Request-Id")
    assert values(headers, "traceparent") == [dict(FORGED)["traceparent"]]  # Passed on, as is its state.
    assert values(headers, "tracestate") == ["a=b"]
    assert not [name for name, _ in headers if name.lower().startswith("ee-")]


def test_a_trusted_front_is_believed_about_what_came_before_it(site):
    with site.connection(source=TRUSTED) as front:
        _, _, headers, _ = received(front.request("GET", "/", HOST, FORGED + [("Via", "2 front")]))
    assert values(headers, "X-Forwarded-For") == [f"6.6.6.6, {TRUSTED}"]
    assert values(headers, "X-Forwarded-Proto") == ["https"]
    assert values(headers, "X-Forwarded-Host") == ["bank.example"]
    assert values(headers, "Forwarded") == [f'for=6.6.6.6;proto=https, for={TRUSTED};proto=http;host="{HOST}"']
    assert values(headers, "Via") == ["2 front, 1.1 easyenclave"]
    assert not [name for name, _ in headers if name.lower().startswith("ee-")]
    # The client in the log is the right-most address that is not trusted.
    with site.connection(source=TRUSTED) as front:
        front.request("GET", "/logged-client", HOST, [("X-Forwarded-For", f"1.1.1.1, 7.7.7.7, {TRUSTED}")])
    assert site.control.wait_access(path="/logged-client")["client"] == "7.7.7.7"


def test_ids_are_made_where_the_visitor_sends_none_or_nonsense(site):
    seen = set()
    for sent in ([], [("X-Request-Id", "a b"), ("traceparent", "00-0-0-0")], [("X-Request-Id", "x" * 200)]):
        with site.connection() as visitor:
            reply = visitor.request("GET", "/", HOST, sent)
        _, _, headers, _ = received(reply)
        (made,), (trace,) = values(headers, "X-Request-Id"), values(headers, "traceparent")
        assert re.fullmatch(r"[0-9a-f]{32}", made) and [made] == reply.header_all("X-Request-Id")
        assert re.fullmatch(TRACEPARENT, trace)
        seen |= {made, trace}
    assert len(seen) == 6


def test_a_head_of_the_largest_size_reaches_the_backend(site):
    fields = [(f"X-{i}", "v") for i in range(199)]  # And Host: 200.
    _, _, headers, _ = received(site.visit("/", headers=fields))
    assert len([name for name, _ in headers if name.lower().startswith("x-") and name[2:].isdigit()]) == 199
    _, _, headers, _ = received(site.visit("/", headers=[("X-Long", "a" * 60000)]))
    assert values(headers, "X-Long") == ["a" * 60000]


def test_our_evidence_fields_come_from_nobody_else(site, wired):
    forged = [("EE-Agent", "forged"), ("ee-attested-at", "now"), ("X-Other", "1")]
    site.backend.on("/evidence", lambda request: answer(200, forged, "ok"))
    wire_app(wired, "forger", lambda request: {"status": 200, "headers": dict(forged), "body_b64": ""})
    for reply in (site.visit("/evidence"), site.control.envelope("myapp", "GET", "/evidence"), wired.visit("forger")):
        assert reply.header("X-Other") == "1"
        assert "forged" not in reply.header_all("EE-Agent") and "now" not in reply.header_all("EE-Attested-At")


# ---- Methods, statuses, connections ------------------------------------------------------------------------


def test_head_and_answers_without_a_body_leave_the_connection_in_step(site):
    with site.connection() as visitor:
        head = visitor.request("HEAD", "/status/200", HOST)
        assert (head.status, head.header("Content-Length")) == (200, "10")
        for status in (204, 304):
            assert visitor.request("GET", f"/status/{status}", HOST).status == status
        assert visitor.request("HEAD", "/nothing-known-of-its-length", HOST).status == 200
        assert visitor.request("GET", "/status/200", HOST).body == b"status 200"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "X-OWN"])
def test_every_method_passes_with_its_body(site, method):
    with site.connection() as visitor:
        arrived, _, _, body = received(visitor.request(method, "/echo", HOST, body=b"the body"))
    assert (arrived, body) == (method, b"the body")
    arrived, _, _, body = received(site.control.envelope("myapp", method, "/echo", body=b"the body"))
    assert (arrived, body) == (method, b"the body")


@pytest.mark.parametrize("status", [200, 201, 299, 301, 307, 400, 401, 404, 418, 429, 451, 500, 502, 503, 599])
def test_every_status_of_the_app_is_passed_as_it_is(site, status):
    reply = site.visit(f"/status/{status}")
    assert (reply.status, reply.text) == (status, f"status {status}")
    assert reply.header("Content-Type") != "application/problem+json"


def test_pipelined_requests_are_answered_in_order(site):
    hold = site.backend.hold("pipelined")
    paths = ["/hold/pipelined"] + [f"/status/{200 + i}" for i in (0, 1, 2, 3)]
    with site.connection() as visitor:
        visitor.send("".join(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n" for path in paths).encode())
        hold.wait_arrived()
        hold.release()
        bodies = [visitor.read_answer().body for _ in paths]
    assert bodies == [b"held pipelined", b"status 200", b"status 201", b"status 202", b"status 203"]


def test_connections_are_kept_or_closed_as_the_visitor_asks(site):
    with site.connection() as visitor:
        for _ in range(50):
            assert visitor.request("GET", "/status/200", HOST).status == 200
        assert visitor.request("GET", "/status/200", HOST, [("Connection", "close")]).header("Connection") == "close"
        assert visitor.closed()
    with site.connection() as visitor:
        visitor.send(f"GET /chunked HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
        reply = visitor.read_answer()
        assert (reply.body, reply.header_all("Transfer-Encoding")) == (b"onetwothree", [])
        assert visitor.closed()
    with site.connection() as visitor:
        for _ in range(2):
            visitor.send(f"GET /status/200 HTTP/1.0\r\nHost: {HOST}\r\nConnection: keep-alive\r\n\r\n".encode())
            assert visitor.read_answer().header("Connection") == "keep-alive"


def test_a_visitor_that_expects_100_continue_is_told_to_go_on(site):
    with site.connection() as visitor:
        visitor.send(f"POST /echo HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n".encode())
        assert visitor.read_head() == (100, [])
        visitor.send(b"body")
        _, _, headers, body = received(visitor.read_answer())
        assert (body, values(headers, "Expect")) == (b"body", [])


def test_a_body_that_will_not_be_taken_is_not_asked_for(narrow):
    with Connection(narrow[0].proxy_port) as visitor:
        visitor.send(f"POST /echo HTTP/1.1\r\nHost: narrow.{APP_DOMAIN}\r\nContent-Length: {9 * MIB}\r\n"
                     "Expect: 100-continue\r\n\r\n".encode())
        assert visitor.read_head()[0] == 413


def test_a_visitor_that_has_shut_its_sending_side_still_gets_what_was_answered(site):
    with site.connection() as visitor:
        visitor.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)  # Request and end in one segment.
        visitor.send(f"GET / HTTP/1.1\r\nHost: unknown.{APP_DOMAIN}\r\n\r\n".encode())
        visitor.socket.shutdown(socket.SHUT_WR)
        assert visitor.read_answer().reason == "unknown_app"
        assert visitor.closed()


# ---- Visitors that leave, agents that are silent, busy or gone ---------------------------------------------


def test_a_visitor_that_leaves_frees_its_place(wired):
    agent = wire_app(wired, "leaving", lambda request: None)
    visitors = []
    for path in ("/first", "/leaves-while-waiting", "/last"):
        visitors.append(Connection(wired.proxy_port))
        visitors[-1].request("GET", path, f"leaving.{APP_DOMAIN}", read=False)
        until(lambda: wired.app_agents("leaving")[0]["open_streams"] == len(visitors), what="the request is open")
    first = agent.expect("proxy_request")
    visitors[0].close()
    visitors[1].close()
    assert wired.wait_access(path="/first")["status"] == 499
    assert wired.wait_access(path="/leaves-while-waiting")["error"] == "visitor_gone"
    # A serial agent still works on the first; its late answer is dropped and makes room for the last.
    agent.send({"type": "proxy_response", "request_id": first["request_id"], **text_answer("late")(first)})
    last = agent.expect("proxy_request")
    assert last["path"] == "/last"
    agent.send({"type": "proxy_response", "request_id": last["request_id"], **text_answer("for the last")(last)})
    assert visitors[2].read_answer().body == b"for the last"
    visitors[2].close()
    assert [m["path"] for m in agent.messages if m["type"] == "proxy_request"] == ["/first", "/last"]


def test_silence_is_a_504_in_time_and_leaves_the_tunnel_up(world):
    control = world.control(EE_PROXY_TIMEOUT_SEC=3, EE_STREAM_IDLE_SEC=3)
    agent = wire_app(control, "silent", lambda request: None)
    started = time.monotonic()
    refused = control.visit("silent")
    assert (refused.status, refused.reason) == (504, "proxy_timeout")
    assert 2.9 < time.monotonic() - started < 6
    request = agent.expect("proxy_request")
    agent.send({"type": "proxy_response", "request_id": request["request_id"], **text_answer("late")(request)})
    agent.serve(text_answer("in time"))
    assert control.visit("silent").text == "in time"
    # A silent backend behind our agent is the same to a visitor, whoever gives up first.
    backend = world.backend()
    world.agent(control, backend, EE_STREAM_IDLE_SEC=3)
    refused = control.visit("myapp", "/hold/never")
    assert (refused.status, refused.reason) == (504, "proxy_timeout")
    assert control.visit("myapp", "/status/200").status == 200


def test_an_agent_gives_up_on_a_backend_by_itself(world):
    control = world.control(EE_STREAM_IDLE_SEC=10)
    world.agent(control, world.backend(), EE_STREAM_IDLE_SEC=1)
    refused = control.visit("myapp", "/hold/never")
    assert (refused.status, refused.reason) == (504, "proxy_timeout")


def test_a_tunnel_that_is_full_says_overloaded(wired):
    agent = wire_app(wired, "busy", lambda request: None)  # One at a time, and 64 may wait.
    host = f"busy.{APP_DOMAIN}"
    visitors = [Connection(wired.proxy_port, timeout=20) for _ in range(65)]
    for visitor in visitors:
        visitor.request("GET", "/", host, read=False)
    until(lambda: wired.app_agents("busy")[0]["open_streams"] == 65, what="all wait")
    refused = wired.visit("busy")
    assert (refused.status, refused.reason) == (503, "overloaded")
    assert int(refused.header("Retry-After")) > 0
    first = agent.expect("proxy_request")
    agent.serve(text_answer("served"))
    agent.send({"type": "proxy_response", "request_id": first["request_id"], **text_answer("served")(first)})
    assert [visitor.read_answer().body for visitor in visitors] == [b"served"] * 65
    for visitor in visitors:
        visitor.close()


def test_a_tunnel_lost_before_the_answer_is_a_502(wired):
    agent = wire_app(wired, "lost", lambda request: None)
    visit = in_background(wired.visit, "lost")
    agent.expect("proxy_request")
    agent.abort()
    refused = visit.result(10)
    assert (refused.status, refused.reason) == (502, "tunnel_closed")
    refused = wired.visit("lost")
    assert (refused.status, refused.reason) == (503, "offline")
    assert int(refused.header("Retry-After")) > 0


def test_apps_that_may_not_be_served_say_why(wired):
    refused = wired.visit("never-seen")
    assert (refused.status, refused.reason) == (404, "unknown_app")
    assert refused.header("Content-Type") == "application/problem+json"
    assert wired.post("/v1/proxy/never-seen", {"path": "/"}).reason == "unknown_app"

    agent = wire_app(wired, "failing", text_answer("ok"))
    assert wired.visit("failing").status == 200
    agent.send({"type": "health", "status": "fail", "detail": "the backend is ill"})
    wired.wait_status("failing", "unhealthy")
    for refused in (wired.visit("failing"), wired.envelope("failing")):
        assert (refused.status, refused.reason) == (503, "unhealthy")
        assert int(refused.header("Retry-After")) > 0
    agent.send({"type": "health", "status": "pass"})
    wired.wait_status("failing", "active")
    assert wired.visit("failing").status == 200


def test_an_app_whose_registration_has_ended_answers_with_the_resolve_body(world):
    control = world.control()
    wire_app(control, "myapp", text_answer("ok"))
    assert control.visit("myapp").status == 200
    control.terminate()
    with sqlite3.connect(world.path / "control-plane.db") as store:
        store.execute("UPDATE registrations SET expires_at_ms = 1")
    store.close()
    control = world.control()
    for refused in (control.visit("myapp"), control.envelope("myapp")):
        assert (refused.status, refused.header("Content-Type")) == (403, "application/json")
        body = refused.json()
        assert body == control.resolve("myapp")
        assert (body["status"], body["reason"], body["allowed"]) == ("expired", "expired", False)


def test_every_request_leaves_one_line_in_the_access_log(site):
    before = len(site.control.access)
    with site.connection() as visitor:
        visitor.request("POST", "/echo?secret=1", HOST, [("X-Request-Id", "logged-1"), FORGED[5]], b"12345")
        visitor.request("GET", "/", f"unknown.{APP_DOMAIN}", [("X-Request-Id", "logged-2")])
        visitor.request("GET", "/", "elsewhere.example", [("X-Request-Id", "logged-3")])
    line = site.control.wait_access(request_id="logged-1")
    expected = {"app": "myapp", "method": "POST", "path": "/echo", "status": 200, "client": "127.0.0.1",
                "request_bytes": 5, "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}
    assert {name: line.get(name) for name in expected} == expected
    assert line["agent"] and line["response_bytes"] > 0 and "error" not in line
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert 0 <= line["queue_us"] <= line["total_us"] and 0 < line["upstream_us"] <= line["total_us"]
    assert "secret" not in json.dumps(line)
    refused = site.control.wait_access(request_id="logged-2")
    assert (refused["status"], refused["error"], refused["app"]) == (404, "unknown_app", "unknown")
    assert site.control.wait_access(request_id="logged-3")["error"] == "missing_app"
    assert len([line for line in site.control.access[before:] if str(line.get("request_id")).startswith("logged-")]) == 3


def test_so_does_one_that_nobody_was_asked_to_serve(narrow):
    control, _ = narrow
    host = f"narrow.{APP_DOMAIN}"

    def sends(text):
        with Connection(control.proxy_port) as visitor:
            visitor.send(text.encode())
            got = visitor.read_answer("POST")
        return got, dict((name.lower(), value) for name, value in got.headers)["x-request-id"]

    for name, framing, body in (("by its length", f"Content-Length: {5 * MIB}", ""),
                                ("as it comes", "Transfer-Encoding: chunked", f"{5 * MIB:x}\r\n" + "x" * (5 * MIB))):
        request_id = "too-large-" + name.replace(" ", "-")
        got, answered = sends(f"POST /up?secret=1 HTTP/1.1\r\nHost: {host}\r\nX-Request-Id: {request_id}\r\n{framing}\r\n\r\n{body}")
        assert (got.status, answered) == (413, request_id), name
        line = control.wait_access(request_id=request_id)
        expected = {"app": "narrow", "method": "POST", "path": "/up", "status": 413, "error": "body_too_large", "client": "127.0.0.1"}
        assert {field: line.get(field) for field in expected} == expected
    # What is no request has an id, too.
    got, answered = sends("POST / HTTP/1.1\r\nHost: a b\r\nX-Request-Id: nobodys\r\n\r\n")
    assert got.status == 400 and answered != "nobodys"
    line = control.wait_access(request_id=answered)
    assert line["status"] == 400 and line["error"] and "method" not in line


def test_an_upload_that_breaks_the_rules_is_logged_as_its_visitor_is_told(site):
    for ending, error in (("zz\r\n", "bad_chunk"), ("0\r\nbad trailer\r\n\r\n", "bad_trailer")):
        with site.connection() as visitor:
            visitor.send(f"POST /echo HTTP/1.1\r\nHost: {HOST}\r\nX-Request-Id: breaks-{error}\r\n"
                         f"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".encode())
            visitor.send(ending.encode())
            got = visitor.read_answer("POST")
            told = dict((name.lower(), value) for name, value in got.headers)["x-request-id"]
        line = site.control.wait_access(request_id=f"breaks-{error}")
        assert (got.status, got.reason, told) == (400, error, f"breaks-{error}")
        assert (line["status"], line["error"], line["request_bytes"]) == (400, error, 5)


# ---- The envelope ------------------------------------------------------------------------------------------


def test_the_envelope_carries_a_request_and_its_answer_whole(site):
    reply = site.control.envelope("myapp", "PUT", "/a?b=c", {"X-One": "1", "X-Two": ["a", "b"], "Host": "own.example"},
                                  bytes(range(256)))
    method, path, headers, body = received(reply)
    assert (method, path, body) == ("PUT", "/a?b=c", bytes(range(256)))
    assert (values(headers, "X-One"), values(headers, "X-Two")) == (["1"], ["a", "b"])
    assert values(headers, "Host") == ["own.example"]
    assert values(headers, "Via") == ["1.1 easyenclave"]
    teapot = site.control.envelope("myapp", "GET", "/status/418")
    assert (teapot.status, teapot.text) == (418, "status 418")
    # Every member has a default: GET /.
    method, path, headers, body = received(site.control.post("/v1/proxy/myapp", {}))
    assert (method, path, body) == ("GET", "/", b"")


WRONG_ENVELOPES = [
    (b"", 400, "invalid_json"), (b"{", 400, "invalid_json"), (b"[]", 400, "invalid_json"), (b"1", 400, "invalid_json"),
    (b'{"path":"/"}x', 400, "invalid_json"), (b'{"path":"\xff"}', 400, "invalid_json"),
    (b'{"headers":' + b"[" * 40 + b"]" * 40 + b"}", 400, "invalid_json"),
    (b'{"x":' + b"[" * 50000 + b"]" * 50000 + b"}", 400, "invalid_json"),
    (b'{"url":"http://x/"}', 422, "unknown_field:url"), (b'{"body":"x"}', 422, "unknown_field:body"),
    (b'{"method":1}', 422, "invalid_field:method"), (b'{"method":""}', 422, "invalid_field:method"),
    (b'{"method":"G T"}', 422, "invalid_field:method"), (b'{"method":"CONNECT"}', 422, "invalid_field:method"),
    (b'{"path":null}', 422, "invalid_field:path"), (b'{"path":["/"]}', 422, "invalid_field:path"),
    (b'{"headers":[]}', 422, "invalid_field:headers"), (b'{"headers":{"A":1}}', 422, "invalid_field:headers"),
    (b'{"headers":{"A":{"B":"c"}}}', 422, "invalid_field:headers"), (b'{"headers":{"A":[1]}}', 422, "invalid_field:headers"),
    (b'{"headers":{"A B":"c"}}', 422, "invalid_field:headers"), (b'{"headers":{"A\\r\\nB":"c"}}', 422, "invalid_field:headers"),
    (b'{"headers":{"A":"b\\r\\nC: d"}}', 422, "invalid_field:headers"), (b'{"headers":{"A":"b\\u0000"}}', 422, "invalid_field:headers"),
    (b'{"headers":{"Host":["a","b"]}}', 422, "invalid_field:headers"),
    (b'{"headers":{"Host":"a","host":"b"}}', 422, "invalid_field:headers"),
    (b'{"headers":{"Host":"a\\";for=\\"6.6.6.6"}}', 422, "invalid_field:headers"),
    (b'{"headers":{"A":"' + b"a" * 70000 + b'"}}', 422, "invalid_field:headers"),
    (b'{"headers":{"A":[' + b",".join([b'"x"'] * 201) + b"]}}", 422, "invalid_field:headers"),
    (b'{"path":"/' + b"a" * 70000 + b'"}', 422, "invalid_field:headers"),
    (b'{"body_b64":1}', 422, "invalid_field:body_b64"), (b'{"body_b64":"@"}', 422, "invalid_field:body_b64"),
    (b'{"body_b64":"b2s"}', 422, "invalid_field:body_b64"),
]


@pytest.mark.parametrize("body, status, reason", WRONG_ENVELOPES, ids=lambda value: str(value)[:40])
def test_a_wrong_envelope_is_refused_and_forwards_nothing(site, body, status, reason):
    before = len(site.backend.requests)
    refused = site.control.request("POST", "/v1/proxy/myapp", {"Content-Type": "application/json"}, body)
    assert (refused.status, refused.reason) == (status, reason)
    assert refused.header("Content-Type") == "application/problem+json"
    assert len(site.backend.requests) == before


def test_an_envelope_body_over_the_limit_is_a_413(site):
    refused = site.control.envelope("myapp", "POST", "/echo", body=bytes(4 * MIB + 10))
    assert (refused.status, refused.reason) == (413, "body_too_large")
    refused = site.control.request("POST", "/v1/proxy/myapp", {}, b" " * (6 * MIB))
    assert (refused.status, refused.reason) == (413, "body_too_large")
    assert site.control.envelope("myapp", "GET", "/status/200").status == 200


def test_an_app_cannot_act_on_the_control_listeners_origin(site):
    dangerous = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Service-Worker-Allowed", "/"), ("Clear-Site-Data", '"*"'),
                 ("Alt-Svc", "h3=\":443\""), ("Strict-Transport-Security", "max-age=1"),
                 ("Content-Security-Policy", "script-src *"), ("X-Kept", "1")]
    site.backend.on("/dangerous", lambda request: answer(200, dangerous, "<script>"))
    reply = site.control.envelope("myapp", "GET", "/dangerous")
    for name in ("Set-Cookie", "Service-Worker-Allowed", "Clear-Site-Data", "Alt-Svc", "Strict-Transport-Security"):
        assert not reply.header_all(name), name
    assert reply.header_all("Content-Security-Policy") == ["sandbox"]
    assert reply.header("X-Kept") == "1"
    # At the app's own origin all of them are the app's business.
    own = site.visit("/dangerous")
    for name, value in dangerous:
        assert value in own.header_all(name), name


def test_our_own_token_never_reaches_an_app(site):
    own = f"Bearer {ADMIN_TOKEN}"
    for sent, arrives in ((own, []), (own.replace("Bearer", "bearer"), []), ("Bearer of-the-app", ["Bearer of-the-app"]),
                          ("Basic dXNlcjpwYXNz", ["Basic dXNlcjpwYXNz"])):
        _, _, headers, _ = received(site.control.envelope("myapp", "GET", "/", {"Authorization": sent}))
        assert values(headers, "Authorization") == arrives
    # The envelope's own credential is the control plane's, not the app's.
    reply = site.control.post("/v1/proxy/myapp", {"path": "/"}, {"Authorization": own, "Cookie": "ee_session=1"})
    _, _, headers, _ = received(reply)
    assert not values(headers, "Authorization") and not values(headers, "Cookie")
