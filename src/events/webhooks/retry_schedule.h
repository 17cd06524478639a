#pragma once
// When a webhook that was not taken is sent again.

#include <chrono>
#include <optional>

namespace ee::events {

class RetrySchedule {
public:
    static constexpr std::chrono::seconds longest_delay{3600};
    // As long as the example of the standard (Standard Webhooks 1.0.0, "Deliverability and reliability").
    static constexpr std::chrono::seconds given_up_after{75 * 3600 + 35 * 60 + 5};

    explicit RetrySchedule(std::chrono::milliseconds first_delay = std::chrono::seconds(5))
        : first_delay_(first_delay), delay_(first_delay) {}

    // After one more failure, so long after the first try: doubled each time, up to an hour, a fifth more or
    // less by `random` in [0, 1); longer where the receiver asked for it, up to an hour. nullopt: given up.
    std::optional<std::chrono::milliseconds> next(std::chrono::nanoseconds since_first_try, double random,
                                                  std::optional<std::chrono::seconds> asked_for);
    // It was taken.
    void reset() { delay_ = first_delay_; }

private:
    std::chrono::milliseconds first_delay_, delay_;
};

}  // namespace ee::events
