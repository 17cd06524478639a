#include "ledger/tile.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "base/check.h"

namespace ee::ledger {
namespace {

// How many complete nodes there are over `count` nodes of the lowest level.
std::size_t nodes_over(std::size_t count) {
    return 2 * count - static_cast<std::size_t>(std::popcount(count));
}

// Where in that order the node `height` levels above, whose last descendant is `last`, comes to be.
std::size_t position(std::size_t last, unsigned height) {
    return nodes_over(last) + height;
}

}  // namespace

void TileNodes::append(const Hash& hash) {
    EE_CHECK(count_ < tile_hashes);
    nodes_.push_back(hash);
    // Each trailing 1 of the node's number is a left neighbour waiting to be joined with.
    for (unsigned height = 0; (count_ >> height & 1) != 0; ++height) {
        const std::size_t left = position(count_ - (std::size_t{1} << height), height);
        const Hash joined = node_hash(nodes_[left], nodes_.back());
        nodes_.push_back(joined);
    }
    ++count_;
}

const Hash& TileNodes::node(unsigned height, std::size_t index) const {
    const std::size_t end = (index + 1) << height;
    EE_CHECK(height <= tile_height && end <= count_);
    return nodes_[position(end - 1, height)];
}

Bytes TileNodes::own_level() const {
    Bytes out;
    out.reserve(count_ * sizeof(Hash));
    for (std::size_t i = 0; i < count_; ++i) {
        const Hash& hash = node(0, i);
        out.insert(out.end(), hash.begin(), hash.end());
    }
    return out;
}

std::shared_ptr<const TileNodes> TileCache::find(unsigned level, std::uint64_t index) {
    const auto found = entries_.find(tile_number(level, index).value());
    if (found == entries_.end()) return nullptr;
    found->second.used = ++uses_;
    return found->second.nodes;
}

Result<std::shared_ptr<const TileNodes>> TileCache::read(unsigned level, std::uint64_t index) const {
    const auto hashes = reader_.read_tile(level, index);
    if (!hashes) return fail(hashes.error());
    auto nodes = nodes_of_tile(*hashes);
    if (!nodes) return fail(std::move(nodes.error()));
    return std::make_shared<const TileNodes>(std::move(*nodes));
}

void TileCache::keep(unsigned level, std::uint64_t index, std::shared_ptr<const TileNodes> nodes) {
    if (entries_.size() >= tiles_max_ && !entries_.empty())
        entries_.erase(std::min_element(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) {
            return std::pair(a.second.level, a.second.used) < std::pair(b.second.level, b.second.used);
        }));
    entries_[tile_number(level, index).value()] = {
        .level = level, .used = ++uses_, .nodes = std::move(nodes)};
}

Result<TileNodes> nodes_of_tile(ByteSpan hashes) {
    if (hashes.size() != tile_bytes)
        return fail("tile_malformed", fmt::format("{} bytes, a full tile has {}", hashes.size(), tile_bytes));
    TileNodes nodes;
    for (std::size_t at = 0; at < tile_bytes; at += sizeof(Hash)) {
        Hash hash;
        std::copy_n(hashes.begin() + static_cast<std::ptrdiff_t>(at), sizeof(Hash), hash.begin());
        nodes.append(hash);
    }
    return nodes;
}

}  // namespace ee::ledger
