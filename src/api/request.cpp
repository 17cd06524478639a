#include "api/request.h"

#include "http/fields.h"
#include "http/problem.h"
#include "ledger/refusals.h"
#include "telemetry/metrics.h"

namespace ee::api {
namespace {

struct StatusRow {
    std::string_view code;  // Up to a ':'.
    int status;
};

constexpr StatusRow rows[] = {
    {"invalid_json", 400},
    {"invalid_cursor", 400},
    {"invalid_parameter", 400},
    {"log_range", 400},
    {"unauthorized", 401},
    {"role_not_configured", 403},
    {"forbidden", 403},
    {"not_found", 404},
    {"unknown_app", 404},
    {"unknown_agent", 404},
    {"unknown_evidence", 404},
    {"unknown_collateral", 404},
    {"method_not_allowed", 405},
    {"overloaded", 503},
    {"store_unavailable", 503},
    {"body_too_large", 413},
    {"unknown_field", 422},
    {"invalid_field", 422},
    {"missing_fields", 422},
    {"invalid_network", 422},
    {"too_many_wrong_tokens", 429},
    {"idempotency_in_flight", 409},
    {"allowlist_differs", 409},
    {"allowlist_not_seen", 409},
    {"allowlist_invalid", 409},
    {"not_ready", 503},
    {"too_many_tunnels", 503},
    {"bad_request", 400},
    {"upgrade_required", 426},
    {"unsupported_websocket_version", 426},
};

}  // namespace

int status_of(std::string_view code) {
    const std::string_view stem = code.substr(0, code.find(':'));
    for (const StatusRow& row : rows)
        if (row.code == stem) return row.status;
    const int of_ledger = ledger::status_of_refusal(stem);
    return of_ledger != 0 ? of_ledger : 500;
}

std::string Request::server_timing() const {
    return http::server_timing(exchange.started_at());
}

void Request::reply(int status, std::string_view content_type, std::string_view body,
                    std::span<const http::Field> more) {
    const std::string timing = server_timing();
    std::vector<http::Field> fields{
        {"X-Content-Type-Options", "nosniff"}, {"X-Request-Id", request_id}, {"Server-Timing", timing}};
    if (!content_type.empty()) fields.push_back({"Content-Type", content_type});
    if (!http::find(more, "cache-control")) fields.push_back({"Cache-Control", "no-store"});
    fields.insert(fields.end(), more.begin(), more.end());
    services.answers.count(status);
    exchange.respond(status, fields, body);
}

void Request::refuse(const Error& why, std::span<const http::Field> more) {
    const int status = status_of(why.code);
    services.refusals.count(why.code, route, visitor.client, wall_now());
    std::vector<http::Field> fields(more.begin(), more.end());
    if (status == 401) fields.push_back({"WWW-Authenticate", "Bearer"});
    if (status == 429) fields.push_back({"Retry-After", "60"});
    if (why.code == "idempotency_in_flight") fields.push_back({"Retry-After", "1"});
    if (status == 503) fields.push_back({"Retry-After", "2"});
    reply(status, http::problem_content_type, http::problem_body(status, why.code, why.detail), fields);
}

}  // namespace ee::api
