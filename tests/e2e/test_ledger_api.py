"""The ledger's API refuses what it does not take. The rows are made from ledger_endpoints.py, for every endpoint; that none
is forgotten, test_apps_api.py sees to."""

import json
import re
import urllib.parse

import pytest

from ledger_client import SETTINGS, Ledger, unique
from ledger_endpoints import ENDPOINTS, NOT_JSON
from raw_http import Connection

HOLDERS = ("alice", "bob", "spare", "n1", "n2")
every_endpoint = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name.replace("/", "_"))
with_body = pytest.mark.parametrize("endpoint", [e for e in ENDPOINTS if e.body], ids=lambda endpoint: endpoint.name.replace("/", "_"))


@pytest.fixture(scope="module")
def ledger(shared_world):
    made = Ledger(shared_world.control(EE_SETTLE_AUTO="false", **SETTINGS))
    for account in ("alice", "bob", "spare"):
        made.open_account(account, "100")
    for node in ("n1", "n2", "victim"):
        made.register_node(node)
    return made


class Caller:
    """Sends requests to one endpoint on a kept connection, from an address of its own."""

    def __init__(self, ledger, endpoint):
        self.ledger, self.endpoint = ledger, endpoint
        self.role = next((role for role in ("admin", "launcher", "uptime", "auditor") if role in endpoint.roles), None)
        self.connection = ledger.connection()

    def send(self, body=None, path=None, caller="role", key="unique", method=None):
        """`body`: the JSON's text or bytes; by default that of a request which is accepted."""
        path = path or self.endpoint.at(self.ledger)
        if body is None and self.endpoint.body:
            body = json.dumps(self.endpoint.body(self.ledger))
        data = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
        headers = self.ledger.headers(self.role if caller == "role" else caller, key if self.endpoint.body else None)
        return self.connection.request(method or self.endpoint.method, path, "x", list(headers.items()), data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()


def check_refused(answer, status, reason, what):
    assert answer.header("Content-Type") == "application/problem+json", (what, answer)
    body = answer.json()
    assert (answer.status, body["reason"]) == (status, reason), (what, answer)
    assert body["error"] == reason and body["status"] == status and body["type"] == "about:blank" and body["title"], what
    assert body["detail"], what


def status_of(reason):
    stem = reason.split(":")[0]
    return {"invalid_json": 400, "invalid_parameter": 400, "invalid_cursor": 400, "log_range": 400, "unauthorized": 401, "forbidden": 403,
            "allowlist_not_seen": 409}.get(
        stem, 404 if stem.startswith("unknown_") and stem != "unknown_field" else 422)


# ---- Callers -----------------------------------------------------------------------------------------------


def expected_of(endpoint, caller):
    """None: served; else (status, reason)."""
    if "public" in endpoint.roles or caller in endpoint.roles or caller in endpoint.owners:
        return None
    if caller in endpoint.hidden:
        return 404, "unknown_lock"
    return 403, "forbidden"


@every_endpoint
def test_only_its_callers_may_call_an_endpoint(ledger, endpoint):
    with Caller(ledger, endpoint) as sender:
        for caller in ("admin", "launcher", "uptime", "auditor", "metrics", *HOLDERS):
            answer, expected = sender.send(caller=caller), expected_of(endpoint, caller)
            if expected:
                check_refused(answer, *expected, caller)
            else:
                assert answer.status in (200, 201, 404), (caller, answer)
            if endpoint.secret and answer.status in (200, 201):
                ledger.tokens["spare"] = answer.json()[endpoint.secret] if "spare" in answer.text else ledger.tokens["spare"]


@every_endpoint
def test_who_has_no_token_or_an_unknown_one_is_not_served(ledger, endpoint):
    if "public" in endpoint.roles:
        return
    with Caller(ledger, endpoint) as sender:
        for caller in (None, "wrong", "ee_" + "0" * 64, ledger.tokens["alice"][:-1], ledger.tokens["alice"] + "0"):
            answer = sender.send(caller=caller)
            check_refused(answer, 401, "unauthorized", caller)
            assert answer.header("WWW-Authenticate") == "Bearer"


def test_guessing_an_accounts_token_is_slowed_down(ledger):
    with Caller(ledger, next(e for e in ENDPOINTS if e.path == "/v1/balances/{account}")) as sender:
        answers = [sender.send(caller=f"ee_{i:064d}") for i in range(12)]
        assert [answer.status for answer in answers] == [401] * 10 + [429] * 2
        assert answers[-1].reason == "too_many_wrong_tokens" and answers[-1].header("Retry-After")
        assert sender.send(caller="alice").status == 200


# ---- Bodies ------------------------------------------------------------------------------------------------


def with_field(body, name, text):
    """The body as JSON with this field spelled like this, whatever it was before."""
    members = [f"{json.dumps(key)}:{json.dumps(value)}" for key, value in body.items() if key != name]
    return "{" + ",".join([*members, f"{json.dumps(name)}:{text}"]) + "}"


# L8, defect 11: what is no number, NaN and Infinity among it, is a refusal and nothing worse.
@with_body
def test_a_field_takes_only_what_its_rule_says(ledger, endpoint):
    with Caller(ledger, endpoint) as sender:
        for name, field in endpoint.fields.items():
            for spelled in filter(None, (name, field.other)):
                for text, reason in field.bad.items():
                    body = {key: value for key, value in endpoint.body(ledger).items() if key != name}
                    reason = reason.format(name=spelled)
                    check_refused(sender.send(with_field(body, spelled, text)), status_of(reason), reason, f"{spelled}: {text}")
            for text in NOT_JSON:
                check_refused(sender.send(with_field(endpoint.body(ledger), name, text)), 400, "invalid_json", f"{name}: {text}")


@with_body
def test_a_field_that_is_needed_is_missed(ledger, endpoint):
    with Caller(ledger, endpoint) as sender:
        for name, field in endpoint.fields.items():
            body = endpoint.body(ledger)
            absent = {key: value for key, value in body.items() if key != name}
            for text in (json.dumps(absent), with_field(body, name, "null")):
                answer = sender.send(text)
                if not field.required:
                    assert answer.status not in (400, 422), (name, answer)
                    continue
                reason = "missing_fields" if field.required is True else field.required.format(name=name)
                check_refused(answer, 422, reason, text)
                assert reason != "missing_fields" or name in answer.json()["detail"]


@with_body
def test_a_body_is_one_flat_object_of_known_fields(ledger, endpoint):
    body = endpoint.body(ledger)
    deep = lambda levels: with_field(body, "x", "[" * (levels - 1) + "]" * (levels - 1))  # noqa: E731
    rows = {
        "[]": "invalid_json", "null": "invalid_json", "1": "invalid_json", '"x"': "invalid_json", "{": "invalid_json", "}": "invalid_json",
        "{}{}": "invalid_json", "{} x": "invalid_json", "[{}]": "invalid_json", "{'a':1}": "invalid_json", '{"a" 1}': "invalid_json",
        '{"a":1,}': "invalid_json", "// x\n{}": "invalid_json", "\ufeff[]": "invalid_json", " ": "invalid_json", "{}\0": "invalid_json",
        '{"a":"\x01"}': "invalid_json", b'{"a":"\xff"}': "invalid_json", b'{"a":"\xed\xa0\x80"}': "invalid_json", b"\xff\xfe{}": "invalid_json",
        deep(33): "invalid_json", deep(500000): "invalid_json", deep(32): "unknown_field:x",
        with_field(body, "unknown", "1"): "unknown_field:unknown", with_field(body, "unknown", "null"): "unknown_field:unknown",
        with_field(body, "", "1"): "unknown_field:", with_field(body, "x" * 1000, "1"): "unknown_field:" + "x" * 64,
        with_field(body, "Account_id", '"alice"'): "unknown_field:Account_id",
        with_field({**body, **{f"x{i}": 1 for i in range(80000)}}, "y", "1"): "invalid_json",
    }
    for name in endpoint.fields:
        once = with_field(body, name, json.dumps(body.get(name, "x")))
        rows[f'{once[:-1]},{json.dumps(name)}:{json.dumps(body.get(name, "x"))}}}'] = f"invalid_field:{name}"
        escaped = "".join(f"\\u{ord(c):04x}" for c in name)
        rows[f'{once[:-1]},"{escaped}":{json.dumps(body.get(name, "x"))}}}'] = f"invalid_field:{name}"
    with Caller(ledger, endpoint) as sender:
        for text, reason in rows.items():
            check_refused(sender.send(text), status_of(reason), reason, text[:200])


def check_large_body(ledger, endpoint):
    text = with_field(endpoint.body(ledger) if endpoint.body else {}, "x", '"' + "x" * 2 * 1024 * 1024 + '"')
    caller = next(iter(sorted(endpoint.roles - {"account", "node", "app", "public"})), None)
    answer = ledger.control.request(endpoint.method, endpoint.at(ledger), ledger.headers(caller), text.encode())
    check_refused(answer, 413, "body_too_large", endpoint.name)


@every_endpoint
def test_a_body_over_a_mebibyte_is_too_large(ledger, endpoint):
    check_large_body(ledger, endpoint)


@with_body
def test_an_idempotency_key_is_visible_ascii_and_there_where_money_moves(ledger, endpoint):
    with Caller(ledger, endpoint) as sender:
        for key in ("x" * 129, "a b", "a\tb", "ü", ""):
            check_refused(sender.send(key=key), 422, "invalid_field:idempotency_key", key)
        twice = [*ledger.headers(sender.role, "a").items(), ("idempotency-key", "b")]
        answer = sender.connection.request("POST", endpoint.at(ledger), "x", twice, json.dumps(endpoint.body(ledger)).encode())
        check_refused(answer, 422, "invalid_field:idempotency_key", "twice")
        assert sender.send(key=unique("k" * 100) + "!~").status in (200, 201, 404)
        answer = sender.send(key=None)
        if endpoint.needs_key:
            check_refused(answer, 400, "idempotency_key_required", endpoint.name)
        else:
            assert answer.status in (200, 201, 404), answer


# ---- Paths and queries -------------------------------------------------------------------------------------


def check_query(ledger, endpoint):
    with Caller(ledger, endpoint) as sender:
        path = endpoint.at(ledger)
        for name, values in endpoint.query.items():
            bare = re.sub(rf"[?&]{name}=[^&]*", "", path)
            for value in (*values, "%zz", "%ff", "%00"):
                answer = sender.send(path=f"{bare}{'&' if '?' in bare else '?'}{name}={value}")
                check_refused(answer, 400, f"invalid_parameter:{name}", f"{name}={value}")
        if "cursor" in endpoint.query:
            for cursor in ("*", "a", "=", "AAAA%3D", "a+b"):
                check_refused(sender.send(path=f"{path}?cursor={cursor}"), 400, "invalid_cursor", cursor)


def check_mistyped(ledger, endpoint):
    with Caller(ledger, endpoint) as sender:
        path = endpoint.at(ledger)
        for name in ("dry-run", "nodeid"):
            answer = sender.send(path=f"{path}{'&' if '?' in path else '?'}{name}=true")
            check_refused(answer, 400, f"invalid_parameter:{name}", path)


@every_endpoint
def test_a_query_takes_only_what_its_rule_says(ledger, endpoint):
    check_query(ledger, endpoint)


@every_endpoint
def test_a_mistyped_parameter_is_refused_and_nothing_is_done(ledger, endpoint):
    check_mistyped(ledger, endpoint)


@every_endpoint
def test_what_a_path_names_must_be_there(ledger, endpoint):
    with Caller(ledger, endpoint) as sender:
        for path, reason in endpoint.unknown.items():
            check_refused(sender.send(path=path), status_of(reason), reason, path)


def test_a_path_takes_its_own_methods_only(ledger):
    paths = {endpoint.path for endpoint in ENDPOINTS}
    for path in sorted(paths):
        taken = {endpoint.method for endpoint in ENDPOINTS if endpoint.path == path}
        allow = ", ".join(["GET", "HEAD"] * ("GET" in taken) + ["POST"] * ("POST" in taken))
        real = re.sub(r"\{\w+\}", "1", path)
        if path == "/v1/nodes/register":  # Also a node's name for GET.
            allow, taken = "POST, GET, HEAD", taken | {"GET"}
        for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "X-OWN"} - taken:
            refused = ledger.control.request(method, real, ledger.headers("admin"), b"{}")
            check_refused(refused, 405, "method_not_allowed", f"{method} {real}")
            assert sorted(refused.header("Allow").split(", ")) == sorted(allow.split(", ")), real


@every_endpoint
def test_paths_are_exact(ledger, endpoint):
    with Caller(ledger, endpoint) as sender:
        path = endpoint.at(ledger).split("?")[0]
        for other in (path + "/", path + "/x", "/" + path, path.upper(), path + "%00"):
            answer = sender.send(path=other)
            assert answer.status in (404, 405, 422), (other, answer)


# ---- Closed roles ------------------------------------------------------------------------------------------


def test_a_role_without_a_token_is_closed(world):
    ledger = Ledger(world.control(EE_ADMIN_TOKEN=None))
    for endpoint in ENDPOINTS:
        real = re.sub(r"\{\w+\}", "1", endpoint.path)
        for caller in (None, "", "x", "admin", "launcher", "uptime", "auditor"):
            with Connection(ledger.control.port) as connection:
                answer = connection.request(endpoint.method, real, "x", list(ledger.headers(caller, None).items()), b"{}")
            if "public" in endpoint.roles:
                assert answer.status in (200, 400), endpoint.name
            elif endpoint.roles & {"account", "node"}:  # Open to accounts and nodes still; this is a token of neither.
                assert answer.status in (401, 404, 422, 429), (endpoint.name, answer)
            else:
                check_refused(answer, 403, "role_not_configured", endpoint.name)


def test_readyz_and_metrics_tell_of_the_ledger(ledger):
    ledger.ok("/v1/credits/purchase", {"account_id": "bob", "amount_usd": "1"})
    body = ledger.ok("/readyz?verbose")
    assert (body["status"], body["ledger"], body["ledger_detail"]) == ("ok", "ok", None)
    assert "ledger" not in ledger.control.get("/health").json() and "ledger" not in ledger.control.get("/readyz").json()
    commits, commands = ledger.control.metric("ee_ledger_commits_total"), ledger.control.metric("ee_ledger_commands_total")
    assert commits > 0 and commands > 0
    ledger.ok("/v1/credits/purchase", {"account_id": "bob", "amount_usd": "1"})
    assert ledger.control.metric("ee_ledger_commits_total") == commits + 1
    assert ledger.control.metric("ee_ledger_commands_total") == commands + 1
    for code in ("ledger_halted", "ledger_forked", "store_unavailable"):
        assert ledger.control.metric("ee_ledger_standstill", code=code) == 0
        assert f'ee_ledger_standstill{{code="{code}"}} 0' in ledger.get("/metrics").text


def test_names_in_paths_are_taken_apart_once(ledger):
    assert ledger.get("/v1/balances/" + urllib.parse.quote("node:n1", safe="")).status == 200
    assert ledger.get("/v1/balances/%61lice").status == 200
    assert ledger.get("/v1/balances/%2561lice").reason == "unknown_account"


@pytest.mark.parametrize("endpoint", [e for e in ENDPOINTS if e.method == "GET"], ids=lambda endpoint: endpoint.name.replace("/", "_"))
def test_head_answers_as_get_without_the_body(ledger, endpoint):
    with Caller(ledger, endpoint) as sender:
        path = endpoint.at(ledger)
        get, head = sender.send(path=path), sender.send(path=path, method="HEAD")
        assert (head.status, head.body) == (get.status, b"")
        assert head.header("Content-Length") == str(len(get.body)) and head.header("Content-Type") == get.header("Content-Type")


def test_a_visitor_that_leaves_before_the_answer_disturbs_nobody(ledger):
    for _ in range(200):
        with ledger.connection() as connection:
            connection.request("GET", "/v1/ledger/entries?limit=500", "x", list(ledger.headers("auditor", None).items()), read=False)
    assert ledger.get("/v1/ledger/entries").status == 200
