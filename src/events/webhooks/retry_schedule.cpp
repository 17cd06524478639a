#include "events/webhooks/retry_schedule.h"

#include <algorithm>

namespace ee::events {

std::optional<std::chrono::milliseconds> RetrySchedule::next(std::chrono::nanoseconds since_first_try,
                                                             double random,
                                                             std::optional<std::chrono::seconds> asked_for) {
    if (since_first_try >= given_up_after) return std::nullopt;
    const auto jittered = std::chrono::duration<double, std::milli>(delay_) * (0.8 + 0.4 * random);
    auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(jittered);
    if (asked_for) wait = std::max<std::chrono::milliseconds>(wait, std::min(*asked_for, longest_delay));
    delay_ = std::min<std::chrono::milliseconds>(longest_delay, delay_ * 2);
    return wait;
}

}  // namespace ee::events
