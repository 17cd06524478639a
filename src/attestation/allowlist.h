#pragma once
// Allowlists: what a release's authors say its machines measure, published as an asset of the release.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attestation/quote.h"
#include "base/bytes.h"
#include "base/claims.h"
#include "base/result.h"
#include "crypto/digest.h"

namespace ee::attestation {

inline constexpr std::size_t allowlist_size_max = 1024 * 1024;

// The registers of a quote that an allowlist can name.
enum class QuoteRegister { mrtd, rtmr0, rtmr1, rtmr2, rtmr3 };
std::string_view to_string(QuoteRegister which);
const Measurement& register_of(const TdReport& report, QuoteRegister which);

// Version 1. Each entry lists the values that are allowed (any of them).
struct Allowlist {
    std::string release_tag;  // empty when the asset does not say
    std::string created_at;
    std::map<QuoteRegister, std::vector<Measurement>> quote_measurements;
    std::map<std::string, std::vector<Claim>, Utf16Less> measurements;
    std::optional<ByteArray<64>> report_data;  // for legacy quotes only
    crypto::Sha256 sha256{};                   // of the asset's bytes
    std::string text;                          // the asset's bytes

    // Whether the release may call itself sealed.
    bool allows_sealed() const;
};

// Strict. A refusal names the wrong field by JSON pointer (RFC 6901): `allowlist_invalid:/version`,
// `allowlist_invalid:/quote_measurements/mrtd`; `allowlist_invalid:/` when the text is no JSON object,
// is over 1 MiB or nested deeper than 32.
Result<Allowlist> parse_allowlist(std::string_view json);

// Compares the registers of a quote; `measurement_mismatch:<register>` names both sides.
Result<void> match_quote(const Allowlist& allowlist, const TdReport& report);
// Compares an agent's claims, of which only those its quote binds may be passed;
// `measurement_mismatch:<claim>`.
Result<void> match_claims(const Allowlist& allowlist, const Claims& claims);

}  // namespace ee::attestation
