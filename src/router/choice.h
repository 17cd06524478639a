#pragma once
// Which of the eligible agents gets a request (spec: routing, "Which one gets the request").

#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"
#include "router/trust.h"

namespace ee::router {

struct Candidate {
    std::uint64_t tunnel = 0;
    std::size_t open_streams = 0;
    std::size_t stream_limit = 0;
    // What its node asks for a vCPU-hour, in micro-USD, 0 to 10^15; nullopt: it has posted no price.
    std::optional<std::int64_t> price{};
    Millionths trust = one;
    std::uint8_t release = 0;  // Its place in the app's rollout, if there is one.
};

// Two independent numbers in [0, 1).
struct RandomPair {
    double first = 0;
    double second = 0;
};

// Leaves out candidates at their stream limit. Of the others those with a price come before those without;
// of these the lowest price / trust counts, and all within 1 % of it are equal. Where the lowest price is 0,
// or nobody has one, the highest trust counts, and all within 1 % of it are equal. Of two equals picked at
// random, the one with fewer open streams. Answers an index into `candidates`; the same arguments give the
// same answer. Refusals: `overloaded` when all are at their limit, `offline` when there is none at all.
Result<std::size_t> choose(std::span<const Candidate> candidates, RandomPair random);

// price / trust in micro-USD, rounded down, 2^63 - 1 where it would be more: to be shown, not compared.
std::int64_t effective_price(std::int64_t price, Millionths trust);

}  // namespace ee::router
