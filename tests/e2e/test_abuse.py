"""Peers that mean ill, or are broken: whatever they send, others are served and memory stays flat."""

import concurrent.futures
import json
import os
import random
import resource
import select
import socket
import struct
import threading
import time

import pytest

from harness import APP_DOMAIN, http_request, run, until
from programs import memory_factor
from raw_http import Connection
from raw_websocket import BINARY, CLOSE, PING, TEXT, WebSocket, frame
from wire_agent import WireAgent, text_answer

HOST = f"myapp.{APP_DOMAIN}"
KIB, MIB = 1024, 1024 * 1024


class Visitors:
    """Visits without a pause, in the background, until the with block ends; every answer must be whole and right."""

    def __init__(self, control, count_min=0, allowed=(200,)):
        self.control, self.count_min, self.allowed = control, count_min, allowed
        self.statuses, self.failures, self.longest_s = [], [], 0.0
        self._stop = threading.Event()

    def __enter__(self):
        self._thread = threading.Thread(target=self._visit)
        self._thread.start()
        return self

    def __exit__(self, kind, *_):
        self._stop.set()
        self._thread.join(60)
        if kind is None:
            assert not self.failures, self.failures[:5]
            assert set(self.statuses) <= set(self.allowed), set(self.statuses)
            assert len(self.statuses) >= max(1, self.count_min)

    def _visit(self):
        connection = None
        while not self._stop.is_set() or len(self.statuses) < self.count_min:
            started = time.monotonic()
            try:
                connection = connection or Connection(self.control.proxy_port, timeout=30)
                answer = connection.request("GET", f"/status/{200 + len(self.statuses) % 3}", HOST)
                if answer.status < 300 and answer.text != f"status {200 + len(self.statuses) % 3}":
                    self.failures.append(answer)
                self.statuses.append(200 if answer.status < 300 else answer.status)
            except (OSError, AssertionError) as error:
                self.failures.append(error)
                connection = None
                if len(self.failures) > 20:
                    return
            self.longest_s = max(self.longest_s, time.monotonic() - started)


def assert_flat(control, before, bytes_max=16 * MIB):
    """Whether memory stands where it stood, give or take what an allocator keeps."""
    grown = control.rss_bytes() - before
    assert grown < bytes_max * control.memory_factor, f"{grown / MIB:.1f} MiB more than before"


@pytest.fixture(scope="module")
def served(shared_world):
    """A control plane with an agent that serves "myapp", as others attack."""
    control = shared_world.control(EE_LOG_LEVEL="info", EE_MAX_BODY_BYTES=MIB, EE_MAX_UNREGISTERED_PER_ADDRESS=300,
                                   ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1")
    control.memory_factor = memory_factor()
    backend = shared_world.backend()
    control.agent = shared_world.agent(control, backend, EE_LOG_LEVEL="info", EE_MAX_BODY_BYTES=MIB)
    for _ in range(50):
        assert control.visit("myapp", "/status/200").status == 200
    return control


def agent_is_undisturbed(control):
    assert not control.events("agent.disconnected", app="myapp")


# ---- 10,000 malformed messages -----------------------------------------------------------------------------

REGISTER = {"type": "register", "repo": "org/repo", "release_tag": "v0.1.3", "app_name": "abuser", "network": "sandbox-1",
            "agent_id": "abuser"}
ATTEST = {"type": "attest_response", "nonce": "0" * 64, "quote": "AAAA", "report_data": "0" * 128, "measurements": {}}
MALFORMED = (
    [("invalid_json", text) for text in (
        "", " ", "{", "}", "[]", "1", "null", "true", '"x"', "{}{}", '{"type":}', "{'type':'health'}", '{"type":"health"',
        '{"a":"\\ud800"}', '{"a":1e999}', "[" * 5000, '{"type":' + "[" * 40 + "]" * 40 + "}", "\x00", '{"a":"\x01"}', "<html>")]
    + [("unknown_message", text) for text in (
        "{}", '{"type":1}', '{"type":null}', '{"type":[]}', '{"type":""}', '{"type":"Health"}', '{"type":"status"}',
        '{"type":"proxy_request"}', '{"type":"' + "x" * 10000 + '"}', b"", b"\x00" * 100, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")]
    + [("missing_fields", json.dumps(message)) for message in (
        {"type": "register"}, {"type": "health"}, {"type": "attest_response"}, {"type": "proxy_response"},
        {name: value for name, value in REGISTER.items() if name != "repo"},
        {name: value for name, value in ATTEST.items() if name != "quote"})]
    + [("invalid_field", json.dumps({**REGISTER, name: value})) for name in ("repo", "release_tag", "app_name", "agent_id")
       for value in (1, [], {}, True, "", "../../<script>", "x" * 10000, "a\nb")]
    + [("invalid_field", json.dumps({**REGISTER, "max_requests": value})) for value in (0, -1, 257, 1.5, "1", 2 ** 62)]
    + [("invalid_field", json.dumps({**ATTEST, name: value})) for name in ("nonce", "quote", "report_data", "measurements")
       for value in (1, [1], "@", "x" * 10001)]
    + [("invalid_field", json.dumps({"type": "health", "status": value})) for value in (1, None, [], {})]
    + [("invalid_field", json.dumps({"type": "proxy_response", "request_id": value})) for value in (1, None, "x" * 1000)]
    # Well-formed, but out of order.
    + [("already_registered", json.dumps(REGISTER)), ("unexpected_attestation", json.dumps(ATTEST))])
ENDINGS = ("ten in a row", "too large", "not masked", "abort")


class Abuser:
    """Sends malformed messages over a tunnel that has attested, and comes back when it is closed."""

    def __init__(self, control, platform):
        self.control, self.platform, self.sent, self.connections = control, platform, {}, 0
        self._kinds = MALFORMED[:]
        random.Random(7).shuffle(self._kinds)

    def _count(self, reason):
        self.sent[reason] = self.sent.get(reason, 0) + 1

    async def _connected(self):
        self.connections += 1
        agent = WireAgent(self.control.ws_url, self.platform, app_name="abuser", agent_id="abuser")
        await agent.aconnect()
        await agent.aattest()
        return agent

    async def abuse(self, messages, rounds_a_connection=100):
        """Nine malformed messages and a valid one, again and again."""
        sent, agent = 0, None
        while sent < messages:
            agent = agent or await self._connected()
            for _ in range(rounds_a_connection):
                for _ in range(9):
                    reason, message = self._kinds[sent % len(self._kinds)]
                    await agent.asend(message)
                    self._count(reason)
                    sent += 1
                await agent.asend('{"type":"health","status":"pass"}')
                if sent >= messages:
                    break
            await self._end(agent, ENDINGS[self.connections % len(ENDINGS)])
            agent = None

    async def _end(self, agent, how):
        # What went before must have been read: the last valid message has no answer, a request's would.
        await agent.asend('{"type":"last"}')
        self._count("unknown_message")
        await agent.aexpect("status", reason="unknown_message", detail='no message of an agent\'s has the type "last"')
        await agent.asend('{"type":"health","status":"pass"}')
        if how == "ten in a row":
            for _ in range(10):
                await agent.asend("nonsense")
                self._count("invalid_json")
            assert await agent.aexpect_closed() == 1008
        elif how == "too large":
            await agent.asend('{"type":"health","status":"' + "x" * (2 * MIB) + '"}')
            self._count("message_too_large")
            assert await agent.aexpect_closed() == 1009
        elif how == "not masked":
            agent._ws._writer.transport.write(frame(TEXT, b"{}", masked=False))
            assert await agent.aexpect_closed() == 1002
        else:
            await agent.aabort()


def refusals_counted(control):
    found = {}
    for line in control.admin_get("/metrics").text.splitlines():
        if line.startswith("ee_tunnel_refusals_total{"):
            reason, value = line.split('"')[1], line.rsplit(" ", 1)[1]
            found[reason] = int(float(value))
    return found


def test_ten_thousand_malformed_messages_disturb_nobody_and_are_all_counted(served, shared_world):
    abuser = Abuser(served, shared_world.platform)
    with Visitors(served, count_min=1000) as visitors:
        counted_before = refusals_counted(served)
        run(abuser.abuse(1000), 60)  # Until every kind was there: allocators and caches are warm.
        before = served.rss_bytes()
        run(abuser.abuse(9000), 90)
    counted = {reason: count - counted_before.get(reason, 0) for reason, count in refusals_counted(served).items()
               if count != counted_before.get(reason, 0)}
    assert counted == abuser.sent
    assert sum(abuser.sent.values()) >= 10000 and abuser.connections > 10
    assert visitors.longest_s < 5
    assert_flat(served, before)
    agent_is_undisturbed(served)


def test_messages_before_registration_are_refused_the_same_way(served, shared_world):
    before, sent = refusals_counted(served), {}
    with Visitors(served):
        for chunk in range(0, len(MALFORMED), 9):
            agent = served.wire_agent(app_name="nobody")
            for reason, message in MALFORMED[chunk:chunk + 9]:
                if reason in ("already_registered", "unexpected_attestation"):
                    continue
                agent.send(message)
                sent[reason] = sent.get(reason, 0) + 1
            agent.send('{"type":"health","status":"pass"}')
            sent["not_registered"] = sent.get("not_registered", 0) + 1
            agent.expect("status", reason="not_registered")
            agent.close()
    after = refusals_counted(served)
    assert {reason: after[reason] - before.get(reason, 0) for reason in sent} == sent


# ---- Frames ------------------------------------------------------------------------------------------------


def said_too_large(tunnel):
    """Reads to the end; whether the agent was told why."""
    reasons, code = [], None
    try:
        while code is None:
            opcode, payload = tunnel.read_frame()
            if opcode == TEXT:
                reasons.append(json.loads(payload)["reason"])
            elif opcode == CLOSE:
                code = struct.unpack(">H", payload[:2])[0]
    except ConnectionResetError:
        pass
    return code == 1009 and reasons == ["message_too_large"]


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_frame_of_100_mib_is_refused_when_it_is_announced(served, opcode):
    before = served.rss_bytes()
    with Visitors(served):
        for _ in range(20):
            with WebSocket(served.port) as tunnel:
                tunnel.send(frame(opcode, b"x" * 1000, length=100 * MIB))
                assert said_too_large(tunnel)
    assert_flat(served, before)


def test_100_mib_that_come_all_the_same_are_not_collected(served):
    before = served.rss_bytes()
    piece, high = bytes(MIB), 0
    with Visitors(served):
        with WebSocket(served.port) as tunnel:
            tunnel.send(frame(BINARY, b"", length=100 * MIB))
            for _ in range(100):
                if not tunnel.send_quietly(piece):
                    break
                high = max(high, served.rss_bytes())
        with WebSocket(served.port) as tunnel:  # The same in fragments that never end.
            tunnel.send(frame(TEXT, b"{", fin=False))
            for _ in range(100 * 64):
                if not tunnel.send_quietly(frame(0, b" " * (16 * KIB), fin=False)):
                    break
                high = max(high, served.rss_bytes())
    assert high - before < 16 * MIB * served.memory_factor
    assert_flat(served, before)


def test_an_attested_tunnel_has_its_limit_too(served):
    before = served.rss_bytes()
    agent = served.wire_agent(app_name="large", agent_id="large").attest()
    agent.send('{"type":"health","status":"pass","x":"' + "x" * MIB + '"}')  # Within 4/3 of a body and 64 KiB.
    agent.send('{"type":"unheard-of"}')
    agent.expect("status", reason="unknown_message")
    with Visitors(served):
        agent.send('{"type":"health","status":"pass","x":"' + "x" * (100 * MIB) + '"}')
        assert agent.expect_closed() == 1009
    assert ("invalid", "message_too_large") in agent.statuses()
    assert_flat(served, before)


BROKEN_FRAMES = {
    "not masked": (frame(TEXT, b"{}", masked=False), 1002), "reserved bit": (frame(TEXT, b"{}", reserved=4), 1002),
    "unknown opcode": (frame(3, b"x"), 1002), "unknown control": (frame(11, b"x"), 1002),
    "fragmented ping": (frame(PING, b"x", fin=False), 1002), "long ping": (frame(PING, b"x" * 126), 1002),
    "continuation of nothing": (frame(0, b"x"), 1002), "a message within a message": (frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"), 1002),
    "not UTF-8": (frame(TEXT, b"\xff\xfe"), 1007), "UTF-8 cut short": (frame(TEXT, b"\xc3"), 1007),
    "close with one byte": (frame(CLOSE, b"\x03"), 1002), "close with a reserved code": (frame(CLOSE, struct.pack(">H", 1005)), 1002),
    "length of 2^63": (bytes([0x81, 0xff]) + b"\xff" * 8 + bytes(4), (1002, 1009)),
}


@pytest.mark.parametrize("name", BROKEN_FRAMES)
def test_a_broken_frame_ends_its_own_tunnel(served, name):
    data, codes = BROKEN_FRAMES[name]
    with WebSocket(served.port) as tunnel:
        tunnel.send(data)
        code = tunnel.close_code()
        assert code in (codes if isinstance(codes, tuple) else (codes,))
    agent_is_undisturbed(served)


# ---- Peers that send and do not read -----------------------------------------------------------------------


def send_for(connection, data, seconds):
    """Sends the same bytes as fast as the peer takes them; how many went."""
    connection.socket.setblocking(False)
    deadline, sent = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        try:
            sent += connection.socket.send(data)
        except BlockingIOError:
            select.select([], [connection.socket], [], 0.05)
        except ConnectionError:
            break
    return sent


@pytest.mark.parametrize("kind", ["pings", "malformed messages"])
def test_a_tunnel_that_does_not_read_is_not_answered_without_end(served, kind):
    valid = frame(TEXT, b'{"type":"health","status":"pass"}')  # Tolerated: not_registered, with an answer too.
    data = {"pings": frame(PING, b"p" * 125) * 400, "malformed messages": (frame(TEXT, b"x") * 9 + valid) * 100}[kind]
    before = served.rss_bytes()
    with Visitors(served) as visitors, WebSocket(served.port, receive_buffer=4096) as tunnel:
        send_for(tunnel, data, 3)
        assert_flat(served, before)
    assert visitors.longest_s < 5


@pytest.mark.parametrize("listener, request_line", [
    ("control", "GET /openapi.yaml"), ("control", "GET /nowhere"), ("proxy", "GET /status/200"), ("proxy", "GET /big/900000")])
def test_a_pipeline_that_does_not_read_is_not_answered_without_end(served, listener, request_line):
    before = served.rss_bytes()
    port = served.port if listener == "control" else served.proxy_port
    data = f"{request_line} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode() * 200
    with Visitors(served) as visitors, Connection(port, receive_buffer=4096) as caller:
        send_for(caller, data, 3)
        assert_flat(served, before)
        # It is answered in full once it reads.
        caller.socket.settimeout(10)
        assert [caller.read_answer().status for _ in range(50)] == [404 if "nowhere" in request_line else 200] * 50
    assert visitors.longest_s < 5


# ---- Connections by the thousand ---------------------------------------------------------------------------


def descriptors_back_to(control, before):
    until(lambda: control.open_descriptors() <= before + 5, 20, "the descriptors are given back")


def test_slowloris_handshakes_are_cut_while_others_are_served(served):
    before = served.open_descriptors()
    head = b"GET /v1/tunnel HTTP/1.1\r\nHost: myapp.app.test\r\nX-Slow: " + b"a" * 100
    slow = {}
    with Visitors(served) as visitors:
        for i in range(200):
            slow[Connection(served.port if i % 2 else served.proxy_port)] = 0
        started, answers = time.monotonic(), []
        while slow and time.monotonic() - started < 20:
            for connection, at in list(slow.items()):
                try:
                    connection.send(head[at:at + 1])
                    slow[connection] = at + 1
                except ConnectionError:
                    del slow[connection]
            readable, _, _ = select.select([c.socket for c in slow], [], [], 1)
            for connection in [c for c in slow if c.socket in readable]:
                try:
                    answers.append(connection.read_answer().status)
                except (ConnectionError, AssertionError):
                    pass
                connection.close()
                del slow[connection]
            time.sleep(max(0, 1 - (time.monotonic() - started) % 1))
        took = time.monotonic() - started
    assert not slow, f"{len(slow)} still open"
    assert 8 < took < 15 and answers and set(answers) == {408}
    assert visitors.longest_s < 5
    descriptors_back_to(served, before)


def test_5000_idle_connections_leave_room_for_others(served):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard == resource.RLIM_INFINITY or hard >= 6000, "this test needs 6,000 descriptors (ulimit -Hn)"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8000) if hard > 0 else 8000), hard))
    memory, descriptors = served.rss_bytes(), served.open_descriptors()
    idle = []
    try:
        with Visitors(served) as visitors:
            for i in range(5000):
                idle.append(socket.create_connection(("127.0.0.1", served.port if i % 2 else served.proxy_port)))
            until(lambda: served.open_descriptors() >= descriptors + 4000, 10, "most were accepted")
            assert_flat(served, memory, 40 * MIB)
            assert served.get("/health").status == 200
            # Nobody waits for a first byte for ever.
            descriptors_back_to(served, descriptors + 2)
        assert visitors.longest_s < 5
        assert all(connection.recv(1) == b"" for connection in idle)
    finally:
        for connection in idle:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert_flat(served, memory, 40 * MIB)
    agent_is_undisturbed(served)


# ---- Garbage, half-closed sockets --------------------------------------------------------------------------

TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(189)


def test_garbage_at_both_listeners_is_refused_and_forgotten(served):
    dice = random.Random(11)
    before, memory = served.open_descriptors(), served.rss_bytes()
    with Visitors(served):
        for i in range(300):
            data = TLS_HELLO if i % 10 == 0 else dice.randbytes(dice.choice((1, 10, 100, 1000, 100000)))
            with Connection(served.port if i % 2 else served.proxy_port) as caller:
                try:
                    caller.send(data)
                    if i % 3 == 0:
                        caller.socket.shutdown(socket.SHUT_WR)
                        while caller.socket.recv(65536):
                            pass
                except ConnectionError:
                    pass
        with Connection(served.port) as caller:
            caller.send(TLS_HELLO)
            assert caller.read_answer().status == 400
    descriptors_back_to(served, before)
    assert_flat(served, memory)


def test_half_closed_and_reset_connections_are_forgotten(served):
    before = served.open_descriptors()
    with Visitors(served):
        for i in range(300):
            caller = Connection(served.port if i % 2 else served.proxy_port)
            caller.send((b"", b"GET / HTT", b"POST /v1/proxy/myapp HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab",
                         b"GET / HTTP/1.1\r\nHost: myapp.app.test\r\n\r\n")[i % 4])
            if i % 3 == 0:  # A reset in place of an end.
                caller.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif i % 3 == 1:
                caller.socket.shutdown(socket.SHUT_WR)
            caller.close()
    descriptors_back_to(served, before)
    until(lambda: served.metric("ee_proxy_open_requests") == 0, 10, "no request is left open")


def test_garbage_in_place_of_a_tls_handshake(world):
    control = world.control(EE_LOG_LEVEL="info", **world.make_tls())
    before = control.open_descriptors()
    for data in (b"GET / HTTP/1.1\r\n\r\n", TLS_HELLO, TLS_HELLO[:20], b"\x16\x03\x01\xff\xff" + bytes(70000), b""):
        with Connection(control.port) as caller:
            try:
                caller.send(data)
                caller.socket.shutdown(socket.SHUT_WR)
                while caller.socket.recv(65536):
                    pass
            except ConnectionError:
                pass
    assert control.get("/health").status == 200
    silent = [Connection(control.port) for _ in range(200)]
    assert control.get("/health").status == 200
    for connection in silent:
        connection.close()
    descriptors_back_to(control, before)


# ---- Agents that die, agents that fight --------------------------------------------------------------------


def test_an_agent_killed_under_load_leaves_no_visitor_waiting(world):
    control = world.control(EE_LOG_LEVEL="info")
    backend = world.backend()
    agent = world.agent(control, backend)

    def visit(_):
        try:
            return http_request(control.proxy_port, "GET", "/slow/0.02", [("Host", HOST)], timeout=10).status
        except OSError as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for _ in range(3):
            waiting = [pool.submit(visit, i) for i in range(100)]
            until(lambda: any(future.done() for future in waiting), what="the load is on")
            mark = control.mark()
            agent.kill()
            statuses = [future.result(15) for future in waiting]
            assert set(statuses) <= {200, 502, 503}, set(statuses)
            # All may have been answered before it was killed: then nobody has noticed yet.
            control.wait_event("agent.disconnected", since=mark)
            assert control.visit("myapp").status == 503
            agent = world.agent(control, backend)
            assert control.visit("myapp", "/status/200").status == 200
    until(lambda: control.metric("ee_proxy_open_requests") == 0, what="no request is left open")


def test_agents_that_race_for_one_id_leave_exactly_one_that_serves(world):
    control = world.control(EE_LOG_LEVEL="info")

    def racer(name):
        agent = WireAgent(control.ws_url, world.platform, app_name="myapp", agent_id="contested")
        world.wire_agents.append(agent)
        agent.connect()
        agent.serve(text_answer(name))
        agent.register()  # serve() answers the challenge.
        until(lambda: agent.closed or agent.statuses(), what="a verdict")
        return agent

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        first = list(pool.map(racer, ["a", "b", "c", "d"]))
        until(lambda: len([agent for agent in first if not agent.closed]) == 1, what="one is left")
        winner, = [agent for agent in first if not agent.closed]
        for _ in range(5):
            later = list(pool.map(racer, ["e", "f", "g"]))
            assert control.visit("myapp").status == 200
            until(lambda: all(agent.closed for agent in later), what="the others are refused")
            for agent in later:
                assert agent.statuses()[-1] == ("invalid", "agent_id_taken")
    assert not winner.closed and control.visit("myapp").status == 200
    (agent,) = control.app_agents("myapp")
    assert (agent["agent_id"], agent["connected"], agent["status"]) == ("contested", True, "active")
    winner.abort()
    control.wait_status("myapp", "offline")
    successor = racer("h")
    assert control.visit("myapp").text == "h"
    assert not successor.closed
