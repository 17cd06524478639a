"""The endpoints that are not the ledger's refuse what they do not take: who may call each, and the rules of its fields and
its query, as data. And none of the contract's operations is forgotten, here or in ledger_endpoints.py."""

import dataclasses
import functools
import json
import re

import pytest
import yaml

import ledger_endpoints
from harness import ADMIN_TOKEN
from ledger_client import SETTINGS, Ledger, unique
from ledger_endpoints import NOT_JSON, PAGED, WRONG, Endpoint, Field, fixed, of_flag, of_text
from test_ledger_api import Caller, check_large_body, check_mistyped, check_query, check_refused, status_of, with_field

OWNER = {"admin", "app"}
NAMES = ("", "Upper", "-a", "a-", "a.b", "a" * 64, "a\0", "ü")
METHODS = {"get", "head", "post", "put", "patch", "delete", "options", "trace"}

# The only operations without a row, and why. All the rest of openapi.yaml must have one.
UNTABLED = {
    "GET /v1/tunnel": "upgrades to WebSocket, whatever its query; test_http_api.py has what it refuses",
    "POST /v1/proxy/{app}": "answers for the app, and takes a body as large as its bodies; test_data_path.py has what it refuses",
    **{f"{method.upper()} /v1/proxy/{{app}}/{{path}}": "passes on whatever it is sent; test_proxy_path.py has what it refuses"
       for method in METHODS},
}
# Asked by front ends with whatever their visitors sent along.
ANY_QUERY = ("/v1/resolve/{app}", "/v1/authz/{app}")


def made(ledger):
    name = unique("made")
    ledger.ok("/v1/apps", {"app_name": name, "repo": "org/repo", "network": "sandbox-1"})
    return f"/v1/apps/{name}"


def many(count, form):
    return ",".join(form.format(i) for i in range(count))


ENDPOINTS = [
    Endpoint("GET", "/health", {"public"}, fixed("/health")),
    Endpoint("GET", "/healthz", {"public"}, fixed("/healthz")),
    Endpoint("GET", "/readyz", {"public", "admin"}, fixed("/readyz"), query={"verbose": ["1", "true", "&verbose"]}),
    Endpoint("GET", "/metrics", {"metrics", "admin"}, fixed("/metrics")),
    Endpoint("GET", "/openapi.yaml", {"public"}, fixed("/openapi.yaml")),
    Endpoint("GET", "/v1/resolve/{app}", {"public"}, fixed("/v1/resolve/open")),
    Endpoint("GET", "/v1/authz/{app}", {"public"}, fixed("/v1/authz/open")),
    Endpoint("GET", "/v1/apps", {"admin"}, fixed("/v1/apps"),
             query={**PAGED, "network": ["a&network=a"], "repo": ["a/b&repo=a/b"],
                    "status": ["", "x", "Active", "active&status=active"]}),
    Endpoint("POST", "/v1/apps", {"admin"}, fixed("/v1/apps"),
             lambda l: {"app_name": unique("app"), "repo": "org/repo", "network": "sandbox-1"},
             {"app_name": of_text(**{WRONG: NAMES}),
              "repo": of_text(**{WRONG: ["", "repo", "/repo", "a/", "a/b/c", "a/..", "a/.", "ä/b", "a/b\0", "x" * 40 + "/b", "a/" + "x" * 101, "a_b/c"]}),
              "network": of_text(invalid_network=["", "nowhere", "sandbox-1\0", "SANDBOX-1"]),
              "billing_account": of_text(False, **{WRONG: ["a b", "x" * 65, "node:n1", "stake:n1", "@issued", "a/b", "ä", "a\0"]}),
              "rotate_token": of_flag()}),
    Endpoint("GET", "/v1/apps/{app}", OWNER, fixed("/v1/apps/shop")),
    Endpoint("DELETE", "/v1/apps/{app}", {"admin"}, made, lambda l: {}),
    Endpoint("PUT", "/v1/apps/{app}/nodes", OWNER, fixed("/v1/apps/shop/nodes"), lambda l: {"nodes": ["n1"]},
             {"nodes": Field({text: WRONG for text in (
                 '"n1"', "1", "true", "{}", '{"n1":1}', "[1]", "[null]", '[["n1"]]', '["n1",1]', '[""]', '["a b"]', '["ä"]', '["a\\u0000"]', '["a/b"]',
                 json.dumps(["x" * 129]), f'[{many(1025, chr(34) + "n{}" + chr(34))}]')}, False)}),
    Endpoint("PUT", "/v1/apps/{app}/rollout", OWNER, fixed("/v1/apps/shop/rollout"), lambda l: {"weights": {"v1": 90, "v2": 10}},
             {"weights": Field({text: WRONG for text in (
                 "[]", "1", "true", '"x"', '[{"v1":1}]', '{"v1":-1}', '{"v1":-0}', '{"v1":1.5}', '{"v1":1.0}', '{"v1":1e2}', '{"v1":"1"}', '{"v1":true}', '{"v1":null}',
                 '{"v1":{}}', '{"v1":[1]}', '{"v1":1000001}', '{"v1":99999999999999999999}', '{"v1":0}', '{"v1":0,"v2":0}', '{"v1":1,"v1":2}', '{"v1":1,"\\u00761":2}',
                 '{"":1}', '{"../v1":1}', '{"/v1":1}', '{"a\\u0000":1}', '{"a\\\\b":1}', json.dumps({"x" * 129: 1}), f"{{{many(17, chr(34) + 'v{}' + chr(34) + ':1')}}}",
                 f"{{{many(65, chr(34) + 'v{}' + chr(34) + ':1')}}}")})}),
    Endpoint("POST", "/v1/apps/{app}/attest", {"admin"}, fixed("/v1/apps/shop/attest"), lambda l: {}),
    Endpoint("POST", "/v1/apps/{app}/agents/{agent_id}/drain", OWNER, fixed("/v1/apps/shop/agents/nobody/drain"), lambda l: {},
             even_so="unknown_agent"),
    Endpoint("POST", "/v1/apps/{app}/allowlist", {"admin"}, fixed("/v1/apps/shop/allowlist"),
             lambda l: {"release_tag": "v0.1.3", "sha256": "ab" * 32},
             {"release_tag": of_text(**{WRONG: ["", "../v1", "/v1", "a\\b", "a\0", "x" * 129]}),
              "sha256": of_text(**{WRONG: ["", "a" * 63, "a" * 65, "g" * 64, "sha256:" + "a" * 64, " " + "a" * 64, "é" * 32]})},
             even_so="allowlist_not_seen"),
    Endpoint("GET", "/v1/apps/{app}/evidence", {"public", "admin", "app"}, fixed("/v1/apps/open/evidence"),
             query={**PAGED, "id": ["ab&id=ab"],
                    "include": ["quote", "collateral,quote", "Allowlist", "allowlist&include=allowlist"]},
             unknown={f"/v1/apps/open/evidence?id={name}": "unknown_evidence" for name in ("", "xyz", "ab" * 32, "ab" * 33)}),
    Endpoint("GET", "/v1/collateral/{sha256}", {"public"}, fixed(f"/v1/collateral/{'ab' * 32}"), even_so="unknown_collateral",
             unknown={f"/v1/collateral/{name}": "unknown_collateral" for name in ("x", "%2e%2e", "AB" * 32, "ab" * 33)}),
    Endpoint("GET", "/v1/route/{app}/explain", OWNER, fixed("/v1/route/shop/explain")),
    Endpoint("GET", "/v1/events", {"admin"}, fixed("/v1/events"),
             query={"after": ["x", "-1", "1.0", "1,2", "18446744073709551616", "1&after=1"], "app": ["shop&app=shop"],
                    "kind": ["", "nothing", "Attested", "attested&kind=attested"]}),
]
# What else is public is not so here: the admin's part of it, and the evidence of a network that shows none.
NOT_PUBLIC = [
    Endpoint("GET", "/readyz", {"admin"}, fixed("/readyz?verbose")),
    Endpoint("GET", "/v1/apps/{app}/evidence", OWNER, fixed("/v1/apps/shop/evidence")),
]
every_endpoint = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name.replace("/", "_"))
with_body = pytest.mark.parametrize("endpoint", [e for e in ENDPOINTS if e.body], ids=lambda endpoint: endpoint.name.replace("/", "_"))


@pytest.fixture(scope="module")
def ledger(shared_world):
    networks = shared_world.path / "networks.toml"
    networks.write_text('[private-1]\nbase = "sandbox-1"\nevidence = "app"\n')
    ledger = Ledger(shared_world.control(EE_SETTLE_AUTO="false", EE_NETWORKS_FILE=networks, **SETTINGS))
    ledger.open_account("alice")
    ledger.register_node("n1", stake="0")
    for app in ("shop", "other"):
        body = {"app_name": app, "repo": "org/repo", "network": "private-1"}
        ledger.tokens[app] = ledger.ok("/v1/apps", body)["token"]
    ledger.control.wire_agent(app_name="open").attest().serve()
    return ledger


# ---- Nothing is forgotten ----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Terms:
    """What a row must say as openapi.yaml does."""
    roles: set
    query: set
    fields: set


def contract(document):
    """The terms of each operation, by method and path."""
    def resolved(node):
        while "$ref" in node:
            node = functools.reduce(dict.__getitem__, node["$ref"].removeprefix("#/").split("/"), document)
        return node

    def terms_of(operation):
        parameters = map(resolved, operation.get("parameters", []))
        content = operation.get("requestBody", {}).get("content", {})
        body = resolved(content.get("application/json", {}).get("schema", {}))
        return Terms(roles={role for schemes in operation["security"] or [{}] for role in schemes or ["public"]},
                     query={parameter["name"] for parameter in parameters if parameter["in"] == "query"},
                     fields=set(body.get("properties", {})))

    return {f"{method.upper()} {path}": terms_of(item[method])
            for path, item in document["paths"].items() for method in METHODS & item.keys()}


def test_every_operation_of_the_contract_is_tried(ledger):
    endpoints = [*ENDPOINTS, *ledger_endpoints.ENDPOINTS]
    rows = {e.name: Terms(e.roles, set(e.query), {*e.fields, *(field.other for field in e.fields.values() if field.other)})
            for e in endpoints}
    operations = contract(yaml.safe_load(ledger.control.get("/openapi.yaml").text))
    forgotten = sorted(operations.keys() - rows.keys() - UNTABLED.keys())
    assert not forgotten, (
        f"openapi.yaml has {', '.join(forgotten)}, and no table does. Add an Endpoint for each, with its callers, a request that is "
        "accepted, and what its fields and its query refuse: to ENDPOINTS of ledger_endpoints.py where it is the ledger's, else of "
        "test_apps_api.py. Only what cannot be tabled goes into UNTABLED, with the reason.")
    gone = sorted((rows.keys() | UNTABLED.keys()) - operations.keys())
    assert not gone, f"openapi.yaml does not have {', '.join(gone)}: take them out of ENDPOINTS or UNTABLED"
    assert len(rows) == len(endpoints) and not rows.keys() & UNTABLED.keys(), "an operation has more than one row"
    for name, terms in rows.items():
        assert terms == operations[name], f"{name}: its row says the first, openapi.yaml the second"


# ---- Callers -----------------------------------------------------------------------------------------------


def check_served(answer, endpoint, what):
    if endpoint.even_so:
        check_refused(answer, status_of(endpoint.even_so), endpoint.even_so, what)
    else:
        assert answer.status in (200, 201, 202, 204), (what, answer)


@pytest.mark.parametrize("endpoint", [*ENDPOINTS, *NOT_PUBLIC], ids=lambda endpoint: endpoint.name.replace("/", "_"))
def test_only_its_callers_may_call_an_endpoint(ledger, endpoint):
    with Caller(ledger, endpoint) as sender:
        for caller in ("admin", "launcher", "uptime", "auditor", "metrics", "alice", "n1", "shop", "other"):
            if {"public", caller} & endpoint.roles or (caller == "shop" and "app" in endpoint.roles):
                # A stream of events has no end.
                method = "HEAD" if endpoint.path == "/v1/events" else endpoint.method
                check_served(sender.send(caller=caller, method=method), endpoint, caller)
            else:
                check_refused(sender.send(caller=caller), 403, "forbidden", caller)
        shop = ledger.tokens["shop"]
        for caller in (None, "wrong", "ee_" + "0" * 64, "ee_app_" + "0" * 64, shop[:-1], shop + "0"):
            if "public" in endpoint.roles:
                check_served(sender.send(caller=caller), endpoint, caller)
            else:
                check_refused(sender.send(caller=caller), 401, "unauthorized", caller)


# ---- Bodies ------------------------------------------------------------------------------------------------


@with_body
def test_a_field_takes_only_what_its_rule_says(ledger, endpoint):
    with Caller(ledger, endpoint) as sender:
        for name, field in endpoint.fields.items():
            for text, reason in field.bad.items():
                reason = reason.format(name=name)
                answer = sender.send(with_field(endpoint.body(ledger), name, text))
                check_refused(answer, 422 if reason == "invalid_network" else status_of(reason), reason, f"{name}: {text[:200]}")
            for text in NOT_JSON:
                check_refused(sender.send(with_field(endpoint.body(ledger), name, text)), 400, "invalid_json", f"{name}: {text}")
            once = json.dumps({key: value for key, value in endpoint.body(ledger).items() if key != name})
            answer, absent = sender.send(with_field(endpoint.body(ledger), name, "null")), sender.send(once)
            if field.required or name == "nodes":
                check_refused(absent, 422, "missing_fields", name)
            if field.required:
                check_refused(answer, 422, "missing_fields", name)
            else:
                check_served(answer, endpoint, name)


@with_body
def test_a_body_is_one_flat_object_of_known_fields(ledger, endpoint):
    with Caller(ledger, endpoint) as sender:
        body = endpoint.body(ledger)
        for text in ("[]", "null", "{", "{}{}", "{'a':1}", '{"a":1,}', " ", b'{"a":"\xff"}', with_field(body, "x", "[" * 32 + "]" * 32)):
            check_refused(sender.send(text), 400, "invalid_json", text)
        for name in ("unknown", "token", "Nodes", ""):
            check_refused(sender.send(with_field(body, name, "1")), 422, f"unknown_field:{name}", name)
        for name in endpoint.fields:
            once = with_field(body, name, json.dumps(body.get(name, "x")))
            check_refused(sender.send(f'{once[:-1]},{json.dumps(name)}:{json.dumps(body.get(name, "x"))}}}'), 422, f"invalid_field:{name}", "twice")


@every_endpoint
def test_a_body_over_a_mebibyte_is_too_large(ledger, endpoint):
    check_large_body(ledger, endpoint)


# ---- Paths and queries -------------------------------------------------------------------------------------


@every_endpoint
def test_a_query_takes_only_what_its_rule_says(ledger, endpoint):
    check_query(ledger, endpoint)


@every_endpoint
def test_a_mistyped_parameter_is_refused_and_nothing_is_done(ledger, endpoint):
    if endpoint.path not in ANY_QUERY:
        return check_mistyped(ledger, endpoint)
    with Caller(ledger, endpoint) as sender:
        for query in ("dry-run=true", "app=shop&app=other", "%zz", "=", "&"):
            check_served(sender.send(path=f"{endpoint.at(ledger)}?{query}"), endpoint, query)


@every_endpoint
def test_what_a_path_names_must_be_there(ledger, endpoint):
    with Caller(ledger, endpoint) as sender:
        for path, reason in endpoint.unknown.items():
            check_refused(sender.send(path=path), status_of(reason), reason, path)
        for name in ("nobody", "%2e%2e", "x" * 200, "Shop", "%00") if "{app}" in endpoint.path else ():
            path = endpoint.path.replace("{app}", name).replace("{agent_id}", "a")
            answer = sender.send(path=path)
            if endpoint.path == "/v1/authz/{app}":  # Knows two answers.
                assert answer.status in (403, 404), (path, answer)
            else:
                assert answer.status == 404 and answer.reason in ("unknown_app", "not_found"), (path, answer)


# ---- Closed roles ------------------------------------------------------------------------------------------


def test_a_role_without_a_token_is_closed(world):
    control = world.control(EE_ADMIN_TOKEN=None)
    for endpoint in ENDPOINTS:
        path = re.sub(r"\{\w+\}", "shop", endpoint.path)
        for token in ("", "x", ADMIN_TOKEN):
            answer = control.request(endpoint.method, path, {"Authorization": f"Bearer {token}"}, b"{}" if endpoint.body else None)
            if "public" in endpoint.roles:
                assert answer.status in (200, 404) or (answer.status, answer.body) == (403, b""), (endpoint.name, answer)
            else:
                check_refused(answer, 403, "role_not_configured", endpoint.name)
