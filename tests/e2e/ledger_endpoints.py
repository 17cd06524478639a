"""The ledger's API as data: for each endpoint who may call it, a request that is accepted, and the rules of its
fields. From this test_ledger_api.py makes every way to be refused."""

import dataclasses
import json

from ledger_client import cell, unique

# ---- Rules of a field: spellings in JSON that are refused, and why ----------------------------------------------

WRONG = "invalid_field:{name}"  # of another type, or not allowed
NOT_TEXTS = ["1", "-1", "1e400", "99999999999999999999", "true", "[]", "{}", '["a"]']
NOT_JSON = ["NaN", "Infinity", "-Infinity", "01", "+1", ".5", "1.", "0x10", "1_000", "'1'", '"\\x"', '"\\ud800"', "tru"]
NOT_DECIMALS = ["-1", '"-1"', "1e2", '"1e2"', "1E2", "1e-2", "-0", '"1.1234567"', "1.1234567", '"12345678901"', "12345678901", "1" + "0" * 400, "0." + "0" * 400 + "1", "1e400", "-1e-400", '"01"', '".5"',
                '"1."', '"+1"', '" 1"', '"1 "', '""', '"1,5"', '"0x10"', '"NaN"', '"Infinity"', '"1\\u0000"', '"\\u0661"', '"1.2.3"']
ZEROS = ["0", "0.0", '"0"', '"0.000000"', "0.000000"]


@dataclasses.dataclass
class Field:
    bad: dict  # JSON text to reason; "{name}" is the field's
    required: bool = True
    other: str = None  # another name of it


def of_text(required=True, longest=None, allowed=None, **bad):
    rows = {text: WRONG for text in NOT_TEXTS}
    if longest:
        rows[json.dumps("x" * (longest + 1))] = WRONG
        rows[json.dumps("é" * (longest // 2 + 1))] = WRONG
    if allowed:
        rows.update({json.dumps(word): WRONG for word in ("nonsense", "", allowed[0] + " ", allowed[0].upper(), allowed[0] + "\0")})
    rows.update({json.dumps(text): reason for reason, texts in bad.items() for text in texts})
    return Field(rows, required)


def of_decimal(reason, zero_too=True, required=True, other=None):
    rows = {text: reason for text in NOT_DECIMALS + (ZEROS if zero_too else [])}
    rows.update({text: WRONG for text in ("true", "[]", "{}", '["1"]')})
    return Field(rows, required, other)


def of_amount(required=True, zero_too=True, other="amount"):
    field = of_decimal("invalid_amount", zero_too, required, other)
    field.bad.update({text: "invalid_amount" for text in ('"1000000000.000001"', "1000000001", '"9999999999"')})
    return field


def of_hours(required=True):
    return of_decimal("invalid_hours", required=required)


def of_account(required=True, unknown=True):
    field = of_text(required)
    if unknown:
        field.bad.update({json.dumps(name): reason for name, reason in
                          (("nobody", "unknown_account"),)})
    return field


def of_node(required=True):
    return of_text(required, unknown_node=["nowhere", "n\0", "", "x" * 200])


def of_app():
    return of_text(False, **{WRONG: ["", "Upper", "-a", "a.b", "a" * 64, "a\0", "ü"]})


def of_period(required=True):
    field = of_text(required, invalid_period=["", "yesterday", "2026-13", "2026-W60", "2026-02-30", "2026-01-09T24", "2019", "2200", "2026-1", " 2026",
                                              "2026-01-09T13:00:00Z", "2026-01-09T14:00:00Z--2026-01-09T13:00:00Z",
                                              "2026-01-09T13:00:60Z--2026-01-09T14:00:00Z", "2026-01-09T13:00:00Z--2028-01-09T13:00:00Z"])
    field.bad[json.dumps("2026-01-09T13:30:00Z--2026-01-09T14:30:00Z")] = "period_not_on_grid"
    return field


def of_half_period():
    return of_text(False, **{"invalid_field:period": ["2026-01-09T13:00:00Z"]})  # Beside a whole one, or alone.


def of_time():
    return of_text(True, **{WRONG: ["", "now", "2026-01-09", "2026-01-09T13:00:00", "2026-01-09T13:00:00+01:00", "2026-01-09T25:00:00Z", "1700000000"]})


def of_flag():
    return Field({text: WRONG for text in ("0", "1", '"true"', "[]", "{}")}, False)


def of_whole(required=False):
    return Field({text: WRONG for text in ('"8"', "-1", "1.5", "1e3", "8.0", "true", "[]", "{}", "99999999999999999999", "0", "1000001")}, required)


def of_texts():
    return Field({text: WRONG for text in ('"x"', "1", "{}", "[1]", "[null]", '[["x"]]', '["x",1]', "[]", '[""]', '["a\\u0000"]',
                                           json.dumps(["x" * 257]), json.dumps([str(i) for i in range(65)]))}, WRONG)


# ---- Endpoints --------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Endpoint:
    method: str
    path: str       # as the contract has it
    roles: set      # admin, launcher, uptime, auditor, account, node; "public" alone
    at: object      # ledger -> the path of a request that is accepted
    body: object = None     # ledger -> its body
    fields: dict = dataclasses.field(default_factory=dict)
    needs_key: bool = False
    owners: tuple = ()      # of "alice", "bob", "n1", "n2": who may make that request
    hidden: tuple = ()      # to whom what it names does not exist
    query: dict = dataclasses.field(default_factory=dict)  # name to values that are refused with invalid_parameter:<name>
    unknown: dict = dataclasses.field(default_factory=dict)  # path to reason
    secret: str = None      # the answer's field
    even_so: str = None     # the reason that even the request at `at` is refused for

    @property
    def name(self):
        return f"{self.method} {self.path}"


PAGED = {"limit": ["0", "501", "-1", "x", "", "1.5", "1e1", "+1", "%201", "99999999999999999999", "1&limit=2"], "cursor": ["AAAA&cursor=AAAA"]}
READERS = {"admin", "auditor", "account", "node"}
BAD_PERIODS = {"2026-13": "invalid_period", "x": "invalid_period", "2026-01-09T13:30:00Z--2026-01-09T14:30:00Z": "period_not_on_grid"}


def fixed(path):
    return lambda ledger: path


def lock_of(ledger):
    return ledger.ok("/v1/locks", {"account_id": "alice", "node_id": "n1", "period": cell(1), "amount_usd": "0.000001"})["lock_id"]


def report_of(ledger):
    return ledger.ok("/v1/abuse/reports", {"node_id": "n1", "reason": "spam"}, "launcher")["report_id"]


def staked_of(ledger):
    node = ledger.register_node(unique("staked"))
    return f"/v1/nodes/{node}/unstake"


def periods(suffix):
    return {f"/v1/settlements/{text}{suffix}": reason for text, reason in BAD_PERIODS.items()}


def nodes(suffix=""):
    return {f"/v1/nodes/{name}{suffix}": "unknown_node" for name in ("nowhere", "%2e%2e", "x" * 200, "node:n1")}


def accounts(form):
    return {form.format(name): "unknown_account" for name in ("nobody", "%2e%2e", "x" * 200, "node:nowhere", "stake:", "@nothing", "@")}


HALF_PERIODS = {"period_start": of_half_period(), "period_end": of_half_period()}
PERIOD_FIELDS = {"period": of_period(), **HALF_PERIODS}
ENDPOINTS = [
    Endpoint("POST", "/v1/accounts", {"admin"}, fixed("/v1/accounts"), lambda l: {"account_id": unique("account")},
             {"account_id": of_text(**{WRONG: ["", "a b", "x" * 65, "node:n1", "stake:n1", "@issued", "a/b", "ä", "a\0"]})}, secret="token"),
    Endpoint("POST", "/v1/accounts/{account}/token", {"admin", "account"}, fixed("/v1/accounts/spare/token"), lambda l: {}, owners=("spare",),
             unknown=accounts("/v1/accounts/{}/token") | {"/v1/accounts/node:n1/token": "unknown_account"}, secret="token"),
    Endpoint("GET", "/v1/accounts/{account}/entries", READERS, fixed("/v1/accounts/alice/entries"), owners=("alice",), query=PAGED,
             unknown=accounts("/v1/accounts/{}/entries")),
    Endpoint("GET", "/v1/balances/{account}", READERS, fixed("/v1/balances/alice"), owners=("alice",),
             query={"at": ["now", "", "2026", "2026-01-09T13:00:00", "2026-01-09T13:00:00%2b01:00", "2026-01-09T13:00:00Z&at=2026-01-09T13:00:00Z"]},
             unknown=accounts("/v1/balances/{}")),
    Endpoint("POST", "/v1/credits/purchase", {"admin"}, fixed("/v1/credits/purchase"), lambda l: {"account_id": "alice", "amount_usd": "0.000001"},
             {"account_id": of_text(unknown_account=["nobody"], **{WRONG: ["", "node:n1", "stake:n1", "@issued"]}), "amount_usd": of_amount(),
              "payment_ref": of_text(False, 256, **{WRONG: ["", "a\0"]})}, True),
    Endpoint("POST", "/v1/credits/redeem", {"admin"}, fixed("/v1/credits/redeem"), lambda l: {"account_id": "alice", "amount_usd": "0.000001"},
             {"account_id": of_text(unknown_account=["nobody", "node:nowhere"], **{WRONG: ["", "stake:n1", "@issued", "@slashed"]}),
              "amount_usd": of_amount(), "payment_ref": of_text(False, 256, **{WRONG: ["", "a\0"]})}, True),
    Endpoint("POST", "/v1/credits/transfer", {"admin", "account", "node"}, fixed("/v1/credits/transfer"),
             lambda l: {"from_account": "alice", "to_account": "bob", "amount_usd": "0.000001"},
             {"from_account": of_text(unknown_account=["nobody"], **{WRONG: ["", "stake:n1", "@issued", "x" * 65]}),
              "to_account": of_text(unknown_account=["nobody", "node:nowhere"], **{WRONG: ["", "alice", "stake:n1", "@issued", "@slashed"]}),
              "amount_usd": of_amount(), "memo": of_text(False, 256)}, True, owners=("alice",)),
    Endpoint("POST", "/v1/locks", {"admin", "account"}, fixed("/v1/locks"),
             lambda l: {"account_id": "alice", "node_id": "n1", "period": cell(1), "amount_usd": "0.000001"},
             {"account_id": of_text(unknown_account=["nobody", "node:n1", "@issued", "stake:n1", ""]), "node_id": of_node(), "app_name": of_app(),
              **PERIOD_FIELDS, "amount_usd": of_amount(required="invalid_field:vcpu_hours"), "vcpu_hours": of_hours(False)}, True, owners=("alice",)),
    Endpoint("GET", "/v1/locks/{id}", READERS, lambda l: f"/v1/locks/{lock_of(l)}", owners=("alice", "n1"), hidden=("bob", "n2", "spare"),
             unknown={f"/v1/locks/{name}": "unknown_lock" for name in ("0", "1", "-1", "x", "99999999999999999999", "1.0", "%2b1", "01")}),
    Endpoint("POST", "/v1/locks/{id}/release", {"admin", "account"}, lambda l: f"/v1/locks/{lock_of(l)}/release", lambda l: {}, owners=("alice",),
             hidden=("bob", "spare"), unknown={f"/v1/locks/{name}/release": "unknown_lock" for name in ("0", "1", "-1", "x", "99999999999999999999")}),
    Endpoint("POST", "/v1/usage/report", {"admin", "uptime"}, fixed("/v1/usage/report"),
             lambda l: {"account_id": "alice", "node_id": "n1", "period": cell(), "vcpu_hours": "0.0001"},
             {"account_id": of_text(unknown_account=["nobody", "node:n1", "@issued", ""]), "node_id": of_node(), "app_name": of_app(), **PERIOD_FIELDS,
              "vcpu_hours": of_hours(), "report_id": of_text(False, 128, **{WRONG: ["", "a\0"]})}, True),
    Endpoint("POST", "/v1/nodes/register", {"admin", "node"}, fixed("/v1/nodes/register"), lambda l: {"node_id": "n1", "capacity_vcpus": 8},
             {"node_id": of_text(**{WRONG: ["", "a b", "x" * 129, "@a", "a/b", "a\0"]}), "capacity_vcpus": of_whole(),
              "price_usd_per_vcpu_hour": of_amount(False, False, "price_usd"), "stake_tier": of_text(False, allowed=["premium", "standard", "economy"]),
              "stake_amount_usd": of_amount(False, False, None), "owner_account": of_text(False, unknown_account=["nobody", "node:n1", "@issued", ""]),
              "rotate_token": of_flag()}, owners=("n1",)),
    Endpoint("GET", "/v1/nodes", {"admin", "auditor"}, fixed("/v1/nodes"), query=PAGED),
    Endpoint("GET", "/v1/nodes/{node}", {"admin", "auditor", "node"}, fixed("/v1/nodes/n1"), owners=("n1",), unknown=nodes()),
    Endpoint("POST", "/v1/nodes/{node}/events", {"uptime"}, fixed("/v1/nodes/n1/events"),
             lambda l: {"event_id": unique("event"), "type": "health_pass", "from": "2026-01-09T13:00:00Z", "to": "2026-01-09T13:30:00Z"},
             {"event_id": of_text(True, 128, **{WRONG: ["", "a\0"]}),
              "type": of_text(allowed=["health_pass", "health_miss", "attest_miss", "downtime_migration"]), "app_name": of_app(),
              "from": of_time(), "to": Field({**of_time().bad, json.dumps("2026-01-09T13:00:00Z"): WRONG, json.dumps("2026-01-11T13:00:00Z"): WRONG}),
              "evidence_url": of_text(False, 2048)}, unknown=nodes("/events")),
    Endpoint("POST", "/v1/nodes/{node}/slash", {"admin"}, fixed("/v1/nodes/victim/slash"),
             lambda l: {"cause": "other", "amount_usd": "0.000001", "event_ids": [unique("event")], "reason": "because"},
             {"cause": of_text(allowed=["downtime_migration", "attestation_fraud", "abuse", "other"]),
              "amount_usd": of_amount(required="invalid_field:amount_usd"), "event_ids": of_texts(), "reason": of_text(True, 256, **{WRONG: [""]})},
             unknown=nodes("/slash")),
    Endpoint("POST", "/v1/nodes/{node}/ban", {"admin"}, lambda l: f"/v1/nodes/{l.register_node(unique('node'), stake='0')}/ban", lambda l: {"reason": "because"},
             {"reason": of_text(True, 256)}, unknown=nodes("/ban")),
    Endpoint("POST", "/v1/nodes/{node}/unstake", {"admin"}, staked_of, lambda l: {}, {"reason": of_text(False, 256)}, unknown=nodes("/unstake")),
    Endpoint("GET", "/v1/slashings", {"admin", "auditor"}, fixed("/v1/slashings"), query={**PAGED, "status": ["", "x", "Done", "done&status=done"]}),
    Endpoint("POST", "/v1/slashings/{id}/dismiss", {"admin"}, fixed("/v1/slashings/1/dismiss"), lambda l: {"reason": "because"},
             {"reason": of_text(True, 256, **{WRONG: [""]})},
             unknown={f"/v1/slashings/{name}/dismiss": "unknown_slashing" for name in ("0", "1", "-1", "x", "99999999999999999999", "1.0", "%2b1", "01")}),
    Endpoint("GET", "/v1/settlements/{period}", READERS, fixed(f"/v1/settlements/{cell(-2)}"), owners=("alice", "bob", "spare", "n1", "n2"),
             query={**PAGED, "node_id": ["n1&node_id=n1"], "app_name": ["shop&app_name=shop"]}, unknown=periods("")),
    Endpoint("POST", "/v1/settlements/{period}/finalize", {"admin"}, fixed(f"/v1/settlements/{cell(-2)}/finalize"), lambda l: {},
             {"node_id": of_text(False, **{WRONG: [""]}), "allow_pending": of_flag()}, query={"dry_run": ["", "1", "yes", "True", "true&dry_run=true"]},
             unknown=periods("/finalize")),
    Endpoint("POST", "/v1/settlements/{period}/resolve", {"admin"}, fixed(f"/v1/settlements/{cell(-2)}/resolve"),
             lambda l: {"node_id": "n1", "outcome": "pass", "reason": "because"},
             {"node_id": of_text(unknown_settlement=["nowhere", ""]), "app_name": of_text(False, unknown_settlement=["none"], **{WRONG: [""]}),
              "outcome": of_text(allowed=["pass", "fail"]), "reason": of_text(True, 256, **{WRONG: [""]}), "allow_pending": of_flag()},
             unknown=periods("/resolve")),
    Endpoint("POST", "/v1/abuse/reports", {"launcher"}, fixed("/v1/abuse/reports"), lambda l: {"node_id": "n1", "reason": "spam"},
             {"node_id": of_node(), "reason": of_text(True, 2000, **{WRONG: [""]}), "app_name": of_app(), "period": of_period(False), **HALF_PERIODS,
              "reported_by": of_text(False, 256), "evidence_url": of_text(False, 2048)}),
    Endpoint("GET", "/v1/abuse/reports", {"admin", "auditor"}, fixed("/v1/abuse/reports"),
             query={**PAGED, "status": ["", "x", "Pending", "denied&status=denied"]}),
    Endpoint("POST", "/v1/abuse/reports/{id}/authorize", {"admin"}, lambda l: f"/v1/abuse/reports/{report_of(l)}/authorize", lambda l: {"action": "deny"},
             {"action": of_text(allowed=["authorize", "deny"]), "authorized_by": of_text(False, 256)},
             unknown={f"/v1/abuse/reports/{name}/authorize": "unknown_report" for name in ("0", "-1", "x", "99999999999999999999")}),
    Endpoint("GET", "/v1/ledger/head", {"public"}, fixed("/v1/ledger/head")),
    Endpoint("GET", "/v1/audit", {"admin", "auditor"}, fixed("/v1/audit"), query=PAGED),
    Endpoint("GET", "/v1/ledger/entries", {"admin", "auditor"}, fixed("/v1/ledger/entries"), query=PAGED),
    Endpoint("GET", "/v1/ledger/proof/inclusion", {"public"}, fixed("/v1/ledger/proof/inclusion?leaf_index=0"),
             query={"leaf_index": ["", "x", "-1", "1.0", "99999999999999999999", "0&leaf_index=0"], "tree_size": ["", "x", "-1", "1&tree_size=1"]}),
    Endpoint("GET", "/v1/ledger/proof/consistency", {"public"}, fixed("/v1/ledger/proof/consistency?first=1"),
             query={"first": ["", "x", "-1", "1&first=1"], "second": ["", "x", "-1", "1&second=1"]}),
]
