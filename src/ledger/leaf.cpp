#include "ledger/leaf.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/check.h"
#include "base/utf8.h"

namespace ee::ledger {
namespace {

using enum FieldType;

// Amounts are micro-USD, times Unix microseconds.
constexpr FieldRule entry_fields[] = {
    {"transfer", u64},        {"account", text},     {"transfer_kind", text},  {"counterparty", text},
    {"available_delta", i64}, {"locked_delta", i64}, {"available_after", i64}, {"locked_after", i64},
    {"reference", text},      {"memo", text},
};
constexpr FieldRule settlement_fields[] = {
    {"cell", text}, {"node", text},    {"app", text},         {"outcome", text},           {"reasons", text},
    {"paid", i64},  {"returned", i64}, {"rule_version", u64}, {"evidence_sha256", digest},
};
constexpr FieldRule abuse_decision_fields[] = {
    {"report_id", text}, {"node", text},     {"app", text},
    {"period", text},    {"decision", text}, {"decided_by", text},
};
constexpr FieldRule slashing_fields[] = {
    {"slashing_id", text}, {"node", text}, {"cause", text}, {"amount", i64}, {"reason", text},
};
constexpr FieldRule allowlist_fields[] = {
    {"repo", text},
    {"release_tag", text},
    {"sha256", digest},
    {"accepted_by", text},
};
constexpr FieldRule policy_fields[] = {{"network", text}, {"sha256", digest}, {"json", text}};
constexpr FieldRule log_key_fields[] = {
    {"public_key", digest}, {"quote", bytes}, {"collateral", text},  {"last_size", u64},
    {"last_root", digest},  {"repo", text},   {"release_tag", text}, {"tls_spki_sha256", digest_or_empty},
};
constexpr FieldRule call_fields[] = {
    {"principal", text},        {"method", text},          {"path", text},
    {"request_sha256", digest}, {"address_salted", bytes},
};
constexpr FieldRule restored_fields[] = {{"size", u64}, {"lost_size", u64}};
constexpr FieldRule grid_fields[] = {{"settle_period", text}};
constexpr FieldRule outage_fields[] = {{"from", i64}, {"to", i64}, {"cause", text}};
constexpr FieldRule observation_fields[] = {
    {"node", text}, {"app", text}, {"event_id", text},     {"type", text},
    {"from", i64},  {"to", i64},   {"evidence_url", text},
};

constexpr FieldRule usage_fields[] = {
    {"account", text},    {"node", text},  {"app", text},        {"cell", text},
    {"micro_hours", i64}, {"amount", i64}, {"uncollected", i64}, {"report_id", text},
};

constexpr KindRule kind_rules[] = {
    {LeafKind::entry, "entry", entry_fields},
    {LeafKind::settlement, "settlement", settlement_fields},
    {LeafKind::abuse_decision, "abuse_decision", abuse_decision_fields},
    {LeafKind::slashing, "slashing", slashing_fields},
    {LeafKind::allowlist, "allowlist", allowlist_fields},
    {LeafKind::policy, "policy", policy_fields},
    {LeafKind::log_key, "log_key", log_key_fields},
    {LeafKind::call, "call", call_fields},
    {LeafKind::restored, "restored", restored_fields},
    {LeafKind::grid, "grid", grid_fields},
    {LeafKind::outage, "outage", outage_fields},
    {LeafKind::observation, "observation", observation_fields},
    {LeafKind::usage, "usage", usage_fields},
};

bool is_of_type(ByteSpan bytes, FieldType type) {
    switch (type) {
        case FieldType::u64:
        case FieldType::i64: return bytes.size() == 8;
        case FieldType::text: return is_utf8(as_text(bytes));
        case FieldType::bytes: return true;
        case FieldType::digest: return bytes.size() == 32;
        case FieldType::digest_or_empty: return bytes.empty() || bytes.size() == 32;
    }
    return false;
}

std::string_view type_name(FieldType type) {
    switch (type) {
        case FieldType::u64: return "8 bytes of an unsigned integer";
        case FieldType::i64: return "8 bytes of a signed integer";
        case FieldType::text: return "UTF-8";
        case FieldType::bytes: return "bytes";
        case FieldType::digest: return "32 bytes";
        case FieldType::digest_or_empty: return "32 bytes or none";
    }
    return "";
}

Result<void> check_fields(std::span<const LentField> fields, const KindRule& rule) {
    if (fields.size() != rule.fields.size())
        return fail("leaf_malformed:fields", fmt::format("{} fields, a leaf of kind {} has {}", fields.size(),
                                                         rule.name, rule.fields.size()));
    for (std::size_t i = 0; i < rule.fields.size(); ++i) {
        const FieldRule& expected = rule.fields[i];
        if (!is_of_type(fields[i].bytes(), expected.type))
            return fail(fmt::format("leaf_malformed:{}", expected.name),
                        fmt::format("a field of {} bytes in a leaf of kind {}, it takes {}",
                                    fields[i].bytes().size(), rule.name, type_name(expected.type)));
    }
    return {};
}

tl::unexpected<Error> too_large(std::size_t size) {
    return fail("leaf_too_large", fmt::format("{} bytes, a leaf has {} at most", size, leaf_bytes_max));
}

Result<const KindRule*> rule_of(std::uint8_t kind) {
    const KindRule* rule = find_leaf_kind(kind);
    if (rule == nullptr)
        return fail("leaf_kind_unknown",
                    fmt::format("kind {}, known are 1 to {}", kind, std::size(kind_rules)));
    return rule;
}

// Where the field of that name is. Another name or type than the kind has is our own mistake.
const Bytes& field_named(const Leaf& leaf, std::string_view name, std::initializer_list<FieldType> types) {
    const KindRule* rule = find_leaf_kind(static_cast<std::uint8_t>(leaf.kind));
    EE_CHECK(rule != nullptr && leaf.fields.size() == rule->fields.size());
    const auto found = std::find_if(rule->fields.begin(), rule->fields.end(),
                                    [&](const FieldRule& rule_field) { return rule_field.name == name; });
    EE_CHECK(found != rule->fields.end());
    EE_CHECK(std::find(types.begin(), types.end(), found->type) != types.end());
    const Bytes& content = leaf.fields[static_cast<std::size_t>(found - rule->fields.begin())];
    EE_CHECK(is_of_type(content, found->type));
    return content;
}

}  // namespace

std::span<const KindRule> leaf_kinds() {
    return kind_rules;
}

const KindRule* find_leaf_kind(std::uint8_t number) {
    // The numbers are 1, 2, 3 and so on.
    return number >= 1 && number <= std::size(kind_rules) ? &kind_rules[number - 1] : nullptr;
}

std::string_view to_string(LeafKind kind) {
    const KindRule* rule = find_leaf_kind(static_cast<std::uint8_t>(kind));
    return rule != nullptr ? rule->name : "unknown";
}

Bytes field(std::uint64_t number) {
    return to_bytes(big_endian<8>(number));
}

Bytes field(std::int64_t number) {
    return field(static_cast<std::uint64_t>(number));
}

Bytes field(std::string_view text) {
    return to_bytes(as_bytes(text));
}

const Bytes& Leaf::bytes(std::string_view name) const {
    return field_named(*this, name, {FieldType::bytes, FieldType::digest, FieldType::digest_or_empty});
}

std::string_view Leaf::text(std::string_view name) const {
    return as_text(field_named(*this, name, {FieldType::text}));
}

std::uint64_t Leaf::u64(std::string_view name) const {
    return from_big_endian(field_named(*this, name, {FieldType::u64}));
}

std::int64_t Leaf::i64(std::string_view name) const {
    return static_cast<std::int64_t>(from_big_endian(field_named(*this, name, {FieldType::i64})));
}

Result<Bytes> encode_leaf(const Leaf& leaf) {
    const std::vector<LentField> fields(leaf.fields.begin(), leaf.fields.end());
    const auto encoded = encode_leaf(leaf.kind, leaf.seq, leaf.time_us, fields);
    if (!encoded) return fail(encoded.error());
    return to_bytes(as_bytes(*encoded));
}

Result<std::string> encode_leaf(LeafKind kind, std::uint64_t seq, std::int64_t time_us,
                                std::span<const LentField> fields) {
    const auto rule = rule_of(static_cast<std::uint8_t>(kind));
    if (!rule) return fail(rule.error());
    if (auto held = check_fields(fields, **rule); !held) return fail(std::move(held.error()));
    std::size_t size = leaf_header_bytes;
    for (const LentField& content : fields) size += 4 + content.bytes().size();
    if (size > leaf_bytes_max) return too_large(size);

    std::string out;
    out.reserve(size);
    out.push_back(leaf_version);
    out.push_back(static_cast<char>(kind));
    append_big_endian<8>(out, seq);
    append_big_endian<8>(out, static_cast<std::uint64_t>(time_us));
    for (const LentField& content : fields) append_counted(out, as_text(content.bytes()));
    return out;
}

Result<Leaf> decode_leaf(ByteSpan bytes) {
    if (bytes.size() > leaf_bytes_max) return too_large(bytes.size());
    if (bytes.size() < leaf_header_bytes)
        return fail("leaf_malformed:header",
                    fmt::format("{} bytes, the header has {}", bytes.size(), leaf_header_bytes));
    if (bytes[0] != leaf_version)
        return fail("leaf_version_unsupported",
                    fmt::format("version {}, known is {}", bytes[0], leaf_version));
    const auto rule = rule_of(bytes[1]);
    if (!rule) return fail(rule.error());
    Leaf leaf{.kind = (*rule)->kind,
              .seq = from_big_endian(bytes.subspan(2, 8)),
              .time_us = static_cast<std::int64_t>(from_big_endian(bytes.subspan(10, 8))),
              .fields = {}};
    ByteReader reader(bytes.subspan(leaf_header_bytes));
    // One too many is enough to refuse them all.
    while (reader.remaining() > 0 && leaf.fields.size() <= leaf_fields_max) {
        const auto prefix = reader.take(4);
        const auto length = prefix ? std::optional(from_big_endian(*prefix)) : std::nullopt;
        const auto content = length ? reader.take(*length) : std::nullopt;
        if (!content)
            return fail("leaf_malformed:field_length",
                        length ? fmt::format("field {} of {} bytes, {} are left", leaf.fields.size(), *length,
                                             reader.remaining())
                               : fmt::format("{} bytes after field {}, a length takes 4", reader.remaining(),
                                             leaf.fields.size()));
        leaf.fields.push_back(to_bytes(*content));
    }
    const std::vector<LentField> fields(leaf.fields.begin(), leaf.fields.end());
    if (auto held = check_fields(fields, **rule); !held) return fail(std::move(held.error()));
    return leaf;
}

}  // namespace ee::ledger
