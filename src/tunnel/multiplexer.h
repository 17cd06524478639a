#pragma once
// Many requests over one tunnel. v1 and v2 differ behind this interface only.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "http/message.h"

namespace ee::tunnel {

// Of the extended CONNECT (RFC 8441) whose bytes are a visitor's TLS connection, which ends in the agent.
inline constexpr std::string_view sealed_protocol = "ee-tls";
// In its head: the visitor's address.
inline constexpr std::string_view sealed_client_field = "ee-client";

// Never used twice on one tunnel.
using StreamId = std::uint64_t;

// Everything is borrowed for the call of open().
struct StreamRequest {
    std::string_view method{};
    std::string_view target{};  // Path and query, as the visitor sent them.
    std::span<const http::Field> fields{};
    std::string_view body{};
    // The body goes on: send_body() and end_body() follow. Only where the multiplexer streams bodies.
    bool body_follows = false;
    std::optional<std::uint64_t> content_length{};  // Of a body that follows, when it is known.
    std::string_view scheme = "https";
    std::string_view authority{};  // The visitor's Host; v1 has it among the fields.
    std::string_view protocol{};   // Of an extended CONNECT: "websocket", or sealed_protocol.
};

// The visitor's side of a stream. Called on the loop's thread; exactly one of on_end and on_failed comes
// last, and nothing comes after cancel(). A callback but on_sent() may call every function of the same
// multiplexer; it must not destroy it.
class StreamObserver {
public:
    virtual ~StreamObserver() = default;

    // The request goes out to the agent now: it waits no longer for its turn.
    virtual void on_sent() {}
    // An interim answer, 1xx but 101.
    virtual void on_interim(int status, std::span<const http::Field> fields) {
        static_cast<void>(status);
        static_cast<void>(fields);
    }
    // `content_length` is the size of the body that follows, when it is known beforehand. `end`: none does,
    // nor trailers.
    virtual void on_head(int status, std::span<const http::Field> fields,
                         std::optional<std::uint64_t> content_length, bool end) = 0;
    // To be given back with consumed(): until then the agent is held to the stream's window.
    virtual void on_body(std::string_view bytes) = 0;
    // The agent's side of a stream that carries bytes both ways is complete. True: ours goes on until
    // end_body(), and on_end() or on_failed() comes behind it. False: nothing more of it is of use.
    virtual bool on_answer_end() { return false; }
    virtual void on_end(std::span<const http::Field> trailers) = 0;
    // So many more bytes given to send_body() are on their way: there is room for as many.
    virtual void on_body_taken(std::size_t bytes) { static_cast<void>(bytes); }
    // proxy_timeout, tunnel_closed (or the reason given to close()), backend_unreachable, bad_agent_answer,
    // slow_visitor (what it did not read filled the memory there is), stream_refused (the agent has done
    // nothing with it, RFC 9113 section 8.7).
    virtual void on_failed(const Error& error) = 0;
};

// Does no I/O; not thread-safe.
class Multiplexer {
public:
    virtual ~Multiplexer() = default;

    // The observer must live until its last callback or cancel(). Refused at once, without a callback:
    // `overloaded` (the tunnel is full), `body_too_large` (v1), `upgrade_unsupported`, `tunnel_closed` (the
    // agent takes no more), or the reason given to close(). No callback is made from within open().
    virtual Result<StreamId> open(const StreamRequest& request, StreamObserver& observer, MonoTime now) = 0;

    // Whether bodies may follow their request. If not, nothing may be called of what comes next.
    virtual bool streams_bodies() const = 0;
    // More of a request's body, and its end. Kept until it is on its way: bound it by on_body_taken().
    virtual void send_body(StreamId id, std::string_view bytes) = 0;
    virtual void end_body(StreamId id, std::span<const http::Field> trailers) = 0;
    // So many bytes of on_body() are with the visitor. Unknown and finished ids are ignored, here and below.
    virtual void consumed(StreamId id, std::size_t bytes) = 0;

    // The visitor left.
    virtual void cancel(StreamId id) = 0;

    // Fails every stream whose time is up with `proxy_timeout`.
    virtual void expire(MonoTime now) = 0;
    // No stream is due before this moment.
    virtual std::optional<MonoTime> next_deadline() const = 0;

    // The tunnel is gone: every open stream fails with `reason`, each once, and none can be opened again.
    virtual void close(const Error& reason) = 0;

    // Streams whose visitor still waits.
    virtual std::size_t open_streams() const = 0;
    // How many streams open() takes.
    virtual std::size_t stream_limit() const = 0;
};

}  // namespace ee::tunnel
