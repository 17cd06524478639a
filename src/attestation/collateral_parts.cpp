#include "attestation/collateral_parts.h"

#include <fmt/format.h>

#include "base/hex.h"

namespace ee::attestation {
namespace {

using Signers = Result<std::shared_ptr<const IssuerChain>>;

tl::unexpected<Error> signature_invalid(std::string_view part, std::string detail) {
    return fail(fmt::format("collateral_signature_invalid:{}", part), std::move(detail));
}

Result<crypto::Crl> read_crl(std::string_view part, ByteSpan der, const crypto::Certificate& ca) {
    if (der.empty()) return fail("collateral_unavailable", fmt::format("no {} in the collateral", part));
    auto crl = crypto::Crl::from_der(der);
    // What cannot be read has no signature that holds.
    if (!crl) return signature_invalid(part, crl.error().detail);
    const auto key = ca.p256_key();
    if (!key || !crl->is_signed_by(*key))
        return signature_invalid(part, fmt::format("not signed by {}", ca.subject_text()));
    return crl;
}

Signers read_signers(std::string_view part, std::string_view pem, const CollateralAuthority& authority) {
    if (pem.empty())
        return fail("collateral_unavailable", fmt::format("no issuer chain of {} in the collateral", part));
    auto chain = verify_tcb_signer_chain(pem, authority.anchors);
    if (!chain) return signature_invalid(part, chain.error().detail);
    if (chain->anchor().spki_sha256 != authority.anchor.spki_sha256) {
        return signature_invalid(
            part, fmt::format("its signer's root has key {}, the quote's {}",
                              to_hex(chain->anchor().spki_sha256), to_hex(authority.anchor.spki_sha256)));
    }
    return std::make_shared<const IssuerChain>(std::move(*chain));
}

// The signature is over the very bytes of the document, before anything else is made of them.
Result<void> check_document(std::string_view part, std::string_view text, const Bytes& signature,
                            const Signers& signers) {
    if (text.empty()) return fail("collateral_unavailable", fmt::format("no {} in the collateral", part));
    if (!signers) return fail(signers.error());
    ByteArray<64> raw;
    if (signature.size() != raw.size())
        return signature_invalid(part, fmt::format("a signature of {} bytes, not 64", signature.size()));
    std::copy(signature.begin(), signature.end(), raw.begin());
    const crypto::Certificate& signer = (*signers)->front();
    const auto key = signer.p256_key();
    if (!key || !key->verifies(as_bytes(text), raw))
        return signature_invalid(part, fmt::format("not signed by {}", signer.subject_text()));
    return {};
}

template <class Content>
Result<Content> read_document(std::string_view part, std::string_view text, const Bytes& signature,
                              const Signers& signers, Result<Content> (*parse)(std::string_view)) {
    if (auto held = check_document(part, text, signature, signers); !held) return fail(held.error());
    return parse(text);
}

Result<void> judge_crl(std::string_view part, const Result<crypto::Crl>& crl, const crypto::Certificate& ca,
                       Untimely& untimely) {
    if (!crl) return fail(crl.error());
    if (crl->issuer() != ca.subject()) {
        return fail("collateral_mismatch:crl_issuer",
                    fmt::format("the {} is signed by {} but issued in the name of {}", part,
                                ca.subject_text(), crl->issuer_common_name().value_or("another")));
    }
    untimely.judge_part(part, crl->this_update(), crl->next_update());
    return {};
}

}  // namespace

CollateralParts read_collateral_parts(const Collateral& collateral, const CollateralAuthority& authority) {
    Signers tcb_signers = read_signers("tcb_info", collateral.tcb_info_issuer_chain, authority);
    // Usually the same chain comes with both.
    const bool shared =
        tcb_signers && collateral.qe_identity_issuer_chain == collateral.tcb_info_issuer_chain;
    Signers qe_signers =
        shared ? tcb_signers : read_signers("qe_identity", collateral.qe_identity_issuer_chain, authority);
    auto tcb_info = read_document("tcb_info", collateral.tcb_info, collateral.tcb_info_signature, tcb_signers,
                                  parse_tcb_info);
    auto qe_identity = read_document("qe_identity", collateral.qe_identity, collateral.qe_identity_signature,
                                     qe_signers, parse_qe_identity);
    return {.root_crl = read_crl("root_crl", collateral.root_ca_crl, authority.root),
            .pck_crl = read_crl("pck_crl", collateral.pck_crl, authority.ca),
            .tcb_info_signers = std::move(tcb_signers),
            .tcb_info = std::move(tcb_info),
            .qe_identity_signers = std::move(qe_signers),
            .qe_identity = std::move(qe_identity)};
}

Result<void> judge_crls(const CollateralParts& parts, const CollateralAuthority& authority,
                        Untimely& untimely) {
    for (const Result<crypto::Crl>* crl : {&parts.root_crl, &parts.pck_crl}) {
        if (!*crl && crl->error().code == "collateral_unavailable") return fail(crl->error());
    }
    if (auto held = judge_crl("root_crl", parts.root_crl, authority.root, untimely); !held) return held;
    return judge_crl("pck_crl", parts.pck_crl, authority.ca, untimely);
}

Result<void> judge_revocation(const crypto::Crl& crl, const crypto::Certificate& certificate) {
    if (!crl.revokes(certificate.serial())) return {};
    return fail("certificate_revoked",
                fmt::format("{} with serial number {} is on the list of {}", certificate.subject_text(),
                            to_hex(certificate.serial()), crl.issuer_common_name().value_or("its CA")));
}

Result<void> judge_signers_revocation(const CollateralParts& parts) {
    for (const Signers* signers : {&parts.tcb_info_signers, &parts.qe_identity_signers}) {
        // A chain that does not hold is refused where its signature is asked for.
        if (!*signers) continue;
        for (const crypto::Certificate& certificate : (**signers)->certificates()) {
            if (auto held = judge_revocation(*parts.root_crl, certificate); !held) return held;
        }
    }
    return {};
}

}  // namespace ee::attestation
