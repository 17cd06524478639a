"""What callers of the ledger do, and what they know of it: their own books, kept by the answers alone."""

import base64
import http.client
import json
import threading
from decimal import Decimal

ACCOUNTS = ("alice", "bob", "carol", "dave")
NODES = ("n1", "n2")
TIMEOUT_SECONDS = 30


class Operation:
    """One request with its key. `status` is None until it has been answered; then never another answer."""

    def __init__(self, key, path, body):
        self.key, self.path, self.body = key, path, json.dumps(body).encode()
        self.asked = body
        self.status, self.answer = None, None

    def __repr__(self):
        return f"{self.key}: POST {self.path} {self.body.decode()} -> {self.status} {self.answer!r}"


class Books:
    """Balances by what was answered: micro-USD, available and locked. Sums do not depend on the order."""

    def __init__(self):
        self._lock = threading.Lock()
        self.answered, self.unanswered, self.violations = [], [], []
        self.available, self.locked = dict.fromkeys(ACCOUNTS, 0), dict.fromkeys(ACCOUNTS, 0)
        self.held = {}  # lock id: (account, amount)

    def violate(self, what):
        with self._lock:
            self.violations.append(what)

    def unknown(self, operation):
        """Its connection broke: it happened, or not."""
        with self._lock:
            self.unanswered.append(operation)

    def known(self, operation, status, answer):
        """Its first answer."""
        with self._lock:
            operation.status, operation.answer = status, answer
            self.answered.append(operation)
            if status in (200, 201):
                self._book(operation, json.loads(answer))

    def _book(self, operation, answer):
        asked = operation.asked
        if operation.path == "/v1/credits/purchase":
            self.available[asked["account_id"]] += micros(asked["amount_usd"])
        elif operation.path == "/v1/credits/redeem":
            self.available[asked["account_id"]] -= micros(asked["amount_usd"])
        elif operation.path == "/v1/credits/transfer":
            self.available[asked["from_account"]] -= micros(asked["amount_usd"])
            self.available[asked["to_account"]] += micros(asked["amount_usd"])
        elif operation.path == "/v1/locks":
            amount = micros(answer["amount_usd"])
            if answer["lock_id"] in self.held:
                self.violations.append(f"two locks are {answer['lock_id']}: {operation}")
            self.held[answer["lock_id"]] = (asked["account_id"], amount)
            self.available[asked["account_id"]] -= amount
            self.locked[asked["account_id"]] += amount
        elif operation.path.endswith("/release"):
            account, amount = self.held[operation.path.split("/")[3]]
            self.available[account] += amount
            self.locked[account] -= amount

    def a_held_lock(self, random):
        with self._lock:
            return random.choice(sorted(self.held)) if self.held else None

    def count(self):
        with self._lock:
            return len(self.answered) + len(self.unanswered)


def micros(usd):
    return int(Decimal(usd) * 1_000_000)


class Connection:
    """To the control plane, as the admin. Breaks with it."""

    def __init__(self, port, token):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
        self._token = token

    def ask(self, operation):
        """Status, body and whether it is a replay; OSError or HTTPException where there is no answer."""
        self._connection.request("POST", operation.path, operation.body, {
            "Authorization": f"Bearer {self._token}", "Content-Type": "application/json",
            "Idempotency-Key": operation.key})
        answer = self._connection.getresponse()
        body = answer.read()
        return answer.status, body, answer.getheader("Idempotency-Replayed") == "true"

    def get(self, path):
        self._connection.request("GET", path, headers={"Authorization": f"Bearer {self._token}"})
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise AssertionError(f"GET {path} -> {answer.status} {body!r}")
        return json.loads(body)

    def close(self):
        self._connection.close()


class Caller(threading.Thread):
    """Makes operations one after the other until its connection breaks."""

    def __init__(self, name, random, books, port, token, cell):
        super().__init__(daemon=True)
        self.name, self._random, self._books, self._cell = name, random, books, cell
        self._connection, self._made = Connection(port, token), 0

    def run(self):
        while True:
            operation = self._next()
            try:
                status, answer, replayed = self._connection.ask(operation)
            except (OSError, http.client.HTTPException):
                self._books.unknown(operation)
                return self._connection.close()
            if replayed:
                self._books.violate(f"a new key was answered as a replay: {operation}")
            if status not in (200, 201, 409):
                self._books.violate(f"answered with {status} {answer!r}: {operation}")
            self._books.known(operation, status, answer)

    def _next(self):
        random, self._made = self._random, self._made + 1
        key = f"{self.name}-{self._made}"
        amount = f"0.{random.randrange(1, 999_999):06}"
        kind = random.random()
        if kind < 0.35:
            return Operation(key, "/v1/credits/purchase", {"account_id": random.choice(ACCOUNTS), "amount_usd": amount})
        if kind < 0.7:
            giver, taker = random.sample(ACCOUNTS, 2)
            return Operation(key, "/v1/credits/transfer",
                             {"from_account": giver, "to_account": taker, "amount_usd": amount})
        if kind < 0.75:
            return Operation(key, "/v1/credits/redeem", {"account_id": random.choice(ACCOUNTS), "amount_usd": amount})
        lock = self._books.a_held_lock(random) if kind > 0.9 else None
        if lock:
            return Operation(key, f"/v1/locks/{lock}/release", {})
        return Operation(key, "/v1/locks", {"account_id": random.choice(ACCOUNTS), "node_id": random.choice(NODES),
                                            "period": self._cell, "amount_usd": amount})


def head_of(connection):
    """Size and root of the log."""
    head = connection.get("/v1/ledger/head")
    _, size, root = head["checkpoint"].splitlines()[:3]
    if int(size) != int(head["tree_size"]):
        raise AssertionError(f"the head's checkpoint is of another size: {head}")
    return int(size), base64.b64decode(root)
