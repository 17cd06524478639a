#include "attestation/allowlist.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <simdjson.h>

#include "attestation/json_pointer.h"
#include "base/hex.h"
#include "base/names.h"

namespace ee::attestation {
namespace {

using simdjson::dom::element;

constexpr std::size_t json_depth_max = 32;
// How many values one entry may allow: more builds than that are not one release.
constexpr std::size_t alternatives_max = 256;
constexpr std::size_t builds_max = 256;
constexpr std::size_t claims_max = 256;  // of the document, and of each build
constexpr std::size_t build_name_size_max = 128;

constexpr std::array<std::pair<QuoteRegister, std::string_view>, 5> register_names = {{
    {QuoteRegister::mrtd, "mrtd"},
    {QuoteRegister::rtmr0, "rtmr0"},
    {QuoteRegister::rtmr1, "rtmr1"},
    {QuoteRegister::rtmr2, "rtmr2"},
    {QuoteRegister::rtmr3, "rtmr3"},
}};

tl::unexpected<Error> invalid(std::string_view pointer, std::string detail) {
    return fail(fmt::format("allowlist_invalid:{}", pointer), std::move(detail));
}

Result<simdjson::dom::object> read_object(element value, std::string_view pointer) {
    simdjson::dom::object object;
    if (value.get_object().get(object) != simdjson::SUCCESS) return invalid(pointer, "not an object");
    return object;
}

Result<std::string_view> read_text(element value, std::string_view pointer) {
    std::string_view text;
    if (value.get_string().get(text) != simdjson::SUCCESS) return invalid(pointer, "not a string");
    return text;
}

template <std::size_t N>
Result<ByteArray<N>> read_hex(element value, std::string_view pointer) {
    const auto text = read_text(value, pointer);
    if (!text) return fail(text.error());
    const auto bytes = from_hex_exact<N>(*text);
    if (!bytes) return invalid(pointer, fmt::format("not {} bytes in hexadecimal", N));
    return *bytes;
}

Result<WallTime> read_time(element value, std::string_view pointer) {
    const auto text = read_text(value, pointer);
    if (!text) return fail(text.error());
    const auto time = from_rfc3339(*text);
    if (!time) return invalid(pointer, fmt::format("\"{}\" is no time as in 2026-01-31T00:00:00Z", *text));
    return *time;
}

Result<Claim> read_claim(element value, std::string_view pointer) {
    bool flag = false;
    std::string_view text;
    if (value.is_null()) return Claim(nullptr);
    if (value.get_bool().get(flag) == simdjson::SUCCESS) return Claim(flag);
    if (value.get_string().get(text) == simdjson::SUCCESS) return Claim(std::string(text));
    return invalid(pointer, "neither a string, a boolean, null nor a list of them");
}

// One value, or a list of values any of which will do.
template <class T, class Read>
Result<std::vector<T>> read_alternatives(element value, std::string_view pointer, Read read) {
    std::vector<T> out;
    simdjson::dom::array list;
    if (value.get_array().get(list) != simdjson::SUCCESS) {
        auto one = read(value, pointer);
        if (!one) return fail(std::move(one.error()));
        out.push_back(std::move(*one));
        return out;
    }
    for (const element item : list) {
        auto one = read(item, json_pointer_child(pointer, std::to_string(out.size())));
        if (!one) return fail(std::move(one.error()));
        out.push_back(std::move(*one));
        if (out.size() > alternatives_max) return invalid(pointer, "too many alternatives");
    }
    if (out.empty()) return invalid(pointer, "an empty list allows nothing");
    return out;
}

// Calls read(key, value, pointer) for each member; one that is there twice is refused.
template <class Read>
Result<void> read_members(element value, std::string_view pointer, Read read) {
    const auto object = read_object(value, pointer);
    if (!object) return fail(object.error());
    std::set<std::string_view> seen;
    for (const auto field : *object) {
        const std::string child = json_pointer_child(pointer, field.key);
        if (!seen.insert(field.key).second) return invalid(child, "the member is there twice");
        if (auto done = read(field.key, field.value, child); !done) return done;
    }
    return {};
}

Result<void> read_quote_measurements(element value, std::string_view pointer, AllowedRegisters& out) {
    return read_members(
        value, pointer, [&](std::string_view key, element item, const std::string& child) -> Result<void> {
            const auto* known = std::find_if(register_names.begin(), register_names.end(),
                                             [&](const auto& row) { return row.second == key; });
            if (known == register_names.end()) return invalid(child, "known are mrtd and rtmr0 to rtmr3");
            auto values = read_alternatives<Measurement>(item, child, read_hex<48>);
            if (!values) return fail(std::move(values.error()));
            out.emplace(known->first, std::move(*values));
            return {};
        });
}

Result<void> read_measurements(element value, std::string_view pointer, AllowedClaims& out) {
    return read_members(value, pointer,
                        [&](std::string_view key, element item, const std::string& child) -> Result<void> {
                            auto values = read_alternatives<Claim>(item, child, read_claim);
                            if (!values) return fail(std::move(values.error()));
                            out.emplace(std::string(key), std::move(*values));
                            if (out.size() > claims_max) return invalid(pointer, "too many claims");
                            return {};
                        });
}

Result<AllowlistBuild> read_build(element value, std::string_view pointer) {
    AllowlistBuild out;
    auto read = read_members(
        value, pointer, [&](std::string_view key, element item, const std::string& child) -> Result<void> {
            if (key == "quote_measurements")
                return read_quote_measurements(item, child, out.quote_measurements);
            if (key == "measurements") return read_measurements(item, child, out.measurements);
            if (key != "name") return invalid(child, "known are name, quote_measurements and measurements");
            const auto text = read_text(item, child);
            if (!text) return fail(text.error());
            if (text->size() > build_name_size_max)
                return invalid(
                    child, fmt::format("{} bytes, at most {} are taken", text->size(), build_name_size_max));
            out.name = *text;
            return {};
        });
    if (!read) return fail(std::move(read.error()));
    if (out.name.empty()) return invalid(json_pointer_child(pointer, "name"), "a build needs a name");
    return out;
}

Result<void> read_builds(element value, Allowlist& out) {
    constexpr std::string_view pointer = "/builds";
    simdjson::dom::array list;
    if (value.get_array().get(list) != simdjson::SUCCESS) return invalid(pointer, "not a list");
    for (const element item : list) {
        const std::string child = json_pointer_child(pointer, std::to_string(out.builds.size()));
        auto build = read_build(item, child);
        if (!build) return fail(std::move(build.error()));
        for (const AllowlistBuild& other : out.builds)
            if (other.name == build->name)
                return invalid(json_pointer_child(child, "name"), "another build has this name");
        out.builds.push_back(std::move(*build));
        if (out.builds.size() > builds_max) return invalid(pointer, "too many builds");
    }
    if (out.builds.empty()) return invalid(pointer, "an empty list allows nothing");
    return {};
}

Result<void> read_text_into(std::string& target, element value, std::string_view pointer) {
    const auto text = read_text(value, pointer);
    if (!text) return fail(text.error());
    target = *text;
    return {};
}

Result<void> read_time_into(std::optional<WallTime>& target, element value, std::string_view pointer) {
    const auto time = read_time(value, pointer);
    if (!time) return fail(time.error());
    target = *time;
    return {};
}

Result<void> read_member(std::string_view key, element value, const std::string& pointer, Allowlist& out) {
    if (key == "version") return {};
    if (key == "release_tag") return read_text_into(out.release_tag, value, pointer);
    if (key == "created_at") return read_text_into(out.created_at, value, pointer);
    if (key == "quote_measurements") return read_quote_measurements(value, pointer, out.quote_measurements);
    if (key == "measurements") return read_measurements(value, pointer, out.measurements);
    if (key == "report_data") {
        const auto bytes = read_hex<64>(value, pointer);
        if (!bytes) return fail(bytes.error());
        out.report_data = *bytes;
        return {};
    }
    // Whatever else a published asset says about its release is not ours to judge.
    if (out.version == 1) return {};
    if (key == "repo") return read_text_into(out.repo, value, pointer);
    if (key == "tcb_min") return read_time_into(out.tcb_min, value, pointer);
    if (key == "expires_at") return read_time_into(out.expires_at, value, pointer);
    if (key == "builds") return read_builds(value, out);
    return invalid(pointer, "version 2 has no such member");
}

// What version 2 asks for beyond the form of each member.
Result<void> check_version_2(const Allowlist& allowlist) {
    if (!is_release_tag(allowlist.release_tag))
        return invalid("/release_tag", "version 2 must name the release that it is about");
    if (!allowlist.repo.empty() && !is_repo(allowlist.repo)) return invalid("/repo", "not owner/name");
    for (std::size_t i = 0; i < allowlist.builds.size(); ++i) {
        const std::string pointer = fmt::format("/builds/{}", i);
        constexpr std::string_view why = "stands beside the builds already, for all of them";
        for (const auto& [which, values] : allowlist.builds[i].quote_measurements)
            if (allowlist.quote_measurements.contains(which))
                return invalid(json_pointer_child(pointer + "/quote_measurements", to_string(which)),
                               std::string(why));
        for (const auto& [name, values] : allowlist.builds[i].measurements)
            if (allowlist.measurements.contains(name))
                return invalid(json_pointer_child(pointer + "/measurements", name), std::string(why));
    }
    return {};
}

}  // namespace

std::string_view to_string(QuoteRegister which) {
    return register_names[static_cast<std::size_t>(which)].second;
}

const Measurement& register_of(const TdReport& report, QuoteRegister which) {
    if (which == QuoteRegister::mrtd) return report.mr_td;
    return report.rtmr[static_cast<std::size_t>(which) - static_cast<std::size_t>(QuoteRegister::rtmr0)];
}

Result<Allowlist> parse_allowlist(std::string_view json) {
    if (json.size() > allowlist_size_max) {
        return invalid("/", fmt::format("{} bytes, at most {} are taken", json.size(), allowlist_size_max));
    }
    simdjson::dom::parser parser;
    element root;
    simdjson::dom::object object;
    if (parser.allocate(json.size(), json_depth_max) != simdjson::SUCCESS ||
        parser.parse(json.data(), json.size()).get(root) != simdjson::SUCCESS ||
        root.get_object().get(object) != simdjson::SUCCESS) {
        return invalid("/", "not a JSON object");
    }
    Allowlist out;
    out.sha256 = crypto::sha256(as_bytes(json));
    out.text = json;
    // The version first: it says what the rest means.
    std::string_view version;
    if (object["version"].get_string().get(version) != simdjson::SUCCESS ||
        (version != "1.0" && version != "2.0" && version != "2")) {
        return invalid("/version", "known are \"1.0\" and \"2.0\"");
    }
    out.version = version == "1.0" ? 1 : 2;
    auto read = read_members(root, "", [&](std::string_view key, element value, const std::string& pointer) {
        return read_member(key, value, pointer, out);
    });
    if (!read) return fail(std::move(read.error()));
    if (out.version == 2)
        if (auto held = check_version_2(out); !held) return fail(std::move(held.error()));
    return out;
}

}  // namespace ee::attestation
