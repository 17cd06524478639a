#pragma once
// For tests: RFC 9162 hashing by its recursive definitions, full tiles kept in memory, and a small log with
// leaves, salts and a key.

#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ledger/leaf.h"
#include "ledger/log_tree.h"
#include "ledger/receipt.h"

namespace ee::ledger::test {

// Section 2.1 as it is written, over the leaf hashes of D; roots of ranges are remembered.
class RecursiveTree {
public:
    explicit RecursiveTree(std::vector<Hash> leaves) : leaves_(std::move(leaves)) {}

    // MTH(D[begin:end]).
    Hash root(std::uint64_t begin, std::uint64_t end) {
        if (begin == end) return empty_root();
        if (end - begin == 1) return leaves_[begin];
        const auto known = roots_.find(begin << 32 | end);
        if (known != roots_.end()) return known->second;
        const std::uint64_t k = split(end - begin);
        const Hash hash = node_hash(root(begin, begin + k), root(begin + k, end));
        roots_.emplace(begin << 32 | end, hash);
        return hash;
    }

    // PATH(m, D[begin:end]), section 2.1.3.1; m counts from `begin`.
    ProofPath path(std::uint64_t m, std::uint64_t begin, std::uint64_t end) {
        if (end - begin == 1) return {};
        const std::uint64_t k = split(end - begin);
        ProofPath out = m < k ? path(m, begin, begin + k) : path(m - k, begin + k, end);
        out.push_back(m < k ? root(begin + k, end) : root(begin, begin + k));
        return out;
    }

    // PROOF(m, D[0:end]), section 2.1.4.1, for 0 < m < end; empty at both ends.
    ProofPath proof(std::uint64_t m, std::uint64_t end) {
        if (m == 0 || m == end) return {};
        return subproof(m, 0, end, true);
    }

private:
    static std::uint64_t split(std::uint64_t n) {
        std::uint64_t k = 1;
        while (k * 2 < n) k *= 2;
        return k;
    }

    ProofPath subproof(std::uint64_t m, std::uint64_t begin, std::uint64_t end, bool whole) {
        if (m == end - begin) return whole ? ProofPath{} : ProofPath{root(begin, end)};
        const std::uint64_t k = split(end - begin);
        ProofPath out =
            m <= k ? subproof(m, begin, begin + k, whole) : subproof(m - k, begin + k, end, false);
        out.push_back(m <= k ? root(begin + k, end) : root(begin, begin + k));
        return out;
    }

    std::vector<Hash> leaves_;
    std::unordered_map<std::uint64_t, Hash> roots_;
};

class MemoryTiles final : public TileReader {
public:
    void store(std::vector<Tile> tiles) {
        for (Tile& tile : tiles) tiles_[{tile.level, tile.index}] = std::move(tile.hashes);
    }
    Result<Bytes> read_tile(unsigned level, std::uint64_t index) const override {
        ++reads;
        const auto found = tiles_.find({level, index});
        if (found == tiles_.end()) return fail("tile_missing", "no such tile");
        return found->second;
    }

    std::map<std::pair<unsigned, std::uint64_t>, Bytes> tiles_;
    mutable int reads = 0;
};

inline Hash numbered_leaf(std::uint64_t number) {
    ByteArray<8> bytes;
    for (unsigned i = 0; i < 8; ++i) bytes[i] = static_cast<std::uint8_t>(number >> (8 * i));
    return leaf_hash(bytes);
}

// A tree of numbered leaves whose tiles are in memory.
struct NumberedLog {
    explicit NumberedLog(std::uint64_t size) {
        for (std::uint64_t i = 0; i < size; ++i) append();
    }
    void append() {
        leaves.push_back(numbered_leaf(leaves.size()));
        std::vector<Tile> full;
        tree.append(leaves.back(), full);
        tiles.store(std::move(full));
    }

    std::vector<Hash> leaves;
    MemoryTiles tiles;
    LogTree tree;
};

inline Leaf grid_leaf() {
    return {.kind = LeafKind::grid, .fields = {field("hour")}};
}

// 12.50 USD for `account`, after which it has as much.
inline Leaf entry_leaf(std::string_view account) {
    const std::int64_t amount = 12'500'000;
    return {.kind = LeafKind::entry,
            .fields = {field(std::uint64_t{1}), field(account), field("purchase"), field("@issued"),
                       field(amount), field(std::int64_t{0}), field(amount), field(std::int64_t{0}),
                       field("inv-1"), field("")}};
}

// A log as the ledger keeps it: each leaf gets the next number and a salt.
struct SaltedLog {
    void append(Leaf leaf) {
        leaf.seq = leaves.size();
        leaf.time_us = 1'767'225'600'000'000 + static_cast<std::int64_t>(leaf.seq);
        const Hash salted = leaf_hash(field(leaf.seq));
        Salt salt;
        std::copy_n(salted.begin(), salt.size(), salt.begin());
        salts.push_back(salt);
        leaves.push_back(encode_leaf(leaf).value());
        leaf_hashes.push_back(log_leaf_hash(salt, leaves.back()));
        std::vector<Tile> full;
        tree.append(leaf_hashes.back(), full);
        tiles.store(std::move(full));
    }
    Leaf log_key_leaf() const {
        return {.kind = LeafKind::log_key,
                .fields = {field(public_key()), {}, {}, field(tree.size()), field(tree.root()), {}, {}, {}}};
    }
    void append_log_key() { append(log_key_leaf()); }
    ByteArray<32> public_key() const { return crypto::Ed25519PublicKey::from_spki(key.spki()).value().raw(); }
    Hash root_at(std::uint64_t size) const {
        TileCache cache(tiles);
        return tree.root_at(size, cache).value();
    }
    ProvenLeaf proven(std::uint64_t index) const {
        TileCache cache(tiles);
        return {.index = index,
                .leaf = leaves[index],
                .salt = salts[index],
                .path = tree.inclusion_proof(index, tree.size(), cache).value()};
    }
    Receipt receipt(std::uint64_t index, std::uint64_t log_key_index) const {
        return {.leaf = proven(index),
                .checkpoint = sign_checkpoint({.log_id = log_id, .head = tree.head()}, key),
                .log_key = proven(log_key_index),
                .attested = std::nullopt};
    }

    std::string log_id = "0123456789abcdef0123456789abcdef";
    crypto::SigningKey key = crypto::SigningKey::generate(crypto::KeyKind::ed25519);
    std::vector<Bytes> leaves;
    std::vector<Salt> salts;
    std::vector<Hash> leaf_hashes;
    MemoryTiles tiles;
    LogTree tree;
};

}  // namespace ee::ledger::test
