#pragma once
// How many requests may be sent a second time: more than a share of what visitors ask would double the load
// of agents that are failing because of it. Pure: times are arguments.

#include <array>
#include <cstdint>

#include "base/time.h"

namespace ee::proxy {

// In steps of 100 ms: a tenth of the requests of the last second and of the step that runs, and 20 in any
// case, less the retries of the last ten steps. So never less than what a whole second gives.
class RetryBudget {
public:
    static constexpr std::uint32_t per_second_min = 20;
    static constexpr std::uint32_t requests_per_retry = 10;

    void requested(MonoTime now) { ++step(now).requests; }
    // Takes one when there is one. `now` never goes back.
    [[nodiscard]] bool take(MonoTime now);

private:
    struct Step {
        std::int64_t number = -1;
        std::uint32_t requests = 0;
        std::uint32_t retries = 0;
    };
    static constexpr std::int64_t second = 10, steps = second + 1;
    static std::int64_t number_of(MonoTime time);
    Step& step(MonoTime now);

    std::array<Step, steps> steps_{};
};

}  // namespace ee::proxy
