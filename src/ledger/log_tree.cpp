#include "ledger/log_tree.h"

#include <algorithm>
#include <bit>
#include <optional>

#include <fmt/format.h>

#include "base/check.h"
#include "base/hex.h"

namespace ee::ledger {
namespace {

// The largest power of two below `size`: where RFC 9162 splits a tree of two or more leaves.
std::uint64_t split(std::uint64_t size) {
    return std::bit_floor(size - 1);
}

// The root of a full tile, without keeping its nodes.
Result<Hash> root_of_tile(const TileReader& reader, unsigned level, std::uint64_t index) {
    const auto hashes = reader.read_tile(level, index);
    if (!hashes) return fail(hashes.error());
    const auto nodes = nodes_of_tile(*hashes);
    if (!nodes) return fail(nodes.error());
    return nodes->node(tile_height, 0);
}

tl::unexpected<Error> never_had(std::uint64_t size, std::uint64_t has) {
    return fail("log_range", fmt::format("asked for a tree of {} leaves, the log has {}", size, has));
}

}  // namespace

Result<LogTree> LogTree::open(std::uint64_t size, const TileReader& reader, std::span<const Hash> tail) {
    if (size > tree_size_max)
        return fail("log_range", fmt::format("{} leaves, a log has {} at most", size, tree_size_max));
    if (tail.size() != size % tile_hashes)
        return fail("log_tail_mismatch",
                    fmt::format("{} leaf hashes after the last full tile, {} leaves have {}", tail.size(),
                                size, size % tile_hashes));
    LogTree tree;
    tree.size_ = size;
    for (unsigned level = 0; tree.complete(level) > 0; ++level) {
        TileNodes& edge = tree.edges_.emplace_back();
        if (level == 0) {
            for (const Hash& hash : tail) edge.append(hash);
            continue;
        }
        const std::uint64_t end = tree.complete(level);
        for (std::uint64_t index = end - end % tile_hashes; index < end; ++index) {
            const auto root = root_of_tile(reader, level - 1, index);
            if (!root) return fail(root.error());
            edge.append(*root);
        }
    }
    return tree;
}

void LogTree::append(const Hash& leaf, std::vector<Tile>& full) {
    EE_CHECK(size_ < tree_size_max);
    ++size_;
    Hash hash = leaf;
    for (unsigned level = 0;; ++level) {
        if (level == edges_.size()) edges_.emplace_back();
        TileNodes& edge = edges_[level];
        edge.append(hash);
        if (edge.count() < tile_hashes) return;
        full.push_back(
            {.level = level, .index = complete(level) / tile_hashes - 1, .hashes = edge.own_level()});
        hash = edge.node(tile_height, 0);
        edge = TileNodes();
    }
}

Hash LogTree::root() const {
    if (size_ == 0) return empty_root();
    // From the right: the complete trees that the size's binary digits stand for, smallest first.
    std::optional<Hash> joined;
    for (unsigned level = 0; level < edges_.size(); ++level) {
        const std::size_t count = edges_[level].count();
        for (unsigned height = 0; height < tile_height; ++height) {
            if ((count >> height & 1) == 0) continue;
            const Hash& left = edges_[level].node(height, (count >> height) - 1);
            joined = joined ? node_hash(left, *joined) : left;
        }
    }
    EE_CHECK(joined.has_value());
    return *joined;
}

// A full tile, known to be what lies below the edge that is held in memory.
Result<std::shared_ptr<const TileNodes>> LogTree::full_tile(unsigned level, std::uint64_t index,
                                                            TileCache& tiles) const {
    if (auto found = tiles.find(level, index)) return found;
    auto read = tiles.read(level, index);
    if (!read) return read;
    const auto expected = node(tile_height * (level + 1), index, tiles);
    if (!expected) return fail(expected.error());
    const Hash& root = (*read)->node(tile_height, 0);
    if (root != *expected)
        return fail("tile_corrupt", fmt::format("tile {} of level {} has the root {}, the tree has {}", index,
                                                level, to_hex(root), to_hex(*expected)));
    tiles.keep(level, index, *read);
    return read;
}

// The complete node that covers leaves [index << height, (index + 1) << height).
Result<Hash> LogTree::node(unsigned height, std::uint64_t index, TileCache& tiles) const {
    const unsigned level = height / tile_height;
    const unsigned inner = height % tile_height;
    const std::uint64_t tile = index >> (tile_height - inner);
    const std::size_t in_tile = index & ((tile_hashes >> inner) - 1);
    if (tile == complete(level) / tile_hashes) return edges_[level].node(inner, in_tile);
    const auto nodes = full_tile(level, tile, tiles);
    if (!nodes) return fail(nodes.error());
    return (*nodes)->node(inner, in_tile);
}

// MTH(D[begin:end]), where `begin` is where RFC 9162's splitting would begin one of that length.
Result<Hash> LogTree::range(std::uint64_t begin, std::uint64_t end, TileCache& tiles) const {
    // The complete trees that the length's binary digits stand for, from the right, smallest first.
    EE_CHECK(begin < end);
    std::optional<Hash> joined;
    for (std::uint64_t length = end - begin; length > 0; length &= length - 1) {
        const auto height = static_cast<unsigned>(std::countr_zero(length));
        end -= std::uint64_t{1} << height;
        auto left = node(height, end >> height, tiles);
        if (!left) return left;
        joined = joined ? node_hash(*left, *joined) : *left;
    }
    return *joined;
}

Result<Hash> LogTree::root_at(std::uint64_t size, TileCache& tiles) const {
    if (size > size_) return never_had(size, size_);
    return size == 0 ? empty_root() : range(0, size, tiles);
}

Result<ProofPath> LogTree::inclusion_proof(std::uint64_t index, std::uint64_t size, TileCache& tiles) const {
    if (size > size_) return never_had(size, size_);
    if (index >= size)
        return fail("log_range", fmt::format("asked for leaf {} of a tree of {} leaves", index, size));
    ProofPath path;
    path.reserve(static_cast<std::size_t>(std::bit_width(size)));
    std::uint64_t begin = 0;
    std::uint64_t end = size;
    while (end - begin > 1) {
        const std::uint64_t middle = begin + split(end - begin);
        const bool left = index < middle;
        const auto sibling = left ? range(middle, end, tiles) : range(begin, middle, tiles);
        if (!sibling) return fail(sibling.error());
        path.push_back(*sibling);
        (left ? end : begin) = middle;
    }
    std::reverse(path.begin(), path.end());
    return path;
}

Result<ProofPath> LogTree::consistency_proof(std::uint64_t older_size, std::uint64_t newer_size,
                                             TileCache& tiles) const {
    if (newer_size > size_) return never_had(newer_size, size_);
    if (older_size > newer_size)
        return fail("log_range",
                    fmt::format("asked for a proof from {} leaves to {}", older_size, newer_size));
    ProofPath path;
    if (older_size == 0) return path;
    std::uint64_t begin = 0;
    std::uint64_t end = newer_size;
    while (older_size != end) {
        const std::uint64_t middle = begin + split(end - begin);
        const bool left = older_size <= middle;
        const auto sibling = left ? range(middle, end, tiles) : range(begin, middle, tiles);
        if (!sibling) return fail(sibling.error());
        path.push_back(*sibling);
        (left ? end : begin) = middle;
    }
    // The older root itself is known to who verifies; a part of it is not.
    if (begin != 0) {
        const auto shared = range(begin, end, tiles);
        if (!shared) return fail(shared.error());
        path.push_back(*shared);
    }
    std::reverse(path.begin(), path.end());
    return path;
}

}  // namespace ee::ledger
