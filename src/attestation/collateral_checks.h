#pragma once
// Checks I to N: everything about a quote that collateral decides.

#include "attestation/certificate_chain.h"
#include "attestation/collateral_parts.h"
#include "attestation/pck_extension.h"
#include "attestation/quote.h"
#include "attestation/quote_verifier.h"
#include "attestation/tcb_status.h"
#include "attestation/untimely.h"
#include "base/result.h"

namespace ee::attestation {

struct CollateralQuestion {
    const Quote& quote;
    const PckChain& chain;
    const PckExtension& pck;
    const CollateralParts& parts;
    const CollateralAuthority& authority;
};

// Makes the checks in order and writes down which; the documentation of each has its refusals. What is from
// another time only is told before M, if nothing definite was found until then.
Result<TcbEvaluation> judge_by_collateral(const CollateralQuestion& question, Untimely& untimely,
                                          CheckList& checks);

}  // namespace ee::attestation
