#include "proxy/explanation.h"

#include "proxy/forwarder.h"

namespace ee::proxy {

router::Candidate candidate_of(const registry::Agent& agent, const registry::Offer& offer,
                               const tunnel::Session& session) {
    return {.tunnel = agent.tunnel,
            .open_streams = session.open_streams(),
            .stream_limit = session.stream_limit(),
            .price = offer.price,
            .trust = offer.trust.trust,
            .release = agent.rollout_place};
}

Explanation Forwarder::explain(std::string_view app, Moment now) {
    candidates_.clear();
    registry_.visit_candidates(app, now, [&](const registry::Agent& agent) {
        if (const tunnel::Session* session = tunnels_.find(agent.tunnel))
            candidates_.push_back(candidate_of(agent, registry_.offer_of(agent, now), *session));
    });
    const router::RandomPair random{random_.unit(), random_.unit()};
    return {.candidates = candidates_, .random = random, .chosen = router::choose(candidates_, random)};
}

}  // namespace ee::proxy
