#pragma once
// The bytes of a tunnel's HTTP/2 connection as binary messages of at most 16 KiB.

#include <optional>

#include "http/http2_session.h"
#include "http/websocket_frames.h"
#include "protocol/limits.h"

namespace ee::tunnel {

constexpr std::size_t message_bytes_max = 16 * 1024;
// What a listener takes, and what is added on the way.
constexpr http::HeadLimits head_limits{.bytes_max = protocol::head_bytes_max,
                                       .fields_max = protocol::head_fields_max};
inline constexpr std::string_view v2_subprotocol = "easyenclave.tunnel.v2";
// In a ping by which an agent takes its leave: from then on it is out of routing, and the pong comes behind
// the heads of all requests that were begun before. Then it says so by GOAWAY, and refuses none of them.
inline constexpr std::string_view leaving_mark = "leaving";

// `Mask` makes a fresh key for each message, or nullopt where messages are not masked. The message under way
// is ended by the destructor.
template <class Mask>
class MessageSink final : public http::Http2Sink {
public:
    MessageSink(std::string& out, Mask mask) : out_(out), mask_(std::move(mask)) {}
    ~MessageSink() { end(); }
    MessageSink(const MessageSink&) = delete;
    MessageSink& operator=(const MessageSink&) = delete;

    void write(std::string_view bytes) override {
        while (!bytes.empty()) {
            if (!frame_) frame_.emplace(out_, mask_());
            const std::size_t size = std::min(bytes.size(), message_bytes_max - frame_->payload_size());
            out_.append(bytes.substr(0, size));
            bytes.remove_prefix(size);
            if (frame_->payload_size() == message_bytes_max) end();
        }
    }

private:
    void end() {
        if (frame_) frame_->end(http::Opcode::binary);
        frame_.reset();
    }

    std::string& out_;
    Mask mask_;
    std::optional<http::FrameInPlace> frame_;
};

// At the end of a turn: what a source of frames (`wants_output()`, `pull()`) has to say goes behind what
// waits for the socket already, up to so much in all. What stays with the source can still be put in another
// order.
constexpr std::size_t frames_bytes_max = 256 * 1024;

template <class Source, class Mask>
void pull_messages(Source& source, std::string& out, std::size_t waiting, Mask mask) {
    if (waiting >= frames_bytes_max || !source.wants_output()) return;
    MessageSink sink(out, std::move(mask));
    source.pull(sink, frames_bytes_max - waiting);
}

}  // namespace ee::tunnel
