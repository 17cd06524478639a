#include "attestation/verified_collateral.h"

#include <algorithm>

#include "attestation/untimely.h"

namespace ee::attestation {

std::uint64_t VerifiedCollateral::evaluation_number() const {
    return std::min(tcb_info().evaluation_number, qe_identity().evaluation_number);
}

WallTime VerifiedCollateral::issued_at_latest() const {
    return std::max(
        {tcb_info().issued_at, qe_identity().issued_at, root_crl().this_update(), pck_crl().this_update()});
}

WallTime VerifiedCollateral::next_update_earliest() const {
    return std::min({tcb_info().next_update, qe_identity().next_update, root_crl().next_update(),
                     pck_crl().next_update()});
}

Result<VerifiedCollateral> verify_collateral(const Collateral& collateral, const TrustAnchors& anchors) {
    if (collateral.pck_crl_issuer_chain.empty())
        return fail("collateral_unavailable", "no issuer chain of pck_crl in the collateral");
    const auto ca = verify_pck_ca_chain(collateral.pck_crl_issuer_chain, anchors);
    if (!ca) return fail("collateral_signature_invalid:pck_crl", ca.error().detail);
    const CollateralAuthority authority{
        .anchors = anchors, .anchor = ca->anchor(), .root = ca->root(), .ca = ca->front()};
    CollateralParts parts = read_collateral_parts(collateral, authority);
    Untimely undated(WallTime{}, std::chrono::seconds{0});
    if (auto held = judge_crls(parts, authority, undated); !held) return fail(held.error());
    for (const crypto::Certificate& certificate : ca->certificates()) {
        if (auto held = judge_revocation(*parts.root_crl, certificate); !held) return fail(held.error());
    }
    if (auto held = judge_signers_revocation(parts); !held) return fail(held.error());
    if (!parts.tcb_info) return fail(parts.tcb_info.error());
    if (!parts.qe_identity) return fail(parts.qe_identity.error());
    const CollateralKey key{.anchor_spki_sha256 = ca->anchor().spki_sha256,
                            .fmspc = parts.tcb_info->fmspc,
                            .ca = *pck_ca_of(*ca->front().subject_common_name())};
    return VerifiedCollateral(key, ca->anchor(), std::move(parts));
}

Result<void> judge_collateral_time(const VerifiedCollateral& collateral, std::chrono::seconds grace,
                                   WallTime now) {
    Untimely untimely(now, grace);
    for (const auto* signers :
         {&collateral.parts().tcb_info_signers, &collateral.parts().qe_identity_signers}) {
        for (const crypto::Certificate& certificate : (**signers)->certificates()) {
            if (auto held = untimely.judge_certificate(certificate); !held) return held;
        }
    }
    const auto& root_crl = collateral.root_crl();
    const auto& pck_crl = collateral.pck_crl();
    untimely.judge_part("root_crl", root_crl.this_update(), root_crl.next_update());
    untimely.judge_part("pck_crl", pck_crl.this_update(), pck_crl.next_update());
    untimely.judge_part("tcb_info", collateral.tcb_info().issued_at, collateral.tcb_info().next_update);
    untimely.judge_part("qe_identity", collateral.qe_identity().issued_at,
                        collateral.qe_identity().next_update);
    if (auto refusal = untimely.refusal()) return fail(std::move(*refusal));
    return {};
}

}  // namespace ee::attestation
