#pragma once
// Verifies quotes: signatures from the report up to a pinned root, validity, revocation, the vendor's
// collateral and the platform's TCB level, in a fixed order that puts what is cheap and chosen by an attacker
// first.

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attestation/collateral_source.h"
#include "attestation/pck_extension.h"
#include "attestation/quote.h"
#include "attestation/report_data.h"
#include "attestation/tcb_status.h"
#include "attestation/trust_anchor.h"
#include "attestation/untimely.h"
#include "attestation/verification_cache.h"
#include "base/result.h"
#include "base/time.h"

namespace ee::attestation {

// One letter a check, as the documentation's table of checks has them.
//   A layout  B kind  C report data  D quote signature  E attestation key  F QE report signature
//   G certificate chain  H certificate validity  I revocation  J PCK extension
//   K TCB info  L QE identity  M TDX module  N TCB levels  O policy  P measurements
using CheckList = std::vector<std::string>;

// A quote whose signature chain holds up to a trust anchor. Only QuoteVerifier makes one.
class VerifiedQuote {
public:
    const Quote& quote() const { return quote_; }
    const TdReport& report() const { return quote_.body; }
    const TrustAnchor& anchor() const { return anchor_; }
    PckCa ca() const { return ca_; }
    // Of the PCK certificate; nullopt when it was not judged (no collateral) and does not parse.
    const std::optional<PckExtension>& pck() const { return pck_; }
    const TcbEvaluation& tcb() const { return tcb_; }
    // What checks I to N were made with; null without collateral.
    const std::shared_ptr<const Collateral>& collateral() const { return collateral_; }

private:
    friend class QuoteVerifier;
    VerifiedQuote(Quote quote, const TrustAnchor& anchor, PckCa ca)
        : quote_(std::move(quote)), anchor_(anchor), ca_(ca) {}

    Quote quote_;
    TrustAnchor anchor_;
    PckCa ca_;
    std::optional<PckExtension> pck_;
    TcbEvaluation tcb_;
    std::shared_ptr<const Collateral> collateral_;
};

struct VerifyOptions {
    // Check C is made when either is given: what the quote's report data must be, and a refusal found
    // outside the quote (the message said something else) that is to take its turn there.
    std::optional<ReportData> report_data;
    std::optional<Error> report_data_refusal;
    // Where check C fails, the others are made all the same: its refusal then says what they came to.
    bool goes_on_for_the_record = false;
    // Checks I to N are made when this is given; it is asked once the chain has held.
    CollateralSource* collateral = nullptr;
    std::chrono::seconds collateral_grace{0};
};

// What came of it. `quote` and `refusal`: exactly one is there.
struct Verification {
    // Made, in order. The last one is the one that refused, if any did; only what is from another time
    // (untimely.h), and check C for the record, was met before.
    CheckList checks;
    CheckList not_checked;  // of A to N
    std::optional<Error> refusal;
    std::optional<VerifiedQuote> quote;
    // The quote's report data where they, and nothing else of A to N, are not what was asked for.
    std::optional<ReportData> foreign_report_data;

    // Everything that could be judged held.
    bool crypto_ok() const { return quote.has_value(); }
    // And collateral was there to judge the platform's TCB levels by.
    bool tcb_evaluated() const { return quote && quote->tcb().status != TcbStatus::not_evaluated; }
};

// Thread-safe. Remembers PCK chains and collateral whose signatures held (verification_cache.h): an answer
// never depends on what was verified before, only the time it takes.
class QuoteVerifier {
public:
    explicit QuoteVerifier(TrustAnchors anchors, const CacheLimits& limits = {});

    // Raw bytes, as they came. Any input gives an answer.
    Verification verify(ByteSpan quote, const VerifyOptions& options, WallTime now) const;

    const TrustAnchors& anchors() const { return anchors_; }
    VerificationCache& cache() const { return *cache_; }

private:
    Result<VerifiedQuote> verify_steps(ByteSpan bytes, const VerifyOptions& options, WallTime now,
                                       Verification& out) const;

    // From check D on.
    Result<VerifiedQuote> verify_signed(Quote quote, const VerifyOptions& options, WallTime now,
                                        CheckList& checks) const;
    Result<std::shared_ptr<const KnownPck>> check_chain(const Quote& quote, CheckList& checks) const;
    Result<TcbEvaluation> check_collateral(const VerifiedQuote& verified, const KnownPck& pck,
                                           const Collateral& collateral, Untimely& untimely,
                                           CheckList& checks) const;

    TrustAnchors anchors_;
    std::unique_ptr<VerificationCache> cache_;
};

}  // namespace ee::attestation
