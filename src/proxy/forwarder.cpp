#include "proxy/forwarder.h"

#include <algorithm>
#include <limits>

#include "http/fields.h"
#include "http/problem.h"
#include "http/target.h"
#include "http/websocket_handshake.h"
#include "protocol/limits.h"
#include "proxy/call.h"
#include "proxy/refusals.h"
#include "registry/resolution_json.h"
#include "router/rollout.h"
#include "telemetry/trace.h"

namespace ee::proxy {

Forwarder::Forwarder(net::Loop& loop, registry::Registry& registry, tunnel::Tunnels& tunnels,
                     telemetry::AccessLog& access_log, telemetry::Metrics& metrics, ForwardSettings settings)
    : loop_(loop),
      registry_(registry),
      tunnels_(tunnels),
      visit_log_(loop, access_log),
      settings_(std::move(settings)),
      requests_(metrics, "ee_proxy_requests_total",
                "Requests to apps that have ended, by the class of their status"),
      refused_(metrics.counter_family("ee_proxy_refused_total", "Requests to apps that failed, by reason",
                                      "reason")),
      duration_(metrics.histogram("ee_proxy_duration_seconds",
                                  "From the request's head to the end of its answer",
                                  telemetry::duration_bounds_s())),
      retried_(metrics.counter("ee_proxy_retries_total",
                               "Requests sent to a second agent because the first one's tunnel was lost")),
      not_retried_(metrics.counter("ee_proxy_retries_over_budget_total",
                                   "Requests that were not sent to a second agent: too many were")),
      ejected_(metrics.counter("ee_proxy_ejections_total",
                               "Times an agent was put out of routing for failures in a row")),
      rate_limits_(settings_.rate_limits, random_.take<16>()),
      waiting_(loop, tunnels, metrics, settings_.waiting,
               [this](Call& call, bool last) { look_again(call, last); }) {
    for (std::size_t i = 0; i < rate_limited_.size(); ++i)
        rate_limited_[i] =
            &metrics.counter("ee_proxy_rate_limited_total", "Requests to apps beyond a limit, by limit",
                             {{"limit", to_word(static_cast<RateLimits::Limit>(i))}});
}

Forwarder::~Forwarder() = default;

std::string_view Forwarder::traceparent(std::span<const http::Field> fields) {
    const auto given = http::find(fields, "traceparent");
    if (given && http::count(fields, "traceparent") == 1 && telemetry::parse_traceparent(*given))
        return *given;
    trace_.clear();
    telemetry::append_traceparent(trace_, telemetry::begin_trace(random_.take<24>()));
    return trace_;
}

void Forwarder::forward(http::Exchange& exchange, const ForwardRequest& request) {
    const http::RequestHead& head = exchange.head();
    auto call = std::make_unique<Call>(*this, exchange, request);
    const Moment now{loop_.now(), wall_now()};
    retry_budget_.requested(now.mono);

    const auto refuse_now = [&](const Error& why) {
        static_cast<tunnel::StreamObserver&>(*call.release()).on_failed(why);
    };
    auto* const taken = static_cast<Passes*>(exchange.claim());
    auto client_pass = taken != nullptr ? std::move(taken->client)
                                        : rate_limits_.take_client(request.visitor.client, now.mono);
    if (!client_pass) return refuse_now(exceeded(*call, client_pass.error()));
    call->hold_client(std::move(*client_pass));
    if (taken != nullptr && !taken->app) return refuse_now(exceeded(*call, taken->app.error()));
    auto requirement = requirement_of(request.fields);
    if (!requirement) return refuse_now(requirement.error());
    if (*requirement) call->require(std::move(**requirement), now.mono);
    const bool is_upgrade = head.upgrade && http::has_token(head.fields, "upgrade", "websocket");
    call->set_carrier(request.body_follows || is_upgrade || !head.protocol.empty() ? Carrier::streams_only
                                                                                   : Carrier::any);
    const auto session = choose(request.app, now, call->selection());
    const bool is_too_old = !session && session.error().code == evidence_too_old;
    if (!session && !is_too_old) return refuse_now(session.error());
    // An app that there is: names that strangers make up take no place.
    auto app_pass = taken != nullptr ? std::move(taken->app) : rate_limits_.take_app(request.app, now.mono);
    if (!app_pass) return refuse_now(exceeded(*call, app_pass.error()));
    call->hold_app(std::move(*app_pass));
    if (!has_room_for(is_too_old ? nullptr : *session)) return refuse_now(http::no_room_for_body());
    if (!head.protocol.empty() && head.protocol != "websocket")
        return refuse_now({"upgrade_unsupported", "only WebSocket is carried by an extended CONNECT"});
    if (is_upgrade) {
        auto acceptance = http::accept_websocket(head, {});
        if (!acceptance) return refuse_now(acceptance.error());
        call->set_websocket(std::move(acceptance->accept));
    }
    carry(std::move(call), exchange, request, is_too_old ? nullptr : *session, now);
}

void Forwarder::carry(std::unique_ptr<Call> call, http::Exchange& exchange, const ForwardRequest& request,
                      tunnel::Session* session, Moment now) {
    const http::RequestHead& head = exchange.head();
    const auto refuse_now = [&](const Error& why) {
        static_cast<tunnel::StreamObserver&>(*call.release()).on_failed(why);
    };
    const bool is_websocket = call->is_upgrade() || head.protocol == "websocket";
    const std::string_view trace = traceparent(request.fields);
    call->set_trace(trace);
    const std::string_view host = http::find(request.fields, "host").value_or(head.authority);
    const RequestContext context{
        .host = host,
        .passes_host = session != nullptr && !session->streams_bodies(),
        .peer = request.described ? request.visitor.client : exchange.peer().ip,
        .peer_trusted = request.visitor.peer_trusted && !request.described,
        .is_cloudflares_word = request.visitor.is_cloudflares_word && !request.described,
        .is_tls = exchange.is_tls(),
        .version = head.major_version == 2   ? "2.0"
                   : head.minor_version == 0 ? "1.0"
                                             : "1.1",
        .request_id = request.request_id,
        .traceparent = trace,
        .trace_goes_on = trace.data() != trace_.data()};
    if (!request_fields_.build(request.fields, context))
        return refuse_now({"bad_request", "Connection names too many options"});
    const tunnel::StreamRequest wanted{
        .method = is_websocket ? std::string_view("CONNECT") : request.method,
        .target = request.target,
        .fields = request_fields_.result(),
        .body = request.body,
        .body_follows = request.body_follows || call->is_upgrade(),
        // Of a WebSocket none: what follows is no body.
        .content_length = head.framing == http::Framing::length && !is_websocket
                              ? std::optional(head.content_length)
                              : std::nullopt,
        .scheme = exchange.is_tls() ? "https" : "http",
        .authority = host.empty() ? request.app : host,
        .protocol = is_websocket ? std::string_view("websocket") : std::string_view()};
    call->set_body_follows(request.body_follows);
    if (session == nullptr) {
        call->keep(wanted, host);
        return await_evidence(std::move(call), now);
    }
    call->sending();
    const auto opened = session->open_stream(wanted, *call, now.mono);
    if (opened) {
        if (call->may_be_sent_twice(wanted)) call->keep(wanted, host);
        return call.release()->opened(*session, *opened);
    }
    // Nothing has been sent then.
    call->keep(wanted, host);
    call->was_with(*session);
    if (!send_elsewhere(*call)) return refuse_now(opened.error());
    static_cast<void>(call.release());
}

std::string Forwarder::record(const http::Refusal& refusal, std::string_view app) {
    if (!refusal.request_id.empty()) return std::string(refusal.request_id);
    std::string made;
    Visitor visitor{refusal.peer.ip};
    telemetry::AccessRecord line{.time = wall_now(),
                                 .app = app,
                                 .status = refusal.status,
                                 .error = refusal.why.code,
                                 .response_bytes = refusal.body_bytes};
    if (const http::RequestHead* head = refusal.head) {
        visitor = identify_visitor(*head, refusal.peer, settings_.trust);
        line.request_id = request_id_of(*head, random_, made);
        line.method = head->method;
        line.path = http::split_origin_form(head->origin_form).path;
    } else {
        made = telemetry::make_request_id(random_.take<16>());
        line.request_id = made;
    }
    const std::string client = visitor.client.to_string();
    line.client = client;
    if (visit_log_.enabled() && !refusal.is_connections) visit_log_.append(line);
    return std::string(line.request_id);
}

// Where an agent takes whole requests only, bodies that it may get are gathered first. What nobody will get
// is not read.
http::BodyTerms Forwarder::body_terms(std::string_view app, const http::RequestHead& head,
                                      const net::IpAddress& client) {
    const Moment now{loop_.now(), wall_now()};
    const auto requirement = requirement_of(head.fields);  // One that is not understood is refused later.
    struct {
        bool streams = false, gathers = false;
    } suitable, too_old;
    const auto visited = registry_.visit_candidates(app, now, [&](const registry::Agent& agent) {
        const tunnel::Session* session = tunnels_.find(agent.tunnel);
        if (session == nullptr) return;
        const Unmet keys =
            requirement && *requirement ? unmet(**requirement, agent, now.mono, now.mono) : Unmet{};
        if (!keys.none() && !keys.is_age_alone()) return;
        auto& any = keys.none() ? suitable : too_old;
        (session->streams_bodies() ? any.streams : any.gathers) = true;
    });
    const auto& any = suitable.streams || suitable.gathers ? suitable : too_old;
    const bool is_for_streaming = any.streams && (head.framing == http::Framing::chunked ||
                                                  head.content_length > protocol::request_body_bytes_max);
    if (any.gathers && !is_for_streaming) return gather(app, client, protocol::request_text_bytes_max);
    if (visited && head.framing == http::Framing::length && head.content_length <= kept_body_bytes_max &&
        is_idempotent(head.method))
        return gather(app, client, kept_body_bytes_max);
    return {.bytes_max = std::numeric_limits<std::size_t>::max(), .streamed = true};
}

http::BodyTerms Forwarder::gather(std::string_view app, const net::IpAddress& client, std::size_t bytes_max) {
    const Moment now{loop_.now(), wall_now()};
    auto passes = std::make_unique<Passes>();
    passes->client = rate_limits_.take_client(client, now.mono);
    // An app that there is: names that strangers make up take no place.
    if (passes->client && registry_.status(app, now)) passes->app = rate_limits_.take_app(app, now.mono);
    const bool is_exceeded = !passes->client || !passes->app;
    return {.bytes_max = bytes_max, .streamed = is_exceeded, .claim = std::move(passes)};
}

bool Forwarder::refuse_exceeded(http::Exchange& exchange, const ForwardRequest& request) {
    const auto* const taken = static_cast<const Passes*>(exchange.claim());
    if (taken == nullptr || (taken->client && taken->app)) return false;
    forward(exchange, request);
    return true;
}

Result<tunnel::Session*> Forwarder::choose(std::string_view app, Moment now, const Selection& selection) {
    candidates_.clear();
    too_old_.clear();
    LeftOut left_out;
    const auto visited = registry_.visit_candidates(app, now, [&](const registry::Agent& agent) {
        const tunnel::Session* session = tunnels_.find(agent.tunnel);
        if (session == nullptr || !suits(selection, agent, now, left_out)) return;
        if (selection.carrier == Carrier::streams_only && !session->streams_bodies()) {
            left_out.v1 = true;
            return;
        }
        candidates_.push_back(candidate_of(agent, registry_.offer_of(agent, now), *session));
    });
    if (!visited) return fail("unknown_app", "no app is called " + std::string(app));
    if (candidates_.empty()) return fail(nobody_left(app, now, left_out));
    leave_out_ejected(app, now.mono);
    keep_one_release(app);
    const auto chosen = router::choose(candidates_, {random_.unit(), random_.unit()});
    if (!chosen) return fail(chosen.error());
    return tunnels_.find(candidates_[*chosen].tunnel);
}

// By the app's rollout, if there is one. Where none of its releases has room all stay: they are `overloaded`.
std::optional<Forwarder::PickedRelease> Forwarder::keep_one_release(std::string_view app) {
    const auto rollout = registry_.rollout_of(app);
    if (rollout.empty()) return std::nullopt;
    std::array<std::uint32_t, router::rollout_releases_max> weights{};
    std::ranges::transform(rollout, weights.begin(), &registry::ReleaseWeight::weight);
    const double random = random_.unit();
    const auto release = router::pick_release(std::span(weights.data(), rollout.size()), candidates_, random);
    if (!release) return std::nullopt;
    std::erase_if(candidates_,
                  [&](const router::Candidate& candidate) { return candidate.release != *release; });
    return PickedRelease{*release, random};
}

void Forwarder::refuse(http::Exchange& exchange, const ForwardRequest& request, const Error& why) {
    auto call = std::make_unique<Call>(*this, exchange, request);
    auto* const taken = static_cast<Passes*>(exchange.claim());
    const auto pass = taken != nullptr ? std::move(taken->client)
                                       : rate_limits_.take_client(request.visitor.client, loop_.now());
    const Error error = pass ? why : exceeded(*call, pass.error());
    static_cast<tunnel::StreamObserver&>(*call.release()).on_failed(error);
}

// v1 answers come whole, whatever their visitors take of them; and what waits for an agent is kept.
bool Forwarder::has_room_for(const tunnel::Session* session) const {
    if (settings_.memory == nullptr) return true;
    return session != nullptr && session->streams_bodies() ? !settings_.memory->is_full()
                                                           : !settings_.memory->is_pressed();
}

Error Forwarder::exceeded(const RateLimits::Exceeded& why) {
    rate_limited_[static_cast<std::size_t>(why.limit)]->add();
    return {"rate_limited", why.detail};
}

Error Forwarder::exceeded(Call& call, const RateLimits::Exceeded& why) {
    call.set_retry_after(why.retry_after_s);
    return exceeded(why);
}

Result<Buckets::Pass> Forwarder::take_client(const net::IpAddress& client, MonoTime now) {
    auto pass = rate_limits_.take_client(client, now);
    if (!pass) return fail(exceeded(pass.error()));
    return std::move(*pass);
}

Result<Buckets::Pass> Forwarder::take_app(std::string_view app, MonoTime now) {
    auto pass = rate_limits_.take_app(app, now);
    if (!pass) return fail(exceeded(pass.error()));
    return std::move(*pass);
}

std::size_t Forwarder::refuse_app(http::Exchange& exchange, std::string_view app, const Error& why,
                                  const RefusalFields& named) {
    const RefusalRow row = refusal_row(why.code);
    const std::string retry_after = std::to_string(named.retry_after_s);
    std::vector<http::Field> fields{{"X-Request-Id", named.request_id}};
    if (row.retry) fields.push_back({"Retry-After", retry_after});
    const std::string timing = named.is_timed ? http::server_timing(exchange.started_at()) : std::string();
    if (named.is_timed) fields.push_back({"Server-Timing", timing});
    if (why.code == "unsupported_websocket_version") {
        const auto offered = http::websocket_refusal_fields();
        fields.insert(fields.end(), offered.begin(), offered.end());
    }
    const auto answer = [&](std::string_view content_type, const std::string& body) {
        fields.push_back({"Content-Type", content_type});
        exchange.respond(row.status, fields, body);
        return body.size();
    };
    if (why.code == "requirement_unmet" && named.requirement != nullptr) {
        const Moment now{loop_.now(), wall_now()};
        Offers offers(*named.requirement, now, named.asked_at);
        registry_.visit_candidates(app, now, [&](const registry::Agent& agent) { offers.add(agent); });
        return answer(http::problem_content_type, offers.problem_body(why));
    }
    if (row.resolve_body) {
        if (const auto resolution = registry_.resolve(app, {loop_.now(), wall_now()}))
            return answer("application/json", registry::resolution_json(*resolution, settings_.names));
    }
    return answer(http::problem_content_type, http::problem_body(row.status, why.code, why.detail));
}

}  // namespace ee::proxy
