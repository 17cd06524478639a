// Which agents a request may go to, and what becomes of one whose agent is lost or that waits for evidence.

#include <algorithm>

#include <fmt/format.h>

#include "proxy/call.h"
#include "proxy/forwarder.h"

namespace ee::proxy {

bool Forwarder::suits(const Selection& selection, const registry::Agent& agent, Moment now,
                      LeftOut& left_out) {
    if (std::ranges::find(selection.not_agents, agent.agent_id) != selection.not_agents.end()) return false;
    if (selection.requirement == nullptr) return true;
    const Unmet keys = unmet(*selection.requirement, agent, now.mono, selection.asked_at);
    if (keys.none()) return true;
    left_out.unmet = true;
    if (keys.is_age_alone()) {
        left_out.too_old = true;
        too_old_.push_back(agent.tunnel);
    }
    return false;
}

Error Forwarder::nobody_left(std::string_view app, Moment now, const LeftOut& left_out) const {
    if (left_out.too_old)
        return {std::string(evidence_too_old), "no agent's evidence is as young as EE-Require asks"};
    if (left_out.unmet)
        return {"requirement_unmet", "no eligible agent of the app meets EE-Require; see \"available\""};
    if (left_out.v1)
        return {"upgrade_unsupported", "the tunnels of the app's agents (v1) carry whole requests only"};
    const auto status = registry_.status(app, now);
    const std::string word(status && !is_routable(*status) ? to_word(*status) : "offline");
    return {word, "the app has no agent that may serve: " + word};
}

// Where nobody else is left who has room, it is set aside: an agent that may fail is better than none.
void Forwarder::leave_out_ejected(std::string_view app, MonoTime now) {
    if (ejections_.empty()) return;
    const auto is_out = [&](const router::Candidate& candidate) {
        const registry::Agent* agent = registry_.agent_of(candidate.tunnel);
        return agent != nullptr && ejections_.is_out({app, agent->agent_id}, now);
    };
    const bool any_left = std::ranges::any_of(candidates_, [&](const router::Candidate& candidate) {
        return candidate.open_streams < candidate.stream_limit && !is_out(candidate);
    });
    if (any_left) std::erase_if(candidates_, is_out);
}

void Forwarder::failed(Attempt& attempt, std::string_view code) {
    const Moment now{loop_.now(), wall_now()};
    // An agent that refuses streams on a tunnel that goes on fails each time.
    const tunnel::Session* session = tunnels_.find(attempt.tunnel());
    const bool is_lost = code == "tunnel_closed" && (session == nullptr || !session->takes_requests());
    if (!attempt.failed(code, is_lost, now.mono)) return;
    ejected_.add();
    const Ejections::AgentName& agent = attempt.agent();
    const MonoTime until = ejections_.out_until(agent).value_or(now.mono);
    registry_.ejected(agent.app, agent.agent_id, code,
                      std::chrono::ceil<std::chrono::milliseconds>(until - now.mono), now);
}

// ---- A second agent ----

bool Forwarder::send_elsewhere(Call& call) {
    constexpr int choices_max = 3;
    const Moment now{loop_.now(), wall_now()};
    for (int i = 0; i < choices_max; ++i) {
        const auto session = choose(call.app(), now, call.selection());
        if (!session) return false;
        call.sending();
        const auto opened = (*session)->open_stream(call.kept((*session)->streams_bodies()), call, now.mono);
        if (opened) {
            call.opened(**session, *opened);
            return true;
        }
        call.was_with(**session);
    }
    return false;
}

bool Forwarder::may_retry(const Call& call) {
    const Moment now{loop_.now(), wall_now()};
    // What there is nobody to send to takes nothing of the budget.
    if (!choose(call.app(), now, call.selection())) return false;
    if (retry_budget_.take(now.mono)) return true;
    not_retried_.add();
    return false;
}

// ---- Fresh evidence ----

void Forwarder::await_evidence(std::unique_ptr<Call> call, Moment now) {
    const auto added = waiting_.add(*call, call->app(), now.mono);
    if (!added) return static_cast<tunnel::StreamObserver&>(*call.release()).on_failed(added.error());
    waiting_.challenge(too_old_);
    call.release()->wait();
}

void Forwarder::look_again(Call& call, bool last) {
    const Moment now{loop_.now(), wall_now()};
    const auto session = choose(call.app(), now, call.selection());
    if (!session && session.error().code == evidence_too_old && !last) return waiting_.challenge(too_old_);
    waiting_.remove(call);
    if (session && send_elsewhere(call)) return;
    const auto wait_s =
        std::chrono::duration_cast<std::chrono::seconds>(waiting_.settings().wait_max).count();
    Error why = session ? Error{"tunnel_closed", "the agents that meet EE-Require take no new requests"}
                        : session.error();
    if (why.code == evidence_too_old)
        why = {
            "requirement_unmet",
            fmt::format("no agent that meets the rest of EE-Require has attested again within {} s", wait_s)};
    static_cast<tunnel::StreamObserver&>(call).on_failed(why);
}

}  // namespace ee::proxy
