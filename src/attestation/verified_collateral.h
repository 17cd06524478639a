#pragma once
// Judging a piece of collateral by itself, without a quote: whether it may be kept, and replace another.

#include <chrono>
#include <memory>

#include "attestation/collateral.h"
#include "attestation/collateral_parts.h"
#include "attestation/trust_anchor.h"
#include "base/result.h"
#include "base/time.h"

namespace ee::attestation {

// Collateral whose signatures, chains and contents hold, whatever the time is; only verify_collateral makes
// one.
class VerifiedCollateral {
public:
    // What it is found by: anchor, FMSPC, CA.
    const CollateralKey& key() const { return key_; }
    const TrustAnchor& anchor() const { return anchor_; }
    const ByteArray<2>& pce_id() const { return tcb_info().pce_id; }
    const TcbInfo& tcb_info() const { return *parts_->tcb_info; }
    const QeIdentity& qe_identity() const { return *parts_->qe_identity; }
    const crypto::Crl& root_crl() const { return *parts_->root_crl; }
    const crypto::Crl& pck_crl() const { return *parts_->pck_crl; }
    // None of them is a refusal.
    const CollateralParts& parts() const { return *parts_; }
    // The lower tcbEvaluationDataNumber of TCB info and QE identity.
    std::uint64_t evaluation_number() const;
    // The latest issueDate or thisUpdate, and the earliest nextUpdate, of TCB info, QE identity and both
    // CRLs.
    WallTime issued_at_latest() const;
    WallTime next_update_earliest() const;

private:
    friend Result<VerifiedCollateral> verify_collateral(const Collateral&, const TrustAnchors&);
    VerifiedCollateral(const CollateralKey& key, const TrustAnchor& anchor, CollateralParts parts)
        : key_(key), anchor_(anchor), parts_(std::make_shared<const CollateralParts>(std::move(parts))) {}

    CollateralKey key_;
    TrustAnchor anchor_;
    std::shared_ptr<const CollateralParts> parts_;
};

// Everything is there; both issuer chains of TCB info and QE identity and that of the PCK CRL are exactly
// what they must be and end in one and the same of `anchors`; every signature holds, no document is
// malformed, and no CA or signer is revoked. Dates are not judged: that takes `judge_collateral_time`.
// Refuses with `collateral_unavailable`, `collateral_signature_invalid:<part>`,
// `collateral_malformed:<part>`, `collateral_mismatch:crl_issuer`, `:tcb_info_id`, `:qe_identity_id`,
// `certificate_revoked`.
Result<VerifiedCollateral> verify_collateral(const Collateral& collateral, const TrustAnchors& anchors);

// Whether every part and every certificate that comes with it is valid at `now`; refuses as untimely.h says.
Result<void> judge_collateral_time(const VerifiedCollateral& collateral, std::chrono::seconds grace,
                                   WallTime now);

}  // namespace ee::attestation
