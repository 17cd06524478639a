#include "control_plane/ledger_clock.h"

namespace ee::control_plane {

using ledger::LedgerTime;

LedgerClock::LedgerClock(OnDoubt on_doubt, std::function<Reading()> read)
    : on_doubt_(std::move(on_doubt)), read_(std::move(read)), last_(read_()) {}

LedgerClock::Reading LedgerClock::read_clocks() {
    return {.mono = std::chrono::steady_clock::now(),
            .wall = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now())};
}

LedgerTime LedgerClock::now() {
    std::optional<std::chrono::seconds> new_doubt;
    LedgerTime time;
    {
        const std::lock_guard lock(mutex_);
        const Reading read = read_();
        const LedgerTime expected =
            last_.wall + std::chrono::duration_cast<std::chrono::microseconds>(read.mono - last_.mono);
        if (read.wall - expected <= clock_leap_max) {
            in_doubt_since_.reset();
            time = read.wall;
        } else if (!in_doubt_since_) {
            in_doubt_since_ = read.mono;
            new_doubt = std::chrono::duration_cast<std::chrono::seconds>(read.wall - expected);
            time = expected;
        } else {
            time = read.mono - *in_doubt_since_ < clock_doubt_max ? expected : read.wall;
        }
        last_ = {.mono = read.mono, .wall = time};
    }
    if (new_doubt && on_doubt_) on_doubt_(*new_doubt);
    return time;
}

}  // namespace ee::control_plane
