"""The data path among visitors, backends and agents that are hostile or broken: what they cannot do to others.

Tests called test_lesson_NN_... are faults that tunnels of this kind were seen to have: none of them may come back."""

import pytest

from backend import Backend, Cut, answer
from data_path import HOST, TRUSTED, Site, received, values, wire_app, wired_control
from harness import APP_DOMAIN
from raw_http import Connection, FramingError
from wire_agent import text_answer


@pytest.fixture(scope="module")
def site(shared_world):
    return Site(shared_world)


@pytest.fixture(scope="module")
def wired(shared_world):
    return wired_control(shared_world)


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
