"""The endpoints that change apps refuse what they do not take: who may call each, and the rules of its fields, as data."""

import json
import re

import pytest

from harness import ADMIN_TOKEN
from ledger_client import SETTINGS, Ledger, unique
from ledger_endpoints import NOT_JSON, WRONG, Endpoint, Field, fixed, of_flag, of_text
from test_ledger_api import Caller, check_refused, status_of, with_field

OWNER = {"admin", "app"}
NAMES = ("", "Upper", "-a", "a-", "a.b", "a" * 64, "a\0", "ü")


def made(ledger):
    name = unique("made")
    ledger.ok("/v1/apps", {"app_name": name, "repo": "org/repo", "network": "sandbox-1"})
    return f"/v1/apps/{name}"


def many(count, form):
    return ",".join(form.format(i) for i in range(count))


ENDPOINTS = [
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
    Endpoint("POST", "/v1/apps/{app}/agents/{agent_id}/drain", OWNER, fixed("/v1/apps/shop/agents/nobody/drain"), lambda l: {}),
    Endpoint("GET", "/v1/authz/{app}", {"public"}, fixed("/v1/authz/shop")),
]
every_endpoint = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name.replace("/", "_"))
with_body = pytest.mark.parametrize("endpoint", [e for e in ENDPOINTS if e.body], ids=lambda endpoint: endpoint.name.replace("/", "_"))


@pytest.fixture(scope="module")
def ledger(shared_world):
    ledger = Ledger(shared_world.control(EE_SETTLE_AUTO="false", **SETTINGS))
    ledger.open_account("alice")
    ledger.register_node("n1", stake="0")
    for app in ("shop", "other"):
        body = {"app_name": app, "repo": "org/repo", "network": "sandbox-1"}
        ledger.tokens[app] = ledger.ok("/v1/apps", body)["token"]
    return ledger


def test_every_endpoint_is_in_the_contract_for_its_callers(ledger):
    text = ledger.control.get("/openapi.yaml").text
    for endpoint in ENDPOINTS:
        block = text.split(f"\n  {endpoint.path}:\n")[1].split("\n  /")[0]
        operation = re.split(r"\n    \w+:\n", f"\n{block}")[[m.lower() for m in re.findall(r"(?:^|\n)    (\w+):\n", block)].index(endpoint.method.lower()) + 1]
        roles = set(re.findall(r"\n        - (\w+): \[\]", operation)) or {"public"}
        assert roles == endpoint.roles, endpoint.name


@every_endpoint
def test_only_its_callers_may_call_an_endpoint(ledger, endpoint):
    with Caller(ledger, endpoint) as sender:
        for caller in ("admin", "launcher", "uptime", "auditor", "metrics", "alice", "n1", "shop", "other"):
            answer = sender.send(caller=caller)
            if "public" in endpoint.roles:
                assert answer.status in (204, 403) and answer.body == b"", (caller, answer)
            elif caller in endpoint.roles or (caller == "shop" and "app" in endpoint.roles):
                assert answer.status in (200, 201, 202) or answer.reason == "unknown_agent", (caller, answer)
            else:
                check_refused(answer, 403, "forbidden", caller)
        for caller in (None, "wrong", "ee_app_" + "0" * 64, ledger.tokens["shop"][:-1], ledger.tokens["shop"] + "0"):
            if "public" not in endpoint.roles:
                check_refused(sender.send(caller=caller), 401, "unauthorized", caller)


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
                assert answer.status in (200, 201), (name, answer)


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


@with_body
def test_a_body_over_a_mebibyte_is_too_large(ledger, endpoint):
    text = with_field(endpoint.body(ledger), "x", '"' + "x" * 2 * 1024 * 1024 + '"')
    answer = ledger.control.request(endpoint.method, endpoint.at(ledger), ledger.headers("admin", None), text.encode())
    check_refused(answer, 413, "body_too_large", endpoint.name)


@every_endpoint
def test_what_a_path_names_must_be_there(ledger, endpoint):
    if "{app}" not in endpoint.path or "public" in endpoint.roles:
        return
    with Caller(ledger, endpoint) as sender:
        for name in ("nobody", "%2e%2e", "x" * 200, "Shop", "%00"):
            path = endpoint.path.replace("{app}", name).replace("{agent_id}", "a")
            answer = sender.send(path=path, caller="admin")
            assert answer.status == 404 and answer.reason in ("unknown_app", "not_found"), (path, answer)


def test_a_role_without_a_token_is_closed(world):
    control = world.control(EE_ADMIN_TOKEN=None)
    for endpoint in ENDPOINTS:
        path = endpoint.path.replace("{app}", "shop").replace("{agent_id}", "a")
        for token in ("", "x", ADMIN_TOKEN):
            answer = control.request(endpoint.method, path, {"Authorization": f"Bearer {token}"}, b"{}" if endpoint.body else None)
            if "public" in endpoint.roles:
                assert answer.status == 403 and answer.body == b""
            else:
                check_refused(answer, 403, "role_not_configured", endpoint.name)
