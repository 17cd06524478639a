#pragma once
// What the four parts of a piece of collateral say about themselves: from when to when, which evaluation.
// Read before anything is verified, to be believed once it has been.

#include "attestation/collateral.h"
#include "base/result.h"
#include "base/time.h"

namespace ee::attestation {

struct CollateralTerms {
    WallTime tcb_info_issued_at{};
    WallTime qe_identity_issued_at{};
    WallTime root_crl_issued_at{};
    WallTime pck_crl_issued_at{};
    std::uint64_t tcb_info_evaluation = 0;
    std::uint64_t qe_identity_evaluation = 0;
    WallTime issued_at{};    // of the part issued last: all of them are valid from here on
    WallTime next_update{};  // of the part that is due first

    bool valid_at(WallTime now) const { return issued_at <= now && now <= next_update; }
};

// Refuses with `collateral_malformed:<part>`.
Result<CollateralTerms> read_collateral_terms(const Collateral& collateral);

// Whether `fresh` may take the place of `kept`: no part may have been issued earlier, no evaluation number
// may be lower. Refuses with `collateral_rolled_back:<part>`, which names both.
Result<void> judge_rollback(const CollateralTerms& kept, const CollateralTerms& fresh);

}  // namespace ee::attestation
