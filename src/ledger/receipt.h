#pragma once
// A receipt: one leaf of the log and all that proves it, the server gone. It holds the leaf of the log's key
// too, whose quote says which machine signed.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/json_writer.h"
#include "base/result.h"
#include "ledger/checkpoint.h"
#include "ledger/leaf.h"
#include "ledger/merkle.h"

namespace ee::ledger {

inline constexpr std::size_t receipt_bytes_max = std::size_t{16} * 1024 * 1024;

// A leaf, its salt, and its inclusion path to the root of the receipt's checkpoint.
struct ProvenLeaf {
    std::uint64_t index = 0;
    Bytes leaf;
    Salt salt{};
    ProofPath path;

    friend bool operator==(const ProvenLeaf&, const ProvenLeaf&) = default;
};

struct Receipt {
    ProvenLeaf leaf;
    std::string checkpoint;  // the signed note
    ProvenLeaf log_key;      // of the key that signed it
    // What the server says of its key; the quote in the log_key leaf decides.
    std::optional<bool> attested;

    friend bool operator==(const Receipt&, const Receipt&) = default;
};

// {"leaf_index": 5, "leaf": "...", "salt": "...", "path": ["..."], "checkpoint": "...", "log_key":
// {"leaf_index": 0, "leaf": "...", "salt": "...", "path": ["..."]}, "attested": false}: leaf, salt and the
// path's hashes in base64.
void write_receipt(JsonWriter& json, const Receipt& receipt);
// The same of `leaf` and of what the receipts under one checkpoint have in common: all from "checkpoint" on.
void write_receipt(JsonWriter& json, const ProvenLeaf& leaf, std::string_view end);
std::string receipt_end(std::string_view checkpoint, const ProvenLeaf& log_key, std::optional<bool> attested);
std::string receipt_json(const Receipt& receipt);
// Strict: nothing unknown, missing (but "attested"), there twice or of another kind.
// `receipt_malformed:<JSON pointer>`, `receipt_too_large`.
Result<Receipt> parse_receipt(std::string_view json);

// All that holds of a receipt by itself. Whether the key may be believed is for who holds the key or judges
// its quote. Made by verify_receipt() only.
class VerifiedReceipt {
public:
    const Checkpoint& checkpoint() const { return checkpoint_; }
    std::uint64_t leaf_index() const { return leaf_index_; }
    const Leaf& leaf() const { return leaf_; }
    std::uint64_t log_key_index() const { return log_key_index_; }
    const Leaf& log_key() const { return log_key_; }
    // Whether the key's leaf carries a quote; what it is worth has not been judged.
    bool has_quote() const { return !log_key_.bytes("quote").empty(); }

private:
    friend Result<VerifiedReceipt> verify_receipt(const Receipt&);
    VerifiedReceipt() = default;

    Checkpoint checkpoint_;
    std::uint64_t leaf_index_ = 0;
    Leaf leaf_;
    std::uint64_t log_key_index_ = 0;
    Leaf log_key_;
};

// In this order: the leaf decodes (`leaf_...`); the key's leaf does (`log_key_invalid:leaf`) and is one
// (`log_key_invalid:kind`), was made of a log no longer than where it stands (`log_key_invalid:last_size`)
// and, when that was empty, of its root (`log_key_invalid:last_root`); it carries a quote where the receipt
// says so
// (`receipt_malformed:/attested`); the key signed the checkpoint (`checkpoint_...`); and both are in the tree
// that it signed (`inclusion_invalid:...`, and the same suffixes on `log_key_invalid:`).
Result<VerifiedReceipt> verify_receipt(const Receipt& receipt);

}  // namespace ee::ledger
