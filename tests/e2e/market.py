"""Who serves an app while nodes, prices and verdicts change: agents that say which node they are of, and visitors who
never stop asking."""

import collections
import threading
import time

from harness import until
from ledger_client import Ledger
from wire_agent import text_answer

POLICY = "[sandbox-1]\n"

# When it was asked for and when it had come (time.monotonic()); `of`: who answered, or the refusal's reason.
Answer = collections.namedtuple("Answer", "asked_at came_at status of")


class Visitors:
    """Ask for the app again and again, from before a change until after it."""

    def __init__(self, control, app="myapp", path="/", count=4):
        self.control, self.app, self.path, self.count = control, app, path, count
        self.answers, self.stopped, self.failure = [], threading.Event(), None
        self.threads = [threading.Thread(target=self._ask) for _ in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.wait_for(5)
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join()
        if self.failure:
            raise self.failure

    def _ask(self):
        try:
            while not self.stopped.is_set():
                asked_at = time.monotonic()
                answer = self.control.visit(self.app, self.path)
                self.answers.append(Answer(asked_at, time.monotonic(), answer.status,
                                           answer.text if answer.status == 200 else answer.reason))
        except Exception as failure:  # Told by whoever waits for the thread.
            self.failure = failure

    def wait_for(self, count):
        """So many more answers."""
        wanted = len(self.answers) + count
        until(lambda: self.failure or len(self.answers) >= wanted, what=f"{count} more answers")

    def since(self, moment):
        """What those were answered that were asked for from then on: at least ten."""
        self.wait_for(10 + self.count)
        return {answer.of for answer in list(self.answers) if answer.asked_at >= moment}

    def before(self, moment):
        """What those were answered whose answers had come by then."""
        return {answer.of for answer in list(self.answers) if answer.came_at <= moment}

    def statuses(self):
        return {answer.status for answer in list(self.answers)}


class Market:
    """A control plane, its ledger, and agents of nodes that answer with the node's name."""

    def __init__(self, world, policy="", **settings):
        self.world = world
        file = world.path / "networks.toml"
        file.write_text(POLICY + policy)
        self.settings = {"EE_NETWORKS_FILE": file, **settings}
        self.control = world.control(**self.settings)
        self.ledger = Ledger(self.control)

    def node(self, name, price=None, stake="10"):
        """Without a price, or without stake, where those are None."""
        terms = {"price_usd_per_vcpu_hour": price, "stake_amount_usd": stake}
        made = self.ledger.ok("/v1/nodes/register", {"node_id": name, "capacity_vcpus": 8,
                                                     **{key: usd for key, usd in terms.items() if usd}})
        self.ledger.tokens[name] = made["node_token"]

    def agent(self, node, answers_challenges=True, **identity):
        identity = {"agent_id": f"agent-of-{node}", "node_id": node, **identity}
        wire = self.control.wire_agent(**identity)
        wire.node_token = self.ledger.tokens[node]
        return wire.attest().serve(text_answer(node), challenges=answers_challenges)

    def change(self, node, **terms):
        """Of the node's terms, by the admin; when the answer had come."""
        self.ledger.ok("/v1/nodes/register", {"node_id": node, **terms})
        return time.monotonic()

    def explain(self, app="myapp"):
        answer = self.control.admin_get(f"/v1/route/{app}/explain")
        assert answer.status == 200, answer
        return answer.json()

    def candidate(self, node):
        return next(c for c in self.explain()["candidates"] if c["node_id"] == node)
