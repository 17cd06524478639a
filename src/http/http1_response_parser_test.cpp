#include "http/http1_response_parser.h"

#include <gtest/gtest.h>

namespace ee::http {
namespace {

using namespace std::string_literals;

Result<std::size_t> parse_at_once(std::string_view raw, AskedMethod asked, ResponseHead& head) {
    return ResponseParser().parse(raw, asked, head);
}

Result<std::size_t> parse_drip(std::string_view raw, AskedMethod asked, ResponseHead& head) {
    ResponseParser parser;
    for (std::size_t size = 0; size < raw.size(); ++size) {
        auto parsed = parser.parse(raw.substr(0, size), asked, head);
        if (!parsed || *parsed > 0) return parsed;
    }
    return parser.parse(raw, asked, head);
}

std::string ok(std::string_view fields) {
    return "HTTP/1.1 200 OK\r\n" + std::string(fields) + "\r\n";
}

struct Accepted {
    std::string raw;
    AskedMethod asked;
    int status;
    Framing framing;
    std::uint64_t length;
    bool keep_alive;
};

TEST(ResponseParser, FindsTheFramingByRfc9112Section63) {
    using enum AskedMethod;
    const Accepted rows[] = {
        {ok("Content-Length: 5\r\n"), other, 200, Framing::length, 5, true},
        {ok("Content-Length: 0\r\n"), other, 200, Framing::length, 0, true},
        {ok("Transfer-Encoding: chunked\r\n"), other, 200, Framing::chunked, 0, true},
        {ok("Transfer-Encoding: chunked\r\nConnection: close\r\n"), other, 200, Framing::chunked, 0, false},
        {ok(""), other, 200, Framing::until_close, 0, false},
        {ok("Content-Length: 5\r\n"), head, 200, Framing::none, 0, true},
        {ok("Transfer-Encoding: chunked\r\n"), head, 200, Framing::none, 0, true},
        {ok(""), head, 200, Framing::none, 0, true},
        {ok(""), connect, 200, Framing::none, 0, true},
        {"HTTP/1.1 407 No\r\nContent-Length: 3\r\n\r\n", connect, 407, Framing::length, 3, true},
        {"HTTP/1.1 204 No Content\r\n\r\n", other, 204, Framing::none, 0, true},
        {"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", other, 204, Framing::none, 0, true},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", other, 304, Framing::none, 0, true},
        {"HTTP/1.1 100 Continue\r\n\r\n", other, 100, Framing::none, 0, true},
        {"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n", other, 103, Framing::none, 0, true},
        {"HTTP/1.1 101 Up\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", other, 101, Framing::none, 0,
         true},
        {"HTTP/1.0 200 OK\r\n\r\n", other, 200, Framing::until_close, 0, false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", other, 200, Framing::length, 1, false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n", other, 200,
         Framing::length, 1, true},
        {"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\n", other, 200, Framing::length, 1, true},
        {"HTTP/1.1 599 \r\nContent-Length: 1\r\n\r\n", other, 599, Framing::length, 1, true},
        {"HTTP/1.1 200 K\xc3\xb6nig\tx\r\nContent-Length: 1\r\n\r\n", other, 200, Framing::length, 1, true},
    };
    for (const Accepted& row : rows) {
        ResponseHead head;
        const auto size = parse_at_once(row.raw, row.asked, head);
        ASSERT_TRUE(size) << row.raw << size.error().detail;
        EXPECT_EQ(*size, row.raw.size()) << row.raw;
        EXPECT_EQ(head.status, row.status) << row.raw;
        EXPECT_EQ(head.framing, row.framing) << row.raw;
        EXPECT_EQ(head.content_length, row.length) << row.raw;
        EXPECT_EQ(head.keep_alive, row.keep_alive) << row.raw;
        ResponseHead drip;
        EXPECT_EQ(parse_drip(row.raw, row.asked, drip), size) << row.raw;
        EXPECT_EQ(head, drip) << row.raw;
    }
}

TEST(ResponseParser, ReadsAnInterimHeadAndThenTheFinalOne) {
    const std::string interim = "HTTP/1.1 100 Continue\r\n\r\n";
    const std::string raw = interim + ok("Content-Length: 2\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n") + "hi";
    ResponseParser parser;
    ResponseHead head;
    ASSERT_EQ(parser.parse(raw, AskedMethod::other, head), interim.size());
    EXPECT_TRUE(head.interim());
    ASSERT_EQ(parser.parse(std::string_view(raw).substr(interim.size()), AskedMethod::other, head),
              raw.size() - interim.size() - 2);
    EXPECT_FALSE(head.interim());
    EXPECT_EQ(head.reason, "OK");
    const std::vector<Field> fields = {{"Content-Length", "2"}, {"Set-Cookie", "a"}, {"Set-Cookie", "b"}};
    EXPECT_EQ(head.fields, fields);
}

TEST(ResponseParser, SwitchingProtocolsIsFinal) {
    ResponseHead head;
    ASSERT_TRUE(parse_at_once("HTTP/1.1 101 Up\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
                              AskedMethod::other, head));
    EXPECT_FALSE(head.interim());
    EXPECT_TRUE(head.upgrade);
}

TEST(ResponseParser, KnowsTheMethodsThatChangeTheFraming) {
    EXPECT_EQ(asked_method("HEAD"), AskedMethod::head);
    EXPECT_EQ(asked_method("CONNECT"), AskedMethod::connect);
    EXPECT_EQ(asked_method("head"), AskedMethod::other);
}

struct Refused {
    std::string raw;
    const char* detail;
    const char* code = "bad_response";
};

TEST(ResponseParser, RefusesWhatTwoReadersCouldReadDifferently) {
    const Refused rows[] = {
        {ok("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
         "both Content-Length and Transfer-Encoding"},
        {ok("Content-Length: 5\r\nContent-Length: 5\r\n"), "more than one Content-Length"},
        {ok("Content-Length: 5\r\nContent-Length: 6\r\n"), "more than one Content-Length"},
        {ok("Content-Length: 5, 5\r\n"), "not a number"},
        {ok("Content-Length: -1\r\n"), "not a number"},
        {ok("Content-Length: 9223372036854775808\r\n"), "not a number"},
        {ok("Transfer-Encoding: gzip\r\n"), "ends in the one chunked"},
        {ok("Transfer-Encoding: gzip, chunked\r\n"), "other than chunked"},
        {ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
         "more than one Transfer-Encoding"},
        {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.0"},
        {"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", "status that has none"},
        {"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", "status that has none"},
        {"HTTP/1.1 100 Go\r\nContent-Length: 5\r\n\r\n", "status that has none"},
        {"HTTP/1.1 101 Up\r\nTransfer-Encoding: chunked\r\n\r\n", "status that has none"},
        {ok("X: a\r\n b\r\n"), "obs-fold"},
        {ok("X : a\r\n"), "before the colon"},
        {ok("X\r\n"), "without a colon"},
        {ok(": a\r\n"), "empty field name"},
        {ok("X: a\nY: b\r\n"), "LF without CR"},
        {ok("X: a\rY: b\r\n"), "CR without LF"},
        {ok("X: a\0b\r\n"s), "control character"},
        {"HTTP/1.1 200 O\0K\r\n\r\n"s, "control character"},
        {"HTTP/1.1 200 OK\n\n", "LF without CR"},
        {"\r\nHTTP/1.1 200 OK\r\n\r\n", "start line is empty"},
        {"HTTP/1.1 099 x\r\n\r\n", "100-599"},
        {"HTTP/1.1 600 x\r\n\r\n", "100-599"},
        {"HTTP/1.1 20 OK\r\n\r\n", "three digits"},
        {"HTTP/1.1 2x0 OK\r\n\r\n", "three digits"},
        {"HTTP/1.1 20\r\n\r\n", "begin with HTTP/1.x"},
        {"HTTP/1.1 2000 OK\r\n\r\n", "no space behind"},
        {"HTTP/1.1 +20 OK\r\n\r\n", "three digits"},
        {"HTTP/1.1  200 OK\r\n\r\n", "three digits"},
        {"HTTP/1.1\t200 OK\r\n\r\n", "begin with HTTP/1.x"},
        {"HTTP/1.2 200 OK\r\n\r\n", "neither HTTP/1.1"},
        {"HTTP/2 200\r\n\r\n", "begin with HTTP/1.x"},
        {"http/1.1 200 OK\r\n\r\n", "begin with HTTP/1.x"},
        {"ICY 200 OK, this is long\r\n\r\n", "begin with HTTP/1.x"},
        {ok("X: " + std::string(64 * 1024, 'x') + "\r\n"), "65536", "head_too_large"},
    };
    for (const Refused& row : rows) {
        ResponseHead head;
        const auto whole = parse_at_once(row.raw, AskedMethod::other, head);
        ASSERT_FALSE(whole) << row.raw;
        EXPECT_EQ(whole.error().code, row.code) << row.raw;
        EXPECT_NE(whole.error().detail.find(row.detail), std::string::npos)
            << row.raw << whole.error().detail;
        const auto drip = parse_drip(row.raw, AskedMethod::other, head);
        ASSERT_FALSE(drip) << row.raw;
        EXPECT_EQ(drip.error(), whole.error()) << row.raw;
    }
}

TEST(ResponseParser, ABodilessAnswerToHeadMustStillHaveSaneFields) {
    ResponseHead head;
    const auto parsed =
        parse_at_once(ok("Content-Length: 1\r\nContent-Length: 1\r\n"), AskedMethod::head, head);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().code, "bad_response");
}

}  // namespace
}  // namespace ee::http
