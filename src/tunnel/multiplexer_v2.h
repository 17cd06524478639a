#pragma once
// Requests and answers of one v2 tunnel: an HTTP/2 connection whose client is the control plane.

#include <memory>
#include <unordered_map>
#include <vector>

#include "http/http2_session.h"
#include "tunnel/multiplexer.h"

namespace ee::tunnel {

struct MultiplexerV2Limits {
    std::size_t streams_max = 256;
    // Without a byte either way; covers the wait for the head of the answer, too.
    std::chrono::milliseconds idle_time = std::chrono::seconds(300);
    BodyMemory* memory = nullptr;  // See Http2Settings.
    http::Http2StreamId first_stream = 1;
};

class MultiplexerV2 final : public Multiplexer, http::Http2Observer {
public:
    explicit MultiplexerV2(const MultiplexerV2Limits& limits) : limits_(limits) {}
    MultiplexerV2(const MultiplexerV2&) = delete;
    MultiplexerV2& operator=(const MultiplexerV2&) = delete;

    Result<StreamId> open(const StreamRequest& request, StreamObserver& observer, MonoTime now) override;
    bool streams_bodies() const override { return true; }
    void send_body(StreamId id, std::string_view bytes) override;
    void end_body(StreamId id, std::span<const http::Field> trailers) override;
    void consumed(StreamId id, std::size_t bytes) override;
    void cancel(StreamId id) override;
    void expire(MonoTime now) override;
    std::optional<MonoTime> next_deadline() const override { return earliest_deadline_; }
    void close(const Error& reason) override;
    // Those that the session counts: whatever leaves here has been given up there, or is closed.
    std::size_t open_streams() const override { return streams_.size(); }
    std::size_t stream_limit() const override;

    // What the agent sent. Refused when it is no HTTP/2; see also is_broken(), which may hold after pull().
    Result<void> receive(std::string_view bytes, MonoTime now);
    // See Http2Session::pull().
    std::size_t pull(http::Http2Sink& sink, std::size_t bytes_max);
    bool wants_output() const { return session_ ? session_->wants_output() : !has_greeted_; }
    // Requests whose heads have not all been pulled, perhaps.
    bool has_unsent_heads() const { return session_ && session_->frames_before_bodies() > 0; }
    // The agent takes no more requests, or there are no more ids for them.
    bool is_draining() const { return session_ && session_->is_draining(); }
    bool is_clogged() const { return session_ && session_->is_clogged(); }
    bool is_used_up() const { return session_ && session_->is_used_up(); }
    // The agent broke the protocol, or ended the HTTP/2 connection: the tunnel is to be closed.
    bool is_broken() const { return session_ && session_->is_finished() && !session_->is_draining(); }
    // Bytes of answers that visitors have not taken, and of requests that the agent has not.
    std::size_t held_bytes() const {
        return session_ ? session_->unconsumed_bytes() + session_->queued_bytes() : 0;
    }
    // Of each stream: `visit(id, bytes, last_active)`.
    template <class Visit>
    void visit_held(Visit&& visit) const {
        for (const auto& [id, stream] : streams_)
            visit(id, session_->held_bytes(static_cast<http::Http2StreamId>(id)), stream.last_active);
    }
    // Ends a stream for the memory it holds: it fails with `overloaded`.
    void shed(StreamId id);

private:
    struct Stream {
        StreamObserver* observer = nullptr;
        MonoTime last_active;
    };

    // http::Http2Observer
    void on_head(http::Http2StreamId id, const http::Http2Head& head, bool end) override;
    void on_interim(http::Http2StreamId id, int status, std::span<const http::Field> fields) override;
    void on_body(http::Http2StreamId id, std::string_view bytes) override;
    void on_end(http::Http2StreamId id, std::span<const http::Field> trailers) override;
    void on_reset(http::Http2StreamId id, std::uint32_t code) override;
    void on_shed(http::Http2StreamId id) override;
    void on_body_taken(http::Http2StreamId id, std::size_t bytes) override;
    void on_complete(http::Http2StreamId id, bool is_whole) override;

    http::Http2Settings settings() const;
    http::Http2Session& session();
    std::size_t greet(http::Http2Sink& sink, std::size_t bytes_max);
    Stream* find(StreamId id);
    // Who is told of the stream's end; nullptr when nobody is.
    StreamObserver* remove(StreamId id);
    void fail_stream(StreamId id, const Error& error);

    MultiplexerV2Limits limits_;
    // From the first request on: an idle tunnel holds none. What a session says first has been said without
    // it, and what the agent says to that is kept.
    std::unique_ptr<http::Http2Session> session_;
    bool has_greeted_ = false;
    std::string greeting_;  // The agent's.
    using Streams = std::unordered_map<StreamId, Stream>;
    Streams streams_;
    SpareNodes<Streams> spare_{32};
    std::vector<StreamId> unsent_;
    std::vector<http::Field> fields_;            // Of the request being opened.
    std::optional<MonoTime> earliest_deadline_;  // A lower bound.
    std::optional<Error> closed_;
    MonoTime now_{};
};

}  // namespace ee::tunnel
