#include "ledger/log_tree.h"

#include <random>

#include <gtest/gtest.h>

#include "base/hex.h"
#include "ledger/test_log.h"

namespace ee::ledger {
namespace {

using test::NumberedLog;
using test::RecursiveTree;

// H1, exhaustively: at each size up to 512 every proof is the one of the recursive definition, and holds.
TEST(LogTree, RootsAndProofsAreThoseOfTheDefinitionUpTo512Leaves) {
    NumberedLog log(0);
    EXPECT_EQ(log.tree.root(), empty_root());
    std::vector<Hash> leaves;
    for (std::uint64_t i = 0; i < 512; ++i) leaves.push_back(test::numbered_leaf(i));
    RecursiveTree definition(leaves);
    TileCache cache(log.tiles);
    for (std::uint64_t size = 1; size <= 512; ++size) {
        log.append();
        const TreeHead newer = log.tree.head();
        ASSERT_EQ(newer.root, definition.root(0, size)) << size;
        for (std::uint64_t m = 0; m <= size; ++m) {
            const auto consistency = log.tree.consistency_proof(m, size, cache);
            ASSERT_TRUE(consistency) << consistency.error().detail;
            ASSERT_EQ(*consistency, definition.proof(m, size)) << m << " to " << size;
            ASSERT_TRUE(verify_consistency({.size = m, .root = definition.root(0, m)}, newer, *consistency));
            if (m == size) continue;
            const auto inclusion = log.tree.inclusion_proof(m, size, cache);
            ASSERT_TRUE(inclusion) << inclusion.error().detail;
            ASSERT_EQ(*inclusion, definition.path(m, 0, size)) << m << " in " << size;
            ASSERT_TRUE(verify_inclusion({.leaf = leaves[m], .index = m, .size = size, .root = newer.root},
                                         *inclusion));
        }
    }
}

TEST(LogTree, ProofsAboutASmallerSizeAreTheSameForEver) {
    NumberedLog log(70'000);
    RecursiveTree definition(log.leaves);
    TileCache cache(log.tiles);
    for (const std::uint64_t size : {1U, 255U, 256U, 257U, 512U, 65'535U, 65'536U, 65'537U, 69'999U}) {
        EXPECT_EQ(log.tree.root_at(size, cache).value(), definition.root(0, size)) << size;
        for (const std::uint64_t index : {std::uint64_t{0}, size / 2, size - 1}) {
            EXPECT_EQ(log.tree.inclusion_proof(index, size, cache).value(), definition.path(index, 0, size));
            EXPECT_EQ(log.tree.consistency_proof(index, size, cache).value(), definition.proof(index, size));
        }
    }
}

TEST(LogTree, RandomProofsOfALargeTreeAreThoseOfTheDefinition) {
    NumberedLog log(300'000);
    RecursiveTree definition(log.leaves);
    TileCache cache(log.tiles, 8);
    ASSERT_EQ(log.tree.root(), definition.root(0, 300'000));
    std::mt19937_64 random(7);
    for (int i = 0; i < 3000; ++i) {
        const std::uint64_t size = random() % 300'000 + 1;
        const std::uint64_t index = random() % size;
        ASSERT_EQ(log.tree.inclusion_proof(index, size, cache).value(), definition.path(index, 0, size))
            << index << " in " << size;
        ASSERT_EQ(log.tree.consistency_proof(index, size, cache).value(), definition.proof(index, size))
            << index << " to " << size;
    }
}

TEST(LogTree, TilesAreHandedOutOnceWhenTheyAreFull) {
    NumberedLog log(65'535);
    EXPECT_EQ(log.tiles.tiles_.size(), 255U);
    std::vector<Tile> full;
    LogTree copy = log.tree;
    copy.append(test::numbered_leaf(65'535), full);
    ASSERT_EQ(full.size(), 2U);
    EXPECT_EQ(full[0].level, 0U);
    EXPECT_EQ(full[0].index, 255U);
    EXPECT_EQ(full[1].level, 1U);
    EXPECT_EQ(full[1].index, 0U);
    // The bytes are the hashes of the tile's own level, in order.
    RecursiveTree definition(log.leaves);
    ASSERT_EQ(full[1].hashes.size(), tile_bytes);
    EXPECT_EQ(to_hex(ByteSpan(full[1].hashes).first(32)), to_hex(definition.root(0, 256)));
    EXPECT_EQ(to_hex(ByteSpan(full[1].hashes).subspan(32, 32)), to_hex(definition.root(256, 512)));
    // What was appended to a copy did not happen to the original.
    EXPECT_EQ(log.tree.size(), 65'535U);
    EXPECT_EQ(log.tree.root(), definition.root(0, 65'535));
}

TEST(LogTree, EachTileOfALogHasANumberOfItsOwn) {
    const std::uint64_t past_the_last = std::uint64_t{1} << 56;
    EXPECT_EQ(tile_number(0, 0), 0U);
    EXPECT_EQ(tile_number(7, past_the_last - 1), (std::uint64_t{1} << 59) - 1);
    EXPECT_EQ(tile_number(8, 0), std::nullopt);
    EXPECT_EQ(tile_number(0, past_the_last), std::nullopt);
}

TEST(LogTree, IsRebuiltFromTilesAndTheLastLeaves) {
    NumberedLog log(0);
    for (std::uint64_t size = 0; size <= 132'000; ++size) {
        const bool near_tile = size % 256 <= 1 || size % 256 == 255;
        const bool checked = size < 600 ? true : near_tile && size % 6553 < 300;
        if (checked) {
            const std::span<const Hash> leaves(log.leaves);
            const auto again = LogTree::open(size, log.tiles, leaves.last(size % tile_hashes));
            ASSERT_TRUE(again) << again.error().detail;
            ASSERT_EQ(again->head(), log.tree.head()) << size;
            LogTree continued = *again;
            LogTree original = log.tree;
            std::vector<Tile> full;
            continued.append(test::numbered_leaf(1), full);
            original.append(test::numbered_leaf(1), full);
            ASSERT_EQ(continued.head(), original.head()) << size;
        }
        log.append();
    }
}

TEST(LogTree, RefusesToOpenWithoutWhatItNeeds) {
    NumberedLog log(600);
    const std::span<const Hash> leaves(log.leaves);
    EXPECT_EQ(LogTree::open(600, log.tiles, leaves.last(87)).error().code, "log_tail_mismatch");
    EXPECT_EQ(LogTree::open(tree_size_max + 1, log.tiles, {}).error().code, "log_range");
    // Whoever claims more leaves than the tiles hold.
    EXPECT_EQ(LogTree::open(768, log.tiles, {}).error().code, "tile_missing");
    log.tiles.tiles_[{0, 1}].pop_back();
    EXPECT_EQ(LogTree::open(600, log.tiles, leaves.last(88)).error().code, "tile_malformed");
}

TEST(LogTree, RefusesProofsOfWhatItNeverHad) {
    NumberedLog log(10);
    TileCache cache(log.tiles);
    EXPECT_EQ(log.tree.root_at(11, cache).error().code, "log_range");
    EXPECT_EQ(log.tree.inclusion_proof(0, 11, cache).error().code, "log_range");
    EXPECT_EQ(log.tree.inclusion_proof(10, 10, cache).error().code, "log_range");
    EXPECT_EQ(log.tree.consistency_proof(0, 11, cache).error().code, "log_range");
    EXPECT_EQ(log.tree.consistency_proof(6, 5, cache).error().code, "log_range");
    EXPECT_EQ(log.tree.root_at(0, cache).value(), empty_root());
}

// A bit that fell over on disk must not become part of a proof.
TEST(LogTree, RefusesATileThatIsNotWhatItWas) {
    NumberedLog log(70'000);
    for (const auto& place : std::vector<std::pair<unsigned, std::uint64_t>>{{0, 3}, {1, 0}}) {
        test::MemoryTiles damaged = log.tiles;
        damaged.tiles_[place][100] ^= 1;
        TileCache cache(damaged);
        EXPECT_EQ(log.tree.inclusion_proof(3 * 256, 70'000, cache).error().code, "tile_corrupt");
    }
    test::MemoryTiles missing = log.tiles;
    missing.tiles_.erase({0, 3});
    TileCache cache(missing);
    EXPECT_EQ(log.tree.inclusion_proof(3 * 256, 70'000, cache).error().code, "tile_missing");
}

TEST(LogTree, ReadsATileOnceForManyProofs) {
    NumberedLog log(70'000);
    TileCache cache(log.tiles, 4);
    for (std::uint64_t index = 512; index < 768; ++index)
        ASSERT_TRUE(log.tree.inclusion_proof(index, 70'000, cache));
    EXPECT_EQ(log.tiles.reads, 2);  // Its own tile, and the one above.
    // With room for four tiles the one used longest ago gives way.
    for (const std::uint64_t tile : {10U, 11U, 12U, 13U})
        ASSERT_TRUE(log.tree.inclusion_proof(tile * 256, 70'000, cache));
    log.tiles.reads = 0;
    ASSERT_TRUE(log.tree.inclusion_proof(13 * 256, 70'000, cache));
    EXPECT_EQ(log.tiles.reads, 0);
    ASSERT_TRUE(log.tree.inclusion_proof(512, 70'000, cache));
    EXPECT_EQ(log.tiles.reads, 1);
    // Proofs of the newest leaves need no tile at all.
    log.tiles.reads = 0;
    TileCache none(log.tiles);
    ASSERT_TRUE(log.tree.inclusion_proof(69'999, 70'000, none));
    EXPECT_EQ(log.tiles.reads, 0);
}

}  // namespace
}  // namespace ee::ledger
