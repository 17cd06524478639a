"""Evidence: what verdicts were reached by, served to everybody and judged again offline by eectl."""

import base64
import concurrent.futures
import hashlib
import json
import os

import pytest

from harness import ADMIN_TOKEN, lasting_port, until
from programs import memory_factor
from simulated_platform import LEGACY_CLAIMS, canonical, eectl, report_data_layout2, report_data_legacy
from test_ratls import certificate, come

WHOLE = "?include=collateral,allowlist"


def evidence(control, app="myapp", query=""):
    answer = control.get(f"/v1/apps/{app}/evidence{query}")
    assert answer.status == 200, answer
    return answer.json()


def newest(control, app="myapp"):
    item, = evidence(control, app)["items"]
    return item


def verify(world, page, *options, root=True):
    """eectl evidence verify of a page of evidence, or of its text; the CompletedProcess."""
    file = world.path / "evidence.json"
    file.write_text(page if isinstance(page, str) else json.dumps(page))
    trust = ["--root", world.platform.root] if root else []
    return eectl("evidence", "verify", file, *trust, *options, check=False)


def test_anyone_can_judge_an_agent_again_offline(world):
    control = world.control()
    world.agent(control, world.backend())
    saved = control.get(f"/v1/apps/myapp/evidence{WHOLE}")
    control.kill()
    judged = verify(world, saved.text)
    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert judged.stdout.startswith("ok        agent ")
    item, = saved.json()["items"]
    assert item["verdict"]["ok"] and item["anchor"] == "simulated" and item["network"] == "sandbox-1"
    # Whoever trusts Intel's root only is told that this is none of Intel's.
    refused = verify(world, saved.text, root=False)
    assert (refused.returncode, "certificate_chain_invalid" in refused.stdout) == (1, True)


def test_everything_the_report_data_are_made_of_is_there(world):
    control = world.control()
    control.wire_agent(agent_id="w1").attest()
    page = evidence(control)
    item, = page["items"]
    inputs = item["inputs"]
    key = base64.b64decode(inputs["agent_key"]) if inputs["agent_key"] else b""
    expected = report_data_layout2(bytes.fromhex(inputs["nonce"]), inputs, item["measurements"], key,
                                   bytes.fromhex(inputs["channel"] or ""), inputs["wire"])
    assert item["report_data"] == expected.hex()
    assert expected in base64.b64decode(item["quote"])
    assert item["id"] == hashlib.sha256(expected).hexdigest()
    assert item["agent"] == hashlib.sha256((page["log_id"] + "w1").encode()).hexdigest()[:16]
    assert canonical(item["measurements"]) == canonical({})


def test_contents_are_what_their_digests_say(world):
    control = world.control()
    control.wire_agent().attest()
    page = evidence(control, query=WHOLE)
    item, = page["items"]
    collateral = world.platform.collateral()
    assert set(item["collateral"]) == set(collateral)
    for part, digest in item["collateral"].items():
        given = collateral[part]
        original = bytes.fromhex(given) if part.endswith(("_crl", "_signature")) else given.encode()
        served = control.get(f"/v1/collateral/{digest}")
        assert (served.status, served.body) == (200, original), part
        assert hashlib.sha256(served.body).hexdigest() == digest
        assert served.header_all("Cache-Control") == ["public, max-age=31536000, immutable"]
        assert base64.b64decode(page["contents"][digest]["base64"]) == original
        again = control.get(f"/v1/collateral/{digest}", {"If-None-Match": served.header("ETag")})
        assert (again.status, again.body) == (304, b"")
    types = {part: control.get(f"/v1/collateral/{item['collateral'][part]}").header("Content-Type")
             for part in ("tcb_info", "pck_crl", "tcb_info_signature", "tcb_info_issuer_chain")}
    assert types == {"tcb_info": "application/json", "pck_crl": "application/pkix-crl",
                     "tcb_info_signature": "application/octet-stream",
                     "tcb_info_issuer_chain": "application/pem-certificate-chain"}
    allowlist = (world.allowlist_dir / "org/repo/v0.1.3.json").read_bytes()
    assert base64.b64decode(page["contents"][item["allowlist_sha256"]]["base64"]) == allowlist
    # Without `include` only what every judgement needs and nobody else publishes.
    assert [content["kind"] for content in evidence(control)["contents"].values()] == ["policy"]


def test_only_collateral_is_served_as_collateral(world):
    control = world.control()
    control.wire_agent().attest()
    item = newest(control)
    for digest in (item["allowlist_sha256"], item["policy_sha256"], "0" * 64, "x", "A" * 64, item["id"]):
        refused = control.get(f"/v1/collateral/{digest}")
        assert (refused.status, refused.reason) == (404, "unknown_collateral"), digest


def test_a_page_without_contents_is_judged_with_ones_own(world):
    control = world.control()
    control.wire_agent().attest()
    page = evidence(control)
    assert "allowlist_unavailable" in verify(world, page).stdout
    own = ["--allowlist", world.allowlist_dir / "org/repo/v0.1.3.json", "--collateral", world.collateral_dir]
    judged = verify(world, page, *own)
    assert judged.returncode == 0, judged.stdout


TAMPERED = {
    "nonce": lambda item: item["inputs"].update(nonce="00" * 32),
    "agent": lambda item: item.update(agent="00" * 8),
    "quote": lambda item: item.update(quote=item["quote"][:-8] + "AAAAAAA="),
    "measurements": lambda item: item.update(measurements={"sealed": True}),
    "sealed": lambda item: item.update(sealed=True),
    "binding": lambda item: item.update(binding="channel"),
    "tcb_status": lambda item: item.update(tcb_status="Revoked"),
    "anchor": lambda item: item.update(anchor="intel"),
    "judged_at": lambda item: item.update(judged_at="2019-01-01T00:00:00.000Z"),
    "release_tag": lambda item: item.update(release_tag="v9"),
}


@pytest.fixture(scope="module")
def whole_page(shared_world):
    control = shared_world.control()
    agent = control.wire_agent(agent_id="w1").attest()
    page = evidence(control, query=WHOLE)
    agent.close()
    control.terminate()
    return page


@pytest.mark.parametrize("field", TAMPERED)
def test_a_tampered_file_is_refused_or_said_to_differ(shared_world, whole_page, field):
    assert verify(shared_world, whole_page).returncode == 0
    page = json.loads(json.dumps(whole_page))
    TAMPERED[field](page["items"][0])
    judged = verify(shared_world, page)
    assert judged.returncode == 1
    assert judged.stdout.startswith(("refused", "different")), judged.stdout


def test_an_earlier_answer_is_found_by_id_after_the_next_challenge_and_after_a_restart(world):
    port = lasting_port()
    control = world.control(EE_CONTROL_PORT=port, EE_ATTEST_INTERVAL_SEC=1)
    agent = control.wire_agent().attest().serve()
    first = newest(control)
    second = until(lambda: (now := newest(control)) != first and now, what="newer evidence")
    assert second["agent"] == first["agent"] and second["id"] != first["id"]
    earlier = evidence(control, query=f"?id={first['id']}&include=collateral,allowlist")
    assert earlier["items"] == [first]
    control.kill()  # Nothing may depend on an orderly end.
    agent.close()
    again = world.control(EE_CONTROL_PORT=port)
    assert evidence(again, query=f"?id={first['id']}&include=collateral,allowlist") == earlier
    assert verify(world, earlier).returncode == 0
    assert evidence(again)["log_id"] == earlier["log_id"]
    assert evidence(again)["items"] == [], "no agent is connected"
    unknown = again.get(f"/v1/apps/myapp/evidence?id={'0' * 64}")
    assert (unknown.status, unknown.reason) == (404, "unknown_evidence")


def test_nothing_of_a_legacy_answer_is_shown(world):
    control = world.control()
    control.wire_agent(agent_id="old").attest(legacy=True)
    answer = control.get(f"/v1/apps/myapp/evidence{WHOLE}")
    item, = answer.json()["items"]
    assert (item["binding"], item["legacy"], item["unbound"]) == ("none", True, True)
    assert [item[name] for name in ("quote", "measurements", "inputs", "report_data", "client_certificate")] == [None] * 5
    secret = report_data_legacy(LEGACY_CLAIMS)
    for credential in (world.platform.quote(secret), secret.hex(), LEGACY_CLAIMS["agent_dir_sha256"], '"old"',
                       hashlib.sha256(secret).hexdigest()):
        assert credential not in answer.text
    judged = verify(world, answer.text)
    assert (judged.returncode, "evidence_legacy" in judged.stdout) == (1, True)


def test_evidence_of_a_network_that_does_not_publish_it_is_the_admins_and_the_apps(world):
    (world.path / "networks.toml").write_text('[sandbox-1]\nevidence = "app"\n')
    control = world.control(EE_NETWORKS_FILE=world.path / "networks.toml")
    control.wire_agent().attest()
    for path in ("/v1/apps/myapp/evidence", f"/v1/apps/myapp/evidence?id={'0' * 64}"):
        assert control.get(path).status == 401
        assert control.get(path, {"Authorization": "Bearer wrong"}).status == 401
    item, = control.admin_get("/v1/apps/myapp/evidence").json()["items"]
    tokens = {}
    for app in ("myapp", "other"):
        made = control.post("/v1/apps", {"app_name": app, "repo": "org/repo", "network": "sandbox-1"},
                            {"Authorization": f"Bearer {ADMIN_TOKEN}"})
        tokens[app] = {"Authorization": f"Bearer {made.json()['token']}"}
    assert control.get("/v1/apps/myapp/evidence", tokens["myapp"]).json()["items"] == [item]
    assert control.get("/v1/apps/myapp/evidence", tokens["other"]).status == 403
    assert control.get(f"/v1/collateral/{item['collateral']['tcb_info']}").status == 200, "that is Intel's, not the app's"


def test_what_a_client_certificate_earned_can_be_judged_again(world):
    control = world.control(EE_RATLS="on", **world.make_tls())
    come(control, certificate(control, "myapp"), app_name="myapp").attest()
    page = evidence(control, query=WHOLE)
    item, = page["items"]
    assert item["binding"] == "ratls" and item["client_certificate"]
    assert verify(world, page).returncode == 0
    item["client_certificate"] = None
    judged = verify(world, page)
    assert (judged.returncode, "binding: recorded ratls, repeated nonce" in judged.stdout) == (1, True), judged.stdout


def test_pages_name_agents_in_order_and_only_those_that_are_connected(world):
    control = world.control()
    agents = [control.wire_agent(agent_id=f"w{i}").attest() for i in range(5)]
    everybody = evidence(control)["items"]
    names = [item["agent"] for item in everybody]
    assert (len(names), names) == (5, sorted(names))
    paged, cursor = [], ""
    while cursor is not None:
        page = evidence(control, query=f"?limit=2{cursor and '&cursor=' + cursor}")
        assert len(page["items"]) <= 2
        paged, cursor = paged + page["items"], page["next_cursor"]
    assert paged == everybody
    agents[0].close()
    until(lambda: len(evidence(control)["items"]) == 4, what="four are left")


@pytest.mark.parametrize("query, status, reason", [
    ("?limit=0", 400, "invalid_parameter:limit"), ("?limit=501", 400, "invalid_parameter:limit"),
    ("?include=quote", 400, "invalid_parameter:include"), ("?cursor=!", 400, "invalid_cursor"),
    ("?id=1&id=2", 400, "invalid_parameter:id"), ("?id=xyz", 404, "unknown_evidence")])
def test_a_wrong_question_is_refused(world, query, status, reason):
    control = world.control()
    control.wire_agent().attest()
    refused = control.get(f"/v1/apps/myapp/evidence{query}")
    assert (refused.status, refused.reason) == (status, reason)
    unknown = control.get("/v1/apps/other/evidence")
    assert (unknown.status, unknown.reason) == (404, "unknown_app")


def test_eectl_fetches_what_it_verifies(world):
    control = world.control()
    control.wire_agent().attest()
    url, file = f"http://127.0.0.1:{control.port}", world.path / "fetched.json"
    eectl("evidence", "fetch", "myapp", "--url", url, "--out", file)
    eectl("evidence", "verify", file, "--root", world.platform.root)
    shown = eectl("evidence", "show", file).stdout
    assert newest(control)["id"] in shown
    missing = eectl("evidence", "fetch", "other", "--url", url, check=False)
    assert (missing.returncode, "unknown_app" in missing.stderr) == (1, True)


def test_many_questions_leave_memory_and_agents_as_they_were(world):
    control = world.control(ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1")
    control.wire_agent().attest().serve()

    def ask(count):
        for _ in range(count):
            # Too many at once are told so; nobody waits for ever.
            assert control.get(f"/v1/apps/myapp/evidence{WHOLE}").status in (200, 503)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, [25] * 8))
        before = control.rss_bytes()
        list(pool.map(ask, [125] * 8))
    assert control.rss_bytes() < before + 8 * 1024 * 1024 * memory_factor()
    assert control.visit("myapp", "/").status == 200
    assert len(control.events("agent.disconnected")) == 0
