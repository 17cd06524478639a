#include "cli/quote_judgement.h"

#include "cli/judging_files.h"
#include "cli/named_policy.h"

namespace ee::cli {
namespace {

namespace att = ee::attestation;

// Check P. Claims and binding need a tunnel: only what quote, policy and allowlist say is judged.
Result<void> judge_measurements(const QuoteTerms& terms, const att::VerifiedQuote& quote, WallTime at) {
    if (terms.policy) {
        auto enough = att::judge_allowlist(*terms.policy, *terms.allowlist, false);
        if (!enough) return enough;
    }
    // Which release is asked for, only a tunnel says.
    const att::Allowlist& allowlist = *terms.allowlist;
    auto valid = att::check_allowlist(allowlist, allowlist.repo, allowlist.release_tag, at);
    if (!valid) return valid;
    auto matched = att::match_quote(*terms.allowlist, quote.report());
    if (!matched) return matched;
    if (auto held = att::match_tcb_date(*terms.allowlist, quote.tcb().tcb_date); !held) return held;
    if (terms.policy && terms.policy->sealed_required &&
        (!terms.allowlist->allows_sealed() || quote.report().is_debug())) {
        return fail("sealed_required", "the network takes sealed apps only; the allowlist says sealed: " +
                                           std::string(terms.allowlist->allows_sealed() ? "true" : "false") +
                                           ", the TD is " +
                                           (quote.report().is_debug() ? "a debug TD" : "no debug TD"));
    }
    return {};
}

}  // namespace

bool is_verdict(const Error& error) {
    return error.code.starts_with("collateral_") || error.code.starts_with("allowlist_invalid");
}

Result<QuoteTerms> read_quote_terms(const QuoteTermsOptions& options) {
    QuoteTerms terms;
    if (!options.root.empty()) {
        auto anchors = att::TrustAnchors::with_simulated_root_file(options.root);
        if (!anchors) return fail("usage", "--root: " + anchors.error().detail);
        terms.anchors = std::move(*anchors);
    }
    if (!options.network.empty() || !options.policy.empty()) {
        auto policy = named_policy(options.network, options.policy, terms.anchors.has_simulated());
        if (!policy) return fail(policy.error());
        terms.policy = std::move(policy->policy);
        terms.is_network_served = policy->is_served;
    }
    if (!options.allowlist.empty()) {
        auto allowlist = read_allowlist(options.allowlist);
        if (!allowlist) return fail(allowlist.error());
        terms.allowlist = std::move(*allowlist);
    }
    if (!options.collateral.empty()) {
        auto collateral = open_collateral(options.collateral);
        if (!collateral) return fail(collateral.error());
        terms.collateral = std::move(*collateral);
    }
    return terms;
}

QuoteOutcome judge_quote(ByteSpan quote, const std::optional<att::ReportData>& report_data,
                         const QuoteTerms& terms, WallTime at) {
    const att::QuoteVerifier verifier(terms.anchors);
    att::VerifyOptions options;
    options.report_data = report_data;
    options.collateral = terms.collateral.get();
    if (terms.policy) options.collateral_grace = terms.policy->collateral_grace;
    att::Verification verification = verifier.verify(quote, options, at);

    QuoteOutcome outcome{.refusal = std::move(verification.refusal),
                         .checks = std::move(verification.checks),
                         .not_checked = std::move(verification.not_checked),
                         .quote = std::move(verification.quote)};
    const auto make_check = [&outcome](const char* letter, bool asked, auto&& judged) {
        if (!asked || outcome.refusal) {
            outcome.not_checked.emplace_back(letter);
            return;
        }
        outcome.checks.emplace_back(letter);
        if (const Result<void> held = judged(); !held) outcome.refusal = held.error();
    };
    make_check("O", terms.policy.has_value(),
               [&] { return att::judge_platform(*terms.policy, *outcome.quote, at); });
    make_check("P", terms.allowlist.has_value(),
               [&] { return judge_measurements(terms, *outcome.quote, at); });
    return outcome;
}

}  // namespace ee::cli
