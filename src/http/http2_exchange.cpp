#include "http/http2_exchange.h"

#include "base/check.h"
#include "base/kept_buffer.h"
#include "http/fields.h"
#include "http/http2_request.h"
#include "http/http2_server_connection.h"
#include "http/problem.h"

namespace ee::http {
namespace {

// RFC 9113 section 8.2.2. Those of an app have gone before.
bool belongs_to_http1(std::string_view name) {
    return is_hop_by_hop(name) || iequals(name, "content-length");
}

}  // namespace

void Http2Exchange::reset(Http2StreamId id) {
    id_ = id;
    phase_ = Phase::serving;
    empty_buffer(head_text_);
    empty_buffer(body_);
    trailers_.clear();
    observer_ = nullptr;
    started_at_ = connection_.server_.loop_.now();
    body_bytes_max_ = 0;
    body_received_ = moved_ = moved_before_ = dropped_ = 0;
    body_follows_ = taking_body_ = body_ended_ = told_to_continue_ = begun_ = false;
    answer_complete_ = is_closed_ = false;
    body_allowed_ = true;
}

const net::Endpoint& Http2Exchange::peer() const {
    return connection_.peer_;
}

bool Http2Exchange::is_tls() const {
    return connection_.stream_->tls() != nullptr;
}

// ---- From the visitor ----

void Http2Exchange::begin_request(const Http2Head& head, bool end) {
    body_allowed_ = head.method != "HEAD";
    if (auto read = read_request(head, end, head_); !read)
        return refuse({.peer = peer(), .status = refusal_status(read.error().code), .why = read.error()});
    body_follows_ = head_.has_body();
    if (!body_follows_) return serve();
    BodyTerms terms = connection_.server_.handler_.body_terms(head_, connection_.peer_);
    claim_ = std::move(terms.claim);
    body_bytes_max_ = terms.bytes_max;
    if (head_.content_length > body_bytes_max_)
        return refuse_head(413, body_too_large(head_.content_length, body_bytes_max_));
    // What follows an extended CONNECT is no body, and has no end to wait for.
    if (terms.streamed || !head_.protocol.empty()) return serve();
    if (!connection_.server_.limits_.has_room(0)) return refuse_head(503, no_room_for_body());
    phase_ = Phase::gathering;
    take_over(head_, head_text_);
    count_gathered();
    if (head_.expect_continue) connection_.session_.interim(id_, 100, {});
    expect_body();
}

void Http2Exchange::serve() {
    phase_ = Phase::serving;
    connection_.server_.handler_.on_request(*this);
    let_go_of_request();
}

void Http2Exchange::receive(std::string_view bytes) {
    moved_ += bytes.size();
    if (phase_ == Phase::gathering) return gather(bytes);
    if (!receives()) return connection_.session_.consume(id_, bytes.size());
    body_received_ += bytes.size();
    if (body_received_ > body_bytes_max_ && head_.protocol.empty())
        return break_off(413, body_too_large(std::nullopt, body_bytes_max_));
    if (!taking_body_ || !body_.empty()) {
        body_.append(bytes);  // At most the stream's window.
    } else {
        observer_->on_body(bytes);
    }
}

void Http2Exchange::gather(std::string_view bytes) {
    connection_.session_.consume(id_, bytes.size());
    if (body_.size() + bytes.size() > body_bytes_max_)
        return refuse_head(413, body_too_large(std::nullopt, body_bytes_max_));
    if (!connection_.server_.limits_.has_room(body_.size() + bytes.size()))
        return refuse_head(503, no_room_for_body());
    body_.append(bytes);
    count_gathered();
    expect_body();
}

void Http2Exchange::count_gathered() {
    gathered_.set(head_.held_with(head_text_) + body_.size());
}

void Http2Exchange::expect_body() {
    const Server& server = connection_.server_;
    body_due_ = server.limits_.body_due(started_at_, body_.size(), server.loop_.now());
    connection_.expect_body(body_due_);
}

void Http2Exchange::end_of_body(std::span<const Field> trailers) {
    if (phase_ == Phase::gathering) {
        body_follows_ = false;
        return serve();
    }
    if (!receives()) return;
    if (taking_body_ && body_.empty()) {
        body_follows_ = false;
        return observer_->on_body_end(trailers);
    }
    body_ended_ = true;
    for (const Field& field : trailers)
        trailers_.push_back({std::string(field.name), std::string(field.value)});
}

void Http2Exchange::take_body() {
    if (!body_follows_ || taking_body_) return;
    EE_CHECK(observer_ != nullptr);
    taking_body_ = true;
    if (head_.expect_continue && !std::exchange(told_to_continue_, true) && !begun_)
        connection_.session_.interim(id_, 100, {});
    connection_.defer(id_);
}

void Http2Exchange::body_consumed(std::size_t bytes) {
    connection_.session_.consume(id_, bytes);
    connection_.stream_->flush_later();
}

// What waited for the end of the turn. The observer may end the exchange within each call.
void Http2Exchange::go_on() {
    if (phase_ != Phase::serving || observer_ == nullptr) return;
    if (dropped_ > 0) observer_->on_written(std::exchange(dropped_, 0));
    if (phase_ != Phase::serving || !receives() || !taking_body_) return;
    if (!body_.empty()) observer_->on_body(std::exchange(body_, {}));
    if (!receives() || !std::exchange(body_ended_, false)) return;
    body_follows_ = false;
    const std::vector<Field> trailers(trailers_.begin(), trailers_.end());
    observer_->on_body_end(trailers);
}

void Http2Exchange::visitor_gone() {
    phase_ = Phase::over;
    let_go_of_request();
    claim_.reset();
    if (ExchangeObserver* observer = std::exchange(observer_, nullptr)) observer->on_visitor_gone();
}

bool Http2Exchange::stream_closed() {
    is_closed_ = true;
    return phase_ == Phase::over;
}

void Http2Exchange::refuse_gathering(int status, const Error& why) {
    if (phase_ == Phase::gathering) refuse_head(status, why);
}

void Http2Exchange::give_up() {
    visitor_gone();
    connection_.session_.reset(id_, http2_code::cancel);
    connection_.forget(id_);
}

void Http2Exchange::taken(std::size_t bytes) {
    moved_ += bytes;
    if (observer_ != nullptr) observer_->on_written(bytes);
}

bool Http2Exchange::is_stalled() {
    const bool has_moved = std::exchange(moved_before_, moved_) != moved_;
    return !has_moved && connection_.session_.queued_bytes(id_) > 0;
}

// ---- The answer ----

bool Http2Exchange::interim(int status, std::span<const Field> fields) {
    EE_CHECK(phase_ == Phase::serving && !begun_ && status >= 100 && status < 200 && status != 101);
    if (status == 100 && std::exchange(told_to_continue_, true)) return true;
    if (!are_valid_fields(fields)) return false;
    connection_.session_.interim(id_, status, fields);
    connection_.stream_->flush_later();
    return true;
}

bool Http2Exchange::begin_answer(int status, std::span<const Field> fields,
                                 std::optional<std::uint64_t> content_length, std::string_view body,
                                 bool end) {
    EE_CHECK(phase_ == Phase::serving && !begun_);
    if (!are_valid_fields(fields)) return false;
    std::vector<Field>& out = connection_.fields_;
    out.clear();
    for (const Field& field : fields)
        if (!belongs_to_http1(field.name)) out.push_back(field);
    std::string digits;
    if (!status_has_body(status)) {
        body_allowed_ = false;
    } else if (content_length) {
        digits = std::to_string(*content_length);
        out.push_back({"content-length", digits});
    }
    if (!body_allowed_) body = {};
    begun_ = true;
    // What has no body ends with its head: for gRPC only such a head is an answer of trailers alone.
    answer_complete_ = end || !body_allowed_;
    connection_.session_.respond(id_, {.status = status, .fields = out}, body, answer_complete_);
    connection_.stream_->flush_later();
    return true;
}

void Http2Exchange::respond(int status, std::span<const Field> fields, std::string_view body) {
    EE_CHECK(begin_answer(status, fields, body.size(), body, true));
    end_answer();
}

bool Http2Exchange::begin(int status, std::span<const Field> fields,
                          std::optional<std::uint64_t> content_length, bool end) {
    return begin_answer(status, fields, content_length, {}, end);
}

void Http2Exchange::send(std::string_view piece) {
    if (piece.empty()) return;
    if (answer_complete_) {
        dropped_ += piece.size();
        if (observer_ != nullptr) connection_.defer(id_);
        return;
    }
    connection_.session_.send_body(id_, piece);
    connection_.stream_->flush_later();
}

void Http2Exchange::finish(std::span<const Field> trailers) {
    EE_CHECK(phase_ == Phase::serving && begun_);
    if (!are_valid_fields(trailers)) return cut();
    if (!answer_complete_) connection_.session_.end_body(id_, trailers);
    connection_.stream_->flush_later();
    end_answer();
}

void Http2Exchange::end_answer() {
    observer_ = nullptr;
    claim_.reset();
    phase_ = Phase::over;
    connection_.answered();
    if (is_closed_) connection_.forget(id_);
}

// Who serves it has what they need of it, or nobody will. The stream may stay for long, and a few bytes of
// HPACK make thousands of a head.
void Http2Exchange::let_go_of_request() {
    constexpr std::size_t kept_fields = 64;
    if (gathered_.bytes() > 0) empty_buffer(body_);
    gathered_.set(0);
    empty_buffer(head_text_);
    if (head_.fields.capacity() > kept_fields) std::vector<Field>().swap(head_.fields);
}

void Http2Exchange::cut() {
    observer_ = nullptr;
    claim_.reset();
    phase_ = Phase::over;
    connection_.session_.reset(id_, http2_code::internal_error);
    connection_.stream_->flush_later();
    connection_.forget(id_);
}

// HTTP/2 has no way to hand its connection over: `head().upgrade` is never set.
Upgraded Http2Exchange::upgrade(std::string_view) {
    EE_CHECK(false);
    return {};
}

// ---- Refusals ----

void Http2Exchange::refuse_head(int status, const Error& why) {
    refuse({.peer = peer(), .status = status, .why = why, .head = &head_});
}

void Http2Exchange::refuse(const Refusal& refusal) {
    const int status = refusal.status;
    const std::string body = problem_body(status, refusal.why.code, refusal.why.detail);
    Refusal told = refusal;
    if (head_.method != "HEAD") told.body_bytes = body.size();
    const std::string request_id = connection_.server_.handler_.on_refused(told);
    const std::string timing =
        connection_.server_.limits_.times_refusals ? server_timing(started_at_) : std::string();
    std::array<Field, 4> fields;
    phase_ = Phase::serving;
    body_follows_ = false;
    respond(status, refusal_fields(status, request_id, timing, fields), body);
    let_go_of_request();
}

// A request that is being served turns out not to be one.
void Http2Exchange::break_off(int status, const Error& why) {
    const bool begun = begun_;
    body_follows_ = false;
    phase_ = Phase::over;
    std::string id;
    if (ExchangeObserver* observer = std::exchange(observer_, nullptr))
        id = observer->on_visitor_broke(status, why);
    const Refusal refusal{.peer = peer(), .status = status, .why = why, .request_id = id};
    if (!begun) return refuse(refusal);
    connection_.server_.handler_.on_refused(refusal);
    cut();
}

}  // namespace ee::http
