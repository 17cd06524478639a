// GET /v1/route/{app}/explain: which agent the next request would go to, and why.

#include <algorithm>

#include <fmt/format.h>

#include "api/offer_json.h"
#include "api/routes.h"
#include "base/json_writer.h"
#include "proxy/forwarder.h"

namespace ee::api {
namespace {

using proxy::Explanation;

// In the registry's words, and one for a price that is missing.
std::string_view reason_of(const registry::AppDetail& app, const registry::AgentDetail& agent) {
    if (app.resolution.status == registry::AppStatus::expired) return to_word(app.resolution.status);
    if (agent.lack == registry::NodeLack::price) return "no_price";
    return to_word(agent.status);
}

void append_candidate(JsonWriter& json, const registry::AppDetail& app, const registry::AgentDetail& detail,
                      const Explanation& explanation) {
    const registry::Agent& agent = detail.agent;
    const auto& eligible = explanation.candidates;
    const auto found = std::find_if(eligible.begin(), eligible.end(),
                                    [&](const auto& candidate) { return candidate.tunnel == agent.tunnel; });
    const auto ejected = std::ranges::find(explanation.ejected, agent.tunnel, &Explanation::Ejected::tunnel);
    const bool is_ejected = ejected != explanation.ejected.end();
    const bool is_eligible = agent.tunnel != registry::no_tunnel && found != eligible.end();
    json.begin_object()
        .field("agent_id", agent.agent_id)
        .field("node_id", agent.node_id)
        .field("release_tag", agent.release_tag)
        .field("eligible", is_eligible)
        .field_or_null("reason", is_eligible ? "" : reason_of(app, detail));
    append_offer(json, detail.offer);
    append_trust_parts(json, agent.node != nullptr, detail.offer);
    json.field("open_streams", found != eligible.end() ? found->open_streams : 0)
        .field("stream_limit", found != eligible.end() ? found->stream_limit : 0)
        .field("ejected", is_ejected)
        .field_or_null("ejected_until", is_ejected ? to_rfc3339(ejected->until) : "")
        .end_object();
}

void append_choice(JsonWriter& json, const registry::AppDetail& app, const Explanation& explanation) {
    json.key("random")
        .begin_array()
        .raw(fmt::format("{:.17g}", explanation.random.first))
        .raw(fmt::format("{:.17g}", explanation.random.second))
        .end_array()
        .field_or_null("release", explanation.release)
        .key("release_random")
        .raw(explanation.release.empty() ? "null" : fmt::format("{:.17g}", explanation.release_random))
        .key("chosen");
    if (!explanation.chosen) {
        const bool is_overloaded = explanation.chosen.error().code == "overloaded";
        json.null().field("refusal", is_overloaded ? "overloaded" : to_word(app.resolution.status));
        return;
    }
    const auto agent = std::find_if(app.agents.begin(), app.agents.end(), [&](const auto& detail) {
        return detail.agent.tunnel == *explanation.chosen;
    });
    json.value(agent->agent.agent_id).key("refusal").null();
}

}  // namespace

void get_route_explanation(Request& request) {
    Services& services = request.services;
    const std::string& name = request.parameters[0];
    const Moment now = services.now();
    const auto app = services.registry.detail(name, now);
    if (!app) return request.refuse({"unknown_app", "no app is called " + name});
    const Explanation explanation = services.forwarder.explain(name, now);
    std::string body;
    JsonWriter json(body);
    json.begin_object()
        .field("app_name", name)
        .field("at", to_rfc3339_millis(now.wall))
        .field("status", to_word(app->resolution.status))
        .key("candidates")
        .begin_array();
    for (const registry::AgentDetail& agent : app->agents) append_candidate(json, *app, agent, explanation);
    json.end_array();
    append_choice(json, *app, explanation);
    json.end_object();
    request.reply_json(200, body);
}

}  // namespace ee::api
