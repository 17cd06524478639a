"""Malformed and out-of-order messages: the reason, and whether the tunnel stays open. One control plane for all."""

import base64
import json

import pytest

from harness import http_request

DEEP = "[" * 200 + "]" * 200
MALFORMED = 9  # in a row that are borne; the tenth closes


@pytest.fixture(scope="module")
def control(shared_world):
    backend, control = shared_world.backend(), shared_world.control()
    shared_world.agent(control, backend, app="steady")
    yield control
    # Whatever was sent, nobody else noticed.
    assert control.running()
    assert control.visit("steady", "/status/200").status == 200
    assert len(control.events("agent.disconnected", app="steady")) == 0


def refused_but_open(wire, reason):
    status = wire.expect("status", reason=reason)
    assert status["state"] == "warning" and status["detail"]
    assert not wire.closed


def test_what_is_refused_is_in_the_log_once_for_each_tunnel_and_code(world):
    control = world.control(EE_LOG_LEVEL="info")
    wire = control.wire_agent()
    for name in ("MyApp", "my app", "MyApp"):
        wire.register(app_name=name)
        refused_but_open(wire, "invalid_field:app_name")
    wire.send("{")
    refused_but_open(wire, "invalid_json")
    control.wait_event("tunnel.refused", code="invalid_json")
    logged = [(event["level"], event["code"], event["closes"]) for event in control.events("tunnel.refused")]
    assert logged == [("warn", "invalid_field:app_name", False), ("warn", "invalid_json", False)]


# ---- invalid_json, unknown_message, missing_fields ----

@pytest.mark.parametrize("text, reason", [
    ("[]", "invalid_json"),
    ("1", "invalid_json"),
    ("null", "invalid_json"),
    ("true", "invalid_json"),
    ('"register"', "invalid_json"),
    ("", "invalid_json"),
    ("{", "invalid_json"),
    ('{"type":"register"', "invalid_json"),
    ("{'type':'health'}", "invalid_json"),
    ('{"type":"health","status":"pass"} trailing', "invalid_json"),
    ('{"type":"health","detail":' + DEEP + "}", "invalid_json"),
    (DEEP, "invalid_json"),
    ('{"type":"hello"}', "unknown_message"),
    ('{"type":"attest_request"}', "unknown_message"),
    ('{"type":"register"}', "missing_fields"),
    ('{"type":"register","repo":"org/repo","release_tag":"v1","app_name":"a"}', "missing_fields"),
    ('{"type":"attest_response","nonce":"00"}', "missing_fields"),
    ('{"type":"proxy_response","status":200}', "missing_fields"),
    ('{"type":"health"}', "missing_fields"),
], ids=lambda value: value[:24] or "empty")
def test_lesson_17_what_is_no_message_is_answered_with_its_reason(control, text, reason):
    wire = control.wire_agent(app_name="malformed")
    wire.send(text)
    refused_but_open(wire, reason)
    # The tunnel goes on: a registration is challenged.
    wire.register()
    wire.expect("attest_request", reason="register")
    wire.close()


def test_a_binary_message_is_unknown_on_v1(control):
    wire = control.wire_agent(app_name="binary")
    wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    refused_but_open(wire, "unknown_message")
    wire.close()


# ---- invalid_field:<name> ----

SCRIPT = "../../<script>alert(1)</script>"
LONG = "x" * 50_000
NO_STRINGS = [7, 1.5, True, ["a"], {"a": "b"}]
BAD_FIELDS = [(field, value) for field in ("repo", "release_tag", "app_name", "agent_id", "network")
              for value in [*NO_STRINGS, "", SCRIPT, LONG]]
BAD_FIELDS = [row for row in BAD_FIELDS if row != ("network", "")] + [
    ("repo", "org"), ("repo", "org/repo/x"), ("repo", "/repo"), ("repo", "org/.."), ("repo", "org/."),
    ("repo", "o" * 40 + "/r"), ("repo", "org/" + "r" * 101), ("repo", "o_g/repo"), ("repo", "org/re po"),
    ("release_tag", "/v1"), ("release_tag", "a..b"), ("release_tag", "a\\b"), ("release_tag", "a\nb"),
    ("release_tag", "v" * 129),
    ("app_name", "MyApp"), ("app_name", "-app"), ("app_name", "app-"), ("app_name", "a.b"), ("app_name", "a" * 64),
    ("app_name", "a_b"), ("app_name", "äpp"),
    ("agent_id", "a" * 129), ("agent_id", "a b"), ("agent_id", "a/b"),
    ("node_id", 7), ("node_id", "a b"), ("node_id", "n" * 129),
    ("max_requests", 0), ("max_requests", 257), ("max_requests", "8"), ("max_requests", 1.5), ("max_requests", True),
]


@pytest.mark.parametrize("field", ["repo", "release_tag", "app_name", "agent_id", "network", "node_id", "max_requests"])
def test_lesson_17_a_bad_name_or_type_is_named_and_registers_nothing(control, field):
    values = [value for name, value in BAD_FIELDS if name == field]
    assert len(values) >= 3
    wire = control.wire_agent(app_name="named", agent_id="named")
    for count, value in enumerate(values):
        wire.send({"type": "register", **wire.identity, field: value})
        status = wire.expect("status", reason=f"invalid_field:{field}")
        assert status["state"] == "warning", value
        # What was sent does not come back as a whole.
        assert len(status["detail"]) < 300
        if count % 8 == 7:  # Ten in a row would close: a valid message in between is no registration either.
            wire.send({"type": "health", "status": "pass"})
            wire.expect("status", reason="not_registered")
    assert control.get("/v1/resolve/named").status == 404
    wire.close()


@pytest.mark.parametrize("field, value", [
    ("nonce", 7), ("nonce", "00"), ("nonce", "zz" * 32), ("quote", "not base64!"), ("quote", 7),
    ("quote", base64.b64encode(bytes(16 * 1024 + 1)).decode()), ("report_data", "00" * 63), ("report_data", ["00"]),
    ("measurements", []), ("measurements", {"a": 1}), ("measurements", {"a": {"b": "c"}}), ("layout", 3),
    ("layout", "2"), ("agent_key", "*"), ("signature", 7),
], ids=str)
def test_a_bad_field_of_an_attestation_leaves_the_challenge_open(control, field, value):
    wire = control.wire_agent(app_name="fields", agent_id="fields")
    wire.register()
    challenge = wire.expect("attest_request")
    answer = wire.evidence(challenge["nonce"], legacy=True)
    wire.send({**answer, field: value})
    refused_but_open(wire, f"invalid_field:{field}")
    wire.send(answer)
    wire.expect("status", state="ok", reason="attested")
    wire.close()


def test_unknown_fields_are_ignored(control):
    wire = control.wire_agent(app_name="unknown-fields", future={"a": [1]}, checkpoint=None)
    wire.attest(legacy=True, future_too=[{}])
    wire.close()


# ---- Ten in a row ----

def test_the_tenth_malformed_message_in_a_row_closes(control):
    wire = control.wire_agent(app_name="ten")
    for _ in range(MALFORMED):
        wire.send("[]")
        refused_but_open(wire, "invalid_json")
    wire.send("[]")
    assert wire.expect("status", reason="invalid_json")["state"] == "invalid"
    assert wire.expect_closed() == 1008


def test_a_valid_message_begins_the_count_anew(control):
    wire = control.wire_agent(app_name="anew").attest(legacy=True)
    for _ in range(3):
        for _ in range(MALFORMED):
            wire.send('{"type":"nonsense"}')
            refused_but_open(wire, "unknown_message")
        wire.send({"type": "health", "status": "pass"})
    control.wait_event("agent.health", count=3, tunnel=control.wait_event("agent.active", app="anew")["tunnel"])
    assert not wire.closed
    wire.close()


# ---- Out of order ----

@pytest.mark.parametrize("message", [
    {"type": "health", "status": "pass"},
    {"type": "proxy_response", "request_id": "1", "status": 200, "headers": {}, "body_b64": ""},
    {"type": "attest_response", "nonce": "00" * 32, "quote": "AAAA", "report_data": "00" * 64, "measurements": {}},
], ids=lambda message: message["type"])
def test_what_comes_before_register_is_not_registered_and_the_tunnel_stays(control, message):
    wire = control.wire_agent(app_name="early")
    wire.send(message)
    refused_but_open(wire, "not_registered")
    wire.attest(legacy=True)
    wire.close()


def test_health_and_answers_count_only_after_the_first_attestation(control):
    wire = control.wire_agent(app_name="early-health")
    wire.register()
    wire.expect("attest_request")
    wire.send({"type": "health", "status": "pass"})
    refused_but_open(wire, "not_registered")
    assert control.get("/v1/resolve/early-health").status == 404
    wire.close()


def test_a_second_register_is_already_registered_and_changes_nothing(control):
    wire = control.wire_agent(app_name="first-name").attest(legacy=True)
    wire.register(app_name="second-name")
    refused_but_open(wire, "already_registered")
    assert control.resolve("first-name")["allowed"] and control.get("/v1/resolve/second-name").status == 404
    wire.close()


def test_a_second_register_before_the_answer_changes_nothing_either(control):
    wire = control.wire_agent(app_name="once")
    wire.register()
    challenge = wire.expect("attest_request")
    wire.send({"type": "register", **wire.identity, "app_name": "twice"})
    refused_but_open(wire, "already_registered")
    wire.answer_challenge(challenge, legacy=True)
    wire.expect("status", reason="attested")
    assert control.get("/v1/resolve/twice").status == 404
    wire.close()


def test_an_answer_without_a_challenge_is_unexpected_and_the_tunnel_stays(control):
    wire = control.wire_agent(app_name="unasked").attest(legacy=True)
    wire.send(wire.evidence("ab" * 32, legacy=True))
    refused_but_open(wire, "unexpected_attestation")
    assert control.resolve("unasked")["allowed"]
    wire.close()


def test_a_challenge_is_answered_once(control):
    wire = control.wire_agent(app_name="answered-twice")
    wire.register()
    answer = wire.evidence(wire.expect("attest_request")["nonce"], legacy=True)
    wire.send(answer)
    wire.send(answer)
    reasons = {wire.expect("status")["reason"], wire.expect("status")["reason"]}
    assert reasons == {"attested", "unexpected_attestation"}
    wire.close()


# ---- message_too_large ----

def text_of(size):
    return json.dumps({"type": "health", "status": "pass", "detail": ""}).replace('""', '"' + "x" * (size - 49) + '"')


def test_before_attestation_a_message_has_at_most_64_kib(control):
    fits = control.wire_agent(app_name="fits")
    fits.send(text_of(60 * 1024))
    fits.expect("status", reason="not_registered")
    fits.close()
    wire = control.wire_agent(app_name="large")
    wire.send(text_of(64 * 1024 + 60))
    assert wire.expect("status", reason="message_too_large")["state"] == "invalid"
    assert wire.expect_closed() == 1009


def test_after_attestation_a_message_holds_a_body_of_the_configured_size(world):
    control = world.control(EE_MAX_BODY_BYTES=300_000)
    limit = 4 * 300_000 // 3 + 64 * 1024
    wire = control.wire_agent().attest(legacy=True)
    wire.send(text_of(limit - 100))
    control.wait_event("agent.health")
    assert not wire.closed and control.resolve("myapp")["allowed"]
    wire.send(text_of(limit + 200))
    assert wire.expect("status", reason="message_too_large")["state"] == "invalid"
    assert wire.expect_closed() == 1009
    control.wait_event("agent.disconnected", reason="message_too_large")


# ---- The endpoint itself ----

def test_the_tunnel_without_an_upgrade_is_426(control):
    answer = control.get("/v1/tunnel")
    assert answer.status == 426 and answer.header("Upgrade").lower() == "websocket"


def test_every_refusal_is_logged_with_agent_app_peer_and_code_and_counted(control):
    before = control.metric("ee_tunnel_refusals_total", reason="already_registered")
    wire = control.wire_agent(app_name="logged", agent_id="logged-1").attest(legacy=True)
    wire.register()
    wire.expect("status", reason="already_registered")
    line = control.wait_event("tunnel.refused", code="already_registered", app="logged")
    assert line["agent"] == "logged-1" and line["peer"].startswith("127.0.0.1:") and line["closes"] is False
    assert control.metric("ee_tunnel_refusals_total", reason="already_registered") == before + 1
    refusal = control.app("logged")["refusals"][0]
    assert refusal["code"] == "already_registered" and refusal["agent_id"] == "logged-1"
    wire.close()


def test_a_handshake_that_offers_compression_gets_none(control):
    answer = http_request(control.port, "GET", "/v1/tunnel", {
        "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13", "Sec-WebSocket-Extensions": "permessage-deflate"})
    assert answer.status == 101 and answer.header("Sec-WebSocket-Extensions") is None
