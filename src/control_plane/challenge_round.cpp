#include "control_plane/challenge_round.h"

#include <algorithm>

namespace ee::control_plane {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t turns_per_second = 20;

}  // namespace

ChallengeRound::ChallengeRound(net::Loop& loop, const tunnel::Tunnels& tunnels, const telemetry::Log& log,
                               std::uint32_t challenges_per_second_max)
    : tunnels_(tunnels),
      log_(log),
      per_second_(std::max(1u, challenges_per_second_max)),
      timer_(loop, [this] { turn(); }) {}

bool ChallengeRound::add(tunnel::TunnelId id) {
    const bool is_new = is_waiting_.insert(id).second;
    if (is_new) waiting_.push_back(id);
    return is_new;
}

void ChallengeRound::begin(const NetworkChanges& changes, const attestation::NetworkPolicies& policies) {
    std::size_t agents = 0;
    tunnels_.for_each([&](tunnel::Session& session) {
        const auto& registration = session.registration();
        if (!registration || !changes.concern(registration->network)) return;
        if (const attestation::NetworkPolicy* policy = policies.find(registration->network))
            session.set_terms({std::string(to_string(attestation::least_binding(*policy)))});
        if (add(session.id())) ++agents;
    });
    if (agents > 0) log_.info("networks.challenging", {{"agents", agents}, {"per_second_max", per_second_}});
    start();
}

void ChallengeRound::challenge(const api::ChallengeOrder& order) {
    std::size_t agents = 0;
    for (const tunnel::TunnelId id : order.agents)
        if (add(id)) ++agents;
    log_.info("app.challenging", {{"app", order.app},
                                  {"by", "admin"},
                                  {"client", order.client.to_string()},
                                  {"request_id", order.request_id},
                                  {"agents", agents},
                                  {"per_second_max", per_second_}});
    start();
}

void ChallengeRound::start() {
    if (waiting_.empty()) return;
    if (!timer_.armed()) timer_.arm_after(0ms);
}

void ChallengeRound::turn() {
    // Below one a turn, turns are fewer.
    const std::uint32_t share = std::max(1u, per_second_ / turns_per_second);
    const std::size_t looks = waiting_.size();
    std::uint32_t made = 0;
    for (std::size_t look = 0; look < looks && made < share; ++look) {
        const tunnel::TunnelId id = waiting_.front();
        waiting_.pop_front();
        tunnel::Session* session = tunnels_.find(id);
        const auto state = session == nullptr ? tunnel::SessionState::closed : session->machine().state();
        // Judged by the old policy, and not in its place yet: it is asked again as soon as it is.
        if (state == tunnel::SessionState::admitting) {
            waiting_.push_back(id);
            continue;
        }
        is_waiting_.erase(id);
        // Those before that have not been judged yet, and are going to be by the new policy.
        if (state != tunnel::SessionState::active) continue;
        session->challenge(protocol::ChallengeReason::operator_request);
        ++made;
    }
    challenged_ += made;
    if (!waiting_.empty()) {
        timer_.arm_after(std::chrono::nanoseconds(1s) * share / per_second_);
        return;
    }
    log_.info("challenges.made", {{"agents", challenged_}});
    challenged_ = 0;
}

}  // namespace ee::control_plane
