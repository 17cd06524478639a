#pragma once
// The requests of a v2 tunnel, each from its HTTP/2 stream to the backend and its answer back.

#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "agent/backend.h"
#include "agent/sealed.h"
#include "agent/stream_end.h"
#include "http/http2_session.h"
#include "telemetry/log.h"

namespace ee::agent {

// Belongs to one connection to the control plane. Must not be destroyed within a call of its own.
class TunnelStreams final : http::Http2Observer, StreamEnds {
public:
    // `on_output` is called when there is something to pull, and when a request has ended. Without `sealed`
    // no visitor's TLS is taken.
    TunnelStreams(net::Loop& loop, Backend& backend, Sealed* sealed, const telemetry::Log& log,
                  std::function<void()> on_output);
    ~TunnelStreams();

    // Refused when it is no HTTP/2: the connection is to be closed.
    Result<void> receive(std::string_view bytes);
    // Nothing before the control plane has spoken, or this side leaves: a server answers.
    std::size_t pull(http::Http2Sink& sink, std::size_t bytes_max) {
        return speaks_ ? session_.pull(sink, bytes_max) : 0;
    }
    bool wants_output() const { return speaks_ && session_.wants_output(); }
    // That go before every body.
    std::size_t unsent_frames() const { return session_.frames_before_bodies(); }
    // The control plane broke the protocol, or ended the HTTP/2 connection.
    bool is_broken() const { return session_.is_finished() && !session_.is_draining(); }
    // Takes no more requests, and says so with what is pulled next. Not before the control plane begins none:
    // what it has begun and not sent yet, it has to refuse when it reads this.
    void close_to_new();
    // Until the last byte of the answer has been pulled.
    std::size_t open_requests() const { return session_.open_streams(); }

private:
    class Relay;

    void on_head(http::Http2StreamId id, const http::Http2Head& head, bool end) override;
    void on_body(http::Http2StreamId id, std::string_view bytes) override;
    void on_end(http::Http2StreamId id, std::span<const http::Field> trailers) override;
    void on_reset(http::Http2StreamId id, std::uint32_t code) override;
    void on_body_taken(http::Http2StreamId id, std::size_t bytes) override;

    http::Http2Session& session() override { return session_; }
    void on_output() override { on_output_(); }
    void forget(http::Http2StreamId id) override;

    StreamEnd* find(http::Http2StreamId id) const;

    net::Loop& loop_;
    Backend& backend_;
    Sealed* sealed_;
    const telemetry::Log& log_;
    std::function<void()> on_output_;
    http::Http2Session session_;
    using Ends = std::unordered_map<http::Http2StreamId, std::shared_ptr<StreamEnd>>;
    Ends ends_;
    SpareNodes<Ends> spare_{64};
    std::vector<http::Field> fields_;         // Of the request that is being sent.
    std::vector<http::Field> answer_fields_;  // Of the answer that is.
    bool speaks_ = false;
};

}  // namespace ee::agent
