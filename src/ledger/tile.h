#pragma once
// Tiles (C2SP tlog-tiles, height 8): how the nodes of the tree lie on disk, 256 hashes at a time. Tile
// (level, index) holds the nodes 256 * index .. 256 * index + 255 of the tree's level 8 * level; it is
// written once, when its last node is complete, and never changes.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "ledger/merkle.h"

namespace ee::ledger {

inline constexpr unsigned tile_height = 8;
inline constexpr std::size_t tile_hashes = std::size_t{1} << tile_height;
inline constexpr std::size_t tile_bytes = tile_hashes * sizeof(Hash);

// Of a tile among all of a log, by its level and then its index; below 2^63. nullopt: no log has such a tile.
constexpr std::optional<std::uint64_t> tile_number(unsigned level, std::uint64_t index) {
    constexpr unsigned index_bits = 56;
    if (level >= 64 / tile_height || index >> index_bits != 0) return std::nullopt;
    return std::uint64_t{level} << index_bits | index;
}

// A tile that became full: `hashes` is its 8 KiB, to be stored under (level, index).
struct Tile {
    unsigned level = 0;
    std::uint64_t index = 0;
    Bytes hashes;
};

// Where full tiles were stored.
class TileReader {
public:
    virtual ~TileReader() = default;
    // The 8 KiB of a full tile. The reader's own refusal when it has none or can't read.
    virtual Result<Bytes> read_tile(unsigned level, std::uint64_t index) const = 0;
};

// Up to 256 neighbouring nodes of one level and all the complete nodes above them, in the order in which they
// come to be (each node after its two children). A value: cheap to copy, at most 16 KiB.
class TileNodes {
public:
    // How many nodes of the tile's own level are there.
    std::size_t count() const { return count_; }
    // At most 256 times; one node hash each on average.
    void append(const Hash& hash);
    // The complete node that covers nodes [index << height, (index + 1) << height) of the tile's own level.
    const Hash& node(unsigned height, std::size_t index) const;
    // The 32 * count() bytes of the tile's own level.
    Bytes own_level() const;

private:
    std::size_t count_ = 0;
    std::vector<Hash> nodes_;
};

// The nodes of tiles read lately, at most 256 tiles (4 MiB). Only what the store holds for good may come out
// of `reader`: a tile of a transaction that is rolled back would stay. Not thread-safe.
class TileCache {
public:
    explicit TileCache(const TileReader& reader, std::size_t tiles_max = 256)
        : reader_(reader), tiles_max_(tiles_max) {}

    // The nodes if they are here; null when the tile has to be read.
    std::shared_ptr<const TileNodes> find(unsigned level, std::uint64_t index);
    // Reads a tile without keeping it. `tile_malformed` when it is not 8 KiB, else the reader's refusal.
    Result<std::shared_ptr<const TileNodes>> read(unsigned level, std::uint64_t index) const;
    // In the place of one of the lowest level, which cover the fewest leaves; of these the one that was used
    // longest ago.
    void keep(unsigned level, std::uint64_t index, std::shared_ptr<const TileNodes> nodes);

private:
    struct Entry {
        unsigned level = 0;
        std::uint64_t used = 0;
        std::shared_ptr<const TileNodes> nodes{};
    };

    const TileReader& reader_;
    std::size_t tiles_max_;
    std::uint64_t uses_ = 0;
    std::unordered_map<std::uint64_t, Entry> entries_;  // by tile_number()
};

// A full tile's nodes. `tile_malformed` when it is not 8 KiB.
Result<TileNodes> nodes_of_tile(ByteSpan hashes);

}  // namespace ee::ledger
