#pragma once
// One HTTP/2 connection (RFC 9113), either side, without its socket: bytes in, bytes out. Bodies are flow
// controlled by whoever reads them last: what is handed out counts against the stream's window until it is
// consumed. Extended CONNECT (RFC 8441), trailers, interim answers.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/body_memory.h"
#include "base/bytes.h"
#include "base/result.h"
#include "base/spare_nodes.h"
#include "http/message.h"

struct nghttp2_session;

namespace ee::http {

using Http2StreamId = std::int32_t;

// Error codes of RFC 9113 section 7 that this side uses.
namespace http2_code {
constexpr std::uint32_t no_error = 0x0;
constexpr std::uint32_t protocol_error = 0x1;
constexpr std::uint32_t internal_error = 0x2;
constexpr std::uint32_t refused_stream = 0x7;
constexpr std::uint32_t cancel = 0x8;
constexpr std::uint32_t connect_error = 0xa;
constexpr std::uint32_t enhance_your_calm = 0xb;
}  // namespace http2_code

struct Http2Settings {
    enum class Role { client, server };

    Role role = Role::client;
    std::uint32_t streams_max = 256;  // At once; a client keeps the peer's limit besides.
    // A server takes extended CONNECT. A client knows that its peer does, before the peer's SETTINGS say so
    // (RFC 8441 section 3 would have it wait); what they say holds from then on.
    bool connect_protocol = false;
    Http2StreamId first_stream = 1;  // A client's: odd. There are 2^30 from 1 on, and none after them.
    // The larger a frame, the fewer times a body is looked at.
    std::uint32_t frame_bytes_max = 64 * 1024;
    // A server that does not know its clients: frames on streams that have ended, or never began, end the
    // connection (RFC 9113 sections 5.1 and 5.1.1). Costs some memory for each stream that has ended, up to
    // `streams_max` of them.
    bool is_strict = false;
    // What a peer may send of one body before it is consumed: at first, and as it grows where the path's
    // bandwidth and delay ask for it.
    std::uint32_t window_bytes = 1024 * 1024;
    std::uint32_t window_bytes_max = 8 * 1024 * 1024;
    // Of all bodies together. From half of it on no window grows and new ones are small; above it the stream
    // that holds most is reset.
    std::size_t unconsumed_bytes_max = 64 * 1024 * 1024;
    std::uint32_t window_bytes_under_pressure = 64 * 1024;
    // Where our bodies are counted until they are pulled. What it calls pressure is pressure here. May be
    // null.
    BodyMemory* memory = nullptr;
    HeadLimits head{};
};

// The head of a request or of an answer. Views: valid during the call.
struct Http2Head {
    // Of a request; `protocol` only of an extended CONNECT.
    std::string_view method{};
    std::string_view scheme{};
    std::string_view authority{};
    std::string_view path{};
    std::string_view protocol{};
    int status = 0;                   // Of an answer.
    std::span<const Field> fields{};  // Names in lower case when received.
    bool is_too_large = false;        // Of a request, beyond HeadLimits: answer 431; only a part is here.
};

// Called from within receive() and pull(). May call every function of the session but these two.
class Http2Observer {
public:
    // A request, or the final answer. `end`: no body follows; on_end() is called next.
    virtual void on_head(Http2StreamId stream, const Http2Head& head, bool end) = 0;
    // An interim answer (1xx).
    virtual void on_interim(Http2StreamId, int /*status*/, std::span<const Field>) {}
    // To be given back with consume(), all of it, sooner or later.
    virtual void on_body(Http2StreamId stream, std::string_view bytes) = 0;
    // The peer's side is complete.
    virtual void on_end(Http2StreamId stream, std::span<const Field> trailers) = 0;
    // Ended before both sides were complete, by an error code of RFC 9113; not after reset(). Nothing
    // follows.
    virtual void on_reset(Http2StreamId stream, std::uint32_t code) = 0;
    // Ended by this side, because of what it holds that was not consumed (`unconsumed_bytes_max`). Nothing
    // follows.
    virtual void on_shed(Http2StreamId stream) { on_reset(stream, http2_code::enhance_your_calm); }
    // The peer has reset a stream, or has made this side reset one, by an error on it. A server that does not
    // know its clients bounds how often: each may have been a request that is of no use to anybody.
    virtual void on_peer_reset() {}
    // So many more bytes of our body have been pulled.
    virtual void on_body_taken(Http2StreamId, std::size_t /*bytes*/) {}
    // After on_end(): our side is over, too; `is_whole`, or because the peer takes no more of it. Nothing
    // follows. Not after reset().
    virtual void on_complete(Http2StreamId, bool /*is_whole*/) {}
    // What the peer allows is known from here on, or has changed.
    virtual void on_settings() {}
    // The peer takes no new streams. Those that it will not look at are reset next, with `refused_stream`.
    virtual void on_goaway(std::uint32_t /*code*/) {}

protected:
    ~Http2Observer() = default;
};

// Where pulled bytes go.
class Http2Sink {
public:
    virtual void write(std::string_view bytes) = 0;

protected:
    ~Http2Sink() = default;
};

class Http2Session {
public:
    // The observer must outlive this object. SETTINGS, and a client's preface, are the first to be pulled.
    Http2Session(const Http2Settings& settings, Http2Observer& observer);
    ~Http2Session();
    Http2Session(const Http2Session&) = delete;
    Http2Session& operator=(const Http2Session&) = delete;

    // When the peer breaks the protocol this is refused (`http2_protocol_error`), or what is pulled next says
    // so and is_finished() holds from then on: either way the connection is to be closed. So it is when more
    // frames wait to be pulled than a peer that takes them has wait.
    Result<void> receive(std::string_view bytes);
    // Writes what is due, control frames first, bodies in turns, until there is nothing or about `bytes_max`
    // are written (one frame more at most; a head is never left in its middle). Answers how many were.
    std::size_t pull(Http2Sink& sink, std::size_t bytes_max);
    std::size_t pull(std::string& end_of, std::size_t bytes_max);
    bool wants_output() const;
    // How many frames wait to be pulled that go before every body: heads of requests among them.
    std::size_t frames_before_bodies() const;
    // Neither side has anything more to say.
    bool is_finished() const;
    // A client's: it has begun the last stream that there is an id for, and is draining.
    bool is_used_up() const;

    // ---- Streams ----
    // A client's request. `end`: `body` is all of it. Refused: `overloaded` (as many streams as may be; one
    // that was given up makes room, and the peer is told of that first), `http2_draining` (the peer or this
    // side takes no more), `upgrade_unsupported` (the peer takes no extended CONNECT).
    Result<Http2StreamId> open(const Http2Head& head, std::string_view body, bool end);
    // A server's answer; once for each stream, any number of interim ones before.
    void respond(Http2StreamId stream, const Http2Head& head, std::string_view body, bool end);
    void interim(Http2StreamId stream, int status, std::span<const Field> fields);
    // A server's, of a stream that carries bytes both ways (CONNECT): the end of our body is not that of the
    // peer's. Other requests are of no more use once they are answered.
    void keep_receiving(Http2StreamId stream);
    // More of our body; kept until it is pulled. The caller bounds it by on_body_taken().
    void send_body(Http2StreamId stream, std::string_view bytes);
    void end_body(Http2StreamId stream, std::span<const Field> trailers = {});
    // Gives the stream up: the observer hears no more of it. Unknown streams are ignored, here and above.
    void reset(Http2StreamId stream, std::uint32_t code);
    // So many bytes of on_body() have been used.
    void consume(Http2StreamId stream, std::size_t bytes);

    // ---- The connection ----
    // Asks for no more streams (a server); those the peer has begun meanwhile are still served.
    void begin_drain();
    // Takes none from here on, whether the peer has read that yet or not.
    void goaway(std::uint32_t code);

    bool is_draining() const { return draining_; }
    // As many streams wait to be reset as may. Those whose heads have not left go with the next pull().
    bool is_clogged() const;
    // A server's: whose HEADERS have begun and are not complete; 0 when there are none such.
    Http2StreamId unfinished_head() const { return unfinished_head_; }
    std::size_t open_streams() const { return streams_.size(); }
    std::size_t stream_limit() const;
    bool takes_connect_protocol() const;  // The peer.
    // So many bytes of bodies the peer takes on this connection before it gives any back (RFC 9113 section
    // 6.9.1); what waits to be pulled is not taken off.
    std::int64_t send_window() const;
    // Of bodies that were handed out; of our bodies that wait to be pulled.
    std::size_t unconsumed_bytes() const { return unconsumed_; }
    std::size_t queued_bytes() const { return queued_.bytes(); }
    std::size_t queued_bytes(Http2StreamId stream) const;
    // Both, of one stream.
    std::size_t held_bytes(Http2StreamId stream) const;

private:
    struct Stream;
    struct Callbacks;  // What nghttp2 calls.
    // The fields of the head or trailers being read.
    struct Collected {
        struct Span {
            std::uint32_t name, name_size, value_size;
        };
        std::string text;
        std::vector<Span> spans;
        std::vector<Field> fields;
        std::string cookies;
        std::size_t fields_seen = 0;
        std::size_t bytes_seen = 0, all_seen = 0;  // of whatever kind
        bool is_too_large = false;
        bool is_malformed = false;

        void clear();
        Http2Head read();
        void join_cookies();
    };

    Stream* find(Http2StreamId id) const;
    Stream& add(Http2StreamId id);
    void forget(Http2StreamId id);
    void queue_body(Stream& stream, std::string_view bytes);
    void resume(Stream& stream);
    // False: nothing of the connection is worth reading any more.
    bool collect(std::string_view name, std::string_view value);
    bool is_bomb(std::size_t bytes);
    bool refuse_headers(const Stream& stream);
    void on_headers(Stream& stream, bool end);
    void on_bytes(Stream& stream, std::string_view bytes);
    void on_data_end(Stream& stream);
    void on_closed(Stream& stream, std::uint32_t code);
    void on_pong(ByteSpan payload);
    void on_goaway(std::uint32_t code);
    void bound_waiting_frames();
    void regulate();
    void report_taken();

    const Http2Settings settings_;
    Http2Observer& observer_;
    nghttp2_session* session_ = nullptr;
    using Streams = std::unordered_map<Http2StreamId, std::unique_ptr<Stream>>;
    Streams streams_;
    SpareNodes<Streams> spare_;
    Collected collected_;
    Http2Sink* sink_ = nullptr;  // During pull().
    std::size_t pulled_ = 0, pull_max_ = 0;
    std::vector<Http2StreamId> taken_;
    std::size_t too_large_heads_ = 0;
    std::size_t given_up_ = 0;  // Of the streams: nghttp2 has not closed them yet.
    std::size_t unconsumed_ = 0;
    HeldBytes queued_;
    Http2StreamId last_request_ = 0;  // A server's newest stream.
    Http2StreamId unfinished_head_ = 0;
    std::optional<Http2StreamId> probed_;  // Whose bytes are counted until a PING comes back.
    bool has_peer_settings_ = false;
    bool has_said_goaway_ = false;
    bool has_flooded_ = false;     // More is queued for the peer than it may have wait.
    bool is_crowded_ = false;      // By what is unconsumed here.
    bool under_pressure_ = false;  // By that, or in the whole process.
    bool draining_ = false;
};

}  // namespace ee::http
