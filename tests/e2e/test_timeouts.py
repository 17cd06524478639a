"""What ends after seconds that no setting shortens. The waits run side by side, from the start of the file."""

import time

import pytest

from harness import World
from wire_agent import AgentKey


class Waiting:
    """One control plane and, connected at the same moment, an agent for each of the waits."""

    def __init__(self, world):
        self.control = world.control()
        self.started = time.monotonic()
        self.silent = self.control.wire_agent(app_name="silent", agent_id="silent")
        self.malformed = self.control.wire_agent(app_name="malformed", agent_id="malformed")
        self.malformed.send("[]")
        self.idle = self._attested("idle", answer_pings=False)
        self.alive = self._attested("alive")
        self.dead = self._attested("dead", answer_pings=False)
        self.dead_other_key = self._attested("dead-key", answer_pings=False, key=AgentKey(world.path, "old"))
        self.heirs = {}
        for name, key in (("dead", None), ("dead-key", AgentKey(world.path, "new"))):
            heir = self.control.wire_agent(app_name=name, agent_id=name)
            heir.agent_key = key
            heir.register()
            challenge = heir.expect("attest_request")
            asked_at = time.monotonic()
            heir.answer_challenge(challenge, legacy=key is None)
            self.heirs[name] = (heir, asked_at)

    def _attested(self, name, key=None, **options):
        wire = self.control.wire_agent(app_name=name, agent_id=name, **options)
        wire.agent_key = key
        return wire.attest(legacy=key is None).serve()


@pytest.fixture(scope="module")
def waiting(shared_world: World):
    return Waiting(shared_world)


@pytest.mark.parametrize("name", ["dead", "dead-key"])
def test_a_holder_that_leaves_a_ping_unanswered_for_5_s_is_replaced(waiting, name):
    heir, asked_at = waiting.heirs[name]
    assert heir.expect("status", timeout=15)["reason"] == "attested"
    assert 4.5 < heir.received_at[-1] - asked_at < 10
    heir.serve()
    old = waiting.dead if name == "dead" else waiting.dead_other_key
    old.expect("status", state="draining", reason="superseded")
    assert old.expect_closed() == 1001
    assert waiting.control.visit(name, "/").status == 200
    assert waiting.control.resolve(name)["agents"] == 1


def test_without_a_register_within_10_s_the_tunnel_closes(waiting):
    status = waiting.silent.expect("status", timeout=15)
    assert (status["state"], status["reason"]) == ("invalid", "register_timeout")
    assert waiting.silent.expect_closed() == 1008
    assert 9 < time.monotonic() - waiting.started
    # What is no register does not prolong it.
    assert waiting.malformed.expect("status", timeout=5, state="invalid")["reason"] == "register_timeout"


def test_without_pong_or_message_for_30_s_the_tunnel_is_idle_and_closes(waiting):
    status = waiting.idle.expect("status", timeout=40, state="invalid")
    assert status["reason"] == "idle_timeout"
    assert time.monotonic() - waiting.started >= 29
    assert waiting.idle.expect_closed() == 1001
    assert waiting.idle.pings >= 1
    waiting.control.wait_event("agent.disconnected", app="idle", reason="idle_timeout")
    assert waiting.control.visit("idle", "/").reason == "offline"


def test_who_answers_pings_stays_though_it_says_nothing_else(waiting):
    assert waiting.alive.pings >= 1 and not waiting.alive.closed
    assert waiting.control.visit("alive", "/").status == 200
    assert waiting.control.app_agents("alive")[0]["rtt_us"] > 0
