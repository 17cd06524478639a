// What admission knows of nodes: whose agents tunnels are, and which are lost with their node.

#include "base/inconclusive.h"
#include "control_plane/admission.h"
#include "crypto/digest.h"

namespace ee::control_plane {

// Of an answer that names a node.
Result<void> Admission::check_node(const tunnel::AttestAnswer& answer) const {
    if (nodes_ == nullptr) return fail("node_token_invalid", "no nodes are known here");
    return nodes_->check(*answer.registration.node_id, answer.response.node_token);
}

// A quote says which code answers, not on whose node: that takes the node's token, each time.
void Admission::refuse_wrong_node(const tunnel::AttestAnswer& answer, attestation::Verdict& verdict) const {
    if (!answer.registration.node_id) return;
    if (!verdict.ok && !is_inconclusive(verdict.refusal.code)) return;
    const auto proven = check_node(answer);
    if (proven) return;
    verdict.ok = false;
    verdict.refusal = proven.error();
}

// A quote that nothing is wrong with but the challenge.
void Admission::show_foreign(const tunnel::AttestAnswer& answer, const attestation::Verdict& verdict) const {
    const protocol::Register& registration = answer.registration;
    if (frauds_ == nullptr || !verdict.foreign_report_data || !registration.node_id || !check_node(answer))
        return;
    frauds_->shown({.answered = {.report_data_sha256 = crypto::sha256(*verdict.foreign_report_data),
                                 .agent_id = registration.agent_id,
                                 .app_name = registration.app_name,
                                 .node_id = *registration.node_id,
                                 .at = answer.answered_at.wall},
                    .nonce = answer.nonce,
                    .quote = crypto::sha256(answer.response.quote)});
}

void Admission::close_lost(std::span<const NodeDirectory::Lost> lost) {
    tunnels_->for_each([&](tunnel::Session& session) {
        const auto& registration = session.registration();
        if (!registration || !registration->node_id) return;
        for (const NodeDirectory::Lost& node : lost) {
            if (node.node != *registration->node_id) continue;
            if (node.banned)
                session.refuse({"node_banned", node.node + " is banned"}, std::nullopt);
            else if (session.machine().attested() ||
                     session.machine().state() == tunnel::SessionState::admitting)
                // The rest have not shown a token yet.
                session.refuse({"node_token_invalid", node.node + " has been given another node_token"},
                               std::nullopt);
            return;
        }
    });
}

// Through no fault of the agent's. One that serves keeps its place as when a source can't be asked: whoever
// floods us with answers must not put others out. One that is new may come again.
void Admission::no_verdict(tunnel::Session& session, const Error& reason) {
    if (session.machine().attested())
        return session.judged(fail("collateral_unavailable", "nobody could judge it: " + reason.detail));
    if (slots_ != nullptr) slots_->inconclusive(session.id(), session.machine().challenge_deadline(), reason);
    session.refuse(reason, 5);
}

}  // namespace ee::control_plane
