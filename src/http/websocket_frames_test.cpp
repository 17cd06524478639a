#include "http/websocket_frames.h"

#include <gtest/gtest.h>

namespace ee::http {
namespace {

using namespace std::string_literals;
using Role = FrameDecoder::Role;
using Kind = Event::Kind;

constexpr MaskKey key = {0x37, 0xfa, 0x21, 0x3d};
constexpr MessageLimits limits{.text_bytes_max = 200'000, .binary_bytes_max = 100'000};

struct Seen {
    Kind kind;
    std::string payload;
    std::uint16_t code = 0;

    friend bool operator==(const Seen&, const Seen&) = default;
};

struct Outcome {
    std::vector<Seen> events;
    std::optional<Error> error;
    std::uint16_t close_code = 0;

    friend bool operator==(const Outcome&, const Outcome&) = default;
};

// Feeds the wire in pieces of `piece` bytes, each in a buffer of its own; pieces of a streamed binary
// message are joined.
Outcome feed(FrameDecoder& decoder, std::string_view wire, std::size_t piece) {
    Outcome out;
    bool joined = false;
    for (std::size_t at = 0; at < wire.size(); at += piece) {
        std::string buffer(wire.substr(at, piece));
        std::span<char> rest(buffer);
        while (true) {
            std::size_t consumed = 0;
            const auto event = decoder.next(rest, consumed);
            if (!event) {
                out.error = event.error().error;
                out.close_code = event.error().close_code;
                return out;
            }
            rest = rest.subspan(consumed);
            if (!*event) break;
            if (!joined) out.events.push_back({(*event)->kind, "", (*event)->close_code});
            out.events.back().payload += (*event)->payload;
            joined = !(*event)->last;
        }
        EXPECT_TRUE(rest.empty());
    }
    return out;
}

Outcome decode(std::string_view wire, Role role = Role::server, bool stream = false) {
    FrameDecoder decoder(role, limits);
    decoder.stream_binary(stream);
    const Outcome whole = feed(decoder, wire, std::max<std::size_t>(wire.size(), 1));
    for (const std::size_t piece : {1, 2, 3, 5, 7, 13, 64, 1000}) {
        if (piece == 1 && wire.size() > 10'000) continue;
        FrameDecoder other(role, limits);
        other.stream_binary(stream);
        EXPECT_EQ(feed(other, wire, piece), whole) << "in pieces of " << piece;
    }
    return whole;
}

std::string frame(Opcode opcode, std::string_view payload, bool fin = true,
                  const std::optional<MaskKey>& mask = key) {
    std::string out;
    append_frame(out, opcode, payload, mask, fin);
    return out;
}

TEST(WebSocketFrames, ReadsTheExamplesOfRfc6455Section57) {
    const Outcome hello{.events = {{Kind::text, "Hello"}}, .error = {}};
    EXPECT_EQ(decode("\x81\x05Hello", Role::client), hello);
    EXPECT_EQ(decode("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), hello);
    EXPECT_EQ(decode("\x01\x03Hel\x80\x02lo", Role::client), hello);
    EXPECT_EQ(decode("\x89\x05Hello", Role::client),
              (Outcome{.events = {{Kind::ping, "Hello"}}, .error = {}}));
    EXPECT_EQ(decode("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"),
              (Outcome{.events = {{Kind::pong, "Hello"}}, .error = {}}));
    const std::string data(256, 'x');
    EXPECT_EQ(decode("\x82\x7e\x01\x00"s + data, Role::client),
              (Outcome{.events = {{Kind::binary, data}}, .error = {}}));
    const std::string more(65536, 'y');
    EXPECT_EQ(decode("\x82\x7f\0\0\0\0\0\1\0\0"s + more, Role::client),
              (Outcome{.events = {{Kind::binary, more}}, .error = {}}));
}

TEST(WebSocketFrames, WritesTheExamplesOfRfc6455Section57) {
    EXPECT_EQ(frame(Opcode::text, "Hello", true, std::nullopt), "\x81\x05Hello");
    EXPECT_EQ(frame(Opcode::text, "Hello"), "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    EXPECT_EQ(frame(Opcode::text, "Hel", false, std::nullopt), "\x01\x03Hel");
    EXPECT_EQ(frame(Opcode::binary, std::string(65535, 'x'), true, std::nullopt).substr(0, 4),
              "\x82\x7e\xff\xff");
    EXPECT_EQ(frame(Opcode::binary, std::string(65536, 'x'), true, std::nullopt).substr(0, 10),
              "\x82\x7f\0\0\0\0\0\1\0\0"s);
}

TEST(WebSocketFrames, EveryLengthAroundTheEncodingBordersGoesRound) {
    for (const std::size_t size :
         {0, 1, 7, 8, 9, 124, 125, 126, 127, 128, 65534, 65535, 65536, 65537, 100'000}) {
        std::string payload(size, '\0');
        for (std::size_t i = 0; i < size; ++i) payload[i] = static_cast<char>(i * 7);
        const Outcome expected{.events = {{Kind::binary, payload}}, .error = {}};
        EXPECT_EQ(decode(frame(Opcode::binary, payload)), expected) << size;
        EXPECT_EQ(decode(frame(Opcode::binary, payload, true, std::nullopt), Role::client), expected) << size;
        EXPECT_EQ(decode(frame(Opcode::binary, payload), Role::server, true), expected) << size;
    }
}

TEST(WebSocketFrames, MasksAtEveryAlignmentAndPhase) {
    for (std::size_t begin = 0; begin < 16; ++begin) {
        for (std::size_t size = 0; size < 100; ++size) {
            for (std::size_t phase = 0; phase < 4; ++phase) {
                std::string text(128, 'a');
                std::string expected = text;
                for (std::size_t i = 0; i < size; ++i) {
                    expected[begin + i] = static_cast<char>('a' ^ key[(i + phase) % 4]);
                }
                apply_mask(std::span(text).subspan(begin, size), key, phase);
                ASSERT_EQ(text, expected);
            }
        }
    }
}

TEST(WebSocketFrames, AWholeMessageIsAViewOfTheInput) {
    std::string wire = frame(Opcode::text, "first") + frame(Opcode::binary, "second");
    FrameDecoder decoder(Role::server, limits);
    std::size_t consumed = 0;
    auto event = decoder.next(wire, consumed);
    ASSERT_TRUE(event && *event);
    EXPECT_EQ((*event)->payload, "first");
    EXPECT_EQ((*event)->payload.data(), wire.data() + 6);
    std::size_t second = 0;
    event = decoder.next(std::span(wire).subspan(consumed), second);
    ASSERT_TRUE(event && *event);
    EXPECT_EQ((*event)->payload, "second");
    EXPECT_EQ(consumed + second, wire.size());
    EXPECT_EQ(decoder.held_bytes(), 0u);
}

TEST(WebSocketFrames, GivesMemoryBackOnceAGatheredMessageIsDelivered) {
    std::string wire = frame(Opcode::text, std::string(100'000, 'x'));
    FrameDecoder decoder(Role::server, limits);
    std::size_t consumed = 0;
    auto event = decoder.next(std::span(wire).first(50'000), consumed);
    ASSERT_TRUE(event && !*event);
    EXPECT_EQ(consumed, 50'000u);
    EXPECT_TRUE(decoder.in_message());
    EXPECT_GE(decoder.held_bytes(), 49'000u);
    event = decoder.next(std::span(wire).subspan(50'000), consumed);
    ASSERT_TRUE(event && *event);
    EXPECT_EQ((*event)->payload, std::string(100'000, 'x'));
    event = decoder.next({}, consumed);
    ASSERT_TRUE(event && !*event);
    EXPECT_EQ(decoder.held_bytes(), 0u);
    EXPECT_FALSE(decoder.in_message());
}

TEST(WebSocketFrames, ControlFramesComeBetweenFragments) {
    const std::string wire = frame(Opcode::text, "a", false) + frame(Opcode::ping, "p") +
                             frame(Opcode::continuation, "", false) + frame(Opcode::pong, "") +
                             frame(Opcode::continuation, "\xc3", false) +
                             frame(Opcode::continuation, "\xa4") + frame(Opcode::binary, "b");
    const Outcome expected{
        .events = {{Kind::ping, "p"}, {Kind::pong, ""}, {Kind::text, "a\xc3\xa4"}, {Kind::binary, "b"}},
        .error = {}};
    EXPECT_EQ(decode(wire), expected);
}

TEST(WebSocketFrames, StreamsBinaryMessagesAsTheyArrive) {
    FrameDecoder decoder(Role::server, limits);
    decoder.stream_binary(true);
    std::string wire = frame(Opcode::binary, "abcdef", false) + frame(Opcode::text, "");
    std::size_t consumed = 0;
    auto event = decoder.next(std::span(wire).first(8), consumed);  // Header and two bytes.
    ASSERT_TRUE(event && *event);
    EXPECT_EQ((*event)->payload, "ab");
    EXPECT_FALSE((*event)->last);
    event = decoder.next(std::span(wire).subspan(8), consumed);
    ASSERT_TRUE(event && *event);
    EXPECT_EQ((*event)->payload, "cdef");
    EXPECT_FALSE((*event)->last);
    EXPECT_EQ(decoder.held_bytes(), 0u);
    event = decoder.next(std::span(wire).subspan(8 + consumed), consumed);
    ASSERT_FALSE(event);  // A text frame within the fragmented message.
    EXPECT_EQ(event.error().close_code, 1002);

    const std::string fragmented = frame(Opcode::binary, "ab", false) + frame(Opcode::ping, "p") +
                                   frame(Opcode::continuation, "", false) + frame(Opcode::continuation, "");
    FrameDecoder other(Role::server, limits);
    other.stream_binary(true);
    std::string buffer = fragmented;
    std::vector<std::pair<std::string, bool>> pieces;
    std::span<char> rest(buffer);
    while (true) {
        auto next = other.next(rest, consumed);
        ASSERT_TRUE(next);
        rest = rest.subspan(consumed);
        if (!*next) break;
        pieces.emplace_back((*next)->payload, (*next)->last);
    }
    EXPECT_EQ(pieces, (std::vector<std::pair<std::string, bool>>{{"ab", false}, {"p", true}, {"", true}}));
}

struct Refused {
    std::string wire;
    std::uint16_t close_code;
    const char* code;
    const char* detail;
    Role role = Role::server;
};

TEST(WebSocketFrames, RefusesWhatRfc6455Forbids) {
    const char* const protocol = "websocket_protocol_error";
    const auto close = [](std::string_view payload) { return frame(Opcode::close, payload); };
    const Refused rows[] = {
        {frame(Opcode::text, "x", true, std::nullopt), 1002, protocol, "unmasked frame from a client"},
        {frame(Opcode::text, "x"), 1002, protocol, "masked frame from a server", Role::client},
        {"\xc1\x80\0\0\0\0"s, 1002, protocol, "reserved bit"},
        {"\xa1\x80\0\0\0\0"s, 1002, protocol, "reserved bit"},
        {"\x91\x80\0\0\0\0"s, 1002, protocol, "reserved bit"},
        {"\x83\x80\0\0\0\0"s, 1002, protocol, "reserved opcode"},
        {"\x87\x80\0\0\0\0"s, 1002, protocol, "reserved opcode"},
        {"\x8b\x80\0\0\0\0"s, 1002, protocol, "reserved opcode"},
        {"\x8f\x80\0\0\0\0"s, 1002, protocol, "reserved opcode"},
        {frame(Opcode::continuation, "x"), 1002, protocol, "continuation of no message"},
        {frame(Opcode::text, "a", false) + frame(Opcode::text, "b"), 1002, protocol, "within a fragmented"},
        {frame(Opcode::text, "a") + frame(Opcode::continuation, "b"), 1002, protocol,
         "continuation of no message"},
        {frame(Opcode::ping, "p", false), 1002, protocol, "fragmented control"},
        {frame(Opcode::ping, std::string(126, 'p')), 1002, protocol, "more than 125"},
        {"\x81\xfe\x00\x7d\0\0\0\0"s, 1002, protocol, "fewer bytes"},
        {"\x81\xff\0\0\0\0\0\0\xff\xff\0\0\0\0"s, 1002, protocol, "fewer bytes"},
        {"\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0"s, 1002, protocol, "63 bits"},
        {close("\x03"), 1002, protocol, "half a code"},
        {close("\x03\xe7"), 1002, protocol, "may not be sent"},  // 999
        {close("\x03\xec"), 1002, protocol, "may not be sent"},  // 1004
        {close("\x03\xed"), 1002, protocol, "may not be sent"},  // 1005
        {close("\x03\xee"), 1002, protocol, "may not be sent"},  // 1006
        {close("\x03\xf7"), 1002, protocol, "may not be sent"},  // 1015
        {close("\x0b\xb7"), 1002, protocol, "may not be sent"},  // 2999
        {close("\x13\x88"), 1002, protocol, "may not be sent"},  // 5000
        {close("\x03\xe8\xff"), 1007, "invalid_utf8", "close reason"},
        {frame(Opcode::text, "\xc3"), 1007, "invalid_utf8", "text message"},
        {frame(Opcode::text, "\xed\xa0\x80"), 1007, "invalid_utf8", "text message"},
        {frame(Opcode::text, "\xc3", false) + frame(Opcode::continuation, "x"), 1007, "invalid_utf8",
         "text message"},
        {frame(Opcode::text, std::string(200'001, 'x')), 1009, "message_too_large", "limit is 200000"},
        {frame(Opcode::binary, std::string(100'001, 'x')), 1009, "message_too_large", "limit is 100000"},
        {frame(Opcode::binary, std::string(60'000, 'x'), false) +
             frame(Opcode::continuation, std::string(40'001, 'x')),
         1009, "message_too_large", "100001 bytes"},
    };
    for (const Refused& row : rows) {
        const Outcome outcome = decode(row.wire, row.role);
        ASSERT_TRUE(outcome.error) << row.detail;
        EXPECT_EQ(outcome.error->code, row.code) << row.detail;
        EXPECT_EQ(outcome.close_code, row.close_code) << row.detail;
        EXPECT_NE(outcome.error->detail.find(row.detail), std::string::npos) << outcome.error->detail;
    }
}

TEST(WebSocketFrames, AnAnnounced100MiBFrameIsRefusedBeforeAnyOfIt) {
    FrameDecoder decoder(Role::server, limits);
    std::string header;
    append_frame_header(header, Opcode::text, 100 * 1024 * 1024, key);
    std::size_t consumed = 0;
    const auto refused = decoder.next(header, consumed);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().close_code, 1009);
    EXPECT_EQ(decoder.held_bytes(), 0u);
    // What still comes is thrown away.
    std::string rest(100'000, 'x');
    const auto ignored = decoder.next(rest, consumed);
    ASSERT_TRUE(ignored);
    EXPECT_FALSE(*ignored);
    EXPECT_EQ(consumed, rest.size());
    EXPECT_EQ(decoder.held_bytes(), 0u);
}

TEST(WebSocketFrames, TheLimitsChangeFromOneMessageToTheNext) {
    FrameDecoder decoder(Role::server, {.text_bytes_max = 4, .binary_bytes_max = 0});
    EXPECT_EQ(feed(decoder, frame(Opcode::text, "four"), 3).events.size(), 1u);
    decoder.set_limits({.text_bytes_max = 5, .binary_bytes_max = 0});
    EXPECT_EQ(feed(decoder, frame(Opcode::text, "fives"), 3).events.size(), 1u);
    EXPECT_EQ(feed(decoder, frame(Opcode::binary, ""), 3).events.size(), 1u);
    EXPECT_EQ(feed(decoder, frame(Opcode::binary, "x"), 3).close_code, 1009);
}

TEST(WebSocketFrames, NothingCountsBehindAClose) {
    std::string close;
    append_close(close, close_code::going_away, "bye", key);
    const Outcome expected{.events = {{Kind::close, "bye", 1001}}, .error = {}};
    EXPECT_EQ(decode(close + "garbage"), expected);
    std::string empty;
    append_close(empty, close_code::no_status, "ignored", key);
    EXPECT_EQ(decode(empty), (Outcome{.events = {{Kind::close, "", 1005}}, .error = {}}));
}

TEST(WebSocketFrames, CutsALongCloseReasonBetweenCharacters) {
    for (std::size_t lead = 0; lead < 4; ++lead) {
        std::string reason(lead, 'x');
        while (reason.size() < 200) reason += "\xe2\x82\xac";
        std::string close;
        append_close(close, close_code::policy_violation, reason, key);
        const Outcome outcome = decode(close);
        ASSERT_EQ(outcome.events.size(), 1u);
        const std::string& got = outcome.events[0].payload;
        EXPECT_EQ(got, reason.substr(0, got.size()));
        EXPECT_GT(got.size(), 120u);
        EXPECT_LE(got.size(), 123u);
    }
}

TEST(WebSocketFrames, AFrameBuiltInPlaceIsTheSameFrame) {
    for (const std::size_t size : {0, 1, 125, 126, 1000, 65535, 65536, 70'000}) {
        for (const std::optional<MaskKey>& mask : {std::optional<MaskKey>(), std::optional<MaskKey>(key)}) {
            const std::string payload(size, 'p');
            std::string expected = "before";
            append_frame(expected, Opcode::binary, payload, mask);
            append_frame(expected, Opcode::text, "next", mask);
            std::string out = "before";
            FrameInPlace first(out, mask);
            out.append(payload);
            EXPECT_EQ(first.payload_size(), size);
            first.end(Opcode::binary);
            FrameInPlace second(out, mask);
            out.append("next");
            second.end(Opcode::text);
            EXPECT_EQ(out, expected) << size;
        }
    }
}

}  // namespace
}  // namespace ee::http
