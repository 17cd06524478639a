#include "attestation/collateral.h"

#include <array>

#include <fmt/format.h>
#include <simdjson.h>

#include "attestation/certificate_chain.h"
#include "base/hex.h"
#include "base/json_writer.h"
#include "crypto/certificate.h"
#include "crypto/crl.h"

namespace ee::attestation {
namespace {

constexpr std::size_t json_depth_max = 32;
constexpr std::size_t chain_size_max = 64 * 1024;
constexpr std::size_t signature_size_max = 1024;

// An entry of the file: text as it stands, or bytes in hex.
struct Entry {
    std::string_view name;
    std::size_t size_max;
    std::string Collateral::* text;
    Bytes Collateral::* bytes;
};

constexpr std::array<Entry, 9> entries = {{
    {"pck_crl_issuer_chain", chain_size_max, &Collateral::pck_crl_issuer_chain, nullptr},
    {"root_ca_crl", crl_size_max, nullptr, &Collateral::root_ca_crl},
    {"pck_crl", crl_size_max, nullptr, &Collateral::pck_crl},
    {"tcb_info_issuer_chain", chain_size_max, &Collateral::tcb_info_issuer_chain, nullptr},
    {"tcb_info", tcb_info_size_max, &Collateral::tcb_info, nullptr},
    {"tcb_info_signature", signature_size_max, nullptr, &Collateral::tcb_info_signature},
    {"qe_identity_issuer_chain", chain_size_max, &Collateral::qe_identity_issuer_chain, nullptr},
    {"qe_identity", qe_identity_size_max, &Collateral::qe_identity, nullptr},
    {"qe_identity_signature", signature_size_max, nullptr, &Collateral::qe_identity_signature},
}};

ByteSpan bytes_of(const Collateral& collateral, const Entry& entry) {
    return entry.text != nullptr ? as_bytes(collateral.*entry.text) : ByteSpan(collateral.*entry.bytes);
}

tl::unexpected<Error> malformed(const Entry& entry, std::string detail) {
    return fail(fmt::format("collateral_malformed:{}", entry.name), std::move(detail));
}

Result<void> read_entry(const Entry& entry, simdjson::dom::element value, Collateral& out) {
    if (!bytes_of(out, entry).empty()) return malformed(entry, "the entry is there twice");
    if (value.is_null()) return {};
    std::string_view text;
    if (value.get_string().get(text) != simdjson::SUCCESS) return malformed(entry, "not a string");
    const std::size_t size = entry.text != nullptr ? text.size() : text.size() / 2;
    if (size > entry.size_max) {
        return malformed(entry, fmt::format("{} bytes, at most {} are taken", size, entry.size_max));
    }
    if (entry.text != nullptr) {
        out.*entry.text = text;
        return {};
    }
    auto bytes = from_hex(text);
    if (!bytes) return malformed(entry, "not hexadecimal");
    out.*entry.bytes = std::move(*bytes);
    return {};
}

std::optional<PckCa> ca_named(const std::optional<std::string>& common_name) {
    return common_name ? pck_ca_of(*common_name) : std::nullopt;
}

// Whose PCK CRL this is: by the CRL itself, or by the chain that comes with it.
std::optional<PckCa> ca_of(const Collateral& collateral) {
    if (const auto crl = crypto::Crl::from_der(collateral.pck_crl))
        return ca_named(crl->issuer_common_name());
    const auto chain = crypto::parse_pem_chain(collateral.pck_crl_issuer_chain);
    return chain ? ca_named(chain->front().subject_common_name()) : std::nullopt;
}

}  // namespace

std::string_view to_string(PckCa ca) {
    return ca == PckCa::platform ? "platform" : "processor";
}

std::map<std::string, ByteSpan, std::less<>> Collateral::parts() const {
    std::map<std::string, ByteSpan, std::less<>> out;
    for (const Entry& entry : entries) {
        const ByteSpan bytes = bytes_of(*this, entry);
        if (!bytes.empty()) out.emplace(entry.name, bytes);
    }
    return out;
}

std::map<std::string, crypto::Sha256, std::less<>> Collateral::sha256() const {
    std::map<std::string, crypto::Sha256, std::less<>> out;
    for (const auto& [name, bytes] : parts()) out.emplace(name, crypto::sha256(bytes));
    return out;
}

Result<Collateral> parse_collateral(std::string_view json) {
    if (json.size() > collateral_file_size_max) {
        return fail("collateral_malformed",
                    fmt::format("{} bytes, at most {} are taken", json.size(), collateral_file_size_max));
    }
    // Its memory is kept for files of the usual size: a fresh parser's pages take longer than parsing.
    constexpr std::size_t usual_size = 64 * 1024;
    thread_local simdjson::dom::parser kept;
    simdjson::dom::parser fresh;
    simdjson::dom::parser& parser = json.size() <= usual_size ? kept : fresh;
    simdjson::dom::object object;
    if (json.empty() ||  // Perhaps without an address, which simdjson copies from.
        (parser.capacity() < json.size() &&
         parser.allocate(std::max(json.size(), usual_size), json_depth_max) != simdjson::SUCCESS) ||
        parser.parse(json.data(), json.size()).get_object().get(object) != simdjson::SUCCESS) {
        return fail("collateral_malformed", "not a JSON object");
    }
    Collateral collateral;
    bool known = false;
    for (const auto field : object) {
        const auto* entry =
            std::find_if(entries.begin(), entries.end(), [&](const Entry& e) { return e.name == field.key; });
        if (entry == entries.end()) continue;
        known = true;
        if (auto read = read_entry(*entry, field.value, collateral); !read) return fail(read.error());
    }
    if (!known) return fail("collateral_malformed", "a JSON object without any entry of a collateral file");
    return collateral;
}

std::string to_json(const Collateral& collateral) {
    std::string text;
    JsonWriter json(text);
    json.begin_object();
    for (const Entry& entry : entries) {
        const ByteSpan bytes = bytes_of(collateral, entry);
        json.key(entry.name);
        if (bytes.empty())
            json.null();
        else if (entry.text != nullptr)
            json.value(collateral.*entry.text);
        else
            json.value(to_hex(bytes));
    }
    json.end_object();
    return text + "\n";
}

std::optional<CollateralLabel> read_collateral_label(const Collateral& collateral) {
    simdjson::dom::parser parser;
    simdjson::dom::element tcb_info;
    std::string_view fmspc, issue_date;
    if (parser.allocate(collateral.tcb_info.size(), json_depth_max) != simdjson::SUCCESS ||
        parser.parse(collateral.tcb_info).get(tcb_info) != simdjson::SUCCESS ||
        tcb_info["fmspc"].get_string().get(fmspc) != simdjson::SUCCESS ||
        tcb_info["issueDate"].get_string().get(issue_date) != simdjson::SUCCESS) {
        return std::nullopt;
    }
    const auto fmspc_bytes = from_hex_exact<6>(fmspc);
    const auto issued_at = from_rfc3339(issue_date);
    const auto chain = crypto::parse_pem_chain(collateral.tcb_info_issuer_chain);
    const auto ca = ca_of(collateral);
    if (!fmspc_bytes || !issued_at || !chain || !ca) return std::nullopt;
    return CollateralLabel{.key = {chain->back().spki_sha256(), *fmspc_bytes, *ca}, .issued_at = *issued_at};
}

}  // namespace ee::attestation
