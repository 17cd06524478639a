#pragma once
// When one agent is challenged, when its answer is due, and when an inconclusive one is judged again.
// One schedule a tunnel: whatever happens, at most one moment is planned.

#include <chrono>
#include <optional>

#include "base/time.h"

namespace ee::tunnel {

struct ScheduleSettings {
    std::chrono::seconds interval{3600};
    std::chrono::seconds deadline{30};
    std::chrono::seconds judge_again{60};
};

class AttestationSchedule {
public:
    enum class Due { nothing, challenge, missed_deadline, judge_again };

    explicit AttestationSchedule(const ScheduleSettings& settings) : settings_(settings) {}

    // A challenge was sent; its deadline runs.
    void challenged(MonoTime now);
    // The answer came in time. Nothing is due until it is judged.
    void answered();
    // The answer that came at `answered_at` was judged good. The next challenge is due after 80 % to 95 % of
    // the interval; `random` in [0, 1) picks the moment. It may be due at once, after a long wait for
    // collateral.
    void succeeded(MonoTime answered_at, double random);
    // No verdict can be given now through no fault of the agent's.
    void inconclusive(MonoTime now);
    // Draining or closed: nothing is due any more.
    void stop() { plan_.reset(); }

    Due due(MonoTime now) const;
    std::optional<MonoTime> next() const;

private:
    struct Plan {
        Due what;
        MonoTime when;
    };
    ScheduleSettings settings_;
    std::optional<Plan> plan_;
};

}  // namespace ee::tunnel
