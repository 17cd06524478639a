#pragma once
// How long to wait before the next try: exponential with full jitter, so that those who lost the same server
// do not come back together.

#include <algorithm>
#include <chrono>

namespace ee {

class Backoff {
public:
    Backoff(std::chrono::milliseconds min, std::chrono::milliseconds max)
        : min_(min), max_(max), ceiling_(min) {}

    // `random` in [0, 1). Uniform between nothing and a ceiling that grows by what was waited, so at most
    // doubles: whoever has waited for a minute in all waits no more than about one again. (A ceiling that
    // doubles whatever was drawn keeps a few of many waiting for long after a short outage.)
    std::chrono::milliseconds next(double random) {
        const auto wait = std::chrono::milliseconds(
            static_cast<std::int64_t>(static_cast<double>(ceiling_.count()) * random));
        ceiling_ = std::min(max_, ceiling_ + wait);
        return wait;
    }
    // A connection served: the next failure is the first again.
    void reset() { ceiling_ = min_; }

private:
    std::chrono::milliseconds min_, max_, ceiling_;
};

}  // namespace ee
