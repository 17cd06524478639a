#include "attestation/collateral_checks.h"

#include <fmt/format.h>

#include "attestation/tcb_levels.h"
#include "base/hex.h"

namespace ee::attestation {
namespace {

// Check I.
Result<void> check_revocation(const CollateralQuestion& question, Untimely& untimely) {
    const CollateralParts& parts = question.parts;
    if (auto held = judge_crls(parts, question.authority, untimely); !held) return held;
    if (auto held = judge_revocation(*parts.root_crl, question.chain.root()); !held) return held;
    if (auto held = judge_revocation(*parts.root_crl, question.chain.intermediate()); !held) return held;
    if (auto held = judge_revocation(*parts.pck_crl, question.chain.leaf()); !held) return held;
    return judge_signers_revocation(parts);
}

// Of a document whose signature holds.
Result<void> judge_signers_validity(const Result<std::shared_ptr<const IssuerChain>>& signers,
                                    Untimely& untimely) {
    for (const crypto::Certificate& certificate : (*signers)->certificates()) {
        if (auto held = untimely.judge_certificate(certificate); !held) return held;
    }
    return {};
}

// Check K.
Result<void> check_tcb_info(const CollateralQuestion& question, Untimely& untimely) {
    if (!question.parts.tcb_info) return fail(question.parts.tcb_info.error());
    const TcbInfo& info = *question.parts.tcb_info;
    if (auto held = judge_signers_validity(question.parts.tcb_info_signers, untimely); !held) return held;
    if (info.fmspc != question.pck.fmspc) {
        return fail("collateral_mismatch:fmspc",
                    fmt::format("the TCB info is about FMSPC {}, the PCK certificate has {}",
                                to_hex(info.fmspc), to_hex(question.pck.fmspc)));
    }
    if (info.pce_id != question.pck.pce_id) {
        return fail("collateral_mismatch:pce_id",
                    fmt::format("the TCB info is about PCE-ID {}, the PCK certificate has {}",
                                to_hex(info.pce_id), to_hex(question.pck.pce_id)));
    }
    untimely.judge_part("tcb_info", info.issued_at, info.next_update);
    return {};
}

// Check L.
Result<void> check_qe_identity(const CollateralQuestion& question, Untimely& untimely) {
    if (!question.parts.qe_identity) return fail(question.parts.qe_identity.error());
    const QeIdentity& identity = *question.parts.qe_identity;
    if (auto held = judge_signers_validity(question.parts.qe_identity_signers, untimely); !held) return held;
    if (auto held = match_qe(identity, question.quote.qe_report); !held) return held;
    untimely.judge_part("qe_identity", identity.issued_at, identity.next_update);
    return {};
}

}  // namespace

Result<TcbEvaluation> judge_by_collateral(const CollateralQuestion& question, Untimely& untimely,
                                          CheckList& checks) {
    checks.emplace_back("I");
    if (auto held = check_revocation(question, untimely); !held) return fail(held.error());
    // The extension held already: without it there would have been no collateral.
    checks.emplace_back("J");
    checks.emplace_back("K");
    if (auto held = check_tcb_info(question, untimely); !held) return fail(held.error());
    checks.emplace_back("L");
    if (auto held = check_qe_identity(question, untimely); !held) return fail(held.error());
    if (auto late = untimely.refusal()) return fail(std::move(*late));
    checks.emplace_back("M");
    if (auto held = match_tdx_module(*question.parts.tcb_info, question.quote.body); !held)
        return fail(held.error());
    checks.emplace_back("N");
    return evaluate_tcb({.info = *question.parts.tcb_info,
                         .qe_identity = *question.parts.qe_identity,
                         .pck = question.pck,
                         .report = question.quote.body,
                         .qe_report = question.quote.qe_report});
}

}  // namespace ee::attestation
