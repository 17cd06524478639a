"""What an auditor does, who trusts nobody: a settlement is taken away with its receipt, and with the control plane gone it
is proven down to the machine's root and judged again. Whatever is forged of it is refused, and said why."""

import base64
import copy
import hashlib
import json
import struct
import subprocess

import pytest

from harness import until
from settled_network import HOUR, WINDOW, Network, judged
from simulated_platform import SimulatedPlatform, eectl

AUDITOR = "auditor-token-of-the-tests"


class AttestedNetwork(Network):
    """Its control plane is on a platform whose quotes bind the log's key."""

    def start(self, at, **settings):
        return super().start(at, EE_QUOTE_PROVIDER="simulated", EE_SIMULATED_TDX_DIR=self.world.platform.directory,
                             EE_AUDITOR_TOKEN=AUDITOR, **settings)

    def audit(self, path):
        answer = self.control.get(path, {"Authorization": f"Bearer {AUDITOR}"})
        assert answer.status == 200, answer
        return answer


# ---- Making forgeries --------------------------------------------------------------------------------------


def b64(data):
    return base64.b64encode(data).decode()


def flipped(text, place=-1):
    """A bit of bytes in base64."""
    data = bytearray(base64.b64decode(text))
    data[place] ^= 1
    return b64(bytes(data))


def fields_of(leaf):
    """(header of 18 bytes, fields) of an encoded leaf."""
    fields, at = [], 18
    while at < len(leaf):
        size = struct.unpack(">I", leaf[at:at + 4])[0]
        fields.append(leaf[at + 4:at + 4 + size])
        at += 4 + size
    return leaf[:18], fields


def leaf_of(header, fields):
    return header + b"".join(struct.pack(">I", len(field)) + field for field in fields)


class ForeignKey:
    """A key of the forger's, who can sign as well as anybody."""

    def __init__(self, folder):
        self.file = folder / "forger.pem"
        self.folder = folder
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", self.file], check=True, capture_output=True)
        der = subprocess.run(["openssl", "pkey", "-in", self.file, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
        self.public = der[-32:]

    def sign(self, text):
        message = self.folder / "to-be-signed"
        message.write_bytes(text)
        return subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", self.file, "-in", message], check=True,
                              capture_output=True).stdout

    def receipt(self, genuine, quoted):
        """The same leaf in a log of two leaves of the forger's own, which has the genuine log's name; `quoted`: with the
        genuine quote beside the key."""
        header, fields = fields_of(base64.b64decode(genuine["log_key"]["leaf"]))
        fields[0] = self.public
        if not quoted:
            fields[1] = fields[2] = b""
        fields[3], fields[4] = struct.pack(">Q", 0), hashlib.sha256(b"").digest()
        key_leaf, leaf, salt = leaf_of(header, fields), base64.b64decode(genuine["leaf"]), bytes(16)
        hashes = [hashlib.sha256(b"\0" + hashlib.sha256(salt + one).digest()).digest() for one in (key_leaf, leaf)]
        name = genuine["checkpoint"].split("\n")[0]
        signed = f"{name}\n2\n{b64(hashlib.sha256(bytes([1]) + hashes[0] + hashes[1]).digest())}\n"
        key_hash = hashlib.sha256(name.encode() + b"\n\x01" + self.public).digest()[:4]
        note = f"{signed}\n— {name} {b64(key_hash + self.sign(signed.encode()))}\n"
        return {"leaf_index": 1, "leaf": b64(leaf), "salt": b64(salt), "path": [b64(hashes[0])], "checkpoint": note,
                "log_key": {"leaf_index": 0, "leaf": b64(key_leaf), "salt": b64(salt), "path": [b64(hashes[1])]},
                "attested": quoted}


def replaced_line(receipt, number, line):
    lines = receipt["checkpoint"].split("\n")
    lines[number] = line(lines[number])
    receipt["checkpoint"] = "\n".join(lines)


def with_leaf(proven, change):
    """Changes the fields of a leaf."""
    header, fields = fields_of(base64.b64decode(proven["leaf"]))
    header = change(fields) or header
    proven["leaf"] = b64(leaf_of(header, fields))


def set_field(number, content):
    return lambda fields: fields.__setitem__(number, content)


OTHER_HASH = b64(bytes(32))
OTHER_LOG = "easyenclave/" + "0123456789abcdef" * 2

# What is done to a receipt, and what it is refused for.
RECEIPTS = {
    "a bit of the leaf": (lambda r: r.update(leaf=flipped(r["leaf"])), "inclusion_invalid:root"),
    "another outcome": (lambda r: with_leaf(r, set_field(3, b"fail")), "inclusion_invalid:root"),
    "more paid": (lambda r: with_leaf(r, set_field(5, struct.pack(">q", 1_000_000))), "inclusion_invalid:root"),
    "a leaf of a later time": (lambda r: with_leaf(r, lambda f: bytes(18)), "leaf_version_unsupported"),
    "a field too few": (lambda r: with_leaf(r, lambda f: f.pop() and None), "leaf_malformed:fields"),
    "a byte behind the leaf": (lambda r: r.update(leaf=b64(base64.b64decode(r["leaf"]) + b"x")), "leaf_malformed:field_length"),
    "another salt": (lambda r: r.update(salt=flipped(r["salt"])), "inclusion_invalid:root"),
    "a bit of the path": (lambda r: r["path"].__setitem__(0, flipped(r["path"][0])), "inclusion_invalid:root"),
    "a path in another order": (lambda r: r["path"].reverse(), "inclusion_invalid:root"),
    "a shorter path": (lambda r: r["path"].pop(), "inclusion_invalid:path_length"),
    "a longer path": (lambda r: r["path"].append(OTHER_HASH), "inclusion_invalid:path_length"),
    "its neighbour's place": (lambda r: r.update(leaf_index=r["leaf_index"] ^ 1), "inclusion_invalid:root"),
    "a place behind the log": (lambda r: r.update(leaf_index=1 << 40), "inclusion_invalid:index"),
    "another size": (lambda r: replaced_line(r, 1, lambda s: str(int(s) + 1)), "checkpoint_signature_invalid"),
    "another root of the log": (lambda r: replaced_line(r, 2, lambda s: OTHER_HASH), "checkpoint_signature_invalid"),
    "another log's name": (lambda r: replaced_line(r, 0, lambda s: OTHER_LOG), "checkpoint_unsigned"),
    "a bit of the signature": (lambda r: replaced_line(r, 4, lambda s: s[:12 + len(OTHER_LOG)].rsplit(" ", 1)[0] + " " + flipped(s.split(" ")[2])),
                               "checkpoint_signature_invalid"),
    "no signature": (lambda r: r.update(checkpoint=r["checkpoint"].split("\n\n")[0] + "\n\n"), "checkpoint_malformed"),
    "another key": (lambda r: with_leaf(r["log_key"], set_field(0, bytes(32))), "checkpoint_unsigned"),
    "a bit of the quote": (lambda r: with_leaf(r["log_key"], lambda f: f.__setitem__(1, f[1][:-1] + bytes([f[1][-1] ^ 1]))), "log_key_invalid:root"),
    "a key's leaf of another kind": (lambda r: r["log_key"].update(leaf=r["leaf"]), "log_key_invalid:kind"),
    "a bit of the key's path": (lambda r: r["log_key"]["path"].__setitem__(0, flipped(r["log_key"]["path"][0])), "log_key_invalid:root"),
    "the key's path cut": (lambda r: r["log_key"]["path"].pop(), "log_key_invalid:path_length"),
    "said to be unattested": (lambda r: r.update(attested=False), "receipt_malformed:/attested"),
    "something more": (lambda r: r.update(note="trust me"), "receipt_malformed:/"),
}


def evidence_digest(settlement):
    text = json.dumps(settlement["items"][0]["evidence"], separators=(",", ":"), ensure_ascii=False)
    settlement["items"][0]["evidence_sha256"] = hashlib.sha256(text.encode()).hexdigest()


def in_evidence(change, also_digest=False, **item):
    def forge(settlement):
        change(settlement["items"][0]["evidence"])
        settlement["items"][0].update(item)
        if also_digest:
            evidence_digest(settlement)
    return forge


def missed(evidence):
    slot = evidence["slots"][0]
    place = len(slot["windows"]) // 2
    slot["windows"] = slot["windows"][:place] + "m" + slot["windows"][place + 1:]


def in_item(change):
    return lambda settlement: change(settlement["items"][0])


def paid_more(item):
    item["transfers"][0].update(drawn_usd="0.2", paid_usd="0.2", returned_usd="0")
    item.update(paid_usd="0.2", returned_usd="0")


ABUSE = {"report_id": "7", "app_name": "", "status": "authorized", "filed_at_us": 1, "decided_at_us": 2, "decided_by": "x"}
OPEN = {"outcome": "open", "reasons": [], "paid_usd": "0", "returned_usd": "0", "evidence_sha256": None, "settled_at": None,
        "evidence": None, "transfers": []}
SEEN = {"event_id": "e", "type": "health_miss", "app_name": "", "from_us": 1, "to_us": 2, "evidence_url": ""}

# What is done to a settlement and its evidence.
SETTLEMENTS = {
    "a missed window": (in_evidence(missed), "evidence_mismatch"),
    "a missed challenge": (in_evidence(lambda e: e["slots"][0].update(challenges_missed=1)), "evidence_mismatch"),
    "another verdict": (in_evidence(lambda e: e["slots"][0]["verdicts"].__setitem__(0, "0" * 64)), "evidence_mismatch"),
    "no slot": (in_evidence(lambda e: e["slots"].clear()), "evidence_mismatch"),
    "no standing": (in_evidence(lambda e: e.update(held_standing=False)), "evidence_mismatch"),
    "an outage": (in_evidence(lambda e: e["outages"].append({"from_us": 1, "to_us": None, "cause": "start"})), "evidence_mismatch"),
    "an event": (in_evidence(lambda e: e["observations"].append(SEEN)), "evidence_mismatch"),
    "an abuse decision": (in_evidence(lambda e: e["abuse"].append(ABUSE)), "evidence_mismatch"),
    "another price": (in_evidence(lambda e: e["prices"][0].update(price_usd_per_vcpu_hour="0.06")), "evidence_mismatch"),
    "another time": (in_evidence(lambda e: e.update(judged_at_us=e["judged_at_us"] + 1)), "evidence_mismatch"),
    "another log head": (in_evidence(lambda e: e.update(checkpoint="")), "evidence_mismatch"),
    "another node's": (in_evidence(lambda e: e.update(node_id="n2")), "unit_mismatch"),
    "another cell's": (in_evidence(lambda e: e.update(cell="2026-01-09T13")), "unit_mismatch"),
    "a member more": (in_evidence(lambda e: e.update(note="trust me")), "evidence_invalid:/"),
    "a member less": (in_evidence(lambda e: e.pop("prices")), "evidence_invalid:/prices"),
    "other rules": (in_evidence(lambda e: e.update(rule_version=2)), "rule_version_unsupported"),
    "the opposite": (in_item(lambda i: i.update(outcome="fail", reasons=["health_miss"])), "outcome_mismatch"),
    "another digest": (in_item(lambda i: i.update(evidence_sha256="0" * 64)), "evidence_mismatch"),
    "a lock that paid more": (in_item(lambda i: i["transfers"][0].update(paid_usd="0.2", returned_usd="0")), "transfers_mismatch:0"),
    "a sum that is another": (in_item(lambda i: i.update(paid_usd="0.2")), "transfers_mismatch:paid_usd"),
    "a lock that is left out": (in_item(lambda i: i["transfers"].clear()), "transfers_mismatch:paid_usd"),
    # Those that are right in themselves differ from what the log says.
    "a failed cell": (in_evidence(missed, True, outcome="fail", reasons=["health_miss"], paid_usd="0", transfers=[],
                                  transfers_complete=False), "leaf_mismatch:outcome"),
    "no evidence": (in_item(lambda i: i.update(evidence=None)), "evidence_missing"),
    "nothing but the receipt": (in_item(lambda i: i.update(OPEN)), "evidence_missing"),
    "a receipt for two": (lambda s: s["items"].append({**s["items"][0], "node_id": "n2", "evidence": None}), "settlement_invalid:receipt"),
    "more than there is to see": (in_item(lambda i: i.update(paid_usd="99", transfers_complete=False)), "leaf_mismatch:paid"),
    "another price, and its digest": (in_evidence(lambda e: e["prices"][0].update(price_usd_per_vcpu_hour="0.06"), True),
                                      "leaf_mismatch:evidence_sha256"),
    "sums that agree": (in_item(paid_more), "leaf_mismatch:paid"),
    "and a leaf that says so": (lambda s: (paid_more(s["items"][0]), with_leaf(s["receipt"], set_field(5, struct.pack(">q", 200_000)))),
                                "inclusion_invalid:root"),
}


# ---- The walk ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def taken_away(shared_world):
    """From the purchase to the settlement. What an auditor has afterwards: the answer, as text; and the log's id."""
    network = AttestedNetwork(shared_world)
    network.prepare(("n1", "steady"))
    control = network.start(HOUR - 50)
    network.agent("n1", "steady")
    network.ask("/v1/usage/report", 201, account_id="alice", node_id="n1", app_name="steady", vcpu_hours="3",
                period=network.period, report_id="r1")
    assert network.now() < HOUR - 3 * WINDOW, "the machine is too busy: the cell is over"
    assert network.settled("n1", "pass")["paid_usd"] == "0.15"
    until(lambda: network.balance("node:n1")["available_usd"] == "0.15", what="the node is paid")
    text = network.audit(f"/v1/settlements/{network.period}?node_id=n1").text
    entries = network.audit("/v1/accounts/node:n1/entries").json()["items"]
    calls = network.audit("/v1/audit?limit=500").json()["items"]
    head = network.audit("/v1/ledger/head").json()
    assert head["attested"] is True
    assert control.terminate() == 0
    # The transfer that the settlement names is the entry of the account that paid; its other half came to the node.
    (transfer,) = json.loads(text)["items"][0]["transfers"]
    assert [(entry["available_delta_usd"], entry["leaf_index"] - 1) for entry in entries] == [("0.15", transfer["leaf_index"])]
    called = [(call["principal"], call["route"]) for call in calls]
    assert ("admin", "/v1/settlements/{period}/finalize") in called and ("admin", "/v1/usage/report") in called
    return network, text, head["log_id"]


def verify(network, receipt, log_id, allowlist=None, root=None, expect=0):
    """By eectl: what it says. There is no server."""
    file = network.world.path / "receipt.json"
    file.write_text(json.dumps(receipt))
    done = eectl("ledger", "verify", file, "--control-allowlist", allowlist or network.world.platform.directory / "allowlist.json",
                 *(() if root is False else ("--root", root or network.world.platform.root)), "--log-id", log_id, "--json", check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    return json.loads(done.stdout)


def recompute(network, settlement, expect=0):
    file = network.world.path / "settlement.json"
    file.write_text(settlement if isinstance(settlement, str) else json.dumps(settlement, separators=(",", ":"), ensure_ascii=False))
    done = eectl("settlement", "recompute", file, check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_settlement_is_proven_and_judged_again_without_the_server(taken_away):
    network, text, log_id = taken_away
    settlement = json.loads(text)
    (item,) = settlement["items"]
    verdict = verify(network, settlement["receipt"], log_id)
    assert (verdict["result"], verdict["code"]) == ("ok", None)
    leaf = verdict["leaf"]["fields"]
    assert verdict["leaf"]["kind"] == "settlement"
    assert (leaf["outcome"], leaf["node"], leaf["app"]) == ("pass", "n1", "steady")
    assert leaf["evidence_sha256"] in (item["evidence_sha256"], b64(bytes.fromhex(item["evidence_sha256"])))
    assert verdict["quote"]["root"] == "given"
    assert recompute(network, text) == f"{network.period} n1 steady  pass []\n"
    assert judged(item["evidence"], network.cell) == "pass"
    # As other programs write JSON it is the same.
    assert recompute(network, settlement) == f"{network.period} n1 steady  pass []\n"
    # Prices and the head of the log are in it.
    assert [price["price_usd_per_vcpu_hour"] for price in item["evidence"]["prices"]] == ["0.05"]
    assert item["evidence"]["checkpoint"].startswith(f"easyenclave/{log_id}\n{item['evidence']['log_size']}\n")


@pytest.mark.parametrize("what", RECEIPTS)
def test_a_forged_receipt_is_refused(taken_away, what):
    network, text, log_id = taken_away
    forge, code = RECEIPTS[what]
    receipt = json.loads(text)["receipt"]
    genuine = copy.deepcopy(receipt)
    forge(receipt)
    assert receipt != genuine
    assert verify(network, receipt, log_id, expect=1)["code"] == code


@pytest.mark.parametrize("what", SETTLEMENTS)
def test_forged_evidence_is_refused(taken_away, what):
    network, text, _ = taken_away
    forge, code = SETTLEMENTS[what]
    settlement = json.loads(text)
    forge(settlement)
    assert settlement != json.loads(text)
    said = recompute(network, settlement, expect=1)
    assert f"{code}: " in said, said


def test_who_signs_with_a_key_of_their_own_is_found_out(taken_away):
    network, text, log_id = taken_away
    receipt = json.loads(text)["receipt"]
    forger = ForeignKey(network.world.path)
    assert verify(network, forger.receipt(receipt, quoted=True), log_id, expect=1)["code"] == "report_data_mismatch"
    assert verify(network, forger.receipt(receipt, quoted=False), log_id, expect=1)["code"] == "quote_missing"


def test_what_is_trusted_is_for_the_auditor_to_say(taken_away, tmp_path):
    network, text, log_id = taken_away
    receipt = json.loads(text)["receipt"]
    other = SimulatedPlatform(tmp_path / "other")
    assert verify(network, receipt, "0" * 32, expect=1)["code"] == "log_mismatch"
    refusals = {"another root": verify(network, receipt, log_id, root=other.root, expect=1)["code"],
                "no root but Intel's": verify(network, receipt, log_id, root=False, expect=1)["code"]}
    assert set(refusals.values()) == {"certificate_chain_invalid"}, refusals
    allowlist = network.world.platform.allowlist()
    allowlist["quote_measurements"]["mrtd"] = "f" * 96
    spoiled = tmp_path / "allowlist.json"
    spoiled.write_text(json.dumps(allowlist))
    refused = verify(network, receipt, log_id, allowlist=spoiled, expect=1)["code"]
    assert "mrtd" in refused or "measurement" in refused, refused
