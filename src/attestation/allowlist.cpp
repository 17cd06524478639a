#include "attestation/allowlist.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <simdjson.h>

#include "attestation/json_pointer.h"
#include "base/hex.h"
#include "base/json_writer.h"

namespace ee::attestation {
namespace {

using simdjson::dom::element;

constexpr std::size_t json_depth_max = 32;
// How many values one entry may allow: more builds than that are not one release.
constexpr std::size_t alternatives_max = 256;
constexpr std::string_view known_version = "1.0";

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

Result<void> read_quote_measurements(element value, Allowlist& out) {
    constexpr std::string_view pointer = "/quote_measurements";
    simdjson::dom::object object;
    if (value.get_object().get(object) != simdjson::SUCCESS) return invalid(pointer, "not an object");
    for (const auto field : object) {
        const std::string child = json_pointer_child(pointer, field.key);
        const auto* known = std::find_if(register_names.begin(), register_names.end(),
                                         [&](const auto& row) { return row.second == field.key; });
        if (known == register_names.end()) return invalid(child, "known are mrtd and rtmr0 to rtmr3");
        auto values = read_alternatives<Measurement>(field.value, child, read_hex<48>);
        if (!values) return fail(std::move(values.error()));
        if (!out.quote_measurements.emplace(known->first, std::move(*values)).second) {
            return invalid(child, "the entry is there twice");
        }
    }
    return {};
}

Result<void> read_measurements(element value, Allowlist& out) {
    constexpr std::string_view pointer = "/measurements";
    simdjson::dom::object object;
    if (value.get_object().get(object) != simdjson::SUCCESS) return invalid(pointer, "not an object");
    for (const auto field : object) {
        const std::string child = json_pointer_child(pointer, field.key);
        auto values = read_alternatives<Claim>(field.value, child, read_claim);
        if (!values) return fail(std::move(values.error()));
        if (!out.measurements.emplace(std::string(field.key), std::move(*values)).second) {
            return invalid(child, "the entry is there twice");
        }
    }
    return {};
}

Result<void> read_field(std::string_view key, element value, Allowlist& out) {
    const auto read_into = [&](std::string& target) -> Result<void> {
        const auto text = read_text(value, json_pointer_child("", key));
        if (!text) return fail(text.error());
        target = *text;
        return {};
    };
    if (key == "release_tag") return read_into(out.release_tag);
    if (key == "created_at") return read_into(out.created_at);
    if (key == "quote_measurements") return read_quote_measurements(value, out);
    if (key == "measurements") return read_measurements(value, out);
    if (key == "report_data") {
        auto bytes = read_hex<64>(value, "/report_data");
        if (!bytes) return fail(std::move(bytes.error()));
        out.report_data = *bytes;
    }
    // Whatever else an asset says about its release is not ours to judge.
    return {};
}

std::string json_of(const Claim& claim) {
    if (const auto* text = std::get_if<std::string>(&claim)) {
        std::string out;
        append_json_string(out, *text);
        return out;
    }
    if (const auto* flag = std::get_if<bool>(&claim)) return *flag ? "true" : "false";
    return "null";
}

template <class T, class Describe>
std::string one_of(const std::vector<T>& values, Describe describe) {
    std::string out = describe(values.front());
    if (values.size() > 1) out += fmt::format(" or {} others", values.size() - 1);
    return out;
}

}  // namespace

std::string_view to_string(QuoteRegister which) {
    return register_names[static_cast<std::size_t>(which)].second;
}

const Measurement& register_of(const TdReport& report, QuoteRegister which) {
    if (which == QuoteRegister::mrtd) return report.mr_td;
    return report.rtmr[static_cast<std::size_t>(which) - static_cast<std::size_t>(QuoteRegister::rtmr0)];
}

bool Allowlist::allows_sealed() const {
    const auto sealed = measurements.find("sealed");
    return sealed != measurements.end() &&
           std::find(sealed->second.begin(), sealed->second.end(), Claim(true)) != sealed->second.end();
}

Result<Allowlist> parse_allowlist(std::string_view json) {
    if (json.size() > allowlist_size_max) {
        return invalid("/", fmt::format("{} bytes, at most {} are taken", json.size(), allowlist_size_max));
    }
    simdjson::dom::parser parser;
    simdjson::dom::object object;
    if (parser.allocate(json.size(), json_depth_max) != simdjson::SUCCESS ||
        parser.parse(json.data(), json.size()).get_object().get(object) != simdjson::SUCCESS) {
        return invalid("/", "not a JSON object");
    }
    Allowlist out;
    out.sha256 = crypto::sha256(as_bytes(json));
    out.text = json;
    // The version first: it says what the rest means.
    std::string_view version;
    if (object["version"].get_string().get(version) != simdjson::SUCCESS || version != known_version) {
        return invalid("/version", fmt::format("known is \"{}\"", known_version));
    }
    std::vector<std::string_view> seen;
    for (const auto field : object) {
        if (std::find(seen.begin(), seen.end(), field.key) != seen.end()) {
            return invalid(json_pointer_child("", field.key), "the field is there twice");
        }
        seen.push_back(field.key);
        if (auto read = read_field(field.key, field.value, out); !read) return fail(std::move(read.error()));
    }
    return out;
}

Result<void> match_quote(const Allowlist& allowlist, const TdReport& report) {
    for (const auto& [which, values] : allowlist.quote_measurements) {
        const Measurement& measured = register_of(report, which);
        if (std::find(values.begin(), values.end(), measured) != values.end()) continue;
        return fail(fmt::format("measurement_mismatch:{}", to_string(which)),
                    fmt::format("the quote has {}, the allowlist {}", to_hex(measured),
                                one_of(values, [](const Measurement& m) { return to_hex(m); })));
    }
    return {};
}

Result<void> match_claims(const Allowlist& allowlist, const Claims& claims) {
    for (const auto& [name, values] : allowlist.measurements) {
        const auto claim = claims.find(name);
        if (claim != claims.end() && std::find(values.begin(), values.end(), claim->second) != values.end()) {
            continue;
        }
        return fail(
            fmt::format("measurement_mismatch:{}", name),
            fmt::format("the agent claims {}, the allowlist {}",
                        claim == claims.end() ? "nothing" : json_of(claim->second), one_of(values, json_of)));
    }
    return {};
}

}  // namespace ee::attestation
