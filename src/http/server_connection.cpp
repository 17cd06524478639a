#include "http/server_connection.h"

#include <algorithm>

#include "base/check.h"
#include "http/http2_server_connection.h"

namespace ee::http {
namespace {

std::unique_ptr<net::TlsSession> new_session(const std::shared_ptr<const net::TlsContext>& context) {
    return context ? std::make_unique<net::TlsSession>(context, "") : nullptr;
}

// Answers that the visitor has not taken yet: beyond this, further requests wait.
constexpr std::size_t unsent_bytes_max = 256 * 1024;

// Why a connection is closed, besides the stream's words.
constexpr std::string_view ended_by_us = "ended_by_us";
constexpr std::string_view too_late = "too_late";

}  // namespace

ServerConnection::ServerConnection(Server& server, net::Fd socket, const net::Endpoint& peer)
    : server_(server),
      stream_(
          std::make_unique<net::Stream>(server.loop_, std::move(socket), *this, new_session(server.tls_))),
      peer_(peer),
      deadline_(server.loop_, [this] { on_deadline(); }),
      parser_(server.limits_.head),
      gathered_(server.limits_.memory),
      last_progress_(server.loop_.now()),
      may_be_http2_(server.limits_.http2 && !server.tls_) {
    stream_->count_output(server.limits_.memory);
    deadline_.arm_after(server_.limits_.head_time);
}

void ServerConnection::start() {
    stream_->start(server_.limits_.newcomers);
}

void ServerConnection::drain() {
    keep_alive_ = false;
    if (phase_ == Phase::idle || phase_ == Phase::discarding) end_after_flush();
    // A request that has begun is served.
}

void ServerConnection::end() {
    stream_->abort();
    on_closed({std::string(ended_by_us), "the server ends its connections"});
}

// ---- Input ----

void ServerConnection::on_data(std::span<char> data) {
    const std::string_view input(data.data(), data.size());
    if (phase_ == Phase::ended) return;
    if (may_be_http2_ && begins_http2(input)) return;
    if (!unread_.empty() || (phase_ == Phase::serving && !delivers_body())) {
        unread_.append(input);
        return process_buffered();
    }
    const std::size_t used = process(input);
    keep_unread(input.substr(used));
    regulate_reading();
}

// RFC 9113 section 3.3: a client that knows of HTTP/2 begins with its preface. True: the input is taken.
bool ServerConnection::begins_http2(std::string_view input) {
    may_be_http2_ = false;
    if (unread_.empty() && input.front() != http2_preface.front()) return false;
    unread_.append(input);
    const std::string_view begin = std::string_view(unread_).substr(0, http2_preface.size());
    if (!http2_preface.starts_with(begin)) {
        process_buffered();
    } else if (begin == http2_preface) {
        become_http2(std::exchange(unread_, {}));
    } else {
        may_be_http2_ = true;
    }
    return true;
}

void ServerConnection::become_http2(std::string_view input) {
    phase_ = Phase::ended;
    auto connection = std::make_shared<Http2ServerConnection>(server_, std::move(stream_), peer_);
    connection->put_back(input);
    server_.add(std::move(connection));
    remove();
}

void ServerConnection::on_secured() {
    secured_ = true;
    if (stream_->tls()->protocol() == server_protocols[0]) become_http2({});
}

// A visitor that sends faster than it takes answers, or than its body is consumed, is slowed by TCP: neither
// what it sends ahead nor what it leaves unread collects here without end.
void ServerConnection::regulate_reading() {
    if (handed_over_ != nullptr || phase_ == Phase::ended) return;
    if (is_ahead())
        stream_->pause_reading();
    else
        stream_->resume_reading();
}

bool ServerConnection::is_ahead() const {
    if (delivers_body()) return unconsumed_ > unconsumed_bytes_max();
    if (phase_ == Phase::discarding) return false;
    return output_is_full() ||
           (phase_ == Phase::serving && unread_.size() > server_.limits_.pipelined_bytes_max);
}

std::size_t ServerConnection::unconsumed_bytes_max() const {
    const ServerLimits& limits = server_.limits_;
    const bool is_pressed = limits.memory != nullptr && limits.memory->is_pressed();
    return is_pressed ? std::min(limits.whole_body_bytes_max, limits.unconsumed_bytes_max)
                      : limits.unconsumed_bytes_max;
}

bool ServerConnection::output_is_full() const {
    return stream_->pending_output() > unsent_bytes_max;
}

// What was not used stays for later, or goes to whom the connection was handed.
void ServerConnection::keep_unread(std::string_view rest) {
    if (rest.empty()) return;
    if (handed_over_ != nullptr)
        handed_over_->put_back(rest);
    else if (phase_ != Phase::ended)
        unread_.append(rest);
}

void ServerConnection::process_buffered() {
    if (processing_) return;  // An answer given within on_request(): the loop below goes on.
    processing_ = true;
    while (!unread_.empty() && takes_input()) {
        std::string input = std::exchange(unread_, {});
        const std::size_t used = process(input);
        if (used == 0 && phase_ != Phase::ended) {
            unread_ = std::move(input);  // Unchanged: a slow drip must not cost a copy a byte.
            break;
        }
        keep_unread(std::string_view(input).substr(used));
    }
    processing_ = false;
    regulate_reading();
}

// Takes requests from the input until one is being served or more is needed. Answers the bytes used.
std::size_t ServerConnection::process(std::string_view input) {
    const bool outermost = !processing_;
    processing_ = true;
    std::size_t used = 0;
    while (takes_input() && take_some(input.substr(used), used)) {
    }
    if (outermost) processing_ = false;
    return used;
}

bool ServerConnection::takes_input() const {
    switch (phase_) {
        case Phase::serving: return delivers_body();
        case Phase::discarding: return true;
        case Phase::ended: return false;
        default: return !output_is_full();
    }
}

// True when something is complete and the loop should go on.
bool ServerConnection::take_some(std::string_view input, std::size_t& used) {
    if (input.empty()) return false;
    switch (phase_) {
        case Phase::gathering: return gather_body(input, used);
        case Phase::serving: return deliver_body(input, used);
        case Phase::discarding: return discard_body(input, used);
        default: return take_head(input, used);
    }
}

bool ServerConnection::take_head(std::string_view input, std::size_t& used) {
    if (phase_ == Phase::idle) {
        phase_ = Phase::head;
        started_at_ = server_.loop_.now();
        deadline_.arm_after(server_.limits_.head_time);
    }
    const Result<std::size_t> size = parser_.parse(input, head_);
    if (!size) {
        refuse({.peer = peer_, .status = refusal_status(size.error().code), .why = size.error()});
        return false;
    }
    if (*size == 0) return false;

    started_at_ = server_.loop_.now();
    head_method_ = head_.method == "HEAD";
    keep_alive_ = head_.keep_alive && !server_.draining_;
    body_allowed_ = !head_method_;
    body_.clear();
    body_view_ = {};
    used += *size;
    if (head_.has_body()) return begin_body(input.substr(0, *size), input.substr(*size), used);
    serve();
    return true;
}

void ServerConnection::serve() {
    phase_ = Phase::serving;
    observer_ = nullptr;
    begun_ = taking_body_ = told_to_continue_ = false;
    unreported_ = 0;
    // Earlier answers may still wait to be taken.
    if (stream_->pending_output() > 0)
        arm_deadline(server_.limits_.write_idle_time);
    else
        deadline_.cancel();
    server_.handler_.on_request(*this);
}

// ---- Ends ----

void ServerConnection::on_progress() {
    last_progress_ = server_.loop_.now();
    report_written();
}

void ServerConnection::on_drained() {
    if (phase_ != Phase::ended) process_buffered();
}

void ServerConnection::on_deferred() {
    if (phase_ == Phase::ended) return;
    report_written();
    process_buffered();
}

// A peer that says nothing at all only looks whether somebody listens.
void ServerConnection::tell_handshake_failed(const Error& why) const {
    const net::TlsSession* tls = stream_ ? stream_->tls() : nullptr;
    if (tls == nullptr || secured_ || phase_ != Phase::idle || stream_->bytes_in() == 0) return;
    if (why.code == ended_by_us) return;
    const auto otherwise =
        why.code == too_late ? net::HandshakeFailure::timed_out : net::HandshakeFailure::peer_left;
    if (server_.handshake_failed_)
        server_.handshake_failed_(peer_, tls->handshake_failure().value_or(otherwise), why.detail);
}

void ServerConnection::on_closed(const Error& why) {
    tell_handshake_failed(why);
    phase_ = Phase::ended;
    if (ExchangeObserver* observer = std::exchange(observer_, nullptr)) observer->on_visitor_gone();
    remove();
}

void ServerConnection::arm_deadline(std::chrono::nanoseconds delay) {
    written_before_ = stream_->bytes_out();
    deadline_.arm_after(delay);
}

void ServerConnection::on_deadline() {
    if (phase_ == Phase::gathering)
        return refuse_head(408, {"request_timeout", "the body did not arrive in time"});
    const bool output_waits = stream_->pending_output() > 0;
    if (output_waits && stream_->bytes_out() != written_before_)
        return arm_deadline(server_.limits_.write_idle_time);
    if (phase_ == Phase::serving && !output_waits) return;  // The next send() arms it again.
    if (phase_ == Phase::head && !output_waits) {
        const Error why{"request_timeout", "the request's head did not arrive in time"};
        return refuse({.peer = peer_, .status = 408, .why = why});
    }
    stream_->abort();
    on_closed({std::string(too_late), "the visitor did nothing for too long"});
}

void ServerConnection::remove() {
    deadline_.cancel();
    claim_.reset();
    server_.remove(*this);
}

}  // namespace ee::http
