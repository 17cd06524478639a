#!/usr/bin/python3
"""Checks docs/ledger-log-vectors.json by a verifier of its own (verify_receipt.py), and that the product makes the
same.

    check_vectors.py --program FILE [--write]    FILE: the program ledger_vectors; --write renews the vectors
"""

import argparse
import copy
import hashlib
import json
import pathlib
import subprocess
import sys

sys.dont_write_bytecode = True
import verify_receipt as verifier  # noqa: E402

VECTORS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "ledger-log-vectors.json"
FIELD_COLUMNS = ("u64", "i64", "text", "hex")


def expect(holds, what):
    if not holds:
        raise AssertionError(what)


def check_leaf(vector):
    leaf, salt = bytes.fromhex(vector["leaf"]), bytes.fromhex(vector["salt"])
    decoded = verifier.decode_leaf(leaf)
    expect(decoded["number"] == vector["kind"] and decoded["kind"] == vector["kind_name"], "kind")
    expect(decoded["seq"] == int(vector["seq"]) and decoded["time_us"] == int(vector["time_us"]), "header")
    expect(len(vector["fields"]) == len(decoded["fields"]), "number of fields")
    for field in vector["fields"]:
        value = decoded["fields"][field["name"]]
        column = next(name for name in FIELD_COLUMNS if name in field)
        shown = value.hex() if isinstance(value, bytes) else value
        expect(shown == (int(field[column]) if column in ("u64", "i64") else field[column]), field["name"])
    expect(verifier.commitment(salt, leaf).hex() == vector["commitment"], "commitment")
    expect(verifier.leaf_hash(bytes.fromhex(vector["commitment"])).hex() == vector["leaf_hash"], "leaf hash")


def root_of(hashes):
    """MTH of RFC 9162 section 2.1.1."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return verifier.node_hash(root_of(hashes[:k]), root_of(hashes[k:]))


def check_tree(vectors):
    hashes = [bytes.fromhex(leaf["leaf_hash"]) for leaf in vectors["leaves"]]
    roots = [bytes.fromhex(root) for root in vectors["roots"]]
    expect(len(roots) == len(hashes) + 1, "a root for each size")
    for size, root in enumerate(roots):
        expect(root_of(hashes[:size]) == root, f"root of size {size}")
    for proof in vectors["inclusion"]:
        path = [bytes.fromhex(step) for step in proof["path"]]
        verifier.verify_inclusion(hashes[proof["index"]], proof["index"], proof["size"], path, roots[proof["size"]])
    for proof in vectors["consistency"]:
        older, newer = proof["older"], proof["newer"]
        path = [bytes.fromhex(step) for step in proof["path"]]
        verifier.verify_consistency(older, roots[older], newer, roots[newer], path)


def refused(receipt):
    try:
        verifier.verify_receipt(receipt)
    except verifier.Refused:
        return True
    return False


def check_receipts(vectors):
    key = bytes.fromhex(vectors["key"]["public_key"])
    for receipt in vectors["receipts"]:
        _, log_id, size, root = verifier.verify_receipt(receipt, key)
        expect(log_id == vectors["log_id"] and root.hex() == vectors["roots"][size], "checkpoint")
        # And that this verifier would notice.
        for place in ("leaf", "salt"):
            altered = copy.deepcopy(receipt)
            first = "A" if altered[place][2] != "A" else "B"
            altered[place] = altered[place][:2] + first + altered[place][3:]
            expect(refused(altered), f"an altered {place}")
        altered = copy.deepcopy(receipt)
        altered["leaf_index"] += 1
        expect(refused(altered), "an altered index")
        altered = copy.deepcopy(receipt)
        altered["checkpoint"] = altered["checkpoint"].replace(f"\n{size}\n", f"\n{size + 1}\n")
        expect(refused(altered), "an altered size")
        altered = copy.deepcopy(receipt)
        altered["path"] = altered["path"] + [altered["salt"] + "AAAA" * 5]
        expect(refused(altered), "a longer path")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", required=True)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    made = json.loads(subprocess.run([options.program], check=True, capture_output=True, text=True).stdout)
    if options.write:
        VECTORS.write_text(json.dumps(made, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")
    vectors = json.loads(VECTORS.read_text(encoding="utf-8"))
    expect(made == vectors, f"the product makes other vectors than {VECTORS.name}; --write renews them")
    expect(len(vectors["leaves"]) >= 20, "twenty leaves")
    expect({leaf["kind"] for leaf in vectors["leaves"]} == set(verifier.KINDS), "a leaf of each kind")
    for vector in vectors["leaves"]:
        check_leaf(vector)
    check_tree(vectors)
    check_receipts(vectors)
    print(f"vectors: {len(vectors['leaves'])} leaves, {len(vectors['inclusion']) + len(vectors['consistency'])} proofs, "
          f"{len(vectors['receipts'])} receipts: good")
    return 0


if __name__ == "__main__":
    sys.exit(main())
