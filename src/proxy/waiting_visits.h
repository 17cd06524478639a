#pragma once
// Requests that wait for younger evidence of an app's agents than there is, and the challenges they cause.

#include <functional>
#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "net/loop.h"
#include "proxy/challenge_turns.h"
#include "telemetry/metrics.h"
#include "tunnel/tunnels.h"

namespace ee::proxy {

class Call;

struct WaitingSettings {
    // How long a request waits: as long as an agent may take over a challenge.
    std::chrono::milliseconds wait_max = std::chrono::seconds(30);
    // Between two challenges of one agent.
    std::chrono::milliseconds challenges_apart = std::chrono::seconds(10);
    std::uint32_t challenges_per_second_max = 100;
    std::size_t requests_max = 1024;
    std::size_t requests_per_app_max = 128;
};

class WaitingVisits {
public:
    // `look` decides about a request anew: it goes to an agent, is refused, or (never when it is `last`) goes
    // on waiting. It calls remove() for one that does not.
    using Look = std::function<void(Call& call, bool last)>;

    WaitingVisits(net::Loop& loop, const tunnel::Tunnels& tunnels, telemetry::Metrics& metrics,
                  const WaitingSettings& settings, Look look);

    // Looks again when an agent of the app has attested, and when the time is up; never within this call.
    // Refused with `overloaded` when too many wait.
    Result<void> add(Call& call, std::string_view app, MonoTime now);
    void remove(Call& call);
    // Challenges these agents, each in its turn.
    void challenge(std::span<const tunnel::TunnelId> agents);
    // An agent of the app has shown fresh evidence.
    void attested(std::string_view app);

    std::size_t size() const { return requests_.size(); }
    const WaitingSettings& settings() const { return settings_; }

private:
    struct Waiting {
        Call* call;
        std::string app;
        MonoTime until;
    };
    void turn();
    void look_at_attested();
    void schedule();

    net::Loop& loop_;
    const tunnel::Tunnels& tunnels_;
    const WaitingSettings settings_;
    const Look look_;
    telemetry::Gauge& waiting_;
    telemetry::Counter& challenges_;
    std::list<Waiting> requests_;  // As they came.
    std::unordered_map<const Call*, std::list<Waiting>::iterator> place_of_;
    std::unordered_map<std::string, std::size_t> count_of_app_;
    std::vector<std::string> attested_;  // Apps to look at in the next turn.
    ChallengeTurns turns_;
    net::Timer timer_;
};

}  // namespace ee::proxy
