#include "ledger/receipt.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/hex.h"

namespace ee::ledger {
namespace {

constexpr std::string_view inclusion_prefix = "inclusion_invalid:";

Result<void> verify_place(const ProvenLeaf& proven, const TreeHead& head) {
    return verify_inclusion({.leaf = log_leaf_hash(proven.salt, proven.leaf),
                             .index = proven.index,
                             .size = head.size,
                             .root = head.root},
                            proven.path);
}

Result<Leaf> decode_log_key(const ProvenLeaf& proven) {
    auto leaf = decode_leaf(proven.leaf);
    if (!leaf)
        return fail("log_key_invalid:leaf", fmt::format("{}: {}", leaf.error().code, leaf.error().detail));
    if (leaf->kind != LeafKind::log_key)
        return fail("log_key_invalid:kind", fmt::format("a leaf of kind {}, expected one of kind {}",
                                                        to_string(leaf->kind), to_string(LeafKind::log_key)));
    const std::uint64_t last_size = leaf->u64("last_size");
    if (last_size > proven.index)
        return fail(
            "log_key_invalid:last_size",
            fmt::format("leaf {} says that the log had {} leaves before it", proven.index, last_size));
    const Bytes& last_root = leaf->bytes("last_root");
    const Hash empty = empty_root();
    if (last_size == 0 && !std::equal(empty.begin(), empty.end(), last_root.begin(), last_root.end()))
        return fail("log_key_invalid:last_root", fmt::format("the empty log's root is {}, the leaf has {}",
                                                             to_hex(empty), to_hex(last_root)));
    return leaf;
}

Result<Checkpoint> checkpoint_signed_by(const Leaf& log_key, std::string_view note) {
    ByteArray<32> raw;
    std::copy_n(log_key.bytes("public_key").begin(), raw.size(), raw.begin());
    return verify_checkpoint(note, crypto::Ed25519PublicKey::from_raw(raw));
}

}  // namespace

Result<VerifiedReceipt> verify_receipt(const Receipt& receipt) {
    VerifiedReceipt out;
    auto leaf = decode_leaf(receipt.leaf.leaf);
    if (!leaf) return fail(std::move(leaf.error()));
    auto log_key = decode_log_key(receipt.log_key);
    if (!log_key) return fail(std::move(log_key.error()));
    const bool has_quote = !log_key->bytes("quote").empty();
    if (receipt.attested && *receipt.attested != has_quote)
        return fail(
            "receipt_malformed:/attested",
            fmt::format("the receipt says {}, the key's leaf carries {}",
                        *receipt.attested ? "attested" : "not attested", has_quote ? "a quote" : "no quote"));
    auto checkpoint = checkpoint_signed_by(*log_key, receipt.checkpoint);
    if (!checkpoint) return fail(std::move(checkpoint.error()));
    if (auto held = verify_place(receipt.leaf, checkpoint->head); !held) return fail(std::move(held.error()));
    if (const auto held = verify_place(receipt.log_key, checkpoint->head); !held)
        return fail("log_key_invalid:" + held.error().code.substr(inclusion_prefix.size()),
                    held.error().detail);
    out.checkpoint_ = std::move(*checkpoint);
    out.leaf_index_ = receipt.leaf.index;
    out.leaf_ = std::move(*leaf);
    out.log_key_index_ = receipt.log_key.index;
    out.log_key_ = std::move(*log_key);
    return out;
}

}  // namespace ee::ledger
