#include "api/api_handler.h"

#include "api/ledger_request.h"
#include "base/base64.h"
#include "http/fields.h"
#include "http/target.h"
#include "proxy/forwarder.h"
#include "proxy/visitor.h"
#include "telemetry/metrics.h"
#include "telemetry/trace.h"

namespace ee::api {
namespace {

// Room for the envelope around a forwarded body.
constexpr std::size_t envelope_bytes = 128 * 1024;

bool is_visit(const Route& route) {
    return route.body == BodyLimit::forwarded || route.body == BodyLimit::enveloped;
}

}  // namespace

ApiHandler::ApiHandler(Services& services)
    : services_(services),
      refused_(services.metrics.counter_family("ee_http_refused_total",
                                               "Requests the HTTP codec refused, by reason", "reason")),
      requests_(services.metrics.counter("ee_api_requests_total", "Requests to the control listener")) {
    const auto now_s = std::chrono::floor<std::chrono::seconds>(wall_now()).time_since_epoch();
    services.metrics.gauge("process_start_time_seconds", "When it began to serve, since 1970")
        .set(now_s.count());
    services.metrics.gauge("ee_build_info", "1; the version is the label's", {{"version", EE_VERSION}})
        .set(1);
}

http::BodyTerms ApiHandler::body_terms(const http::RequestHead& head, const net::Endpoint& peer) {
    const Match match = find_route(head.method, http::split_origin_form(head.origin_form).path);
    const BodyLimit limit = match.route == nullptr ? BodyLimit::none : match.route->body;
    if (limit == BodyLimit::none) return {.bytes_max = 1024 * 1024};
    const net::IpAddress client =
        proxy::identify_visitor(head, peer, services_.forwarder.settings().trust).client;
    if (limit == BodyLimit::forwarded)
        return services_.forwarder.body_terms(match.parameters[0], head, client);
    return services_.forwarder.gather(match.parameters[0], client,
                                      base64_size(services_.body_bytes_max) + envelope_bytes);
}

void ApiHandler::on_request(http::Exchange& exchange) {
    requests_.add();
    const http::RequestHead& head = exchange.head();
    const auto [path, query] = http::split_origin_form(head.origin_form);
    Match match = find_route(head.method, path);
    Request request{
        .exchange = exchange,
        .services = services_,
        .query = query,
        .parameters = std::move(match.parameters),
        .rest = match.rest,
        .request_id = proxy::request_id_of(head, random_, request_id_),
        .visitor = proxy::identify_visitor(head, exchange.peer(), services_.forwarder.settings().trust)};
    if (match.route == nullptr) {
        if (match.allow.empty()) return request.refuse({"not_found", "no endpoint has this path"});
        const http::Field allow{"Allow", match.allow};
        return request.refuse({"method_not_allowed", "this path takes " + match.allow}, {&allow, 1});
    }
    request.route = match.route->path;
    const auto allowed =
        services_.access.check(match.route->access, head, request.visitor.client, services_.loop.now());
    if (!allowed) return refuse_caller(request, allowed.error());
    request.caller = *allowed;
    // Where apps may call, the path's first parameter is the app.
    if (request.caller.role == Role::app)
        if (const auto other = not_the_app(request.caller, request.parameters[0]))
            return request.refuse(*other);
    if (const auto why = unknown_parameter(*match.route, query)) return request.refuse(*why);
    match.route->serve(request);
}

// Requests that would have been forwarded are visits, as those of the other listener.
std::string ApiHandler::on_refused(const http::Refusal& refusal) {
    refused_.count(refusal.why.code);
    if (!refusal.request_id.empty()) return std::string(refusal.request_id);
    if (refusal.head == nullptr) return telemetry::make_request_id(random_.take<16>());
    const http::RequestHead& head = *refusal.head;
    const Match match = find_route(head.method, http::split_origin_form(head.origin_form).path);
    if (match.route != nullptr && is_visit(*match.route))
        return services_.forwarder.record(refusal, match.parameters[0]);
    return std::string(proxy::request_id_of(head, random_, request_id_));
}

}  // namespace ee::api
