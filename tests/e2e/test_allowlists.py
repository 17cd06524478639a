"""Allowlists from the releases of a GitHub of our own, which misbehaves."""

import json
import time

import pytest

from github import GitHub, Storage
from harness import ADMIN_TOKEN, until
from programs import START_SECONDS, memory_factor

TOKEN = "ghp_never_to_be_seen"


@pytest.fixture
def github():
    made = GitHub()
    yield made
    made.stop()


@pytest.fixture
def storage():
    made = Storage()
    yield made
    made.stop()


def control_with(world, github, **settings):
    return world.control(**{"EE_ALLOWLIST_DIR": None, "EE_GITHUB_API_URL": github.url, **settings})


def allowlist(world, tag="v0.1.3", **changes):
    return json.dumps({**world.platform.allowlist(), "release_tag": tag, **changes})


def judged(control, tag="v0.1.3", app="judged", timeout=40):
    """The status that a new agent of this release gets, with its tunnel closed again."""
    wire = control.wire_agent(app_name=app, agent_id="a", release_tag=tag)
    wire.register()
    wire.answer_challenge(wire.expect("attest_request"), legacy=True)
    status = wire.expect("status", timeout=timeout)
    wire.close()
    return status


def reason(control, *arguments, **options):
    return judged(control, *arguments, **options)["reason"]


def accept(control, tag, digest, app="myapp", token=ADMIN_TOKEN):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return control.post(f"/v1/apps/{app}/allowlist", {"release_tag": tag, "sha256": digest}, headers)


# ---- As it should be ----

def test_an_allowlist_is_fetched_once_and_then_asked_about_by_its_tag(world, github):
    github.publish(allowlist(world))
    control = control_with(world, github, EE_ALLOWLIST_TTL_SEC=2)
    assert reason(control) == "attested"
    assert [(path, status) for path, _, status in github.requests] == [
        ("/repos/org/repo/releases/tags/v0.1.3", 200), ("/repos/org/repo/releases/assets/1", 200)]
    # Past its time it is asked about again, and nothing but "not modified" comes.
    until(lambda: reason(control) == "attested" and len(github.requests) > 2, what="a second look-up")
    assert github.requests[2][2] == 304
    assert all(status == 304 for _, _, status in github.requests[2:])
    assert not any("Authorization" in headers for _, headers, _ in github.requests)


def test_many_agents_at_once_cause_one_look_up(world, github):
    github.publish(allowlist(world))
    control = control_with(world, github)
    wires = [control.wire_agent(app_name="many", agent_id=f"a{i}") for i in range(10)]
    for wire in wires:
        wire.register()
    challenges = [wire.expect("attest_request") for wire in wires]
    for wire, challenge in zip(wires, challenges):
        wire.answer_challenge(challenge, legacy=True)
    for wire in wires:
        assert wire.expect("status", timeout=20)["reason"] == "attested"
    assert len(github.requests) == 2


def test_nobody_makes_us_ask_before_its_quote_holds(world, github):
    """A look-up spends our token's rate limit: a message that proves nothing must not drive it."""
    github.publish(allowlist(world))
    control = control_with(world, github)
    wire = control.wire_agent(app_name="judged")
    wire.register()
    wire.answer_challenge(wire.expect("attest_request"), legacy=True, quote_options=("--fault", "quote_signature"))
    assert wire.expect("status", state="invalid")["reason"] == "quote_signature_invalid"
    assert github.requests == []


def test_a_folder_comes_first(world, github):
    github.publish(allowlist(world, quote_measurements={"rtmr0": "ab" * 48}))
    github.publish(allowlist(world, tag="v2"), tag="v2")
    control = control_with(world, github, EE_ALLOWLIST_DIR=world.allowlist_dir)
    assert reason(control) == "attested"
    assert github.requests == []
    assert reason(control, "v2") == "attested"
    assert len(github.requests) == 2


def test_a_machine_is_one_build_of_version_2_whole(world, github):
    registers = world.platform.allowlist()["quote_measurements"]
    other = {name: "ab" * 48 for name in registers}

    def version_2(*builds, **members):
        return json.dumps({"version": "2.0", "release_tag": "v0.1.3", **members, "builds": [
            {"name": f"build-{i}", "quote_measurements": build} for i, build in enumerate(builds)]})
    control = control_with(world, github, EE_ALLOWLIST_TTL_SEC=1)
    rows = [
        ((other, registers), {}, "attested"),
        (({**registers, "mrtd": other["mrtd"]}, {**other, "mrtd": registers["mrtd"]}), {}, "measurement_mismatch:mrtd"),
        ((registers,), {"expires_at": "2020-01-01T00:00:00Z"}, "allowlist_invalid:/expires_at"),
        ((registers,), {"expires_on": "2020-01-01T00:00:00Z"}, "allowlist_invalid:/expires_on"),
        ((registers,), {"tcb_min": "2099-01-01T00:00:00Z"}, "measurement_mismatch:tcb_min"),
    ]
    for number, (builds, members, expected) in enumerate(rows):
        tag = f"v{number}"
        github.publish(version_2(*builds, **members).replace("v0.1.3", tag), tag=tag)
        assert (expected, reason(control, tag)) == (expected, expected)


# ---- The token ----

def test_a_private_repository_needs_the_token_and_nobody_else_sees_it(world, github, storage):
    github.token = TOKEN
    text = allowlist(world)
    github.publish(text)
    storage.body = text.encode()
    without = control_with(world, github)
    assert reason(without) == "allowlist_missing"
    assert "EE_GITHUB_TOKEN is not set" in without.wait_event("allowlist.missing")["detail"]
    without.kill()

    github.behave("v0.1.3", "asset", lambda request: request.answer(302, {"Location": f"{storage.url}/a?sig=hidden"}))
    control = control_with(world, github, EE_GITHUB_TOKEN=TOKEN)
    assert reason(control) == "attested"
    (path, headers, _), = storage.requests
    assert path == "/a?sig=hidden" and "Authorization" not in headers
    assert github.asked("assets")[-1][1]["Authorization"] == f"Bearer {TOKEN}"
    # Wrong now: the refusal says so, without it.
    github.token = "another"
    github.publish(allowlist(world, tag="v2"), tag="v2")
    assert reason(control, "v2") == "allowlist_missing"
    assert "EE_GITHUB_TOKEN may not read it" in control.wait_event("allowlist.missing", tag="v2")["detail"]
    everything = control.transcript(10_000) + without.transcript(10_000) + json.dumps(control.app("judged")) \
        + control.admin_get("/metrics").text
    assert TOKEN not in everything and "hidden" not in everything


def test_an_answer_that_points_elsewhere_gets_nothing(world, github, storage):
    github.token = TOKEN
    github.publish(allowlist(world), url=f"{storage.url}/repos/org/repo/releases/assets/1")
    control = control_with(world, github, EE_GITHUB_TOKEN=TOKEN)
    assert reason(control) == "allowlist_unavailable"
    assert storage.requests == []


def test_a_token_is_not_sent_in_the_clear(world):
    control = world.program("easyenclave-control", {
        "EE_GITHUB_API_URL": "http://ghe.example.com", "EE_GITHUB_TOKEN": TOKEN, "EE_DB_PATH": world.path / "x.db"})
    assert control.wait() == 78
    assert "is not https" in control.transcript() and TOKEN not in control.transcript()


# ---- A GitHub that misbehaves ----

def half(request):
    request.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"{" * 500)


def half_without_length(request):
    request.raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b'{"version":"1.0"}')


def hundred_mebibytes(request):
    request.raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", 200)
    for _ in range(1600):
        request.wfile.write(b" " * 65536)


def around_and_around(request):
    request.answer(302, {"Location": request.path})


MISBEHAVIOURS = {
    "404": ("release", lambda request: request.answer(404), "allowlist_missing"),
    "500": ("release", lambda request: request.answer(500), "allowlist_unavailable"),
    "half": ("release", half, "allowlist_unavailable"),
    "no-json": ("release", lambda request: request.answer(200, body="<html>"), "allowlist_unavailable"),
    "no-http": ("release", lambda request: request.raw(b"SSH-2.0-OpenSSH\r\n"), "allowlist_unavailable"),
    "large": ("release", hundred_mebibytes, "allowlist_unavailable"),
    "loop": ("release", around_and_around, "allowlist_unavailable"),
    "forbidden": ("release", lambda request: request.answer(403), "allowlist_unavailable"),
    "asset-404": ("asset", lambda request: request.answer(404), "allowlist_missing"),
    "asset-500": ("asset", lambda request: request.answer(500), "allowlist_unavailable"),
    "asset-half": ("asset", half, "allowlist_unavailable"),
    "asset-half-without-length": ("asset", half_without_length, "allowlist_unavailable"),
    "asset-large": ("asset", hundred_mebibytes, "allowlist_unavailable"),
    "asset-loop": ("asset", around_and_around, "allowlist_unavailable"),
}


def test_every_misbehaviour_has_its_verdict_and_costs_no_memory(world, github):
    control = control_with(world, github)
    github.publish(allowlist(world, tag="good"), tag="good")
    assert reason(control, "good") == "attested"
    before, wrong = control.rss_bytes(), {}
    for name, (which, behaviour, expected) in MISBEHAVIOURS.items():
        github.publish(allowlist(world, tag=name), tag=name)
        github.behave(name, which, behaviour)
        status = judged(control, name)
        if status["reason"] != expected or (expected == "allowlist_unavailable") != bool(status.get("retry_after_s")):
            wrong[name] = status
    assert not wrong
    assert len(github.asked("/tags/loop")) == 4  # The first and three redirects.
    assert control.rss_bytes() - before < 32 * 1024 * 1024 * memory_factor()
    assert reason(control, "good") == "attested"


def test_a_github_that_says_nothing_holds_nobody_else_up(world, github):
    control = control_with(world, github)
    for tag in ("good", "slow"):
        github.publish(allowlist(world, tag=tag), tag=tag)
    github.behave("slow", "release", lambda request: request.say_nothing())
    waiting = control.wire_agent(app_name="slow", release_tag="slow")
    waiting.register()
    waiting.answer_challenge(waiting.expect("attest_request"), legacy=True)
    until(lambda: github.asked("/tags/slow"), what="GitHub is asked")
    assert reason(control, "good") == "attested"
    assert waiting.statuses() == []
    assert waiting.expect("status", timeout=20)["reason"] == "allowlist_unavailable"
    assert "timed_out" in control.wait_event("allowlist.fetch_failed", tag="slow")["detail"]


@pytest.mark.parametrize("text, code", [
    ("{}", "allowlist_invalid:/version"),
    ("", "allowlist_invalid:/"),
    (" " * (1024 * 1024 + 1), "allowlist_invalid:/"),
    ('{"version":"1.0","release_tag":"v0.1.2"}', "allowlist_invalid:/release_tag"),
    ('{"version":"2.0","release_tag":"v0.1.3","repo":"org/other"}', "allowlist_invalid:/repo"),
], ids=["no version", "empty", "too large", "of another release", "of another repository"])
def test_an_asset_that_is_not_right_is_named_by_its_pointer(world, github, text, code):
    github.publish(text)
    assert reason(control_with(world, github)) == code


def test_a_rate_limit_is_honoured(world, github):
    github.publish(allowlist(world))
    github.publish(allowlist(world, tag="v2"), tag="v2")
    limited = {"Retry-After": "600", "X-RateLimit-Remaining": "0"}
    github.behave("v2", "release", lambda request: request.answer(403, limited))
    control = control_with(world, github, EE_ALLOWLIST_TTL_SEC=1)
    assert reason(control) == "attested"
    assert reason(control, "v2") == "allowlist_unavailable"
    asked = len(github.requests)
    status = judged(control, "v3")
    assert status["reason"] == "allowlist_unavailable" and "rate limit" in status["detail"]
    # Copies answer meanwhile, and nobody asks.
    assert reason(control) == "attested"
    assert len(github.requests) == asked


def test_an_outage_leaves_the_copy_to_judge(world, github):
    github.publish(allowlist(world))
    control = control_with(world, github, EE_ALLOWLIST_TTL_SEC=1, EE_ATTEST_INTERVAL_SEC=2)
    wire = control.wire_agent().attest(legacy=True).serve()
    since = control.mark()
    github.stop()
    control.wait_event("allowlist.fetch_failed", since=since)
    control.wait_event("attestation.ok", since=control.mark(), count=2)
    assert reason(control) == "attested"
    assert set(wire.statuses()) == {("ok", "attested")} and not wire.closed
    # What has no copy cannot be judged.
    assert reason(control, "v2") == "allowlist_unavailable"


def test_a_registration_is_renewed_by_a_copy_that_is_confirmed_after_the_verdict(world, github):
    """Challenges are rarer than copies are fresh: each finds one past its time, and none waits for GitHub."""
    github.publish(allowlist(world))
    control = control_with(world, github, EE_ALLOWLIST_TTL_SEC=1, EE_ATTEST_INTERVAL_SEC=2)
    control.wire_agent().attest(legacy=True).serve()
    control.wait_event("attestation.ok", count=2)
    at_first = control.resolve("myapp")["registration_expires_at"]
    until(lambda: control.resolve("myapp")["registration_expires_at"] > at_first, what="the registration is renewed")
    since = control.mark()
    github.stop()
    control.wait_event("allowlist.fetch_failed", since=since)
    in_outage = control.resolve("myapp")["registration_expires_at"]
    control.wait_event("attestation.ok", since=control.mark(), count=2)
    assert control.resolve("myapp")["registration_expires_at"] == in_outage


@pytest.mark.parametrize("text, code", [
    (None, "allowlist_missing"), ("{}", "allowlist_invalid:/version"), ("another", "measurement_mismatch:rtmr0"),
], ids=["withdrawn", "broken", "replaced"])
def test_who_was_judged_by_a_copy_that_turns_out_to_be_old_is_challenged_at_once(world, github, text, code):
    """Nobody waits for GitHub where there is a copy; but what it says then counts now, not at the next challenge."""
    github.publish(allowlist(world))
    control = control_with(world, github, EE_ALLOWLIST_TTL_SEC=1)
    assert reason(control) == "attested"
    seen = time.monotonic()
    if text is None:
        github.behave("v0.1.3", "release", lambda request: request.answer(404))
    else:
        github.publish(text if text == "{}" else allowlist(world, quote_measurements={"rtmr0": "ab" * 48}))
    until(lambda: time.monotonic() > seen + 1.1, what="the copy's time is over")
    wire = control.wire_agent().attest(legacy=True)
    wire.answer_challenge(wire.expect("attest_request", reason="periodic"), legacy=True)
    assert wire.expect("status", state="invalid", timeout=20)["reason"] == code
    assert wire.expect_closed() == 1008


# ---- A changed asset ----

def test_a_changed_asset_is_said_counts_at_once_where_nothing_is_sealed_and_is_accepted_by_its_digest(world, github):
    first = github.publish(allowlist(world))
    control = control_with(world, github, EE_ALLOWLIST_TTL_SEC=1)
    control.wire_agent().attest(legacy=True).serve()
    second = github.publish(allowlist(world, quote_measurements={"rtmr0": "ab" * 48}))
    until(lambda: reason(control) == "measurement_mismatch:rtmr0", what="the new asset counts")
    changed = control.wait_event("allowlist.changed")
    assert (changed["sha256_before"], changed["sha256"], changed["tag"]) == (first, second, "v0.1.3")
    # Logged by whoever fetched it, and told to the apps from there.
    [event] = until(lambda: [event for event in control.app("myapp")["events"] if event["kind"] == "allowlist_changed"],
                    what="the app knows of it")
    assert event["code"] == "v0.1.3" and first in event["detail"] and second in event["detail"]

    refused = accept(control, "v0.1.3", first)
    assert (refused.status, refused.reason) == (409, "allowlist_differs")
    assert first in refused.json()["detail"] and second in refused.json()["detail"]
    never = accept(control, "v9", second)
    assert (never.status, never.reason) == (409, "allowlist_not_seen")
    assert accept(control, "v0.1.3", second, app="nobody").status == 404
    assert accept(control, "v0.1.3", second, token=None).status == 401
    assert accept(control, "v0.1.3", second[:-1]).reason == "invalid_field:sha256"
    accepted = accept(control, "v0.1.3", second)
    assert accepted.status == 200
    assert accepted.json() == {"app_name": "myapp", "repo": "org/repo", "release_tag": "v0.1.3", "sha256": second}
    newest = control.app("myapp")["events"][0]
    assert (newest["kind"], newest["code"], newest["detail"]) == ("allowlist_accepted", "v0.1.3", second)
    assert control.wait_event("allowlist.accepted")["sha256"] == second
    # Both calls that could be made are in the log, before what came of them; those that could not are counts.
    audit = control.admin_get("/v1/audit").json()
    calls = [(call["principal"], call["route"], call["resource"]) for call in audit["items"]]
    assert calls == [("admin", "/v1/apps/{app}/allowlist", "myapp")] * 3
    assert [leaf["kind"] for leaf in control.admin_get("/v1/ledger/entries?limit=500").json()["items"]].count("call") == 3
    refused = {(row["code"], row["route"]): row["count"] for row in audit["refusals"]}
    for code in ("unknown_app", "unauthorized", "invalid_field", "allowlist_differs", "allowlist_not_seen"):
        assert refused[code, "/v1/apps/{app}/allowlist"] == 1, refused


def test_a_restart_does_not_forget_what_was_seen(world, github):
    first = github.publish(allowlist(world))
    control = control_with(world, github)
    assert reason(control) == "attested"
    assert control.terminate() == 0
    second = github.publish(allowlist(world, created_at="later"))
    control = control_with(world, github, EE_ALLOWLIST_TTL_SEC=1)
    until(lambda: reason(control) == "attested" and control.events("allowlist.changed"), what="the change is noticed")
    changed = control.wait_event("allowlist.changed")
    assert (changed["sha256_before"], changed["sha256"]) == (first, second)


def test_after_a_crash_in_an_outage_the_copy_judges(world, github):
    github.publish(allowlist(world))
    control = control_with(world, github)
    assert reason(control) == "attested"
    until(lambda: control.events("allowlist.fetched", outcome="published"), what="it is fetched")
    control.kill()
    github.stop()
    control = control_with(world, github)
    control.wait_event("control.started", START_SECONDS)
    assert reason(control) == "attested"
