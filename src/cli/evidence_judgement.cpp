#include "cli/evidence_judgement.h"

#include <fmt/format.h>

#include "attestation/policy_json.h"

namespace ee::cli {
namespace {

namespace att = ee::attestation;

class RefusedCollateral final : public att::CollateralSource {
public:
    explicit RefusedCollateral(Error why) : why_(std::move(why)) {}

private:
    Result<std::shared_ptr<const att::Collateral>> find(const att::CollateralKey&, WallTime) override {
        return fail(why_);
    }

    const Error why_;
};

class GivenCollateral final : public att::CollateralSource {
public:
    explicit GivenCollateral(std::shared_ptr<const att::Collateral> collateral)
        : collateral_(std::move(collateral)) {}

private:
    Result<std::shared_ptr<const att::Collateral>> find(const att::CollateralKey&, WallTime) override {
        if (collateral_ == nullptr) return fail("collateral_unavailable", "the evidence names none");
        return collateral_;
    }

    const std::shared_ptr<const att::Collateral> collateral_;
};

Error with_advice(Error error, std::string_view advice) {
    error.detail += "; ";
    error.detail += advice;
    return error;
}

std::unique_ptr<att::CollateralSource> collateral_source(const att::Evidence& evidence,
                                                         const att::EvidenceFile& file) {
    auto collateral = att::collateral_of(evidence, file.contents);
    if (collateral) return std::make_unique<GivenCollateral>(std::move(*collateral));
    return std::make_unique<RefusedCollateral>(
        with_advice(collateral.error(), "fetch the evidence with include=collateral, or give --collateral"));
}

Result<std::shared_ptr<const att::Allowlist>> allowlist(const att::Evidence& evidence,
                                                        const att::EvidenceFile& file,
                                                        const EvidenceTerms& terms) {
    if (terms.allowlist) return terms.allowlist;
    auto found = att::allowlist_of(evidence, file.contents);
    if (!found && found.error().code == "allowlist_unavailable")
        return fail(
            with_advice(found.error(), "fetch the evidence with include=allowlist, or give --allowlist"));
    return found;
}

// The rules of a built-in network are known; whoever judges by others says so.
Result<void> check_name(const att::NetworkPolicy& policy) {
    std::string differences;
    for (const bool simulated_root : {true, false}) {
        const auto built_in = att::NetworkPolicies::built_in(simulated_root);
        const att::NetworkPolicy* reference = built_in.find(policy.name);
        if (reference == nullptr) {
            return fail(
                "policy_unknown",
                fmt::format("{} is no built-in network, and its rules come with the file: --policy names "
                            "the file of networks to judge by, --accept-policy takes the file's word",
                            policy.name));
        }
        const auto found = att::policy_differences(policy, *reference);
        if (found.empty()) return {};
        differences.clear();
        for (const std::string& difference : found)
            differences += (differences.empty() ? "" : "; ") + difference;
    }
    return fail("policy_differs",
                fmt::format("it was judged by rules that are not the built-in ones of {}: {}; "
                            "--accept-policy judges by them, --network by the built-in ones",
                            policy.name, differences));
}

Result<att::NetworkPolicy> choose_policy(const att::Evidence& evidence, const att::EvidenceFile& file,
                                         const EvidenceTerms& terms) {
    if (terms.policy) {
        if (terms.policy->name == evidence.network) return *terms.policy;
        return fail("network_mismatch",
                    fmt::format("the evidence is of {}, --network or --policy asks for {}", evidence.network,
                                terms.policy->name));
    }
    auto policy = att::policy_of(evidence, file.contents);
    if (!policy) return policy;
    if (policy->name != evidence.network)
        return fail("evidence_inconsistent:network",
                    fmt::format("the evidence is of {}, its policy of {}", evidence.network, policy->name));
    if (terms.accept_policy) return policy;
    if (auto known = check_name(*policy); !known) return fail(std::move(known.error()));
    return policy;
}

Result<EvidenceOutcome> judge(const att::Evidence& evidence, const att::EvidenceFile& file,
                              const EvidenceTerms& terms) {
    if (!evidence.challenge || !evidence.answer)
        return fail(
            "evidence_legacy",
            "a legacy answer: its quote is a credential and not shown, so nobody but its control plane "
            "can judge it");
    if (evidence.app_name != file.app_name)
        return fail("evidence_inconsistent:app_name",
                    fmt::format("evidence of {} in a file about {}", evidence.app_name, file.app_name));
    if (auto held = att::check_consistency(evidence, file.log_id); !held)
        return fail(std::move(held.error()));
    const auto policy = choose_policy(evidence, file, terms);
    if (!policy) return fail(policy.error());
    auto expected = allowlist(evidence, file, terms);
    if (!expected) return fail(std::move(expected.error()));
    att::FixedRelease release(std::move(*expected));
    const auto own = terms.collateral ? nullptr : collateral_source(evidence, file);
    att::Repetition repeated =
        att::repeat_judgement(evidence, {.policy = *policy,
                                         .anchors = terms.anchors,
                                         .collateral = terms.collateral ? *terms.collateral : *own,
                                         .releases = release,
                                         .now = terms.at.value_or(evidence.verdict.judged_at)});
    EvidenceOutcome out{.refusal = {},
                        .differences = std::move(repeated.differences),
                        .verdict = std::move(repeated.verdict)};
    if (!out.verdict.ok) out.refusal = out.verdict.refusal;
    return out;
}

}  // namespace

EvidenceOutcome judge_evidence(const att::Evidence& evidence, const att::EvidenceFile& file,
                               const EvidenceTerms& terms) {
    auto outcome = judge(evidence, file, terms);
    if (outcome) return std::move(*outcome);
    return {.refusal = std::move(outcome.error()), .differences = {}, .verdict = {}};
}

}  // namespace ee::cli
