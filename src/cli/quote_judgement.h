#pragma once
// Judging a quote by terms that were given on the command line.

#include <memory>
#include <optional>
#include <string>

#include "attestation/allowlist.h"
#include "attestation/policy.h"
#include "attestation/quote_verifier.h"

namespace ee::cli {

// Texts as given; empty where the option is absent.
struct QuoteTermsOptions {
    std::string collateral;  // a file or a folder
    std::string root;        // a certificate file
    std::string network;
    std::string policy;  // a file of networks; `network` picks one of several
    std::string allowlist;
};

// The options, read; what is absent is not judged.
struct QuoteTerms {
    attestation::TrustAnchors anchors;
    std::unique_ptr<attestation::CollateralSource> collateral;
    std::optional<attestation::NetworkPolicy> policy;
    bool is_network_served = true;
    std::optional<attestation::Allowlist> allowlist;
};

// Refuses with `usage`, or by what a verdict must show: see is_verdict().
Result<QuoteTerms> read_quote_terms(const QuoteTermsOptions& options);

// A refusal that the verdict itself must show (a bad collateral file, a bad allowlist), as against bad usage.
bool is_verdict(const Error& error);

struct QuoteOutcome {
    std::optional<Error> refusal;
    attestation::CheckList checks;
    attestation::CheckList not_checked;
    std::optional<attestation::VerifiedQuote> quote;

    bool tcb_evaluated() const {
        return quote && quote->tcb().status != attestation::TcbStatus::not_evaluated;
    }
    // "ok", "crypto_ok" (no collateral was there), "refused".
    const char* result() const { return refusal ? "refused" : (tcb_evaluated() ? "ok" : "crypto_ok"); }
};

// Checks A to P as far as the terms go. Claims and binding need a tunnel and are not judged.
QuoteOutcome judge_quote(ByteSpan quote, const std::optional<attestation::ReportData>& report_data,
                         const QuoteTerms& terms, WallTime at);

}  // namespace ee::cli
