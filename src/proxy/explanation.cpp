#include "proxy/explanation.h"

#include <algorithm>

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
    Explanation out{
        .candidates = candidates_, .random = {random_.unit(), random_.unit()}, .chosen = fail("offline")};
    leave_out_ejected(app, now.mono);
    for (const router::Candidate& candidate : out.candidates) {
        if (std::ranges::find(candidates_, candidate.tunnel, &router::Candidate::tunnel) != candidates_.end())
            continue;
        const registry::Agent* agent = registry_.agent_of(candidate.tunnel);
        const auto until = agent == nullptr ? std::nullopt : ejected_until(app, agent->agent_id);
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(until.value_or(now.mono) - now.mono);
        out.ejected.push_back({candidate.tunnel, now.wall + left});
    }
    if (const auto picked = keep_one_release(app)) {
        out.release = registry_.rollout_of(app)[picked->place].release_tag;
        out.release_random = picked->random;
    }
    const auto chosen = router::choose(candidates_, out.random);
    if (chosen)
        out.chosen = candidates_[*chosen].tunnel;
    else
        out.chosen = fail(chosen.error());
    return out;
}

}  // namespace ee::proxy
