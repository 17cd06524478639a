// Answers, and what becomes of the connection behind them.

#include <algorithm>

#include "base/check.h"
#include "base/kept_buffer.h"
#include "http/fields.h"
#include "http/http1_writer.h"
#include "http/problem.h"
#include "http/server_connection.h"

namespace ee::http {

bool ServerConnection::interim(int status, std::span<const Field> fields) {
    EE_CHECK(phase_ == Phase::serving && !begun_ && status >= 100 && status < 200 && status != 101);
    if (head_.minor_version == 0) return true;  // RFC 9110 section 15.2.
    if (status == 100 && std::exchange(told_to_continue_, true)) return true;
    if (!append_response_head(stream_->output(), status, fields)) return false;
    stream_->flush_later();
    expect_taken();
    return true;
}

void ServerConnection::respond(int status, std::span<const Field> fields, std::string_view body) {
    if (body_follows_ && !rest_is_small()) keep_alive_ = false;
    EE_CHECK(begin(status, fields, body.size(), body.empty()));
    send(body);
    finish({});
}

// Where the answer ends is what its length says.
bool ServerConnection::begin(int status, std::span<const Field> fields,
                             std::optional<std::uint64_t> content_length, bool) {
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
    // RFC 9110 section 10.1.1: a body that nobody asked for may come or not.
    const bool unasked_body = body_follows_ && head_.expect_continue && !told_to_continue_;
    if (server_.draining_ || unasked_body) keep_alive_ = false;
    if (!keep_alive_) {
        out.append("Connection: close\r\n");
    } else if (head_.minor_version == 0) {
        out.append("Connection: keep-alive\r\n");
    }
    out.append("\r\n");
    begun_ = true;
    stream_->flush_later();
    return true;
}

void ServerConnection::send(std::string_view piece) {
    if (piece.empty()) return;
    unreported_ += piece.size();
    if (!body_allowed_) {
        if (observer_ != nullptr) server_.loop_.defer(*this);  // To report it.
        return;
    }
    if (chunked_answer_) {
        append_chunk(stream_->output(), piece);
        stream_->flush_later();
    } else {
        stream_->write(piece);
    }
    expect_taken();
}

// An answer without an observer ends before its request's call does, and with it comes a deadline.
void ServerConnection::expect_taken() {
    if (observer_ != nullptr && !deadline_.armed()) arm_deadline(server_.limits_.write_idle_time);
}

void ServerConnection::report_written() {
    if (observer_ == nullptr || unreported_ == 0) return;
    if (const std::size_t written = stream_->take_written(unreported_)) observer_->on_written(written);
}

void ServerConnection::finish(std::span<const Field> trailers) {
    if (chunked_answer_ && body_allowed_) {
        if (!head_.accepts_trailers) trailers = {};
        if (!append_last_chunk(stream_->output(), trailers)) return cut();
    }
    stream_->flush_later();
    end_request();
}

void ServerConnection::end_request() {
    EE_CHECK(phase_ == Phase::serving);
    observer_ = nullptr;
    body_view_ = {};
    empty_buffer(body_);
    gathered_.set(0);
    claim_.reset();
    head_text_.clear();
    if (body_follows_ && decoder_.done()) body_follows_ = false;
    if (!keep_alive_ || (body_follows_ && !rest_is_small())) return end_after_flush();
    phase_ = body_follows_ ? Phase::discarding : Phase::idle;
    discarded_ = 0;
    stream_->set_urgency(net::Urgency::normal);
    // A visitor that takes no byte of its answer for this long is cut; otherwise the next request is due.
    arm_deadline(server_.limits_.keep_alive_time);
    if (!processing_) process_buffered();  // Else the loop in process() takes the next request.
}

// The visitor may still be sending: that is read and thrown away, so that no reset takes the answer from it
// (RFC 9112 section 9.6).
void ServerConnection::end_after_flush() {
    phase_ = Phase::ended;
    deadline_.cancel();
    stream_->close_after_flush(server_.limits_.write_idle_time);
}

void ServerConnection::cut() {
    observer_ = nullptr;
    phase_ = Phase::ended;
    stream_->abort();
    remove();
}

Upgraded ServerConnection::upgrade(std::string_view response) {
    EE_CHECK(phase_ == Phase::serving && !begun_ && !body_follows_);
    stream_->write(response);
    phase_ = Phase::ended;
    observer_ = nullptr;
    handed_over_ = stream_.get();
    stream_->resume_reading();
    // What was read ahead; within on_request() it is the rest of the input, which keep_unread() puts back.
    stream_->put_back(std::exchange(unread_, {}));
    Upgraded out{std::move(stream_), peer_};
    remove();
    return out;
}

// ---- Refusals ----

// What follows on the connection cannot be trusted to begin a request, so it ends.
void ServerConnection::refuse(const Refusal& refusal) {
    const int status = refusal.status;
    const std::string body = problem_body(status, refusal.why.code, refusal.why.detail);
    Refusal told = refusal;
    told.body_bytes = body.size();
    const std::string request_id = server_.handler_.on_refused(told);
    const std::string timing = server_.limits_.times_refusals ? server_timing(started_at_) : std::string();
    std::array<Field, 4> fields;
    phase_ = Phase::serving;
    keep_alive_ = false;
    body_allowed_ = true;
    head_.minor_version = 1;
    EE_CHECK(begin(status, refusal_fields(status, request_id, timing, fields), body.size(), false));
    send(body);
    finish({});
}

// Before anybody is asked to serve it.
void ServerConnection::refuse_head(int status, const Error& why) {
    refuse({.peer = peer_, .status = status, .why = why, .head = &head_});
}

// A request that is being served turns out not to be one. Its answer cannot be taken back once it has begun.
void ServerConnection::break_off(int status, const Error& why) {
    const bool begun = begun_;
    body_follows_ = false;
    std::string id;
    if (ExchangeObserver* observer = std::exchange(observer_, nullptr))
        id = observer->on_visitor_broke(status, why);
    if (phase_ == Phase::ended) return;
    const Refusal refusal{.peer = peer_, .status = status, .why = why, .request_id = id};
    if (!begun) return refuse(refusal);
    server_.handler_.on_refused(refusal);
    cut();
}

}  // namespace ee::http
