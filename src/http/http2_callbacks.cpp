#include "http/http2_callbacks.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "base/kept_buffer.h"

namespace ee::http {
namespace {

struct DeleteCallbacks {
    void operator()(nghttp2_session_callbacks* callbacks) const { nghttp2_session_callbacks_del(callbacks); }
};
struct DeleteOption {
    void operator()(nghttp2_option* option) const { nghttp2_option_del(option); }
};

std::string_view text(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

// Of an RST_STREAM that this side sends: it answers what the peer did wrong on the stream.
bool is_peers_error(std::uint32_t code) {
    switch (code) {
        case NGHTTP2_PROTOCOL_ERROR:
        case NGHTTP2_FLOW_CONTROL_ERROR:
        case NGHTTP2_STREAM_CLOSED:
        case NGHTTP2_FRAME_SIZE_ERROR:
        case NGHTTP2_COMPRESSION_ERROR: return true;
        default: return false;
    }
}

}  // namespace

nghttp2_session* Http2Session::Callbacks::make(const Http2Settings& settings, Http2Session& self) {
    nghttp2_session_callbacks* made_callbacks = nullptr;
    nghttp2_option* made_option = nullptr;
    EE_CHECK(nghttp2_session_callbacks_new(&made_callbacks) == 0 && nghttp2_option_new(&made_option) == 0);
    const std::unique_ptr<nghttp2_session_callbacks, DeleteCallbacks> callbacks(made_callbacks);
    const std::unique_ptr<nghttp2_option, DeleteOption> option(made_option);
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks.get(), on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks.get(), on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks.get(), on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks.get(), on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks.get(), on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks.get(), on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks.get(), on_frame_send);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks.get(), on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(callbacks.get(), send_body);
    nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks.get(), frame_size);
    nghttp2_option_set_no_auto_window_update(option.get(), 1);
    nghttp2_option_set_no_closed_streams(option.get(), settings.is_strict ? 0 : 1);
    // RFC 9113 section 6.5.2: without limit until the peer's SETTINGS come.
    nghttp2_option_set_peer_max_concurrent_streams(option.get(), settings.streams_max);
    nghttp2_option_set_max_send_header_block_length(option.get(), 2 * settings.head.bytes_max);
    // It knows only of those that are received: on_peer_reset() tells of all.
    constexpr auto no_limit = std::numeric_limits<std::uint64_t>::max();
    nghttp2_option_set_stream_reset_rate_limit(option.get(), no_limit, no_limit);
    nghttp2_session* session = nullptr;
    const auto make_session = settings.role == Http2Settings::Role::server ? nghttp2_session_server_new2
                                                                           : nghttp2_session_client_new2;
    EE_CHECK(make_session(&session, callbacks.get(), &self, option.get()) == 0);
    return session;
}

nghttp2_data_provider Http2Session::Callbacks::provider(Stream& stream) {
    return {.source = {.ptr = &stream}, .read_callback = read_body};
}

Http2Session::Stream* Http2Session::Callbacks::stream_of(void* user_data, std::int32_t id) {
    const auto& streams = self(user_data).streams_;
    const auto found = streams.find(id);
    return found == streams.end() ? nullptr : found->second.get();
}

// ---- Receiving ----

// A stream that is older than the newest one and was never begun (RFC 9113 section 5.1.1): nghttp2, which
// knows those that ended not long ago, would pass it over.
int Http2Session::Callbacks::on_begin_frame(nghttp2_session* nghttp2, const nghttp2_frame_hd* header,
                                            void* user_data) {
    Http2Session& session = self(user_data);
    if (session.settings_.is_strict && header->type == NGHTTP2_HEADERS &&
        header->stream_id < session.last_request_ &&
        nghttp2_session_find_stream(nghttp2, header->stream_id) == nullptr)
        nghttp2_session_terminate_session(nghttp2, NGHTTP2_PROTOCOL_ERROR);
    if (header->type != NGHTTP2_CONTINUATION)
        session.unfinished_head_ = header->type == NGHTTP2_HEADERS ? header->stream_id : 0;
    session.bound_waiting_frames();
    return 0;
}

int Http2Session::Callbacks::on_begin_headers(nghttp2_session* nghttp2, const nghttp2_frame* frame,
                                              void* user_data) {
    Http2Session& session = self(user_data);
    session.collected_.clear();
    const bool is_request = frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
    if (!is_request || session.settings_.role != Http2Settings::Role::server) return 0;
    session.last_request_ = frame->hd.stream_id;
    // Behind a GOAWAY that has not left, as behind one that has: a peer that does not read it must not go on.
    if (session.has_said_goaway_) {
        nghttp2_submit_rst_stream(nghttp2, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;  // Its head is decoded, and nobody hears of it.
    }
    session.add(frame->hd.stream_id);
    return 0;
}

int Http2Session::Callbacks::on_header(nghttp2_session*, const nghttp2_frame*, const std::uint8_t* name,
                                       std::size_t name_size, const std::uint8_t* value,
                                       std::size_t value_size, std::uint8_t, void* user_data) {
    const bool goes_on = self(user_data).collect(text(name, name_size), text(value, value_size));
    return goes_on ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

// A field that is not well formed is not passed over: who is behind us might read it otherwise.
int Http2Session::Callbacks::on_invalid_header(nghttp2_session*, const nghttp2_frame*, const std::uint8_t*,
                                               std::size_t name_size, const std::uint8_t*,
                                               std::size_t value_size, std::uint8_t, void* user_data) {
    self(user_data).collected_.is_malformed = true;
    return self(user_data).is_bomb(name_size + value_size) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

int Http2Session::Callbacks::on_frame_recv(nghttp2_session*, const nghttp2_frame* frame, void* user_data) {
    Http2Session& session = self(user_data);
    const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    switch (frame->hd.type) {
        case NGHTTP2_HEADERS:
            session.unfinished_head_ = 0;
            if (Stream* stream = stream_of(user_data, frame->hd.stream_id)) session.on_headers(*stream, end);
            break;
        case NGHTTP2_DATA:
            if (Stream* stream = stream_of(user_data, frame->hd.stream_id); stream != nullptr && end)
                session.on_data_end(*stream);
            break;
        case NGHTTP2_RST_STREAM: session.observer_.on_peer_reset(); break;
        case NGHTTP2_PING:
            if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) session.on_pong(frame->ping.opaque_data);
            break;
        case NGHTTP2_SETTINGS:
            if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) break;
            session.has_peer_settings_ = true;
            session.observer_.on_settings();
            break;
        case NGHTTP2_GOAWAY: session.on_goaway(frame->goaway.error_code); break;
        default: break;
    }
    return 0;
}

int Http2Session::Callbacks::on_data_chunk(nghttp2_session*, std::uint8_t, std::int32_t id,
                                           const std::uint8_t* data, std::size_t size, void* user_data) {
    if (Stream* stream = stream_of(user_data, id)) self(user_data).on_bytes(*stream, text(data, size));
    return 0;
}

int Http2Session::Callbacks::on_stream_close(nghttp2_session*, std::int32_t id, std::uint32_t code,
                                             void* user_data) {
    if (self(user_data).unfinished_head_ == id) self(user_data).unfinished_head_ = 0;
    if (Stream* stream = stream_of(user_data, id)) self(user_data).on_closed(*stream, code);
    return 0;
}

// ---- Sending ----

// A server that has answered before the request was complete wants no more of it (RFC 9113 section 8.1).
int Http2Session::Callbacks::on_frame_send(nghttp2_session* nghttp2, const nghttp2_frame* frame,
                                           void* user_data) {
    if (frame->hd.type == NGHTTP2_RST_STREAM && is_peers_error(frame->rst_stream.error_code))
        self(user_data).observer_.on_peer_reset();
    const bool may_end = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    if (!may_end || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    Stream* stream = stream_of(user_data, frame->hd.stream_id);
    if (stream == nullptr) return 0;
    stream->is_sent = true;
    if (self(user_data).settings_.role == Http2Settings::Role::server && !stream->is_ended &&
        !stream->is_given_up && !stream->keeps_receiving) {
        nghttp2_submit_rst_stream(nghttp2, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_NO_ERROR);
        stream->is_ended = true;
    }
    return 0;
}

ssize_t Http2Session::Callbacks::read_body(nghttp2_session* session, std::int32_t id, std::uint8_t*,
                                           std::size_t size, std::uint32_t* flags,
                                           nghttp2_data_source* source, void*) {
    Stream& stream = *static_cast<Stream*>(source->ptr);
    const std::size_t ready = std::min(stream.queued(), size);
    const bool is_last = stream.is_body_complete && ready == stream.queued();
    // One that was given up must not end as if it were complete.
    if (stream.is_given_up || (ready == 0 && !is_last)) {
        stream.is_waiting = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (!is_last) return static_cast<ssize_t>(ready);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream.trailers.empty()) return static_cast<ssize_t>(ready);
    std::vector<nghttp2_nv> block;
    for (const OwnedField& field : stream.trailers) block.push_back(name_value(field.name, field.value));
    if (nghttp2_submit_trailer(session, id, block.data(), block.size()) == 0)
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    return static_cast<ssize_t>(ready);
}

int Http2Session::Callbacks::send_body(nghttp2_session*, nghttp2_frame*, const std::uint8_t* header,
                                       std::size_t size, nghttp2_data_source* source, void* user_data) {
    constexpr std::size_t header_size = 9;
    Http2Session& session = self(user_data);
    Stream& stream = *static_cast<Stream*>(source->ptr);
    session.sink_->write(text(header, header_size));
    session.sink_->write(std::string_view(stream.out).substr(stream.out_at, size));
    session.pulled_ += header_size + size;
    session.queued_ -= size;
    stream.out_at += size;
    drop_taken(stream.out, stream.out_at);
    if (size > 0) {
        if (stream.taken == 0) session.taken_.push_back(stream.id);
        stream.taken += size;
    }
    return session.pulled_ >= session.pull_max_ ? NGHTTP2_ERR_PAUSE : 0;
}

ssize_t Http2Session::Callbacks::frame_size(nghttp2_session*, std::uint8_t, std::int32_t,
                                            std::int32_t session_window, std::int32_t stream_window,
                                            std::uint32_t frame_max, void*) {
    const auto window = static_cast<std::uint32_t>(std::max(1, std::min(session_window, stream_window)));
    return std::min({window, frame_max, std::uint32_t{64 * 1024}});
}

}  // namespace ee::http
