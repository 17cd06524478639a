"""Agents that are killed, stopped or come back, and a control plane that restarts, under the eyes of visitors."""

import asyncio
import http.client
import json
import signal
import threading
import time

from harness import APP_DOMAIN, lasting_port, until
from market import Visitors

HOST = f"myapp.{APP_DOMAIN}"
VISITORS = 100
REQUESTS_PER_SECOND = 500


class PacedLoad:
    """Visitors on kept connections, together about so many GETs a second. `outcomes`: (status, agent, when) of each
    answer; `broken`: what else became of one."""

    def __init__(self, port, path, per_second=REQUESTS_PER_SECOND):
        self.port, self.path, self.interval = port, path, VISITORS / per_second
        self.outcomes, self.broken = [], []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()))
        self._thread.start()

    def served_by(self, since=0):
        return {agent for _, agent, _ in self.outcomes[since:]}

    def least_budget(self):
        """For second attempts, as the first visitor was refused: a tenth of the second's requests. All that were
        answered in it had been made in it, but for those that were open as it began."""
        refused_at = min(at for status, _, at in self.outcomes if status != 200)
        answered = len([at for _, _, at in self.outcomes if refused_at - 1 <= at < refused_at])
        return max(20, (answered - VISITORS) // 10)

    def end(self):
        self._stop.set()
        self._thread.join(60)

    async def _all(self):
        await asyncio.gather(*(self._visit(i * self.interval / VISITORS) for i in range(VISITORS)))

    async def _visit(self, delay):
        await asyncio.sleep(delay)
        request = f"GET {self.path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        while not self._stop.is_set():
            due = time.monotonic() + self.interval
            writer.write(request)
            try:
                head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)).decode()
                fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
                await reader.readexactly(int(fields["content-length"]))
            except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as why:
                self.broken.append(repr(why))
                return
            self.outcomes.append((int(head.split()[1]), fields.get("ee-agent"), time.monotonic()))
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        writer.close()


def start_agents(world, control, backend, numbers):
    """Started all at once; by number."""
    return {n: world.agent(control, backend, wait=False, EE_STATE_DIR=world.path / f"state-{n}") for n in numbers}


def agents_of(control):
    return control.resolve("myapp").get("agents", 0)  # 404 before the first of them has come.


def test_half_of_the_agents_are_killed_and_no_visitor_notices(world):
    backend, control = world.backend(), world.control()
    agents = start_agents(world, control, backend, range(20))
    until(lambda: agents_of(control) == 20, 60, "all agents serve")
    load = PacedLoad(control.proxy_port, "/slow/0.1")
    # The budget for second attempts is a share of the last second's requests.
    until(lambda: len(load.outcomes) > 1.5 * REQUESTS_PER_SECOND, 30, "the load has begun")
    assert len(load.served_by()) == 20
    # Whatever the others do at the moment of the kill, these have been asked and not answered.
    held, held_statuses = backend.hold("x"), []
    waiting = [threading.Thread(target=lambda: held_statuses.append(control.visit("myapp", "/hold/x").status))
               for _ in range(20)]
    for visitor in waiting:
        visitor.start()
    until(lambda: len([r for r in backend.requests if r.target == "/hold/x"]) == len(waiting), what="all are asked")
    for n in range(10):
        agents[n].process.kill()
    until(lambda: agents_of(control) == 10, 5, "those that were killed are out")
    held.release()
    for visitor in waiting:
        visitor.join(20)
    before = len(load.outcomes)
    until(lambda: len(load.outcomes) > before + 500, 30, "the others serve")
    # One that had a request open at that moment has not answered since: none was asked any more.
    assert len(load.served_by(before + VISITORS)) == 10
    start_agents(world, control, backend, range(10))
    until(lambda: agents_of(control) == 20, 30, "they are back")
    back = len(load.outcomes)
    until(lambda: len(load.served_by(back)) == 20, 10, "they are asked again")
    load.end()
    assert not load.broken
    refused = len([status for status, _, _ in load.outcomes if status != 200])
    failed = refused + len([status for status in held_statuses if status != 200])
    assert len(held_statuses) == len(waiting)
    lines = json.dumps([control.wait_access(status=502, count=n + 1) for n in range(failed)])
    retried, over_budget = (control.metric(f"ee_proxy_retries_{what}total") for what in ("", "over_budget_"))
    # A machine too busy to carry the load has few requests a second, all visitors' open at once, and a small budget.
    # Nobody is refused before it is used up.
    assert failed == over_budget, lines
    assert retried >= (load.least_budget() if refused else 1), (retried, lines)
    assert control.metric("ee_proxy_ejections_total") == 0
    twice = [line for line in control.access if line.get("attempts") == 2]
    assert twice and all(line["status"] == 200 for line in twice)


def test_an_agent_that_is_killed_again_and_again_costs_nobody_an_answer(world):
    """Two visitors: the kills together lose at most sixteen requests, fewer than may be sent twice in a second. It
    answers before each kill: five lost tunnels in a row without an answer would put it out."""
    steady, flapping, control = world.backend(), world.backend(), world.control()
    world.agent(control, steady, EE_STATE_DIR=world.path / "state-steady")
    with Visitors(control, path="/slow/0.1", count=2) as visitors:
        for restart in range(9):
            agent = world.agent(control, flapping, wait=False, EE_STATE_DIR=world.path / "state-flapping")
            asked = len(flapping.requests)
            # Of three, one has been answered.
            until(lambda: len(flapping.requests) >= asked + 3, 15, f"it serves after restart {restart}")
            if restart < 8:
                agent.process.kill()
                control.wait_event("agent.disconnected", count=restart + 1)
        until(lambda: len(flapping.requests) > asked + 5, 10, "the last one goes on serving")
    assert visitors.statuses() == {200}
    assert control.metric("ee_proxy_retries_total") >= 8
    assert control.metric("ee_proxy_ejections_total") == 0


def test_an_agent_that_stands_still_is_out_when_it_answers_no_ping(world):
    backend, control = world.backend(), world.control()
    agents = start_agents(world, control, backend, range(3))
    until(lambda: agents_of(control) == 3, 30, "all agents serve")
    held = backend.hold("x")
    answers = []
    visitor = threading.Thread(target=lambda: answers.append(control.visit("myapp", "/hold/x", timeout=60)))
    visitor.start()
    held.wait_arrived()
    busy, = [agent for agent in control.app_agents("myapp") if agent["open_streams"] == 1]
    stopped = program_of(agents, world, busy["agent_id"])
    stopped.signal(signal.SIGSTOP)
    try:
        control.wait_event("agent.disconnected", 40, agent=busy["agent_id"], reason="idle_timeout")
        assert agents_of(control) == 2
        until(lambda: len([r for r in backend.requests if r.target == "/hold/x"]) == 2, 10, "another agent is asked")
        held.release()
        visitor.join(20)
        answer, = answers
        assert (answer.status, answer.text) == (200, "held x")
        line = control.wait_access(path="/hold/x", status=200)
        assert line["attempts"] == 2 and line["agent"] != busy["agent_id"]
    finally:
        stopped.signal(signal.SIGCONT)
    until(lambda: agents_of(control) == 3, 20, "it is back")


def program_of(agents, world, agent_id):
    """Which process has this id: each keeps its own in its state directory."""
    for n, agent in agents.items():
        for file in (world.path / f"state-{n}").iterdir():
            if file.is_file() and agent_id.encode() in file.read_bytes():
                return agent
    raise AssertionError(f"no agent is {agent_id}")


def test_a_control_plane_that_restarts_serves_nobody_before_agents_have_attested_anew(world):
    backend = world.backend()
    ports = {"EE_CONTROL_PORT": lasting_port(), "EE_PROXY_PORT": lasting_port()}
    control = world.control(**ports)
    start_agents(world, control, backend, range(4))
    until(lambda: agents_of(control) == 4, 30, "all agents serve")
    load = RestartLoad(control.proxy_port)
    until(lambda: load.statuses.count(200) > 50, 10, "the load has begun")
    before = control.resolve("myapp")
    control.kill()
    assert before["status"] == "active"
    control = world.control(**ports)
    seen = []

    def active():
        seen.append(control.resolve("myapp"))
        return seen[-1]["status"] == "active"

    until(active, 15, "agents have come back")
    for body in seen:
        assert body["status"] in ("offline", "active") and body["registration_state"] == "active", body
        assert (body["repo"], body["network"]) == (before["repo"], before["network"])
        # Nobody is eligible whom this process has not seen attest.
        assert body["allowed"] == body["ws_connected"] == (body["agents"] > 0) == (body["status"] == "active"), body
    assert seen[-1]["last_attest"] >= before["last_attest"]
    until(lambda: agents_of(control) == 4, 15, "all have come back")
    served = load.statuses.count(200)
    until(lambda: load.statuses.count(200) > served + 50, 10, "visitors are served again")
    load.end()
    assert set(load.statuses) <= {200, 502, 503}


class RestartLoad:
    """Visitors on a new connection each time, who take it that nobody listens for a while."""

    def __init__(self, port):
        self.port, self.statuses = port, []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._visit) for _ in range(8)]
        for thread in self._threads:
            thread.start()

    def end(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(20)

    def _visit(self):
        while not self._stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            try:
                connection.request("GET", "/status/200", headers={"Host": HOST})
                answer = connection.getresponse()
                answer.read()
                self.statuses.append(answer.status)
            except (OSError, http.client.HTTPException):
                self._stop.wait(0.02)
            finally:
                connection.close()


def test_an_agent_whose_backend_is_gone_is_left_out_while_others_serve(world):
    good, bad, control = world.backend(), world.backend(), world.control()
    world.agent(control, good, EE_STATE_DIR=world.path / "state-good")
    world.agent(control, bad, EE_STATE_DIR=world.path / "state-bad", EE_HEALTH_INTERVAL_SEC=600, wait=False)
    until(lambda: agents_of(control) == 2, 20, "both agents serve")
    bad.stop()
    refused = 0
    while refused < 5:
        answer = control.visit("myapp", "/status/200")
        assert answer.status in (200, 502), answer
        refused += answer.status == 502
    assert control.metric("ee_proxy_ejections_total") == 1
    assert {control.visit("myapp", "/status/200").status for _ in range(50)} == {200}
    explained = control.admin_get("/v1/route/myapp/explain").json()["candidates"]
    assert sorted((c["eligible"], c["ejected"], c["ejected_until"] is not None) for c in explained) == [
        (True, False, False), (True, True, True)]
    events = [event for event in control.app("myapp")["events"] if event["kind"] == "ejected"]
    assert [event["code"] for event in events] == ["backend_unreachable"]
    # Its probe finds it mended: nobody is refused again.
    bad.start()
    until(lambda: control.visit("myapp", "/status/200").status == 200 and
          len([r for r in bad.requests if r.target == "/status/200"]) > 0, 20, "it is asked again")
    again, = [event for event in control.app("myapp")["events"] if event["kind"] == "readmitted"]
    assert again["agent_id"] == events[0]["agent_id"]
