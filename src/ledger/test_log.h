#pragma once
// For tests: RFC 9162 hashing by its recursive definitions, and full tiles kept in memory.

#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ledger/log_tree.h"

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

}  // namespace ee::ledger::test
