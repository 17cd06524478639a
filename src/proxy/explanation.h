#pragma once
// Which agent an app's next request would go to, and why: what the choice goes by, kept so that anybody can
// make it again.

#include <string_view>
#include <vector>

#include "registry/registry.h"
#include "router/choice.h"
#include "tunnel/tunnels.h"

namespace ee::proxy {

router::Candidate candidate_of(const registry::Agent& agent, const registry::Offer& offer,
                               const tunnel::Session& session);

struct Explanation {
    // The eligible agents, in the order of the registry's AppDetail.
    std::vector<router::Candidate> candidates{};
    std::vector<std::uint64_t> ejected{};  // Tunnels of those that were left out for their failures.
    std::string release{};                 // That the app's rollout picked; empty: it has none.
    router::RandomPair random{};
    // The tunnel of the one that router::choose() picks of the others of the release, or its refusal.
    Result<std::uint64_t> chosen;
};
std::vector<std::uint64_t> ejected{};  // Tunnels of eligible ones that were left out for their failures.
router::RandomPair random{};
Result<std::size_t> chosen;  // As router::choose answers it.
};

}  // namespace ee::proxy
