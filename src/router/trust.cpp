#include "router/trust.h"

#include <algorithm>

namespace ee::router {
namespace {

constexpr Millionths least_attested = 500'000;
constexpr Millionths health_without_node = 500'000;
// A node begins as one that has passed 648 of 720 windows: neither the best nor out of reach.
constexpr std::uint64_t windows_before = 720;
constexpr std::uint64_t passed_before = 648;

constexpr Millionths product(Millionths a, Millionths b) {
    return std::max<Millionths>(1, static_cast<Millionths>(std::uint64_t{a} * b / one));
}

Millionths health_factor(const NodeRecord* node) {
    if (node == nullptr) return health_without_node;
    // Windows of 30 days are at most 2,592,000 for each app of a node: far from 64 bits.
    const std::uint64_t passed = std::min(node->windows_passed, node->windows);
    return static_cast<Millionths>((passed + passed_before) * one / (node->windows + windows_before));
}

Millionths behaviour_factor(const NodeRecord* node) {
    if (node == nullptr) return one;
    return node->abuse_reports < 20 ? std::max<Millionths>(1, one >> node->abuse_reports) : 1;
}

}  // namespace

Millionths attestation_factor(std::string_view tcb_status, bool unbound, bool simulated) {
    if (unbound || simulated) return least_attested;
    if (tcb_status == "UpToDate") return one;
    if (tcb_status == "SWHardeningNeeded" || tcb_status.starts_with("Configuration")) return 900'000;
    if (tcb_status.starts_with("OutOfDate") || tcb_status.starts_with("TDRelaunch")) return 800'000;
    return least_attested;
}

Trust trust(const TrustEvidence& evidence) {
    Trust out;
    out.attestation = attestation_factor(evidence.tcb_status, evidence.unbound, evidence.simulated);
    if (evidence.inconclusive) out.attestation = product(out.attestation, 900'000);
    out.health = health_factor(evidence.node);
    out.behaviour = behaviour_factor(evidence.node);
    out.trust = product(product(out.attestation, out.health), out.behaviour);
    return out;
}

}  // namespace ee::router
