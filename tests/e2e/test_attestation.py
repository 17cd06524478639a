"""What a quote has to be: each refusal over the wire, its code, and the end of the tunnel."""

import asyncio
import base64
import concurrent.futures
import json
import shutil
import time

import pytest

from harness import until
from simulated_platform import LEGACY_CLAIMS, SimulatedPlatform, eectl
from wire_agent import AgentKey, run


def faults(of):
    """{fault: refusal} of `eectl simulate faults` that are made in a "quote" or in "collateral"."""
    rows = [line.split() for line in eectl("simulate", "faults").stdout.splitlines()[1:]]
    return {row[0]: (row[2], row[3]) for row in rows if row[1] == of}


@pytest.fixture(scope="module")
def control(shared_world):
    control = shared_world.control()
    control.wire_agent(app_name="steady", agent_id="steady").attest(legacy=True).serve()
    yield control
    assert control.running() and control.visit("steady", "/").status == 200


def judged(control, app="judged", answer_with=None, register=None, **how):
    """Registers a new agent and answers its challenge so; the status it gets, and the wire."""
    wire = control.wire_agent(app_name=app, agent_id="a", **(register or {}))
    wire.register()
    challenge = wire.expect("attest_request")
    if answer_with:
        wire.send({**wire.evidence(challenge["nonce"], **how), **answer_with})
    else:
        wire.answer_challenge(challenge, **how)
    return wire.expect("status"), wire


def refusal(control, app="judged", **how):
    """The code of the refusal, which has closed the tunnel and left nothing behind."""
    status, wire = judged(control, app, **how)
    assert status["state"] == "invalid" and status["detail"], status
    assert wire.expect_closed() == 1008
    assert control.get(f"/v1/resolve/{app}").status == 404
    return status["reason"]


def accepted(control, app, **how):
    status, wire = judged(control, app, **how)
    assert (status["state"], status["reason"]) == ("ok", "attested"), status
    wire.close()
    return control.app_agents(app)[0]


# ---- Quotes ----

QUOTE_FAULTS = faults("quote")


def test_every_fault_of_a_quote_that_can_be_simulated_is_refused_with_its_code(control):
    assert len(QUOTE_FAULTS) >= 30
    wrong = {}

    def attempt(fault):
        code = refusal(control, quote_options=("--fault", fault))
        if code != QUOTE_FAULTS[fault][1]:
            wrong[fault] = code
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(attempt, QUOTE_FAULTS))
    assert not wrong


@pytest.mark.parametrize("options, code", [
    (("--version", "3"), "quote_unsupported"),
    (("--version", "6"), "quote_unsupported"),
    (("--attestation-key-type", "3"), "quote_unsupported"),
    (("--tee-type", "0"), "quote_unsupported"),
    (("--qe-vendor-id", "00" * 16), "quote_unsupported"),
    (("--certification-type", "5"), "quote_unsupported"),
    (("--truncate", "600"), "quote_malformed"),
    (("--truncate", "10"), "quote_malformed"),
    (("--trailing", "01"), "quote_malformed"),
    (("--pck-length", "100000"), "quote_malformed"),
    (("--qe-isvprodid", "1"), "qe_identity_mismatch:isvprodid"),
    (("--seam-attributes", "1"), "tdx_module_mismatch:attributes"),
    (("--pck-pcesvn", "12"), "tcb_not_supported"),
    (("--tcb", "Revoked"), "tcb_unacceptable:Revoked"),
    (("--td-attributes", "0x20000000"), "td_attributes:29"),
    (("--td-attributes", "0x2"), "td_attributes:1"),
    (("--rtmr2", "ab" * 48), "measurement_mismatch:rtmr2"),
    (("--mrtd", "ab" * 48), "measurement_mismatch:mrtd"),
], ids=lambda value: value if isinstance(value, str) else "".join(value)[:30])
def test_a_quote_that_is_not_right_is_refused(control, options, code):
    assert refusal(control, quote_options=options) == code


@pytest.mark.parametrize("options", [("--body", "v5-1.0"), ("--body", "v5-1.5"), ("--padding", "3065"), ("--debug",)],
                         ids=lambda options: "".join(options))
def test_quotes_of_every_kind_are_accepted_on_the_sandbox(control, options):
    accepted(control, "kind" + "".join(c for c in options[-1] if c.isalnum()).lower(), quote_options=options)


def test_lesson_18_a_forged_quote_does_not_verify(world, control):
    """Signed by a platform of the forger's own making, whose certificates look like the genuine ones."""
    forger = SimulatedPlatform(world.path / "forger")
    wire = control.wire_agent(platform=forger, app_name="forged")
    wire.register()
    wire.answer_challenge(wire.expect("attest_request"))
    assert wire.expect("status", state="invalid")["reason"] == "certificate_chain_invalid"
    assert refusal(control, quote_options=("--qe-report-data", "00" * 64)) == "attestation_key_unbound"
    assert refusal(control, quote_options=("--signature", "00" * 64)) == "quote_signature_invalid"
    assert refusal(control, quote_options=("--fault", "leaf_expired")) == "certificate_expired"


def test_lesson_18_a_genuine_quote_is_no_simulated_one(world):
    """Without EE_TDX_ROOT_CA nothing simulated verifies."""
    control = world.control(EE_TDX_ROOT_CA=None)
    assert refusal(control) == "certificate_chain_invalid"


# ---- What the quote binds ----

def test_lesson_20_a_quote_attests_one_agent_once(control):
    """One and the same answer, sent by another tunnel, by another agent, and under a later nonce."""
    first = control.wire_agent(app_name="replayed", agent_id="first")
    first.register()
    answer = first.evidence(first.expect("attest_request")["nonce"])
    first.send(answer)
    first.expect("status", reason="attested")
    for agent_id in ("first", "second"):
        again = control.wire_agent(app_name="replayed", agent_id=agent_id)
        again.register()
        nonce = again.expect("attest_request")["nonce"]
        assert nonce != answer["nonce"]
        again.send({**answer, "nonce": nonce})
        assert again.expect("status", state="invalid")["reason"] == "report_data_mismatch"
        again.expect_closed()
    assert control.resolve("replayed")["agents"] == 1
    first.close()


@pytest.mark.parametrize("identity", [
    {"agent_id": "another"}, {"app_name": "another"}, {"repo": "org/another"}, {"release_tag": "v9"},
    {"network": "forge-1"}, {"node_id": "n1"},
], ids=lambda identity: next(iter(identity)))
def test_lesson_20_a_quote_for_another_identity_is_refused(control, identity):
    assert refusal(control, identity=identity) == "report_data_mismatch"


def test_a_quote_over_another_nonce_is_refused(control):
    wire = control.wire_agent(app_name="judged")
    wire.register()
    nonce = wire.expect("attest_request")["nonce"]
    wire.send({**wire.evidence("ab" * 32), "nonce": nonce})
    assert wire.expect("status", state="invalid")["reason"] == "report_data_mismatch"
    assert wire.expect_closed() == 1008


def test_measurements_that_the_quote_does_not_bind_are_refused(control):
    assert refusal(control, answer_with={"measurements": {"config_sha256": "00"}}) == "report_data_mismatch"


def test_report_data_in_the_message_must_be_the_quotes(control):
    assert refusal(control, answer_with={"report_data": "00" * 64}) == "report_data_mismatch"


def test_a_legacy_answer_must_be_made_of_its_claims(control):
    assert refusal(control, legacy=True, answer_with={"measurements": {**LEGACY_CLAIMS, "sealed": True}}) \
        == "report_data_mismatch"
    assert refusal(control, legacy=True, answer_with={"measurements": {}}) == "report_data_mismatch"


def test_the_level_of_binding_is_shown(world, control):
    assert accepted(control, "level-none", legacy=True)["binding"] == "none"
    assert accepted(control, "level-nonce")["binding"] == "nonce"
    wire = control.wire_agent(app_name="level-key")
    wire.agent_key = AgentKey(world.path, "key")
    wire.attest()
    assert control.app_agents("level-key")[0]["binding"] == "key"
    wire.close()


def test_a_key_that_did_not_sign_the_session_is_refused(world, control):
    wire = control.wire_agent(app_name="judged")
    wire.agent_key = AgentKey(world.path, "key")
    wire.register()
    challenge = wire.expect("attest_request")
    wire.answer_challenge(challenge, signature=base64.b64encode(bytes(64)).decode())
    assert wire.expect("status", state="invalid")["reason"] == "report_data_mismatch"


def test_over_tls_a_quote_that_does_not_name_this_very_session_is_refused(world):
    """Made for another connection and passed on: fresh, of the right identity, and worth nothing here."""
    control = world.control(**world.make_tls())
    assert refusal(control) == "report_data_mismatch"
    assert refusal(control, channel=bytes(32)) == "report_data_mismatch"
    # A deployed agent's quote names no session anywhere.
    assert accepted(control, "legacy", legacy=True)["binding"] == "none"


@pytest.mark.parametrize("how", [{}, {"legacy": True}], ids=["nonce", "legacy"])
def test_a_binding_weaker_than_the_networks_is_refused(control, how):
    assert refusal(control, register={"network": "forge-1"}, **how) == "binding_too_weak"


def test_a_nonce_that_was_not_asked_is_a_mismatch(control):
    assert refusal(control, legacy=True, answer_with={"nonce": "00" * 32}) == "nonce_mismatch"


# ---- Allowlists ----

def test_lesson_19_the_allowlist_is_compared_with_the_quote_not_with_what_the_agent_says(control):
    allowed = control.world.platform.allowlist()["quote_measurements"]
    assert refusal(control, quote_options=("--rtmr1", "cd" * 48), measurements={"rtmr1": allowed["rtmr1"]}) \
        == "measurement_mismatch:rtmr1"


def test_lesson_19_sealed_takes_claim_allowlist_and_no_debug(control):
    control.world.allow(tag="sealed", measurements={"sealed": True})
    control.world.allow(tag="unsealed", measurements={})
    sealed, unsealed = {"release_tag": "sealed"}, {"release_tag": "unsealed"}
    claim = {"sealed": True}
    assert accepted(control, "s1", register=unsealed, measurements=claim)["sealed"] is False
    assert accepted(control, "s2", register=sealed, measurements=claim)["sealed"] is True
    assert accepted(control, "s3", register=sealed, measurements=claim, quote_options=("--debug",))["sealed"] is False
    # Without a nonce it may be anybody's.
    unbound = accepted(control, "s4", register=sealed, measurements=claim, legacy=True)
    assert (unbound["sealed"], unbound["unbound"]) == (False, True)
    for wrong in ({}, {"sealed": False}, {"sealed": "true"}):
        assert refusal(control, register=sealed, measurements=wrong) == "measurement_mismatch:sealed"


def test_a_release_without_allowlist_is_refused(control):
    assert refusal(control, register={"release_tag": "v0.0.0"}) == "allowlist_missing"


@pytest.mark.parametrize("text, code", [
    ("", "allowlist_invalid:/"),
    ("[]", "allowlist_invalid:/"),
    ("{}", "allowlist_invalid:/version"),
    ('{"version":"7"}', "allowlist_invalid:/version"),
    ('{"version":"1.0","quote_measurements":[]}', "allowlist_invalid:/quote_measurements"),
    ('{"version":"1.0","quote_measurements":{"rtmr9":"00"}}', "allowlist_invalid:/quote_measurements/rtmr9"),
    ('{"version":"1.0","quote_measurements":{"rtmr0":"00"}}', "allowlist_invalid:/quote_measurements/rtmr0"),
    ('{"version":"1.0","measurements":{"a/b":1}}', "allowlist_invalid:/measurements/a~1b"),
])
def test_an_allowlist_that_is_broken_is_named_by_its_pointer(control, text, code):
    control.world.allow(tag="broken", text=text)
    assert refusal(control, register={"release_tag": "broken"}) == code


def test_an_allowlist_may_name_several_builds(control):
    allowed = control.world.platform.allowlist()["quote_measurements"]
    control.world.allow(tag="several", quote_measurements={"rtmr2": ["ab" * 48, allowed["rtmr2"]]})
    accepted(control, "several", register={"release_tag": "several"})
    assert refusal(control, register={"release_tag": "several"}, quote_options=("--rtmr2", "cd" * 48)) \
        == "measurement_mismatch:rtmr2"


def test_a_tag_with_slashes_is_one_file_name(control):
    control.world.allow(tag="release/2026/v1 beta")
    accepted(control, "slashes", register={"release_tag": "release/2026/v1 beta"})


# ---- Collateral ----

@pytest.fixture
def faulty(world):
    """Replaces the world's collateral by one with this fault; its platform's own stays as it was."""
    def make(fault):
        folder = world.path / f"faulty-{fault}"
        shutil.copytree(world.platform.directory, folder)
        eectl("simulate", "refresh", folder, "--fault", fault)
        world.put_collateral(**json.loads((folder / "collateral.json").read_text()))
    return make


def test_every_fault_of_the_collateral_is_refused_with_its_code(world, faulty):
    control = world.control()
    rows = {fault: code for fault, (_, code) in faults("collateral").items()}
    assert len(rows) >= 40
    # These make it collateral for another CA, another platform, another root: there is none for this one.
    for fault in ("pck_crl_issuer", "tcb_info_fmspc", "tcb_signer_root_unknown"):
        rows[fault] = "collateral_unavailable"
    for fault, code in rows.items():
        faulty(fault)
        status, wire = judged(control)
        assert (fault, status["state"], status["reason"]) == (fault, "invalid", code)
        # What may be over soon says when to come back.
        comes_back = code.startswith(("collateral_unavailable", "collateral_expired", "collateral_not_yet_valid"))
        assert (status.get("retry_after_s") is not None) == comes_back, fault
        assert wire.expect_closed() == 1008
    world.put_collateral()
    accepted(control, "judged")


def test_without_collateral_an_agent_is_refused_until_there_is_some(world):
    control = world.control()
    world.remove_collateral()
    status, wire = judged(control)
    assert (status["state"], status["reason"]) == ("invalid", "collateral_unavailable")
    assert status["retry_after_s"] > 0 and wire.expect_closed() == 1008
    world.put_collateral()
    accepted(control, "judged")


def test_collateral_of_another_platform_is_not_taken(world):
    other = SimulatedPlatform(world.path / "other")
    world.put_collateral(**other.collateral())
    assert refusal(world.control()) != "attested"


def test_files_that_are_no_collateral_are_skipped_with_a_word(world):
    (world.collateral_dir / "broken.json").write_text("{")
    (world.collateral_dir / "notes.txt").write_text("nothing")
    control = world.control()
    accepted(control, "judged")
    assert control.wait_event("collateral.skipped")["file"].endswith("broken.json")


# ---- One agent's verification is nobody else's wait ----

def test_lesson_15_quotes_of_strangers_do_not_slow_requests_down(world):
    """Three hundred agents whose quotes pass every check but the last, while another's requests go through."""
    backend = world.backend()
    control = world.control(EE_MAX_UNREGISTERED_PER_ADDRESS=1000)
    world.agent(control, backend)
    how = {"legacy": True, "quote_options": ("--rtmr3", "ab" * 48)}
    control.wire_agent(connect=False).evidence("00" * 32, **how)  # One quote serves them all.

    async def stranger(number):
        wire = control.wire_agent(connect=False, app_name="stranger", agent_id=f"s{number}")
        await wire.aconnect(30)
        await wire.aregister()
        await wire.aanswer_challenge(await wire.aexpect("attest_request", 30), **how)
        return (await wire.aexpect("status", 30))["reason"]

    async def strangers():
        reasons = []
        for start in range(0, 300, 50):
            reasons += await asyncio.gather(*(stranger(start + i) for i in range(50)))
        return reasons
    with concurrent.futures.ThreadPoolExecutor() as pool:
        load, slowest, answers = pool.submit(run, strangers(), 90), 0, 0
        while not load.done() or answers < 50:
            started = time.monotonic()
            assert control.visit("myapp", "/status/200", timeout=5).status == 200
            slowest, answers = max(slowest, time.monotonic() - started), answers + 1
        assert load.result() == ["measurement_mismatch:rtmr3"] * 300
    assert slowest < 2
    assert control.resolve("myapp")["status"] == "active"
    assert control.get("/v1/resolve/stranger").status == 404
    assert control.metric("ee_attestation_verdicts_total", result="measurement_mismatch") == 300
    until(lambda: control.metric("ee_tunnels") == 1, what="the strangers are gone")
