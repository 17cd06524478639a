#include "router/rollout.h"

#include <array>

#include "base/check.h"

namespace ee::router {

std::optional<std::size_t> pick_release(std::span<const std::uint32_t> weights,
                                        std::span<const Candidate> candidates, double random) {
    EE_CHECK(weights.size() <= rollout_releases_max);
    std::array<std::uint32_t, rollout_releases_max> left{};
    for (const Candidate& candidate : candidates)
        if (candidate.release < weights.size() && candidate.open_streams < candidate.stream_limit)
            left[candidate.release] = weights[candidate.release];
    std::uint64_t sum = 0;
    for (const std::uint32_t weight : left) sum += weight;
    if (sum == 0) return std::nullopt;
    auto point = static_cast<std::uint64_t>(random * static_cast<double>(sum));
    std::size_t last = 0;
    for (std::size_t place = 0; place < weights.size(); ++place) {
        if (left[place] == 0) continue;
        last = place;
        if (point < left[place]) break;
        point -= left[place];
    }
    return last;
}

}  // namespace ee::router
