#pragma once
// Bytes both ways between a visitor's connection and a stream of a tunnel, each side slowed to what the other
// takes: a WebSocket's, or a TLS connection's.

#include <algorithm>
#include <string_view>

#include "net/stream.h"
#include "tunnel/tunnels.h"

namespace ee::proxy {

class ByteFlow {
public:
    explicit ByteFlow(tunnel::Tunnels& tunnels) : tunnels_(tunnels) {}

    // `visitor` is given with each call: it may change hands.
    void begin(tunnel::TunnelId tunnel, tunnel::StreamId stream) {
        tunnel_ = tunnel;
        stream_ = stream;
    }
    // ---- The stream: nothing happens to it once its tunnel is gone, or before it was named ----
    void send(std::string_view bytes) {
        if (tunnel::Session* tunnel = session()) tunnel->send_body(stream_, bytes);
    }
    void end(std::span<const http::Field> trailers = {}) {
        if (tunnel::Session* tunnel = session()) tunnel->end_body(stream_, trailers);
    }
    // So many bytes of the agent's have been used.
    void consumed(std::size_t bytes) {
        if (tunnel::Session* tunnel = session(); tunnel != nullptr && bytes > 0)
            tunnel->consumed(stream_, bytes);
    }
    void cancel() {
        if (tunnel::Session* tunnel = session()) tunnel->cancel_stream(stream_);
    }

    // ---- Credit, both ways ----
    // The visitor has sent this, and the tunnel was given it.
    void sent_to_agent(net::Stream& visitor, std::size_t bytes) {
        to_agent_ += bytes;
        if (to_agent_ > to_agent_max) visitor.pause_reading();
    }
    void taken_by_agent(net::Stream& visitor, std::size_t bytes) {
        to_agent_ -= std::min(bytes, to_agent_);
        if (to_agent_ < to_agent_max / 2) visitor.resume_reading();
    }
    // What a visitor that takes nothing any more is sent counts as taken.
    void to_visitor(net::Stream& visitor, std::string_view bytes) {
        if (!visitor.is_writable()) return consumed(bytes.size());
        visitor.write(bytes);
        to_visitor_ += bytes.size();
    }
    // As much as the visitor's socket has taken meanwhile is the agent's to send again.
    void report_taken(net::Stream& visitor) { consumed(visitor.take_written(to_visitor_)); }
    // As far as it was reported.
    bool has_unsent() const { return to_visitor_ > 0; }

private:
    // So many bytes may wait for the agent before the visitor is slowed.
    static constexpr std::size_t to_agent_max = 256 * 1024;

    tunnel::Session* session() const { return tunnels_.find(tunnel_); }

    tunnel::Tunnels& tunnels_;
    tunnel::TunnelId tunnel_ = 0;
    tunnel::StreamId stream_ = 0;
    std::size_t to_visitor_ = 0;  // Bytes that its socket has not taken.
    std::size_t to_agent_ = 0;    // Bytes that the tunnel has not taken.
};

}  // namespace ee::proxy
