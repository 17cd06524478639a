// GET /v1/apps, GET /v1/apps/{app}: what an operator sees of the apps and their agents.

#include <charconv>

#include "api/app_json.h"
#include "api/offer_json.h"
#include "api/routes.h"
#include "attestation/remedy.h"
#include "base/base64.h"
#include "base/json_writer.h"
#include "http/target.h"
#include "proxy/forwarder.h"
#include "registry/resolution_json.h"
#include "tunnel/tunnels.h"

namespace ee::api {
namespace {

constexpr std::size_t limit_default = 50;
constexpr std::size_t limit_max = 500;

Result<registry::AppStatus> parse_status(std::string_view text) {
    for (int i = 0; i <= static_cast<int>(registry::AppStatus::unfunded); ++i)
        if (to_word(static_cast<registry::AppStatus>(i)) == text) return static_cast<registry::AppStatus>(i);
    return fail("invalid_parameter:status", "no status is called " + std::string(text));
}

Result<registry::ListQuery> parse_query(std::string_view query) {
    registry::ListQuery out;
    out.limit = limit_default;
    const auto network = http::query_parameter(query, "network"),
               status = http::query_parameter(query, "status");
    const auto repo = http::query_parameter(query, "repo"), cursor = http::query_parameter(query, "cursor");
    const auto limit = http::query_parameter(query, "limit");
    for (const auto* parameter : {&network, &status, &repo, &cursor, &limit})
        if (!*parameter) return fail(parameter->error());
    out.network = *network;
    out.repo = *repo;
    if (*status) {
        const auto parsed = parse_status(**status);
        if (!parsed) return fail(parsed.error());
        out.status = *parsed;
    }
    if (*cursor && !append_from_base64(out.after, **cursor))
        return fail("invalid_cursor", "the cursor is not one of ours");
    if (*limit) {
        const std::string& text = **limit;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out.limit);
        if (error != std::errc{} || end != text.data() + text.size() || out.limit < 1 ||
            out.limit > limit_max)
            return fail("invalid_parameter:limit", "limit must be 1 to " + std::to_string(limit_max));
    }
    return out;
}

void append_agent(JsonWriter& json, const registry::AgentDetail& detail) {
    const registry::Agent& agent = detail.agent;
    json.begin_object().field("agent_id", agent.agent_id);
    json.field("node_id", agent.node_id);
    json.field("status", to_word(detail.status))
        .field("attestation_status", to_word(detail.attestation_status))
        .field("health_status", to_word(detail.health_status))
        .field("release_tag", agent.release_tag)
        .field("peer_address", agent.peer_address)
        .field("tunnel_version", agent.tunnel_version)
        .field("connected", agent.tunnel != registry::no_tunnel)
        .field("connected_at", to_rfc3339(agent.connected_at));
    json.field_or_null("disconnected_at", agent.disconnected_at ? to_rfc3339(*agent.disconnected_at) : "");
    json.field_or_null("disconnect_reason", agent.disconnect_reason);
    json.field_or_null("reason", agent.standing_reason);
    json.field("last_attest", to_rfc3339(agent.verdict.judged_at.wall))
        .field("binding", agent.verdict.binding)
        .field("unbound", agent.verdict.binding == "none")
        .field("sealed", agent.verdict.sealed)
        .field("tcb_status", agent.verdict.tcb_status)
        .key("advisory_ids")
        .begin_array();
    for (const std::string& advisory : agent.verdict.advisory_ids) json.value(advisory);
    json.end_array();
    append_offer(json, detail.offer);
    json.field_or_null("health_detail", agent.health_detail);
    json.key("rtt_us");
    if (agent.traffic.rtt)
        json.value(agent.traffic.rtt->count());
    else
        json.null();
    json.field("open_streams", agent.traffic.open_streams)
        .field("stream_limit", agent.traffic.stream_limit)
        .field("requests", agent.traffic.requests)
        .field("bytes_in", agent.traffic.bytes_in)
        .field("bytes_out", agent.traffic.bytes_out)
        .field("held_bytes", agent.traffic.held_bytes)
        .end_object();
}

// The counters live in the sessions; the registry shows them.
void refresh_traffic(Services& services, std::string_view app) {
    for (const registry::TunnelId id : services.registry.tunnels_of(app)) {
        const tunnel::Session* session = services.tunnels.find(id);
        registry::AgentTraffic* traffic = services.registry.traffic_of(id);
        if (session == nullptr || traffic == nullptr) continue;
        traffic->open_streams = session->open_streams();
        traffic->stream_limit = session->stream_limit();
        traffic->requests = session->requests();
        traffic->bytes_in = session->bytes_in();
        traffic->bytes_out = session->bytes_out();
        traffic->held_bytes = session->held_bytes();
        traffic->rtt = session->rtt();
    }
}

}  // namespace

void get_apps(Request& request) {
    const auto query = parse_query(request.query);
    if (!query) return request.refuse(query.error());
    const Services& services = request.services;
    const registry::AppPage page = services.registry.list(*query, services.now());
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("items").begin_array();
    for (const registry::Resolution& item : page.items) {
        json.begin_object();
        append_resolution(json, item, services.forwarder.settings().names);
        json.end_object();
    }
    json.end_array().key("next_cursor");
    if (page.next)
        json.value(to_base64(as_bytes(*page.next)));
    else
        json.null();
    json.end_object();
    request.reply_json(200, body);
}

void get_app(Request& request) {
    Services& services = request.services;
    const std::string& app = request.parameters[0];
    refresh_traffic(services, app);
    const auto detail = services.registry.detail(app, services.now());
    if (!detail) return request.refuse({"unknown_app", "no app is called " + app});
    std::string body;
    JsonWriter json(body);
    json.begin_object();
    append_resolution(json, detail->resolution, services.forwarder.settings().names);
    append_record(json, detail->record);
    append_shares(json, detail->releases);
    json.key("agents_detail").begin_array();
    for (const registry::AgentDetail& agent : detail->agents) append_agent(json, agent);
    json.end_array().key("events").begin_array();
    for (const registry::Event& event : detail->events) {
        json.begin_object()
            .field("seq", event.seq)
            .field("at", to_rfc3339(event.at))
            .field("kind", event.kind)
            .field("agent_id", event.agent_id);
        json.field("code", event.code).field("detail", event.detail).end_object();
    }
    json.end_array().key("refusals").begin_array();
    for (const registry::Refusal& refusal : detail->refusals) {
        json.begin_object().field("at", to_rfc3339(refusal.at)).field("agent_id", refusal.agent_id);
        json.field("peer_address", refusal.peer_address)
            .field("code", refusal.code)
            .field("detail", refusal.detail);
        json.field_or_null("remedy", std::string(attestation::remedy_of(refusal.code))).end_object();
    }
    json.end_array().end_object();
    request.reply_json(200, body);
}

}  // namespace ee::api
