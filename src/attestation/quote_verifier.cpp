#include "attestation/quote_verifier.h"

#include <algorithm>

#include <fmt/format.h>

#include "attestation/certificate_chain.h"
#include "attestation/collateral_checks.h"
#include "attestation/collateral_parts.h"
#include "attestation/untimely.h"
#include "base/hex.h"
#include "crypto/ecdsa.h"

namespace ee::attestation {
namespace {

constexpr std::string_view all_checks = "ABCDEFGHIJKLMN";

// Checks A and B. Both are the parser's: which of them refused shows in the code.
Result<Quote> check_layout(ByteSpan bytes, CheckList& checks) {
    checks.emplace_back("A");
    auto quote = parse_quote(bytes);
    if (quote || quote.error().code == "quote_unsupported") checks.emplace_back("B");
    return quote;
}

// Check C.
Result<void> check_report_data(const Quote& quote, const VerifyOptions& options) {
    if (options.report_data_refusal) return fail(*options.report_data_refusal);
    if (!options.report_data || constant_time_equal(quote.body.report_data, *options.report_data)) return {};
    return fail("report_data_mismatch",
                fmt::format("the quote has {}, this challenge asks for {}", to_hex(quote.body.report_data),
                            to_hex(*options.report_data)));
}

// Check D, and what B left over.
Result<void> check_signature(const Quote& quote) {
    const auto key = crypto::P256PublicKey::from_point(quote.attestation_key);
    if (!key) return fail("quote_signature_invalid", "the attestation key is " + key.error().detail);
    if (!key->verifies(quote.signed_message, quote.signature)) {
        return fail("quote_signature_invalid", "the attestation key did not sign header and body");
    }
    // Vendor and key type lie under this signature. Judging them before it would call a quote whose bytes
    // were changed on the way "unsupported", as if its maker were to blame; only a signer who really says
    // another vendor or key type gets that answer.
    if (quote.header.attestation_key_type != attestation_key_type_p256) {
        return fail("quote_unsupported",
                    fmt::format("attestation key type {}, known is 2", quote.header.attestation_key_type));
    }
    if (quote.header.qe_vendor_id != qe_vendor_intel) {
        return fail("quote_unsupported",
                    fmt::format("QE vendor {}, known is {}", to_hex(quote.header.qe_vendor_id),
                                to_hex(qe_vendor_intel)));
    }
    return {};
}

// Check E. The QE report binds the attestation key: its report data is SHA-256(key || authentication data)
// and zeros. Without this any key could sign the quote.
Result<void> check_key_binding(const Quote& quote) {
    const auto expected = crypto::sha256({quote.attestation_key, quote.qe_auth_data});
    const ByteSpan bound(quote.qe_report.report_data);
    if (std::equal(expected.begin(), expected.end(), bound.begin()) && all_zero(bound.subspan(32))) return {};
    return fail("attestation_key_unbound",
                fmt::format("the QE report binds {}, the quote's key asks for {} and zeros", to_hex(bound),
                            to_hex(expected)));
}

// Check F.
Result<void> check_qe_signature(const Quote& quote, const crypto::Certificate& leaf) {
    const auto key = leaf.p256_key();
    if (!key) return fail("certificate_chain_invalid", "the leaf: " + key.error().detail);
    if (key->verifies(quote.qe_report_bytes, quote.qe_report_signature)) return {};
    return fail("qe_report_signature_invalid",
                fmt::format("{} did not sign the QE report", leaf.subject_text()));
}

CheckList left_out(const CheckList& checks) {
    CheckList out;
    for (const char check : all_checks) {
        std::string letter(1, check);
        if (std::find(checks.begin(), checks.end(), letter) == checks.end()) out.push_back(std::move(letter));
    }
    return out;
}

// The refusal of check C, and what was found besides.
tl::unexpected<Error> for_the_record(Error refusal, const Result<VerifiedQuote>& rest) {
    refusal.detail += rest ? "; everything else about the quote holds"
                           : fmt::format("; besides, {}: {}", rest.error().code, rest.error().detail);
    return fail(std::move(refusal));
}

// Nobody can judge without collateral; whatever was found to be from another time is told first then.
tl::unexpected<Error> unavailable_or_untimely(Error error, const Untimely& untimely) {
    auto late = error.code == "collateral_unavailable" ? untimely.refusal() : std::nullopt;
    return fail(late ? std::move(*late) : std::move(error));
}

}  // namespace

QuoteVerifier::QuoteVerifier(TrustAnchors anchors, const CacheLimits& limits)
    : anchors_(std::move(anchors)), cache_(std::make_unique<VerificationCache>(limits)) {}

Verification QuoteVerifier::verify(ByteSpan bytes, const VerifyOptions& options, WallTime now) const {
    Verification out;
    auto verified = verify_steps(bytes, options, now, out);
    out.not_checked = left_out(out.checks);
    if (verified)
        out.quote = std::move(*verified);
    else
        out.refusal = std::move(verified.error());
    return out;
}

// Checks F and G. A chain that is known still has to have signed this very QE report.
Result<std::shared_ptr<const KnownPck>> QuoteVerifier::check_chain(const Quote& quote,
                                                                   CheckList& checks) const {
    checks.emplace_back("F");
    const crypto::Sha256 digest = crypto::sha256(as_bytes(quote.pck_chain));
    const crypto::Sha256 report = crypto::sha256({quote.qe_report_bytes, quote.qe_report_signature});
    if (auto known = cache_->find_pck(digest)) {
        if (!cache_->knows_qe_report(digest, report)) {
            if (auto held = check_qe_signature(quote, known->chain.leaf()); !held) return fail(held.error());
            cache_->keep_qe_report(digest, report);
        }
        checks.emplace_back("G");
        return known;
    }
    auto certificates = read_pck_certificates(quote.pck_chain);
    if (!certificates) return fail(certificates.error());
    if (auto held = check_qe_signature(quote, certificates->front()); !held) return fail(held.error());
    checks.emplace_back("G");
    auto chain = verify_pck_chain(std::move(*certificates), anchors_);
    if (!chain) return fail(chain.error());
    auto extension = pck_extension_of(chain->leaf());
    auto kept = cache_->keep_pck(digest, {std::move(*chain), std::move(extension)});
    cache_->keep_qe_report(digest, report);
    return kept;
}

// Checks I to N.
Result<TcbEvaluation> QuoteVerifier::check_collateral(const VerifiedQuote& verified, const KnownPck& pck,
                                                      const Collateral& collateral, Untimely& untimely,
                                                      CheckList& checks) const {
    const PckChain& chain = pck.chain;
    const CollateralAuthority authority{
        .anchors = anchors_, .anchor = chain.anchor(), .root = chain.root(), .ca = chain.intermediate()};
    auto parts = cache_->find_parts(collateral, authority);
    if (parts == nullptr)
        parts = cache_->keep_parts(collateral, authority, read_collateral_parts(collateral, authority));
    return judge_by_collateral({.quote = verified.quote_,
                                .chain = chain,
                                .pck = *pck.extension,
                                .parts = *parts,
                                .authority = authority},
                               untimely, checks);
}

Result<VerifiedQuote> QuoteVerifier::verify_steps(ByteSpan bytes, const VerifyOptions& options, WallTime now,
                                                  Verification& out) const {
    CheckList& checks = out.checks;
    auto quote = check_layout(bytes, checks);
    if (!quote) return fail(std::move(quote.error()));
    if (options.report_data || options.report_data_refusal) {
        checks.emplace_back("C");
        if (auto held = check_report_data(*quote, options); !held) {
            if (!options.goes_on_for_the_record) return fail(held.error());
            const ReportData actual = quote->body.report_data;
            const auto rest = verify_signed(std::move(*quote), options, now, checks);
            // Not where only the message is wrong, nor where collateral has not judged the platform.
            if (rest && options.collateral != nullptr && actual != options.report_data)
                out.foreign_report_data = actual;
            return for_the_record(held.error(), rest);
        }
    }
    return verify_signed(std::move(*quote), options, now, checks);
}

Result<VerifiedQuote> QuoteVerifier::verify_signed(Quote quote, const VerifyOptions& options, WallTime now,
                                                   CheckList& checks) const {
    checks.emplace_back("D");
    if (auto held = check_signature(quote); !held) return fail(held.error());
    checks.emplace_back("E");
    if (auto held = check_key_binding(quote); !held) return fail(held.error());
    const auto pck = check_chain(quote, checks);
    if (!pck) return fail(pck.error());
    const PckChain& chain = (*pck)->chain;
    checks.emplace_back("H");
    Untimely untimely(now, options.collateral_grace);
    for (const crypto::Certificate& certificate : chain.certificates()) {
        if (auto held = untimely.judge_certificate(certificate); !held) return fail(held.error());
    }

    VerifiedQuote verified(std::move(quote), chain.anchor(), chain.ca());
    const Result<PckExtension>& extension = (*pck)->extension;
    if (extension) verified.pck_ = *extension;
    if (options.collateral == nullptr) {
        if (auto late = untimely.refusal()) return fail(std::move(*late));
        return verified;
    }
    // Collateral is found by what the extension says, so it is read before check I.
    if (!extension) {
        checks.emplace_back("J");
        return fail(extension.error());
    }
    auto collateral =
        options.collateral->find({chain.anchor().spki_sha256, extension->fmspc, chain.ca()}, now);
    if (!collateral) {
        checks.emplace_back("I");
        return unavailable_or_untimely(std::move(collateral.error()), untimely);
    }
    auto tcb = check_collateral(verified, **pck, **collateral, untimely, checks);
    if (!tcb) return unavailable_or_untimely(std::move(tcb.error()), untimely);
    verified.tcb_ = std::move(*tcb);
    verified.collateral_ = std::move(*collateral);
    return verified;
}

}  // namespace ee::attestation
