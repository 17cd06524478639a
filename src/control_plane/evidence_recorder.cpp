#include "control_plane/evidence_recorder.h"

#include "attestation/evidence_json.h"
#include "attestation/policy_json.h"
#include "base/hex.h"
#include "crypto/digest.h"

namespace ee::control_plane {
namespace {

std::vector<registry::SharedContent> contents_of(const attestation::Verdict& verdict) {
    std::vector<registry::SharedContent> out;
    if (verdict.collateral) {
        const auto& digests = verdict.collateral_sha256;
        for (const auto& [part, bytes] : verdict.collateral->parts())
            if (const auto digest = digests.find(part); digest != digests.end())
                out.push_back({digest->second, part, bytes, verdict.collateral});
    }
    if (verdict.allowlist)
        out.push_back(
            {verdict.allowlist_sha256, "allowlist", as_bytes(verdict.allowlist->text), verdict.allowlist});
    return out;
}

// Deployed agents' report data are the same at each challenge: they tell of none.
std::optional<registry::ChallengeRecord> challenge_of(const attestation::Challenge& challenge,
                                                      const attestation::Answer& answer,
                                                      const attestation::Verdict& verdict) {
    if (verdict.legacy) return std::nullopt;
    registry::ChallengeRecord out{.report_data_sha256 = crypto::sha256(answer.report_data),
                                  .agent_id = challenge.identity.agent_id,
                                  .app_name = challenge.identity.app_name,
                                  .node_id = challenge.identity.node_id,
                                  .at = verdict.judged_at};
    if (!verdict.agent_key.empty()) out.agent_key = crypto::sha256(verdict.agent_key);
    return out;
}

}  // namespace

registry::EvidenceRecord EvidenceRecorder::prepare(const attestation::Challenge& challenge,
                                                   attestation::Answer answer,
                                                   const attestation::Verdict& verdict) const {
    const PolicyText policy = text_of(verdict.policy);
    auto asked = challenge_of(challenge, answer, verdict);
    const attestation::Evidence evidence =
        attestation::make_evidence(log_id_, policy.sha256, challenge, std::move(answer), verdict);
    std::vector<registry::SharedContent> contents = contents_of(verdict);
    contents.push_back({policy.sha256, "policy", as_bytes(*policy.json), policy.json});
    return {.app_name = evidence.app_name,
            .id = evidence.id,
            .agent = evidence.agent,
            .judged_at = verdict.judged_at,
            .json = attestation::evidence_json(evidence),
            .contents = std::move(contents),
            .challenge = std::move(asked)};
}

EvidenceRecorder::PolicyText EvidenceRecorder::text_of(
    const std::shared_ptr<const attestation::NetworkPolicy>& policy) const {
    const std::lock_guard lock(mutex_);
    PolicyText& text = texts_[policy->name];
    if (text.policy != policy) {
        text.json = std::make_shared<const std::string>(attestation::policy_json(*policy));
        text.sha256 = to_hex(crypto::sha256(as_bytes(*text.json)));
        text.policy = policy;
    }
    return text;
}

}  // namespace ee::control_plane
