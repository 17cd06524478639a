#include "http/server_connection.h"

#include "base/check.h"
#include "http/fields.h"
#include "http/http1_writer.h"
#include "http/problem.h"

namespace ee::http {
namespace {

std::unique_ptr<net::TlsSession> new_session(const std::shared_ptr<const net::TlsContext>& context) {
    return context ? std::make_unique<net::TlsSession>(context, "") : nullptr;
}

// RFC 9110 section 6.4.1: answers that never have a body.
bool status_has_body(int status) {
    return status >= 200 && status != 204 && status != 304;
}

// Answers that the visitor has not taken yet: beyond this, further requests wait.
constexpr std::size_t unsent_bytes_max = 256 * 1024;

}  // namespace

ServerConnection::ServerConnection(Server& server, net::Fd socket, const net::Endpoint& peer)
    : server_(server),
      stream_(
          std::make_unique<net::Stream>(server.loop_, std::move(socket), *this, new_session(server.tls_))),
      peer_(peer),
      deadline_(server.loop_, [this] { on_deadline(); }),
      parser_(server.limits_.head) {
    deadline_.arm_after(server_.limits_.head_time);
}

void ServerConnection::start() {
    stream_->start(server_.limits_.newcomers);
}

void ServerConnection::drain() {
    keep_alive_ = false;
    if (phase_ != Phase::idle) return;  // A request that has begun is served.
    phase_ = Phase::ended;
    deadline_.cancel();
    stream_->close_after_flush(server_.limits_.write_idle_time);
}

void ServerConnection::end() {
    stream_->abort();
    on_closed({"closed", "the server ends its connections"});
}

// ---- Input ----

void ServerConnection::on_data(std::span<char> data) {
    const std::string_view input(data.data(), data.size());
    if (phase_ == Phase::ended) return;
    if (phase_ == Phase::serving || !unread_.empty()) {
        unread_.append(input);
        return process_buffered();
    }
    const std::size_t used = process(input);
    keep_unread(data.subspan(used));
    pause_when_ahead();
}

// A visitor that sends requests faster than it takes answers is slowed by TCP: neither what it sends ahead
// nor what it leaves unread collects here without end.
void ServerConnection::pause_when_ahead() {
    if (handed_over_ != nullptr || phase_ == Phase::ended) return;
    if (many_unread() || output_is_full()) stream_->pause_reading();
}

bool ServerConnection::many_unread() const {
    return phase_ == Phase::serving && unread_.size() > server_.limits_.pipelined_bytes_max;
}

bool ServerConnection::output_is_full() const {
    return stream_->pending_output() > unsent_bytes_max;
}

// What was not used stays for later, or goes to whom the connection was handed.
void ServerConnection::keep_unread(std::span<char> rest) {
    if (rest.empty()) return;
    if (handed_over_ != nullptr)
        handed_over_->hand_in(rest);
    else if (phase_ != Phase::ended)
        unread_.append(rest.data(), rest.size());
}

void ServerConnection::process_buffered() {
    if (processing_) return;  // An answer given within on_request(): the loop below goes on.
    processing_ = true;
    while (!unread_.empty() && phase_ != Phase::serving && phase_ != Phase::ended && !output_is_full()) {
        std::string input = std::exchange(unread_, {});
        const std::size_t used = process(input);
        if (used == 0 && phase_ != Phase::ended) {
            unread_ = std::move(input);  // Unchanged: a slow drip must not cost a copy a byte.
            break;
        }
        keep_unread(std::span(input).subspan(used));
    }
    processing_ = false;
    pause_when_ahead();
}

// Takes requests from the input until one is being served or more is needed. Answers the bytes used.
std::size_t ServerConnection::process(std::string_view input) {
    const bool outermost = !processing_;
    processing_ = true;
    std::size_t used = 0;
    while (phase_ != Phase::serving && phase_ != Phase::ended && !output_is_full()) {
        const std::string_view rest = input.substr(used);
        if (phase_ == Phase::body ? !take_body(rest, used) : rest.empty() || !take_head(rest, used)) break;
    }
    if (outermost) processing_ = false;
    return used;
}

// True when the head is complete and the loop should go on.
bool ServerConnection::take_head(std::string_view input, std::size_t& used) {
    if (phase_ == Phase::idle) {
        phase_ = Phase::head;
        deadline_.arm_after(server_.limits_.head_time);
    }
    const Result<std::size_t> size = parser_.parse(input, head_);
    if (!size) {
        refuse(size.error());
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
    if (!head_.has_body()) {
        serve();
        return true;
    }
    body_bytes_max_ = server_.handler_.body_bytes_max(head_);
    if (head_.framing == Framing::length && head_.content_length > body_bytes_max_) {
        refuse(413,
               {"body_too_large", "the body has " + std::to_string(head_.content_length) +
                                      " bytes; at most " + std::to_string(body_bytes_max_) + " are allowed"});
        return false;
    }
    const std::string_view rest = input.substr(*size);
    if (head_.framing == Framing::length && rest.size() >= head_.content_length) {
        // Head and body are there together: no copy.
        body_view_ = rest.substr(0, static_cast<std::size_t>(head_.content_length));
        used += body_view_.size();
        serve();
        return true;
    }
    // The head has to outlive this input: parse the copy, so that its views point there.
    head_text_.assign(input.substr(0, *size));
    RequestParser again(server_.limits_.head);
    EE_CHECK(again.parse(head_text_, head_).has_value());
    if (head_.expect_continue) stream_->write("HTTP/1.1 100 Continue\r\n\r\n");
    decoder_ = BodyDecoder(head_);
    phase_ = Phase::body;
    deadline_.arm_after(server_.limits_.body_idle_time);
    return true;
}

bool ServerConnection::take_body(std::string_view input, std::size_t& used) {
    std::size_t taken = 0;
    while (!decoder_.done() && taken < input.size()) {
        const Result<BodyDecoder::Step> step = decoder_.next(input.substr(taken));
        if (!step) {
            refuse(step.error());
            return false;
        }
        taken += step->consumed;
        if (!append_to_body(step->data)) return false;
    }
    used += taken;
    if (!decoder_.done()) {
        if (taken > 0) deadline_.arm_after(server_.limits_.body_idle_time);
        return false;
    }
    body_view_ = body_;
    serve();
    return true;
}

bool ServerConnection::append_to_body(std::string_view piece) {
    if (body_.size() + piece.size() > body_bytes_max_) {
        refuse(413, {"body_too_large",
                     "the body has more than the " + std::to_string(body_bytes_max_) + " bytes allowed"});
        return false;
    }
    body_.append(piece);
    return true;
}

void ServerConnection::serve() {
    phase_ = Phase::serving;
    observer_ = nullptr;
    deadline_.cancel();
    server_.handler_.on_request(*this);
}

// ---- Answers ----

void ServerConnection::respond(int status, std::span<const Field> fields, std::string_view body) {
    EE_CHECK(begin(status, fields, body.size()));
    send(body);
    finish();
}

bool ServerConnection::begin(int status, std::span<const Field> fields,
                             std::optional<std::uint64_t> content_length) {
    EE_CHECK(phase_ == Phase::serving);
    std::string& out = stream_->output();
    const std::size_t before = out.size();
    bool written = append_status_line(out, status);
    for (const Field& field : fields) written = written && append_field(out, field.name, field.value);
    if (!written) {
        out.resize(before);
        return false;
    }
    chunked_answer_ = false;
    if (status_has_body(status)) {
        if (content_length) {
            append_content_length(out, *content_length);
        } else if (head_.minor_version >= 1) {
            chunked_answer_ = true;
            out.append("Transfer-Encoding: chunked\r\n");
        } else {
            keep_alive_ = false;
        }
    } else {
        body_allowed_ = false;
    }
    if (server_.draining_) keep_alive_ = false;
    if (!keep_alive_) {
        out.append("Connection: close\r\n");
    } else if (head_.minor_version == 0) {
        out.append("Connection: keep-alive\r\n");
    }
    out.append("\r\n");
    stream_->flush_later();
    return true;
}

void ServerConnection::send(std::string_view piece) {
    if (!body_allowed_ || piece.empty()) return;
    if (chunked_answer_) {
        append_chunk(stream_->output(), piece);
        stream_->flush_later();
    } else {
        stream_->write(piece);
    }
}

void ServerConnection::finish() {
    if (chunked_answer_ && body_allowed_) EE_CHECK(append_last_chunk(stream_->output()));
    stream_->flush_later();
    end_request();
}

void ServerConnection::end_request() {
    EE_CHECK(phase_ == Phase::serving);
    observer_ = nullptr;
    body_view_ = {};
    if (body_.capacity() > 16 * 1024) body_ = {};
    head_text_.clear();
    if (!keep_alive_) {
        phase_ = Phase::ended;
        deadline_.cancel();
        return stream_->close_after_flush(server_.limits_.write_idle_time);
    }
    phase_ = Phase::idle;
    stream_->set_urgency(net::Urgency::normal);
    // A visitor that takes no byte of its answer for this long is cut; otherwise the next request is due.
    written_before_ = stream_->bytes_out();
    deadline_.arm_after(server_.limits_.keep_alive_time);
    if (processing_) return;  // The loop in process() takes the next request.
    if (!output_is_full()) stream_->resume_reading();
    process_buffered();
}

void ServerConnection::cut() {
    observer_ = nullptr;
    phase_ = Phase::ended;
    stream_->abort();
    remove();
}

Upgraded ServerConnection::upgrade(std::string_view response) {
    // Later, what was read ahead would be lost to the new owner.
    EE_CHECK(phase_ == Phase::serving && processing_);
    stream_->write(response);
    phase_ = Phase::ended;
    observer_ = nullptr;
    handed_over_ = stream_.get();
    Upgraded out{std::move(stream_), peer_};
    remove();
    return out;
}

void ServerConnection::refuse(const Error& why) {
    refuse(refusal_status(why.code), why);
}

// What follows on the connection cannot be trusted to begin a request, so it ends.
void ServerConnection::refuse(int status, const Error& why) {
    const std::string body = problem_body(status, why.code, why.detail);
    const std::string request_id = server_.handler_.on_refused(peer_, status, why);
    const Field fields[] = {{"Content-Type", problem_content_type}, {"X-Request-Id", request_id}};
    phase_ = Phase::serving;
    keep_alive_ = false;
    body_allowed_ = true;
    head_.minor_version = 1;
    EE_CHECK(begin(status, fields, body.size()));
    send(body);
    finish();
}

// ---- Ends ----

void ServerConnection::on_drained() {
    if (phase_ == Phase::ended) return;
    if (!many_unread()) stream_->resume_reading();
    process_buffered();
}

void ServerConnection::on_closed(const Error&) {
    phase_ = Phase::ended;
    if (VisitorObserver* observer = std::exchange(observer_, nullptr)) observer->on_visitor_gone();
    remove();
}

void ServerConnection::on_deadline() {
    if (phase_ == Phase::body) return refuse(408, {"request_timeout", "the body did not arrive in time"});
    const bool output_waits = stream_->pending_output() > 0;
    if (output_waits && stream_->bytes_out() != written_before_) {
        written_before_ = stream_->bytes_out();
        deadline_.arm_after(server_.limits_.write_idle_time);
        return;
    }
    if (phase_ == Phase::head && !output_waits)
        return refuse(408, {"request_timeout", "the request's head did not arrive in time"});
    stream_->abort();
    remove();
}

void ServerConnection::remove() {
    deadline_.cancel();
    server_.remove(*this);
}

}  // namespace ee::http
