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

// The app's owner wants nothing more of the agent: no fault of its node's.
bool Admission::is_owners_end(std::string_view reason) {
    return reason == "join_not_allowed" || reason == "app_forgotten" || reason == "app_bound_to_other_repo" ||
           reason == "app_bound_to_other_network";
}

// Whoever hangs up at a challenge has not answered it; who may not go on serving is asked for nothing more.
std::optional<SlotRecorder::OpenChallenge> Admission::open_challenge_of(const tunnel::Session& session,
                                                                        std::string_view reason) const {
    const tunnel::Owed owed = session.machine().owed();
    if (owed == tunnel::Owed::nothing || reason == "node_banned" || is_owners_end(reason))
        return std::nullopt;
    return SlotRecorder::OpenChallenge{.deadline = session.machine().challenge_deadline(),
                                       .time = settings_.attest_deadline,
                                       .is_answered = owed == tunnel::Owed::verdict};
}

tunnel::Session* Admission::find_open(tunnel::TunnelId id) const {
    tunnel::Session* session = tunnels_->find(id);
    const bool is_open = session != nullptr && session->machine().state() != tunnel::SessionState::closed;
    return is_open ? session : nullptr;
}

// Its tunnel was closed meanwhile.
void Admission::judged_late(tunnel::TunnelId id, const tunnel::AttestAnswer& answer,
                            const Result<void>& verdict) {
    const protocol::Register& registration = answer.registration;
    if (slots_ == nullptr || !registration.node_id) return;
    slots_->judged_late(id, {*registration.node_id, registration.app_name, registration.agent_id}, verdict);
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
