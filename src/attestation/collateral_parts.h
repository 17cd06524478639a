#pragma once
// The parts of a piece of collateral, each with its signature checked: whatever about them depends neither on
// the quote nor on the time.

#include <memory>

#include "attestation/certificate_chain.h"
#include "attestation/collateral.h"
#include "attestation/qe_identity.h"
#include "attestation/tcb_info.h"
#include "attestation/trust_anchor.h"
#include "attestation/untimely.h"
#include "base/result.h"
#include "crypto/crl.h"

namespace ee::attestation {

// A part that is not to be relied on is a refusal, which the check that needs it passes on:
// `collateral_unavailable` when it is absent, `collateral_signature_invalid:<part>` also when chain or list
// cannot be read, and what parse_tcb_info and parse_qe_identity say.
struct CollateralParts {
    Result<crypto::Crl> root_crl;
    Result<crypto::Crl> pck_crl;
    Result<std::shared_ptr<const IssuerChain>> tcb_info_signers;
    Result<TcbInfo> tcb_info;
    Result<std::shared_ptr<const IssuerChain>> qe_identity_signers;
    Result<QeIdentity> qe_identity;
};

// Under which authority the parts must be.
struct CollateralAuthority {
    const TrustAnchors& anchors;
    const TrustAnchor& anchor;        // the very one that the signers' chains must end in
    const crypto::Certificate& root;  // with the anchor's key; signs the root CRL
    const crypto::Certificate& ca;    // signs the PCK CRL
};

CollateralParts read_collateral_parts(const Collateral& collateral, const CollateralAuthority& authority);

// Both CRLs are there, signed, and issued in the name of root and CA: what is left to be judged of them is
// whom they revoke, and when. Adds their dates to `untimely`.
Result<void> judge_crls(const CollateralParts& parts, const CollateralAuthority& authority,
                        Untimely& untimely);

// No signer of the other parts is on the root CRL: `certificate_revoked`.
Result<void> judge_signers_revocation(const CollateralParts& parts);
// The same of one certificate.
Result<void> judge_revocation(const crypto::Crl& crl, const crypto::Certificate& certificate);

}  // namespace ee::attestation
