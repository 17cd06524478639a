#pragma once
// The ledger's time cannot be taken back: cells that it has ended are settled, and nothing is entered before
// its newest entry. So a wall clock that leaps far ahead is not followed at once.

#include <functional>
#include <mutex>
#include <optional>

#include "base/time.h"
#include "ledger/period.h"

namespace ee::control_plane {

// How far the wall clock may get ahead of the monotonic one, beyond any pause that a machine is given. What
// is within it ends cells, but makes nothing old enough to be decided for want of evidence.
inline constexpr std::chrono::hours clock_leap_max{48};
// How long it must have stayed ahead to be believed.
inline constexpr std::chrono::minutes clock_doubt_max{15};

class LedgerClock {
public:
    struct Reading {
        MonoTime mono;
        ledger::LedgerTime wall;
    };
    // `on_doubt` hears by how much it is ahead, once for each leap, on the thread that asked for the time.
    using OnDoubt = std::function<void(std::chrono::seconds ahead)>;
    explicit LedgerClock(OnDoubt on_doubt = {}, std::function<Reading()> read = read_clocks);
    LedgerClock(const LedgerClock&) = delete;
    LedgerClock& operator=(const LedgerClock&) = delete;

    // Any thread. The wall clock's time; while that is in doubt, the last one before and what has passed
    // since.
    ledger::LedgerTime now();

private:
    static Reading read_clocks();

    const OnDoubt on_doubt_;
    const std::function<Reading()> read_;
    std::mutex mutex_;
    Reading last_;  // with the time that was answered
    std::optional<MonoTime> in_doubt_since_;
};

}  // namespace ee::control_plane
