// GET /health, /healthz, /readyz.

#include "api/ledger_request.h"
#include "api/routes.h"
#include "base/json_writer.h"
#include "base/time.h"
#include "http/target.h"
#include "tunnel/tunnels.h"

namespace ee::api {
namespace {

void write_collateral(JsonWriter& json, const ReadinessDetail::Collateral& collateral, WallTime now) {
    const bool is_valid = collateral.next_update && now <= *collateral.next_update;
    json.begin_object()
        .field("root", collateral.is_intels ? "intel" : "own")
        .field("fmspc", collateral.fmspc)
        .field("ca", collateral.ca)
        .field("status", is_valid                 ? "ok"
                         : collateral.next_update ? "expired"
                         : collateral.failure     ? "unavailable"
                                                  : "pending");
    json.field_or_null("next_update", collateral.next_update ? to_rfc3339(*collateral.next_update) : "")
        .field_or_null("failure",
                       collateral.failure ? collateral.failure->code + ": " + collateral.failure->detail : "")
        .end_object();
}

void write_detail(JsonWriter& json, const ReadinessDetail& detail, WallTime now) {
    json.key("collateral").begin_array();
    for (const auto& collateral : detail.collateral) write_collateral(json, collateral, now);
    json.end_array().key("dangerous_settings").begin_array();
    for (const std::string& sentence : detail.dangerous_settings) json.value(sentence);
    json.end_array();
}

}  // namespace

void get_health(Request& request) {
    const Services& services = request.services;
    const registry::Counts counts = services.registry.counts();
    const auto uptime = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() -
                                                                         services.started_at);
    std::string body;
    JsonWriter json(body);
    json.begin_object().field("status", "ok").field("version", EE_VERSION).field("uptime_s", uptime.count());
    json.key("networks").begin_array();
    for (const std::string& network : services.networks) json.value(network);
    json.end_array();
    json.field("apps", counts.apps).field("agents", counts.agents).field("tunnels", services.tunnels.size());
    json.end_object();
    request.reply_json(200, body);
}

// The process lives and its loop turns.
void get_healthz(Request& request) {
    request.reply_json(200, R"({"status":"ok"})");
}

void get_readyz(Request& request) {
    const Readiness readiness = request.services.readiness();
    const auto verbose = http::query_parameter(request.query, "verbose");
    if (!verbose) return request.refuse(verbose.error());
    if (verbose->value_or("") != "")
        return request.refuse({"invalid_parameter:verbose", "verbose has no value"});
    std::string body;
    JsonWriter json(body);
    json.begin_object().field("status", readiness.ready()    ? "ok"
                                        : readiness.draining ? "draining"
                                                             : "store_unavailable");
    if (*verbose) {
        const auto allowed = request.services.access.check(
            Role::admin, request.exchange.head(), request.visitor.client, request.services.loop.now());
        if (!allowed) return refuse_caller(request, allowed.error());
        json.field("store", readiness.store_ok ? "ok" : "failed").field("draining", readiness.draining);
        const LedgerDoor::State ledger = request.services.ledger.state();
        json.field("ledger", ledger.word)
            .field_or_null("ledger_detail", ledger.code.empty() ? "" : ledger.code + ": " + ledger.detail);
        write_detail(json, request.services.readiness_detail(), wall_now());
    }
    json.end_object();
    request.reply_json(readiness.ready() ? 200 : 503, body);
}

}  // namespace ee::api
