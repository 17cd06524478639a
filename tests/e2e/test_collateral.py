"""Collateral from a service: fetched once, in the background; what misbehaves makes no verdict wrong and takes nothing
from an agent that serves."""

import concurrent.futures
import json
import shutil
import time

import pytest

from harness import until
from pccs import Pccs
from programs import memory_factor
from shifted_clock import ShiftedClock
from simulated_platform import SimulatedPlatform, eectl

DAY = 86_400
LIFE = 30 * DAY  # of simulated collateral


class Published:
    """A world whose collateral comes from a service of its own."""

    def __init__(self, world):
        self.world = world
        world.remove_collateral()
        self.pccs = Pccs(world.platform.collateral())
        self.folders = 0

    def control(self, **settings):
        return self.world.control(**{"EE_PCCS_URL": self.pccs.url, **settings})

    def made(self, *options):
        """The platform's collateral, made anew with these options of `eectl simulate refresh`."""
        self.folders += 1
        folder = self.world.path / f"published-{self.folders}"
        shutil.copytree(self.world.platform.directory, folder)
        eectl("simulate", "refresh", folder, *options)
        return json.loads((folder / "collateral.json").read_text())

    def issued(self, at, *options):
        return self.made("--at", int(at), *options)

    def publish(self, collateral):
        self.pccs.collateral = collateral
        self.pccs.behave = "ok"

    @property
    def kept(self):
        return list((self.world.collateral_dir / "fetched").glob("*.json"))


@pytest.fixture
def published(world):
    made = Published(world)
    yield made
    made.pccs.stop()


def joined(control, agent_id):
    """An agent that is admitted with its first answer."""
    return control.wire_agent(agent_id=agent_id).attest(legacy=True)


def refused(control, agent_id="refused"):
    wire = control.wire_agent(app_name="refused", agent_id=agent_id)
    wire.register()
    wire.answer_challenge(wire.expect("attest_request"), legacy=True)
    status = wire.expect("status", timeout=15)
    assert status["state"] == "invalid", status
    return status


def test_agents_that_come_at_once_wait_for_one_fetch_and_are_all_admitted(published):
    control = published.control()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: joined(control, f"a{number}"), range(8)))
    assert len(published.pccs.requests) == 4
    assert control.metric("ee_collateral_fetches_total", result="ok") == 1
    assert not control.events("attestation.refused")
    fetched = control.wait_event("collateral.fetched")
    assert fetched["ca"] == "platform" and fetched["next_update"]
    assert control.metric("ee_collateral_next_update_timestamp_seconds") > time.time()


def test_the_admin_is_shown_how_it_stands_with_collateral(published):
    def shown():
        return control.admin_get("/readyz?verbose").json()["collateral"]

    control = published.control()
    assert shown() == []
    published.pccs.behave = 500
    refused(control)
    [failed] = shown()
    assert (failed["root"], failed["ca"], failed["status"], failed["next_update"]) == ("own", "platform", "unavailable", None)
    assert failed["failure"].startswith("collateral_unavailable: ") and "500" in failed["failure"]
    published.pccs.behave = "ok"
    control.wait_event("collateral.fetched", timeout=30)
    [held] = shown()
    assert held == {**failed, "status": "ok", "next_update": held["next_update"], "failure": None}
    assert held["next_update"] > time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def test_a_slow_service_holds_up_nobody_but_those_who_need_it(published):
    backend = published.world.backend()
    published.world.put_collateral()
    control = published.control()
    published.world.agent(control, backend)
    published.world.remove_collateral()
    published.pccs.behave = "silent"
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(joined, control, "patient")
        for _ in range(4):
            assert published.pccs.arrived.acquire(timeout=10)
        for _ in range(20):
            assert control.visit("myapp", "/status/200", timeout=5).status == 200
        assert not waiting.done()
        published.pccs.release()
        waiting.result(15)
    assert len(published.pccs.requests) == 4


MISBEHAVIOURS = [
    ("404", 404, "collateral_unavailable", "answered 404"),
    ("500", 500, "collateral_unavailable", "answered 500"),
    ("half", "half", "collateral_service_failed", "closed"),
    ("html", "html", "collateral_malformed", ""),
    ("no_chain", "no_chain", "collateral_malformed", "issuer-chain"),
    ("redirect", "redirect", "collateral_unavailable", "redirect"),
    ("huge", "huge", "collateral_service_failed", "bytes"),
    ("announced", "announced", "collateral_service_failed", "bytes"),
]


@pytest.mark.parametrize("behave, code, word", [row[1:] for row in MISBEHAVIOURS], ids=[row[0] for row in MISBEHAVIOURS])
def test_a_service_that_misbehaves_leaves_nobody_judged_and_is_asked_again(published, behave, code, word):
    control = published.control()
    published.pccs.behave = behave
    before = control.rss_bytes()
    status = refused(control)
    assert status["reason"] == "collateral_unavailable" and status["retry_after_s"] > 0
    assert str(published.pccs.port) not in status["detail"]  # Where the service is concerns the operator only.
    failure = control.wait_event("collateral.fetch_failed")
    assert failure["code"].split(":")[0] == code
    assert word in failure["detail"].lower(), failure
    control.wait_event("collateral.fetch_failed", count=2, timeout=20)  # By itself.
    assert control.rss_bytes() - before < 20 * 1024 * 1024 * memory_factor()
    assert published.pccs.bytes_sent <= 100 * 1024 * 1024  # Of eight answers of 100 MiB.
    assert not published.kept
    published.pccs.behave = "ok"
    control.wait_event("collateral.fetched", timeout=30)
    joined(control, "later")
    until(lambda: published.kept, what="it is on disk")


WRONG = [
    ("signature", ["--fault", "tcb_info_signature"], "collateral_signature_invalid:tcb_info"),
    ("qe_signature", ["--fault", "qe_identity_signature"], "collateral_signature_invalid:qe_identity"),
    ("crl_signature", ["--fault", "root_crl_signature"], "collateral_signature_invalid:root_crl"),
    ("expired_crl", ["--fault", "pck_crl_expired"], "collateral_expired:pck_crl"),
    ("expired", ["--at", int(time.time()) - 40 * DAY], "collateral_expired"),
    ("another_fmspc", ["--fault", "tcb_info_fmspc"], "collateral_mismatch:fmspc"),
    ("signer_revoked", ["--fault", "tcb_signer_revoked"], "certificate_revoked"),
]


@pytest.mark.parametrize("options, code", [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_collateral_that_does_not_hold_is_not_taken_and_not_kept(published, options, code):
    published.publish(published.made(*options))
    control = published.control()
    assert refused(control)["reason"] == "collateral_unavailable"
    event = control.wait_event("collateral.refused")
    assert event["code"].startswith(code) and event["detail"] and event["fmspc"]
    assert not published.kept
    published.publish(published.world.platform.collateral())
    control.wait_event("collateral.fetched", timeout=30)
    joined(control, "later")


def test_collateral_of_a_stranger_s_root_is_not_taken(published):
    stranger = SimulatedPlatform(published.world.path / "stranger")
    published.publish(stranger.collateral())
    control = published.control()
    assert refused(control)["reason"] == "collateral_unavailable"
    assert control.wait_event("collateral.refused")["code"].startswith("collateral_")


def test_an_outage_at_a_later_challenge_is_inconclusive_and_the_agent_serves(published):
    published.world.put_collateral()
    published.pccs.stop()
    control = published.control(EE_ATTEST_INTERVAL_SEC=1, EE_ATTEST_DEADLINE_SEC=10)
    wire = joined(control, "steady").serve()
    published.world.remove_collateral()
    warning = wire.expect("status", timeout=20, state="warning")
    assert warning["reason"] == "collateral_unavailable"
    resolution = control.resolve("myapp")
    assert (resolution["status"], resolution["attestation_status"]) == ("active", "inconclusive")
    assert control.visit("myapp", "/").status == 200
    assert not wire.closed and "attest_miss" not in [event["kind"] for event in control.app("myapp")["events"]]
    published.pccs.start()
    control.wait_event("collateral.fetched", timeout=60)
    joined(control, "later").close()
    control.wait_event("agent.disconnected", agent="later")
    assert not wire.closed and control.visit("myapp", "/").status == 200


def test_what_ends_during_an_outage_is_judged_by_the_network_s_grace(published):
    ends = time.time() + 12
    published.publish(published.issued(ends - LIFE))
    control = published.control(EE_ATTEST_INTERVAL_SEC=1, EE_ATTEST_DEADLINE_SEC=10)
    wire = joined(control, "steady").serve()
    published.pccs.stop()
    until(lambda: time.time() > ends + 1, timeout=20, what="the collateral has ended")
    seen = control.mark()
    # sandbox-1 gives a day: the collateral that has ended goes on answering.
    control.wait_event("attestation.ok", since=seen, timeout=10, agent="steady")
    assert not wire.closed


def test_what_ends_during_an_outage_is_inconclusive_where_the_network_gives_no_grace(published):
    networks = published.world.path / "networks.toml"
    networks.write_text('[sandbox-1]\ncollateral_grace_s = 0\n')
    published.publish(published.issued(time.time() + 12 - LIFE))
    control = published.control(EE_ATTEST_INTERVAL_SEC=1, EE_ATTEST_DEADLINE_SEC=10, EE_NETWORKS_FILE=networks)
    wire = joined(control, "steady").serve()
    published.pccs.stop()
    warning = wire.expect("status", timeout=30, state="warning")
    assert warning["reason"].startswith("collateral_expired:")
    assert control.resolve("myapp")["status"] == "active" and control.visit("myapp", "/").status == 200
    assert refused(control)["reason"].startswith("collateral_expired:")
    published.publish(published.world.platform.collateral())
    published.pccs.start()
    control.wait_event("collateral.fetched", timeout=60, count=2)
    joined(control, "later")
    assert not wire.closed


def test_a_clock_that_is_set_past_the_end_of_what_is_kept_has_it_fetched_anew(published):
    """A machine that was suspended comes back with its wall clock weeks ahead, and its timers where they were."""
    clock = ShiftedClock(published.world.path)
    control = published.control(**clock.settings)
    joined(control, "before")
    control.wait_event("collateral.fetched")
    published.publish(published.issued(time.time() + 40 * DAY - 60))
    clock.set_ahead(40 * DAY)

    def admitted():
        wire = control.wire_agent(app_name="later", agent_id="later")
        wire.register()
        wire.answer_challenge(wire.expect("attest_request"), legacy=True)
        return wire.expect("status", timeout=15)["reason"] == "attested"
    # Not within the first seconds after a fetch: a clock that goes back and forth must not have us ask each time.
    until(admitted, timeout=20, what="the collateral of the new time judges")
    assert control.metric("ee_collateral_fetches_total", result="ok") == 2


def test_collateral_is_kept_across_a_restart_and_a_service_that_is_gone(published):
    control = published.control()
    joined(control, "first").close()
    assert control.terminate() == 0
    [file] = published.kept
    assert json.loads(file.read_text()) == published.world.platform.collateral()
    published.pccs.stop()
    asked = len(published.pccs.requests)
    control = published.control()
    control.wait_event("collateral.restored")
    joined(control, "second")
    assert len(published.pccs.requests) == asked == 4


def test_a_kept_file_that_was_tampered_with_is_not_believed(published):
    control = published.control()
    joined(control, "first").close()
    assert control.terminate() == 0
    [file] = published.kept
    collateral = json.loads(file.read_text())
    file.write_text(json.dumps({**collateral, "tcb_info": collateral["tcb_info"].replace("UpToDate", "Revoked", 1)}))
    control = published.control()
    assert control.wait_event("collateral.refused")["code"] == "collateral_signature_invalid:tcb_info"
    joined(control, "second")
    assert len(published.pccs.requests) == 8
    # Whoever waits for it is told before it is on disk; ending waits for the disk.
    assert control.terminate() == 0
    assert json.loads(file.read_text()) == collateral


def test_a_service_that_goes_back_to_older_collateral_is_not_followed(published):
    """Both are valid; what is kept is near its end, so that it is refreshed during the test."""
    ends = int(time.time()) + 24
    published.publish(published.issued(ends - LIFE))
    control = published.control()
    joined(control, "first")
    [file] = until(lambda: published.kept, what="it is on disk")
    kept = file.read_text()
    published.publish(published.issued(ends - LIFE - 2))
    rolled_back = control.wait_event("collateral.refused", timeout=20)
    assert rolled_back["code"] == "collateral_rolled_back:tcb_info"
    joined(control, "second")
    assert file.read_text() == kept
    published.publish(published.world.platform.collateral())
    control.wait_event("collateral.fetched", timeout=60, count=2)
    joined(control, "third")


def test_files_of_the_operator_come_first_while_they_are_valid(published):
    published.world.put_collateral()
    control = published.control()
    joined(control, "first")
    assert not published.pccs.requests
    published.world.put_collateral(**published.issued(time.time() - 40 * DAY))
    joined(control, "second")
    assert len(published.pccs.requests) == 4


def test_without_its_own_service_a_simulated_platform_s_collateral_is_asked_of_nobody(published):
    control = published.world.control()
    status = refused(control)
    assert status["reason"] == "collateral_unavailable" and "EE_PCCS_URL" in status["detail"]
    assert control.metric("ee_collateral_fetches_total", result="collateral_unavailable") == 0


def test_a_service_over_https_is_checked_by_its_certificate(published):
    tls = published.world.make_tls()
    published.pccs.stop()
    published.pccs.tls = (tls["EE_TLS_CERT"], tls["EE_TLS_KEY"])
    published.pccs.start()
    control = published.control()
    refused(control)
    assert "certificate" in control.wait_event("collateral.fetch_failed")["detail"]
    assert not published.pccs.requests
    control.terminate()
    control = published.control(SSL_CERT_FILE=published.world.tls_ca)
    joined(control, "first")
