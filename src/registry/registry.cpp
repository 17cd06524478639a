#include "registry/registry.h"

#include <algorithm>

#include <fmt/format.h>

namespace ee::registry {
namespace {

// Whether a new tunnel may take the place of one that lives: it has proven the same key, or the same node's
// token.
bool is_of_same(const Agent& holder, const AdmitRequest& request) {
    const Bytes &before = holder.verdict.agent_key, &now = request.verdict.agent_key;
    return (!now.empty() && now == before) || (request.node_id && request.node_id == holder.node_id);
}

}  // namespace

Registry::Registry(const RegistrySettings& settings, NetworkTable networks)
    : settings_(settings), networks_(std::move(networks)), nodes_(settings.cell) {}
Registry::~Registry() = default;

void Registry::load(std::span<const AppRecord> records) {
    for (const AppRecord& record : records) {
        auto& app = apps_[record.app_name];
        if (!app) app = std::make_unique<App>();
        app->record = record;
        set_terms(*app);
        if (record.token) app_of_token_.emplace(*record.token, record.app_name);
    }
}

void Registry::load_events(std::span<const events::Event> events) {
    for (const events::Event& event : events) {
        if (App* app = find_app(event.app_name))
            show(*app, {event.at, event.kind, event.agent_id, event.code, event.detail, event.seq});
    }
}

void Registry::set_networks(NetworkTable networks) {
    networks_ = std::move(networks);
    for (auto& [name, app] : apps_) set_terms(*app);
}

// ---- Claims ----

Result<NetworkTerms> Registry::check_claim(const Claim& claim, WallTime now) const {
    const auto network = networks_.find(claim.network);
    if (network == networks_.end())
        return fail("invalid_network", fmt::format("no network {} is configured", claim.network));
    const App* app = find_app(claim.app_name);
    if (app != nullptr && !binds(*app, claim, now)) app = nullptr;
    if (app != nullptr && app->record.repo != claim.repo)
        return fail("app_bound_to_other_repo",
                    fmt::format("{} belongs to {}, not to {}", claim.app_name, app->record.repo, claim.repo));
    if (app != nullptr && app->record.network != claim.network)
        return fail("app_bound_to_other_network", fmt::format("{} is on {}, not on {}", claim.app_name,
                                                              app->record.network, claim.network));
    if (auto allowed = check_join(app, claim.network, claim.node_id); !allowed)
        return fail(std::move(allowed.error()));
    return network->second;
}

// Whether what is known of the app counts for the claim: a free name is nobody's but by the same claim.
bool Registry::binds(const App& app, const Claim& claim, WallTime now) const {
    return !name_is_free(app, now) || (app.record.repo == claim.repo && app.record.network == claim.network);
}

bool Registry::name_is_free(const App& app, WallTime now) const {
    return now >= app.record.expires_at + settings_.name_reserve;
}

AdmitOutcome Registry::admit(const AdmitRequest& request, Moment now) {
    Claim claim = request.claim;
    claim.node_id = request.node_id ? std::string_view(*request.node_id) : std::string_view();
    if (auto terms = check_claim(claim, now.wall); !terms) return std::move(terms.error());
    if (!request.has_allowlist)
        if (auto made = check_without_allowlist(claim, request.release_tag, now.wall); !made)
            return std::move(made.error());
    if (const TunnelId holder = tunnel_of(request.claim.app_name, request.agent_id);
        holder != no_tunnel && holder != request.tunnel && !is_of_same(*agent_of(holder), request)) {
        if (!request.probe || request.probe->tunnel != holder) return NeedsProbe{holder};
        if (request.probe->answered)
            return Error{"agent_id_taken", fmt::format("another tunnel serves {} as {}, and answers",
                                                       request.claim.app_name, request.agent_id)};
    }
    Admitted admitted;
    if (auto room = check_room(request, now, admitted); !room) return std::move(room.error());
    App& app = bind(request.claim, now.wall, admitted);
    Agent& agent = place(app, request, now, admitted);
    renew(app, agent.verdict, agent.release_tag, now.wall);
    if (admitted.newly_bound) {
        app.record.expires_at = now.wall + settings_.registration_ttl;
        note(app, {now.wall, "registered", agent.agent_id, "",
                   fmt::format("{} on {}", app.record.repo, app.record.network)});
    }
    note(app, {now.wall, "attested", agent.agent_id, agent.verdict.tcb_status, agent.release_tag});
    admitted.generation = agent.generation;
    admitted.registration_expiring = registration_state(app, now.wall) == RegistrationState::warning;
    admitted.record = app.record;
    return admitted;
}

Registry::App& Registry::bind(const Claim& claim, WallTime now, Admitted& admitted) {
    App* app = find_app(claim.app_name);
    if (app != nullptr && app->record.repo == claim.repo && app->record.network == claim.network) return *app;
    admitted.newly_bound = true;
    if (app != nullptr) {
        // The reservation has ended; whoever still serves under it has lost the name.
        note(*app,
             {now, "forgotten", "", "",
              fmt::format("{} on {}: its reservation has ended", app->record.repo, app->record.network)});
        admitted.superseded = lose_tunnels(*app);
        if (app->record.token) app_of_token_.erase(*app->record.token);
    }
    auto fresh = std::make_unique<App>();
    fresh->record = {.app_name = std::string(claim.app_name),
                     .repo = std::string(claim.repo),
                     .network = std::string(claim.network),
                     .created_at = now};
    fresh->told_registration = RegistrationState::active;
    set_terms(*fresh);
    auto& slot = apps_[fresh->record.app_name];
    slot = std::move(fresh);
    return *slot;
}

Agent* Registry::App::find_agent(std::string_view agent_id) const {
    const auto found = agent_of_id.find(agent_id);
    return found == agent_of_id.end() ? nullptr : found->second;
}

Agent& Registry::App::add(std::unique_ptr<Agent> agent) {
    agent_of_id.emplace(agent->agent_id, agent.get());
    return *agents.emplace_back(std::move(agent));
}

void Registry::App::remove(const Agent& agent) {
    agent_of_id.erase(agent.agent_id);
    std::erase_if(agents, [&](const auto& other) { return other.get() == &agent; });
}

Agent& Registry::place(App& app, const AdmitRequest& request, Moment now, Admitted& admitted) {
    News<bool> ejection_news{false};
    if (const Agent* before = app.find_agent(request.agent_id)) {
        // What routing remembers of failures is of the agent, not of its tunnel.
        ejection_news = before->ejection_news;
        if (const TunnelId holder = before->tunnel; holder != no_tunnel) {
            carried_.erase(holder);
            if (holder != request.tunnel) {
                admitted.superseded.push_back(holder);
                note(app, {now.wall, "superseded", request.agent_id, "",
                           "a newer tunnel of the same agent has attested"});
            }
        }
        app.remove(*before);
    }
    auto agent = std::make_unique<Agent>();
    agent->agent_id = request.agent_id;
    agent->ejection_news = ejection_news;
    agent->node_id = request.node_id;
    if (request.node_id) {
        agent->node = &nodes_.of(*request.node_id);
        agent->node_version = agent->node->version();
    }
    agent->release_tag = request.release_tag;
    agent->peer_address = request.peer_address;
    agent->tunnel_version = request.tunnel_version;
    agent->generation = ++app.generations;
    agent->tunnel = request.tunnel;
    agent->connected_at = now.wall;
    agent->verdict = request.verdict;
    // A successful attestation is the first pass.
    agent->health_at = now;
    apply_rollout(app, *agent);
    carried_[request.tunnel] = {&app, agent.get()};
    return app.add(std::move(agent));
}

void Registry::renew(App& app, const AttestedVerdict& verdict, std::string_view release_tag, WallTime now) {
    app.record.release_tag = release_tag;
    app.record.last_attest = verdict.answered_at.wall;
    app.record.sealed = verdict.sealed;
    if (verdict.renews_registration) app.record.expires_at = now + settings_.registration_ttl;
}

// ---- What happens to an admitted agent ----

Renewed Registry::attested(TunnelId tunnel, AttestedVerdict verdict, Moment now) {
    const auto [app, agent] = carried_by(tunnel);
    if (agent == nullptr) return {};
    agent->verdict = std::move(verdict);
    agent->standing = Standing::valid;
    agent->standing_reason.clear();
    agent->sight = {};
    // It shows that the agent lives, not that its backend does.
    agent->health_at = now;
    renew(*app, agent->verdict, agent->release_tag, now.wall);
    note(*app, {now.wall, "attested", agent->agent_id, agent->verdict.tcb_status, agent->release_tag});
    return {.registration_expiring = registration_state(*app, now.wall) == RegistrationState::warning,
            .record = app->record};
}

Renewed Registry::confirmed(TunnelId tunnel, WallTime now) {
    const auto [app, agent] = carried_by(tunnel);
    if (agent == nullptr || agent->standing != Standing::valid) return {};
    agent->verdict.renews_registration = true;
    app->record.expires_at = now + settings_.registration_ttl;
    return {.registration_expiring = false, .record = app->record};
}

void Registry::allowlist_changed(std::string_view repo, std::string_view release_tag, std::string_view detail,
                                 WallTime now) {
    note_release(repo, release_tag, "allowlist_changed", detail, now);
}

void Registry::allowlist_accepted(std::string_view repo, std::string_view release_tag,
                                  std::string_view detail, WallTime now) {
    note_release(repo, release_tag, "allowlist_accepted", detail, now);
}

void Registry::note_release(std::string_view repo, std::string_view release_tag, std::string_view kind,
                            std::string_view detail, WallTime now) {
    for (const auto& [name, app] : apps_) {
        if (app->record.repo != repo) continue;
        const bool serves = app->record.release_tag == release_tag ||
                            std::any_of(app->agents.begin(), app->agents.end(), [&](const auto& agent) {
                                return agent->tunnel != no_tunnel && agent->release_tag == release_tag;
                            });
        if (serves) note(*app, {now, std::string(kind), "", std::string(release_tag), std::string(detail)});
    }
}

void Registry::inconclusive(TunnelId tunnel, const Error& reason, Moment now) {
    const auto [app, agent] = carried_by(tunnel);
    if (agent == nullptr) return;
    const bool is_news = agent->standing != Standing::inconclusive || agent->standing_reason != reason.code;
    agent->standing = Standing::inconclusive;
    agent->sight = {};
    agent->standing_reason = reason.code;
    if (is_news) note(*app, {now.wall, "inconclusive", agent->agent_id, reason.code, reason.detail});
}

void Registry::attest_missed(TunnelId tunnel, const Error& reason, Moment now) {
    const auto [app, agent] = carried_by(tunnel);
    if (agent == nullptr) return;
    agent->standing = Standing::invalid;
    agent->sight = {};
    agent->standing_reason = reason.code;
    note(*app, {now.wall, "attest_miss", agent->agent_id, reason.code, reason.detail});
}

void Registry::health(TunnelId tunnel, bool pass, std::string_view detail, Moment now) {
    const auto [app, agent] = carried_by(tunnel);
    if (agent == nullptr) return;
    if (agent->health_news.tells(pass, now.mono))
        note(*app,
             {now.wall, pass ? "backend_pass" : "backend_fail", agent->agent_id, "", std::string(detail)});
    agent->backend_passes = pass;
    agent->health_detail = detail;
    agent->health_at = now;
}

void Registry::ejected(std::string_view app_name, std::string_view agent_id, std::string_view code,
                       std::chrono::milliseconds out_for, Moment now) {
    App* app = find_app(app_name);
    Agent* agent = app == nullptr ? nullptr : app->find_agent(agent_id);
    if (agent == nullptr || !agent->ejection_news.tells(true, now.mono)) return;
    note(*app, {now.wall, "ejected", agent->agent_id, std::string(code),
                "until " + to_rfc3339(now.wall + out_for) + ", then it is tried again"});
}

void Registry::readmitted(std::string_view app_name, std::string_view agent_id, Moment now) {
    App* app = find_app(app_name);
    Agent* agent = app == nullptr ? nullptr : app->find_agent(agent_id);
    if (agent == nullptr || !agent->ejection_news.tells(false, now.mono)) return;
    note(*app, {now.wall, "readmitted", agent->agent_id, "", ""});
}

void Registry::drain(TunnelId tunnel, std::string_view reason, WallTime now) {
    const auto [app, agent] = carried_by(tunnel);
    if (agent == nullptr || agent->draining) return;
    agent->draining = true;
    note(*app, {now, "draining", agent->agent_id, std::string(reason), ""});
}

void Registry::disconnected(TunnelId tunnel, std::string_view reason, WallTime now) {
    const auto [app, agent] = carried_by(tunnel);
    if (agent == nullptr) return;
    carried_.erase(tunnel);
    agent->tunnel = no_tunnel;
    agent->disconnected_at = now;
    agent->disconnect_reason = reason;
    agent->traffic.open_streams = 0;
    note(*app, {now, "disconnected", agent->agent_id, std::string(reason), ""});
    forget_oldest_disconnected(*app);
}

void Registry::forget_oldest_disconnected(App& app) const {
    auto oldest = app.agents.end();
    std::size_t count = 0;
    for (auto it = app.agents.begin(); it != app.agents.end(); ++it) {
        if ((*it)->tunnel != no_tunnel) continue;
        ++count;
        if (oldest == app.agents.end() || (*it)->disconnected_at < (*oldest)->disconnected_at) oldest = it;
    }
    if (count > settings_.disconnected_max) app.remove(**oldest);
}

// One of each kind from each tunnel, and none that nobody could ask for: else a stranger's messages would
// push out what operators look for.
void Registry::record_refusal(Refusal refusal) {
    if (refusal.app_name.empty()) return;
    std::erase_if(refusals_, [&](const Refusal& other) {
        return other.peer_address == refusal.peer_address && other.code == refusal.code;
    });
    refusals_.push_front(std::move(refusal));
    if (refusals_.size() > settings_.refusals_max) refusals_.pop_back();
}

void Registry::note(App& app, Event event) const {
    if (sink_ != nullptr) {
        const Agent* agent = app.find_agent(event.agent_id);
        event.seq = sink_->add({.at = event.at,
                                .kind = event.kind,
                                .app_name = app.record.app_name,
                                .agent_id = event.agent_id,
                                .node_id = agent == nullptr ? "" : agent->node_id.value_or(""),
                                .code = event.code,
                                .detail = event.detail});
    }
    show(app, std::move(event));
}

void Registry::show(App& app, Event event) const {
    app.events.push_front(std::move(event));
    if (app.events.size() > settings_.events_max) app.events.pop_back();
}

}  // namespace ee::registry
