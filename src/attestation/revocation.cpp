#include "attestation/revocation.h"

#include <fmt/format.h>

#include "base/hex.h"
#include "crypto/crl.h"

namespace ee::attestation {
namespace {

// One CRL and the CA that must have made it.
struct CrlQuestion {
    std::string_view name;
    ByteSpan der;
    const crypto::Certificate& ca;
    std::chrono::seconds grace;
    WallTime now;
};

Result<crypto::Crl> judge_crl(const CrlQuestion& question) {
    const auto refuse = [&](std::string_view code, std::string detail) {
        return fail(fmt::format("{}:{}", code, question.name), std::move(detail));
    };
    auto crl = crypto::Crl::from_der(question.der);
    // What cannot be read has no signature that holds.
    if (!crl) return refuse("collateral_signature_invalid", crl.error().detail);
    const auto key = question.ca.p256_key();
    if (!key || !crl->is_signed_by(*key)) {
        return refuse("collateral_signature_invalid",
                      fmt::format("not signed by {}", question.ca.subject_text()));
    }
    if (crl->issuer() != question.ca.subject()) {
        return fail("collateral_mismatch:crl_issuer",
                    fmt::format("the {} is signed by {} but issued in the name of {}", question.name,
                                question.ca.subject_text(), crl->issuer_common_name().value_or("another")));
    }
    if (question.now < crl->this_update()) {
        return refuse(
            "collateral_not_yet_valid",
            fmt::format("valid from {}, it is {}", to_rfc3339(crl->this_update()), to_rfc3339(question.now)));
    }
    if (question.now > crl->next_update() + question.grace) {
        return refuse("collateral_expired", fmt::format("due for renewal at {} ({} s of grace), it is {}",
                                                        to_rfc3339(crl->next_update()),
                                                        question.grace.count(), to_rfc3339(question.now)));
    }
    return crl;
}

Result<void> judge_serial(const crypto::Crl& crl, const crypto::Certificate& certificate) {
    if (!crl.revokes(certificate.serial())) return {};
    return fail("certificate_revoked",
                fmt::format("{} with serial number {} is on the list of {}", certificate.subject_text(),
                            to_hex(certificate.serial()), crl.issuer_common_name().value_or("its CA")));
}

// The signers of TCB info and QE identity are the root's too. A chain that cannot be read is refused where
// its signature is judged.
Result<void> judge_signers(const crypto::Crl& root_crl, const PckChain& chain, std::string_view pem) {
    const auto signers = crypto::parse_pem_chain(pem);
    if (!signers) return {};
    for (const crypto::Certificate& signer : *signers) {
        if (signer.issuer() != chain.root().subject()) continue;
        if (auto held = judge_serial(root_crl, signer); !held) return held;
    }
    return {};
}

}  // namespace

Result<void> judge_revocation(const PckChain& chain, const Collateral& collateral, std::chrono::seconds grace,
                              WallTime now) {
    if (collateral.root_ca_crl.empty())
        return fail("collateral_unavailable", "no root CRL in the collateral");
    if (collateral.pck_crl.empty()) return fail("collateral_unavailable", "no PCK CRL in the collateral");
    const auto root_crl = judge_crl({"root_crl", collateral.root_ca_crl, chain.root(), grace, now});
    if (!root_crl) return fail(root_crl.error());
    const auto pck_crl = judge_crl({"pck_crl", collateral.pck_crl, chain.intermediate(), grace, now});
    if (!pck_crl) return fail(pck_crl.error());
    if (auto held = judge_serial(*root_crl, chain.root()); !held) return held;
    if (auto held = judge_serial(*root_crl, chain.intermediate()); !held) return held;
    if (auto held = judge_serial(*pck_crl, chain.leaf()); !held) return held;
    if (auto held = judge_signers(*root_crl, chain, collateral.tcb_info_issuer_chain); !held) return held;
    return judge_signers(*root_crl, chain, collateral.qe_identity_issuer_chain);
}

}  // namespace ee::attestation
