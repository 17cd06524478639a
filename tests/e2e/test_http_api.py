"""The API of the control listener: routes, callers, errors, and what operators read there."""

import concurrent.futures
import re
import signal
import socket
import time

import pytest

from harness import ADMIN_TOKEN, APP_DOMAIN, until
from raw_http import Connection
from wire_agent import text_answer

METRICS_TOKEN = "metrics-token-of-the-tests"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z"
RESOLVE_FIELDS = {"app_name", "status", "allowed", "reason", "endpoint", "sealed", "last_attest", "repo", "release_tag",
                  "releases", "network", "agents", "registration_state", "registration_expires_at", "attestation_status",
                  "health_status", "ws_connected"}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def control(shared_world):
    """A control plane with two tokens of each role, and three apps of two repositories: zeta is offline."""
    shared_world.allow("org/other", "v2.0.0")
    plane = shared_world.control(EE_METRICS_TOKEN=f"{METRICS_TOKEN},{METRICS_TOKEN}-next",
                                 EE_ADMIN_TOKEN=f"{ADMIN_TOKEN},{ADMIN_TOKEN}-next")
    plane.wire_agent(app_name="alpha", agent_id="a1").attest().serve(text_answer("alpha"))
    plane.wire_agent(app_name="beta", agent_id="b1", repo="org/other", release_tag="v2.0.0").attest().serve()
    zeta = plane.wire_agent(app_name="zeta", agent_id="z1").attest()
    zeta.close()
    plane.wait_status("zeta", "offline")
    return plane


# ---- Health ------------------------------------------------------------------------------------------------


def test_health_says_who_answers_and_how_much_there_is(control):
    answer = control.get("/health")
    assert (answer.status, answer.header("Content-Type")) == (200, "application/json")
    body = answer.json()
    assert body["status"] == "ok" and re.match(r"\d+\.\d+\.\d+", body["version"])
    assert sorted(body["networks"]) == ["forge-1", "sandbox-1"]
    assert (body["apps"], body["tunnels"]) == (3, 2)
    assert isinstance(body["uptime_s"], int) and body["uptime_s"] >= 0
    assert control.get("/healthz").json() == {"status": "ok"}
    assert control.get("/readyz").status == 200


def test_readyz_tells_the_admin_more(control):
    refused = control.get("/readyz?verbose")
    assert (refused.status, refused.reason) == (401, "unauthorized")
    body = control.admin_get("/readyz?verbose").json()
    assert (body["status"], body["store"], body["draining"]) == ("ok", "ok", False)
    for query in ("verbose=1", "verbos"):
        assert control.admin_get(f"/readyz?{query}").reason == "invalid_parameter:" + query.split("=")[0]
    assert body["collateral"] == []  # It comes from files here.
    dangerous = [sentence.split(" ")[0].rstrip(":") for sentence in body["dangerous_settings"]]
    assert dangerous == ["EE_TDX_ROOT_CA", "EE_ALLOWLIST_DIR"]


def test_a_stopping_control_plane_takes_nothing_new_and_finishes_what_is_under_way(world):
    plane = world.control(EE_DRAIN_SEC=10)
    agent = plane.wire_agent(app_name="myapp").attest().serve(lambda request: None)
    with Connection(plane.port) as idle, Connection(plane.proxy_port) as visitor:
        assert idle.request("GET", "/readyz", "x").status == 200
        visitor.request("GET", "/", f"myapp.{APP_DOMAIN}", read=False)
        request = agent.expect("proxy_request")
        plane.signal(signal.SIGTERM)
        plane.wait_event("control.draining")
        assert idle.closed()  # Whoever balances load sees at once that it is to go elsewhere.
        with pytest.raises(ConnectionRefusedError):
            Connection(plane.port)
        agent.send({"type": "proxy_response", "request_id": request["request_id"], **text_answer("finished")(request)})
        last = visitor.read_answer()
        assert (last.body, last.header("Connection")) == (b"finished", "close")
    assert plane.wait(15) == 0


# ---- Routes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/nowhere", "/v1", "/v1/", "/v1/apps/", "/v1/apps/a/b", "/v1/resolve", "/v1/resolve/",
                                  "/V1/APPS", "//health", "/health/", "/v1/proxy", "/v1/../health", "/%68ealth", "/v1/apps/%00"])
def test_an_unknown_path_is_a_404(control, path):
    refused = control.admin_get(path)
    assert (refused.status, refused.reason) == (404, "not_found")


@pytest.mark.parametrize("method, path, allow", [
    ("POST", "/health", "GET, HEAD"), ("DELETE", "/healthz", "GET, HEAD"), ("PUT", "/readyz", "GET, HEAD"),
    ("POST", "/v1/tunnel", "GET, HEAD"), ("PATCH", "/v1/resolve/alpha", "GET, HEAD"), ("GET", "/v1/proxy/alpha", "POST"),
    ("HEAD", "/v1/proxy/alpha", "POST"), ("OPTIONS", "/metrics", "GET, HEAD"), ("X-OWN", "/openapi.yaml", "GET, HEAD")])
def test_a_wrong_method_is_a_405_that_says_what_is_taken(control, method, path, allow):
    refused = control.request(method, path, bearer(ADMIN_TOKEN))
    assert (refused.status, refused.header("Allow")) == (405, allow)
    if method != "HEAD":
        assert refused.reason == "method_not_allowed"


def test_head_answers_as_get_without_the_body(control):
    for path in ("/health", "/v1/resolve/alpha", "/v1/resolve/zeta", "/v1/resolve/unknown", "/openapi.yaml"):
        with Connection(control.port) as caller:
            head = caller.request("HEAD", path, "x")
            get = caller.request("GET", path, "x")
        assert head.status == get.status
        assert abs(int(head.header("Content-Length")) - len(get.body)) < 10  # uptime_s may gain a digit.


def test_the_tunnel_wants_an_upgrade(control):
    refused = control.get("/v1/tunnel")
    assert (refused.status, refused.reason) == (426, "upgrade_required")
    assert (refused.header("Upgrade"), refused.header("Sec-WebSocket-Version")) == ("websocket", "13")
    upgrade = [("Host", "x"), ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
               ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]
    for name, value, status in (("Sec-WebSocket-Version", "8", 426), ("Sec-WebSocket-Key", "short", 400),
                                ("Upgrade", "h2c", 426), ("Connection", "close", 426)):
        changed = [(field, value if field == name else other) for field, other in upgrade]
        assert control.request("GET", "/v1/tunnel", changed).status == status, name
    with Connection(control.port) as caller:
        accepted = caller.request("GET", "/v1/tunnel", "x", upgrade[1:] + [("Sec-WebSocket-Protocol", "chat, other")])
        assert accepted.status == 101
        assert accepted.header("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 section 1.3.
        assert not accepted.header_all("Sec-WebSocket-Protocol")  # None that we know: v1.


def test_the_contract_is_served(control):
    answer = control.get("/openapi.yaml")
    assert (answer.status, answer.header("Content-Type")) == (200, "application/yaml")
    assert answer.text.startswith("openapi:") or "\nopenapi:" in answer.text
    for path in ("/health", "/v1/tunnel", "/v1/resolve/{app}", "/v1/proxy/{app}", "/v1/apps", "/metrics"):
        assert f"\n  {path}:" in answer.text, path


# ---- Conventions -------------------------------------------------------------------------------------------


def refusals(control):
    """A request for each way to be refused: (status, reason)."""
    app = "/v1/proxy/alpha"
    return {
        "bad JSON": (control.request("POST", app, {}, b"{"), 400, "invalid_json"),
        "cursor": (control.admin_get("/v1/apps?cursor=*"), 400, "invalid_cursor"),
        "parameter": (control.admin_get("/v1/apps?limit=0"), 400, "invalid_parameter:limit"),
        "no token": (control.get("/v1/apps"), 401, "unauthorized"),
        "role": (control.get("/v1/apps", bearer(METRICS_TOKEN)), 403, "forbidden"),
        "path": (control.get("/nowhere"), 404, "not_found"),
        "app": (control.get("/v1/resolve/unknown"), 404, "unknown_app"),
        "method": (control.post("/health"), 405, "method_not_allowed"),
        "size": (control.request("POST", "/health", {}, bytes(1024 * 1024 + 1)), 413, "body_too_large"),
        "field": (control.post(app, {"x": 1}), 422, "unknown_field:x"),
        "type": (control.post(app, {"method": 1}), 422, "invalid_field:method"),
        "upgrade": (control.get("/v1/tunnel"), 426, "upgrade_required"),
        "fields": (control.request("GET", "/health", [(f"X-{i}", "") for i in range(201)]), 431, "too_many_fields"),
    }


def test_every_refusal_is_problem_json_with_an_id(control):
    seen = set()
    for name, (answer, status, reason) in refusals(control).items():
        assert answer.status == status, name
        assert answer.header_all("Content-Type") == ["application/problem+json"], name
        assert re.fullmatch(r"handler;dur=\d+(\.\d+)?", answer.header("Server-Timing")), name
        body = answer.json()
        assert set(body) == {"type", "title", "status", "detail", "reason", "error"}, name
        assert (body["status"], body["reason"], body["error"]) == (status, reason, reason), name
        assert body["type"] == "about:blank" and body["title"] and body["detail"], name
        (request_id,) = answer.header_all("X-Request-Id")
        assert request_id not in seen, name
        seen.add(request_id)


def test_every_answer_carries_the_callers_id_and_its_time(control):
    for path in ("/health", "/healthz", "/readyz", "/v1/resolve/alpha", "/v1/resolve/unknown", "/v1/apps", "/metrics",
                 "/nowhere", "/v1/tunnel", "/openapi.yaml"):
        answer = control.get(path, {"X-Request-Id": "trace.me:42", **bearer(ADMIN_TOKEN)})
        assert answer.header_all("X-Request-Id") == ["trace.me:42"], path
        assert re.fullmatch(r"handler;dur=\d+(\.\d+)?", answer.header("Server-Timing")), path
        assert answer.header("X-Content-Type-Options") == "nosniff", path
    for insane in ("", "a b", "x" * 129, "<script>", "\xe4"):
        (made,) = control.get("/health", {"X-Request-Id": insane}).header_all("X-Request-Id")
        assert re.fullmatch(r"[0-9a-f]{32}", made)


def test_nesting_and_size_are_bounded_before_anything_is_read(control):
    deep = control.request("POST", "/v1/proxy/alpha", {}, b'{"headers":' + b'{"a":' * 33 + b"1" + b"}" * 34)
    assert (deep.status, deep.reason) == (400, "invalid_json")
    started = time.monotonic()
    with Connection(control.port) as caller:
        caller.send(b"POST /v1/resolve/alpha HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n")
        assert caller.read_answer().status == 413
    assert time.monotonic() - started < 2


# ---- Roles (25) --------------------------------------------------------------------------------------------

CLOSED = ["/v1/apps", "/v1/apps/alpha", "/readyz?verbose"]


def test_lesson_25_an_unset_token_closes_its_endpoints(world):
    plane = world.control(EE_ADMIN_TOKEN=None)
    for path in CLOSED + ["/metrics"]:
        for headers in ({}, bearer(""), bearer("x"), {"Authorization": "Bearer"}, bearer(ADMIN_TOKEN)):
            refused = plane.get(path, headers)
            assert (refused.status, refused.reason) == (403, "role_not_configured"), path
    assert plane.get("/health").status == 200
    metrics = world.control(EE_ADMIN_TOKEN=None, EE_METRICS_TOKEN=METRICS_TOKEN, EE_DB_PATH=world.path / "second.db")
    assert metrics.get("/metrics", bearer(METRICS_TOKEN)).status == 200
    assert metrics.get("/v1/apps", bearer(METRICS_TOKEN)).reason == "role_not_configured"


def test_lesson_25_an_empty_setting_is_an_unset_one(world):
    plane = world.control(EE_ADMIN_TOKEN="")
    assert plane.get("/v1/apps", {"Authorization": "Bearer "}).reason == "role_not_configured"


@pytest.mark.parametrize("path", CLOSED)
def test_lesson_25_a_wrong_token_is_a_401_that_names_the_scheme(control, path):
    for headers in ({}, {"Authorization": ADMIN_TOKEN}, {"Authorization": f"Basic {ADMIN_TOKEN}"},
                    {"Authorization": "Bearer"}, {"Cookie": f"token={ADMIN_TOKEN}"}):
        refused = control.get(path, headers)
        assert (refused.status, refused.reason) == (401, "unauthorized"), headers
        assert refused.header("WWW-Authenticate") == "Bearer"
    for headers in (bearer(ADMIN_TOKEN), bearer(ADMIN_TOKEN + "-next"), {"Authorization": f"bearer  {ADMIN_TOKEN}"}):
        assert control.get(path, headers).status == 200, headers


def test_lesson_25_each_token_opens_its_own_role_only(control):
    for token in (METRICS_TOKEN, METRICS_TOKEN + "-next", ADMIN_TOKEN):
        assert control.get("/metrics", bearer(token)).status == 200
    refused = control.get("/metrics")
    assert (refused.status, refused.header("WWW-Authenticate")) == (401, "Bearer")
    for path in CLOSED:
        assert control.get(path, bearer(METRICS_TOKEN)).status == 403


def test_lesson_25_wrong_tokens_are_slowed_and_a_right_one_always_passes(world):
    plane = world.control()
    wrong = [plane.get("/v1/apps", bearer(f"guess-{i}")).status for i in range(15)]
    assert wrong == [401] * 10 + [429] * 5
    refused = plane.get("/v1/apps", bearer("guess-again"))
    assert refused.reason == "too_many_wrong_tokens" and int(refused.header("Retry-After")) > 0
    assert plane.admin_get("/v1/apps").status == 200
    assert plane.get("/health").status == 200
    # Prefixes and extensions of the right one are wrong ones.
    for token in (ADMIN_TOKEN[:-1], ADMIN_TOKEN + "x", ADMIN_TOKEN.upper()):
        assert plane.get("/v1/apps", bearer(token)).status == 429
    # Another address has its own count.
    with Connection(plane.port, source="127.0.0.7") as caller:
        assert caller.request("GET", "/v1/apps", "x", [("Authorization", "Bearer guess")]).status == 401


# ---- Resolve -----------------------------------------------------------------------------------------------


def test_resolve_of_an_active_app(control):
    answer = control.get("/v1/resolve/alpha")
    assert (answer.status, answer.header("Content-Type")) == (200, "application/json")
    body = answer.json()
    assert set(body) == RESOLVE_FIELDS
    expected = {"app_name": "alpha", "status": "active", "allowed": True, "reason": None, "sealed": False,
                "endpoint": f"ws://alpha.{APP_DOMAIN}:{control.proxy_port}", "repo": "org/repo", "release_tag": "v0.1.3", "releases": ["v0.1.3"],
                "network": "sandbox-1", "agents": 1, "registration_state": "active", "attestation_status": "valid",
                "health_status": "pass", "ws_connected": True}
    assert {name: body[name] for name in expected} == expected
    for name in ("last_attest", "registration_expires_at"):
        assert re.fullmatch(TIME, body[name])


def test_resolve_of_an_app_that_may_not_be_served_has_the_same_shape(control):
    answer = control.get("/v1/resolve/zeta")
    assert (answer.status, answer.header("Content-Type")) == (403, "application/json")
    body = answer.json()
    assert set(body) == RESOLVE_FIELDS
    assert (body["status"], body["reason"], body["allowed"], body["ws_connected"]) == ("offline", "offline", False, False)
    for name in ("unknown", "..%2fx", "a%20b", "x" * 300):
        refused = control.get(f"/v1/resolve/{name}")
        assert (refused.status, refused.reason) == (404, "unknown_app"), name


def test_resolve_gives_the_public_url_where_there_is_no_app_domain(world):
    plane = world.control(EE_APP_DOMAIN=None, EE_PUBLIC_URL="https://control.example.com")
    plane.wire_agent(app_name="myapp").attest()
    assert plane.resolve("myapp")["endpoint"] == "wss://control.example.com/v1/proxy/myapp"


# ---- Apps --------------------------------------------------------------------------------------------------


def apps(control, query=""):
    answer = control.admin_get("/v1/apps" + query)
    assert answer.status == 200, answer
    return [item["app_name"] for item in answer.json()["items"]], answer.json()["next_cursor"]


@pytest.mark.parametrize("query, names", [
    ("", ["alpha", "beta", "zeta"]), ("?status=active", ["alpha", "beta"]), ("?status=offline", ["zeta"]),
    ("?status=banned", []), ("?repo=org/other", ["beta"]), ("?repo=org%2Fother", ["beta"]), ("?repo=none/none", []),
    ("?network=sandbox-1", ["alpha", "beta", "zeta"]), ("?network=forge-1", []),
    ("?network=sandbox-1&status=active&repo=org/repo", ["alpha"])])
def test_apps_are_listed_by_filters(control, query, names):
    assert apps(control, query) == (names, None)


def test_apps_are_paged_by_a_cursor(control):
    first, cursor = apps(control, "?limit=2")
    assert first == ["alpha", "beta"] and cursor
    assert apps(control, f"?limit=2&cursor={cursor.replace('=', '%3D').replace('+', '%2B')}") == (["zeta"], None)
    assert apps(control, "?limit=500")[1] is None
    for query in ("limit=0", "limit=501", "limit=-1", "limit=x", "limit=1.5", "limit=", "limit=99999999999999999999",
                  "limit=1&limit=2", "status=nonsense", "cursor=%00", "repo=%zz", "unknown=1"):
        refused = control.admin_get(f"/v1/apps?{query}")
        assert refused.status == 400, query
        assert refused.reason in ("invalid_cursor", "invalid_parameter:" + query.split("=")[0]), query


def test_the_items_of_a_list_are_resolve_bodies(control):
    items = control.admin_get("/v1/apps").json()["items"]
    for item in items:
        assert item == control.resolve(item["app_name"])


def test_an_app_in_detail(control):
    assert control.visit("alpha").text == "alpha"
    until(lambda: control.app_agents("alpha")[0]["open_streams"] == 0, what="the stream has ended")
    body = control.app("alpha")
    assert RESOLVE_FIELDS < set(body) and re.fullmatch(TIME, body["created_at"])
    (agent,) = body["agents_detail"]
    expected = {"agent_id": "a1", "node_id": None, "status": "active", "attestation_status": "valid", "health_status": "pass",
                "release_tag": "v0.1.3", "connected": True, "open_streams": 0, "sealed": False}
    assert {name: agent[name] for name in expected} == expected
    assert agent["peer_address"].startswith("127.0.0.1:") and re.fullmatch(TIME, agent["last_attest"])
    assert agent["requests"] >= 1 and agent["bytes_in"] > 0 and agent["bytes_out"] > 0
    kinds = [event["kind"] for event in body["events"]]
    assert kinds and all(re.fullmatch(TIME, event["at"]) for event in body["events"])
    refused = control.admin_get("/v1/apps/unknown")
    assert (refused.status, refused.reason) == (404, "unknown_app")


def test_why_an_agent_was_refused_is_kept_for_the_operator(control):
    intruder = control.wire_agent(app_name="alpha", agent_id="intruder", repo="evil/repo")
    intruder.register()
    intruder.expect_closed()
    found = [refusal for refusal in control.app("alpha")["refusals"] if refusal["agent_id"] == "intruder"]
    assert [refusal["code"] for refusal in found] == ["app_bound_to_other_repo"]
    assert found[0]["peer_address"].startswith("127.0.0.1:") and found[0]["detail"]


# ---- Metrics -----------------------------------------------------------------------------------------------


def test_metrics_are_prometheus_text(control):
    answer = control.get("/metrics", bearer(METRICS_TOKEN))
    assert answer.status == 200 and answer.header("Content-Type").startswith("text/plain; version=0.0.4")
    declared, sample = {}, re.compile(r'([a-z_]+)(\{([a-z]+="(\\.|[^"\\])*",?)+\})? (-?\d+(\.\d+)?([eE][-+]?\d+)?|\+Inf)')
    for line in answer.text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in declared, name
            declared[name] = kind
        elif not line.startswith("# HELP "):
            found = sample.fullmatch(line)
            assert found, line
            assert found[1] in declared or re.sub(r"_(bucket|sum|count)$", "", found[1]) in declared, line
    for name in ("ee_tunnels", "ee_tunnels_unattested", "ee_proxy_requests_total", "ee_proxy_refused_total",
                 "ee_tunnel_refusals_total", "ee_proxy_duration_seconds", "ee_proxy_open_requests", "ee_apps", "ee_agents",
                 "ee_api_answers_total", "ee_build_info", "process_start_time_seconds", "process_resident_memory_bytes"):
        assert name in declared, name


def test_metrics_count_what_happens(control):
    def counted():
        return {name: control.metric(name) for name in ("ee_tunnels", "ee_proxy_requests_total")}

    before = counted()
    refused = control.metric("ee_proxy_refused_total", reason="unknown_app")
    codec = control.metric("ee_http_refused_total", reason="bad_request")
    control.visit("alpha")
    control.visit("unknown")
    with Connection(control.proxy_port) as visitor:
        visitor.send(b"nonsense\r\n\r\n")
        assert visitor.read_answer().status == 400
    after = counted()
    assert after["ee_tunnels"] == before["ee_tunnels"] == 2
    assert after["ee_proxy_requests_total"] == before["ee_proxy_requests_total"] + 2
    assert control.metric("ee_proxy_requests_total", **{"class": "4xx"}) >= 1
    counts = control.get("/health").json()
    until(lambda: (control.metric("ee_apps"), control.metric("ee_agents")) == (counts["apps"], counts["agents"]))
    assert control.metric("ee_proxy_refused_total", reason="unknown_app") == refused + 1
    assert control.metric("ee_http_refused_total", reason="bad_request") == codec + 1


# ---- Under many callers ------------------------------------------------------------------------------------


def test_resolve_answers_many_callers_at_once(control):
    def many(_):
        with Connection(control.port) as caller:
            return [caller.request("GET", "/v1/resolve/alpha", "x").json()["status"] for _ in range(100)]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(statuses == ["active"] * 100 for statuses in pool.map(many, range(8)))


def test_a_caller_that_sends_its_request_and_its_end_together_is_answered(control):
    with Connection(control.port) as caller:
        caller.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)  # All in one segment.
        caller.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        caller.socket.shutdown(socket.SHUT_WR)
        assert [caller.read_answer().status for _ in range(3)] == [200] * 3
        assert caller.closed()
