"""RA-TLS: who is asked for a client certificate, what it earns, and what it does not."""

import json
import re
import ssl
import subprocess
import time

import pytest

from harness import http_request, until
from simulated_platform import LEGACY_CLAIMS

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
DIRECT = "control-direct.app.test"


@pytest.fixture(scope="module")
def control(shared_world):
    yield shared_world.control(EE_RATLS="on", EE_RATLS_PORT=0, **shared_world.make_tls())


@pytest.fixture(scope="module")
def strict(shared_world):
    """Serves the networks of NETWORKS besides the built-in ones."""
    file = shared_world.path / "networks.toml"
    file.write_text(NETWORKS)
    control = shared_world.control(EE_RATLS="on", EE_NETWORKS_FILE=file, EE_DB_PATH=shared_world.path / "strict.db",
                                   **shared_world.make_tls())
    if any("EE_NETWORKS_FILE" in warning["detail"] for warning in control.events("config.warning")):
        pytest.skip("this version reads no network policies from a file")
    yield control


def ratls_port(control):
    return int(control.wait_event("control.ratls")["address"].rsplit(":", 1)[1])


def client_tls(world, certificate=None, version=TLS12):
    tls = ssl.create_default_context(cafile=str(world.tls_ca))
    tls.check_hostname = False  # What the certificate is for is test_agent.py's matter.
    tls.minimum_version = tls.maximum_version = version
    if certificate:
        tls.load_cert_chain(certificate)
    return tls


def come(control, certificate=None, name=DIRECT, version=TLS12, port=None, **register):
    """A wire agent that is connected and shows this certificate if it is asked."""
    wire = control.wire_agent(connect=False, ssl=client_tls(control.world, certificate, version), **register)
    wire.url = f"wss://{name}:{port or control.port}/v1/tunnel"
    return wire.connect()


def binding(control, app, certificate, legacy=False, **how):
    """Attests so; the level of binding that GET /v1/apps/{app} shows, and whether it is marked as unbound."""
    wire = come(control, certificate, app_name=app, **how)
    wire.attest(legacy=legacy)
    agent, = (agent for agent in control.app_agents(app) if agent["agent_id"] == wire.identity["agent_id"])
    wire.close()
    assert agent["unbound"] == (agent["binding"] == "none")
    return agent["binding"]


def certificate(control, app, *options, **how):
    return control.world.platform.certificate(control.world.path / f"{app}.pem", *options, app=app, **how)


# ---- What earns the level ----

@pytest.mark.parametrize("version", [TLS12, TLS13], ids=["tls12", "tls13"])
@pytest.mark.parametrize("options", [(), ("--ed25519",)], ids=["p256", "ed25519"])
def test_a_legacy_answer_with_a_certificate_of_ours_is_bound_at_ratls(control, version, options):
    app = f"ours{version}{len(options)}"
    assert binding(control, app, certificate(control, app, *options), legacy=True, version=version) == "ratls"


@pytest.mark.parametrize("version", [TLS12, TLS13], ids=["tls12", "tls13"])
@pytest.mark.parametrize("wrapped", [(), ("--wrapped",)], ids=["raw", "wrapped"])
def test_a_deployed_agent_is_bound_at_ratls_by_its_certificate(control, version, wrapped):
    app = f"deployed{version}{len(wrapped)}"
    shown = certificate(control, app, "--life", 315360000, *wrapped, legacy=True)
    assert binding(control, app, shown, legacy=True, version=version) == "ratls"


@pytest.mark.parametrize("legacy", [False, True], ids=["ours", "deployed"])
def test_an_answer_of_layout_2_without_a_channel_is_bound_at_ratls(control, legacy):
    app = "layout2" + str(legacy).lower()
    assert binding(control, app, certificate(control, app, legacy=legacy)) == "ratls"


def test_without_a_certificate_an_answer_is_what_it_is(control):
    assert binding(control, "bare", None) == "nonce"
    assert binding(control, "barelegacy", None, legacy=True) == "none"


def test_a_channel_is_more_and_needs_no_certificate(world):
    """The direct name asks easyenclave-agent too, which shows none and needs none."""
    control = world.control(EE_RATLS="on", EE_DNS_CONTROL_DIRECT_HOST="localhost", **world.make_tls())
    world.agent(control, world.backend(), EE_TLS_CA=world.tls_ca)
    assert control.app_agents("myapp")[0]["binding"] == "channel"


# ---- Who is asked ----

@pytest.mark.parametrize("name", ["control.app.test", "127.0.0.1", "x.control-direct.app.test"])
def test_only_the_direct_name_asks_for_a_certificate(control, name):
    app = "elsewhere" + re.sub("[^a-z0-9]", "", name)
    assert binding(control, app, certificate(control, app), legacy=True, name=name) == "none"


@pytest.mark.parametrize("name", ["control.app.test", "127.0.0.1"])
def test_the_ratls_port_asks_everybody(control, name):
    app = "port" + re.sub("[^a-z0-9]", "", name)
    assert binding(control, app, certificate(control, app), name=name, port=ratls_port(control)) == "ratls"


def asked(port, name, version):
    """Whether the server asks for a certificate, as openssl sees it."""
    seen = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", name, f"-{version}"],
                          input="", capture_output=True, text=True, timeout=10).stdout
    assert "BEGIN CERTIFICATE" in seen
    return "Client Certificate Types:" in seen or "Requested Signature Algorithms:" in seen


@pytest.mark.parametrize("version", ["tls1_2", "tls1_3"])
def test_a_browser_is_never_asked(control, version):
    assert asked(control.port, DIRECT, version) and asked(control.port, DIRECT.upper(), version)
    assert asked(ratls_port(control), "control.app.test", version)
    for name in ("control.app.test", "myapp.app.test", "control-direct-1.app.test"):
        assert not asked(control.port, name, version)


def test_the_api_answers_on_the_direct_name_and_port_as_anywhere(control):
    for port, name in ((control.port, DIRECT), (ratls_port(control), "control.app.test")):
        tls = client_tls(control.world, version=TLS13)
        assert http_request(port, "GET", "/health", {"Host": name}, tls=tls).status == 200


def test_nobody_is_asked_unless_it_is_on(world):
    control = world.control(**world.make_tls())
    assert not asked(control.port, DIRECT, "tls1_3")
    assert binding(control, "off", certificate(control, "off"), legacy=True) == "none"


def test_a_renewed_certificate_goes_on_asking(world):
    import signal
    control = world.control(EE_RATLS="on", EE_RATLS_PORT=0, **world.make_tls())
    control.signal(signal.SIGHUP)
    control.wait_event("control.reloaded")
    assert asked(control.port, DIRECT, "tls1_3") and asked(ratls_port(control), "x", "tls1_3")


# ---- What does not earn it ----

WRONG = {
    "expired": ("--at", "2020-01-01T00:00:00Z"),
    "longer-than-a-day": ("--life", 86401),
    "signed-by-a-stranger": ("--signed-by-stranger",),
    "another-key": ("--report-data", "ab" * 64),
    "another-role": ("--role", "control"),
    "another-app": ("--app", "other"),
    "another-repo": ("--repo", "org/other"),
    "another-release": ("--release-tag", "v9"),
    "another-network": ("--network", "forge-1"),
    "another-image": ("--rtmr2", "ab" * 48),
    "a-debug-td": ("--debug",),
    "a-forged-quote": ("--fault", "quote_signature"),
    "a-revoked-platform": ("--fault", "leaf_revoked"),
    "a-broken-quote": ("--trailing", "01"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_certificate_that_is_wrong_earns_nothing_and_costs_nothing(control, what):
    name, *rest = WRONG[what]
    named = {name[2:].replace("-", "_"): rest[0]} if what.startswith("another-") and name in (
        "--app", "--repo", "--release-tag", "--network") else {}
    shown = control.world.platform.certificate(control.world.path / f"{what}.pem", *(() if named else WRONG[what]),
                                               **{"app": what, **named})
    since = control.mark()
    assert binding(control, what, shown, legacy=True) == "none"
    # The operator learns why it is not more.
    assert control.wait_event("attestation.ok", since=since, app=what)["certificate"]


def test_where_the_level_is_not_enough_the_refusal_says_what_was_earned_and_why_not_more(control):
    def refusal(shown, **how):
        wire = come(control, shown, network="forge-1")
        wire.register()
        wire.answer_challenge(wire.expect("attest_request"), **how)
        status = wire.expect("status", state="invalid")
        assert wire.expect_closed() == 1008 and status["reason"] == "binding_too_weak"
        return status["detail"]
    path = control.world.path / "forge.pem"
    make = control.world.platform.certificate
    assert "level none" in refusal(None, legacy=True)
    assert "level nonce" in refusal(None)
    assert "certificate_not_counted" in refusal(make(path, legacy=True), legacy=True)
    assert "certificate_expired" in refusal(make(path, "--at", "2020-01-01T00:00:00Z", network="forge-1"))
    assert refusal(make(path, network="forge-1")).endswith("bound at level nonce, forge-1 asks for channel")


NETWORKS = """
[ratls-1]
base = "sandbox-1"
binding = "ratls"
legacy_none = false

[legacy-1]
base = "sandbox-1"
binding = "channel"
legacy_none = false
legacy_ratls = true
"""


@pytest.mark.parametrize("network, answer_legacy, certificate_legacy, earned", [
    ("ratls-1", False, False, "ratls"),
    ("ratls-1", False, True, None),  # Its key lies on a disk, which this network does not accept.
    ("ratls-1", True, False, None),
    ("ratls-1", True, True, None),
    ("legacy-1", False, False, "ratls"),
    ("legacy-1", False, True, "ratls"),
    ("legacy-1", True, False, "ratls"),
    ("legacy-1", True, True, "ratls"),
    ("legacy-1", True, None, None),
    ("legacy-1", False, None, None),
])
def test_a_network_that_asks_for_ratls(strict, network, answer_legacy, certificate_legacy, earned):
    app = f"{network}-{answer_legacy}-{certificate_legacy}".lower()
    shown = None if certificate_legacy is None else certificate(strict, app, legacy=certificate_legacy,
                                                                network=network)
    if earned:
        assert binding(strict, app, shown, legacy=answer_legacy, network=network) == earned
        return
    wire = come(strict, shown, app_name=app, network=network)
    wire.register()
    wire.answer_challenge(wire.expect("attest_request"), legacy=answer_legacy)
    assert wire.expect("status", state="invalid")["reason"] == "binding_too_weak"
    assert wire.expect_closed() == 1008


def test_a_certificate_of_another_machine_is_too_weak_where_the_level_is_asked_for(strict):
    """The image is another, though its platform is as genuine as this one's."""
    shown = certificate(strict, "foreign", "--rtmr2", "ab" * 48, network="ratls-1")
    wire = come(strict, shown, app_name="foreign", network="ratls-1")
    wire.register()
    wire.answer_challenge(wire.expect("attest_request"))
    status = wire.expect("status", state="invalid")
    assert status["reason"] == "binding_too_weak" and "measurement_mismatch:rtmr2" in status["detail"]


def test_a_certificate_is_judged_again_at_each_challenge(world):
    """It expires under the tunnel: what it earned is gone with the next answer."""
    control = world.control(EE_RATLS="on", EE_ATTEST_INTERVAL_SEC=2, **world.make_tls())
    started = int(time.time())
    shown = certificate(control, "myapp", "--at", started - 60, "--life", 66)
    wire = come(control, shown).attest(legacy=True)
    assert control.app_agents("myapp")[0]["binding"] == "ratls"

    for _ in range(8):
        wire.answer_challenge(wire.expect("attest_request"), legacy=True)
        wire.expect("status", state="ok", reason="attested")
        agent = control.app_agents("myapp")[0]
        if agent["binding"] == "none":
            break
    assert agent["unbound"] and time.time() > started + 6


# ---- require ----

def test_required_certificates_are_required_of_tunnels_alone(world):
    control = world.control(EE_RATLS="require", **world.make_tls())
    for name in (DIRECT, "control.app.test"):
        wire = come(control, None, name=name)
        assert wire.expect("status", state="invalid")["reason"] == "ratls_missing"
        assert wire.expect_closed() == 1008
    # Where it is not asked for it cannot be shown.
    wire = come(control, certificate(control, "myapp"), name="control.app.test")
    assert wire.expect("status", state="invalid")["reason"] == "ratls_missing"
    assert binding(control, "myapp", certificate(control, "myapp")) == "ratls"
    # One that earns nothing is there all the same: the policy judges what it is worth.
    assert binding(control, "myapp", certificate(control, "myapp", "--life", 1), agent_id="b") == "nonce"
    assert control.get("/health").status == 200
    assert control.metric("ee_tunnel_refusals_total", reason="ratls_missing") == 3

    agent = world.agent(control, world.backend(), wait=False, EE_TLS_CA=world.tls_ca)
    assert "EE_RATLS" in agent.wait_event("agent.refused", reason="ratls_missing")["advice"]


def test_ratls_without_a_certificate_of_its_own_is_a_mistake_in_the_settings(world):
    from programs import Program
    program = Program("easyenclave-control", {"EE_RATLS": "on", "EE_CONTROL_PORT": 0, "EE_PROXY_PORT": 0,
                                              "EE_DB_PATH": world.path / "x.db"})
    assert program.wait() == 78
    assert any("EE_TLS_CERT is not set" in str(line) for line in program.other_lines)


# ---- What a legacy answer says stays between it and its judge ----

def test_quote_and_claims_of_a_legacy_answer_are_shown_nowhere(control):
    wire = come(control, certificate(control, "secret", legacy=True), app_name="secret").attest(legacy=True)
    shown = [json.dumps(control.app("secret")), control.get("/v1/resolve/secret").text,
             control.admin_get("/v1/apps").text, control.admin_get("/metrics").text, json.dumps(control.log)]
    quote = wire.evidence("00" * 32, legacy=True)
    for text in shown:
        for credential in (quote["quote"][:64], quote["report_data"], LEGACY_CLAIMS["agent_py_sha256"],
                           LEGACY_CLAIMS["agent_dir_sha256"]):
            assert credential not in text
    wire.close()
    until(lambda: control.resolve("secret")["status"] == "offline", what="it is gone")
