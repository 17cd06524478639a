#pragma once
// When the collateral of one platform is fetched: at once, again at half of its life, and after a failure
// with growing, random waits. Reads no clock.

#include <chrono>
#include <optional>

#include "base/backoff.h"
#include "base/result.h"
#include "base/time.h"

namespace ee::attestation {

struct FetchTimes {
    // After a failure while nothing valid is there, and agents are turned away.
    std::chrono::milliseconds urgent_min{1'000}, urgent_max{60'000};
    // After a failure while what is kept still answers.
    std::chrono::milliseconds calm_min{30'000}, calm_max{600'000};
    // Between two refreshes of what is about to end.
    std::chrono::milliseconds refresh_min{5'000};
};

class FetchSchedule {
public:
    explicit FetchSchedule(const FetchTimes& times, MonoTime first_due)
        : times_(times),
          due_(first_due),
          urgent_(times.urgent_min, times.urgent_max),
          calm_(times.calm_min, times.calm_max) {}

    // nullopt while a fetch is under way.
    std::optional<MonoTime> due() const { return under_way_ ? std::nullopt : std::optional(due_); }
    bool under_way() const { return under_way_; }
    void start() { under_way_ = true; }

    // What is kept is valid from `issued_at` to `next_update`: refreshed when half of that is over, and from
    // then on whenever half of what is left is over, earlier by up to a tenth. `random` is in [0, 1).
    void succeed(WallTime issued_at, WallTime next_update, const Moment& now, double random);
    // `valid_until`: of what is kept, if anything is; after that the failure is urgent.
    void fail(std::optional<WallTime> valid_until, const Moment& now, double random);

    // What is kept is not valid by the wall clock, though its refresh is not due: the clock was set, or the
    // machine was suspended. Due now, but not within `refresh_min` of the last success; false when that
    // changes nothing.
    bool bring_forward(MonoTime now);

private:
    FetchTimes times_;
    MonoTime due_;
    MonoTime forward_from_ = MonoTime::min();
    bool under_way_ = false;
    Backoff urgent_, calm_;
};

}  // namespace ee::attestation
