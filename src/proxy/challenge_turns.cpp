#include "proxy/challenge_turns.h"

#include <algorithm>

namespace ee::proxy {

void ChallengeTurns::want(Id agent) {
    if (is_waiting_.insert(agent).second) waiting_.push_back(agent);
}

bool ChallengeTurns::is_rested(Id agent, MonoTime now) const {
    const auto found = challenged_at_.find(agent);
    return found == challenged_at_.end() || now >= found->second + apart_;
}

void ChallengeTurns::forget(MonoTime now) {
    while (!challenged_.empty() && now >= challenged_.front().first + std::max(apart_, second)) {
        const auto found = challenged_at_.find(challenged_.front().second);
        if (found != challenged_at_.end() && found->second == challenged_.front().first)
            challenged_at_.erase(found);
        challenged_.pop_front();
    }
}

std::vector<ChallengeTurns::Id> ChallengeTurns::take_due(MonoTime now) {
    forget(now);
    const auto of_this_second = static_cast<std::size_t>(
        std::ranges::count_if(challenged_, [&](const auto& one) { return now < one.first + second; }));
    std::size_t left = per_second_max_ > of_this_second ? per_second_max_ - of_this_second : 0;
    std::vector<Id> due;
    std::erase_if(waiting_, [&](Id agent) {
        if (left == 0 || !is_rested(agent, now)) return false;
        --left;
        due.push_back(agent);
        return true;
    });
    for (const Id agent : due) {
        is_waiting_.erase(agent);
        challenged_at_[agent] = now;
        challenged_.emplace_back(now, agent);
    }
    return due;
}

std::optional<MonoTime> ChallengeTurns::next(MonoTime now) const {
    if (waiting_.empty()) return std::nullopt;
    MonoTime earliest = MonoTime::max();
    for (const Id agent : waiting_) {
        const auto found = challenged_at_.find(agent);
        earliest = std::min(earliest, found == challenged_at_.end() ? now : found->second + apart_);
    }
    // When the second that is used up ends for the one that would make room.
    if (challenged_.size() >= per_second_max_)
        earliest = std::max(earliest, challenged_[challenged_.size() - per_second_max_].first + second);
    return earliest;
}

}  // namespace ee::proxy
