"""The agent as deployed networks run it (v1_agent.py, protocol v1, legacy report data) against this control plane."""

import json
import os
import pathlib
import subprocess
import sys
import threading

import pytest

from harness import lasting_port, until
from simulated_platform import BIN_DIR

SHARED = pathlib.Path(os.environ.get("EE_SHARED") or pathlib.Path(__file__).resolve().parents[3] / "shared")
SCRIPT = SHARED / "tools" / "v1_agent.py"

pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason=f"SKIPPED: no {SCRIPT}; EE_SHARED names the folder with tools/")


class DeployedAgent:
    """v1_agent.py as a child process; the statuses it prints are collected."""

    def __init__(self, world, control, backend, *options):
        quote = f"{BIN_DIR}/eectl simulate quote {world.platform.directory} --report-data {{report_data}}"
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", sys.executable, str(SCRIPT), "--ws", control.ws_url, "--backend",
             backend.url, "--quote-command", quote, "--reconnect-delay", "0.2", *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines = []
        self._reader = threading.Thread(target=lambda: self.lines.extend(map(json.loads, self.process.stdout)), daemon=True)
        self._reader.start()

    def wait(self, timeout=15):
        code = self.process.wait(timeout)
        self._reader.join(5)
        return code

    def stop(self):
        self.process.kill()
        self.process.wait(10)
        self.process.stderr.close()


@pytest.fixture
def deployed(world):
    started = []

    def start(*arguments):
        started.append(DeployedAgent(world, *arguments))
        return started[-1]
    yield start
    for agent in started:
        agent.stop()


def test_a_deployed_agent_registers_and_serves_through_both_ways_in(world, deployed):
    backend, control = world.backend(), world.control()
    agent = deployed(control, backend, "--once", "3")
    control.wait_event("agent.active", app="myapp", agent="v1-agent")
    resolution = control.resolve("myapp")
    assert (resolution["status"], resolution["allowed"], resolution["sealed"]) == ("active", True, False)
    detail, = control.app_agents("myapp")
    assert (detail["binding"], detail["unbound"]) == ("none", True)

    echoed = control.visit("myapp", "/a/b?c=d", headers={"X-Mine": "1"})
    assert (echoed.status, echoed.json()["path"]) == (200, "/a/b?c=d")
    assert ["X-Mine", "1"] in echoed.json()["headers"]
    posted = control.envelope("myapp", "POST", "/in", body=b"payload").json()
    assert (posted["method"], posted["body_b64"]) == ("POST", "cGF5bG9hZA==")
    assert control.visit("myapp", "/status/404").status == 404
    assert agent.wait() == 0
    assert {"state": "ok", "reason": "attested"} in agent.lines


def test_a_deployed_agent_that_beats_stays_healthy_past_the_health_timeout(world, deployed):
    backend, control = world.backend(), world.control(EE_HEALTH_TIMEOUT_SEC=2)
    deployed(control, backend, "--health-interval", "0.2")
    control.wait_event("agent.health", count=22, timeout=20, **{"pass": True})
    assert control.resolve("myapp")["health_status"] == "pass"
    assert control.visit("myapp", "/status/200").status == 200


def test_a_deployed_agent_is_challenged_again_and_goes_on_serving(world, deployed):
    backend, control = world.backend(), world.control(EE_ATTEST_INTERVAL_SEC=1)
    deployed(control, backend)
    control.wait_event("attestation.ok", count=3, timeout=15, agent="v1-agent")
    assert control.visit("myapp", "/status/200").status == 200
    assert len(control.events("agent.active")) == 1


def test_a_deployed_agent_comes_back_after_its_tunnel_is_lost(world, deployed):
    port = lasting_port()
    backend, control = world.backend(), world.control(EE_CONTROL_PORT=port)
    deployed(control, backend)
    control.wait_event("agent.active")
    control.kill()
    again = world.control(EE_CONTROL_PORT=port)
    again.wait_event("agent.active", timeout=15, agent="v1-agent")
    assert again.visit("myapp", "/status/200").status == 200


def test_a_deployed_agent_is_told_that_its_binding_is_too_weak_for_forge_1(world, deployed):
    backend, control = world.backend(), world.control()
    agent = deployed(control, backend, "--network", "forge-1", "--stop-on-refusal")
    assert agent.wait() == 3
    assert agent.lines[-1] == {"state": "invalid", "reason": "binding_too_weak"}
    control.wait_event("tunnel.refused", code="binding_too_weak", app="myapp", agent="v1-agent")
    assert control.get("/v1/resolve/myapp").status == 404
    until(lambda: control.metric("ee_tunnels") == 0, what="no tunnel is left")
