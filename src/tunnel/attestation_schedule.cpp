#include "tunnel/attestation_schedule.h"

#include "base/check.h"

namespace ee::tunnel {
namespace {

constexpr double earliest_part = 0.80;
constexpr double latest_part = 0.95;

}  // namespace

void AttestationSchedule::challenged(MonoTime now) {
    plan_ = Plan{Due::missed_deadline, now + settings_.deadline};
}

void AttestationSchedule::answered() {
    plan_.reset();
}

void AttestationSchedule::succeeded(MonoTime answered_at, double random) {
    EE_CHECK(random >= 0 && random < 1);
    const std::chrono::duration<double> wait = std::chrono::duration<double>(settings_.interval) *
                                               (earliest_part + (latest_part - earliest_part) * random);
    plan_ = Plan{Due::challenge, answered_at + std::chrono::duration_cast<MonoTime::duration>(wait)};
}

void AttestationSchedule::inconclusive(MonoTime now) {
    plan_ = Plan{Due::judge_again, now + settings_.judge_again};
}

AttestationSchedule::Due AttestationSchedule::due(MonoTime now) const {
    return plan_ && now >= plan_->when ? plan_->what : Due::nothing;
}

std::optional<MonoTime> AttestationSchedule::next() const {
    if (!plan_) return std::nullopt;
    return plan_->when;
}

}  // namespace ee::tunnel
