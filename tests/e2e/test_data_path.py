"""The data path: a visitor's request through the proxy listener or the envelope, the tunnel, and the backend.

Tests called test_lesson_NN_... are faults that tunnels of this kind were seen to have: none of them may come back."""

import gzip
import json
import re
import socket

import pytest

from backend import answer, pattern
from data_path import HOST, MIB, TRUSTED, Site, narrow_app, received, values, wire_app, wired_control
from harness import ADMIN_TOKEN, APP_DOMAIN
from raw_http import Connection


@pytest.fixture(scope="module")
def site(shared_world):
    return Site(shared_world)


@pytest.fixture(scope="module")
def wired(shared_world):
    return wired_control(shared_world)


@pytest.fixture(scope="module")
def narrow(shared_world):
    return narrow_app(shared_world)


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
    for host in (HOST, f"MyApp.{APP_DOMAIN.upper()}:9090", f"myapp.x.y.{APP_DOMAIN}"):
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


# ---- The access log ----------------------------------------------------------------------------------------


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
    counted = site.control.metric("ee_proxy_refused_total", reason=reason.split(":")[0])
    refused = site.control.request("POST", "/v1/proxy/myapp", {"Content-Type": "application/json"}, body)
    assert (refused.status, refused.reason) == (status, reason)
    assert refused.header("Content-Type") == "application/problem+json"
    assert len(site.backend.requests) == before
    line = site.control.wait_access(request_id=refused.header("X-Request-Id"))
    assert (line["status"], line["error"], line["app"], line["path"]) == (status, reason, "myapp", "/v1/proxy/myapp")
    assert site.control.metric("ee_proxy_refused_total", reason=reason.split(":")[0]) == counted + 1


def test_an_envelope_body_over_the_limit_is_a_413(site):
    refused = site.control.envelope("myapp", "POST", "/echo", body=bytes(4 * MIB + 10))
    assert (refused.status, refused.reason) == (413, "body_too_large")
    refused = site.control.request("POST", "/v1/proxy/myapp", {"X-Request-Id": "too-large"}, b" " * (6 * MIB))
    assert (refused.status, refused.reason) == (413, "body_too_large")
    assert site.control.wait_access(request_id="too-large")["status"] == 413
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
