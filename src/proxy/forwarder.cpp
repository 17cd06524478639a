#include "proxy/forwarder.h"

#include <array>
#include <charconv>

#include "http/fields.h"
#include "http/problem.h"
#include "http/target.h"
#include "proxy/refusals.h"
#include "registry/resolution_json.h"
#include "telemetry/trace.h"

namespace ee::proxy {
namespace {

// How long a line of the access log may wait for others.
constexpr std::chrono::milliseconds access_log_delay{200};
// Seconds after which a refused visitor may try again: about the agents' first reconnection.
constexpr std::string_view retry_after_s = "2";

}  // namespace

// One request under way. Destroys itself after its last callback.
class Call final : public tunnel::StreamObserver, http::ExchangeObserver {
public:
    Call(Forwarder& forwarder, http::Exchange& exchange, const ForwardRequest& request)
        : forwarder_(forwarder),
          exchange_(&exchange),
          origin_(request.origin),
          is_head_(exchange.head().method == "HEAD"),
          app_(request.app),
          method_(request.method),
          path_(http::split_origin_form(request.target).path),
          client_(request.visitor.client),
          request_id_(request.request_id),
          started_at_(exchange.started_at()),
          request_bytes_(request.body.size()) {
        ++forwarder_.calls_;
    }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    ~Call() override { --forwarder_.calls_; }

    // Version, trace id, parent id and flags, as traceparent() answers it.
    void set_trace(std::string_view traceparent) {
        traced_ = traceparent.copy(trace_id_.data(), trace_id_.size(), 3) == trace_id_.size();
    }

    // Takes the stream's events from here on.
    void opened(tunnel::Session& session, tunnel::StreamId id) {
        tunnel_ = session.id();
        stream_ = id;
        rtt_ = session.rtt().value_or(std::chrono::microseconds(-1));
        if (session.registration()) agent_ = session.registration()->agent_id;
        exchange_->set_observer(this);
    }

private:
    void on_sent() override { sent_at_ = std::chrono::steady_clock::now(); }

    void on_head(int status, std::span<const protocol::HeaderField> headers,
                 std::optional<std::uint64_t> content_length) override {
        status_ = status;
        head_at_ = std::chrono::steady_clock::now();
        AnswerFields& fields = forwarder_.answer_fields_;
        if (is_head_) content_length = announced_length(headers);
        if (!fields.build(headers, origin_, request_id_) ||
            !exchange_->begin(status, fields.result(), content_length))
            return refuse_answer();
        begun_ = true;
    }

    void on_body(std::string_view bytes) override {
        if (!begun_) return;
        response_bytes_ += bytes.size();
        exchange_->send(bytes);
    }

    void on_end() override {
        if (begun_) exchange_->finish();
        finish();
    }

    void on_failed(const Error& error) override {
        error_ = error.code;
        if (begun_) {
            exchange_->cut();
        } else {
            status_ = refusal_row(error.code).status;
            forwarder_.refuse_app(*exchange_, app_, error, request_id_);
        }
        finish();
    }

    void on_visitor_gone() override {
        if (tunnel::Session* session = forwarder_.tunnels_.find(tunnel_)) session->cancel_stream(stream_);
        status_ = 499;  // nginx's number for "the client closed the request".
        error_ = "visitor_gone";
        finish();
    }

    // The head of the agent's answer cannot be passed on.
    void refuse_answer() {
        tunnel::Session* session = forwarder_.tunnels_.find(tunnel_);
        if (session != nullptr) session->cancel_stream(stream_);
        on_failed({"bad_agent_answer", "the agent's answer has header fields that cannot be passed on"});
    }

    // The length that a GET would have had, when the answer to HEAD says so.
    static std::optional<std::uint64_t> announced_length(std::span<const protocol::HeaderField> headers) {
        for (const protocol::HeaderField& field : headers) {
            if (!http::iequals(field.name, "content-length")) continue;
            std::uint64_t length = 0;
            const char* end = field.value.data() + field.value.size();
            const auto [stop, error] = std::from_chars(field.value.data(), end, length);
            if (error == std::errc{} && stop == end) return length;
        }
        return std::nullopt;
    }

    // Negative when one of them has not come.
    static std::chrono::microseconds between(std::optional<MonoTime> from, std::optional<MonoTime> to) {
        if (!from || !to) return std::chrono::microseconds(-1);
        return std::chrono::duration_cast<std::chrono::microseconds>(*to - *from);
    }

    void finish() {
        const auto total = std::chrono::duration_cast<std::chrono::microseconds>(
            std::chrono::steady_clock::now() - started_at_);
        forwarder_.duration_.observe(std::chrono::duration<double>(total).count());
        if (!error_.empty()) forwarder_.refused_.count(error_);
        if (forwarder_.access_log_.enabled()) {
            if (!forwarder_.flush_access_log_.armed())
                forwarder_.flush_access_log_.arm_after(access_log_delay);
            const std::string client = client_.to_string();
            forwarder_.access_log_.append(
                {.time = wall_now(),
                 .request_id = request_id_,
                 .trace_id =
                     traced_ ? std::string_view(trace_id_.data(), trace_id_.size()) : std::string_view(),
                 .client = client,
                 .app = app_,
                 .agent = agent_,
                 .method = method_,
                 .path = path_,
                 .status = status_,
                 .error = error_,
                 .request_bytes = request_bytes_,
                 .response_bytes = response_bytes_,
                 .queue = between(opened_at_, sent_at_),
                 .tunnel = rtt_,
                 .upstream = between(sent_at_, head_at_),
                 .total = total});
        }
        forwarder_.loop_.dispose(std::shared_ptr<Call>(this));
    }

    Forwarder& forwarder_;
    http::Exchange* exchange_;
    Origin origin_;
    bool is_head_;
    bool begun_ = false;
    int status_ = 0;
    std::string app_, method_, path_, agent_;
    net::IpAddress client_;
    std::string request_id_;
    std::array<char, 32> trace_id_{};
    bool traced_ = false;
    std::string error_;
    MonoTime started_at_;
    MonoTime opened_at_ = std::chrono::steady_clock::now();
    std::optional<MonoTime> sent_at_, head_at_;
    std::uint64_t request_bytes_;
    std::uint64_t response_bytes_ = 0;
    std::chrono::microseconds rtt_{-1};
    tunnel::TunnelId tunnel_ = 0;
    tunnel::StreamId stream_ = 0;
};

Forwarder::Forwarder(net::Loop& loop, registry::Registry& registry, tunnel::Tunnels& tunnels,
                     telemetry::AccessLog& access_log, telemetry::Metrics& metrics, ForwardSettings settings)
    : loop_(loop),
      registry_(registry),
      tunnels_(tunnels),
      access_log_(access_log),
      settings_(std::move(settings)),
      requests_(metrics.counter("ee_proxy_requests_total", "Requests to apps")),
      refused_(metrics.counter_family("ee_proxy_refused_total", "Requests to apps that failed, by reason",
                                      "reason")),
      duration_(metrics.histogram("ee_proxy_duration_seconds",
                                  "From the request's head to the end of its answer",
                                  telemetry::duration_bounds_s())),
      flush_access_log_(loop, [this] { access_log_.flush(); }) {}

Forwarder::~Forwarder() = default;

std::string Forwarder::traceparent(std::span<const http::Field> fields) {
    const auto given = http::find(fields, "traceparent");
    if (given && http::count(fields, "traceparent") == 1 && telemetry::parse_traceparent(*given))
        return std::string(*given);
    return telemetry::to_traceparent(telemetry::begin_trace(random_.take<24>()));
}

void Forwarder::forward(http::Exchange& exchange, const ForwardRequest& request) {
    requests_.add();
    const http::RequestHead& head = exchange.head();
    auto call = std::make_unique<Call>(*this, exchange, request);
    const Moment now{loop_.now(), wall_now()};

    const auto refuse_now = [&](const Error& why) {
        static_cast<tunnel::StreamObserver&>(*call.release()).on_failed(why);
    };
    if (head.upgrade && http::has_token(head.fields, "upgrade", "websocket"))
        return refuse_now({"upgrade_unsupported", "the agent's tunnel (v1) cannot carry WebSocket"});
    const auto session = choose(request.app, now);
    if (!session) return refuse_now(session.error());

    const std::string trace = traceparent(request.fields);
    call->set_trace(trace);
    // The fields of a described request were written by who sent it, not by the proxies on its way here.
    const bool described = request.origin == Origin::control;
    const RequestContext context{.host = http::find(request.fields, "host").value_or(head.authority),
                                 .peer = described ? request.visitor.client : exchange.peer().ip,
                                 .peer_trusted = request.visitor.peer_trusted && !described,
                                 .is_tls = exchange.is_tls(),
                                 .request_id = request.request_id,
                                 .traceparent = trace};
    if (!request_fields_.build(request.fields, context))
        return refuse_now({"bad_request", "Connection names too many options"});
    const auto opened = (*session)->open_stream({.method = request.method,
                                                 .target = request.target,
                                                 .headers = request_fields_.result(),
                                                 .body = request.body},
                                                *call, now.mono + settings_.timeout);
    if (!opened) return refuse_now(opened.error());
    call.release()->opened(**session, *opened);
}

Result<tunnel::Session*> Forwarder::choose(std::string_view app, Moment now) {
    candidates_.clear();
    const auto visited = registry_.visit_candidates(app, now, [&](const registry::Agent& agent) {
        if (const tunnel::Session* session = tunnels_.find(agent.tunnel))
            candidates_.push_back({agent.tunnel, session->open_streams(), session->stream_limit()});
    });
    if (!visited) return fail("unknown_app", "no app is called " + std::string(app));
    if (candidates_.empty()) {
        const auto status = registry_.status(app, now);
        const std::string word(status && !is_routable(*status) ? to_word(*status) : "offline");
        return fail(word, "the app has no agent that may serve: " + word);
    }
    const auto chosen = router::choose(candidates_, {random_.unit(), random_.unit()});
    if (!chosen) return fail(chosen.error());
    return tunnels_.find(candidates_[*chosen].tunnel);
}

void Forwarder::refuse(http::Exchange& exchange, const ForwardRequest& request, const Error& why) {
    auto call = std::make_unique<Call>(*this, exchange, request);
    static_cast<tunnel::StreamObserver&>(*call.release()).on_failed(why);
}

void Forwarder::refuse_app(http::Exchange& exchange, std::string_view app, const Error& why,
                           std::string_view request_id) {
    const RefusalRow row = refusal_row(why.code);
    std::vector<http::Field> fields{{"X-Request-Id", request_id}};
    if (row.retry) fields.push_back({"Retry-After", retry_after_s});
    if (row.resolve_body) {
        if (const auto resolution = registry_.resolve(app, {loop_.now(), wall_now()})) {
            fields.push_back({"Content-Type", "application/json"});
            return exchange.respond(row.status, fields,
                                    registry::resolution_json(*resolution, settings_.names));
        }
    }
    fields.push_back({"Content-Type", http::problem_content_type});
    exchange.respond(row.status, fields, http::problem_body(row.status, why.code, why.detail));
}

}  // namespace ee::proxy
