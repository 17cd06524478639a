#pragma once
// How much an agent is trusted (spec: routing, "Which one gets the request"): a pure function of integers, so
// that anyone who has them gets the same number.

#include <cstdint>
#include <string_view>

namespace ee::router {

using Millionths = std::uint32_t;
inline constexpr Millionths one = 1'000'000;

// What is counted of a node, by its id: neither another token nor registering it again changes it.
struct NodeRecord {
    std::uint64_t windows = 0;         // expected in the last 30 days, holes left out
    std::uint64_t windows_passed = 0;  // of these
    std::uint32_t abuse_reports = 0;   // authorized in the last 90 days
};

struct TrustEvidence {
    // Of the last good verdict: Intel's word for the platform's TCB.
    std::string_view tcb_status{};
    bool unbound = false;    // the answer holds no nonce
    bool simulated = false;  // the quote's root is not Intel's
    // Nobody could judge the last periodic answer.
    bool inconclusive = false;
    const NodeRecord* node = nullptr;  // nullptr: an agent without a node
};

// Each in 1 to `one`; `trust` is attestation * health * behaviour, each product rounded down.
struct Trust {
    Millionths attestation = one;
    Millionths health = one;
    Millionths behaviour = one;
    Millionths trust = one;

    friend bool operator==(const Trust&, const Trust&) = default;
};

Trust trust(const TrustEvidence& evidence);

// A without the factor of an inconclusive verdict. A status that the specification does not rate counts as
// the lowest one.
Millionths attestation_factor(std::string_view tcb_status, bool unbound, bool simulated);

}  // namespace ee::router
