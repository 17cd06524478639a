#include "attestation/remote/fetch_schedule.h"

#include <algorithm>

namespace ee::attestation {

using std::chrono::milliseconds;

void FetchSchedule::succeed(WallTime issued_at, WallTime next_update, const Moment& now, double random) {
    under_way_ = false;
    urgent_.reset();
    calm_.reset();
    const milliseconds life = next_update - issued_at, left = next_update - now.wall;
    const milliseconds to_half_life = left - life / 2;
    milliseconds wait = to_half_life > milliseconds(0) ? to_half_life : left / 2;
    wait -= std::chrono::duration_cast<milliseconds>(wait * (random / 10));
    due_ = now.mono + std::max(wait, times_.refresh_min);
    forward_from_ = now.mono + times_.refresh_min;
}

void FetchSchedule::fail(std::optional<WallTime> valid_until, const Moment& now, double random) {
    under_way_ = false;
    if (!valid_until || *valid_until < now.wall) {
        due_ = now.mono + urgent_.next(random);
        return;
    }
    // As soon as nothing valid is left it becomes urgent.
    due_ = now.mono + std::min<milliseconds>(calm_.next(random), *valid_until - now.wall + times_.urgent_min);
}

bool FetchSchedule::bring_forward(MonoTime now) {
    if (under_way_ || due_ <= now || now < forward_from_) return false;
    due_ = now;
    return true;
}

}  // namespace ee::attestation
