#include "events/sse.h"

#include <gtest/gtest.h>

namespace ee::events {
namespace {

TEST(Sse, AnEventIsItsNumberItsKindAndItsJson) {
    std::string out;
    append_sse(out, {.seq = 12, .kind = "attested", .app_name = "a", .detail = "x\r\n\ndata: y"});
    EXPECT_TRUE(out.starts_with("id: 12\nevent: attested\ndata: {\"seq\":12,")) << out;
    EXPECT_TRUE(out.ends_with("}\n\n")) << out;
    // No text of a stranger's begins a line.
    EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 4);
    EXPECT_EQ(out.find('\r'), std::string::npos);
}

TEST(Sse, OtherMessages) {
    std::string out;
    append_sse_retry(out, 2000);
    append_sse_position(out, 5);
    append_sse_lost(out, 3, 9);
    EXPECT_EQ(out,
              "retry: 2000\n\n"
              ":\nid: 5\n\n"
              "id: 8\nevent: events_lost\ndata: {\"after\":3,\"oldest\":9}\n\n");
}

TEST(Sse, PositionsAreDecimal) {
    EXPECT_EQ(parse_position("0"), 0u);
    EXPECT_EQ(parse_position("18446744073709551615"), ~std::uint64_t{0});
    for (const char* text : {"", "-1", "+1", " 1", "1 ", "0x1", "1.0", "18446744073709551616", "abc"})
        EXPECT_EQ(parse_position(text), std::nullopt) << text;
}

struct Read {
    std::string messages;
    SseReader reader{[this](const SseReader::Message& message) {
        messages.append("[").append(message.kind).append("|").append(message.data).append("]");
    }};
};

TEST(Sse, TheReaderTakesAStreamInAnyPieces) {
    const std::string stream =
        ": hello\n"
        "retry: 2000\n\n"
        "id: 1\nevent: attested\ndata: {\"a\":1}\n\n"
        "id: 2\r\ndata:no space\r\ndata: second line\r\n\r\n"
        "event: nothing\n\n"
        ":\nid: 9\n\n"
        "unknown: field\nid\n\n"
        "id: 10\ndata: cut";
    for (std::size_t size = 1; size <= stream.size(); ++size) {
        Read read;
        for (std::size_t at = 0; at < stream.size(); at += size)
            ASSERT_TRUE(read.reader.feed(std::string_view(stream).substr(at, size)));
        EXPECT_EQ(read.messages, "[attested|{\"a\":1}][message|no space\nsecond line]");
        // A field `id` without a value takes it back; what is not complete has not come.
        EXPECT_EQ(read.reader.last_id(), "");
    }
    Read read;
    read.reader.feed(stream.substr(0, stream.find("unknown")));
    EXPECT_EQ(read.reader.last_id(), "9");
}

TEST(Sse, TheReaderTakesBackWhatWeWrite) {
    std::string stream;
    append_sse_retry(stream, 1);
    append_sse(stream, {.seq = 3, .kind = "draining", .app_name = "a"});
    append_sse_lost(stream, 3, 7);
    Read read;
    ASSERT_TRUE(read.reader.feed(stream));
    EXPECT_TRUE(read.messages.starts_with("[draining|{\"seq\":3,")) << read.messages;
    EXPECT_TRUE(read.messages.ends_with("[events_lost|{\"after\":3,\"oldest\":7}]")) << read.messages;
    EXPECT_EQ(read.reader.last_id(), "6");
}

TEST(Sse, ALineWithoutAnEndIsNotKeptForEver) {
    Read read;
    const std::string piece(64 * 1024, 'x');
    bool good = true;
    for (int i = 0; i < 17 && good; ++i) good = read.reader.feed(piece);
    EXPECT_FALSE(good);
}

}  // namespace
}  // namespace ee::events
