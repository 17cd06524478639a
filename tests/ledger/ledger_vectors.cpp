// Prints the test vectors of docs/ledger-log-vectors.json: leaves of every kind, the log made of them, and
// proofs about it. The same at every run; check_vectors.py compares, and writes the file.
#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include "base/base64.h"
#include "base/hex.h"
#include "base/json_writer.h"
#include "ledger/log_tree.h"
#include "ledger/receipt.h"

using namespace ee;
using namespace ee::ledger;

namespace {

constexpr std::string_view log_id = "000102030405060708090a0b0c0d0e0f";
constexpr std::int64_t start_us = 1'767'225'600'000'000;  // 2026-01-01T00:00:00Z

struct Vector {
    const char* name;
    Leaf leaf;
};

Hash digest_of(std::string_view text) {
    return crypto::sha256(as_bytes(text));
}

// The private key 00 01 02 ... 1f (RFC 8032), as PKCS#8.
crypto::SigningKey vector_key() {
    Bytes der = from_hex("302e020100300506032b657004220420").value();
    for (std::uint8_t i = 0; i < 32; ++i) der.push_back(i);
    return crypto::SigningKey::from_pem("-----BEGIN PRIVATE KEY-----\n" + to_base64(der) +
                                        "\n-----END PRIVATE KEY-----\n")
        .value();
}

Leaf entry(std::uint64_t transfer, const char* account, const char* kind, const char* counterparty,
           std::int64_t available, std::int64_t locked, std::int64_t available_after,
           std::int64_t locked_after, const char* reference, const char* memo) {
    return {.kind = LeafKind::entry,
            .fields = {field(transfer), field(account), field(kind), field(counterparty), field(available),
                       field(locked), field(available_after), field(locked_after), field(reference),
                       field(memo)}};
}

std::vector<Vector> money_vectors() {
    return {
        {"a purchase, the side of @issued",
         entry(1, "@issued", "purchase", "alice", -12'500'000, 0, -12'500'000, 0, "invoice-1", "")},
        {"a purchase, the user's side",
         entry(1, "alice", "purchase", "@issued", 12'500'000, 0, 12'500'000, 0, "invoice-1", "")},
        {"a lock", entry(2, "alice", "lock", "alice", -1'000'001, 1'000'001, 11'499'999, 1'000'001, "", "")},
        {"the same with a byte moved from one field to the next",
         entry(3, "alic", "elock", "alice", -1'000'001, 1'000'001, 11'499'999, 1'000'001, "", "")},
        {"the largest and smallest numbers, and UTF-8",
         entry(UINT64_MAX, "z", "transfer", "node:n-1", INT64_MIN, INT64_MAX, -1, 0,
               "\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\x91", "line\nfeed and \"quotes\"")},
        {"a settlement of a unit without an app",
         {.kind = LeafKind::settlement,
          .fields = {field("2026-01-01T00"), field("n-1"), field(""), field("pass"), field(""),
                     field(std::int64_t{1'000'000}), field(std::int64_t{1}), field(std::uint64_t{1}),
                     field(digest_of("evidence"))}}},
        {"usage of which some was not collected",
         {.kind = LeafKind::usage,
          .fields = {field("alice"), field("n-1"), field(""), field("2026-01-01T00"),
                     field(std::int64_t{1'500'000}), field(std::int64_t{1'000'001}), field(std::int64_t{1}),
                     field("u-1")}}},
        {"a settlement of an app that failed",
         {.kind = LeafKind::settlement,
          .fields = {field("2026-01-01T01"), field("n-1"), field("myapp"), field("fail"),
                     field("health_miss attest_miss"), field(std::int64_t{0}), field(std::int64_t{2'000'000}),
                     field(std::uint64_t{1}), field(digest_of("more evidence"))}}},
    };
}

std::vector<Vector> conduct_vectors() {
    return {
        {"an abuse decision",
         {.kind = LeafKind::abuse_decision,
          .fields = {field("r-1"), field("n-1"), field(""), field("2026-01-01T00"), field("authorized"),
                     field("owner:alice")}}},
        {"a slashing",
         {.kind = LeafKind::slashing,
          .fields = {field("s-1"), field("n-1"), field("downtime_migration"), field(std::int64_t{30'000'000}),
                     field("one day of revenue")}}},
        {"an outage",
         {.kind = LeafKind::outage,
          .fields = {field(start_us), field(start_us + 20'000'000), field("liveness_gap")}}},
        {"an observation from outside",
         {.kind = LeafKind::observation,
          .fields = {field("n-1"), field("myapp"), field("e-1"), field("health_pass"), field(start_us),
                     field(start_us + 30'000'000), field("https://uptime.example/e-1")}}},
    };
}

std::vector<Vector> rule_vectors() {
    return {
        {"an allowlist",
         {.kind = LeafKind::allowlist,
          .fields = {field("org/repo"), field("v0.1.3"), field(digest_of("allowlist")), field("")}}},
        {"a policy",
         {.kind = LeafKind::policy, .fields = {field("forge-1"), field(digest_of("{}")), field("{}")}}},
        {"a call",
         {.kind = LeafKind::call,
          .fields = {field("admin"), field("POST"), field("/v1/nodes/n-1"), field(digest_of("request")),
                     field(ByteSpan(digest_of("address")).first(16))}}},
        {"a restored log",
         {.kind = LeafKind::restored, .fields = {field(std::uint64_t{14}), field(std::uint64_t{2})}}},
        {"a grid of hours", {.kind = LeafKind::grid, .fields = {field("hour")}}},
        {"a grid whose leaf has the largest sequence number and a time before 1970",
         {.kind = LeafKind::grid, .seq = UINT64_MAX, .time_us = -1, .fields = {field("day")}}},
    };
}

// Without a TEE: no quote, no collateral.
Leaf log_key(std::uint64_t last_size, const Hash& last_root) {
    const auto key = crypto::Ed25519PublicKey::from_spki(vector_key().spki()).value();
    return {.kind = LeafKind::log_key,
            .fields = {field(key.raw()), Bytes{}, Bytes{}, field(last_size), field(last_root),
                       field("easyenclave/easyenclave"), field("v0.2.0"), Bytes{}}};
}

class Tiles final : public TileReader {
public:
    Result<Bytes> read_tile(unsigned, std::uint64_t) const override {
        return fail("tile_missing", "twenty leaves fill no tile");
    }
};

struct Log {
    void append(Vector vector) {
        if (vector.leaf.seq == 0) {
            vector.leaf.seq = leaves.size();
            vector.leaf.time_us = start_us + static_cast<std::int64_t>(leaves.size()) * 1'000'001;
        }
        Salt salt;
        const Hash seed =
            crypto::sha256({as_bytes("salt of vector "), as_bytes(std::to_string(leaves.size()))});
        std::copy_n(seed.begin(), salt.size(), salt.begin());
        salts.push_back(salt);
        leaves.push_back(encode_leaf(vector.leaf).value());
        vectors.push_back(std::move(vector));
        std::vector<Tile> full;
        tree.append(log_leaf_hash(salt, leaves.back()), full);
        heads.push_back(tree.head());
    }
    ProvenLeaf proven(std::uint64_t index, std::uint64_t size) const {
        TileCache cache(tiles);
        return {.index = index,
                .leaf = leaves[index],
                .salt = salts[index],
                .path = tree.inclusion_proof(index, size, cache).value()};
    }

    std::vector<Vector> vectors;
    std::vector<Bytes> leaves;
    std::vector<Salt> salts;
    std::vector<TreeHead> heads = {{.size = 0, .root = empty_root()}};
    Tiles tiles;
    LogTree tree;
};

Log make_log() {
    Log log;
    log.append({"the key of a log without a TEE", log_key(0, empty_root())});
    for (const auto& group : {money_vectors(), conduct_vectors(), rule_vectors()})
        for (const Vector& vector : group) log.append(vector);
    log.append({"the same key at the next start", log_key(log.tree.size(), log.tree.root())});
    return log;
}

void write_field_value(JsonWriter& json, const FieldRule& rule, const Leaf& leaf) {
    json.begin_object().field("name", rule.name);
    switch (rule.type) {
        case FieldType::u64: json.field("u64", std::to_string(leaf.u64(rule.name))); break;
        case FieldType::i64: json.field("i64", std::to_string(leaf.i64(rule.name))); break;
        case FieldType::text: json.field("text", leaf.text(rule.name)); break;
        case FieldType::bytes:
        case FieldType::digest:
        case FieldType::digest_or_empty: json.field("hex", to_hex(leaf.bytes(rule.name))); break;
    }
    json.end_object();
}

void write_vector(JsonWriter& json, const Log& log, std::size_t index) {
    const Leaf& leaf = log.vectors[index].leaf;
    json.begin_object()
        .field("name", log.vectors[index].name)
        .field("kind", static_cast<unsigned>(leaf.kind))
        .field("kind_name", to_string(leaf.kind))
        .field("seq", std::to_string(leaf.seq))
        .field("time_us", std::to_string(leaf.time_us))
        .key("fields")
        .begin_array();
    for (const FieldRule& rule : find_leaf_kind(static_cast<std::uint8_t>(leaf.kind))->fields)
        write_field_value(json, rule, leaf);
    json.end_array()
        .field("leaf", to_hex(log.leaves[index]))
        .field("salt", to_hex(log.salts[index]))
        .field("commitment", to_hex(commitment(log.salts[index], log.leaves[index])))
        .field("leaf_hash", to_hex(log_leaf_hash(log.salts[index], log.leaves[index])))
        .end_object();
}

void write_path(JsonWriter& json, const ProofPath& path) {
    json.key("path").begin_array();
    for (const Hash& hash : path) json.value(to_hex(hash));
    json.end_array();
}

void write_proofs(JsonWriter& json, const Log& log) {
    TileCache cache(log.tiles);
    json.key("inclusion").begin_array();
    for (const std::uint64_t size : {1U, 2U, 7U, 8U, 13U, 20U}) {
        for (const std::uint64_t index : {std::uint64_t{0}, size / 2, size - 1}) {
            json.begin_object().field("index", index).field("size", size);
            write_path(json, log.tree.inclusion_proof(index, size, cache).value());
            json.end_object();
        }
    }
    json.end_array().key("consistency").begin_array();
    for (const auto& [older, newer] : std::vector<std::pair<std::uint64_t, std::uint64_t>>{
             {0, 20}, {1, 1}, {1, 8}, {2, 5}, {6, 8}, {7, 20}, {8, 20}, {16, 20}, {19, 20}, {20, 20}}) {
        json.begin_object().field("older", older).field("newer", newer);
        write_path(json, log.tree.consistency_proof(older, newer, cache).value());
        json.end_object();
    }
    json.end_array();
}

void write_receipts(JsonWriter& json, const Log& log) {
    json.key("receipts").begin_array();
    for (const auto& [index, key_index, size] : std::vector<std::array<std::uint64_t, 3>>{
             {2, 0, 3}, {2, 0, 20}, {2, 19, 20}, {0, 0, 1}, {18, 19, 20}}) {
        write_receipt(json, {.leaf = log.proven(index, size),
                             .checkpoint = sign_checkpoint(
                                 {.log_id = std::string(log_id), .head = log.heads[size]}, vector_key()),
                             .log_key = log.proven(key_index, size),
                             .attested = false});
    }
    json.end_array();
}

std::string vectors_json() {
    const Log log = make_log();
    std::string text;
    JsonWriter json(text);
    json.begin_object().field("about",
                              "Test vectors of the ledger's log; docs/ledger-log.md says how to read them.");
    json.field("log_id", log_id);
    const auto key = crypto::Ed25519PublicKey::from_spki(vector_key().spki()).value();
    json.key("key")
        .begin_object()
        .field("seed", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
        .field("public_key", to_hex(key.raw()))
        .field("verifier_key", note_verifier_key(log_origin(log_id), key.raw()))
        .end_object();
    json.key("leaves").begin_array();
    for (std::size_t i = 0; i < log.leaves.size(); ++i) write_vector(json, log, i);
    json.end_array().key("roots").begin_array();
    for (const TreeHead& head : log.heads) json.value(to_hex(head.root));
    json.end_array();
    write_proofs(json, log);
    write_receipts(json, log);
    json.end_object();
    return text;
}

}  // namespace

int main() {
    std::fputs(vectors_json().c_str(), stdout);
    std::fputc('\n', stdout);
    return 0;
}
