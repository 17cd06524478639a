#pragma once
// Many requests over one tunnel. v1 and v2 differ behind this interface only.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "protocol/header_field.h"

namespace ee::tunnel {

// Never used twice on one tunnel.
using StreamId = std::uint64_t;

// Everything is borrowed for the call of open().
struct StreamRequest {
    std::string_view method{};
    std::string_view target{};  // Path and query, as the visitor sent them.
    std::span<const protocol::HeaderView> headers{};
    std::string_view body{};
};

// The visitor's side of a stream. Called on the loop's thread; exactly one of on_end and on_failed comes
// last, and nothing comes after cancel(). A callback but on_sent() may call open() and cancel() of the same
// multiplexer; it must not destroy it.
class StreamObserver {
public:
    virtual ~StreamObserver() = default;

    // The request goes out to the agent now: it waits no longer for its turn.
    virtual void on_sent() {}
    // `content_length` is the size of the body that follows, when it is known beforehand.
    virtual void on_head(int status, std::span<const protocol::HeaderField> headers,
                         std::optional<std::uint64_t> content_length) = 0;
    virtual void on_body(std::string_view bytes) = 0;
    virtual void on_end() = 0;
    // proxy_timeout, tunnel_closed (or the reason given to close()), backend_unreachable, bad_agent_answer.
    virtual void on_failed(const Error& error) = 0;
};

// Does no I/O; not thread-safe.
class Multiplexer {
public:
    virtual ~Multiplexer() = default;

    // The observer must live until its last callback or cancel(). Refused at once, without a callback:
    // `overloaded` (the tunnel is full), `body_too_large` (v1), or the reason given to close().
    // No callback is made from within open().
    virtual Result<StreamId> open(const StreamRequest& request, StreamObserver& observer,
                                  MonoTime deadline) = 0;

    // The visitor left. Unknown and finished ids are ignored.
    virtual void cancel(StreamId id) = 0;

    // Fails every stream whose deadline has come with `proxy_timeout`.
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
