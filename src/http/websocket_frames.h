#pragma once
// WebSocket frames (RFC 6455 section 5) in both directions, without extensions. Does no I/O.

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ee::http {

enum class Opcode : std::uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

using MaskKey = std::array<std::uint8_t, 4>;

// XORs `data` with the key, whose byte `phase % 4` meets the first byte.
void apply_mask(std::span<char> data, const MaskKey& key, std::size_t phase = 0);

// Close codes (RFC 6455 section 7.4.1) this side sends itself.
namespace close_code {
constexpr std::uint16_t normal = 1000;
constexpr std::uint16_t going_away = 1001;
constexpr std::uint16_t protocol_error = 1002;
constexpr std::uint16_t no_status = 1005;  // Never on the wire: a close frame without a code.
constexpr std::uint16_t invalid_payload = 1007;
constexpr std::uint16_t policy_violation = 1008;
constexpr std::uint16_t message_too_big = 1009;
constexpr std::uint16_t internal_error = 1011;
}  // namespace close_code

// Whether the code may stand in a close frame.
bool is_sendable_close_code(std::uint16_t code);

struct MessageLimits {
    std::uint64_t text_bytes_max;
    std::uint64_t binary_bytes_max;
};

struct Event {
    enum class Kind { text, binary, ping, pong, close };

    Kind kind;
    std::string_view payload;      // Of a close: the reason.
    bool last = true;              // Of a binary message: false for a piece that others follow (streaming).
    std::uint16_t close_code = 0;  // Of a close; no_status when it had none.
};

// A refusal, and the code of the close frame that tells the peer. error.code is websocket_protocol_error,
// invalid_utf8 or message_too_large.
struct FrameError {
    std::uint16_t close_code;
    Error error;
};

// Frames in, messages out. Takes every byte it is given: nothing needs to be kept by the caller. A whole
// unfragmented message within the input is unmasked in place and handed out as a view of it; anything
// else is gathered here and given back as soon as it was delivered, so an idle connection holds nothing.
class FrameDecoder {
public:
    enum class Role { server, client };  // A server requires masked frames, a client unmasked ones.

    FrameDecoder(Role role, const MessageLimits& limits) : role_(role), limits_(limits) {}

    // At most one event; `consumed` says how much of the input is used up. Call again with the rest until
    // there is no event: then everything is consumed. The payload is valid until the next call, and as
    // long as the input is. Sizes are checked against the limit when a frame's header is read, before any
    // of its payload is kept. After a close event or a refusal the rest of the connection is ignored.
    tl::expected<std::optional<Event>, FrameError> next(std::span<char> input, std::size_t& consumed);

    // Counts from the next frame header on.
    void set_limits(const MessageLimits& limits) { limits_ = limits; }
    // Hands out binary messages in pieces as they arrive, each a view of the input (the limit stays).
    // Switch between messages only.
    void stream_binary(bool on) { stream_binary_ = on; }

    // Whether a message or frame has begun and not ended.
    bool in_message() const { return header_size_ > 0 || in_payload_ || message_opcode_.has_value(); }
    // Bytes held for messages that are not complete.
    std::size_t held_bytes() const {
        return message_.capacity() > std::string().capacity() ? message_.capacity() : 0;
    }

    // Nothing more of the connection is read.
    void stop() {
        finished_ = true;
        std::string().swap(message_);
    }

private:
    using Step = tl::expected<std::optional<Event>, FrameError>;

    std::size_t take_header(std::span<const char> input);
    std::optional<FrameError> begin_payload();
    std::optional<FrameError> check_limit();
    Step take_payload(std::span<char> input, std::size_t& used);
    Step take_data(std::string_view piece, bool whole);
    Step end_message(std::string_view payload);
    Step end_control(std::string_view payload);
    Step close_event(std::string_view payload);

    Role role_;
    MessageLimits limits_;
    bool stream_binary_ = false;
    bool finished_ = false;

    std::array<unsigned char, 14> header_{};  // Of the frame being read, as far as it has come.
    std::size_t header_size_ = 0;

    bool in_payload_ = false;
    bool fin_ = false;
    Opcode opcode_ = Opcode::continuation;
    MaskKey mask_{};
    std::uint64_t frame_size_ = 0;
    std::uint64_t frame_taken_ = 0;

    std::optional<Opcode> message_opcode_;  // Of the data message being read.
    std::uint64_t message_size_ = 0;        // Announced by its frames so far.
    std::string message_;                   // Its payload as far as it had to be kept.
    bool delivered_ = false;                // message_ was handed out.
    std::array<char, 125> control_{};       // A control frame's payload, likewise.
};

// Appends a whole frame; a client passes a fresh random mask for each (RFC 6455 section 5.3).
void append_frame(std::string& out, Opcode opcode, std::string_view payload,
                  const std::optional<MaskKey>& mask = std::nullopt, bool fin = true);
// The reason is cut, between characters, at the 123 bytes that fit. Code 1005 makes an empty close frame.
void append_close(std::string& out, std::uint16_t code, std::string_view reason,
                  const std::optional<MaskKey>& mask = std::nullopt);
// The header alone; the payload, already masked, follows.
void append_frame_header(std::string& out, Opcode opcode, std::uint64_t payload_size,
                         const std::optional<MaskKey>& mask = std::nullopt, bool fin = true);

// Builds a frame around a payload that is written straight into `out`: begin, append the payload, end.
// Free of moves for payloads of 126 to 65,535 bytes.
class FrameInPlace {
public:
    FrameInPlace(std::string& out, const std::optional<MaskKey>& mask = std::nullopt);
    std::size_t payload_size() const;
    void end(Opcode opcode, bool fin = true);

private:
    std::string& out_;
    std::optional<MaskKey> mask_;
    std::size_t begin_;
};

}  // namespace ee::http
