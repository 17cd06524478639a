#include "proxy/retry_budget.h"

#include <algorithm>

namespace ee::proxy {

std::int64_t RetryBudget::number_of(MonoTime time) {
    constexpr std::chrono::milliseconds length{100};
    return time.time_since_epoch() / length;
}

RetryBudget::Step& RetryBudget::step(MonoTime now) {
    const std::int64_t number = number_of(now);
    Step& step = steps_[static_cast<std::size_t>(number % steps)];
    if (step.number != number) step = {.number = number, .requests = 0, .retries = 0};
    return step;
}

bool RetryBudget::take(MonoTime now) {
    Step& current = step(now);
    std::uint64_t requests = 0, retries = 0;
    for (const Step& step : steps_) {
        const std::int64_t age = current.number - step.number;
        if (age <= second) requests += step.requests;
        if (age < second) retries += step.retries;
    }
    if (retries >= std::max<std::uint64_t>(per_second_min, requests / requests_per_retry)) return false;
    ++current.retries;
    return true;
}

}  // namespace ee::proxy
