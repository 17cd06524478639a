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

}  // namespace

registry::EvidenceRecord EvidenceRecorder::prepare(const attestation::Challenge& challenge,
                                                   attestation::Answer answer,
                                                   const attestation::Verdict& verdict) const {
    const PolicyText policy = text_of(verdict.policy);
    const attestation::Evidence evidence =
        attestation::make_evidence(log_id_, policy.sha256, challenge, std::move(answer), verdict);
    std::vector<registry::SharedContent> contents = contents_of(verdict);
    contents.push_back({policy.sha256, "policy", as_bytes(*policy.json), policy.json});
    return {.app_name = evidence.app_name,
            .id = evidence.id,
            .agent = evidence.agent,
            .judged_at = verdict.judged_at,
            .json = attestation::evidence_json(evidence),
            .contents = std::move(contents)};
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
