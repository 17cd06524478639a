"""Requests to apps by way of the control listener: ANY /v1/proxy/{app}/{path}, the request itself forwarded."""

import json

import aiohttp
import pytest

from backend import answer
from data_path import values
from harness import ADMIN_TOKEN, assert_below, assert_leaving_is_heard, until
from programs import memory_factor
from raw_http import Connection
from streaming_backend import PIECE, StreamingBackend, run

MIB = 1024 * 1024
BASE = "/v1/proxy/myapp"
HOST = "front.example:8443"  # What the client says; it names no app.


@pytest.fixture
def site(world):
    class Site:
        backend = world.backend()
        control = world.control()
        agent = world.agent(control, backend)

    return Site()


@pytest.fixture
def streaming(world):
    class Site:
        backend = StreamingBackend()
        control = world.control()
        agent = world.agent(control, backend, EE_HEALTH_INTERVAL_SEC=60)

        def connection(self, **how):
            return Connection(self.control.port, **how)

        def url(self, path):
            return f"http://127.0.0.1:{self.control.port}{BASE}{path}"

        def rss(self):
            return self.control.rss_bytes() + self.agent.rss_bytes()

    site = Site()
    yield site
    site.backend.stop()


def echoed(reply):
    """(method, path, headers) of the request as the backend got it."""
    assert reply.status == 200, reply
    body = reply.json()
    return body["method"], body["path"], [tuple(pair) for pair in body["headers"]]


# ---- What arrives ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rest", ["/", "/?", "/?a=b&c=%20", "//", "//127.0.0.1:1/x", "/a%2Fb/%2e%2e/%zz", "/%C3%A4?%00",
                                  "/a;b=c/d,e", "/..", "/../other/x", "/../../apps?x=/..", "/./a/../b", "/%2e%2e/%2E/",
                                  "/v1/proxy/other/", "/a?b?c", "/\\..\\x", "/{path}", "/a//b/"])
def test_path_and_query_arrive_byte_for_byte(site, rest):
    with Connection(site.control.port) as visitor:
        assert echoed(visitor.request("GET", BASE + rest, HOST))[1] == rest
        # As an absolute target too (RFC 9112 section 3.2.2).
        assert echoed(visitor.request("GET", f"http://{HOST}{BASE}{rest}", HOST))[1] == rest


@pytest.mark.parametrize("path, status, reason", [
    ("/v1/proxy/nobody/x", 404, "unknown_app"),
    ("/v1/proxy/../myapp/x", 404, "unknown_app"),
    ("/v1/proxy/%2e%2e/proxy/myapp/x", 404, "unknown_app"),
    ("/v1/proxy/MyApp/x", 404, "unknown_app"),
    ("/v1/proxy/myapp%2Fx/y", 404, "unknown_app"),
    ("/v1/proxy/myapp%00/y", 404, "not_found"),
    ("/v1/proxy//myapp/x", 404, "not_found"),
    ("/v1/apps/../proxy/myapp/x", 404, "not_found"),
    ("/v1/proxy/myapp", 405, "method_not_allowed"),
    ("/v1/proxy/myapp?/x", 405, "method_not_allowed"),
])
def test_no_other_path_reaches_the_app(site, path, status, reason):
    before = len(site.backend.requests)
    with Connection(site.control.port) as visitor:
        refused = visitor.request("GET", path, HOST)
    assert (refused.status, refused.reason) == (status, reason)
    assert refused.header("Content-Type") == "application/problem+json"
    assert len(site.backend.requests) == before


def test_every_method_passes_and_post_without_a_slash_is_the_envelope(site):
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "get"):
        assert echoed(site.control.request(method, BASE + "/m", body=b"{}"))[:2] == (method, "/m")
    head = site.control.request("HEAD", BASE + "/m")
    assert (head.status, head.body) == (200, b"")
    # Both of the same bytes: one describes a request, the other is one.
    body = json.dumps({"method": "PUT", "path": "/described"}).encode()
    assert echoed(site.control.request("POST", BASE, body=body))[:2] == ("PUT", "/described")
    assert echoed(site.control.request("POST", BASE + "/", body=body))[:2] == ("POST", "/")


def test_the_host_passes_and_the_way_is_told_as_at_the_proxy_listener(site):
    forged = [("X-Forwarded-For", "6.6.6.6"), ("X-EE-App", "other"), ("EE-Agent", "forged"), ("Connection", "x-hop"),
              ("X-Hop", "1"), ("X-Request-Id", "mine-1")]
    with Connection(site.control.port) as visitor:
        _, _, headers = echoed(visitor.request("GET", BASE + "/x", HOST, forged))
    for name, expected in (("Host", [HOST]), ("X-Forwarded-For", ["6.6.6.6, 127.0.0.1"]), ("X-Forwarded-Host", [HOST]),
                           ("X-EE-App", []), ("EE-Agent", []), ("X-Hop", []), ("Via", ["1.1 easyenclave"]),
                           ("X-Request-Id", ["mine-1"])):
        assert values(headers, name) == expected, name
    line = site.control.wait_access(request_id="mine-1")
    assert (line["app"], line["path"], line["status"], line["client"]) == ("myapp", "/x", 200, "6.6.6.6")


# ---- An app among us ---------------------------------------------------------------------------------------


def test_neither_our_tokens_nor_our_session_reach_the_app(site):
    own = f"Bearer {ADMIN_TOKEN}"
    for sent, arrives in ((own, []), (own.replace("Bearer", "bearer"), []), ("Bearer of-the-app", ["Bearer of-the-app"])):
        _, _, headers = echoed(site.control.get(BASE + "/", {"Authorization": sent}))
        assert values(headers, "Authorization") == arrives
    with Connection(site.control.port) as visitor:
        sent = [("Cookie", "a=1; __Host-ee_session=s; b=2"), ("Cookie", "ee_session=s"), ("Authorization", own),
                ("Authorization", "Bearer second"), ("X-EE-CSRF", "1")]
        _, _, headers = echoed(visitor.request("GET", BASE + "/", HOST, sent))
    assert values(headers, "Cookie") == ["a=1; b=2"]
    assert values(headers, "Authorization") == ["Bearer second"]
    assert not values(headers, "X-EE-CSRF")
    assert ADMIN_TOKEN not in str(headers)
    # The envelope goes by the same rules.
    _, _, headers = echoed(site.control.envelope("myapp", "GET", "/", {"Cookie": "ee_session=s; c=3"}))
    assert values(headers, "Cookie") == ["c=3"]


def test_an_app_cannot_act_on_the_control_listeners_origin(site):
    dangerous = [("Set-Cookie", "a=1"), ("Service-Worker-Allowed", "/"), ("Clear-Site-Data", '"*"'),
                 ("Alt-Svc", "h3=\":443\""), ("Strict-Transport-Security", "max-age=1"), ("NEL", "{}"), ("Report-To", "{}")]
    site.backend.on("/dangerous", lambda request: answer(
        200, [*dangerous, ("Content-Security-Policy", "script-src *"), ("X-Kept", "1")], "<script>"))
    reply = site.control.get(BASE + "/dangerous")
    for name, _ in dangerous:
        assert not reply.header_all(name), name
    assert reply.header_all("Content-Security-Policy") == ["sandbox"]
    assert reply.header("X-Kept") == "1"


def test_trailers_cannot_set_a_cookie(site):
    body = b"3\r\none\r\n0\r\nX-Sum: 1\r\nSet-Cookie: a=1\r\n\r\n"
    chunked = [("Transfer-Encoding", "chunked"), ("Trailer", "X-Sum")]
    site.backend.on("/trailers", lambda request: answer(200, chunked, body))
    with Connection(site.control.port) as visitor:
        visitor.send(f"GET {BASE}/trailers HTTP/1.1\r\nHost: {HOST}\r\nTE: trailers\r\nConnection: TE\r\n\r\n".encode())
        got = b""
        while not got.endswith(b"1\r\n\r\n"):
            got += visitor.socket.recv(4096)
    assert got.lower().endswith(b"\r\n0\r\nx-sum: 1\r\n\r\n"), got


def test_refusals_are_kept_apart_as_at_the_proxy_listener(world):
    control = world.control()
    backend = world.backend()
    agent = world.agent(control, backend)
    backend.on("/broken", lambda request: b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")
    def refusal():
        here, there = control.get(BASE + "/broken"), control.visit("myapp", "/broken")
        assert (here.status, here.reason) == (there.status, there.reason)
        assert here.header("Retry-After") == there.header("Retry-After")
        return here.status, here.reason
    assert refusal() == (502, "bad_agent_answer")
    agent.kill()
    control.wait_status("myapp", "offline")
    assert refusal() == (503, "offline")


def test_a_v1_agents_limits_hold_here_too(world):
    control = world.control()
    agent = control.wire_agent().attest().serve()
    reply = control.post(BASE + "/in?x", body={"a": 1})
    assert reply.status == 200
    with Connection(control.port) as visitor:
        visitor.send(f"POST {BASE}/ HTTP/1.1\r\nHost: x\r\nContent-Length: {5 * MIB}\r\n\r\n".encode())
        assert (refused := visitor.read_answer()).status == 413 and refused.reason == "body_too_large"
    with Connection(control.port) as visitor:
        fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
                  ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]
        assert visitor.request("GET", BASE + "/ws", HOST, fields).status == 501
    agent.close()


def test_a_v1_agent_takes_no_large_uploads_from_those_beside_it(world):
    control = world.control()
    world.agent(control, world.backend())
    agent = control.wire_agent(agent_id="old").attest().serve()
    until(lambda: control.get("/v1/resolve/myapp").json()["agents"] == 2)
    for _ in range(8):
        answer = control.visit("myapp", "/echo", "POST", body=bytes(5 * MIB))
        assert (answer.status, len(answer.json()["body_b64"])) == (200, (5 * MIB + 2) // 3 * 4)
    agent.close()


# ---- In pieces ---------------------------------------------------------------------------------------------


def test_large_bodies_stream_both_ways(streaming):
    size = 256 * MIB
    assert streaming.control.get(BASE + "/").status == 200
    before, peak = streaming.rss(), 0
    with streaming.connection(timeout=60) as visitor:
        visitor.send(f"POST {BASE}/upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {size}\r\n\r\n".encode())
        for at in range(0, size, len(PIECE)):
            visitor.send(PIECE)
            if at % (32 * MIB) == 0:
                peak = max(peak, streaming.rss())
        assert json.loads(visitor.read_answer().body) == {"bytes": size}
        visitor.send(f"GET {BASE}/download/256 HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        status, fields = visitor.read_head()
        assert status == 200 and values(fields, "Content-Security-Policy") == ["sandbox"]
        left, looked = size - len(visitor.buffered()), size
        while left:
            left -= len(visitor.socket.recv(MIB))
            if looked - left > 16 * MIB:
                peak, looked = max(peak, streaming.rss()), left
    assert peak - before < 64 * MIB * memory_factor(), f"{(peak - before) / MIB:.0f} MiB more"


def test_every_event_passes_at_once(streaming):
    with streaming.connection(timeout=20) as visitor:
        visitor.send(f"GET {BASE}/events HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        assert visitor.read_head()[0] == 200
        assert_below(0.05, lambda: streaming.backend.slowest_event(visitor.read_until))


def test_a_websocket_goes_through_without_our_token(streaming):
    async def talk():
        async with aiohttp.ClientSession() as session:
            headers = {"Host": HOST, "Authorization": f"Bearer {ADMIN_TOKEN}"}
            async with session.ws_connect(streaming.url("/ws"), headers=headers, protocols=["echo"], max_msg_size=0) as ws:
                assert ws.protocol == "echo"
                await ws.send_bytes(bytes(MIB))
                assert await ws.receive_bytes() == bytes(MIB)
                await ws.send_str("close")
                return (await ws.receive()).type, ws.close_code

    assert run(talk()) == (aiohttp.WSMsgType.CLOSE, 4001)
    line = streaming.control.wait_access(path="/ws")
    assert line["status"] == 101 and line["app"] == "myapp"


def test_the_app_hears_within_a_second_that_the_visitor_left(streaming):
    def leave():
        streaming.backend.arrived.clear()
        with streaming.connection() as visitor:
            visitor.send(f"POST {BASE}/upload HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "1\r\nx\r\n".encode())
            assert streaming.backend.arrived.wait(5)

    assert_leaving_is_heard(streaming.backend.cancelled, leave)
