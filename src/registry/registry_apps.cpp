// What admins and owners say of apps: who has a name, who may serve it, which release gets how much.

#include <algorithm>

#include <fmt/format.h>

#include "registry/registry.h"

namespace ee::registry {

// ---- Names ----

Result<AppMade> Registry::make_app(const AppOrder& order, WallTime now) {
    if (!networks_.contains(order.network))
        return fail("invalid_network", fmt::format("no network {} is configured", order.network));
    AppMade made;
    App* app = find_app(order.app_name);
    made.is_new = app == nullptr || !binds(*app, {order.app_name, order.repo, order.network}, now);
    if (made.is_new) {
        if (app != nullptr) made.lost = *forget(order.app_name, now);
        auto& slot = apps_[order.app_name];
        slot = std::make_unique<App>();
        app = slot.get();
    }
    AppRecord& record = app->record;
    const bool moves = !made.is_new && (record.repo != order.repo || record.network != order.network);
    if (moves) {
        made.lost = lose_tunnels(*app);
        note(*app, {now, "moved", "", "",
                    fmt::format("from {} on {} to {} on {}", record.repo, record.network, order.repo,
                                order.network)});
    }
    if (made.is_new || moves) {
        record = {.app_name = order.app_name,
                  .repo = order.repo,
                  .network = order.network,
                  .created_at = now,
                  .expires_at = now + settings_.registration_ttl,
                  .billing_account = record.billing_account,
                  .token = record.token,
                  .nodes = record.nodes};
    }
    if (made.is_new) {
        app->told_registration = RegistrationState::active;
        note(*app, {now, "registered", "", "", fmt::format("{} on {}", order.repo, order.network)});
    }
    record.made_by_admin = true;
    const bool pays_another = order.billing_account && *order.billing_account != record.billing_account;
    if (order.billing_account) record.billing_account = *order.billing_account;
    if (pays_another && !made.is_new)
        note(*app, {now, "billing_changed", "", "",
                    record.billing_account.empty() ? "nobody pays" : record.billing_account + " pays"});
    set_terms(*app);
    made.has_new_token = give_token(*app, order);
    if (made.has_new_token && !made.is_new) note(*app, {now, "token_changed", "", "", ""});
    made.record = record;
    return made;
}

bool Registry::give_token(App& app, const AppOrder& order) {
    if (app.record.token && !order.rotate_token) return false;
    if (app.record.token) app_of_token_.erase(*app.record.token);
    app.record.token = order.token;
    app_of_token_.emplace(order.token, app.record.app_name);
    return true;
}

void Registry::drop_token(std::string_view app_name, const ByteArray<32>& token) {
    App* app = find_app(app_name);
    if (app == nullptr || app->record.token != token) return;
    app->record.token.reset();
    app_of_token_.erase(token);
}

std::string_view Registry::app_of_token(const ByteArray<32>& token) const {
    const auto found = app_of_token_.find(token);
    return found == app_of_token_.end() ? std::string_view() : found->second;
}

std::vector<TunnelId> Registry::lose_tunnels(App& app) {
    std::vector<TunnelId> tunnels = tunnels_of(app.record.app_name);
    for (const TunnelId tunnel : tunnels) carried_.erase(tunnel);
    app.agent_of_id.clear();
    app.agents.clear();
    return tunnels;
}

std::optional<std::vector<TunnelId>> Registry::forget(std::string_view app_name, WallTime now) {
    const auto found = apps_.find(app_name);
    if (found == apps_.end()) return std::nullopt;
    App& app = *found->second;
    note(app, {now, "forgotten", "", "", fmt::format("{} on {}", app.record.repo, app.record.network)});
    std::vector<TunnelId> tunnels = lose_tunnels(app);
    if (app.record.token) app_of_token_.erase(*app.record.token);
    apps_.erase(found);
    return tunnels;
}

// ---- Room for names ----

constexpr std::size_t given_up_at_once_max = 1000;

// A name costs memory and a place on disk for as long as it is reserved, and whoever owns one TD and one
// repository could bind any number.
Result<void> Registry::check_room(const AdmitRequest& request, Moment now, Admitted& admitted) {
    if (find_app(request.claim.app_name) != nullptr) return {};
    if (now.mono - new_apps_since_ >= std::chrono::hours{1}) {
        new_apps_since_ = now.mono;
        new_apps_.clear();
    }
    const auto bound = new_apps_.find(request.client);
    if (bound != new_apps_.end() && bound->second >= settings_.new_apps_per_address_max)
        return fail("too_many_new_apps",
                    fmt::format("agents of {} have bound {} new names within an hour, and more may not be",
                                request.client.to_string(), bound->second));
    if (apps_.size() >= settings_.apps_max && now.mono >= free_names_sought_) {
        free_names_sought_ = now.mono + std::chrono::minutes{1};
        // Each is an event and a write: so many at once push no others out and keep nobody waiting.
        const std::size_t needed = apps_.size() - settings_.apps_max + 1;
        std::vector<std::string> free = free_names(needed - 1 + given_up_at_once_max, now.wall);
        // None is given up in vain: only who is admitted takes them out of the store.
        if (free.size() >= needed) {
            for (const std::string& name : free) forget(name, now.wall);
            admitted.forgotten = std::move(free);
        }
    }
    if (apps_.size() >= settings_.apps_max)
        return fail("too_many_apps",
                    fmt::format("{} names are bound: new ones only by POST /v1/apps", apps_.size()));
    ++new_apps_[request.client];
    return {};
}

std::vector<std::string> Registry::free_names(std::size_t count_max, WallTime now) const {
    std::vector<std::string> names;
    for (const auto& [name, app] : apps_) {
        if (names.size() == count_max) break;
        if (!app->record.made_by_admin && name_is_free(*app, now) && tunnels_of(name).empty())
            names.push_back(name);
    }
    return names;
}

// ---- Who may serve ----

Result<void> Registry::check_join(const App* app, std::string_view network, std::string_view node_id) const {
    const auto& nodes = app == nullptr ? std::optional<std::vector<std::string>>() : app->record.nodes;
    const auto terms = networks_.find(network);
    const Join join = terms == networks_.end() ? Join::open : terms->second.join;
    const std::string who = node_id.empty() ? "an agent that names no node" : fmt::format("node {}", node_id);
    if (nodes) {
        if (std::ranges::binary_search(*nodes, node_id, std::less<>{})) return {};
        return fail("join_not_allowed", fmt::format("{} is not on the list of {} nodes that may serve {}",
                                                    who, nodes->size(), app->record.app_name));
    }
    if (join == Join::listed)
        return fail(
            "join_not_allowed",
            fmt::format("network {} takes listed nodes only, and the app has no list: not {}", network, who));
    if (join == Join::node && node_id.empty())
        return fail("join_not_allowed",
                    fmt::format("network {} takes agents of registered nodes only, not {}", network, who));
    return {};
}

Result<void> Registry::may_stay(TunnelId tunnel) const {
    const auto [app, agent] = carried_by(tunnel);
    if (agent == nullptr) return {};
    return check_join(app, app->record.network, agent->node_id.value_or(""));
}

Result<void> Registry::check_without_allowlist(const Claim& claim, std::string_view release_tag,
                                               WallTime now) const {
    const App* app = find_app(claim.app_name);
    if (app != nullptr && app->record.made_by_admin && binds(*app, claim, now)) return {};
    return fail(
        "allowlist_missing",
        fmt::format("release {} of {} has no allowlist, neither in EE_ALLOWLIST_DIR nor published, and "
                    "{} was not made by POST /v1/apps",
                    release_tag, claim.repo, claim.app_name));
}

std::optional<AppRecord> Registry::set_nodes(std::string_view app_name,
                                             std::optional<std::vector<std::string>> nodes, WallTime now) {
    App* app = find_app(app_name);
    if (app == nullptr) return std::nullopt;
    if (nodes) {
        std::ranges::sort(*nodes);
        nodes->erase(std::unique(nodes->begin(), nodes->end()), nodes->end());
    }
    if (app->record.nodes != nodes)
        note(*app, {now, "nodes_changed", "", "",
                    nodes ? fmt::format("{} nodes may serve it", nodes->size()) : "as its network says"});
    app->record.nodes = std::move(nodes);
    return app->record;
}

// ---- Which release gets how much ----

std::optional<AppRecord> Registry::set_rollout(std::string_view app_name, std::vector<ReleaseWeight> rollout,
                                               WallTime now) {
    App* app = find_app(app_name);
    if (app == nullptr) return std::nullopt;
    if (app->record.rollout != rollout) {
        std::string words;
        for (const auto& [tag, weight] : rollout)
            words += fmt::format("{}{}: {}", words.empty() ? "" : ", ", tag, weight);
        note(*app, {now, "rollout_changed", "", "", words.empty() ? "none" : words});
    }
    app->record.rollout = std::move(rollout);
    for (const auto& agent : app->agents) apply_rollout(*app, *agent);
    return app->record;
}

void Registry::apply_rollout(const App& app, Agent& agent) {
    const auto& rollout = app.record.rollout;
    const auto share = std::ranges::find(rollout, agent.release_tag, &ReleaseWeight::release_tag);
    const bool is_named = share != rollout.end();
    agent.rollout_place = is_named ? static_cast<std::uint8_t>(share - rollout.begin()) : no_rollout_place;
    agent.left_out = !rollout.empty() && (!is_named || share->weight == 0);
}

std::span<const ReleaseWeight> Registry::rollout_of(std::string_view app_name) const {
    const App* app = find_app(app_name);
    return app == nullptr ? std::span<const ReleaseWeight>() : app->record.rollout;
}

std::vector<ReleaseShare> Registry::shares_of(const App& app, Moment now) const {
    std::map<std::string_view, ReleaseShare> shares;
    const NodeTime time = nodes_.at(now);
    for (const auto& [tag, weight] : app.record.rollout)
        shares[tag] = {.release_tag = tag, .weight = weight, .eligible_agents = 0};
    for (const auto& agent : app.agents) {
        if (agent->tunnel == no_tunnel) continue;
        ReleaseShare& share = shares[agent->release_tag];
        share.release_tag = agent->release_tag;
        if (!app.record.rollout.empty() && !share.weight) share.weight = 0;
        Agent alone = *agent;
        alone.left_out = false;
        if (!is_expired(app, now.wall) && standing_of(app, alone, now.mono, time).status == AppStatus::active)
            ++share.eligible_agents;
    }
    std::vector<ReleaseShare> out;
    for (auto& [tag, share] : shares) out.push_back(std::move(share));
    return out;
}

}  // namespace ee::registry
