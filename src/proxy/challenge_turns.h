#pragma once
// When agents are challenged because a visitor asks for fresh evidence. Pure: times are arguments.

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/time.h"

namespace ee::proxy {

// However many ask: an agent at most once in `apart`, and no more than `per_second_max` agents a second. Who
// is asked for too early waits for its turn, once.
class ChallengeTurns {
public:
    // As tunnel::TunnelId.
    using Id = std::uint64_t;

    ChallengeTurns(std::chrono::milliseconds apart, std::uint32_t per_second_max)
        : apart_(apart), per_second_max_(per_second_max == 0 ? 1 : per_second_max) {}

    void want(Id agent);
    // Nobody waits any more: no turn comes.
    void unwant_all() {
        waiting_.clear();
        is_waiting_.clear();
    }
    // Those whose turn it is; they count as challenged now.
    std::vector<Id> take_due(MonoTime now);
    // Nobody's turn comes before this moment.
    std::optional<MonoTime> next(MonoTime now) const;
    std::size_t waiting() const { return waiting_.size(); }

private:
    static constexpr std::chrono::milliseconds second{1000};

    bool is_rested(Id agent, MonoTime now) const;
    void forget(MonoTime now);

    const std::chrono::milliseconds apart_;
    const std::uint32_t per_second_max_;
    std::deque<Id> waiting_;
    std::unordered_set<Id> is_waiting_;
    std::unordered_map<Id, MonoTime> challenged_at_;
    std::deque<std::pair<MonoTime, Id>> challenged_;  // The same, oldest first.
};

}  // namespace ee::proxy
