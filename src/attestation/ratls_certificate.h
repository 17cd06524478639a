#pragma once
// RA-TLS certificates: self-signed, with a TDX quote over their own key. Reading says what the quote must be
// over, not whether it holds, and nothing about who owns the key: that is TLS's to prove.

#include <optional>
#include <string_view>

#include "attestation/quote.h"
#include "attestation/report_data.h"
#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace ee::attestation {

// Where certificates of our layout carry inputs and quote: the UUID 0e1049d5-505d-4b10-837d-95ca6e888aea
// below 2.25 (ITU-T X.667). Never critical. Its value, in DER:
//   SEQUENCE { version INTEGER (2), role UTF8String, app UTF8String, repo UTF8String, release_tag UTF8String,
//              network UTF8String, quote OCTET STRING }
inline constexpr std::string_view ratls_extension_oid = "2.25.18693766207096646941995422661099424490";
// Where deployed agents' certificates carry their quote: its bytes, or one DER OCTET STRING around them.
inline constexpr std::string_view deployed_ratls_extension_oid = "1.3.6.1.4.1.57264.1.1";

// How long a certificate of our layout may live; its key is worth no more than this when it is stolen.
inline constexpr std::chrono::hours ratls_life_max{24};
// A quote and generous names around it.
inline constexpr std::size_t ratls_certificate_bytes_max = quote_size_max + 8 * 1024;

// One that is valid now, signed by its own key, and says what its quote is over. The quote is not verified.
struct RatlsCertificate {
    // What it names; nullopt in deployed agents' layout, which binds the key alone.
    std::optional<RatlsIdentity> identity;
    ByteArray<32> spki_sha256{};
    WallTime not_before{};
    WallTime not_after{};
    Bytes quote;
    ReportData report_data{};  // what the quote must carry
};

// One DER certificate. With both extensions ours counts, and the other is not looked at. Refuses with
// `certificate_malformed` (too large, no certificate, an unknown critical extension, neither extension, one
// that does not decode, a life over ratls_life_max), `certificate_not_yet_valid`, `certificate_expired`, or
// `certificate_signature_invalid` (not by its own P-256 or Ed25519 key).
Result<RatlsCertificate> read_ratls_certificate(ByteSpan der, WallTime now);

// The value of ratls_extension_oid.
Bytes encode_ratls_extension(const RatlsIdentity& identity, ByteSpan quote);

}  // namespace ee::attestation
