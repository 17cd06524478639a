"""Calls of the ledger's API by their callers, for tests: each name is a token."""

import datetime
import itertools
import json

from harness import ADMIN_TOKEN
from raw_http import Connection
from shifted_clock import ahead_by

HOUR = datetime.timedelta(hours=1)
SETTINGS = {"EE_LAUNCHER_TOKEN": "launcher-token-of-the-tests", "EE_UPTIME_TOKEN": "uptime-token-of-the-tests",
            "EE_AUDITOR_TOKEN": "auditor-token-of-the-tests", "EE_METRICS_TOKEN": "metrics-token-of-the-tests"}
_numbers = itertools.count(1)


def unique(stem):
    return f"{stem}-{next(_numbers)}"


def within(period):
    """Settings of a control plane whose wall clock begins five minutes into this hour."""
    start = datetime.datetime.strptime(period, "%Y-%m-%dT%H").replace(tzinfo=datetime.timezone.utc)
    shift = start + datetime.timedelta(minutes=5) - datetime.datetime.now(datetime.timezone.utc)
    return ahead_by(int(shift.total_seconds()))


def cell(hours=0, after=None):
    """The hour so many from now, or from another one, as a period."""
    start = datetime.datetime.strptime(after, "%Y-%m-%dT%H") if after else datetime.datetime.now(datetime.timezone.utc)
    return (start + hours * HOUR).strftime("%Y-%m-%dT%H")


class Ledger:
    """The ledger of a control plane. `tokens` by caller: admin, launcher, uptime, auditor, metrics, and what accounts
    and nodes were given."""

    def __init__(self, control):
        self.control = control
        self.tokens = {"admin": ADMIN_TOKEN,
                       **{name[3:-6].lower(): token for name, token in SETTINGS.items()}}
        self._sources = itertools.count(1)

    def headers(self, caller, key="unique", **more):
        """`key`: of idempotency; None: without one. `more`: names with '_' for '-'."""
        fields = {} if caller is None else {"Authorization": f"Bearer {self.tokens.get(caller, caller)}"}
        if key is not None:
            fields["Idempotency-Key"] = unique("key") if key == "unique" else key
        return {**fields, **{name.replace("_", "-"): value for name, value in more.items()}}

    def get(self, path, caller="admin"):
        return self.control.get(path, self.headers(caller, None))

    def post(self, path, body=None, caller="admin", key="unique", **headers):
        """`body`: a dict, or the JSON's own text."""
        text = body if isinstance(body, (str, bytes)) else json.dumps(body or {})
        data = text if isinstance(text, bytes) else text.encode()
        return self.control.request("POST", path, self.headers(caller, key, **headers), data)

    def ok(self, path, body=None, caller="admin", **more):
        """The body of an answer that is no refusal."""
        answer = self.post(path, body, caller, **more) if body is not None else self.get(path, caller)
        assert answer.status in (200, 201), answer
        return answer.json()

    def open_account(self, name, usd=None):
        self.tokens[name] = self.ok("/v1/accounts", {"account_id": name})["token"]
        if usd:
            self.ok("/v1/credits/purchase", {"account_id": name, "amount_usd": usd})
        return name

    def register_node(self, name, price="0.05", stake="10", **more):
        answer = self.ok("/v1/nodes/register", {"node_id": name, "capacity_vcpus": 8, "price_usd_per_vcpu_hour": price,
                                                "stake_tier": "standard", "stake_amount_usd": stake, **more})
        self.tokens[name] = answer["node_token"]
        return name

    def balance(self, account, caller="admin"):
        body = self.ok(f"/v1/balances/{account}", caller=caller)
        return body["available_usd"], body["locked_usd"]

    def connection(self):
        """From an address of its own, whose wrong tokens are counted apart."""
        number = next(self._sources)
        return Connection(self.control.port, source=f"127.{1 + number // 250 % 250}.{number // 62500}.{number % 250 + 1}")
