#include "control_plane/attested_verdict.h"

#include "base/check.h"
#include "base/hex.h"

namespace ee::control_plane {
namespace {

Bytes measured_of(const attestation::Verdict& verdict) {
    std::string hex = verdict.mrtd;
    for (const std::string& rtmr : verdict.rtmrs) hex += rtmr;
    Bytes out = from_hex(hex).value_or(Bytes{});
    EE_CHECK(out.size() == registry::measured_bytes);
    return out;
}

}  // namespace

registry::AttestedVerdict attested_verdict(const attestation::Verdict& verdict,
                                           const registry::EvidenceRecord& evidence,
                                           const tunnel::AttestAnswer& answer, Moment now) {
    registry::AttestedVerdict out;
    out.binding = to_string(verdict.binding);
    out.sealed = verdict.sealed && !verdict.unbound;
    out.simulated = verdict.simulated;
    out.tcb_status = verdict.tcb_status;
    out.advisory_ids = verdict.advisory_ids;
    out.agent_key = verdict.agent_key;
    out.nonce = to_bytes(answer.nonce);
    // A legacy answer's is part of a credential.
    if (!verdict.legacy) out.report_data = to_bytes(answer.response.report_data);
    out.subject = verdict.subject;
    if (!verdict.unbound) out.measured = measured_of(verdict);
    out.shown = std::make_shared<const registry::ShownVerdict>(registry::ShownVerdict{
        .agent = evidence.agent,
        .attested_at = to_rfc3339(answer.answered_at.wall),
        .tcb_status = verdict.tcb_status + (verdict.unbound ? ";unbound" : ""),
        .attestation = evidence.id,
    });
    out.allowlist_sha256 = verdict.allowlist_sha256;
    out.renews_registration = verdict.allowlist_fresh;
    out.answered_at = answer.answered_at;
    out.judged_at = now;
    return out;
}

}  // namespace ee::control_plane
