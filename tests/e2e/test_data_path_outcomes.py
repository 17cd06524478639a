"""What becomes of requests that are too large, many at once, or meet a backend, an agent or a visitor that is down, slow
or gone.

Tests called test_lesson_NN_... are faults that tunnels of this kind were seen to have: none of them may come back."""

import json
import sqlite3
import time

import pytest

from backend import FullListener, answer, pattern
from data_path import MIB, Site, in_background, narrow_app, wire_app, wired_control
from event_stream import EventStream
from harness import APP_DOMAIN, until
from raw_http import Connection
from wire_agent import text_answer


@pytest.fixture(scope="module")
def site(shared_world):
    return Site(shared_world)


@pytest.fixture(scope="module")
def wired(shared_world):
    return wired_control(shared_world)


@pytest.fixture(scope="module")
def narrow(shared_world):
    return narrow_app(shared_world)


# ---- 1: bodies at the limits of v1 -------------------------------------------------------------------------


@pytest.mark.parametrize("size", [3 * MIB + 200 * 1024, 4 * MIB, 5 * MIB])
def test_lesson_01_a_request_too_large_for_a_v1_tunnel_is_refused_at_once_and_alone(narrow, size):
    control, agent = narrow
    started = time.monotonic()
    refused = control.visit("narrow", "/echo", "POST", body=pattern(size))
    assert (refused.status, refused.reason) == (413, "body_too_large")
    assert time.monotonic() - started < 3
    assert control.visit("narrow").status == 200
    assert not agent.closed


def test_lesson_01_the_largest_request_that_is_sent_is_one_that_a_deployed_agent_takes(narrow):
    control, _ = narrow
    sizes = []

    def measure(request):
        sizes.append(len(json.dumps(request, separators=(",", ":"))))
        return text_answer("")(request)

    agent = wire_app(control, "deployed", measure, max_msg_size=4 * MIB)  # aiohttp's own limit.

    def upload(size, pad):
        return control.visit("deployed", "/in", "POST", body=bytes(size), headers={
            "X-Request-Id": "0123456789abcdef", "traceparent": f"00-{'1' * 32}-{'2' * 16}-01", "X-Pad": "p" * pad})

    assert upload(3 * MIB - 6000, 1).status == 200
    missing = 4 * MIB - 1 - sizes[0]
    assert upload(3 * MIB - 6000, 1 + missing).status == 200
    assert sizes[1] == 4 * MIB - 1
    refused = upload(3 * MIB - 6000, 2 + missing)
    assert (refused.status, refused.reason) == (413, "body_too_large")
    assert upload(0, 1).status == 200
    assert len(sizes) == 3 and not agent.closed


def test_lesson_01_so_is_a_chunked_one_whose_size_nobody_knew(narrow):
    control, agent = narrow
    with Connection(control.proxy_port) as visitor:
        visitor.send(f"POST /echo HTTP/1.1\r\nHost: narrow.{APP_DOMAIN}\r\n"
                     "Transfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"%x\r\n" % (64 * 1024) + bytes(64 * 1024) + b"\r\n"
        for _ in range(5 * 16):
            visitor.send(chunk)
        visitor.send(b"0\r\n\r\n")
        refused = visitor.read_answer()
    assert (refused.status, refused.reason) == (413, "body_too_large")
    assert control.visit("narrow").status == 200
    assert not agent.closed


def test_lesson_01_an_agent_that_sends_too_large_an_answer_keeps_its_tunnel(wired):
    size = {"bytes": MIB + 1}
    agent = wire_app(wired, "large", lambda request: text_answer("x" * size["bytes"])(request))
    refused = wired.visit("large")
    assert (refused.status, refused.reason) == (502, "bad_agent_answer")
    size["bytes"] = MIB
    assert len(wired.visit("large").body) == MIB
    assert not agent.closed


def test_lesson_01_a_body_that_just_fits_passes_both_ways(site):
    body = pattern(int(2.9 * MIB))
    site.backend.on("/mirror", lambda request: answer(200, [("Content-Type", "application/octet-stream")], request.body))
    assert site.visit("/mirror", "POST", body=body).body == body
    assert site.control.envelope("myapp", "POST", "/mirror", body=body).body == body


# ---- 6: WebSocket ------------------------------------------------------------------------------------------


def test_lesson_06_a_websocket_upgrade_is_refused_in_words_where_the_tunnel_cannot_carry_it(narrow):
    control, agent = narrow
    upgrade = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
               ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]
    with Connection(control.proxy_port) as visitor:
        refused = visitor.request("GET", "/socket", f"narrow.{APP_DOMAIN}", upgrade)
    assert (refused.status, refused.reason) == (501, "upgrade_unsupported")
    assert not [m for m in agent.messages if m["type"] == "proxy_request" and m["path"] == "/socket"]


# ---- 7: many at once ---------------------------------------------------------------------------------------


def test_lesson_07_a_fast_request_overtakes_slow_ones(site):
    holds = [site.backend.hold(f"slow-{i}") for i in range(8)]
    slow = [in_background(site.visit, f"/hold/slow-{i}") for i in range(8)]
    for hold in holds:
        hold.wait_arrived()
    assert site.visit("/status/200").status == 200  # While all eight wait.
    for hold in holds:
        hold.release()
    assert [future.result(10).body for future in slow] == [b"held slow-%d" % i for i in range(8)]


def test_lesson_07_a_serial_agent_gets_its_requests_one_at_a_time(wired):
    agent = wire_app(wired, "serial", lambda request: None)
    visits = [in_background(wired.visit, "serial", f"/{i}") for i in range(3)]
    seen = []
    for turn in range(3):
        request = agent.expect("proxy_request")
        seen.append(request["path"])
        until(lambda: wired.app_agents("serial")[0]["open_streams"] == 3 - turn, what="the others wait")
        # The next one is sent when this one is answered, and not before.
        assert len([m for m in agent.messages if m["type"] == "proxy_request"]) == turn + 1
        agent.send({"type": "proxy_response", "request_id": request["request_id"],
                    **text_answer(request["path"])(request)})
    assert sorted(seen) == ["/0", "/1", "/2"]
    assert [visit.result(10).text for visit in visits] == ["/0", "/1", "/2"]


# ---- 8, 9, 10: backend down, first heartbeat, disk --------------------------------------------------------


def test_lesson_08_a_backend_that_is_down_is_reported_at_once(site):
    mark = site.control.mark()
    site.backend.stop()
    try:
        started = time.monotonic()
        refused = site.visit("/status/200")
        assert (refused.status, refused.reason) == (502, "backend_unreachable")
        assert time.monotonic() - started < 2
    finally:
        site.backend.start()
    assert site.visit("/status/200").status == 200
    site.assert_tunnel_stood(mark)


def test_a_backend_that_cannot_be_connected_to_in_5_s_is_silent_not_unreachable(world):
    full, healthy, control = FullListener(), world.backend(), world.control()
    world.backends.append(full)
    schemes = ("http", "h2c")
    for scheme in schemes:
        world.agent(control, app=f"by-{scheme}", EE_BACKEND_URL=f"{scheme}://{full.address}",
                    EE_HEALTH_URL=f"{healthy.url}/health")
    started = time.monotonic()
    visits = [in_background(control.visit, f"by-{scheme}", "/") for scheme in schemes]
    assert [(visit.result(20).status, visit.result().reason) for visit in visits] == [(504, "proxy_timeout")] * 2
    assert 4.5 < time.monotonic() - started < 10


def test_lesson_09_an_agent_serves_from_its_attestation_on(wired):
    agent = wire_app(wired, "prompt", text_answer("at once"))
    assert wired.visit("prompt").text == "at once"
    assert wired.resolve("prompt")["health_status"] == "pass"
    assert not [m for m in agent.messages if m["type"] == "health"]


def test_lesson_10_serving_writes_nothing_to_the_store(wired, shared_world):
    agent = wire_app(wired, "diskless", text_answer("ok"))

    def store():
        return {path.name: (path.stat().st_size, path.stat().st_mtime_ns)
                for path in shared_world.path.glob("wired.db*")
                # The index of the -wal in memory, which readers write, too; the mark that the process lives.
                if not path.name.endswith(("-shm", ".alive"))}

    def written():
        with open(f"/proc/{wired.pid}/io") as counters:
            return int(dict(line.split(": ") for line in counters)["write_bytes"])

    assert wired.visit("diskless").status == 200
    # What the attestation leaves behind is on disk once it can be read.
    assert len(wired.get("/v1/apps/diskless/evidence").json()["items"]) == 1
    with EventStream(wired, after=0, app="diskless") as events:
        events.wait_for("attested")
    before, bytes_before, began = store(), written(), time.monotonic()
    assert before
    for _ in range(200):
        assert wired.visit("diskless").status == 200
        agent.send({"type": "health", "status": "pass"})  # As deployed agents do after every answer.
    assert store() == before
    marks = 1 + (time.monotonic() - began) // 5
    assert written() - bytes_before <= 4096 * marks, "more than the mark, which is made each 5 s"


# ---- Visitors that leave, agents that are silent, busy or gone ---------------------------------------------


def test_a_visitor_that_leaves_frees_its_place(wired):
    agent = wire_app(wired, "leaving", lambda request: None)
    visitors = []
    for path in ("/first", "/leaves-while-waiting", "/last"):
        visitors.append(Connection(wired.proxy_port))
        visitors[-1].request("GET", path, f"leaving.{APP_DOMAIN}", read=False)
        until(lambda: wired.app_agents("leaving")[0]["open_streams"] == len(visitors), what="the request is open")
    first = agent.expect("proxy_request")
    visitors[0].close()
    visitors[1].close()
    assert wired.wait_access(path="/first")["status"] == 499
    assert wired.wait_access(path="/leaves-while-waiting")["error"] == "visitor_gone"
    # A serial agent still works on the first; its late answer is dropped and makes room for the last.
    agent.send({"type": "proxy_response", "request_id": first["request_id"], **text_answer("late")(first)})
    last = agent.expect("proxy_request")
    assert last["path"] == "/last"
    agent.send({"type": "proxy_response", "request_id": last["request_id"], **text_answer("for the last")(last)})
    assert visitors[2].read_answer().body == b"for the last"
    visitors[2].close()
    assert [m["path"] for m in agent.messages if m["type"] == "proxy_request"] == ["/first", "/last"]


def test_silence_is_a_504_in_time_and_leaves_the_tunnel_up(world):
    control = world.control(EE_PROXY_TIMEOUT_SEC=3, EE_STREAM_IDLE_SEC=3)
    agent = wire_app(control, "silent", lambda request: None)
    started = time.monotonic()
    refused = control.visit("silent")
    assert (refused.status, refused.reason) == (504, "proxy_timeout")
    assert 2.9 < time.monotonic() - started < 6
    request = agent.expect("proxy_request")
    agent.send({"type": "proxy_response", "request_id": request["request_id"], **text_answer("late")(request)})
    agent.serve(text_answer("in time"))
    assert control.visit("silent").text == "in time"
    # A silent backend behind our agent is the same to a visitor, whoever gives up first.
    backend = world.backend()
    world.agent(control, backend, EE_STREAM_IDLE_SEC=3)
    refused = control.visit("myapp", "/hold/never")
    assert (refused.status, refused.reason) == (504, "proxy_timeout")
    assert control.visit("myapp", "/status/200").status == 200


def test_an_agent_gives_up_on_a_backend_by_itself(world):
    control = world.control(EE_STREAM_IDLE_SEC=10)
    world.agent(control, world.backend(), EE_STREAM_IDLE_SEC=1)
    refused = control.visit("myapp", "/hold/never")
    assert (refused.status, refused.reason) == (504, "proxy_timeout")


def test_a_tunnel_that_is_full_says_overloaded(wired):
    agent = wire_app(wired, "busy", lambda request: None)  # One at a time, and 64 may wait.
    host = f"busy.{APP_DOMAIN}"
    visitors = [Connection(wired.proxy_port, timeout=20) for _ in range(65)]
    for visitor in visitors:
        visitor.request("GET", "/", host, read=False)
    until(lambda: wired.app_agents("busy")[0]["open_streams"] == 65, what="all wait")
    refused = wired.visit("busy")
    assert (refused.status, refused.reason) == (503, "overloaded")
    assert int(refused.header("Retry-After")) > 0
    first = agent.expect("proxy_request")
    agent.serve(text_answer("served"))
    agent.send({"type": "proxy_response", "request_id": first["request_id"], **text_answer("served")(first)})
    assert [visitor.read_answer().body for visitor in visitors] == [b"served"] * 65
    for visitor in visitors:
        visitor.close()


def test_a_tunnel_lost_before_the_answer_is_a_502(wired):
    agent = wire_app(wired, "lost", lambda request: None)
    visit = in_background(wired.visit, "lost")
    agent.expect("proxy_request")
    agent.abort()
    refused = visit.result(10)
    assert (refused.status, refused.reason) == (502, "tunnel_closed")
    refused = wired.visit("lost")
    assert (refused.status, refused.reason) == (503, "offline")
    assert int(refused.header("Retry-After")) > 0


def test_apps_that_may_not_be_served_say_why(wired):
    refused = wired.visit("never-seen")
    assert (refused.status, refused.reason) == (404, "unknown_app")
    assert refused.header("Content-Type") == "application/problem+json"
    assert wired.post("/v1/proxy/never-seen", {"path": "/"}).reason == "unknown_app"

    agent = wire_app(wired, "failing", text_answer("ok"))
    assert wired.visit("failing").status == 200
    agent.send({"type": "health", "status": "fail", "detail": "the backend is ill"})
    wired.wait_status("failing", "unhealthy")
    for refused in (wired.visit("failing"), wired.envelope("failing")):
        assert (refused.status, refused.reason) == (503, "unhealthy")
        assert int(refused.header("Retry-After")) > 0
    agent.send({"type": "health", "status": "pass"})
    wired.wait_status("failing", "active")
    assert wired.visit("failing").status == 200


def test_an_app_whose_registration_has_ended_answers_with_the_resolve_body(world):
    control = world.control()
    wire_app(control, "myapp", text_answer("ok"))
    assert control.visit("myapp").status == 200
    control.terminate()
    with sqlite3.connect(world.path / "control-plane.db") as store:
        store.execute("UPDATE registrations SET expires_at_ms = 1")
    store.close()
    control = world.control()
    for refused in (control.visit("myapp"), control.envelope("myapp")):
        assert (refused.status, refused.header("Content-Type")) == (403, "application/json")
        body = refused.json()
        assert body == control.resolve("myapp")
        assert (body["status"], body["reason"], body["allowed"]) == ("expired", "expired", False)
