#pragma once
// Merkle tree hashing after RFC 9162 section 2.1, and the two proofs a verifier checks.

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/digest.h"

namespace ee::ledger {

using Hash = crypto::Sha256;
// From the leaves upwards, as RFC 9162 section 2.1.3 orders it.
using ProofPath = std::vector<Hash>;

// No tree is larger: sizes and indices fit 63 bits, and no path has more than `path_hashes_max` hashes.
inline constexpr std::uint64_t tree_size_max = (std::uint64_t{1} << 63) - 1;
inline constexpr std::size_t path_hashes_max = 64;

// SHA-256(0x00 || data) and SHA-256(0x01 || left || right): the prefix keeps a node from passing as a leaf.
Hash leaf_hash(ByteSpan data);
Hash node_hash(const Hash& left, const Hash& right);
// SHA-256 of nothing.
Hash empty_root();

inline constexpr std::size_t salt_size = 16;
using Salt = ByteArray<salt_size>;

// SHA-256(salt || leaf). The log's tree is over leaf_hash(commitment): who sees the tree can't guess leaves.
Hash commitment(const Salt& salt, ByteSpan leaf);
// leaf_hash(commitment(salt, leaf)): what is appended to the tree.
Hash log_leaf_hash(const Salt& salt, ByteSpan leaf);

struct InclusionClaim {
    Hash leaf;  // its leaf hash
    std::uint64_t index = 0;
    std::uint64_t size = 0;  // of the tree with this root
    Hash root;
};

// RFC 9162 section 2.1.3.2. `inclusion_invalid:index` when there is no such leaf in a tree of that size,
// `inclusion_invalid:path_length` when the path has not exactly the length it must have,
// `inclusion_invalid:root` when it leads elsewhere.
Result<void> verify_inclusion(const InclusionClaim& claim, std::span<const Hash> path);

struct TreeHead {
    std::uint64_t size = 0;
    Hash root;

    friend bool operator==(const TreeHead&, const TreeHead&) = default;
};

// RFC 9162 section 2.1.4.2: that `newer` only appended to `older`. From size 0, and between equal sizes, the
// path is empty. `consistency_invalid:size` when the newer one is smaller,
// `consistency_invalid:path_length`, `consistency_invalid:older_root`, `consistency_invalid:newer_root`.
Result<void> verify_consistency(const TreeHead& older, const TreeHead& newer, std::span<const Hash> path);

}  // namespace ee::ledger
