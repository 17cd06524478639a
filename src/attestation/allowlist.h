#pragma once
// Allowlists: what a release's authors say its machines measure, published as an asset of the release.
// docs/allowlists.md describes both versions field by field.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attestation/quote.h"
#include "base/bytes.h"
#include "base/claims.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/digest.h"

namespace ee::attestation {

inline constexpr std::size_t allowlist_size_max = 1024 * 1024;

// The registers of a quote that an allowlist can name.
enum class QuoteRegister { mrtd, rtmr0, rtmr1, rtmr2, rtmr3 };
std::string_view to_string(QuoteRegister which);
const Measurement& register_of(const TdReport& report, QuoteRegister which);

using AllowedRegisters = std::map<QuoteRegister, std::vector<Measurement>>;
using AllowedClaims = std::map<std::string, std::vector<Claim>, Utf16Less>;

// One of the builds of a release (version 2). A machine is one of them whole, never a mix.
struct AllowlistBuild {
    std::string name{};
    AllowedRegisters quote_measurements{};
    AllowedClaims measurements{};
};

// Each entry lists the values that are allowed (any of them). What stands beside `builds` is asked of every
// machine; version 1 has no builds.
struct Allowlist {
    int version = 1;
    std::string release_tag;  // empty when the asset does not say (version 1 only)
    std::string repo;         // owner/name; empty when the asset does not say
    std::string created_at;
    AllowedRegisters quote_measurements;
    AllowedClaims measurements;
    std::vector<AllowlistBuild> builds;
    std::optional<ByteArray<64>> report_data;  // for legacy quotes only
    std::optional<WallTime> tcb_min;           // the oldest TCB date that is good enough
    std::optional<WallTime> expires_at;
    crypto::Sha256 sha256{};  // of the asset's bytes
    std::string text;         // the asset's bytes

    // Whether the release, in any of its builds, may call itself sealed.
    bool allows_sealed() const;
    // Whether every machine that matches is measured there, or claims that.
    bool names(QuoteRegister which) const;
    bool names(std::string_view claim) const;
};

// Strict. A refusal names the wrong field by JSON pointer (RFC 6901): `allowlist_invalid:/version`,
// `allowlist_invalid:/builds/0/quote_measurements/mrtd`; `allowlist_invalid:/` when the text is no JSON
// object, is over 1 MiB or nested deeper than 32. Unknown members are refused in version 2; version 1, as
// published, may have more at its top.
Result<Allowlist> parse_allowlist(std::string_view json);

// Whether an allowlist is about this release and still holds at `now`: `allowlist_invalid:/release_tag`,
// `/repo`, `/expires_at`. One that was copied from another release counts for nothing.
Result<void> check_allowlist(const Allowlist& allowlist, std::string_view repo, std::string_view release_tag,
                             WallTime now);

// `measurement_mismatch:tcb_min` when the platform's TCB date is older than the allowlist asks for, or was
// not evaluated.
Result<void> match_tcb_date(const Allowlist& allowlist, const std::optional<WallTime>& tcb_date);

// Compares the registers of a quote with those of every machine and those of at least one build;
// `measurement_mismatch:<register>` names both sides, of the build that comes closest.
Result<void> match_quote(const Allowlist& allowlist, const TdReport& report);

struct AllowlistMatch {
    std::string build;           // its name; empty when the allowlist has no builds
    bool allows_sealed = false;  // this build may call itself sealed
};

// Compares the registers of a quote and an agent's claims, of which only those its quote binds may be passed:
// one build must agree with both. `measurement_mismatch:<register or claim>`, of the build that comes
// closest.
Result<AllowlistMatch> match_machine(const Allowlist& allowlist, const TdReport& report,
                                     const Claims& claims);

}  // namespace ee::attestation
