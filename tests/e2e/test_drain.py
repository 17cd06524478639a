"""SIGTERM under load: what has begun is finished, and nobody is refused whom another agent could serve."""

import http.client
import threading

from harness import APP_DOMAIN, raw_exchange, until
from raw_http2 import Http2Connection

HOST = f"myapp.{APP_DOMAIN}"
VISITORS = 12


class Load:
    """Visitors that ask one request after the other, each of 50 ms, on kept connections, and note each outcome."""

    def __init__(self, port):
        self.port, self.statuses, self.unanswered, self.broken = port, [], 0, []
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._visit) for _ in range(VISITORS)]
        for thread in self._threads:
            thread.start()

    def served(self):
        return len(self.statuses)

    def end(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(20)

    def _visit(self):
        connection = None
        while not self._stop.is_set():
            connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            try:
                connection.request("GET", "/slow/0.05", headers={"Host": HOST})
                answer = connection.getresponse()
            except (ConnectionError, http.client.RemoteDisconnected):  # Before a byte of an answer.
                connection.close()
                connection = None
                with self._lock:
                    self.unanswered += 1
                continue
            try:
                whole = len(answer.read()) == int(answer.getheader("Content-Length"))
            except (OSError, http.client.IncompleteRead):
                whole = False
            with self._lock:
                self.statuses.append(answer.status)
                if not whole:
                    self.broken.append(answer.status)
            if answer.getheader("Connection") == "close":
                connection.close()
                connection = None


def test_an_agent_that_stops_under_load_costs_no_request(world):
    backend = world.backend()
    control = world.control()
    leaving = world.agent(control, backend)
    world.agent(control, backend, EE_STATE_DIR=world.path / "state-second", wait=False)
    until(lambda: control.resolve("myapp")["agents"] == 2, what="both agents serve")
    load = Load(control.proxy_port)
    until(lambda: load.served() > 5 * VISITORS, what="the load has begun")
    assert leaving.terminate() == 0
    after = load.served()
    until(lambda: load.served() > after + 5 * VISITORS, what="the other agent serves")
    load.end()
    assert set(load.statuses) == {200} and not load.broken
    assert load.unanswered == 0
    assert control.resolve("myapp")["agents"] == 1


def test_a_control_plane_that_stops_under_load_finishes_what_has_begun(world):
    backend = world.backend()
    control = world.control(EE_DRAIN_SEC=30)
    world.agent(control, backend)
    held = backend.hold("last")
    load = Load(control.proxy_port)
    with Http2Connection(control.proxy_port, HOST) as visitor:
        stream = visitor.request("GET", "/hold/last")
        held.wait_arrived()
        until(lambda: load.served() > 5 * VISITORS, what="the load has begun")
        control.process.terminate()
        assert visitor.until(lambda: visitor.goaway is not None)
        # New connections are refused by now; a request that was on its way to a closing one has no answer at all.
        until(lambda: load.unanswered > VISITORS, what="the listener is closed")
        held.release()
        assert visitor.wait(stream).status == 200
    assert control.wait() == 0
    load.end()
    assert set(load.statuses) == {200} and not load.broken


def test_a_burst_before_the_end_is_in_the_access_log_whole(world):
    control = world.control()
    count = 1500
    requests = [f"GET /{n} HTTP/1.1\r\nHost: nobody-{n}.{APP_DOMAIN}\r\n\r\n" for n in range(count - 1)]
    requests.append(f"GET /last HTTP/1.1\r\nHost: nobody.{APP_DOMAIN}\r\nConnection: close\r\n\r\n")
    assert raw_exchange(control.proxy_port, "".join(requests).encode()).count(b"HTTP/1.1 404") == count
    assert control.terminate() == 0
    assert len(control.access) == count and not control.other_lines  # More than a pipe takes at once.
    assert not control.events("access_log.dropped")
