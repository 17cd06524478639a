"""The memory for bodies of the whole process: many peers that stop taking theirs, over several tunnels."""

import threading

import pytest

from harness import APP_DOMAIN, until
from programs import memory_factor
from raw_http import Connection
from raw_http2 import Http2Connection
from streaming_backend import PIECE, StreamingBackend

MIB = 1024 * 1024
LIMIT = 16 * MIB
# What one turn of its loop may add before it looks, and buffers that are larger than what is in them.
MARGIN = LIMIT + 24 * MIB
APPS = ("one", "two", "three")


@pytest.fixture
def site(world):
    class Site:
        backend = StreamingBackend()
        control = world.control(EE_MAX_BUFFERED_BYTES="16 MiB")
        visitors = []

        def held(self):
            return self.control.metric("ee_body_bytes")

        def ended(self):
            return self.control.metric("ee_bodies_shed_total")

        def visitor(self, port=None, **how):
            visitor = Connection(port or self.control.proxy_port, receive_buffer=16 * 1024, **how)
            self.visitors.append(visitor)
            return visitor

        def stall(self, app, path):
            """A visitor that asks and then reads nothing; it need not even be answered."""
            return self.visitor().send(f"GET {path} HTTP/1.1\r\nHost: {app}.{APP_DOMAIN}\r\n\r\n".encode())

        def others_are_served(self):
            """At once, or when they ask again: it may be full for the moment that letting go takes."""
            for app in APPS:
                until(lambda: self.control.visit(app, "/").status == 200, timeout=10, what="others are served")

        def leave(self):
            for visitor in self.visitors:
                visitor.close()

    site = Site()
    for app in APPS:
        world.agent(site.control, site.backend, app=app, EE_HEALTH_INTERVAL_SEC=60)
    yield site
    site.leave()
    site.backend.go()
    site.backend.stop()


class Watch:
    """Looks at the memory all the while."""

    def __init__(self, site):
        self._site, self._before, self._peak, self._held = site, site.control.rss_bytes(), 0, 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self):
        while not self._done.wait(0.02):
            self._peak = max(self._peak, self._site.control.rss_bytes())
            self._held = max(self._held, self._site.held())

    def expect_bounded(self):
        self._done.set()
        self._thread.join()
        grown = self._peak - self._before
        assert self._held < LIMIT + 4 * MIB, f"{self._held / MIB:.0f} MiB held"
        assert grown < (LIMIT + MARGIN) * memory_factor(), f"{grown / MIB:.0f} MiB more"


def test_stalled_readers_hold_no_more_than_the_limit_and_others_are_served(site):
    site.others_are_served()
    watch = Watch(site)
    while site.ended() == 0:
        for app in APPS * 5:
            site.stall(app, "/download/8")
        site.others_are_served()
        assert len(site.visitors) < 600, "who held most was let go"
    for app in APPS * 10:
        site.stall(app, "/download/8")
        site.others_are_served()
    watch.expect_bounded()
    assert site.held() > LIMIT / 4, "the others still hold theirs"
    assert sum(agent["held_bytes"] for app in APPS for agent in site.control.app_agents(app)) > LIMIT / 8
    line = site.control.wait_event("memory.full")
    assert line["bytes_max"] == LIMIT and line["requests_ended"] > 0
    ended = site.control.wait_access(path="/download/8", error="overloaded")
    assert ended["app"] in APPS
    # What has left is not counted any more, and windows are as they were.
    site.leave()
    until(lambda: site.held() < MIB, what="nothing is held")
    with Connection(site.control.proxy_port, timeout=30) as reader:
        reader.send(f"GET /download/32 HTTP/1.1\r\nHost: one.{APP_DOMAIN}\r\n\r\n".encode())
        assert len(reader.read_answer().body) == 32 * MIB


def test_one_who_reads_is_not_ended_for_those_who_do_not(site):
    size, got = 256 * MIB, 0
    ends = threading.Event()

    def read():
        nonlocal got
        while got < size and (piece := reader.socket.recv(MIB)):
            got += len(piece)
            ends.wait(0.01)  # Not as fast as it can.

    with Connection(site.control.proxy_port, timeout=60) as reader:
        reader.send(f"GET /download/256 HTTP/1.1\r\nHost: one.{APP_DOMAIN}\r\n\r\n".encode())
        assert reader.read_head()[0] == 200
        got = len(reader.buffered())
        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        # More than once: first those go that hold most, then those that hold as little as this one.
        while site.ended() < 100:
            for app in APPS:
                site.stall(app, "/download/8")
            site.others_are_served()
        ends.set()
        thread.join(60)
    assert got == size, f"cut {size - got} bytes early"


def test_uploads_that_the_backend_does_not_read_hold_no_more_than_the_limit(site):
    watch = Watch(site)
    senders = []
    for i in range(150):
        sender = site.visitor()
        sender.socket.settimeout(0)
        senders.append(sender)
        head = f"POST /upload/held HTTP/1.1\r\nHost: {APPS[i % 3]}.{APP_DOMAIN}\r\nContent-Length: {64 * MIB}\r\n\r\n"
        sender.socket.send(head.encode())
    for _ in range(40):
        for sender in senders:
            try:
                sender.socket.send(PIECE)
            except (BlockingIOError, ConnectionError):
                pass
    site.others_are_served()
    watch.expect_bounded()


def test_bodies_that_are_gathered_whole_count_too(site):
    watch = Watch(site)
    size = 4 * MIB
    senders = [site.visitor(port=site.control.port) for _ in range(20)]
    for sender in senders:
        sender.send(f"POST /v1/proxy/one HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
    refused = 0
    for sender in senders:
        try:
            sender.send(b" " * (size - 1))
        except ConnectionError:
            pass  # It has been answered.
        if not sender.silent(0.1):
            answer = sender.read_answer()
            assert (answer.status, answer.reason) == (503, "overloaded")
            assert int(answer.header("Retry-After")) > 0
            refused += 1
    assert 0 < refused < 20
    site.others_are_served()
    small = site.control.envelope("one", "GET", "/")
    assert small.status == 200, "what comes with its head is no burden"
    watch.expect_bounded()
    assert site.held() > LIMIT / 4
    site.leave()
    until(lambda: site.held() < MIB, what="nothing is held")


def test_uploads_that_stop_short_are_ended_before_anybody_is_cut(site):
    body = b"x" * 65000
    for _ in range(3):
        uploads = Http2Connection(site.control.proxy_port, f"one.{APP_DOMAIN}")
        site.visitors.append(uploads.socket)
        for _ in range(100):
            uploads.request("PUT", "/", [("content-length", "65536")], body=body, end=False)
    ended = site.control.wait_access(method="PUT", status=503)
    assert (ended["app"], ended["error"]) == ("one", "overloaded")
    until(lambda: site.ended() > 0, what="some are let go")
    size, got = 32 * MIB, 0
    with site.visitor(timeout=30) as reader:
        reader.send(f"GET /download/32 HTTP/1.1\r\nHost: two.{APP_DOMAIN}\r\n\r\n".encode())
        assert reader.read_head()[0] == 200
        got = len(reader.buffered())
        pause = threading.Event()
        while got < size and (piece := reader.socket.recv(MIB)):
            got += len(piece)
            pause.wait(0.002)  # What it has not taken yet is held, too.
    assert got == size, f"cut {size - got} bytes early"
    site.others_are_served()
    assert site.held() > LIMIT / 4, "the others still hold theirs"
    site.leave()
    until(lambda: site.held() < MIB, what="nothing is held")


def test_v1_answers_are_not_begun_where_they_may_come_to_much(site):
    agent = site.control.wire_agent(app_name="old", agent_id="w1").attest()
    agent.serve()
    assert site.control.visit("old", "/").status == 200
    while site.held() <= LIMIT / 2:
        site.stall("one", "/download/8")
    refused = site.control.visit("old", "/")
    assert (refused.status, refused.reason) == (503, "overloaded")
    assert int(refused.header("Retry-After")) > 0
    site.others_are_served()
    site.leave()
    until(lambda: site.control.visit("old", "/").status == 200, what="it is served again")
    agent.close()
