"""The one stream of events: what happens to apps, agents and nodes, resumed, kept over restarts, sent on as webhooks."""

import concurrent.futures
import json
import signal
import socket
import subprocess
import time

import pytest

from event_stream import EventStream, Receiver
from harness import ADMIN_TOKEN, lasting_port, until
from ledger_client import SETTINGS, Ledger, cell, within
from raw_http import Connection
from simulated_platform import binary
from wire_agent import text_answer

AUTHORIZED = {"Authorization": f"Bearer {ADMIN_TOKEN}"}


def an_agents_life(control, agent_id="a1", app="myapp"):
    """Registers, attests, goes unhealthy and back, drains out and is gone; the kinds that this comes to."""
    wire = control.wire_agent(agent_id=agent_id, app_name=app).attest()
    wire.send({"type": "health", "status": "fail", "detail": "connection refused"})
    control.wait_status(app, "unhealthy")
    wire.send({"type": "health", "status": "pass"})
    control.wait_status(app, "active")
    wire.close()
    control.wait_event("agent.disconnected", agent=agent_id)
    return ["registered", "attested", "backend_fail", "backend_pass", "disconnected"]


# ---- The stream ----

def test_what_happens_to_an_agent_comes_in_order_with_growing_numbers(world):
    control = world.control()
    with EventStream(control) as stream:
        assert stream.status == 200
        head = stream.head.lower()
        for field in ("content-type: text/event-stream", "cache-control: no-store", "x-accel-buffering: no"):
            assert field in head, head
        expected = an_agents_life(control)
        stream.wait_for("disconnected")
        life = [message for message in stream.messages if message.data["app_name"] == "myapp"]
        assert [message.kind for message in life] == expected
        assert stream.ids() == sorted(set(stream.ids()))
        failed = stream.matching("backend_fail")[0].data
        assert failed["agent_id"] == "a1" and failed["detail"] == "connection refused"
        assert stream.matching("registered")[0].data["detail"] == "org/repo on sandbox-1"
    # The app shows the same ones.
    shown = control.app("myapp")["events"]
    assert [(event["seq"], event["kind"]) for event in shown] == [(m.id, m.kind) for m in reversed(life)]
    assert control.metric("ee_events_total") >= len(life)


def test_a_reader_that_comes_back_gets_each_event_exactly_once(world):
    control = world.control()
    an_agents_life(control)
    with EventStream(control, after=0) as whole:
        whole.wait_for("disconnected")
    assert whole.kinds()[0] == "control_plane_started"
    for seen in range(len(whole.messages) + 1):
        last = whole.messages[seen - 1].id if seen else 0
        rest = whole.messages[seen:]
        for options in ({"after": last}, {"last_id": last}, {"last_id": last, "after": 0}):
            with EventStream(control, **options) as stream:
                assert stream.last_id >= last
                if rest:
                    stream.wait_for(rest[-1].kind, count=sum(m.kind == rest[-1].kind for m in rest))
            assert [m.data for m in stream.messages] == [m.data for m in rest], options
    # One that is cut in the middle, while events go on coming.
    first = EventStream(control)
    position = first.last_id
    first.close()
    an_agents_life(control, "a2")
    with EventStream(control, last_id=position) as second:
        second.wait_for("disconnected", agent_id="a2")
        assert second.kinds() == ["attested", "backend_fail", "backend_pass", "disconnected"]


def test_a_stream_may_be_of_one_app_or_kind(world):
    control = world.control()
    with EventStream(control, app="second") as app, EventStream(control, kind="attested") as kind, \
            EventStream(control, app="second", kind="attested") as both:
        an_agents_life(control, "a1", "first")
        expected = an_agents_life(control, "a2", "second")
        app.wait_for("disconnected")
        both.wait_for("attested")
        kind.wait_for("attested", count=2)
        assert app.kinds() == expected and {m.data["app_name"] for m in app.messages} == {"second"}
        assert kind.kinds() == ["attested"] * 2
        assert both.kinds() == ["attested"]


def test_who_may_not_and_what_cannot_be_asked(world):
    control = world.control(**SETTINGS)
    assert control.get("/v1/events").status == 401
    for token in SETTINGS.values():
        assert control.get("/v1/events", {"Authorization": f"Bearer {token}"}).status == 403
    for query, reason in (("after=x", "after"), ("after=-1", "after"), ("kind=nothing", "kind"), ("after=1&after=2", "after")):
        answer = control.admin_get(f"/v1/events?{query}")
        assert (answer.status, answer.reason) == (400, f"invalid_parameter:{reason}"), answer
    for number in "abc", "-1", "1,2", str(2**64):
        answer = control.get("/v1/events", {**AUTHORIZED, "Last-Event-ID": number})
        assert (answer.status, answer.reason) == (400, "invalid_parameter:last_event_id"), number
    head = control.request("HEAD", "/v1/events", AUTHORIZED)
    assert head.status == 200 and head.header("Server-Timing").startswith("handler;dur=")
    assert control.post("/v1/events", {}, AUTHORIZED).status == 405


@pytest.mark.parametrize("number", [10**9, 2**64 - 1])
@pytest.mark.parametrize("name", ["after", "last_id"])
def test_a_number_that_was_never_given_is_answered_with_what_there_is(world, number, name):
    control = world.control()
    with EventStream(control, **{name: number}) as stream:
        stream.wait_for("control_plane_started")
        assert stream.kinds()[0] == "events_lost"
        assert stream.messages[0].data["after"] == number
        assert stream.messages[1].id == stream.messages[0].data["oldest"]
        control.wire_agent(agent_id="a1").attest()
        assert stream.wait_for("attested").id == stream.messages[-1].id == control.app("myapp")["events"][0]["seq"]


def test_only_so_many_read_at_once_and_nobody_else_is_held_up(world):
    control = world.control()
    streams = [EventStream(control) for _ in range(64)]
    try:
        assert {stream.status for stream in streams} == {200}
        answer = control.admin_get("/v1/events")
        assert (answer.status, answer.reason) == (503, "overloaded") and answer.header("Retry-After")
        an_agents_life(control)
        for stream in streams:
            stream.wait_for("disconnected")
        assert control.metric("ee_event_streams") == 64
        streams.pop().close()
        until(lambda: control.metric("ee_event_streams") == 63)
        with EventStream(control) as stream:
            assert stream.status == 200
    finally:
        for stream in streams:
            stream.close()
    until(lambda: control.metric("ee_event_streams") == 0)


def test_streams_end_when_the_control_plane_stops_or_reads_its_tokens_again(world):
    control = world.control(EE_DRAIN_SEC=30)
    with EventStream(control) as stream:
        control.signal(signal.SIGHUP)
        stream.wait_end()
    with EventStream(control) as stream:
        began = time.monotonic()
        assert control.terminate(timeout=40) == 0
        stream.wait_end()
        assert time.monotonic() - began < 29, "it waited for its readers"


def many_events(ledger, count, reason="x" * 1000):
    """So many events of more than a kilobyte, at most 8000: of one node 1000 reports may wait for their decision."""
    def file(node):
        body = json.dumps({"node_id": node, "reason": reason})
        with Connection(ledger.control.port) as connection:
            for _ in range(count // 8):
                fields = list(ledger.headers("launcher").items()) + [("Content-Type", "application/json")]
                answer = connection.request("POST", "/v1/abuse/reports", "x", fields, body.encode())
                assert answer.status == 201, answer

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(file, [ledger.register_node(f"n{i}") for i in range(8)]))


def test_a_reader_that_does_not_read_is_cut_and_costs_no_memory(world):
    control = world.control(EE_LOG_LEVEL="info", **SETTINGS)
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", control.port))
        slow.sendall(f"GET /v1/events?after=0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\n\r\n".encode())
        until(lambda: control.metric("ee_event_streams") == 1)
        many_events(Ledger(control), 8000)
        with EventStream(control, after=0, kind="abuse_filed") as quick:
            quick.wait_for("abuse_filed", count=8000, timeout=60)
            position = quick.last_id
        assert control.metric("ee_body_bytes") < 64 * 1024
        # The other has been told of some of them, and takes no more.
        until(lambda: control.metric("ee_event_streams_cut_total") == 1, 60)
        until(lambda: control.metric("ee_event_streams") == 0, what="the quick one's end is noticed, too")
    # It comes back, wherever it was.
    with EventStream(control, last_id=position - 10, kind="abuse_filed") as again:
        again.wait_for("abuse_filed", count=10)
        assert again.last_id == position


def test_what_time_alone_changes_is_an_event_once(world):
    control = world.control(EE_HEALTH_TIMEOUT_SEC=1)
    with EventStream(control, app="myapp") as stream:
        wire = control.wire_agent(agent_id="a1").attest()
        stream.wait_for("health_silent", agent_id="a1")
        control.wait_status("myapp", "unhealthy")
        wire.send({"type": "health", "status": "pass"})
        stream.wait_for("backend_pass", agent_id="a1")
        stream.wait_for("health_silent", count=2)
        assert stream.kinds() == ["registered", "attested", "health_silent", "backend_pass", "health_silent"]


def test_an_agent_that_flaps_pushes_nobody_out(world):
    control = world.control(EE_LOG_LEVEL="info")
    wire = control.wire_agent(agent_id="a1").attest()
    with EventStream(control) as stream:
        for number in range(2000):
            wire.send({"type": "health", "status": "pass" if number % 2 else "fail"})
        wire.close()
        stream.wait_for("disconnected")
        assert len(stream.matching("backend_fail") + stream.matching("backend_pass")) <= 15


# ---- Over restarts ----

def test_after_a_kill_no_number_comes_again_and_nothing_that_was_seen_is_gone(world):
    seen = {}
    for run in range(4):
        control = world.control()
        with EventStream(control, after=0) as stream:
            stream.wait_for("control_plane_started", count=run + 1)
            an_agents_life(control, f"a{run}")
            stream.wait_for("disconnected", agent_id=f"a{run}")
            for message in stream.messages:
                assert seen.setdefault(message.id, message.data) == message.data, "a number was given twice"
            assert set(stream.ids()) == set(seen), "what was seen is gone"
        control.kill()
    control = world.control()
    shown = control.app("myapp")["events"]
    assert shown and all(seen[event["seq"]]["kind"] == event["kind"] for event in shown)
    newest = max(seen)
    # After a clean end the numbers go on without a gap.
    with EventStream(control, after=newest) as stream:
        first = stream.wait_for("control_plane_started").id
    assert first > newest
    assert control.terminate() == 0
    control = world.control()
    with EventStream(control, after=first) as stream:
        second = stream.wait_for("control_plane_started").id
    assert second == first + 1


def test_eectl_follows_over_a_restart(world):
    port = lasting_port()
    control = world.control(EE_CONTROL_PORT=port)
    eectl = subprocess.Popen([binary("eectl"), "events", "--after", "0", "--count", "4", "--url", f"http://127.0.0.1:{port}"],
                             env={"EE_ADMIN_TOKEN": ADMIN_TOKEN}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    first = eectl.stdout.readline()
    assert first.split()[1:] == ["1", "control_plane_started"]
    control.kill()
    control = world.control(EE_CONTROL_PORT=port)
    control.wire_agent(agent_id="a1").attest()
    rest, errors = eectl.communicate(timeout=40)
    assert eectl.returncode == 0, errors
    kinds = [line.split()[2] for line in rest.splitlines()]
    assert kinds == ["control_plane_started", "registered", "attested"]
    assert "app=myapp agent=a1" in rest


# ---- The ledger ----

def test_nodes_abuse_and_penalties_are_events(world):
    control = world.control(**SETTINGS)
    ledger = Ledger(control)
    with EventStream(control) as stream:
        ledger.register_node("n1", stake="10")
        registered = stream.wait_for("node_registered", node_id="n1").data
        assert registered["data"] == {"owner_account": "", "stake_usd": "10"} and registered["app_name"] is None
        assert stream.wait_for("node_terms").data["data"]["price_usd_per_vcpu_hour"] == "0.05"
        report = ledger.ok("/v1/abuse/reports", {"node_id": "n1", "app_name": "a", "reason": "spam"}, "launcher")["report_id"]
        filed = stream.wait_for("abuse_filed", node_id="n1", app_name="a", detail="spam").data
        assert filed["data"] == {"report_id": report, "period": cell()}
        ledger.ok(f"/v1/abuse/reports/{report}/authorize", {"action": "deny"})
        assert stream.wait_for("abuse_decided").data["code"] == "denied"
        ledger.ok("/v1/nodes/n1/slash", {"cause": "other", "amount_usd": "4", "event_ids": ["e1"], "reason": "lied"})
        slashed = stream.wait_for("slashed", code="other", detail="lied").data
        assert slashed["data"]["amount_usd"] == "4"
        assert stream.wait_for("node_stake").data["data"] == {"stake_usd": "6"}
        ledger.ok("/v1/nodes/n1/ban", {"reason": "fraud"})
        assert stream.wait_for("node_banned").data["detail"] == "fraud"
        assert stream.ids() == sorted(set(stream.ids()))


def test_a_settlement_is_an_event_of_each_unit(world):
    control = world.control(EE_SETTLE_AUTO="false", **SETTINGS)
    ledger = Ledger(control)
    ledger.open_account("alice", "10")
    ledger.register_node("n1")
    period = cell(1)
    ledger.ok("/v1/locks", {"account_id": "alice", "node_id": "n1", "app_name": "a", "period": period, "vcpu_hours": "4"})
    assert control.terminate() == 0
    world.hide_absence()
    control = world.control(EE_SETTLE_AUTO="false", **SETTINGS, **within(cell(3)))
    ledger.control = control
    with EventStream(control) as stream:
        outcome = ledger.ok(f"/v1/settlements/{period}/finalize", {})["outcomes"][0]
        settled = stream.wait_for("settled", node_id="n1", app_name="a").data
        assert settled["code"] == outcome["outcome"] and settled["data"]["period"] == period
        if "paid_usd" in settled["data"]:
            assert settled["data"]["paid_usd"] == outcome["paid_usd"]


# ---- Webhooks ----

def test_webhooks_come_signed_in_order_and_each_is_taken_once(world):
    with Receiver(answers=[204, 500]) as receiver:
        control = world.control(**receiver.settings())
        an_agents_life(control)
        receiver.wait_taken("disconnected", agent_id="a1")
        receiver.verify()
        with EventStream(control, after=0) as stream:
            stream.wait_for("disconnected")
        assert [message["data"] for message in receiver.taken] == [m.data for m in stream.messages]
        # The second was refused once and came again under the same id.
        ids = receiver.ids()
        assert ids[1] == ids[2] and len(set(ids)) == len(ids) - 1
        assert control.metric("ee_webhook_failed_tries_total") == 1
        until(lambda: control.metric("ee_webhook_lag_events") == 0)
        for line in control.log:
            text = json.dumps(line)
            assert receiver.SECRET.removeprefix("whsec_") not in text and "key=k" not in text


def test_webhooks_go_on_where_they_were_after_a_kill(world):
    with Receiver() as receiver:
        control = world.control(**receiver.settings())
        control.wire_agent(agent_id="a1").attest()
        receiver.wait_taken("attested")
        until(lambda: control.metric("ee_webhook_lag_events") == 0)
        # While nobody listens there.
        control.terminate()
        receiver.answers = [503] * 1000
        control = world.control(**receiver.settings())
        receiver.wait_requests(len(receiver.taken) + 1)
        control.wire_agent(agent_id="a2").attest()
        with EventStream(control, after=0) as stream:
            stream.wait_for("attested", agent_id="a2")  # Now it is on disk.
        control.kill()
        receiver.answers = []
        control = world.control(**receiver.settings())
        receiver.wait_taken("attested", agent_id="a2")
        with EventStream(control, after=0) as stream:
            stream.wait_for("control_plane_started", count=3)
        until(lambda: len(receiver.distinct()) >= len(stream.messages), 30)
        assert receiver.distinct() == [m.data for m in stream.messages]
        receiver.verify()


def test_a_receiver_that_hangs_holds_up_nobody(world):
    with Receiver(answers=[None]) as receiver:
        control = world.control(**receiver.settings())
        receiver.wait_requests(1)
        backend = world.backend()
        world.agent(control, backend)
        assert control.visit("myapp", "/status/200").status == 200
        with EventStream(control, after=0) as stream:
            stream.wait_for("attested")
        # Given up after 15 s, then sent again.
        receiver.wait_taken("attested", timeout=40)
        receiver.verify()
        assert control.terminate() == 0


def test_a_redirect_is_not_followed(world):
    """What is sent is for the receiver that was set alone."""
    with Receiver() as other, Receiver(answers=[307], location=f"http://127.0.0.1:{other.port}/hook") as receiver:
        control = world.control(**receiver.settings())
        control.wire_agent(agent_id="a1").attest().serve(text_answer("served"))
        failed = control.wait_event("webhook.failed")
        assert failed["detail"] == "status 307" and not other.requests
        assert control.visit("myapp").text == "served"
        # The same receiver is asked again.
        receiver.wait_taken("attested")
        assert not other.requests


def test_a_receiver_that_is_gone_is_left_alone(world):
    with Receiver(answers=[410]) as receiver:
        control = world.control(**receiver.settings())
        control.wait_event("webhook.gone")
        an_agents_life(control)
        with EventStream(control, after=0) as stream:
            stream.wait_for("disconnected")
        assert len(receiver.requests) == 1


@pytest.mark.parametrize("settings", [
    {"EE_WEBHOOK_URL": "http://hooks.example.com", "EE_WEBHOOK_SECRET": Receiver.SECRET},
    {"EE_WEBHOOK_URL": "https://user:password@hooks.example.com", "EE_WEBHOOK_SECRET": Receiver.SECRET},
    {"EE_WEBHOOK_URL": "https://hooks.example.com"},
    {"EE_WEBHOOK_URL": "https://hooks.example.com", "EE_WEBHOOK_SECRET": "whsec_c2hvcnQ="}])
def test_bad_settings_of_webhooks_are_refused(world, settings):
    program = world.program("easyenclave-control", {"EE_DB_PATH": world.path / "x.db", **settings}, "--check-config")
    assert program.wait() == 78
