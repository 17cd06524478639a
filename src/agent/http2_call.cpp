#include "agent/http2_call.h"

#include <algorithm>

#include "agent/http2_connection.h"
#include "base/check.h"
#include "base/kept_buffer.h"
#include "http/fields.h"

namespace ee::agent {

using http::Field;
using http::RequestFailure;
namespace http2_code = http::http2_code;

namespace {

// A body up to so long is kept until the answer begins, for a backend that refuses the stream.
constexpr std::size_t kept_body_max = 64 * 1024;
constexpr int sendings_max = 3;

}  // namespace

Http2Backend::Call::Call(Http2Backend& backend, http::AnswerObserver& observer, CallDeadline deadline)
    : backend_(backend),
      observer_(observer),
      deadline_(deadline),
      due_(backend.loop_, [this] { on_due(); }) {}

// ---- Beginning ----

void Http2Backend::Call::begin(const BackendRequest& request) {
    self_ = shared_from_this();
    ++backend_.open_;
    note_progress();
    due_.arm_after(deadline_.time);
    is_idempotent_ = is_idempotent(request.method);
    body_follows_ = request.body_follows;
    is_complete_ = !request.body_follows && !request.websocket;
    if (request.body_follows) body_left_ = request.content_length;
    if (const auto taken = request_.take(request, backend_.settings_.url); !taken) {
        backend_.begun_.push_back(*this);
        return fail_later(RequestFailure::unwritable, taken.error().detail);
    }
    body_.assign(request.body);
    backend_.enqueue(*this);
}

void Http2Backend::Call::own(std::unique_ptr<WholeCall> whole) {
    whole_ = std::move(whole);
    whole_->answer().expect_from(*this);
}

void Http2Backend::Call::wait_in(net::List<Call>& queue, std::size_t& count) {
    queue.push_back(*this);
    queue_ = &++count;
}

void Http2Backend::Call::leave_queue() {
    unlink();
    if (queue_ != nullptr) --*std::exchange(queue_, nullptr);
}

void Http2Backend::Call::start_on(Connection& connection) {
    const bool is_whole = is_complete_ && trailers_.empty();
    on_used_connection_ = connection.has_answered();
    const auto id = connection.open(*this, request_.head(), body_, is_whole);
    if (!id) {
        if (id.error().code == "upgrade_unsupported")
            return fail_later(RequestFailure::unsupported, id.error().detail);
        return backend_.enqueue(*this);
    }
    connection_ = &connection;
    stream_ = *id;
    ++sendings_;
    to_skip_ = reported_;
    if (is_complete_ && !is_whole) {
        const std::vector<Field> trailers(trailers_.begin(), trailers_.end());
        connection.session().end_body(stream_, trailers);
    }
    if (body_.size() > kept_body_max) release_request();
    note_progress();
}

// ---- The request ----

bool Http2Backend::Call::send_body(std::string_view bytes) {
    EE_CHECK(!is_complete_);
    if (is_doomed_ || bytes.empty()) return true;
    if (body_left_) {
        if (bytes.size() > *body_left_) {
            cancel();
            return false;
        }
        *body_left_ -= bytes.size();
    }
    if (connection_ == nullptr) {
        body_.append(bytes);
        return true;
    }
    if (body_.size() + bytes.size() > kept_body_max) release_request();
    if (keeps_body_) body_.append(bytes);
    http::Http2Session& session = connection_->session();
    if (session.queued_bytes(stream_) == 0) note_progress();  // Nothing was owed until now.
    session.send_body(stream_, bytes);
    connection_->flush_later();
    return true;
}

bool Http2Backend::Call::end_body(std::span<const Field> trailers) {
    EE_CHECK(!is_complete_);
    if (is_doomed_) return true;
    if (body_left_.value_or(0) != 0 || !http::are_valid_fields(trailers)) {
        cancel();
        return false;
    }
    is_complete_ = true;
    note_progress();
    if (keeps_body_)
        for (const Field& field : trailers)
            trailers_.push_back({std::string(field.name), std::string(field.value)});
    if (connection_ == nullptr) return true;
    connection_->body_ended();
    connection_->session().end_body(stream_, trailers);
    connection_->flush_later();
    return true;
}

void Http2Backend::Call::on_taken(std::size_t bytes) {
    note_progress();
    const std::size_t skipped = std::min(bytes, to_skip_);
    to_skip_ -= skipped;
    reported_ += bytes - skipped;
    const bool is_given_in_pieces = body_follows_ || request_.is_websocket();
    if (is_given_in_pieces && bytes > skipped) observer_.on_written(bytes - skipped);
}

void Http2Backend::Call::cancel() {
    if (!is_over()) end(http2_code::cancel);
}

// It is not sent again from here on.
void Http2Backend::Call::release_request() {
    keeps_body_ = false;
    release_buffer(body_);
    trailers_.clear();
}

// ---- Ends ----

bool Http2Backend::Call::may_be_sent_again() const {
    return !is_answered_ && keeps_body_ && sendings_ < sendings_max;
}

void Http2Backend::Call::send_again() {
    unlink();
    backend_.enqueue(*this);
}

void Http2Backend::Call::on_reset(std::uint32_t code) {
    connection_ = nullptr;
    if (code == http2_code::refused_stream) {  // It was not looked at (RFC 9113 section 8.7).
        if (may_be_sent_again()) return send_again();
        return fail(RequestFailure::silent, "the backend refused the request");
    }
    fail(RequestFailure::broken, "the backend reset the stream (HTTP/2 error " + std::to_string(code) + ")");
}

void Http2Backend::Call::on_shed() {
    connection_ = nullptr;
    fail(RequestFailure::broken, "too much of the backend's answers is not read");
}

// A connection that served before and ends was most likely closed before our request came.
void Http2Backend::Call::on_lost(const std::string& why) {
    connection_ = nullptr;
    if (is_idempotent_ && !body_follows_ && !request_.is_websocket() && on_used_connection_ &&
        sendings_ == 1 && may_be_sent_again())
        return send_again();
    fail(is_answered_ ? RequestFailure::broken : RequestFailure::silent, why);
}

void Http2Backend::Call::note_progress() {
    progress_at_ = backend_.loop_.now();
}

// While nothing is owed the time does not run: a request's body that pauses, an answer that is not consumed,
// an open WebSocket.
bool Http2Backend::Call::backend_owes() const {
    if (connection_ == nullptr || connection_->session().queued_bytes(stream_) > 0) return true;
    return unconsumed_ == 0 && (is_complete_ || (request_.is_websocket() && !is_answered_));
}

void Http2Backend::Call::on_due() {
    const auto idle = backend_.loop_.now() - progress_at_;
    if (deadline_.is_by_progress) {
        const auto owed = backend_owes() ? idle : std::chrono::nanoseconds(0);
        if (owed < deadline_.time) return due_.arm_after(deadline_.time - owed);
    }
    // A connection that has been silent all the time may be dead: no more is asked there.
    if (connection_ != nullptr && connection_->heard_at() <= progress_at_) connection_->retire();
    fail(RequestFailure::timed_out, connection_ == nullptr ? "no connection took the request in time"
                                                           : "the backend did not answer in time");
}

void Http2Backend::Call::fail(RequestFailure failure, const std::string& why) {
    if (is_over()) return;
    end(http2_code::cancel);
    observer_.on_failure(failure, why);
}

void Http2Backend::Call::fail_later(RequestFailure failure, std::string why) {
    is_doomed_ = true;
    backend_.loop_.post([call = weak_from_this(), failure, why = std::move(why)] {
        if (const std::shared_ptr<Call> open = call.lock()) open->fail(failure, why);
    });
}

// The last call to the observer may still be on the stack, or to come: the loop lets go at the end of the
// turn.
void Http2Backend::Call::end(std::uint32_t code) {
    leave_queue();
    due_.cancel();
    --backend_.open_;
    if (Connection* connection = std::exchange(connection_, nullptr)) {
        connection->session().reset(stream_, code);
        connection->forget(stream_);
    }
    backend_.loop_.dispose(std::exchange(self_, nullptr));
}

}  // namespace ee::agent
