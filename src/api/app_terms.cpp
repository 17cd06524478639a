// PUT /v1/apps/{app}/nodes, PUT /v1/apps/{app}/rollout: who may serve an app, and which release gets how
// much.

#include <algorithm>

#include <fmt/format.h>

#include "api/app_change.h"
#include "api/app_json.h"
#include "api/json_body.h"
#include "api/routes.h"
#include "base/names.h"
#include "router/rollout.h"
#include "tunnel/tunnels.h"

namespace ee::api {
namespace {

constexpr std::size_t nodes_max = 1024;

using Nodes = std::optional<std::vector<std::string>>;

Nodes nodes_in(JsonBody& body) {
    Nodes nodes = body.texts_or_null("nodes");
    if (!nodes) return nodes;
    if (nodes->size() > nodes_max)
        body.refuse("invalid_field:nodes",
                    fmt::format("{} nodes are listed; at most {} may be", nodes->size(), nodes_max));
    if (!std::ranges::all_of(*nodes, is_node_id))
        body.refuse("invalid_field:nodes",
                    "nodes must be ids of nodes: 1 to 128 of A-Z, a-z, 0-9, '.', '_', ':' and '-'");
    return nodes;
}

std::vector<registry::ReleaseWeight> rollout_in(JsonBody& body) {
    std::vector<registry::ReleaseWeight> out;
    bool any_above_0 = false;
    for (const auto& [tag, weight] : body.integers("weights")) {
        if (!is_release_tag(tag))
            body.refuse("invalid_field:weights", "weights names what is no release's tag");
        if (weight > router::rollout_weight_max)
            body.refuse("invalid_field:weights", fmt::format("the weight of {} is {}; at most {} is allowed",
                                                             tag, weight, router::rollout_weight_max));
        any_above_0 = any_above_0 || weight > 0;
        out.push_back({tag, static_cast<std::uint32_t>(weight)});
    }
    // So that which number picks which release does not hang on how it was written.
    std::ranges::sort(out, {}, &registry::ReleaseWeight::release_tag);
    if (out.size() > router::rollout_releases_max)
        body.refuse("invalid_field:weights", fmt::format("weights names {} releases; at most {} are allowed",
                                                         out.size(), router::rollout_releases_max));
    if (!out.empty() && !any_above_0)
        body.refuse("invalid_field:weights", "no weight is above 0; {} ends the rollout");
    return out;
}

// Out of routing before the next request.
std::size_t close_unwelcome(Services& services, std::string_view app) {
    std::size_t closed = 0;
    for (const registry::TunnelId id : services.registry.tunnels_of(app)) {
        const auto allowed = services.registry.may_stay(id);
        tunnel::Session* session = services.tunnels.find(id);
        if (allowed || session == nullptr) continue;
        session->refuse(allowed.error(), std::nullopt);
        ++closed;
    }
    return closed;
}

}  // namespace

void put_app_nodes(Request& request) {
    JsonBody body(request.exchange.body());
    const Nodes nodes = nodes_in(body);
    if (const auto refusal = body.refusal()) return request.refuse(*refusal);
    change_app(request, [nodes](Request& sound, const std::string& app) {
        Services& services = sound.services;
        auto record = services.registry.set_nodes(app, nodes, services.now().wall);
        if (!record) return sound.refuse(unknown_app(app));
        const std::size_t closed = close_unwelcome(services, app);
        std::string text;
        JsonWriter json(text);
        json.begin_object().field("app_name", app);
        append_record(json, *record);
        json.field("closed_tunnels", closed).end_object();
        answer_stored(sound, *std::move(record), {.body = std::move(text)});
    });
}

void put_app_rollout(Request& request) {
    JsonBody body(request.exchange.body());
    const auto rollout = rollout_in(body);
    if (const auto refusal = body.refusal()) return request.refuse(*refusal);
    change_app(request, [rollout](Request& sound, const std::string& app) {
        Services& services = sound.services;
        auto record = services.registry.set_rollout(app, rollout, services.now().wall);
        if (!record) return sound.refuse(unknown_app(app));
        std::string text;
        JsonWriter json(text);
        json.begin_object().field("app_name", app);
        append_shares(json, services.registry.detail(app, services.now())->releases);
        json.end_object();
        answer_stored(sound, *std::move(record), {.body = std::move(text)});
    });
}

}  // namespace ee::api
