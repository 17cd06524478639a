#include <array>
#include <map>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/base64.h"
#include "ledger/receipt.h"

namespace ee::ledger {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t json_depth_max = 8;

tl::unexpected<Error> malformed(std::string_view pointer, std::string detail) {
    return fail(fmt::format("receipt_malformed:{}", pointer), std::move(detail));
}

struct MemberRule {
    std::string_view name;
    bool required = true;
};

// An object's members by name, and where it stands in the document.
struct Members {
    std::string pointer;
    std::map<std::string_view, dom::element> by_name;

    std::string pointer_of(std::string_view name) const { return fmt::format("{}/{}", pointer, name); }
};

template <std::size_t N>
Result<Members> members_of(dom::element element, std::string pointer,
                           const std::array<MemberRule, N>& rules) {
    Members out{.pointer = std::move(pointer), .by_name = {}};
    dom::object object;
    if (element.get_object().get(object) != simdjson::SUCCESS)
        return malformed(out.pointer.empty() ? "/" : out.pointer, "not an object");
    for (const auto& [name, value] : object) {
        const auto is_it = [&name](const MemberRule& rule) { return rule.name == name; };
        // A name of theirs is not quoted: it may be anything.
        if (std::none_of(rules.begin(), rules.end(), is_it))
            return malformed(out.pointer.empty() ? "/" : out.pointer, "a member that is not known");
        if (!out.by_name.emplace(name, value).second)
            return malformed(out.pointer_of(name), "the member is there twice");
    }
    for (const MemberRule& rule : rules) {
        if (rule.required && !out.by_name.contains(rule.name))
            return malformed(out.pointer_of(rule.name), "the member is missing");
    }
    return out;
}

Result<std::string_view> text_of(const Members& members, std::string_view name) {
    std::string_view text;
    if (members.by_name.at(name).get_string().get(text) != simdjson::SUCCESS)
        return malformed(members.pointer_of(name), "not a string");
    return text;
}

Result<Bytes> bytes_of(std::string_view text, const std::string& pointer) {
    auto bytes = from_base64(text);
    if (!bytes) return malformed(pointer, "not base64");
    return std::move(*bytes);
}

template <std::size_t N>
Result<ByteArray<N>> array_of(std::string_view text, const std::string& pointer) {
    const auto bytes = bytes_of(text, pointer);
    if (!bytes) return fail(bytes.error());
    if (bytes->size() != N) return malformed(pointer, fmt::format("{} bytes, expected {}", bytes->size(), N));
    ByteArray<N> out;
    std::copy(bytes->begin(), bytes->end(), out.begin());
    return out;
}

Result<ProofPath> path_of(const Members& members) {
    const std::string pointer = members.pointer_of("path");
    dom::array list;
    if (members.by_name.at("path").get_array().get(list) != simdjson::SUCCESS)
        return malformed(pointer, "not a list");
    ProofPath out;
    for (const dom::element item : list) {
        const std::string place = fmt::format("{}/{}", pointer, out.size());
        if (out.size() == path_hashes_max)
            return malformed(pointer, fmt::format("more than {} hashes", path_hashes_max));
        std::string_view text;
        if (item.get_string().get(text) != simdjson::SUCCESS) return malformed(place, "not a string");
        const auto hash = array_of<32>(text, place);
        if (!hash) return fail(hash.error());
        out.push_back(*hash);
    }
    return out;
}

Result<ProvenLeaf> proven_leaf_of(const Members& members) {
    ProvenLeaf out;
    if (members.by_name.at("leaf_index").get_uint64().get(out.index) != simdjson::SUCCESS)
        return malformed(members.pointer_of("leaf_index"), "not a whole number");
    const auto leaf = text_of(members, "leaf");
    if (!leaf) return fail(leaf.error());
    auto bytes = bytes_of(*leaf, members.pointer_of("leaf"));
    if (!bytes) return fail(std::move(bytes.error()));
    out.leaf = std::move(*bytes);
    const auto salt = text_of(members, "salt");
    if (!salt) return fail(salt.error());
    const auto salt_bytes = array_of<salt_size>(*salt, members.pointer_of("salt"));
    if (!salt_bytes) return fail(salt_bytes.error());
    out.salt = *salt_bytes;
    auto path = path_of(members);
    if (!path) return fail(std::move(path.error()));
    out.path = std::move(*path);
    return out;
}

constexpr std::array<MemberRule, 4> leaf_members = {{{"leaf_index"}, {"leaf"}, {"salt"}, {"path"}}};
constexpr std::array<MemberRule, 7> receipt_members = {{{"leaf_index"},
                                                        {"leaf"},
                                                        {"salt"},
                                                        {"path"},
                                                        {"checkpoint"},
                                                        {"log_key"},
                                                        {.name = "attested", .required = false}}};

void write_proven_leaf(JsonWriter& json, const ProvenLeaf& proven) {
    json.field("leaf_index", proven.index)
        .key("leaf")
        .base64(proven.leaf)
        .key("salt")
        .base64(proven.salt)
        .key("path")
        .begin_array();
    for (const Hash& hash : proven.path) json.base64(hash);
    json.end_array();
}

}  // namespace

void write_receipt(JsonWriter& json, const ProvenLeaf& leaf, std::string_view end) {
    json.begin_object();
    write_proven_leaf(json, leaf);
    json.raw(end).end_object();
}

std::string receipt_end(std::string_view checkpoint, const ProvenLeaf& log_key,
                        std::optional<bool> attested) {
    std::string end;
    JsonWriter json(end);
    json.field("checkpoint", checkpoint).key("log_key").begin_object();
    write_proven_leaf(json, log_key);
    json.end_object();
    if (attested) json.field("attested", *attested);
    return end;
}

void write_receipt(JsonWriter& json, const Receipt& receipt) {
    write_receipt(json, receipt.leaf, receipt_end(receipt.checkpoint, receipt.log_key, receipt.attested));
}

std::string receipt_json(const Receipt& receipt) {
    std::string text;
    JsonWriter json(text);
    write_receipt(json, receipt);
    return text;
}

Result<Receipt> parse_receipt(std::string_view json) {
    if (json.size() > receipt_bytes_max)
        return fail("receipt_too_large",
                    fmt::format("{} bytes, a receipt has {} at most", json.size(), receipt_bytes_max));
    dom::parser parser;
    dom::element root;
    if (parser.allocate(json.size(), json_depth_max) != simdjson::SUCCESS ||
        parser.parse(json.data(), json.size()).get(root) != simdjson::SUCCESS)
        return malformed("/", "not JSON");
    const auto members = members_of(root, "", receipt_members);
    if (!members) return fail(members.error());
    Receipt out;
    auto leaf = proven_leaf_of(*members);
    if (!leaf) return fail(std::move(leaf.error()));
    out.leaf = std::move(*leaf);
    const auto checkpoint = text_of(*members, "checkpoint");
    if (!checkpoint) return fail(checkpoint.error());
    out.checkpoint = *checkpoint;
    const auto log_key_members = members_of(members->by_name.at("log_key"), "/log_key", leaf_members);
    if (!log_key_members) return fail(log_key_members.error());
    auto log_key = proven_leaf_of(*log_key_members);
    if (!log_key) return fail(std::move(log_key.error()));
    out.log_key = std::move(*log_key);
    const auto attested = members->by_name.find("attested");
    if (attested != members->by_name.end()) {
        bool flag = false;
        if (attested->second.get_bool().get(flag) != simdjson::SUCCESS)
            return malformed("/attested", "neither true nor false");
        out.attested = flag;
    }
    return out;
}

}  // namespace ee::ledger
