#pragma once
// The log's Merkle tree as a value: its size, and the tile at the right edge of each level. All other nodes
// are in full tiles (tile.h), which append() hands out once and the proofs read back.

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "ledger/merkle.h"
#include "ledger/tile.h"

namespace ee::ledger {

// Copying it copies at most 16 KiB a level (three levels hold 16 million leaves): whoever writes in a
// transaction appends to a copy and keeps that once the transaction has committed. Reading may happen on
// several threads at once, each with its own TileCache.
class LogTree {
public:
    // The empty tree.
    LogTree() = default;
    // The tree as it was: `tail` are the leaf hashes of the last size % 256 leaves, those after the last full
    // tile of level 0. The edges of the higher levels are made from full tiles, at most 255 a level are read.
    // Whoever knows the root compares it. `log_tail_mismatch` when `tail` is not of that length,
    // `tile_malformed`, or the reader's refusal.
    static Result<LogTree> open(std::uint64_t size, const TileReader& reader, std::span<const Hash> tail);

    std::uint64_t size() const { return size_; }
    Hash root() const;
    TreeHead head() const { return {.size = size_, .root = root()}; }

    // Appends a leaf hash, and to `full` the tiles that this completed, lowest level first. The caller stores
    // them in the transaction that stores the leaf.
    void append(const Hash& leaf, std::vector<Tile>& full);

    // What it was, and proofs about what it was, when it had `size` leaves: the same for ever.
    // `log_range` when it never had, or there is no such leaf; `tile_corrupt` when a tile read is not below
    // the edge that is held here; `tile_malformed`, or the reader's refusal.
    Result<Hash> root_at(std::uint64_t size, TileCache& tiles) const;
    Result<ProofPath> inclusion_proof(std::uint64_t index, std::uint64_t size, TileCache& tiles) const;
    Result<ProofPath> consistency_proof(std::uint64_t older_size, std::uint64_t newer_size,
                                        TileCache& tiles) const;

private:
    // How many nodes are complete at a level of tiles.
    std::uint64_t complete(unsigned level) const {
        return tile_height * level < 64 ? size_ >> (tile_height * level) : 0;
    }
    Result<Hash> node(unsigned height, std::uint64_t index, TileCache& tiles) const;
    Result<Hash> range(std::uint64_t begin, std::uint64_t end, TileCache& tiles) const;
    Result<std::shared_ptr<const TileNodes>> full_tile(unsigned level, std::uint64_t index,
                                                       TileCache& tiles) const;

    std::uint64_t size_ = 0;
    std::vector<TileNodes> edges_;  // by level; never full
};

}  // namespace ee::ledger
