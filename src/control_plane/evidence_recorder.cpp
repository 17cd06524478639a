#include "control_plane/evidence_recorder.h"

#include "attestation/evidence_json.h"
#include "attestation/policy_json.h"

namespace ee::control_plane {
namespace {

std::vector<registry::SharedContent> contents_of(const attestation::Evidence& evidence,
                                                 const attestation::Verdict& verdict) {
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
    const auto policy = std::make_shared<const std::string>(attestation::policy_json(*verdict.policy));
    out.push_back({evidence.policy_sha256, "policy", as_bytes(*policy), policy});
    return out;
}

}  // namespace

registry::EvidenceRecord EvidenceRecorder::prepare(const attestation::Challenge& challenge,
                                                   const attestation::Answer& answer,
                                                   const attestation::Verdict& verdict) const {
    const attestation::Evidence evidence = attestation::make_evidence(log_id_, challenge, answer, verdict);
    return {.app_name = evidence.app_name,
            .id = evidence.id,
            .agent = evidence.agent,
            .judged_at = verdict.judged_at,
            .json = attestation::evidence_json(evidence),
            .contents = contents_of(evidence, verdict)};
}

}  // namespace ee::control_plane
