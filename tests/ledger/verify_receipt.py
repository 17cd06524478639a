#!/usr/bin/python3
"""Verifies receipts of the ledger's log, written from docs/ledger-log.md alone: no line is shared with eectl.

    verify_receipt.py FILE [--key BASE64]    --key: the log's Ed25519 public key, 32 bytes in base64

It checks all that needs no attestation: who the key belongs to, the quote in its leaf says.
"""

import argparse
import base64
import hashlib
import json
import re
import struct
import sys

KINDS = {
    1: ("entry", [("transfer", "u64"), ("account", "text"), ("transfer_kind", "text"), ("counterparty", "text"),
                  ("available_delta", "i64"), ("locked_delta", "i64"), ("available_after", "i64"),
                  ("locked_after", "i64"), ("reference", "text"), ("memo", "text")]),
    2: ("settlement", [("cell", "text"), ("node", "text"), ("app", "text"), ("outcome", "text"), ("reasons", "text"),
                       ("paid", "i64"), ("returned", "i64"), ("rule_version", "u64"), ("evidence_sha256", "hash")]),
    3: ("abuse_decision", [("report_id", "text"), ("node", "text"), ("app", "text"), ("period", "text"),
                           ("decision", "text"), ("decided_by", "text")]),
    4: ("slashing", [("slashing_id", "text"), ("node", "text"), ("cause", "text"), ("amount", "i64"),
                     ("reason", "text")]),
    5: ("allowlist", [("repo", "text"), ("release_tag", "text"), ("sha256", "hash"), ("accepted_by", "text")]),
    6: ("policy", [("network", "text"), ("sha256", "hash"), ("json", "text")]),
    7: ("log_key", [("public_key", "hash"), ("quote", "bytes"), ("collateral", "text"), ("last_size", "u64"),
                    ("last_root", "hash"), ("repo", "text"), ("release_tag", "text"),
                    ("tls_spki_sha256", "hash or nothing")]),
    8: ("call", [("principal", "text"), ("method", "text"), ("path", "text"), ("request_sha256", "hash"),
                 ("address_salted", "bytes")]),
    9: ("restored", [("size", "u64"), ("lost_size", "u64")]),
    10: ("grid", [("settle_period", "text")]),
    11: ("outage", [("from", "i64"), ("to", "i64"), ("cause", "text")]),
    12: ("observation", [("node", "text"), ("app", "text"), ("event_id", "text"), ("type", "text"), ("from", "i64"),
                         ("to", "i64"), ("evidence_url", "text")]),
    13: ("usage", [("account", "text"), ("node", "text"), ("app", "text"), ("cell", "text"), ("micro_hours", "i64"),
                   ("amount", "i64"), ("uncollected", "i64"), ("report_id", "text")]),
}
LEAF_BYTES_MAX = 4 * 1024 * 1024


class Refused(Exception):
    """What does not hold of a receipt."""


def require(holds, why):
    if not holds:
        raise Refused(why)


# ---- Leaves ------------------------------------------------------------------------------------------------

def decode_field(content, kind):
    if kind in ("u64", "i64"):
        require(len(content) == 8, "an integer is 8 bytes")
        return struct.unpack(">Q" if kind == "u64" else ">q", content)[0]
    if kind == "text":
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            raise Refused("a text is UTF-8") from None
    require(kind == "bytes" or len(content) == 32 or (kind == "hash or nothing" and not content), "a hash is 32 bytes")
    return content


def decode_leaf(leaf):
    require(18 <= len(leaf) <= LEAF_BYTES_MAX, "the leaf's size")
    version, kind, seq, time_us = struct.unpack(">BBQq", leaf[:18])
    require(version == 1, "the leaf's version")
    require(kind in KINDS, "the leaf's kind")
    contents, at = [], 18
    while at < len(leaf):
        require(at + 4 <= len(leaf), "a field's length")
        size = struct.unpack(">I", leaf[at:at + 4])[0]
        at += 4
        require(at + size <= len(leaf), "a field's end")
        contents.append(leaf[at:at + size])
        at += size
    name, rules = KINDS[kind]
    require(len(contents) == len(rules), "the number of fields")
    fields = {rule: decode_field(content, kind_of) for (rule, kind_of), content in zip(rules, contents)}
    return {"kind": name, "number": kind, "seq": seq, "time_us": time_us, "fields": fields}


def commitment(salt, leaf):
    return hashlib.sha256(salt + leaf).digest()


# ---- The tree (RFC 9162 sections 2.1.3.2 and 2.1.4.2) --------------------------------------------------------

def leaf_hash(data):
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def verify_inclusion(leaf, index, size, path, root):
    require(0 <= index < size, "the leaf's index is not in the tree")
    node, last, reached = index, size - 1, leaf
    for step in path:
        require(last != 0, "the path is too long")
        if node & 1 or node == last:
            reached = node_hash(step, reached)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            reached = node_hash(reached, step)
        node, last = node >> 1, last >> 1
    require(last == 0, "the path is too short")
    require(reached == root, "the path leads to another root")


def verify_consistency(older, older_root, newer, newer_root, path):
    require(0 <= older <= newer, "the newer tree is smaller")
    if older in (0, newer):
        require(not path, "the path must be empty")
        require(older_root == (newer_root if older else hashlib.sha256(b"").digest()), "the older root")
        return
    path = list(path) if older & (older - 1) else [older_root] + list(path)
    require(path, "the path is too short")
    node, last = older - 1, newer - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    older_reached = newer_reached = path[0]
    for step in path[1:]:
        require(last != 0, "the path is too long")
        if node & 1 or node == last:
            older_reached, newer_reached = node_hash(step, older_reached), node_hash(step, newer_reached)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            newer_reached = node_hash(newer_reached, step)
        node, last = node >> 1, last >> 1
    require(last == 0, "the path is too short")
    require(older_reached == older_root and newer_reached == newer_root, "the path leads to other roots")


# ---- Ed25519 (RFC 8032 section 5.1) ----------------------------------------------------------------------------

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
IDENTITY = (0, 1, 1, 0)


def add(a, b):
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    x, y, z, t = f - e, h - g, h + g, f + e
    return (x * y % P, z * t % P, y * z % P, x * t % P)


def multiply(number, point):
    out = IDENTITY
    while number:
        if number & 1:
            out = add(out, point)
        point, number = add(point, point), number >> 1
    return out


def decompress(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    require(y < P, "not a point of the curve")
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    require((x * x - square) % P == 0 and not (x == 0 and sign), "not a point of the curve")
    x = P - x if x & 1 != sign else x
    return (x, y, 1, x * y % P)


BASE = decompress(bytes.fromhex("58" + "66" * 31))


def verify_ed25519(public_key, message, signature):
    require(len(public_key) == 32 and len(signature) == 64, "a key's or a signature's length")
    scalar = int.from_bytes(signature[32:], "little")
    require(scalar < ORDER, "the signature's scalar")
    digest = hashlib.sha512(signature[:32] + public_key + message).digest()
    challenge = int.from_bytes(digest, "little") % ORDER
    left = multiply(scalar, BASE)
    right = add(decompress(signature[:32]), multiply(challenge, decompress(public_key)))
    same = (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0
    require(same, "the signature does not hold")


# ---- Checkpoints and receipts ----------------------------------------------------------------------------------

def from_base64(text, size=None):
    require(isinstance(text, str), "not a string")
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise Refused("not base64") from None
    require(base64.b64encode(data).decode() == text, "not the one spelling in base64")
    require(size is None or len(data) == size, "bytes of another length")
    return data


def verify_checkpoint(note, public_key):
    """(log id, size, root) of a checkpoint that this key signed."""
    body, blank, signatures = note.partition("\n\n")
    lines = body.split("\n")
    require(blank and len(lines) == 3, "the checkpoint has not three lines")
    origin, size, root = lines
    require(re.fullmatch("easyenclave/[0-9a-f]{32}", origin), "the checkpoint's origin")
    require(re.fullmatch("0|[1-9][0-9]{0,18}", size) and int(size) < 2**63, "the checkpoint's size")
    require(signatures.endswith("\n"), "the last signature's line has no end")
    key_hash = hashlib.sha256(origin.encode() + b"\n\1" + public_key).digest()[:4]
    found = False
    for line in signatures[:-1].split("\n"):
        match = re.fullmatch("\u2014 ([^ +]+) (\\S+)", line)
        require(match, "a signature's line")
        data = from_base64(match.group(2))
        if match.group(1) == origin and data[:4] == key_hash:
            verify_ed25519(public_key, (body + "\n").encode(), data[4:])
            found = True
    require(found, "the key has not signed the checkpoint")
    return origin.removeprefix("easyenclave/"), int(size), from_base64(root, 32)


def verify_place(proven, size, root):
    leaf, salt = from_base64(proven["leaf"]), from_base64(proven["salt"], 16)
    path = [from_base64(step, 32) for step in proven["path"]]
    verify_inclusion(leaf_hash(commitment(salt, leaf)), proven["leaf_index"], size, path, root)


def verify_receipt(receipt, expected_key=None):
    """The leaf, decoded, and the log's id, size and root; raises Refused."""
    members = {"leaf_index", "leaf", "salt", "path", "checkpoint", "log_key"}
    require(members <= set(receipt) <= members | {"attested"}, "the receipt's members")
    require(set(receipt["log_key"]) == {"leaf_index", "leaf", "salt", "path"}, "the members of log_key")
    leaf = decode_leaf(from_base64(receipt["leaf"]))
    log_key = decode_leaf(from_base64(receipt["log_key"]["leaf"]))
    require(log_key["kind"] == "log_key", "log_key is of another kind")
    key = log_key["fields"]
    require(key["last_size"] <= receipt["log_key"]["leaf_index"], "the key's last size")
    require(key["last_size"] or key["last_root"] == hashlib.sha256(b"").digest(), "the key's last root")
    if "attested" in receipt:
        require(receipt["attested"] is bool(key["quote"]), "attested, and not by a quote")
    require(expected_key in (None, key["public_key"]), "signed by another key than expected")
    log_id, size, root = verify_checkpoint(receipt["checkpoint"], key["public_key"])
    verify_place(receipt, size, root)
    verify_place(receipt["log_key"], size, root)
    return leaf, log_id, size, root


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--key", help="the log's public key, 32 bytes in base64")
    options = parser.parse_args()
    with open(options.file, encoding="utf-8") as file:
        receipt = json.load(file)
    try:
        key = from_base64(options.key, 32) if options.key else None
        leaf, log_id, size, root = verify_receipt(receipt, key)
    except (Refused, KeyError, TypeError) as why:
        print(f"refused: {why}")
        return 1
    print(f"leaf {receipt['leaf_index']} of {size} of the log {log_id}, root {root.hex()}")
    for name, value in leaf["fields"].items():
        print(f"  {name}: {value.hex() if isinstance(value, bytes) else value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
