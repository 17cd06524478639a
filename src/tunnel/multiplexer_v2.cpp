#include "tunnel/multiplexer_v2.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "base/kept_buffer.h"
#include "http/fields.h"
#include "protocol/messages.h"
#include "tunnel/message_sink.h"

namespace ee::tunnel {
namespace {

using http::Http2StreamId;

constexpr std::size_t settings_frame = 4, window_update_frame = 8;

// An agent without a backend to ask says so in a field of its answer.
constexpr std::string_view error_field = "ee-error";

Http2StreamId wire_id(StreamId id) {
    return static_cast<Http2StreamId>(id);
}

std::optional<Error> failure_of(const http::Http2Head& head) {
    if (head.status != 501 && head.status != 502 && head.status != 504) return std::nullopt;
    const auto word = http::find(head.fields, error_field);
    if (!word) return std::nullopt;
    if (*word == "backend_unreachable")
        return Error{"backend_unreachable", "the agent cannot reach its backend"};
    if (*word == "upgrade_unsupported")
        return Error{"upgrade_unsupported", "the agent's backend takes no WebSocket"};
    if (*word == protocol::backend_timeout)
        return Error{"proxy_timeout", "the backend did not answer in time"};
    return Error{"bad_agent_answer", "the agent says of its backend: " + std::string(*word)};
}

// What a server answers the preface with, in whole frames: SETTINGS, which acknowledge ours too, and more
// window for the connection (RFC 9113 sections 6.5 and 6.9).
constexpr std::size_t greeting_bytes_max = 256;
bool is_greeting(std::string_view frames) {
    constexpr std::size_t head_bytes = 9;
    while (frames.size() >= head_bytes) {
        const auto octet = [&](std::size_t at) -> std::size_t {
            return static_cast<unsigned char>(frames[at]);
        };
        const std::size_t size = head_bytes + (octet(0) << 16 | octet(1) << 8 | octet(2));
        const bool is_known = octet(3) == settings_frame || octet(3) == window_update_frame;
        if (!is_known || size > frames.size()) return false;
        frames.remove_prefix(size);
    }
    return frames.empty();
}

Error reset_error(std::uint32_t code, bool is_draining) {
    if (code == http::http2_code::refused_stream && is_draining)
        return {"tunnel_closed", "the agent took no more requests when this one came"};
    if (code == http::http2_code::refused_stream)
        return {"stream_refused", "the agent had as many requests as it takes when this one came"};
    if (code == http::http2_code::cancel)
        return {"proxy_timeout", "the backend did not go on with its answer in time"};
    return {"bad_agent_answer", fmt::format("the agent gave the answer up (HTTP/2 error {})", code)};
}

}  // namespace

http::Http2Settings MultiplexerV2::settings() const {
    http::Http2Settings settings{.role = http::Http2Settings::Role::client,
                                 .streams_max = static_cast<std::uint32_t>(limits_.streams_max),
                                 .connect_protocol = true,  // So says the tunnel's version.
                                 .first_stream = limits_.first_stream};
    settings.memory = limits_.memory;
    settings.head = {};  // An answer is no longer than a visitor's request.
    return settings;
}

http::Http2Session& MultiplexerV2::session() {
    if (session_) return *session_;
    http::Http2Observer& observer = *this;
    session_ = std::make_unique<http::Http2Session>(settings(), observer);
    std::string said_before;
    if (has_greeted_) session_->pull(said_before, std::numeric_limits<std::size_t>::max());
    // Where it is refused the session is finished: see is_broken().
    if (!greeting_.empty()) static_cast<void>(session_->receive(greeting_));
    release_buffer(greeting_);
    return *session_;
}

// What a session says first, and none of it is kept.
std::size_t MultiplexerV2::greet(http::Http2Sink& sink, std::size_t bytes_max) {
    if (std::exchange(has_greeted_, true)) return 0;
    http::Http2Observer& observer = *this;
    return http::Http2Session(settings(), observer).pull(sink, bytes_max);
}

MultiplexerV2::Stream* MultiplexerV2::find(StreamId id) {
    const auto found = streams_.find(id);
    if (found == streams_.end()) return nullptr;
    found->second.last_active = now_;
    return &found->second;
}

StreamObserver* MultiplexerV2::remove(StreamId id) {
    auto node = streams_.extract(id);
    if (node.empty()) return nullptr;
    StreamObserver* observer = node.mapped().observer;
    spare_.keep(std::move(node));
    return observer;
}

std::size_t MultiplexerV2::stream_limit() const {
    return session_ ? session_->stream_limit() : limits_.streams_max;
}

// ---- From visitors ----

Result<StreamId> MultiplexerV2::open(const StreamRequest& request, StreamObserver& observer, MonoTime now) {
    if (closed_) return fail(*closed_);
    const bool has_body = !request.body.empty() || request.body_follows;
    const auto length =
        request.body_follows ? request.content_length : std::optional<std::uint64_t>(request.body.size());
    fields_.assign(request.fields.begin(), request.fields.end());
    const std::string digits = has_body && length ? std::to_string(*length) : std::string();
    if (!digits.empty()) fields_.push_back({"content-length", digits});
    const http::Http2Head head{.method = request.method,
                               .scheme = request.scheme,
                               .authority = request.authority,
                               .path = request.target,
                               .protocol = request.protocol,
                               .fields = fields_};
    const auto id = session().open(head, request.body, !request.body_follows);
    if (!id) {
        if (id.error().code != "http2_draining") return fail(id.error());
        return fail("tunnel_closed", "the agent takes no new requests");
    }
    now_ = std::max(now_, now);
    const auto stream = static_cast<StreamId>(*id);
    spare_.insert(streams_, stream) = {&observer, now_};
    unsent_.push_back(stream);
    const MonoTime deadline = now_ + limits_.idle_time;
    if (!earliest_deadline_ || deadline < *earliest_deadline_) earliest_deadline_ = deadline;
    return stream;
}

void MultiplexerV2::send_body(StreamId id, std::string_view bytes) {
    if (find(id) != nullptr) session_->send_body(wire_id(id), bytes);
}

void MultiplexerV2::end_body(StreamId id, std::span<const http::Field> trailers) {
    if (find(id) != nullptr) session_->end_body(wire_id(id), trailers);
}

void MultiplexerV2::consumed(StreamId id, std::size_t bytes) {
    if (find(id) != nullptr) session_->consume(wire_id(id), bytes);
}

void MultiplexerV2::cancel(StreamId id) {
    if (remove(id) != nullptr) session_->reset(wire_id(id), http::http2_code::cancel);
}

void MultiplexerV2::shed(StreamId id) {
    if (!streams_.contains(id)) return;
    session_->reset(wire_id(id), http::http2_code::enhance_your_calm);
    fail_stream(id, {"overloaded", "what it held was among the most when the memory for bodies was full"});
}

// ---- From the agent ----

Result<void> MultiplexerV2::receive(std::string_view bytes, MonoTime now) {
    if (closed_) return {};
    now_ = std::max(now_, now);
    if (!session_ && greeting_.size() + bytes.size() <= greeting_bytes_max && is_greeting(bytes)) {
        greeting_.append(bytes);
        return {};
    }
    return session().receive(bytes);
}

std::size_t MultiplexerV2::pull(http::Http2Sink& sink, std::size_t bytes_max) {
    if (!session_) return greet(sink, bytes_max);
    const std::size_t size = session_->pull(sink, bytes_max);
    for (std::size_t i = 0; i < unsent_.size(); ++i) {
        const auto found = streams_.find(unsent_[i]);
        if (found != streams_.end()) found->second.observer->on_sent();
    }
    unsent_.clear();
    return size;
}

void MultiplexerV2::on_head(Http2StreamId id, const http::Http2Head& head, bool end) {
    Stream* stream = find(static_cast<StreamId>(id));
    if (stream == nullptr) return;
    if (const auto failure = failure_of(head)) {
        session_->reset(id, http::http2_code::cancel);
        return fail_stream(static_cast<StreamId>(id), *failure);
    }
    if (head.status > 599) {
        session_->reset(id, http::http2_code::cancel);
        return fail_stream(static_cast<StreamId>(id),
                           {"bad_agent_answer", fmt::format("the answer's status is {}", head.status)});
    }
    // A head that is the end has no body, whatever length it tells of (HEAD, 304).
    const auto length = end ? std::optional<std::uint64_t>(0) : http::content_length(head.fields);
    stream->observer->on_head(head.status, head.fields, length, end);
}

void MultiplexerV2::on_interim(Http2StreamId id, int status, std::span<const http::Field> fields) {
    if (Stream* stream = find(static_cast<StreamId>(id))) stream->observer->on_interim(status, fields);
}

void MultiplexerV2::on_body(Http2StreamId id, std::string_view bytes) {
    if (Stream* stream = find(static_cast<StreamId>(id))) stream->observer->on_body(bytes);
}

// The rest of a request, if any, concerns nobody any more; that of a stream of bytes does.
void MultiplexerV2::on_end(Http2StreamId id, std::span<const http::Field> trailers) {
    const Stream* stream = find(static_cast<StreamId>(id));
    if (stream != nullptr && stream->observer->on_answer_end()) return;
    StreamObserver* observer = remove(static_cast<StreamId>(id));
    if (observer == nullptr) return;
    session_->reset(id, http::http2_code::no_error);  // The observer may open the next one in its place.
    observer->on_end(trailers);
}

void MultiplexerV2::on_reset(Http2StreamId id, std::uint32_t code) {
    fail_stream(static_cast<StreamId>(id), reset_error(code, is_draining()));
}

void MultiplexerV2::on_shed(Http2StreamId id) {
    fail_stream(static_cast<StreamId>(id),
                {"slow_visitor", "what the visitor did not read filled the memory that a tunnel may use"});
}

void MultiplexerV2::on_body_taken(Http2StreamId id, std::size_t bytes) {
    if (Stream* stream = find(static_cast<StreamId>(id))) stream->observer->on_body_taken(bytes);
}

// Of a stream of bytes whose agent's side had ended before.
void MultiplexerV2::on_complete(Http2StreamId id, bool is_whole) {
    StreamObserver* observer = remove(static_cast<StreamId>(id));
    if (observer == nullptr) return;
    if (is_whole) return observer->on_end({});
    observer->on_failed({"bad_agent_answer", "the agent has ended the stream and takes no more of it"});
}

void MultiplexerV2::fail_stream(StreamId id, const Error& error) {
    if (StreamObserver* observer = remove(id)) observer->on_failed(error);
}

// ---- Ends ----

void MultiplexerV2::expire(MonoTime now) {
    now_ = std::max(now_, now);
    if (!earliest_deadline_ || now < *earliest_deadline_) return;
    std::vector<StreamId> ids;
    for (const auto& [id, stream] : streams_)
        if (stream.last_active + limits_.idle_time <= now) ids.push_back(id);
    std::ranges::sort(ids);
    for (const StreamId id : ids) {
        if (!streams_.contains(id)) continue;  // Cancelled by a callback.
        session_->reset(wire_id(id), http::http2_code::cancel);
        fail_stream(id, {"proxy_timeout",
                         fmt::format("nothing came or went for {} s", limits_.idle_time.count() / 1000)});
    }
    earliest_deadline_.reset();
    for (const auto& [id, stream] : streams_) {
        const MonoTime deadline = stream.last_active + limits_.idle_time;
        if (!earliest_deadline_ || deadline < *earliest_deadline_) earliest_deadline_ = deadline;
    }
}

void MultiplexerV2::close(const Error& reason) {
    if (closed_) return;
    closed_ = reason;
    earliest_deadline_.reset();
    while (!streams_.empty()) fail_stream(streams_.begin()->first, reason);
}

}  // namespace ee::tunnel
