#include "router/choice.h"

#include <fmt/format.h>

namespace ee::router {
namespace {

bool has_room(const Candidate& candidate) {
    return candidate.open_streams < candidate.stream_limit;
}

// The index of the nth candidate that has room.
std::size_t nth_with_room(std::span<const Candidate> candidates, std::size_t n) {
    std::size_t index = 0;
    while (!has_room(candidates[index]) || n-- > 0) ++index;
    return index;
}

std::size_t pick(double random, std::size_t count) {
    const auto n = static_cast<std::size_t>(random * static_cast<double>(count));
    return n < count ? n : count - 1;
}

}  // namespace

Result<std::size_t> choose(std::span<const Candidate> candidates, RandomPair random) {
    if (candidates.empty()) return fail("offline", "no agent is eligible");
    std::size_t count = 0;
    for (const Candidate& candidate : candidates) count += has_room(candidate) ? 1 : 0;
    if (count == 0)
        return fail("overloaded",
                    fmt::format("all {} eligible agents are at their stream limit", candidates.size()));
    if (count == 1) return nth_with_room(candidates, 0);
    const std::size_t first = pick(random.first, count);
    // Of the others: two different ones are compared.
    std::size_t second = pick(random.second, count - 1);
    if (second >= first) ++second;
    const std::size_t a = nth_with_room(candidates, first);
    const std::size_t b = nth_with_room(candidates, second);
    return candidates[b].open_streams < candidates[a].open_streams ? b : a;
}

}  // namespace ee::router
