#include "agent/http2_connection.h"

#include <algorithm>

#include "agent/http2_call.h"

namespace ee::agent {
namespace {

using http::Field;
using http::Http2StreamId;
using http::RequestFailure;

// What is pulled waits for the socket in the order of its pulling: no more than keeps it busy.
constexpr std::size_t output_bytes_max = 256 * 1024;
// Of an answer that nobody reads, with which even the largest number of streams fits into what a session
// may hold.
constexpr std::uint32_t window_bytes = 256 * 1024;
// So much of a connection's window is enough for a new body, or half of the whole.
constexpr std::int64_t window_left_min = 64 * 1024;

http::Http2Settings session_settings(const BackendSettings& settings) {
    return {.role = http::Http2Settings::Role::client,
            .streams_max = settings.streams_max,
            .window_bytes = window_bytes};
}

}  // namespace

Http2Backend::Connection::Connection(Http2Backend& backend)
    : backend_(backend),
      connector_(backend.loop_, backend.resolver_),
      due_(backend.loop_, [this] { on_due(); }),
      session_(session_settings(backend.settings_), *this) {}

Http2Backend::Connection::~Connection() = default;

// ---- Connecting ----

void Http2Backend::Connection::connect() {
    due_.arm_after(backend_.settings_.connect_time);
    connector_.connect(backend_.settings_.url, backend_.settings_.connect_time,
                       [this](Result<net::Fd> socket) { connected(std::move(socket)); });
}

void Http2Backend::Connection::connected(Result<net::Fd> socket) {
    if (!socket) return lost(socket.error().detail, http::connect_failure(socket.error()));
    stream_ = std::make_shared<net::Stream>(backend_.loop_, std::move(*socket), *this);
    stream_->start();
    flush_later();
}

void Http2Backend::Connection::on_settings() {
    if (is_ready_) return;
    is_ready_ = true;
    due_.arm_after(backend_.settings_.unused_time);
}

void Http2Backend::Connection::on_due() {
    if (!is_ready_) return lost("the backend did not speak HTTP/2 in time", RequestFailure::timed_out);
    close();
}

// ---- Calls ----

bool Http2Backend::Connection::has_room() const {
    return is_ready_ && !is_retired_ && !is_over_ && session_.open_streams() < session_.stream_limit() &&
           !has_unread();
}

bool Http2Backend::Connection::has_unread() const {
    return calls_.empty() && !stream_->is_quiet();
}

bool Http2Backend::Connection::is_clear() const {
    const auto queued = static_cast<std::int64_t>(session_.queued_bytes());
    return bodies_ == 0 && window_left() - queued >= std::min(window_whole_ / 2, window_left_min);
}

Result<Http2StreamId> Http2Backend::Connection::open(Call& call, const http::Http2Head& head,
                                                     std::string_view body, bool end) {
    auto id = session_.open(head, body, end);
    if (!id) {
        if (id.error().code != "upgrade_unsupported") retire();
        return id;
    }
    calls_.emplace(*id, &call);
    if (!call.is_complete()) ++bodies_;
    has_begun_ = true;
    due_.cancel();
    flush_later();
    return id;
}

void Http2Backend::Connection::flush_later() {
    if (stream_) stream_->flush_later();
}

void Http2Backend::Connection::forget(Http2StreamId id) {
    if (take(id) != nullptr) flush_later();
}

void Http2Backend::Connection::retire() {
    is_retired_ = true;
    flush_later();
}

Http2Backend::Call* Http2Backend::Connection::find(Http2StreamId id) const {
    const auto found = calls_.find(id);
    return found == calls_.end() ? nullptr : found->second;
}

Http2Backend::Call* Http2Backend::Connection::take(Http2StreamId id) {
    const auto node = calls_.extract(id);
    if (node.empty()) return nullptr;
    if (!node.mapped()->is_complete()) --bodies_;
    return node.mapped();
}

// ---- The socket ----

void Http2Backend::Connection::on_data(std::span<char> data) {
    if (is_over_) return;
    heard_at_ = backend_.loop_.now();
    const auto received = session_.receive({data.data(), data.size()});
    if (!received) return lost(broken());
    window_whole_ = std::max(window_whole_, window_left());
    flush_later();
    settle();
}

void Http2Backend::Connection::on_flush() {
    if (is_over_) return;
    const std::size_t waiting = stream_->pending_output();
    if (waiting < output_bytes_max && session_.wants_output())
        session_.pull(stream_->output(), output_bytes_max - waiting);
    settle();
}

void Http2Backend::Connection::on_progress() {
    if (session_.wants_output()) stream_->flush_later();
}

bool Http2Backend::Connection::on_input_end() {
    lost("the backend closed the connection");
    return false;
}

void Http2Backend::Connection::on_closed(const Error& why) {
    lost("the backend closed the connection: " + why.detail);
}

// ---- Streams ----

void Http2Backend::Connection::on_head(Http2StreamId id, const http::Http2Head& head, bool end) {
    has_answered_ = true;
    if (Call* call = find(id)) call->on_head(head, end);
}

void Http2Backend::Connection::on_interim(Http2StreamId id, int status, std::span<const Field> fields) {
    if (Call* call = find(id)) call->on_interim(status, fields);
}

void Http2Backend::Connection::on_body(Http2StreamId id, std::string_view bytes) {
    if (Call* call = find(id)) return call->on_body(bytes);
    session_.consume(id, bytes.size());
}

void Http2Backend::Connection::on_end(Http2StreamId id, std::span<const Field> trailers) {
    if (Call* call = find(id)) call->on_end(trailers);
}

void Http2Backend::Connection::on_reset(Http2StreamId id, std::uint32_t code) {
    if (Call* call = take(id)) call->on_reset(code);
}

void Http2Backend::Connection::on_shed(Http2StreamId id) {
    if (Call* call = take(id)) call->on_shed();
}

void Http2Backend::Connection::on_body_taken(Http2StreamId id, std::size_t bytes) {
    if (Call* call = find(id)) call->on_taken(bytes);
}

void Http2Backend::Connection::on_goaway(std::uint32_t) {
    is_retired_ = true;
}

// ---- Ends ----

const char* Http2Backend::Connection::broken() const {
    return is_ready_ ? "the backend broke the HTTP/2 protocol" : "the backend does not speak HTTP/2";
}

void Http2Backend::Connection::settle() {
    if (is_over_) return;
    const bool is_unused = calls_.empty();
    if (session_.is_finished() && !(is_unused && is_ready_)) return lost(broken());
    if (is_unused && is_retired_) return close();
    if (is_unused && is_ready_ && !due_.armed()) due_.arm_after(backend_.settings_.unused_time);
    backend_.dispatch();
}

// Nobody is on it any more.
void Http2Backend::Connection::close() {
    is_over_ = is_retired_ = true;
    due_.cancel();
    session_.goaway(http::http2_code::no_error);
    session_.pull(stream_->output(), output_bytes_max);
    net::Stream::close_in_background(backend_.loop_, std::move(stream_));
    backend_.release(*this);
    if (has_begun_) return backend_.dispatch();
    backend_.on_unreachable("the backend takes no request on the connection", RequestFailure::connecting);
}

void Http2Backend::Connection::lost(const std::string& why, RequestFailure failure) {
    if (is_over_) return;
    is_over_ = is_retired_ = true;
    due_.cancel();
    connector_.cancel();
    if (stream_) stream_->abort();
    backend_.release(*this);
    while (!calls_.empty()) {
        Call& call = *calls_.begin()->second;
        calls_.erase(calls_.begin());
        call.on_lost(why);
    }
    if (has_begun_) return backend_.dispatch();
    backend_.on_unreachable(why, failure);
}

}  // namespace ee::agent
