#pragma once
// Which of the eligible agents gets a request.

#include <cstdint>
#include <span>

#include "base/result.h"

namespace ee::router {

struct Candidate {
    std::uint64_t tunnel = 0;
    std::size_t open_streams = 0;
    std::size_t stream_limit = 0;
};

// Two independent numbers in [0, 1).
struct RandomPair {
    double first = 0;
    double second = 0;
};

// Leaves out candidates at their stream limit; of two others picked at random, the one with fewer open
// streams. Answers an index into `candidates`. Refusals: `overloaded` when all are at their limit,
// `offline` when there is none at all.
Result<std::size_t> choose(std::span<const Candidate> candidates, RandomPair random);

}  // namespace ee::router
