#pragma once
// Between Http2Session and nghttp2, for the session's own files: no other code sees nghttp2.

#include <nghttp2/nghttp2.h>

#include "http/http2_session.h"

namespace ee::http {

// Borrows both.
inline nghttp2_nv name_value(std::string_view name, std::string_view value) {
    const auto octets = [](std::string_view text) {
        return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
    };
    return {octets(name), octets(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

struct Http2Session::Stream {
    Http2StreamId id = 0;
    std::string out;         // Our body, as far as it is known and from out_at on not yet pulled.
    std::size_t out_at = 0;  // Less than half of a large buffer.
    std::vector<OwnedField> trailers;
    std::size_t taken = 0;  // Pulled, and not yet told.
    std::size_t unconsumed = 0;
    std::uint64_t received = 0;  // Since the last look at the window.
    std::uint32_t window = 0;
    bool has_head = false;          // The peer's.
    bool is_ended = false;          // The peer's side.
    bool is_answered = false;       // Our head was given (server).
    bool is_sending = false;        // Our side has a body.
    bool is_body_complete = false;  // As far as we are concerned.
    bool is_waiting = false;        // nghttp2 waits for more of our body.
    bool is_sent = false;           // Our side, to its last frame.
    bool is_given_up = false;       // By reset().
    bool keeps_receiving = false;   // Behind the end of our side (server).

    std::size_t queued() const { return out.size() - out_at; }
};

struct Http2Session::Callbacks {
    static nghttp2_session* make(const Http2Settings& settings, Http2Session& self);
    static nghttp2_data_provider provider(Stream& stream);

private:
    static Http2Session& self(void* user_data) { return *static_cast<Http2Session*>(user_data); }
    static Stream* stream_of(void* user_data, std::int32_t id);
    static int on_begin_frame(nghttp2_session*, const nghttp2_frame_hd* header, void* user_data);
    static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user_data);
    static int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                         std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                         std::uint8_t flags, void* user_data);
    static int on_invalid_header(nghttp2_session*, const nghttp2_frame*, const std::uint8_t*, std::size_t,
                                 const std::uint8_t*, std::size_t, std::uint8_t, void*);
    static int on_frame_recv(nghttp2_session*, const nghttp2_frame* frame, void* user_data);
    static int on_data_chunk(nghttp2_session*, std::uint8_t flags, std::int32_t id, const std::uint8_t* data,
                             std::size_t size, void* user_data);
    static int on_frame_send(nghttp2_session*, const nghttp2_frame* frame, void* user_data);
    static int on_stream_close(nghttp2_session*, std::int32_t id, std::uint32_t code, void* user_data);
    static ssize_t read_body(nghttp2_session* session, std::int32_t id, std::uint8_t*, std::size_t size,
                             std::uint32_t* flags, nghttp2_data_source* source, void*);
    static int send_body(nghttp2_session*, nghttp2_frame*, const std::uint8_t* header, std::size_t size,
                         nghttp2_data_source* source, void* user_data);
    static ssize_t frame_size(nghttp2_session*, std::uint8_t, std::int32_t, std::int32_t session_window,
                              std::int32_t stream_window, std::uint32_t frame_max, void*);
};

}  // namespace ee::http
