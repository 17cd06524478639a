#include "http/body_decoder.h"

#include <gtest/gtest.h>

namespace ee::http {
namespace {

using namespace std::string_literals;

struct Decoded {
    std::string body;
    std::size_t consumed = 0;
    bool done = false;
    std::vector<OwnedField> trailers;
    std::optional<Error> refusal;

    friend bool operator==(const Decoded&, const Decoded&) = default;
};

// Feeds the input in pieces of `piece` bytes.
Decoded decode(BodyDecoder& decoder, std::string_view input, std::size_t piece) {
    Decoded out;
    while (out.consumed < input.size() && !out.done) {
        std::string_view offered = input.substr(out.consumed, piece);
        while (!offered.empty() && !out.done) {
            const auto step = decoder.next(offered);
            if (!step) {
                out.refusal = step.error();
                out.consumed = 0;  // Where the refusal is noticed may differ.
                out.body.clear();
                return out;
            }
            EXPECT_TRUE(step->consumed > 0 || step->done);
            if (!step->data.empty()) {
                EXPECT_GE(step->data.data(), offered.data());
                EXPECT_LE(step->data.data() + step->data.size(), offered.data() + step->consumed);
            }
            out.body += step->data;
            out.consumed += step->consumed;
            out.done = step->done;
            offered.remove_prefix(step->consumed);
        }
    }
    out.done = decoder.done();
    for (const Field& field : decoder.trailers()) {
        out.trailers.push_back({std::string(field.name), std::string(field.value)});
    }
    return out;
}

// Whole, and the same in every smaller piece size.
Decoded decode_chunked(std::string_view input) {
    BodyDecoder decoder(Framing::chunked, 0);
    Decoded whole = decode(decoder, input, input.size());
    for (std::size_t piece = 1; piece < std::min<std::size_t>(input.size(), 40); ++piece) {
        BodyDecoder other(Framing::chunked, 0);
        EXPECT_EQ(decode(other, input, piece), whole) << input << " in pieces of " << piece;
    }
    return whole;
}

TEST(BodyDecoder, AMessageWithoutBodyIsDoneAtOnce) {
    for (const Framing framing : {Framing::none, Framing::length}) {
        BodyDecoder decoder(framing, 0);
        EXPECT_TRUE(decoder.done());
        const auto step = decoder.next("GET");
        ASSERT_TRUE(step);
        EXPECT_TRUE(step->done);
        EXPECT_EQ(step->consumed, 0u);
        EXPECT_TRUE(decoder.finish());
    }
}

TEST(BodyDecoder, ALengthEndsTheBodyWithinTheInput) {
    BodyDecoder decoder(Framing::length, 5);
    auto step = decoder.next("he");
    EXPECT_EQ(step->data, "he");
    EXPECT_FALSE(step->done);
    step = decoder.next("lloGET");
    EXPECT_EQ(step->data, "llo");
    EXPECT_EQ(step->consumed, 3u);
    EXPECT_TRUE(step->done);
}

TEST(BodyDecoder, AnEarlyCloseTruncatesAllButUntilClose) {
    BodyDecoder length(Framing::length, 5);
    ASSERT_TRUE(length.next("four"));
    ASSERT_FALSE(length.finish());
    EXPECT_EQ(length.finish().error().code, "body_truncated");
    BodyDecoder chunked(Framing::chunked, 0);
    ASSERT_TRUE(chunked.next("5\r\nhello\r\n"));
    ASSERT_FALSE(chunked.finish());
    BodyDecoder until_close(Framing::until_close, 0);
    EXPECT_EQ(until_close.next("anything")->data, "anything");
    EXPECT_FALSE(until_close.done());
    EXPECT_TRUE(until_close.finish());
    EXPECT_TRUE(until_close.done());
}

TEST(BodyDecoder, TakesOffChunkedFraming) {
    const struct {
        std::string input;
        std::string body;
        std::size_t behind;  // Bytes of the next message.
    } rows[] = {
        {"0\r\n\r\n", "", 0},
        {"5\r\nhello\r\n0\r\n\r\nGET", "hello", 3},
        {"000a\r\n0123456789\r\n1\r\nx\r\n00\r\n\r\n", "0123456789x", 0},
        {"0000000000000001\r\nx\r\n0\r\n\r\n", "x", 0},
        {"A;name=value;q=\"x y\"\r\n0123456789\r\n0;last\r\n\r\n", "0123456789", 0},
        {"1 ;x\r\n\r\r\n0\t;y\r\n\r\n", "\r", 0},
        {"2\r\n\r\n\r\n0\r\n\r\n", "\r\n", 0},
        {"1;" + std::string(255, 'e') + "\r\nx\r\n0\r\n\r\n", "x", 0},
    };
    for (const auto& row : rows) {
        const Decoded decoded = decode_chunked(row.input);
        EXPECT_FALSE(decoded.refusal) << row.input << decoded.refusal->detail;
        EXPECT_TRUE(decoded.done) << row.input;
        EXPECT_EQ(decoded.body, row.body) << row.input;
        EXPECT_EQ(decoded.consumed, row.input.size() - row.behind) << row.input;
        EXPECT_TRUE(decoded.trailers.empty()) << row.input;
    }
}

TEST(BodyDecoder, HandsOutTrailers) {
    const Decoded decoded = decode_chunked("1\r\nx\r\n0\r\nGrpc-Status: 0\r\nX-Sum:  a b \r\n\r\nGET");
    EXPECT_TRUE(decoded.done);
    const std::vector<OwnedField> trailers = {{"Grpc-Status", "0"}, {"X-Sum", "a b"}};
    EXPECT_EQ(decoded.trailers, trailers);
    EXPECT_EQ(decoded.body, "x");
}

TEST(BodyDecoder, RefusesChunksThatTwoReadersCouldReadDifferently) {
    const struct {
        std::string input;
        const char* code;
        const char* detail;
    } rows[] = {
        {"\r\n", "bad_chunk", "not hexadecimal"},
        {"x\r\n", "bad_chunk", "not hexadecimal"},
        {" 5\r\nhello\r\n0\r\n\r\n", "bad_chunk", "not hexadecimal"},
        {"0x5\r\nhello\r\n0\r\n\r\n", "bad_chunk", "not hexadecimal"},
        {"-5\r\nhello\r\n0\r\n\r\n", "bad_chunk", "not hexadecimal"},
        {"5g\r\nhello\r\n0\r\n\r\n", "bad_chunk", "not hexadecimal"},
        {"5 5\r\nhello\r\n0\r\n\r\n", "bad_chunk", "not hexadecimal"},
        {"5 \r\nhello\r\n0\r\n\r\n", "bad_chunk", "white space behind"},
        {";x\r\n", "bad_chunk", "not hexadecimal"},
        {"00000000000000005\r\nhello\r\n0\r\n\r\n", "bad_chunk", "16 digits"},
        {"8000000000000000\r\n", "bad_chunk", "2^63-1"},
        {"ffffffffffffffff\r\n", "bad_chunk", "2^63-1"},
        {"5\nhello\r\n0\r\n\r\n", "bad_chunk", "control character"},
        {"5\rhello", "bad_chunk", "CR without LF behind the chunk size"},
        {"5;a\nb\r\nhello\r\n0\r\n\r\n", "bad_chunk", "control character"},
        {"5;a\0\r\nhello"s, "bad_chunk", "control character"},
        {"5;" + std::string(256, 'e') + "\r\n", "bad_chunk", "too long"},
        {"5\r\nhello0\r\n\r\n", "bad_chunk", "longer than its size"},
        {"5\r\nhello\n0\r\n\r\n", "bad_chunk", "longer than its size"},
        {"5\r\nhello\rX0\r\n\r\n", "bad_chunk", "CR without LF behind the chunk's data"},
        {"3\r\nhello\r\n0\r\n\r\n", "bad_chunk", "longer than its size"},
        {"0\r\nX: a\nY: b\r\n\r\n", "bad_trailer", "LF without CR"},
        {"0\r\nX: a\rY: b\r\n\r\n", "bad_trailer", "CR without LF"},
        {"0\r\nX: a\0\r\n\r\n"s, "bad_trailer", "control character"},
        {"0\r\nX: a\r\n b\r\n\r\n", "bad_trailer", "obs-fold"},
        {"0\r\nX : a\r\n\r\n", "bad_trailer", "before the colon"},
        {"0\r\nGET / HTTP/1.1\r\n\r\n", "bad_trailer", "without a colon"},
        {"0\r\nContent-Length: 5\r\n\r\n", "bad_trailer", "may not be in trailers"},
        {"0\r\ntransfer-encoding: chunked\r\n\r\n", "bad_trailer", "may not be in trailers"},
        {"0\r\nHost: h\r\n\r\n", "bad_trailer", "may not be in trailers"},
        {"0\r\nX: " + std::string(8192, 'x') + "\r\n\r\n", "trailers_too_large", "8 KiB"},
    };
    for (const auto& row : rows) {
        const Decoded decoded = decode_chunked(row.input);
        ASSERT_TRUE(decoded.refusal) << row.input;
        EXPECT_EQ(decoded.refusal->code, row.code) << row.input;
        EXPECT_NE(decoded.refusal->detail.find(row.detail), std::string::npos)
            << row.input << decoded.refusal->detail;
    }
}

TEST(BodyDecoder, LimitsExtensionsOfTheWholeBody) {
    std::string input;
    for (int i = 0; i < 100; ++i) input += "1;" + std::string(200, 'e') + "\r\nx\r\n";
    const Decoded decoded = decode_chunked(input);
    ASSERT_TRUE(decoded.refusal);
    EXPECT_EQ(decoded.refusal->code, "bad_chunk");
}

TEST(BodyDecoder, LimitsTheNumberOfTrailers) {
    std::string input = "0\r\n";
    for (int i = 0; i < 201; ++i) input += "X: y\r\n";
    const Decoded decoded = decode_chunked(input + "\r\n");
    ASSERT_TRUE(decoded.refusal);
    EXPECT_EQ(decoded.refusal->code, "trailers_too_large");
}

}  // namespace
}  // namespace ee::http
