#pragma once
// Why a request would go where it would go: what GET /v1/route/{app}/explain tells.

#include <string>
#include <vector>

#include "base/result.h"
#include "registry/registry.h"
#include "router/choice.h"
#include "tunnel/session.h"

namespace ee::proxy {

router::Candidate candidate_of(const registry::Agent& agent, const registry::Offer& offer,
                               const tunnel::Session& session);

struct Explanation {
    // The eligible agents, in the order of the registry's AppDetail.
    std::vector<router::Candidate> candidates{};
    // One of them that was left out for its failures.
    struct Ejected {
        std::uint64_t tunnel = 0;
        WallTime until{};  // In the past: its probe is under way.
    };
    std::vector<Ejected> ejected{};
    std::string release{};      // That the app's rollout picked; empty: it has none.
    double release_random = 0;  // The number that picked it.
    router::RandomPair random{};
    // The tunnel of the one that router::choose() picks of the others of the release, or its refusal.
    Result<std::uint64_t> chosen;
};

}  // namespace ee::proxy
