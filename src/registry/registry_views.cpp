// The questions that the registry answers.

#include <algorithm>

#include "registry/registry.h"

namespace ee::registry {
namespace {

constexpr std::size_t page_max = 500;

// The most frequent of a sorted list, the last of equals; empty for none.
std::string_view most_frequent(std::span<const std::string_view> sorted) {
    std::string_view best;
    std::ptrdiff_t best_count = 0;
    for (auto it = sorted.begin(); it != sorted.end();) {
        const auto end = std::upper_bound(it, sorted.end(), *it);
        if (end - it >= best_count) {
            best = *it;
            best_count = end - it;
        }
        it = end;
    }
    return best;
}

// What the eligible agents of an app have in common.
struct Served {
    bool sealed = true;
    bool valid = false;  // At least one is judged, not just within its grace.
    std::optional<WallTime> oldest_attest;

    void add(const Agent& agent) {
        sealed = sealed && agent.verdict.sealed;
        valid = valid || agent.standing == Standing::valid;
        if (!oldest_attest || agent.verdict.answered_at.wall < *oldest_attest)
            oldest_attest = agent.verdict.answered_at.wall;
    }
};

}  // namespace

const Registry::App* Registry::find_app(std::string_view app_name) const {
    const auto found = apps_.find(app_name);
    return found == apps_.end() ? nullptr : found->second.get();
}

Registry::App* Registry::find_app(std::string_view app_name) {
    const auto found = apps_.find(app_name);
    return found == apps_.end() ? nullptr : found->second.get();
}

void Registry::set_terms(App& app) const {
    const auto found = networks_.find(app.record.network);
    const NetworkTerms terms = found == networks_.end() ? NetworkTerms{} : found->second;
    app.evidence_grace = terms.evidence_grace;
    app.node_rules = terms.nodes;
    ++app.version;
}

// A request finds the node of each agent as it was found last, unless node, payer, rules, verdict or time
// have moved on.
const NodeSight& Registry::sight_of(const App& app, const Agent& agent, const NodeTime& time) const {
    NodeSight& sight = agent.sight;
    const std::uint64_t node_version = agent.node_version != nullptr ? *agent.node_version : 1;
    if (sight.node_version == node_version && sight.app_version == app.version && sight.span.contains(time))
        return sight;
    sight.node_version = node_version;
    sight.app_version = app.version;
    sight.span = agent.node != nullptr ? agent.node->span_around(time) : NodeSpan{};
    sight.lack = lack_of(agent.node, app.node_rules, app.record.billing_account, app.record.app_name, time);
    sight.offer = look(agent, time);
    return sight;
}

Offer Registry::look(const Agent& agent, const NodeTime& time) const {
    Offer out;
    router::TrustEvidence evidence{.tcb_status = agent.verdict.tcb_status,
                                   .unbound = agent.verdict.binding == "none",
                                   .simulated = agent.verdict.simulated,
                                   .inconclusive = agent.standing == Standing::inconclusive};
    if (agent.node != nullptr) {
        out.price = agent.node->terms_at(time.ledger).price;
        out.record = agent.node->record_at(time.lived);
        evidence.node = &out.record;
    }
    out.trust = router::trust(evidence);
    return out;
}

Registry::AgentStanding Registry::standing_of(const App& app, const Agent& agent, MonoTime now,
                                              const NodeTime& time) const {
    AgentStanding out{.status = agent_status(agent, settings_.eligibility, app.evidence_grace, now)};
    const NodeLack lack = sight_of(app, agent, time).lack;
    const AppStatus status = registry::status_of(lack);
    if (distance_from_service(status) <= distance_from_service(out.status)) return out;
    return {.status = status, .lack = lack};
}

Offer Registry::offer_of(const Agent& agent, Moment now) const {
    const NodeTime time = nodes_.at(now);
    const NodeSight& sight = agent.sight;
    const std::uint64_t node_version = agent.node_version != nullptr ? *agent.node_version : 1;
    return sight.node_version == node_version && sight.span.contains(time) ? sight.offer : look(agent, time);
}

Registry::Carried Registry::carried_by(TunnelId tunnel) const {
    const auto found = carried_.find(tunnel);
    return found == carried_.end() ? Carried{} : found->second;
}

RegistrationState Registry::registration_state(const App& app, WallTime now) const {
    if (is_expired(app, now)) return RegistrationState::expired;
    return now >= app.record.expires_at - settings_.registration_warn ? RegistrationState::warning
                                                                      : RegistrationState::active;
}

AppStatus Registry::status_of(const App& app, Moment now) const {
    const RegistrationState registration = registration_state(app, now.wall);
    if (registration == RegistrationState::expired) return AppStatus::expired;
    const NodeTime time = nodes_.at(now);
    AppStatus nearest = AppStatus::offline;
    for (const auto& agent : app.agents) {
        const AppStatus status = standing_of(app, *agent, now.mono, time).status;
        if (distance_from_service(status) < distance_from_service(nearest)) nearest = status;
        if (nearest == AppStatus::active) break;
    }
    if (nearest == AppStatus::active && registration == RegistrationState::warning) return AppStatus::warning;
    return nearest;
}

std::optional<AppStatus> Registry::status(std::string_view app_name, Moment now) const {
    const App* app = find_app(app_name);
    if (app == nullptr) return std::nullopt;
    return status_of(*app, now);
}

std::optional<Resolution> Registry::resolve(std::string_view app_name, Moment now) const {
    const App* app = find_app(app_name);
    if (app == nullptr) return std::nullopt;
    return resolution_of(*app, now);
}

Resolution Registry::resolution_of(const App& app, Moment now) const {
    Resolution out;
    out.app_name = app.record.app_name;
    out.repo = app.record.repo;
    out.network = app.record.network;
    out.registration_state = registration_state(app, now.wall);
    out.registration_expires_at = app.record.expires_at;

    const NodeTime time = nodes_.at(now);
    Served served;
    std::vector<std::string_view> releases;
    releases.reserve(app.agents.size());
    app.prefetch();
    const Agent* nearest = nullptr;
    AppStatus nearest_status = AppStatus::offline;
    for (const auto& agent : app.agents) {
        const AppStatus status = standing_of(app, *agent, now.mono, time).status;
        if (nearest == nullptr || distance_from_service(status) < distance_from_service(nearest_status)) {
            nearest = agent.get();
            nearest_status = status;
        }
        if (status == AppStatus::active) served.add(*agent);
        if (agent->tunnel == no_tunnel) continue;
        ++out.agents;
        releases.push_back(agent->release_tag);
    }
    out.status = nearest_status;
    if (out.registration_state == RegistrationState::expired)
        out.status = AppStatus::expired;
    else if (out.registration_state == RegistrationState::warning && nearest_status == AppStatus::active)
        out.status = AppStatus::warning;
    out.allowed = is_routable(out.status);
    out.ws_connected = out.agents > 0;

    std::sort(releases.begin(), releases.end());
    out.release_tag = releases.empty() ? app.record.release_tag : std::string(most_frequent(releases));
    releases.erase(std::unique(releases.begin(), releases.end()), releases.end());
    out.releases.assign(releases.begin(), releases.end());

    out.sealed = served.oldest_attest && served.sealed;
    out.last_attest = served.oldest_attest ? served.oldest_attest : app.record.last_attest;
    if (nearest != nullptr) {
        out.attestation_status =
            served.valid ? AttestationStatus::valid
                         : attestation_status(*nearest, settings_.eligibility, app.evidence_grace, now.mono);
        out.health_status = health_status(*nearest, settings_.eligibility, now.mono);
    }
    return out;
}

const Agent* Registry::agent_of(TunnelId tunnel) const {
    return carried_by(tunnel).agent;
}

AgentTraffic* Registry::traffic_of(TunnelId tunnel) {
    Agent* const agent = carried_by(tunnel).agent;
    return agent == nullptr ? nullptr : &agent->traffic;
}

std::vector<TunnelId> Registry::tunnels_of(std::string_view app_name) const {
    std::vector<TunnelId> out;
    if (const App* app = find_app(app_name))
        for (const auto& agent : app->agents)
            if (agent->tunnel != no_tunnel) out.push_back(agent->tunnel);
    return out;
}

TunnelId Registry::tunnel_of(std::string_view app_name, std::string_view agent_id) const {
    const App* app = find_app(app_name);
    const Agent* agent = app == nullptr ? nullptr : app->find_agent(agent_id);
    return agent == nullptr ? no_tunnel : agent->tunnel;
}

AppPage Registry::list(const ListQuery& query, Moment now) const {
    std::vector<const App*> apps;
    for (const auto& [name, app] : apps_) {
        if (name <= query.after) continue;
        if (query.network && app->record.network != *query.network) continue;
        if (query.repo && app->record.repo != *query.repo) continue;
        if (query.status && status_of(*app, now) != *query.status) continue;
        apps.push_back(app.get());
    }
    const std::size_t limit = std::clamp<std::size_t>(query.limit, 1, page_max);
    const std::size_t count = std::min(limit, apps.size());
    std::partial_sort(apps.begin(), apps.begin() + static_cast<std::ptrdiff_t>(count), apps.end(),
                      [](const App* a, const App* b) { return a->record.app_name < b->record.app_name; });
    AppPage page;
    for (std::size_t i = 0; i < count; ++i) page.items.push_back(resolution_of(*apps[i], now));
    if (apps.size() > count) page.next = page.items.back().app_name;
    return page;
}

std::optional<AppDetail> Registry::detail(std::string_view app_name, Moment now) const {
    const App* app = find_app(app_name);
    if (app == nullptr) return std::nullopt;
    AppDetail out{
        .resolution = resolution_of(*app, now), .record = app->record, .releases = shares_of(*app, now)};
    const NodeTime time = nodes_.at(now);
    for (const auto& agent : app->agents) {
        const AgentStanding standing = standing_of(*app, *agent, now.mono, time);
        out.agents.push_back({.agent = *agent,
                              .status = standing.status,
                              .lack = standing.lack,
                              .offer = offer_of(*agent, now),
                              .attestation_status = attestation_status(*agent, settings_.eligibility,
                                                                       app->evidence_grace, now.mono),
                              .health_status = health_status(*agent, settings_.eligibility, now.mono)});
    }
    out.events.assign(app->events.begin(), app->events.end());
    std::copy_if(refusals_.begin(), refusals_.end(), std::back_inserter(out.refusals),
                 [&](const Refusal& refusal) { return refusal.app_name == app_name; });
    return out;
}

Counts Registry::counts() const {
    return {.apps = apps_.size(), .agents = carried_.size()};
}

}  // namespace ee::registry
