"""A control plane that is started at whatever time it is to be, and a cell that is settled."""

import json
import time

from harness import ADMIN_TOKEN, lasting_port, until
from shifted_clock import ahead_by

WINDOW = 4
HOUR = 3600


class Network:
    """One world and its control plane, started anew at whatever time it is to be; cell `cell` is the one settled."""

    def __init__(self, world):
        self.world = world
        self.cell = (int(time.time()) // HOUR + 2) * HOUR
        self.period = time.strftime("%Y-%m-%dT%H", time.gmtime(self.cell))
        self.port, self.control, self.started_at, self.keys = lasting_port(), None, 0, 0
        self.tokens = {}

    def start(self, at, **settings):
        """At this many seconds after the cell's start, by its own clock. It does not step while the program runs: that
        would be an outage."""
        self.control = self.world.control(**ahead_by(self.cell + at - time.time()), **self.world.make_tls(),
                                          EE_CONTROL_PORT=self.port, EE_HEALTH_TIMEOUT_SEC=WINDOW,
                                          EE_SETTLE_AUTO="false", **settings)
        self.started_at = time.monotonic() - at
        return self.control

    def now(self):
        """Seconds after the cell's start, as the control plane believes."""
        return time.monotonic() - self.started_at

    def ask(self, path, status=200, **body):
        self.keys += 1
        answer = self.control.post(path, body, {"Authorization": f"Bearer {ADMIN_TOKEN}",
                                                "Idempotency-Key": f"key-{self.keys}"})
        assert answer.status == status, answer
        return answer.json()

    def admin(self, path):
        answer = self.control.admin_get(path)
        assert answer.status == 200, answer
        return answer

    def node(self, node):
        made = self.ask("/v1/nodes/register", 201, node_id=node, capacity_vcpus=8, price_usd_per_vcpu_hour="0.05",
                        stake_tier="standard", stake_amount_usd="10")
        self.tokens[node] = made["node_token"]

    def prepare(self, *nodes):
        """Before the cell: nodes with stake, alice with 100 USD, and a lock of 4 vCPU-hours on each (node, app)."""
        self.start(-30)
        self.ask("/v1/accounts", 201, account_id="alice")
        self.ask("/v1/credits/purchase", 201, account_id="alice", amount_usd="100", payment_ref="p1")
        for node, app in nodes:
            self.node(node)
            self.ask("/v1/locks", 201, account_id="alice", node_id=node, period=self.period, vcpu_hours="4",
                     **({"app_name": app} if app else {}))
        assert self.now() < 0, "the machine is too busy: the cell has begun"
        assert self.control.terminate() == 0
        self.world.hide_absence()

    def agent(self, node, app):
        return self.world.agent(self.control, self.world.backend(), app=app, EE_NODE_ID=node,
                                EE_NODE_TOKEN=self.tokens[node], EE_TLS_CA=self.world.tls_ca,
                                EE_AGENT_ID=f"agent-of-{node}")

    def finalize(self, node):
        """Once the cell is over: the outcome of the node's only unit."""
        path, body = f"/v1/settlements/{self.period}/finalize", {"node_id": node}

        def try_it():
            self.keys += 1
            answer = self.control.post(path, body, {"Authorization": f"Bearer {ADMIN_TOKEN}",
                                                    "Idempotency-Key": f"key-{self.keys}"})
            if answer.status == 409:
                assert answer.reason == "period_open", answer
                return None
            assert answer.status == 200, answer
            return answer.json()
        settled = until(try_it, 90, "the cell is over")
        assert len(settled["outcomes"]) == 1
        return settled["outcomes"][0]

    def settled(self, node, outcome):
        """The outcome, asked for until it is this one: the last window is recorded as the cell ends."""
        got = self.finalize(node)  # Waits for the end of the cell.
        try:
            until(lambda: got.update(self.finalize(node)) or got["outcome"] == outcome, 10)
        except AssertionError as error:  # That time is up, or what a refusal says.
            raise AssertionError(f"{node} is {got}, not {outcome}, by {self.bundle(node)[1]}") from error
        return got

    def bundle(self, node):
        """The stored outcome, and the text of its evidence."""
        text = self.admin(f"/v1/settlements/{self.period}?node_id={node}").text
        unit = json.loads(text)["items"][0]
        start = text.index('"evidence":') + len('"evidence":')
        return unit, text[start:start + json.JSONDecoder().raw_decode(text[start:])[1]], json.loads(text).get("receipt")

    def balance(self, account):
        return self.admin(f"/v1/balances/{account}").json()


def judged(bundle, cell):
    """What the page says of evidence, in other words than the ledger's."""
    misses, holes = False, False
    windows = {}
    for slot in bundle["slots"]:
        length = slot["window_s"] * 1_000_000
        begin = max(slot["attested_at_us"], cell * 1_000_000)
        for k in range(begin // length, (cell + HOUR) * 1_000_000 // length):
            if k * length < begin:
                continue  # not a whole one
            place = k - begin // length
            letter = slot["windows"][place] if place < len(slot["windows"]) else "?"
            windows.setdefault(k * length, []).append((letter, length))
    for start, seen in windows.items():
        seen = [(letter, length) for letter, length in seen if letter != "d"]  # Drained: not expected.
        if not seen or any(letter == "p" for letter, _ in seen):
            continue
        end = start + seen[0][1]
        overlapped = any(o["from_us"] < end and (o["to_us"] is None or start < o["to_us"]) for o in bundle["outages"])
        if all(letter == "m" for letter, _ in seen) and not overlapped:
            misses = True
        else:
            holes = True
    if not bundle["held_standing"] or any(s["challenges_missed"] for s in bundle["slots"]) or misses:
        return "fail"
    if not windows and not any(s["challenges_passed"] for s in bundle["slots"]):
        return "inconclusive" if bundle["outages"] else "fail"
    return "inconclusive" if holes or any(s["challenges_inconclusive"] for s in bundle["slots"]) else "pass"
