"""What is under load: a control plane, agents of three apps, their backends.

    steady   one agent and a backend that nobody touches: none of its requests may fail
    shaky    three agents before one backend: disturbed all the time (disturbances.py)
    old      an agent of version 1, spoken by wire_agent.py"""

import pathlib
import subprocess
import sys
import time

from harness import World, lasting_port, until
from programs import memory_factor
from simulated_platform import SimulatedPlatform

START_SECONDS = 120
BEAT_SECONDS = 5
DRAIN_SECONDS = 5
SHAKY_AGENTS = 3
SANITIZER_OPTIONS = {
    # What is freed stays in quarantine: little enough for memory to be flat, enough to see a use after it.
    "ASAN_OPTIONS": "quarantine_size_mb=16:detect_stack_use_after_return=1", "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "second_deadlock_stack=1"}


class BackendProcess:
    """soak_backend.py on one port, whenever it runs."""

    def __init__(self):
        self.port = lasting_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        script = pathlib.Path(__file__).with_name("soak_backend.py")
        self._process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", sys.executable, script, str(self.port)],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        line = self._process.stdout.readline()
        assert line == b"ready\n", f"the backend said {line!r}"

    def kill(self):
        self._process.kill()
        self._process.wait(10)
        self._process.stdin.close()
        self._process.stdout.close()

    stop = kill  # As World calls it.


class Installation:
    def __init__(self, folder):
        self.factor = memory_factor()
        (folder / "world").mkdir()
        self.world = World(folder / "world", SimulatedPlatform(folder / "platform"))
        self.control = self.world.control(EE_DRAIN_SEC=DRAIN_SECONDS, EE_LOG_LEVEL="info", **SANITIZER_OPTIONS)
        self.backends = {app: BackendProcess() for app in ("steady", "shaky")}
        self.world.backends += self.backends.values()
        self.agents, self.old_agent = {}, None
        self.killed = set()  # Programs whose end was by kill -9.
        self.start_agent("steady", 1)
        for number in range(1, SHAKY_AGENTS + 1):
            self.start_agent("shaky", number)
        self.connect_old_agent()
        self.wait_serving()

    def start_agent(self, app, number, state=""):
        """Starts that agent; `state`: of a second one, with the same name and a folder of its own."""
        settings = self.world.agent_settings(
            self.control, self.backends[app], app, EE_AGENT_ID=f"{app}-{number}", EE_DRAIN_SEC=DRAIN_SECONDS,
            EE_STATE_DIR=self.world.path / f"state-{app}-{number}{state}", EE_LOG_LEVEL="info", **SANITIZER_OPTIONS)
        program = self.world.program("easyenclave-agent", settings)
        if not state:
            self.agents[app, number] = program
        return program

    def connect_old_agent(self):
        self.old_agent = self.control.wire_agent(app_name="old", agent_id="old-1")
        self.old_agent.attest(timeout=START_SECONDS).serve()
        self.beat()

    def beat(self):
        """What keeps an agent of version 1 healthy."""
        self.last_beat_at = time.monotonic()
        try:
            self.old_agent.send({"type": "health", "status": "pass"})
        except (ConnectionError, TimeoutError):  # Its tunnel is being lost on purpose.
            pass

    def wait_serving(self):
        """Until every agent may get requests."""
        wanted = {"steady": 1, "shaky": SHAKY_AGENTS, "old": 1}

        def serving():
            for app, count in wanted.items():
                answer = self.control.admin_get(f"/v1/apps/{app}")
                agents = answer.json()["agents_detail"] if answer.status == 200 else []
                able = [a for a in agents if a["connected"] and a["status"] == "active" and (
                    a["health_status"] == "pass" or app == "old")]
                if len(able) < count:
                    return False
            return True
        until(serving, START_SECONDS, "every agent serves")

    def descriptors(self):
        """Open file descriptors of each program that runs, by name."""
        counts = {"control plane": self.control.open_descriptors()}
        for (app, number), agent in self.agents.items():
            counts[f"{app}-{number}"] = agent.open_descriptors()
        return counts

    def rss(self):
        """Bytes by program. The undisturbed agent stands for all whose memory must be flat; others come and go."""
        found = {"control plane": self.control.rss_bytes()}
        for (app, number), agent in list(self.agents.items()):
            try:
                found[f"{app}-{number}"] = agent.rss_bytes()
            except (OSError, IndexError):  # It ends just now.
                pass
        return found

    def beat_if_due(self):
        if time.monotonic() - self.last_beat_at > BEAT_SECONDS:
            self.beat()

    def forget_access_log(self):
        """It is read so that the program does not wait; hours of it would fill our memory."""
        for program in self.world.programs:
            if len(program.access) > 2000:
                del program.access[:-1000]

    def restart_backend(self, app, pause_s=0.0):
        self.backends[app].kill()
        time.sleep(pause_s)
        self.backends[app].start()
