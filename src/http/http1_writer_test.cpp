#include "http/http1_writer.h"

#include <gtest/gtest.h>

#include "http/body_decoder.h"
#include "http/http1_request_parser.h"
#include "http/http1_response_parser.h"

namespace ee::http {
namespace {

using namespace std::string_literals;

TEST(Http1Writer, ARequestReadsBackAsWritten) {
    const std::vector<Field> fields = {
        {"Host", "h"}, {"X-Empty", ""}, {"X", "a \t\xff"}, {"Content-Length", "3"}};
    std::string out = "before";
    ASSERT_TRUE(append_request_head(out, "PUT", "/x?y", fields));
    RequestHead head;
    ASSERT_EQ(RequestParser().parse(std::string_view(out).substr(6), head), out.size() - 6);
    EXPECT_EQ(head.method, "PUT");
    EXPECT_EQ(head.target, "/x?y");
    EXPECT_EQ(head.fields, fields);
}

TEST(Http1Writer, AResponseReadsBackAsWritten) {
    for (int status = 200; status < 600; ++status) {
        std::string out;
        ASSERT_TRUE(append_response_head(out, status, std::vector<Field>{{"A", "b"}}));
        ResponseHead head;
        ASSERT_EQ(ResponseParser().parse(out, AskedMethod::other, head), out.size());
        EXPECT_EQ(head.status, status);
        EXPECT_EQ(head.reason, reason_phrase(status));
    }
    std::string out;
    ASSERT_TRUE(append_response_head(out, 200, {}, "Fine"));
    EXPECT_EQ(out, "HTTP/1.1 200 Fine\r\n\r\n");
}

TEST(Http1Writer, KnowsTheRegisteredPhrases) {
    EXPECT_EQ(reason_phrase(101), "Switching Protocols");
    EXPECT_EQ(reason_phrase(426), "Upgrade Required");
    EXPECT_EQ(reason_phrase(511), "Network Authentication Required");
    EXPECT_EQ(reason_phrase(299), "");
    EXPECT_EQ(reason_phrase(-1), "");
    EXPECT_EQ(reason_phrase(99999), "");
}

TEST(Http1Writer, RefusesWhatWouldNotReadBack) {
    const struct {
        std::string method, target, name, value;
    } rows[] = {
        {"GE T", "/", "X", "y"},  {"", "/", "X", "y"},        {"GET", "", "X", "y"},
        {"GET", "/ x", "X", "y"}, {"GET", "/\r\n", "X", "y"}, {"GET", "/", "", "y"},
        {"GET", "/", "X:", "y"},  {"GET", "/", "X\r\n", "y"}, {"GET", "/", "X", "y\r\nEvil: 1"},
        {"GET", "/", "X", "y\n"}, {"GET", "/", "X", "y\rz"},  {"GET", "/", "X", "y\0z"s},
        {"GET", "/", "X", " y"},
    };
    for (const auto& row : rows) {
        std::string out = "kept";
        EXPECT_FALSE(append_request_head(out, row.method, row.target,
                                         std::vector<Field>{{"A", "b"}, {row.name, row.value}}));
        EXPECT_EQ(out, "kept");
    }
    std::string out = "kept";
    const std::vector<Field> evil = {{"A", "b\r\nC: d"}};
    EXPECT_FALSE(append_response_head(out, 200, evil));
    EXPECT_FALSE(append_last_chunk(out, evil));
    EXPECT_FALSE(append_response_head(out, 99, {}));
    EXPECT_FALSE(append_response_head(out, 1000, {}));
    EXPECT_FALSE(append_response_head(out, 200, {}, "O\nK"));
    EXPECT_EQ(out, "kept");
}

TEST(Http1Writer, AChunkedBodyReadsBackAsWritten) {
    std::string out;
    append_chunk(out, "hello");
    append_chunk(out, "");
    append_chunk_header(out, 0x1234);
    out.append(0x1234, 'x').append("\r\n");
    ASSERT_TRUE(append_last_chunk(out, std::vector<Field>{{"Sum", "1"}}));
    EXPECT_TRUE(out.starts_with("5\r\nhello\r\n1234\r\n"));

    BodyDecoder decoder(Framing::chunked, 0);
    std::string body;
    std::string_view rest = out;
    while (!decoder.done()) {
        const auto step = decoder.next(rest);
        ASSERT_TRUE(step);
        body += step->data;
        rest.remove_prefix(step->consumed);
    }
    EXPECT_EQ(body, "hello" + std::string(0x1234, 'x'));
    ASSERT_EQ(decoder.trailers().size(), 1u);
    EXPECT_EQ(decoder.trailers()[0].name, "Sum");
    EXPECT_TRUE(rest.empty());
}

TEST(Http1Writer, WritesLengths) {
    std::string out;
    append_content_length(out, 0);
    append_content_length(out, 18446744073709551615u);
    EXPECT_EQ(out, "Content-Length: 0\r\nContent-Length: 18446744073709551615\r\n");
}

}  // namespace
}  // namespace ee::http
