#include <string>

#include <fmt/format.h>
#include <simdjson.h>

#include "attestation/directory_source.h"
#include "attestation/simulated_platform.h"
#include "attestation/simulated_platform_certificates.h"
#include "base/hex.h"
#include "base/json_writer.h"
#include "base/replace_file.h"
#include "crypto/certificate.h"
#include "crypto/issuing.h"

namespace ee::attestation {
namespace {

using crypto::SigningKey;
using std::filesystem::path;

constexpr std::size_t platform_file_bytes_max = 64 * 1024;

tl::unexpected<Error> unreadable(const path& file, std::string_view why) {
    return fail("simulated_platform_unreadable",
                fmt::format("{}: {} (`eectl simulate init` makes a platform)", file.string(), why));
}

tl::unexpected<Error> unwritable(std::string detail) {
    return fail("simulated_platform_unwritable", std::move(detail));
}

Result<void> write_whole_file(const path& file, std::string_view text) {
    const auto written = replace_file(file, text, 0644);
    if (!written) return unwritable(written.error().detail);
    return {};
}

void write_section(JsonWriter& json, const char* section, QuotePart part, ByteSpan block) {
    json.key(section).begin_object();
    for (const QuoteField& field : quote_fields()) {
        if (field.part != part || field.name == "report_data") continue;
        json.field(field.name, to_hex(block.subspan(field.offset, field.size)));
    }
    json.end_object();
}

std::string platform_json(const SimulatedPlatform& platform) {
    std::string text;
    JsonWriter json(text);
    json.begin_object().field("version", 1).field("made_at", to_rfc3339(platform.made_at));
    write_section(json, "pck", QuotePart::pck, platform.pck_facts);
    write_section(json, "td_report", QuotePart::body, platform.td_report);
    json.end_object();
    return text + "\n";
}

Result<void> read_section(const path& file, simdjson::dom::element root, const char* section, QuotePart part,
                          std::span<std::uint8_t> block) {
    for (const QuoteField& field : quote_fields()) {
        if (field.part != part || field.name == "report_data") continue;
        std::string_view text;
        const bool is_text = root[section][field.name].get(text) == simdjson::SUCCESS;
        const auto bytes = is_text ? from_hex(text) : std::nullopt;
        if (!bytes || bytes->size() != field.size) {
            return unreadable(
                file, fmt::format("\"{}\".\"{}\" is not {} bytes in hex", section, field.name, field.size));
        }
        write_field(block, field, *bytes);
    }
    return {};
}

struct PlatformFacts {
    ByteArray<58> pck{};
    ByteArray<648> td_report{};
    WallTime made_at{};
};

Result<PlatformFacts> read_platform_json(const path& file) {
    const auto text = read_whole_file(file, platform_file_bytes_max);
    if (!text) return unreadable(file, text.error().detail);
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    std::string_view made_at;
    if (parser.parse(*text).get(root) != simdjson::SUCCESS) return unreadable(file, "not JSON");
    if (root["made_at"].get(made_at) != simdjson::SUCCESS || !from_rfc3339(made_at)) {
        return unreadable(file, "\"made_at\" is not a time");
    }
    PlatformFacts facts;
    facts.made_at = *from_rfc3339(made_at);
    if (const auto read = read_section(file, root, "pck", QuotePart::pck, facts.pck); !read)
        return fail(read.error());
    if (const auto read = read_section(file, root, "td_report", QuotePart::body, facts.td_report); !read) {
        return fail(read.error());
    }
    return facts;
}

Result<SigningKey> read_key(const path& file) {
    auto key = crypto::load_signing_key(file);
    if (!key) return unreadable(file, key.error().detail);
    if (key->kind() != crypto::KeyKind::p256) return unreadable(file, "the key is not P-256");
    return key;
}

Result<Bytes> read_certificate(const path& file) {
    const auto text = read_whole_file(file, platform_file_bytes_max);
    if (!text) return unreadable(file, text.error().detail);
    const auto certificate = crypto::parse_certificate(as_bytes(*text));
    if (!certificate) return unreadable(file, certificate.error().detail);
    return certificate->der();
}

Result<void> write_issued_files(const path& folder, const SimulatedPlatform& platform, WallTime at,
                                const SimulatedFaults& faults) {
    auto allowlist = write_whole_file(folder / "allowlist.json", make_simulated_allowlist(platform, at));
    if (!allowlist) return allowlist;
    return write_whole_file(folder / "collateral.json", make_simulated_collateral(platform, at, faults));
}

}  // namespace

bool simulated_platform_exists(const path& folder) {
    std::error_code ignored;
    return std::filesystem::exists(folder / "platform.json", ignored);
}

Result<void> save_simulated_platform(const path& folder, const SimulatedPlatform& platform, WallTime at) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) return unwritable(fmt::format("{}: {}", folder.string(), error.message()));
    const std::pair<const char*, const SigningKey*> keys[] = {{"root.key", &platform.root_key},
                                                              {"platform_ca.key", &platform.platform_ca_key},
                                                              {"pck.key", &platform.pck_key},
                                                              {"tcb_signing.key", &platform.tcb_signing_key},
                                                              {"attestation.key", &platform.attestation_key}};
    for (const auto& [name, key] : keys) {
        const auto saved = crypto::save_signing_key(folder / name, *key);
        if (!saved) return unwritable(saved.error().detail);
    }
    const std::pair<const char*, const Bytes*> certificates[] = {
        {"root.pem", &platform.root_certificate},
        {"platform_ca.pem", &platform.platform_ca_certificate},
        {"pck.pem", &platform.pck_certificate},
        {"tcb_signing.pem", &platform.tcb_signing_certificate}};
    for (const auto& [name, der] : certificates) {
        const auto saved = write_whole_file(folder / name, crypto::certificate_to_pem(*der));
        if (!saved) return saved;
    }
    auto issued = write_issued_files(folder, platform, at, {});
    if (!issued) return issued;
    // Last, because its presence says that the platform is complete.
    return write_whole_file(folder / "platform.json", platform_json(platform));
}

Result<SimulatedPlatform> load_simulated_platform(const path& folder) {
    auto facts = read_platform_json(folder / "platform.json");
    if (!facts) return fail(facts.error());
    auto root_key = read_key(folder / "root.key");
    if (!root_key) return fail(root_key.error());
    auto platform_ca_key = read_key(folder / "platform_ca.key");
    if (!platform_ca_key) return fail(platform_ca_key.error());
    auto pck_key = read_key(folder / "pck.key");
    if (!pck_key) return fail(pck_key.error());
    auto tcb_signing_key = read_key(folder / "tcb_signing.key");
    if (!tcb_signing_key) return fail(tcb_signing_key.error());
    auto attestation_key = read_key(folder / "attestation.key");
    if (!attestation_key) return fail(attestation_key.error());
    auto root = read_certificate(folder / "root.pem");
    if (!root) return fail(root.error());
    auto platform_ca = read_certificate(folder / "platform_ca.pem");
    if (!platform_ca) return fail(platform_ca.error());
    auto pck = read_certificate(folder / "pck.pem");
    if (!pck) return fail(pck.error());
    auto tcb_signing = read_certificate(folder / "tcb_signing.pem");
    if (!tcb_signing) return fail(tcb_signing.error());
    SimulatedPlatform platform{.root_key = std::move(*root_key),
                               .platform_ca_key = std::move(*platform_ca_key),
                               .pck_key = std::move(*pck_key),
                               .tcb_signing_key = std::move(*tcb_signing_key),
                               .attestation_key = std::move(*attestation_key),
                               .root_certificate = std::move(*root),
                               .platform_ca_certificate = std::move(*platform_ca),
                               .pck_certificate = std::move(*pck),
                               .tcb_signing_certificate = std::move(*tcb_signing),
                               .pck_facts = facts->pck,
                               .td_report = facts->td_report,
                               .qe_report = {},
                               .qe_report_signature = {},
                               .made_at = facts->made_at};
    simulated::certify_attestation_key(platform);
    return platform;
}

Result<void> refresh_simulated_platform(const path& folder, WallTime at, const SimulatedFaults& faults) {
    const auto platform = load_simulated_platform(folder);
    if (!platform) return fail(platform.error());
    return write_issued_files(folder, *platform, at, faults);
}

}  // namespace ee::attestation
