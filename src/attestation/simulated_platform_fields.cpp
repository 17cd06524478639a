#include "attestation/simulated_platform_fields.h"

#include <algorithm>
#include <charconv>
#include <string>

#include <fmt/format.h>

#include "base/check.h"
#include "base/hex.h"

namespace ee::attestation {
namespace {

using enum QuotePart;

// Intel TDX DCAP Quoting Library API, appendix A.3 (version 4) and A.4 (version 5); all little-endian.
constexpr QuoteField fields[] = {
    {"version", header, 0, 2, true, "quote version"},
    {"attestation_key_type", header, 2, 2, true, "2: ECDSA P-256"},
    {"tee_type", header, 4, 4, true, "0x81: TDX"},
    {"qe_svn", header, 8, 2, true, "QE SVN in the header"},
    {"pce_svn", header, 10, 2, true, "PCE SVN in the header"},
    {"qe_vendor_id", header, 12, 16, false, "who made the QE"},
    {"user_data", header, 28, 20, false, "QE's own, signed like the rest"},
    {"body_type", descriptor, 0, 2, true, "version 5: 2 is TD 1.0, 3 is TD 1.5"},
    {"body_size", descriptor, 2, 4, true, "version 5: bytes of the body"},
    {"tee_tcb_svn", body, 0, 16, false, "TDX module SVN, module version, SEAM loader, ..."},
    {"mr_seam", body, 16, 48, false, "measurement of the TDX module"},
    {"mrsigner_seam", body, 64, 48, false, "signer of the TDX module, zero for Intel"},
    {"seam_attributes", body, 112, 8, true, "attributes of the TDX module"},
    {"td_attributes", body, 120, 8, true, "bit 0 debug, 28 SEPT_VE_DISABLE, 29 migratable"},
    {"xfam", body, 128, 8, true, "extended features available to the TD"},
    {"mrtd", body, 136, 48, false, "measurement of the TD's initial contents"},
    {"mrconfigid", body, 184, 48, false, "software-defined configuration"},
    {"mrowner", body, 232, 48, false, "software-defined owner"},
    {"mrownerconfig", body, 280, 48, false, "software-defined owner's configuration"},
    {"rtmr0", body, 328, 48, false, "run-time measurement 0"},
    {"rtmr1", body, 376, 48, false, "run-time measurement 1"},
    {"rtmr2", body, 424, 48, false, "run-time measurement 2"},
    {"rtmr3", body, 472, 48, false, "run-time measurement 3"},
    {"report_data", body, 520, 64, false, "what the TD asked to be quoted"},
    {"tee_tcb_svn2", body, 584, 16, false, "TD 1.5: SVNs of the module running now"},
    {"mrservicetd", body, 600, 48, false, "TD 1.5: measurement of the service TDs"},
    {"qe_cpusvn", qe_report, 0, 16, false, "QE report"},
    {"qe_miscselect", qe_report, 16, 4, true, "QE report"},
    {"qe_attributes", qe_report, 48, 16, false, "QE report; bit 1 of the first byte is debug"},
    {"qe_mrenclave", qe_report, 64, 32, false, "QE report"},
    {"qe_mrsigner", qe_report, 128, 32, false, "QE report"},
    {"qe_isvprodid", qe_report, 256, 2, true, "QE report"},
    {"qe_isvsvn", qe_report, 258, 2, true, "QE report"},
    {"qe_report_data", qe_report, 320, 64, false, "QE report: SHA-256(attestation key || auth data), zeros"},
    {"signature", signatures, 0, 64, false, "over header, descriptor and body"},
    {"attestation_key", signatures, 64, 64, false, "public point x || y"},
    {"qe_report_signature", signatures, 128, 64, false, "by the PCK certificate's key"},
    {"signature_data_length", lengths, 0, 4, true, "bytes after the body"},
    {"certification_type", lengths, 4, 2, true, "6: QE report"},
    {"certification_length", lengths, 6, 4, true, "bytes of the certification data"},
    {"qe_auth_length", lengths, 10, 2, true, "bytes of the QE authentication data"},
    {"pck_type", lengths, 12, 2, true, "5: PCK chain in PEM"},
    {"pck_length", lengths, 14, 4, true, "bytes of the PCK chain"},
    {"pck_ppid", pck, 0, 16, false, "PCK certificate: platform provisioning id"},
    {"pck_cpusvn", pck, 16, 16, false, "PCK certificate: CPUSVN, also its 16 component SVNs"},
    {"pck_pcesvn", pck, 32, 2, true, "PCK certificate: PCE SVN"},
    {"pck_pce_id", pck, 34, 2, false, "PCK certificate: PCE id"},
    {"pck_fmspc", pck, 36, 6, false, "PCK certificate: platform family"},
    {"pck_platform_instance_id", pck, 42, 16, false, "PCK certificate: platform instance"},
};

std::optional<std::uint64_t> parse_number(std::string_view text) {
    int base = 10;
    if (text.starts_with("0x")) {
        text.remove_prefix(2);
        base = 16;
    }
    std::uint64_t number = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
    if (error != std::errc{} || stop != text.data() + text.size()) return std::nullopt;
    return number;
}

Bytes little_endian(std::uint64_t number, std::size_t size) {
    Bytes bytes(size);
    for (std::uint8_t& byte : bytes) {
        byte = static_cast<std::uint8_t>(number);
        number >>= 8;
    }
    return bytes;
}

}  // namespace

std::span<const QuoteField> quote_fields() {
    return fields;
}

const QuoteField* find_quote_field(std::string_view name) {
    const auto* found = std::find_if(std::begin(fields), std::end(fields),
                                     [name](const QuoteField& field) { return field.name == name; });
    return found == std::end(fields) ? nullptr : found;
}

Result<FieldOverride> parse_field_override(const QuoteField& field, std::string_view value) {
    const std::string code = "invalid_field:" + std::string(field.name);
    if (field.is_number) {
        const auto number = parse_number(value);
        const bool fits = number && (field.size == sizeof(*number) || (*number >> (8 * field.size)) == 0);
        if (!fits) {
            return fail(code, fmt::format("{} takes a number of {} bits, not \"{}\"", field.name,
                                          8 * field.size, value));
        }
        return FieldOverride{&field, little_endian(*number, field.size)};
    }
    auto bytes = from_hex(value);
    if (!bytes || bytes->size() != field.size) {
        return fail(code, fmt::format("{} takes {} hex characters ({} bytes), not {} characters", field.name,
                                      2 * field.size, field.size, value.size()));
    }
    return FieldOverride{&field, std::move(*bytes)};
}

void write_field(std::span<std::uint8_t> block, const QuoteField& field, ByteSpan bytes) {
    EE_CHECK(bytes.size() == field.size);
    // A TD 1.0 body has no TD 1.5 fields: setting them there changes nothing.
    if (std::size_t{field.offset} + field.size > block.size()) return;
    std::copy(bytes.begin(), bytes.end(), block.begin() + field.offset);
}

void write_field(std::span<std::uint8_t> block, std::string_view name, ByteSpan bytes) {
    const QuoteField* field = find_quote_field(name);
    EE_CHECK(field != nullptr);
    write_field(block, *field, bytes);
}

void write_number(std::span<std::uint8_t> block, std::string_view name, std::uint64_t number) {
    const QuoteField* field = find_quote_field(name);
    EE_CHECK(field != nullptr && field->is_number);
    write_field(block, *field, little_endian(number, field->size));
}

void apply_overrides(std::span<std::uint8_t> block, QuotePart part,
                     std::span<const FieldOverride> overrides) {
    for (const FieldOverride& override_ : overrides) {
        if (override_.field->part == part) write_field(block, *override_.field, override_.bytes);
    }
}

}  // namespace ee::attestation
