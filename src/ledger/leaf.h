#pragma once
// A leaf of the log: `u8 version, u8 kind, u64 seq, i64 time_us`, then each field as `u32 length, bytes`, all
// integers big-endian. One leaf has exactly one encoding, and no two leaves share one. docs/ledger-log.md
// says the same to whoever writes another verifier.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/big_endian.h"
#include "base/bytes.h"
#include "base/result.h"

namespace ee::ledger {

inline constexpr std::uint8_t leaf_version = 1;
inline constexpr std::size_t leaf_fields_max = 64;
inline constexpr std::size_t leaf_bytes_max = std::size_t{4} * 1024 * 1024;
inline constexpr std::size_t leaf_header_bytes = 18;

// The numbers are in the encoding and never change.
enum class LeafKind : std::uint8_t {
    entry = 1,
    settlement = 2,
    abuse_decision = 3,
    slashing = 4,
    allowlist = 5,
    policy = 6,
    log_key = 7,
    call = 8,
    restored = 9,
    grid = 10,
    outage = 11,
    observation = 12,
    usage = 13,
};

enum class FieldType {
    u64,     // 8 bytes
    i64,     // 8 bytes, two's complement
    text,    // UTF-8
    bytes,   // any
    digest,  // 32 bytes
    digest_or_empty,
};

struct FieldRule {
    std::string_view name;  // snake_case, as JSON and the reading functions name it
    FieldType type;
};

struct KindRule {
    LeafKind kind;
    std::string_view name;  // snake_case
    std::span<const FieldRule> fields;
};

// Every kind there is, in the order of their numbers.
std::span<const KindRule> leaf_kinds();
// Null when there is no such kind.
const KindRule* find_leaf_kind(std::uint8_t number);
std::string_view to_string(LeafKind kind);

// Fields as they are encoded, in the order of the kind's rule.
Bytes field(std::uint64_t number);
Bytes field(std::int64_t number);
Bytes field(std::string_view text);
inline Bytes field(const char* text) {
    return field(std::string_view(text));
}
inline Bytes field(const std::string& text) {
    return field(std::string_view(text));
}
inline Bytes field(ByteSpan bytes) {
    return to_bytes(bytes);
}
template <std::size_t N>
Bytes field(const ByteArray<N>& bytes) {
    return to_bytes(bytes);
}

// A field that is encoded at once: what is lent lives until then.
class LentField {
public:
    LentField(std::uint64_t number) : number_(big_endian<8>(number)), is_number_(true) {}
    LentField(std::int64_t number) : LentField(static_cast<std::uint64_t>(number)) {}
    LentField(std::string_view text) : bytes_(as_bytes(text)) {}
    LentField(const std::string& text) : LentField(std::string_view(text)) {}
    LentField(ByteSpan bytes) : bytes_(bytes) {}
    template <std::size_t N>
    LentField(const ByteArray<N>& bytes) : bytes_(bytes) {}
    LentField(const Bytes& bytes) : bytes_(bytes) {}

    ByteSpan bytes() const { return is_number_ ? ByteSpan(number_) : bytes_; }

private:
    ByteArray<8> number_{};
    ByteSpan bytes_{};
    bool is_number_ = false;
};

struct Leaf {
    LeafKind kind = LeafKind::entry;
    std::uint64_t seq = 0;     // the ledger's own number; the place in the tree is in the receipt
    std::int64_t time_us = 0;  // Unix microseconds
    std::vector<Bytes> fields;

    // The field of that name; which one there is, and of which type, is a matter of the kind. For leaves that
    // were decoded or would encode.
    const Bytes& bytes(std::string_view name) const;
    std::string_view text(std::string_view name) const;
    std::uint64_t u64(std::string_view name) const;
    std::int64_t i64(std::string_view name) const;

    friend bool operator==(const Leaf&, const Leaf&) = default;
};

// Both refuse the same leaves: `leaf_kind_unknown`; `leaf_malformed:fields` for another number of fields than
// the kind has; `leaf_malformed:<field name>` for one that is not of its type; `leaf_too_large`.
Result<Bytes> encode_leaf(const Leaf& leaf);
Result<std::string> encode_leaf(LeafKind kind, std::uint64_t seq, std::int64_t time_us,
                                std::span<const LentField> fields);
// And `leaf_malformed:header`, `leaf_malformed:field_length`, `leaf_version_unsupported`.
Result<Leaf> decode_leaf(ByteSpan bytes);

}  // namespace ee::ledger
