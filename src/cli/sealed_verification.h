#pragma once
// Whether the other end of a sealed connection is the TD it must be: its certificate's quote, then a fresh
// one over this very connection.

#include <string>

#include "attestation/ratls_certificate.h"
#include "cli/quote_judgement.h"
#include "cli/sealed_connection.h"

namespace ee::cli {

// What held.
struct SealedVerdict {
    attestation::RatlsCertificate certificate;
    QuoteOutcome certified;  // The certificate's quote.
    QuoteOutcome fresh;
};

// The certificate alone, as shown: it names the app on the network of the policy and the release of the
// allowlist, and carries a quote over its key that holds by the terms (all of which must be given). Refusals:
// those of read_ratls_certificate(), `certificate_mismatch:<layout|role|app|network>`,
// `allowlist_invalid:/repo` and `/release_tag` when it is of another release, and those of judge_quote().
Result<SealedVerdict> judge_certificate(ByteSpan der, std::string_view app, const QuoteTerms& terms,
                                        WallTime now);

// The fresh quote: over `expected`, good by the same terms, of the same TD on the same platform. Besides
// those of judge_quote(): `measurement_mismatch:<field>`, `platform_mismatch`.
Result<void> judge_fresh_quote(ByteSpan quote, const attestation::ReportData& expected,
                               const QuoteTerms& terms, WallTime now, SealedVerdict& verdict);

// Both, with the exchange between them: the nonce goes out only once the certificate has held. Besides, of
// what comes back: `quote_missing` (it ends, or is empty), `quote_too_large`.
Result<SealedVerdict> verify_sealed(SealedConnection& connection, std::string_view app,
                                    const ByteArray<32>& nonce, const QuoteTerms& terms, WallTime now);

std::string verdict_json(std::string_view app, const SealedVerdict& verdict);

}  // namespace ee::cli
