#pragma once
// Challenges many agents out of turn, at a bounded rate: those of networks whose policy has changed, and
// those that the admin wants to be asked.

#include <deque>
#include <unordered_set>

#include "api/services.h"
#include "control_plane/networks.h"
#include "net/loop.h"
#include "telemetry/log.h"
#include "tunnel/tunnels.h"

namespace ee::control_plane {

class ChallengeRound {
public:
    // Everything must outlive the round. `challenges_per_second_max` is at least 1.
    ChallengeRound(net::Loop& loop, const tunnel::Tunnels& tunnels, const telemetry::Log& log,
                   std::uint32_t challenges_per_second_max);

    // Challenges every agent that names a network which has changed, and has been judged by its old policy;
    // from now on challenges ask for the binding of the new one. A round under way takes them in.
    void begin(const NetworkChanges& changes, const attestation::NetworkPolicies& policies);
    // Challenges these too; one that has a challenge open is not asked again.
    void challenge(const api::ChallengeOrder& order);
    std::size_t waiting() const { return waiting_.size(); }

private:
    bool add(tunnel::TunnelId id);
    void start();
    void turn();

    const tunnel::Tunnels& tunnels_;
    const telemetry::Log& log_;
    const std::uint32_t per_second_;
    std::deque<tunnel::TunnelId> waiting_;
    std::unordered_set<tunnel::TunnelId> is_waiting_;
    std::size_t challenged_ = 0;
    net::Timer timer_;
};

}  // namespace ee::control_plane
