#pragma once
// Intel TDX quotes, versions 4 and 5 (Intel TDX DCAP Quoting Library API, appendix 3): layout only.
// A Quote has been parsed, not verified: nothing in it is to be believed.

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace ee::attestation {

inline constexpr std::size_t quote_size_max = 16 * 1024;
inline constexpr std::uint32_t tee_type_sgx = 0x00;
inline constexpr std::uint32_t tee_type_tdx = 0x81;
inline constexpr std::uint16_t attestation_key_type_p256 = 2;
inline constexpr std::uint16_t certification_type_qe_report = 6;
inline constexpr std::uint16_t certification_type_pck_chain = 5;
// 939a7233-f79c-4ca9-940a-0db3957f0607: Intel's quoting enclave.
inline constexpr ByteArray<16> qe_vendor_intel = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                                  0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};

struct QuoteHeader {
    std::uint16_t version = 0;
    std::uint16_t attestation_key_type = 0;
    std::uint32_t tee_type = 0;
    std::uint16_t qe_svn = 0;
    std::uint16_t pce_svn = 0;
    ByteArray<16> qe_vendor_id{};
    ByteArray<20> user_data{};
};

// As numbered by the body descriptor of version 5; version 4 has td_1_0 only.
enum class TdBodyType : std::uint16_t { td_1_0 = 2, td_1_5 = 3, td_1_5_extended = 4 };

std::string_view to_string(TdBodyType type);
std::size_t td_body_size(TdBodyType type);

using Measurement = ByteArray<48>;

struct TdReport {
    ByteArray<16> tee_tcb_svn{};
    Measurement mr_seam{};
    Measurement mr_signer_seam{};
    std::uint64_t seam_attributes = 0;
    std::uint64_t td_attributes = 0;
    std::uint64_t xfam = 0;
    Measurement mr_td{};
    Measurement mr_config_id{};
    Measurement mr_owner{};
    Measurement mr_owner_config{};
    std::array<Measurement, 4> rtmr{};
    ByteArray<64> report_data{};
    // TD 1.5 only.
    std::optional<ByteArray<16>> tee_tcb_svn2;
    std::optional<Measurement> mr_service_td;
    // What "TD 1.5 extended" has beyond TD 1.5; its fields are not published.
    Bytes extension;

    bool is_debug() const { return (td_attributes & 1) != 0; }
};

struct QeReport {
    ByteArray<16> cpu_svn{};
    std::uint32_t misc_select = 0;
    ByteArray<16> attributes{};
    ByteArray<32> mr_enclave{};
    ByteArray<32> mr_signer{};
    std::uint16_t isv_prod_id = 0;
    std::uint16_t isv_svn = 0;
    ByteArray<64> report_data{};

    bool is_debug() const { return (attributes[0] & 0x02) != 0; }
};

struct Quote {
    QuoteHeader header;
    TdBodyType body_type = TdBodyType::td_1_0;
    TdReport body;
    // What `signature` covers: header, descriptor of version 5, body.
    Bytes signed_message;

    ByteArray<64> signature{};        // r || s
    ByteArray<64> attestation_key{};  // x || y
    std::uint16_t certification_type = certification_type_qe_report;

    QeReport qe_report;
    ByteArray<384> qe_report_bytes{};  // what `qe_report_signature` covers
    ByteArray<64> qe_report_signature{};
    Bytes qe_auth_data;
    std::uint16_t pck_certification_type = certification_type_pck_chain;
    std::string pck_chain;  // PEM, leaf first

    std::size_t size = 0;     // bytes of the quote itself
    std::size_t padding = 0;  // zero bytes after it
};

// Refuses with `quote_malformed` (sizes that do not fit, more than 16 KiB, non-zero bytes after the end) or
// `quote_unsupported` (version, TEE, body or certification data we do not know). Vendor and attestation key
// type are left to the verifier, see there.
Result<Quote> parse_quote(ByteSpan bytes);

}  // namespace ee::attestation
