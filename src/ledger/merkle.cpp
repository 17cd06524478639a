#include "ledger/merkle.h"

#include <bit>

#include <fmt/format.h>

#include "base/hex.h"

namespace ee::ledger {
namespace {

constexpr std::uint8_t leaf_prefix = 0x00;
constexpr std::uint8_t node_prefix = 0x01;

tl::unexpected<Error> wrong_root(std::string_view code, const Hash& reached, const Hash& expected) {
    return fail(std::string(code),
                fmt::format("the path leads to {}, the root is {}", to_hex(reached), to_hex(expected)));
}

tl::unexpected<Error> wrong_length(std::string_view code, std::size_t given, std::size_t expected) {
    return fail(std::string(code), fmt::format("a path of {} hashes, it takes {}", given, expected));
}

// How many hashes lead from a leaf to the root: while both edges of the tree run apart there is one a level,
// above that only where the leaf is right of something.
std::size_t inclusion_length(std::uint64_t index, std::uint64_t size) {
    const auto inner = static_cast<std::size_t>(std::bit_width(index ^ (size - 1)));
    const auto border = static_cast<std::size_t>(std::popcount(inner < 64 ? index >> inner : 0));
    return inner + border;
}

struct Roots {
    Hash older;
    Hash newer;
};

// Walks from the last node that both trees have to the two roots.
Roots walk(std::uint64_t older_size, std::uint64_t newer_size, const Hash& first,
           std::span<const Hash> rest) {
    std::uint64_t older = older_size - 1;
    std::uint64_t newer = newer_size - 1;
    while ((older & 1) != 0) {
        older >>= 1;
        newer >>= 1;
    }
    Roots roots{.older = first, .newer = first};
    for (const Hash& step : rest) {
        if ((older & 1) != 0 || older == newer) {
            roots.older = node_hash(step, roots.older);
            roots.newer = node_hash(step, roots.newer);
            while ((older & 1) == 0 && older != 0) {
                older >>= 1;
                newer >>= 1;
            }
        } else {
            roots.newer = node_hash(roots.newer, step);
        }
        older >>= 1;
        newer >>= 1;
    }
    return roots;
}

}  // namespace

Hash leaf_hash(ByteSpan data) {
    return crypto::sha256({ByteSpan(&leaf_prefix, 1), data});
}

Hash node_hash(const Hash& left, const Hash& right) {
    ByteArray<65> message;
    message[0] = node_prefix;
    std::copy(left.begin(), left.end(), message.begin() + 1);
    std::copy(right.begin(), right.end(), message.begin() + 33);
    return crypto::sha256(message);
}

Hash empty_root() {
    return crypto::sha256(ByteSpan{});
}

Hash commitment(const Salt& salt, ByteSpan leaf) {
    return crypto::sha256({salt, leaf});
}

Hash log_leaf_hash(const Salt& salt, ByteSpan leaf) {
    return leaf_hash(commitment(salt, leaf));
}

Result<void> verify_inclusion(const InclusionClaim& claim, std::span<const Hash> path) {
    if (claim.index >= claim.size || claim.size > tree_size_max)
        return fail("inclusion_invalid:index",
                    fmt::format("leaf {} of a tree of {} leaves", claim.index, claim.size));
    const std::size_t length = inclusion_length(claim.index, claim.size);
    if (path.size() != length) return wrong_length("inclusion_invalid:path_length", path.size(), length);

    std::uint64_t node = claim.index;
    std::uint64_t last = claim.size - 1;
    Hash reached = claim.leaf;
    for (const Hash& step : path) {
        // At the right edge, levels where the node has no sibling are passed over.
        while (node == last && (node & 1) == 0) {
            node >>= 1;
            last >>= 1;
        }
        reached = (node & 1) != 0 ? node_hash(step, reached) : node_hash(reached, step);
        node >>= 1;
        last >>= 1;
    }
    if (reached != claim.root) return wrong_root("inclusion_invalid:root", reached, claim.root);
    return {};
}

Result<void> verify_consistency(const TreeHead& older, const TreeHead& newer, std::span<const Hash> path) {
    if (older.size > newer.size || newer.size > tree_size_max)
        return fail("consistency_invalid:size", fmt::format("from {} leaves to {}", older.size, newer.size));
    if (older.size == 0 || older.size == newer.size) {
        if (!path.empty()) return wrong_length("consistency_invalid:path_length", path.size(), 0);
        const Hash expected = older.size == 0 ? empty_root() : newer.root;
        if (older.root != expected) return wrong_root("consistency_invalid:older_root", expected, older.root);
        if (newer.size == 0 && newer.root != expected)
            return wrong_root("consistency_invalid:newer_root", expected, newer.root);
        return {};
    }
    // The path is that of the last node both trees share; when that node is the older root it is left out.
    const bool whole = std::has_single_bit(older.size);
    const auto level = static_cast<unsigned>(std::countr_zero(older.size));
    const std::uint64_t shared = (older.size - 1) >> level;
    const std::uint64_t nodes = ((newer.size - 1) >> level) + 1;
    const std::size_t length = inclusion_length(shared, nodes) + (whole ? 0 : 1);
    if (path.size() != length) return wrong_length("consistency_invalid:path_length", path.size(), length);

    const Roots reached =
        walk(older.size, newer.size, whole ? older.root : path[0], whole ? path : path.subspan(1));
    if (reached.older != older.root)
        return wrong_root("consistency_invalid:older_root", reached.older, older.root);
    if (reached.newer != newer.root)
        return wrong_root("consistency_invalid:newer_root", reached.newer, newer.root);
    return {};
}

}  // namespace ee::ledger
