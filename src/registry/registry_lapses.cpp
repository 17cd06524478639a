// What changes who may serve without a call to the registry, such as time: it is looked for so that it is
// told.

#include <algorithm>
#include <utility>

#include "registry/registry.h"

namespace ee::registry {

void Registry::note_lapses(Moment now, std::size_t steps) {
    steps = std::min(steps, apps_.bucket_count());
    for (; steps > 0; --steps) {
        for (auto at = apps_.begin(lapses_at_); at != apps_.end(lapses_at_); ++at) {
            note_lapses(*at->second, now);
            count(*at->second, now);
        }
        if (++lapses_at_ < apps_.bucket_count()) continue;
        lapses_at_ = 0;
        counted_ = std::exchange(counting_, {});
    }
}

void Registry::count(const App& app, Moment now) {
    const NodeTime time = nodes_.at(now);
    ++counting_.apps[static_cast<std::size_t>(status_of(app, now))];
    for (const auto& agent : app.agents)
        if (agent->tunnel != no_tunnel)
            ++counting_.agents[static_cast<std::size_t>(standing_of(app, *agent, now.mono, time).status)];
}

void Registry::note_lapses(App& app, Moment now) const {
    const RegistrationState state = registration_state(app, now.wall);
    if (app.told_registration && state > *app.told_registration)
        note(app,
             {now.wall, state == RegistrationState::expired ? "registration_expired" : "registration_warning",
              "", "", "it ends at " + to_rfc3339(app.record.expires_at)});
    if (app.told_registration && state == RegistrationState::active && state < *app.told_registration)
        note(app,
             {now.wall, "registration_renewed", "", "", "it ends at " + to_rfc3339(app.record.expires_at)});
    app.told_registration = state;
    const NodeTime time = nodes_.at(now);
    const EligibilityRules& rules = settings_.eligibility;
    for (const auto& agent : app.agents) {
        if (agent->tunnel == no_tunnel) continue;
        const bool is_silent = health_status(*agent, rules, now.mono) == HealthStatus::unknown;
        if (is_silent && !agent->told_silent) {
            agent->health_news.forget();
            note(app, {now.wall, "health_silent", agent->agent_id, "", ""});
        }
        agent->told_silent = is_silent;
        // What was refused was told when it was.
        const bool has_lapsed = agent->standing != Standing::invalid &&
                                !attestation_counts(*agent, rules, app.evidence_grace, now.mono);
        if (has_lapsed && !agent->told_lapsed)
            note(app, {now.wall, "evidence_lapsed", agent->agent_id, agent->standing_reason, ""});
        agent->told_lapsed = has_lapsed;
        note_lack(app, *agent, now, time);
    }
}

void Registry::note_lack(App& app, Agent& agent, Moment now, const NodeTime& time) const {
    const NodeLack lack = sight_of(app, agent, time).lack;
    if (!agent.lack_news.tells(lack, now.mono)) return;
    note(app, {now.wall, lack == NodeLack::nothing ? "fit" : "unfit", agent.agent_id,
               std::string(to_word(lack)), ""});
}

}  // namespace ee::registry
