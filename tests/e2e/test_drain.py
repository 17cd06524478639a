"""SIGTERM under load: what has begun is finished, and nobody is refused whom another agent could serve."""

import http.client
import itertools
import threading

from harness import APP_DOMAIN, raw_exchange, until
from raw_http2 import Http2Connection

HOST = f"myapp.{APP_DOMAIN}"
VISITORS = 12


class Load:
    """Visitors that ask one request after the other, each of 50 ms and with a number of its own, on kept connections.
    `answers` has the status of each whose head came, or "broken" where its body did not."""

    def __init__(self, port):
        self.port, self.answers, self.unanswered = port, {}, 0
        self._numbers, self._stop, self._lock = itertools.count(), threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._visit) for _ in range(VISITORS)]
        for thread in self._threads:
            thread.start()

    def served(self):
        return len(self.answers)

    def lost(self, backend):
        """What the backend was asked, and its visitor has no whole answer to."""
        asked = {request.target for request in backend.requests if request.target.startswith("/slow/")}
        return {target: self.answers.get(target) for target in asked if self.answers.get(target) != 200}

    def end(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(20)

    def _visit(self):
        connection = None
        while not self._stop.is_set():
            connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            target = f"/slow/0.05?{next(self._numbers)}"
            try:
                connection.request("GET", target, headers={"Host": HOST})
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
            self.answers[target] = answer.status if whole else "broken"
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
    assert set(load.answers.values()) == {200} and not load.lost(backend)
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
    assert set(load.answers.values()) == {200} and not load.lost(backend)


def test_a_burst_before_the_end_is_in_the_access_log_whole(world):
    control = world.control()
    count = 1500
    requests = [f"GET /{n} HTTP/1.1\r\nHost: nobody-{n}.{APP_DOMAIN}\r\n\r\n" for n in range(count - 1)]
    requests.append(f"GET /last HTTP/1.1\r\nHost: nobody.{APP_DOMAIN}\r\nConnection: close\r\n\r\n")
    assert raw_exchange(control.proxy_port, "".join(requests).encode()).count(b"HTTP/1.1 404") == count
    assert control.terminate() == 0
    assert len(control.access) == count and not control.other_lines  # More than a pipe takes at once.
    assert not control.events("access_log.dropped")
