#include "ledger/merkle.h"

#include <gtest/gtest.h>

#include "base/hex.h"
#include "ledger/test_log.h"

namespace ee::ledger {
namespace {

using test::RecursiveTree;

Hash hash_of(const char* hex) {
    return from_hex_exact<32>(hex).value();
}

// The eight leaves on which implementations of Certificate Transparency compare themselves, and their roots.
const char* const known_leaves[] = {
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"};
const char* const known_roots[] = {
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
};

struct KnownPath {
    std::uint64_t first;  // an index, or the older size
    std::uint64_t size;
    std::vector<const char*> path;
};

constexpr auto n01 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7";
constexpr auto n23 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
constexpr auto n47 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4";
constexpr auto n4 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";
constexpr auto n67 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0";
constexpr auto n45 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a";

std::vector<Hash> known_leaf_hashes() {
    std::vector<Hash> out;
    for (const char* leaf : known_leaves) out.push_back(leaf_hash(from_hex(leaf).value()));
    return out;
}

ProofPath path_of(const KnownPath& known) {
    ProofPath out;
    for (const char* hash : known.path) out.push_back(hash_of(hash));
    return out;
}

TEST(Merkle, RootsAreThoseOfCertificateTransparencysExamples) {
    EXPECT_EQ(to_hex(empty_root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    RecursiveTree tree(known_leaf_hashes());
    for (std::size_t size = 1; size <= 8; ++size)
        EXPECT_EQ(to_hex(tree.root(0, size)), known_roots[size - 1]);
}

TEST(Merkle, AcceptsCertificateTransparencysInclusionPaths) {
    const std::vector<KnownPath> cases = {
        {0, 1, {}},
        {0, 8, {n01, n23, n47}},
        {5, 8, {n4, n67, known_roots[3]}},
        {2, 3, {known_roots[1]}},
        {1, 5, {known_roots[0], n23, n4}},
    };
    for (const KnownPath& known : cases) {
        const InclusionClaim claim{.leaf = known_leaf_hashes()[known.first],
                                   .index = known.first,
                                   .size = known.size,
                                   .root = hash_of(known_roots[known.size - 1])};
        EXPECT_TRUE(verify_inclusion(claim, path_of(known))) << known.first << " in " << known.size;
    }
}

TEST(Merkle, AcceptsCertificateTransparencysConsistencyPaths) {
    const std::vector<KnownPath> cases = {
        {1, 1, {}},
        {1, 8, {n01, n23, n47}},
        {6, 8, {n45, n67, known_roots[3]}},
        {2, 5, {n23, n4}},
    };
    for (const KnownPath& known : cases) {
        const TreeHead older{.size = known.first, .root = hash_of(known_roots[known.first - 1])};
        const TreeHead newer{.size = known.size, .root = hash_of(known_roots[known.size - 1])};
        EXPECT_TRUE(verify_consistency(older, newer, path_of(known))) << known.first << " to " << known.size;
    }
}

TEST(Merkle, CommitmentHidesTheLeafBehindItsSalt) {
    const Salt salt = {1, 2, 3};
    Bytes joined(salt.begin(), salt.end());
    joined.push_back('x');
    EXPECT_EQ(commitment(salt, as_bytes("x")), crypto::sha256(joined));
    EXPECT_EQ(log_leaf_hash(salt, as_bytes("x")), leaf_hash(crypto::sha256(joined)));
    EXPECT_NE(commitment(Salt{}, as_bytes("x")), commitment(salt, as_bytes("x")));
}

// H2: a node must not pass as a leaf, nor two leaves as the data of one.
TEST(Merkle, SecondPreimageOfALeafByANodeIsRefused) {
    const auto leaves = known_leaf_hashes();
    RecursiveTree tree(leaves);
    Bytes both(leaves[0].begin(), leaves[0].end());
    both.insert(both.end(), leaves[1].begin(), leaves[1].end());
    // As a leaf, the data that the node over leaves 0 and 1 is made of; in the tree of half the size.
    const InclusionClaim shorter{.leaf = leaf_hash(both), .index = 0, .size = 4, .root = tree.root(0, 8)};
    EXPECT_EQ(verify_inclusion(shorter, tree.path(0, 2, 8)).error().code, "inclusion_invalid:path_length");
    const ProofPath upper = {tree.root(2, 4), tree.root(4, 8)};
    EXPECT_EQ(verify_inclusion(shorter, upper).error().code, "inclusion_invalid:root");
    // The node itself as a leaf hash does lead to the root: only the size that was signed shows the fraud.
    InclusionClaim node{.leaf = tree.root(0, 2), .index = 0, .size = 8, .root = tree.root(0, 8)};
    EXPECT_EQ(verify_inclusion(node, upper).error().code, "inclusion_invalid:path_length");
    EXPECT_NE(leaf_hash(both), node_hash(leaves[0], leaves[1]));
}

TEST(Merkle, InclusionRefusesEachThingThatDoesNotFit) {
    const std::uint64_t size = 7;
    RecursiveTree tree(known_leaf_hashes());
    const auto claim_of = [&](std::uint64_t index) {
        return InclusionClaim{
            .leaf = known_leaf_hashes()[index], .index = index, .size = size, .root = tree.root(0, size)};
    };
    const auto code = [](const InclusionClaim& claim, const ProofPath& path) {
        const auto held = verify_inclusion(claim, path);
        return held ? std::string("ok") : held.error().code;
    };
    for (std::uint64_t index = 0; index < size; ++index) {
        const ProofPath path = tree.path(index, 0, size);
        ASSERT_EQ(code(claim_of(index), path), "ok");
        for (std::uint64_t other = 0; other <= size; ++other) {
            if (other == index) continue;
            InclusionClaim claim = claim_of(index);
            claim.index = other;
            EXPECT_NE(code(claim, path), "ok") << "a proof of " << index << " as one of " << other;
        }
        ProofPath longer = path;
        longer.push_back(empty_root());
        EXPECT_EQ(code(claim_of(index), longer), "inclusion_invalid:path_length");
        EXPECT_EQ(code(claim_of(index), ProofPath(path.begin() + 1, path.end())),
                  "inclusion_invalid:path_length");
    }
    InclusionClaim none = claim_of(0);
    none.size = 0;
    EXPECT_EQ(code(none, {}), "inclusion_invalid:index");
    none.size = tree_size_max + 1;
    EXPECT_EQ(code(none, {}), "inclusion_invalid:index");
}

TEST(Merkle, ConsistencyRefusesEachThingThatDoesNotFit) {
    RecursiveTree tree(known_leaf_hashes());
    const auto head = [&](std::uint64_t size) { return TreeHead{.size = size, .root = tree.root(0, size)}; };
    const auto code = [](const TreeHead& older, const TreeHead& newer, const ProofPath& path) {
        const auto held = verify_consistency(older, newer, path);
        return held ? std::string("ok") : held.error().code;
    };
    EXPECT_EQ(code(head(3), head(2), {}), "consistency_invalid:size");
    EXPECT_EQ(code(head(2), {.size = tree_size_max + 1, .root = {}}, {}), "consistency_invalid:size");
    EXPECT_EQ(code(head(0), head(5), {}), "ok");
    EXPECT_EQ(code(head(0), head(0), {}), "ok");
    EXPECT_EQ(code({.size = 0, .root = tree.root(0, 1)}, head(5), {}), "consistency_invalid:older_root");
    EXPECT_EQ(code(head(0), {.size = 0, .root = tree.root(0, 1)}, {}), "consistency_invalid:newer_root");
    EXPECT_EQ(code(head(0), head(5), {tree.root(0, 5)}), "consistency_invalid:path_length");
    EXPECT_EQ(code(head(5), head(5), {tree.root(0, 5)}), "consistency_invalid:path_length");
    EXPECT_EQ(code({.size = 5, .root = tree.root(0, 4)}, head(5), {}), "consistency_invalid:older_root");
    // Two heads of one size that differ, one smaller that is no part of the larger, and a truncated one.
    EXPECT_EQ(code({.size = 6, .root = tree.root(1, 7)}, head(8), tree.proof(6, 8)),
              "consistency_invalid:older_root");
    EXPECT_EQ(code(head(6), {.size = 8, .root = tree.root(0, 7)}, tree.proof(6, 8)),
              "consistency_invalid:newer_root");
    EXPECT_EQ(code(head(6), head(8), tree.proof(7, 8)), "consistency_invalid:path_length");
    EXPECT_EQ(code(head(6), head(7), tree.proof(6, 8)), "consistency_invalid:newer_root");
}

}  // namespace
}  // namespace ee::ledger
