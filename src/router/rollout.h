#pragma once
// Which release of an app gets a request (spec: routing, "Which one gets the request").

#include "router/choice.h"

namespace ee::router {

// Releases that a rollout may name, and the largest weight of one.
inline constexpr std::size_t rollout_releases_max = 16;
inline constexpr std::uint32_t rollout_weight_max = 1'000'000;

// A place in `weights`, which has as many as rollout_releases_max at most: by weight among the releases that
// have a candidate with room. `random` in [0, 1). nullopt: none of those has a weight.
std::optional<std::size_t> pick_release(std::span<const std::uint32_t> weights,
                                        std::span<const Candidate> candidates, double random);

}  // namespace ee::router
