#include "http/client_connection.h"

#include <algorithm>

#include "base/check.h"
#include "base/kept_buffer.h"
#include "http/http1_writer.h"

namespace ee::http {
namespace {

constexpr std::chrono::seconds connect_timeout{5};
// No server closes a connection sooner that it means to keep.
constexpr std::chrono::milliseconds known_quiet{50};
// Of an answer, handed out and not consumed yet: beyond this the server is not read.
constexpr std::size_t unconsumed_bytes_max = 256 * 1024;

}  // namespace

RequestFailure connect_failure(const Error& why) {
    return why.code == net::connect_timed_out ? RequestFailure::timed_out : RequestFailure::connecting;
}

// Only observers that asked for it get here.
void AnswerObserver::on_upgraded(const ResponseHead&, std::unique_ptr<net::Stream>) {
    EE_CHECK(false);
}

void AnswerObserver::on_opened(const ResponseHead&) {
    EE_CHECK(false);
}

ClientConnection::ClientConnection(net::Loop& loop, net::Resolver& resolver, net::Url target,
                                   std::shared_ptr<const net::TlsContext> tls, Owner* owner)
    : loop_(loop),
      target_(std::move(target)),
      tls_(std::move(tls)),
      owner_(owner),
      connector_(loop, resolver),
      deadline_(loop, [this] { on_deadline(); }) {}

// ---- The request ----

void ClientConnection::begin(const OutgoingRequest& request, AnswerObserver& observer) {
    EE_CHECK(!busy_);
    busy_ = true;
    observer_ = &observer;
    asked_ = request.asked;
    body_ = request.body;
    body_left_ = request.body_length;
    request_done_ = request.body == Framing::none;
    may_upgrade_ = request.may_upgrade;
    by_progress_ = request.deadline == OutgoingRequest::Deadline::progress;
    time_ = request.time;
    unreported_ = 0;
    answer_began_ = in_body_ = reusable_ = false;
    note_progress();
    used_before_ = stream_ != nullptr;
    if (stream_) {
        deadline_.arm_after(time_);
        return stream_->write(request.text);
    }
    deadline_.arm_after(by_progress_ ? connect_timeout : time_);
    unsent_ = request.text;
    connector_.connect(target_, connect_timeout,
                       [this](Result<net::Fd> socket) { connected(std::move(socket)); });
}

void ClientConnection::connected(Result<net::Fd> socket) {
    if (!socket) return fail_request(connect_failure(socket.error()), socket.error().detail);
    auto session = tls_ ? std::make_unique<net::TlsSession>(tls_, target_.host) : nullptr;
    stream_ = std::make_unique<net::Stream>(loop_, std::move(*socket), *this, std::move(session));
    stream_->start();
    stream_->write(unsent_);
    release_buffer(unsent_);
    if (!tls_) connection_is_ready();
}

void ClientConnection::on_secured() {
    connection_is_ready();
}

void ClientConnection::connection_is_ready() {
    secured_ = true;
    note_progress();
    if (busy_ && by_progress_) deadline_.arm_after(time_);
}

bool ClientConnection::send_body(std::string_view bytes) {
    EE_CHECK(busy_ && !request_done_);
    if (bytes.empty()) return true;
    if (body_ == Framing::length && bytes.size() > body_left_) {
        cancel();
        return false;
    }
    if (stream_ && stream_->pending_output() == 0) note_progress();  // Nothing was owed until now.
    unreported_ += bytes.size();
    if (body_ == Framing::chunked) {
        append_chunk(output(), bytes);
    } else {
        body_left_ -= bytes.size();
        output().append(bytes);
    }
    if (stream_) stream_->flush_later();
    return true;
}

bool ClientConnection::end_body(std::span<const Field> trailers) {
    EE_CHECK(busy_ && !request_done_);
    const bool complete = body_ == Framing::chunked ? append_last_chunk(output(), trailers) : body_left_ == 0;
    if (!complete) {
        cancel();
        return false;
    }
    request_done_ = true;
    note_progress();
    if (stream_) stream_->flush_later();
    return true;
}

void ClientConnection::on_progress() {
    note_progress();
    if (!busy_ || unreported_ == 0) return;
    if (const std::size_t written = stream_->take_written(unreported_)) observer_->on_written(written);
}

bool ClientConnection::is_quiet() const {
    return stream_ && (loop_.now() - progress_at_ < known_quiet || stream_->is_quiet());
}

void ClientConnection::cancel() {
    busy_ = in_body_ = reusable_ = false;
    observer_ = nullptr;
    deadline_.cancel();
    connector_.cancel();
    if (stream_) stream_->abort();
}

// ---- The answer ----

void ClientConnection::on_data(std::span<char> data) {
    const std::string_view input(data.data(), data.size());
    if (!busy_) {  // An answer to no request.
        stream_->abort();
        return on_closed({"connection_lost", "the server spoke unasked"});
    }
    answer_began_ = true;
    note_progress();
    if (in_body_)
        take_body(input);
    else
        take_heads(input);
}

void ClientConnection::take_heads(std::string_view input) {
    if (!input_.empty()) {
        input_.append(input);
        input = input_;
    }
    while (!input.empty()) {
        const auto size = parser_.parse(input, asked_, head_);
        if (!size)
            return fail_request(RequestFailure::broken,
                                "the answer is not valid HTTP: " + size.error().detail);
        if (*size == 0) {
            if (input.data() != input_.data()) input_.assign(input);
            return;
        }
        const std::string_view rest = input.substr(*size);
        if (!head_.interim()) return take_answer(input.substr(0, *size), rest);
        observer_->on_interim(head_);
        if (!busy_) return;
        input = rest;
    }
    input_.clear();
}

// The views of both, and of the head, live to the end of this call.
void ClientConnection::take_answer(std::string_view head, std::string_view rest) {
    if (head_.status == 101) return hand_over(rest);
    decoder_ = BodyDecoder(head_);
    unconsumed_ = 0;
    keep_head_ = false;
    in_body_ = true;
    observer_->on_head(head_);
    if (in_body_) take_body(rest);
    if (in_body_ && keep_head_) {
        head_text_.assign(head);
        ResponseParser again;
        EE_CHECK(again.parse(head_text_, asked_, head_).has_value());
    }
    input_.clear();
}

void ClientConnection::hand_over(std::string_view rest) {
    if (!may_upgrade_ || !request_done_)
        return fail_request(RequestFailure::broken, "the server switches protocols, which nobody asked for");
    busy_ = false;
    deadline_.cancel();
    stream_->put_back(rest);
    std::exchange(observer_, nullptr)->on_upgraded(head_, std::move(stream_));
    input_.clear();
}

void ClientConnection::take_body(std::string_view input) {
    while (!decoder_.done() && !input.empty()) {
        const auto step = decoder_.next(input);
        if (!step)
            return fail_request(RequestFailure::broken,
                                "the answer is not framed as it says: " + step.error().detail);
        input.remove_prefix(step->consumed);
        if (step->data.empty()) continue;
        unconsumed_ += step->data.size();
        observer_->on_body(step->data);
        if (!in_body_) return;
    }
    if (decoder_.done()) return complete(input.empty());
    regulate_reading();
}

void ClientConnection::body_consumed(std::size_t bytes) {
    EE_CHECK(bytes <= unconsumed_);
    unconsumed_ -= bytes;
    if (in_body_) regulate_reading();
}

void ClientConnection::regulate_reading() {
    if (unconsumed_ > unconsumed_bytes_max) return stream_->pause_reading();
    if (stream_->is_paused()) note_progress();  // Nothing was owed while we did not read.
    stream_->resume_reading();
}

// The last call to the observer: it may begin another request within it.
void ClientConnection::complete(bool nothing_behind) {
    deadline_.cancel();
    reusable_ = head_.keep_alive && nothing_behind && request_done_ && stream_->pending_output() == 0;
    stream_->resume_reading();  // To hear when it closes.
    busy_ = in_body_ = false;
    std::exchange(observer_, nullptr)->on_end(decoder_.trailers());
}

// ---- Ends ----

// Whether the body's end is that of the connection. Only a clean one is: after a reset nobody knows what was
// still to come.
bool ClientConnection::ends_with_the_connection() {
    return in_body_ && decoder_.finish().has_value();
}

// The server may have answered without waiting for the body that we still send.
bool ClientConnection::on_input_end() {
    if (ends_with_the_connection())
        complete(false);
    else
        fail_request(answer_began_ ? RequestFailure::broken : RequestFailure::silent,
                     "the server closed the connection");
    return false;
}

void ClientConnection::on_closed(const Error& why) {
    reusable_ = false;
    if (!busy_) {
        if (owner_ != nullptr) owner_->on_idle_close(*this);
        return;
    }
    if (why.code == "closed" && ends_with_the_connection()) return complete(false);
    if (tls_ && !secured_) return fail_request(RequestFailure::connecting, "no TLS session: " + why.detail);
    fail_request(answer_began_ ? RequestFailure::broken : RequestFailure::silent,
                 "the server closed the connection: " + why.detail);
}

// While nothing is owed the time does not run: a request's body that pauses, or an answer that is not
// consumed.
bool ClientConnection::owes_us() const {
    return stream_->pending_output() > 0 || (request_done_ && unconsumed_ <= unconsumed_bytes_max);
}

void ClientConnection::on_deadline() {
    if (!by_progress_) return fail_request(RequestFailure::timed_out, "the server did not answer in time");
    if (!stream_ || !secured_) return fail_request(RequestFailure::timed_out, "no connection in time");
    const auto idle = owes_us() ? loop_.now() - progress_at_ : std::chrono::nanoseconds(0);
    if (idle >= time_) return fail_request(RequestFailure::timed_out, "the server did nothing in time");
    deadline_.arm_after(time_ - idle);
}

void ClientConnection::fail_request(RequestFailure failure, const std::string& why) {
    if (!busy_) return;
    AnswerObserver* observer = observer_;
    cancel();
    observer->on_failure(failure, why);
}

}  // namespace ee::http
