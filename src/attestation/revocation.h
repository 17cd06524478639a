#pragma once
// Check I: certificate revocation lists.

#include <chrono>

#include "attestation/certificate_chain.h"
#include "attestation/collateral.h"
#include "base/result.h"
#include "base/time.h"

namespace ee::attestation {

// Both CRLs present, each signed by its CA and issued in its name, thisUpdate <= now <= nextUpdate + grace,
// and no certificate of the chain on them, nor a
// signer of the rest of the collateral. Refuses with `collateral_unavailable`,
// `collateral_signature_invalid:<crl>`, `collateral_mismatch:crl_issuer`, `collateral_not_yet_valid:<crl>`,
// `collateral_expired:<crl>`, `certificate_revoked`, where <crl> is `root_crl` or `pck_crl`.
Result<void> judge_revocation(const PckChain& chain, const Collateral& collateral, std::chrono::seconds grace,
                              WallTime now);

}  // namespace ee::attestation
