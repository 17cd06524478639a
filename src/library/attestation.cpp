#include <algorithm>
#include <easyenclave/attestation.h>

#include "attestation/policy_file.h"
#include "attestation/quote_verifier.h"
#include "attestation/remedy.h"
#include "base/hex.h"

namespace easyenclave::attestation {

namespace att = ee::attestation;

struct Collateral::State {
    std::shared_ptr<const att::Collateral> parsed;
};
struct Policy::State {
    att::NetworkPolicy policy;
};
struct Verifier::State {
    att::QuoteVerifier verifier;
};

namespace {

Refusal refusal_of(const ee::Error& error) {
    return {error.code, error.detail, std::string(att::remedy_of(error.code))};
}

// The piece that came with the request, whatever is asked for.
class GivenCollateral final : public att::CollateralSource {
public:
    explicit GivenCollateral(std::shared_ptr<const att::Collateral> collateral)
        : collateral_(std::move(collateral)) {}
    ee::Result<std::shared_ptr<const att::Collateral>> find(const att::CollateralKey&,
                                                            ee::WallTime) override {
        return collateral_;
    }

private:
    std::shared_ptr<const att::Collateral> collateral_;
};

void describe(const att::VerifiedQuote& quote, Verdict& out) {
    const att::TcbEvaluation& tcb = quote.tcb();
    if (tcb.status != att::TcbStatus::not_evaluated) out.tcb_status = to_string(tcb.status);
    out.tcb_date = tcb.tcb_date;
    out.advisory_ids = tcb.advisory_ids;
    if (quote.pck()) out.fmspc = ee::to_hex(quote.pck()->fmspc);
    out.mrtd = ee::to_hex(quote.report().mr_td);
    for (const att::Measurement& rtmr : quote.report().rtmr) out.rtmrs.push_back(ee::to_hex(rtmr));
    out.report_data = ee::to_hex(quote.report().report_data);
    out.debug = quote.report().is_debug();
    out.simulated = quote.anchor().simulated;
    if (!quote.collateral()) return;
    for (const auto& [part, digest] : quote.collateral()->sha256())
        out.collateral_sha256.emplace(part, ee::to_hex(digest));
}

std::optional<ee::Error> judge(const Request& request, const att::NetworkPolicy* policy,
                               const att::QuoteVerifier& verifier, att::CollateralSource* collateral,
                               Verdict& out) {
    att::VerifyOptions options;
    options.collateral = collateral;
    if (!request.report_data.empty()) {
        if (request.report_data.size() != std::tuple_size_v<att::ReportData>) {
            return ee::Error{"report_data_mismatch", "64 bytes of report data are asked for, not " +
                                                         std::to_string(request.report_data.size())};
        }
        std::copy(request.report_data.begin(), request.report_data.end(),
                  options.report_data.emplace().begin());
    }
    if (policy != nullptr) options.collateral_grace = policy->collateral_grace;
    att::Verification made = verifier.verify(request.quote, options, request.now);
    out.checks = std::move(made.checks);
    out.not_checked = std::move(made.not_checked);
    if (made.refusal) return made.refusal;
    describe(*made.quote, out);
    out.result = made.tcb_evaluated() ? Result::ok : Result::crypto_ok;
    if (policy == nullptr) return std::nullopt;
    out.checks.emplace_back("O");
    if (const auto held = att::judge_platform(*policy, *made.quote, request.now); !held) return held.error();
    return std::nullopt;
}

}  // namespace

Outcome<Collateral> Collateral::parse(std::string_view json) {
    auto parsed = att::parse_collateral(json);
    if (!parsed) return refusal_of(parsed.error());
    return Collateral(
        std::make_shared<const State>(State{std::make_shared<const att::Collateral>(std::move(*parsed))}));
}

Policy Policy::forge_1() {
    return Policy(std::make_shared<const State>(State{att::forge_1_policy()}));
}

// Whether there is a simulated root is the verifier's to say.
Policy Policy::sandbox_1() {
    return Policy(std::make_shared<const State>(State{att::sandbox_1_policy(true)}));
}

Outcome<Policy> Policy::parse(std::string_view toml, std::string_view network) {
    const auto file = att::parse_policies(toml, "policy");
    if (!file) {
        std::string detail;
        for (const std::string& problem : file.error())
            detail.append(detail.empty() ? "" : "; ").append(problem);
        return Refusal{"policy_invalid", detail, "Correct the file; docs/networks.md lists every key."};
    }
    const att::NetworkPolicies policies = file->in_force(true);
    const att::NetworkPolicy* policy = policies.find(network);
    if (policy == nullptr) {
        return Refusal{"policy_invalid", "no network is called \"" + std::string(network) + "\"",
                       "Name a network of the file, or a built-in one that it does not leave out."};
    }
    return Policy(std::make_shared<const State>(State{*policy}));
}

const std::string& Policy::name() const {
    return state_->policy.name;
}

Verifier::Verifier() : Verifier(std::make_shared<const State>(State{att::QuoteVerifier({})})) {}

Outcome<Verifier> Verifier::with_simulated_root(Bytes certificate) {
    auto anchors = att::TrustAnchors::with_simulated_root(certificate);
    if (!anchors) {
        return Refusal{
            anchors.error().code, anchors.error().detail,
            "Give one certificate over a P-256 key, as DER or PEM; eectl simulate init writes one."};
    }
    return Verifier(std::make_shared<const State>(State{att::QuoteVerifier(std::move(*anchors))}));
}

Verdict Verifier::verify(const Request& request) const {
    std::optional<GivenCollateral> collateral;
    if (request.collateral) collateral.emplace(request.collateral->state_->parsed);
    const att::NetworkPolicy* policy = request.policy ? &request.policy->state_->policy : nullptr;
    Verdict out;
    const auto refused = judge(request, policy, state_->verifier, collateral ? &*collateral : nullptr, out);
    if (refused) {
        out.result = Result::refused;
        out.refusal = {refused->code, refused->detail, att::remedy_of(refused->code, out.advisory_ids)};
    }
    return out;
}

}  // namespace easyenclave::attestation
