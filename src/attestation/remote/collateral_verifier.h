#pragma once
// How fetched collateral is judged before it is believed: by the verifier that judges quotes.

#include "attestation/remote/collateral_cache.h"
#include "attestation/trust_anchor.h"

namespace ee::attestation {

// Under the anchor of its key only, and valid at the time asked for, without grace. Refuses as
// verify_collateral and judge_collateral_time do, and with `collateral_mismatch:anchor`, `:fmspc` or `:ca`
// what is about another platform.
VerifyCollateral make_collateral_verifier(TrustAnchors anchors);

}  // namespace ee::attestation
