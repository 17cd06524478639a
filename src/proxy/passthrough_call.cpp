#include "proxy/passthrough_call.h"

#include <fmt/format.h>

#include "base/kept_buffer.h"
#include "proxy/refusals.h"
#include "telemetry/trace.h"

namespace ee::proxy {
namespace {

// A visitor that is refused has this long to take the alert.
constexpr std::chrono::seconds alert_time{5};
// What the access log says; there is no HTTP here.
constexpr int status_carried = 200;
constexpr int status_bad_hello = 400;
constexpr int status_slow_hello = 408;
constexpr int status_visitor_gone = 499;

bool is_of_hello(std::string_view code) {
    return code == "not_tls" || code.starts_with("client_hello_") || code.starts_with("server_name_");
}

}  // namespace

PassthroughCall::PassthroughCall(Passthrough& owner, net::Fd socket, const net::Endpoint& peer)
    : owner_(owner),
      visitor_(owner.loop_, std::move(socket), *this),
      peer_(peer),
      flow_(owner.tunnels_),
      hello_due_(owner.loop_, [this] {
          status_ = status_slow_hello;
          cut({"hello_timeout", "no complete ClientHello in time"});
      }) {
    owner_.hello_begins(peer_);
    visitor_.count_output(owner_.settings_.memory);
}

PassthroughCall::~PassthroughCall() = default;

void PassthroughCall::start() {
    hello_due_.arm_after(owner_.settings_.hello_time);
    visitor_.start();
}

void PassthroughCall::leave_reading() {
    hello_due_.cancel();
    if (state_ == State::reading) owner_.hello_ends(peer_);
}

// ---- The ClientHello ----

Result<void> PassthroughCall::open(const std::string& server_name) {
    const Moment now{owner_.loop_.now(), wall_now()};
    auto app = owner_.app_of(server_name);
    if (app) app_ = *app;
    auto client_pass = owner_.forwarder_.take_client(peer_.ip, now.mono);
    if (!client_pass) return fail(std::move(client_pass.error()));
    if (!app) return fail(std::move(app.error()));
    opened_at_ = std::chrono::steady_clock::now();
    const auto session = owner_.forwarder_.choose(app_, now, Carrier::streams_only);
    if (!session) return fail(session.error());
    auto app_pass = owner_.forwarder_.take_app(app_, now.mono);
    if (!app_pass) return fail(std::move(app_pass.error()));
    const std::string client = peer_.ip.to_string();
    const http::Field fields[] = {{tunnel::sealed_client_field, client}};
    const auto opened = (*session)->open_stream({.method = "CONNECT",
                                                 .target = "/",
                                                 .fields = fields,
                                                 .body = early_,
                                                 .body_follows = true,
                                                 .scheme = "https",
                                                 .authority = server_name,
                                                 .protocol = tunnel::sealed_protocol},
                                                *this, now.mono);
    if (!opened) return fail(opened.error());
    leave_reading();
    state_ = State::carried;
    client_pass_ = std::move(*client_pass);
    app_pass_ = std::move(*app_pass);
    flow_.begin((*session)->id(), *opened);
    rtt_ = (*session)->rtt().value_or(std::chrono::microseconds(-1));
    if ((*session)->registration()) agent_ = (*session)->registration()->agent_id;
    attempt_ = owner_.forwarder_.attempt({app_, agent_}, (*session)->id());
    flow_.sent_to_agent(visitor_, early_.size());
    release_buffer(early_);
    return {};
}

// An alert in clear: no key has been agreed on, and the agent's TLS has not answered.
void PassthroughCall::refuse(const Error& why) {
    leave_reading();
    state_ = State::refused;
    error_ = why.code;
    status_ = is_of_hello(why.code) ? status_bad_hello : refusal_row(why.code).status;
    visitor_.write(alert_record(alert_of(why.code)));
    visitor_.close_after_flush(alert_time);
}

// ---- From the visitor ----

void PassthroughCall::on_data(std::span<char> data) {
    const std::string_view bytes(data.data(), data.size());
    request_bytes_ += bytes.size();
    owner_.bytes_in_.add(bytes.size());
    if (state_ == State::carried) {
        flow_.send(bytes);
        return flow_.sent_to_agent(visitor_, bytes.size());
    }
    early_.append(bytes);
    const auto server_name = hello_.feed(bytes);
    if (!server_name) return refuse(server_name.error());
    if (!*server_name) return;
    if (const auto opened = open(**server_name); !opened) refuse(opened.error());
}

void PassthroughCall::on_progress() {
    flow_.report_taken(visitor_);
}

// A side that has ended is shut, the other goes on.
bool PassthroughCall::on_input_end() {
    if (state_ != State::carried) return false;
    visitor_ended_ = true;
    flow_.end();
    return true;
}

void PassthroughCall::on_closed(const Error& why) {
    flow_.report_taken(visitor_);
    const bool is_whole = why.code == "closed" || !flow_.has_unsent();
    const bool is_complete = visitor_ended_ && agent_ended_ && is_whole;
    if (state_ == State::refused) return finish();
    if (is_complete && !stream_over_) return;  // What the visitor said last is still on its way.
    if (!is_complete) {
        if (!stream_over_) flow_.cancel();
        // Most TLS clients are gone by the time the agent's close_notify comes, or leave without having read
        // it: their socket then answers by a reset. One that had ended its side wanted no more, and to one
        // that was sent everything up to the agent's end nobody had anything to say any more.
        const bool has_all = agent_ended_ && is_whole;
        if (!visitor_ended_ && !has_all) error_ = "visitor_gone";
        if (!answered_) status_ = status_visitor_gone;
    }
    finish();
}

void PassthroughCall::cut(const Error& why) {
    if (!stream_over_) flow_.cancel();
    if (error_.empty()) error_ = why.code;
    if (status_ == 0) status_ = refusal_row(why.code).status;
    visitor_.reset();
    finish();
}

// ---- From the agent ----

void PassthroughCall::on_sent() {
    sent_at_ = std::chrono::steady_clock::now();
}

void PassthroughCall::on_head(int status, std::span<const http::Field>, std::optional<std::uint64_t>, bool) {
    head_at_ = std::chrono::steady_clock::now();
    owner_.forwarder_.answered(attempt_);
    if (status == status_carried) {
        answered_ = true;
        status_ = status_carried;
        return;
    }
    flow_.cancel();
    stream_over_ = true;
    refuse({"bad_agent_answer", fmt::format("the agent answered {} to a TLS connection", status)});
}

void PassthroughCall::on_body(std::string_view bytes) {
    response_bytes_ += bytes.size();
    owner_.bytes_out_.add(bytes.size());
    flow_.to_visitor(visitor_, bytes);
}

bool PassthroughCall::on_answer_end() {
    agent_ended_ = true;
    visitor_.shut_after_flush();
    return true;
}

void PassthroughCall::on_end(std::span<const http::Field>) {
    stream_over_ = true;
    if (!visitor_.is_open()) return finish();
    visitor_.close_after_flush(owner_.settings_.idle_time);
}

void PassthroughCall::on_body_taken(std::size_t bytes) {
    flow_.taken_by_agent(visitor_, bytes);
}

void PassthroughCall::on_failed(const Error& error) {
    stream_over_ = true;
    if (!answered_) owner_.forwarder_.failed(attempt_, error.code);
    if (!answered_ && visitor_.is_writable()) return refuse(error);
    // The agent gives up what a visitor ended without close_notify, as one does that has read what it wanted.
    const bool is_after_visitor = visitor_ended_ && error.code == "bad_agent_answer";
    if (!is_after_visitor) error_ = error.code;
    visitor_.reset();
    finish();
}

// ---- The end ----

void PassthroughCall::finish() {
    leave_reading();
    client_pass_ = {};
    app_pass_ = {};
    if (!error_.empty()) owner_.refused_.count(error_);
    // A connection without a byte is a port check, and no visit.
    if (owner_.visit_log_.enabled() && request_bytes_ > 0) {
        const std::string client = peer_.ip.to_string();
        const std::string request_id = telemetry::make_request_id(owner_.random_.take<16>());
        owner_.visit_log_.append({.time = wall_now(),
                                  .request_id = request_id,
                                  .client = client,
                                  .app = app_,
                                  .agent = agent_,
                                  .method = "TLS",
                                  .status = status_,
                                  .error = error_,
                                  .request_bytes = request_bytes_,
                                  .response_bytes = response_bytes_,
                                  .queue = between(opened_at_, sent_at_),
                                  .tunnel = rtt_,
                                  .upstream = between(sent_at_, head_at_),
                                  .total = between(started_at_, std::chrono::steady_clock::now())});
    }
    owner_.remove(*this);
}

}  // namespace ee::proxy
