"""What answers tell of the agent behind them, and what callers may ask of it: EE-Require."""

import base64
import hashlib
import threading

import pytest

from backend import answer
from harness import raw_exchange, until
from wire_agent import text_answer

EE_FIELDS = ("EE-App", "EE-Agent", "EE-Attested-At", "EE-TCB-Status", "EE-Attestation")


def met(canonical):
    return f":{base64.b64encode(hashlib.sha256(canonical.encode()).digest()).decode()}:"


def evidence(control, query=""):
    item, = control.get(f"/v1/apps/myapp/evidence{query}").json()["items"]
    return item


@pytest.mark.parametrize("by", ["visit", "envelope"])
def test_every_answer_names_evidence_that_anyone_can_fetch(world, by):
    backend, control = world.backend(), world.control()
    world.agent(control, backend)
    backend.on("/forge", lambda _: answer(200, [(name, "forged") for name in EE_FIELDS] + [("EE-Require-Met", ":x:")], "x"))
    forged = {name: "forged" for name in EE_FIELDS}
    got = getattr(control, by)("myapp", path="/forge", headers=forged)
    assert got.status == 200
    item = evidence(control)
    assert [got.header_all(name) for name in EE_FIELDS] == [
        ["myapp"], [item["agent"]], [control.resolve("myapp")["last_attest"]], [item["tcb_status"]], [item["id"]]]
    assert got.header_all("EE-Require-Met") == []
    assert evidence(control, f"?id={got.header('EE-Attestation')}")["id"] == item["id"]
    assert not [name for name, _ in backend.requests[-1].headers if name.lower().startswith("ee-")]


def test_what_is_not_bound_says_so_and_meets_nothing(world):
    control = world.control()
    agent = control.wire_agent(agent_id="old").attest(legacy=True).serve(text_answer("hello"), challenges=False)
    got = control.visit("myapp")
    assert (got.status, got.text) == (200, "hello")
    assert got.header("EE-TCB-Status").endswith(";unbound")
    release = control.app_agents("myapp")[0]["release_tag"]
    refused = control.visit("myapp", headers={"EE-Require": f'release="{release}"'})
    assert refused.status == 412 and refused.json()["available"][0]["bound"] is False
    # Nor a max-age, however young: nobody waits for a challenge that could not mend it.
    refused = control.visit("myapp", headers={"EE-Require": "max-age=3600"})
    assert refused.status == 412 and refused.json()["available"][0]["unmet"] == ["max-age"]
    assert [challenge["reason"] for challenge in agent.challenges()] == ["register"]


def test_callers_choose_by_what_is_measured(world):
    backend, control = world.backend(), world.control()
    world.allow(tag="v0.1.4")
    world.agent(control, backend)
    world.agent(control, backend, EE_RELEASE_TAG="v0.1.4", EE_STATE_DIR=world.path / "state-next", wait=False)
    until(lambda: control.resolve("myapp")["agents"] == 2, 20, "both agents serve")
    item = control.get("/v1/apps/myapp/evidence").json()["items"][0]
    mrtd, rtmr1, tcb = item["mrtd"], item["rtmrs"][1], item["tcb_status"]
    for release in ("v0.1.3", "v0.1.4"):
        asked = f'tcb=({tcb} UpToDate), max-age=3600, release="{release}", mrtd="{mrtd}", rtmr1="{rtmr1}"'
        for _ in range(10):
            got = control.visit("myapp", headers={"EE-Require": asked})
            assert (got.status, got.header("EE-Require-Met")) == (200, met(asked))
            line = control.wait_access(request_id=got.header("X-Request-Id"))
            agent, = [a for a in control.app_agents("myapp") if a["agent_id"] == line["agent"]]
            assert agent["release_tag"] == release
            assert backend.requests[-1].header("EE-Require") == [asked]
    other = control.visit("myapp", headers={"EE-Require": f'mrtd="{"00" * 48}"'})
    assert (other.status, other.reason, other.header("EE-Require-Met")) == (412, "requirement_unmet", None)
    assert [(a["release"], a["unmet"]) for a in sorted(other.json()["available"], key=lambda a: a["release"])] == [
        ("v0.1.3", ["mrtd"]), ("v0.1.4", ["mrtd"])]


def test_a_body_of_unknown_length_goes_to_the_v1_agent_that_alone_meets_it(world):
    backend, control = world.backend(), world.control()
    world.allow(tag="v0.1.4")
    world.agent(control, backend, EE_RELEASE_TAG="v0.1.4")
    control.wire_agent(agent_id="old").attest().serve(text_answer("from the old one"))
    until(lambda: control.resolve("myapp")["agents"] == 2, 20, "both agents serve")
    for _ in range(5):
        heard = raw_exchange(control.proxy_port,
                             b"POST / HTTP/1.1\r\nHost: myapp.app.test\r\nConnection: close\r\n"
                             b'EE-Require: release="v0.1.3"\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n')
        assert heard.startswith(b"HTTP/1.1 200 ") and heard.endswith(b"from the old one"), heard


def test_what_is_not_understood_is_refused(world):
    control = world.control()
    world.agent(control, world.backend())
    for text in ("seald", "max-age=-1", "tcb=UpToDate", "sealed, sealed"):
        got = control.visit("myapp", headers={"EE-Require": text})
        assert (got.status, got.reason) == (400, "invalid_requirement"), text
    lines = control.visit("myapp", headers=[("EE-Require", "max-age=3600"), ("EE-Require", 'release="v0.1.3"')])
    assert (lines.status, lines.header("EE-Require-Met")) == (200, met('max-age=3600, release="v0.1.3"'))


def test_in_an_envelope_what_stands_outside_and_inside_counts(world):
    backend, control = world.backend(), world.control()
    world.agent(control, backend)

    def ask(outside, inside):
        headers = {"EE-Require": outside} if outside else {}
        return control.post("/v1/proxy/myapp", {"headers": {"EE-Require": inside} if inside else {}}, headers)

    got = ask("max-age=3600", 'release="v0.1.3"')
    assert (got.status, got.header("EE-Require-Met")) == (200, met('max-age=3600, release="v0.1.3"'))
    assert backend.requests[-1].header("EE-Require") == ["max-age=3600", 'release="v0.1.3"']
    assert ask("", 'release="v9"').status == ask('release="v9"', "").status == 412
    assert ask("max-age=3600", "max-age=3600").reason == "invalid_requirement"
    got = control.get("/v1/proxy/myapp/x", headers={"EE-Require": "max-age=3600"})
    assert (got.status, got.header("EE-Require-Met")) == (200, met("max-age=3600"))


def test_a_caller_who_wants_it_fresh_waits_for_one_challenge(world):
    control = world.control()
    agent = control.wire_agent(agent_id="w1").attest().serve(text_answer("hello"), challenges=False)
    first = control.visit("myapp")
    answers = []
    visitors = [threading.Thread(target=lambda: answers.append(control.visit("myapp", headers={"EE-Require": "max-age=0"})))
                for _ in range(5)]
    for visitor in visitors:
        visitor.start()
    until(lambda: control.metric("ee_proxy_open_requests") == len(visitors), what="all of them wait")
    agent.answer_challenge(agent.expect("attest_request", reason="periodic"))
    for visitor in visitors:
        visitor.join(30)
    assert [(a.status, a.header("EE-Require-Met")) for a in answers] == [(200, met("max-age=0"))] * 5
    assert [c["reason"] for c in agent.challenges()] == ["register", "periodic"], "all of them by the same one"
    assert all(a.header("EE-Attestation") != first.header("EE-Attestation") for a in answers)
    assert evidence(control, f"?id={answers[0].header('EE-Attestation')}")["verdict"]["ok"]


def test_a_caller_who_wants_it_fresh_gets_412_when_nobody_answers(world):
    control = world.control(EE_ATTEST_DEADLINE_SEC=4)
    control.wire_agent(agent_id="w1").attest().serve(text_answer("hello"), challenges=False)
    assert control.visit("myapp").status == 200
    got = control.visit("myapp", headers={"EE-Require": "max-age=0"})
    # The agent has missed its challenge and is out, or its deadline and the caller's were the same moment.
    assert got.status in (403, 412, 503), got
    assert got.header("EE-Require-Met") is None
    control.wait_event("agent.disconnected", agent="w1", reason="attestation_timeout")
    assert control.resolve("myapp")["allowed"] is False
