// Any bytes as WebSocket frames, after a byte of switches and one that sets the size of the pieces: whole, in
// pieces and byte by byte give the same messages or refusal; streaming gives the same binary bytes; and
// messages that were accepted read the same once framed again.

#include <algorithm>
#include <string>

#include "base/check.h"
#include "base/utf8.h"
#include "http/websocket_frames.h"

namespace {

using namespace ee::http;

constexpr MessageLimits limits{.text_bytes_max = 4096, .binary_bytes_max = 2048};

struct Message {
    Event::Kind kind;
    std::string payload;
    std::uint16_t close_code;

    friend bool operator==(const Message&, const Message&) = default;
};

struct Decoded {
    std::vector<Message> messages;
    std::string refusal;
    std::uint16_t refusal_code = 0;

    friend bool operator==(const Decoded&, const Decoded&) = default;
};

Decoded decode(std::string_view wire, FrameDecoder::Role role, std::size_t piece) {
    FrameDecoder decoder(role, limits);
    Decoded out;
    for (std::size_t at = 0; at < wire.size(); at += piece) {
        std::string buffer(wire.substr(at, piece));
        std::span<char> rest(buffer);
        while (true) {
            std::size_t consumed = 0;
            const auto event = decoder.next(rest, consumed);
            EE_CHECK(consumed <= rest.size());
            EE_CHECK(decoder.held_bytes() <= 4 * limits.text_bytes_max);
            if (!event) {
                out.refusal = event.error().error.code + event.error().error.detail;
                out.refusal_code = event.error().close_code;
                EE_CHECK(is_sendable_close_code(out.refusal_code));
                return out;
            }
            rest = rest.subspan(consumed);
            if (!*event) break;
            const Event& got = **event;
            if (got.kind == Event::Kind::text || got.kind == Event::Kind::close)
                EE_CHECK(ee::is_utf8(got.payload));
            out.messages.push_back({got.kind, std::string(got.payload), got.close_code});
        }
        EE_CHECK(rest.empty());
    }
    return out;
}

// Binary payload in the order of arrival, and whether the wire was accepted.
std::pair<std::string, bool> stream(std::string_view wire, FrameDecoder::Role role) {
    FrameDecoder decoder(role, limits);
    decoder.stream_binary(true);
    std::string buffer(wire);
    std::span<char> rest(buffer);
    std::string binary;
    while (true) {
        std::size_t consumed = 0;
        const auto event = decoder.next(rest, consumed);
        if (!event) return {binary, false};
        rest = rest.subspan(consumed);
        if (!*event) return {binary, !decoder.in_message()};
        if ((*event)->kind == Event::Kind::binary) binary += (*event)->payload;
    }
}

Opcode opcode_of(Event::Kind kind) {
    switch (kind) {
        case Event::Kind::text: return Opcode::text;
        case Event::Kind::binary: return Opcode::binary;
        case Event::Kind::ping: return Opcode::ping;
        default: return Opcode::pong;
    }
}

std::string encode(const std::vector<Message>& messages, const std::optional<MaskKey>& mask) {
    std::string out;
    for (const Message& message : messages) {
        if (message.kind == Event::Kind::close) {
            append_close(out, message.close_code, message.payload, mask);
        } else {
            append_frame(out, opcode_of(message.kind), message.payload, mask);
        }
    }
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const auto role = (data[0] & 1) != 0 ? FrameDecoder::Role::client : FrameDecoder::Role::server;
    const std::string_view wire(reinterpret_cast<const char*>(data) + 2, size - 2);
    const Decoded whole = decode(wire, role, std::max<std::size_t>(wire.size(), 1));
    EE_CHECK(decode(wire, role, 1) == whole);
    EE_CHECK(decode(wire, role, data[1] + std::size_t{1}) == whole);

    std::string binary;
    for (const Message& message : whole.messages) {
        if (message.kind == Event::Kind::binary) binary += message.payload;
    }
    const auto [streamed, complete] = stream(wire, role);
    EE_CHECK(complete ? streamed == binary : streamed.starts_with(binary));

    std::optional<MaskKey> mask;
    if (role == FrameDecoder::Role::server) mask = MaskKey{data[0], data[1], 0x5a, 0xff};
    const std::string again = encode(whole.messages, mask);
    EE_CHECK(decode(again, role, std::max<std::size_t>(again.size(), 1)).messages == whole.messages);
    return 0;
}
