#include "http/http2_request.h"

#include <gtest/gtest.h>

namespace ee::http {
namespace {

Http2Head get() {
    return {.method = "GET", .scheme = "https", .authority = "app.test", .path = "/p?q=1"};
}

TEST(Http2Request, BecomesAHeadWithHostFirst) {
    const Field fields[] = {{"accept", "*/*"}, {"te", "trailers"}, {"host", "APP.test"}};
    Http2Head head = get();
    head.fields = fields;
    RequestHead out;
    ASSERT_TRUE(read_request(head, true, out));
    EXPECT_EQ(out.major_version, 2);
    EXPECT_EQ(out.method, "GET");
    EXPECT_EQ(out.target, "/p?q=1");
    EXPECT_EQ(out.origin_form, "/p?q=1");
    EXPECT_EQ(out.authority, "app.test");
    const std::vector<Field> expected = {{"Host", "app.test"}, {"accept", "*/*"}, {"te", "trailers"}};
    EXPECT_EQ(out.fields, expected);
    EXPECT_TRUE(out.accepts_trailers);
    EXPECT_FALSE(out.has_body());
    EXPECT_TRUE(out.keep_alive);
    EXPECT_FALSE(out.upgrade);
}

TEST(Http2Request, HostStandsInForAnAbsentAuthority) {
    const Field fields[] = {{"host", "app.test"}};
    Http2Head head = get();
    head.authority = {};
    head.fields = fields;
    RequestHead out;
    ASSERT_TRUE(read_request(head, true, out));
    EXPECT_EQ(out.authority, "app.test");
}

TEST(Http2Request, TellsHowLongTheBodyIs) {
    RequestHead out;
    ASSERT_TRUE(read_request(get(), false, out));
    EXPECT_EQ(out.framing, Framing::chunked);
    EXPECT_TRUE(out.has_body());
    const Field fields[] = {{"content-length", "17"}, {"expect", "100-Continue"}};
    Http2Head head = get();
    head.fields = fields;
    ASSERT_TRUE(read_request(head, false, out));
    EXPECT_EQ(out.framing, Framing::length);
    EXPECT_EQ(out.content_length, 17u);
    EXPECT_TRUE(out.expect_continue);
    ASSERT_TRUE(read_request(get(), true, out)) << "nothing stays of the request before";
    EXPECT_FALSE(out.has_body() || out.expect_continue);
}

TEST(Http2Request, AnExtendedConnectNamesItsProtocol) {
    Http2Head head = get();
    head.method = "CONNECT";
    head.protocol = "websocket";
    RequestHead out;
    ASSERT_TRUE(read_request(head, false, out));
    EXPECT_EQ(out.protocol, "websocket");
    EXPECT_EQ(out.origin_form, "/p?q=1");
}

// One thing changed at a time.
TEST(Http2Request, WhatCouldMeanSomethingElseToTheNextServerIsRefused) {
    struct Row {
        std::string_view what;
        void (*change)(Http2Head&, std::vector<Field>&);
        std::string_view code;
    };
    const Row rows[] = {
        {"a method with a space", [](Http2Head& h, auto&) { h.method = "GET /x"; }, "bad_request"},
        {"no method", [](Http2Head& h, auto&) { h.method = ""; }, "bad_request"},
        {"plain CONNECT", [](Http2Head& h, auto&) { h.method = "CONNECT"; }, "unsupported_method"},
        {"another scheme", [](Http2Head& h, auto&) { h.scheme = "ftp"; }, "bad_request"},
        {"no path", [](Http2Head& h, auto&) { h.path = ""; }, "bad_request"},
        {"an absolute target", [](Http2Head& h, auto&) { h.path = "http://b.test/"; }, "bad_request"},
        {"a path without its slash", [](Http2Head& h, auto&) { h.path = "p"; }, "bad_request"},
        {"* without OPTIONS", [](Http2Head& h, auto&) { h.path = "*"; }, "bad_request"},
        {"a space in the path", [](Http2Head& h, auto&) { h.path = "/a b"; }, "bad_request"},
        {"a request line in the path", [](Http2Head& h, auto&) { h.path = "/ HTTP/1.1\r\nX: y"; },
         "bad_request"},
        {"a control character in the path", [](Http2Head& h, auto&) { h.path = "/a\x7f"; }, "bad_request"},
        {"a fragment", [](Http2Head& h, auto&) { h.path = "/a#b"; }, "bad_request"},
        {"neither authority nor Host", [](Http2Head& h, auto&) { h.authority = ""; }, "bad_request"},
        {"user information", [](Http2Head& h, auto&) { h.authority = "u@app.test"; }, "bad_request"},
        {"a path in the authority", [](Http2Head& h, auto&) { h.authority = "app.test/x"; }, "bad_request"},
        {"another Host", [](Http2Head&, auto& f) { f = {{"host", "b.test"}}; }, "bad_request"},
        {"two Hosts",
         [](Http2Head& h, auto& f) { h.authority = "", f = {{"host", "app.test"}, {"host", "app.test"}}; },
         "bad_request"},
        {"two lengths", [](Http2Head&, auto& f) { f = {{"content-length", "1"}, {"content-length", "2"}}; },
         "bad_request"},
        {"a list of lengths", [](Http2Head&, auto& f) { f = {{"content-length", "1, 1"}}; }, "bad_request"},
        {"a length with a sign", [](Http2Head&, auto& f) { f = {{"content-length", "+1"}}; }, "bad_request"},
        {"another expectation", [](Http2Head&, auto& f) { f = {{"expect", "tea"}}; },
         "unsupported_expectation"},
        {"a control character", [](Http2Head&, auto& f) { f = {{"x", "a\x7f"}}; }, "bad_request"},
        {"CR in a value", [](Http2Head&, auto& f) { f = {{"x", "a\rb"}}; }, "bad_request"},
        {"white space at the end", [](Http2Head&, auto& f) { f = {{"x", "a "}}; }, "bad_request"},
        {"a space in a name", [](Http2Head&, auto& f) { f = {{"x y", "a"}}; }, "bad_request"},
        {"too large", [](Http2Head& h, auto&) { h.is_too_large = true; }, "head_too_large"},
    };
    for (const Row& row : rows) {
        Http2Head head = get();
        std::vector<Field> fields;
        row.change(head, fields);
        head.fields = fields;
        RequestHead out;
        const auto read = read_request(head, false, out);
        ASSERT_FALSE(read) << row.what;
        EXPECT_EQ(read.error().code, row.code) << row.what;
    }
    RequestHead out;
    Http2Head options = get();
    options.method = "OPTIONS";
    options.path = "*";
    EXPECT_TRUE(read_request(options, true, out));
}

TEST(Http2Request, AHeadThatIsTakenOverOutlivesWhatItWasReadFrom) {
    std::string path = "/a/long/path?with=query", name = "x-name", value = "value";
    const Field fields[] = {{name, value}};
    Http2Head head = get();
    head.path = path;
    head.fields = fields;
    RequestHead out;
    std::string text;
    ASSERT_TRUE(read_request(head, false, out));
    take_over(out, text);
    path.assign(path.size(), '!');
    name.assign(name.size(), '!');
    value.assign(value.size(), '!');
    EXPECT_EQ(out.origin_form, "/a/long/path?with=query");
    EXPECT_EQ(out.target, "/a/long/path?with=query");
    const std::vector<Field> expected = {{"Host", "app.test"}, {"x-name", "value"}};
    EXPECT_EQ(out.fields, expected);
    EXPECT_EQ(out.authority, "app.test");
    EXPECT_EQ(out.method, "GET");
}

}  // namespace
}  // namespace ee::http
