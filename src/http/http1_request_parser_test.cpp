#include "http/http1_request_parser.h"

#include <gtest/gtest.h>

#include "http/fields.h"

namespace ee::http {
namespace {

using namespace std::string_literals;

Result<std::size_t> parse_at_once(std::string_view raw, RequestHead& head) {
    return RequestParser().parse(raw, head);
}

// As from a peer that sends byte by byte; stops at the first answer, like a connection would.
Result<std::size_t> parse_drip(std::string_view raw, RequestHead& head) {
    RequestParser parser;
    for (std::size_t size = 0; size < raw.size(); ++size) {
        auto parsed = parser.parse(raw.substr(0, size), head);
        if (!parsed || *parsed > 0) return parsed;
    }
    return parser.parse(raw, head);
}

RequestHead accept(std::string_view raw) {
    RequestHead whole;
    const auto size = parse_at_once(raw, whole);
    EXPECT_TRUE(size) << raw << ": " << size.error().detail;
    RequestHead drip;
    EXPECT_EQ(parse_drip(raw, drip), size) << raw;
    EXPECT_EQ(whole, drip) << raw;
    return whole;
}

std::string get(std::string_view fields) {
    return "GET / HTTP/1.1\r\nHost: a.example\r\n" + std::string(fields) + "\r\n";
}
std::string post(std::string_view fields) {
    return "POST / HTTP/1.1\r\nHost: a.example\r\n" + std::string(fields) + "\r\n";
}

TEST(RequestParser, ReadsAHeadIntoViewsOfTheBuffer) {
    const std::string raw =
        "POST /a//b/../x?q=%2F HTTP/1.1\r\nHost: app.example:8080\r\nX-Empty:\r\nX-Pad: \t v w\t \r\n"
        "content-LENGTH: 12\r\n\r\nbody";
    RequestHead head = accept(raw);
    EXPECT_EQ(head.method, "POST");
    EXPECT_EQ(head.target, "/a//b/../x?q=%2F");
    EXPECT_EQ(head.origin_form, head.target);
    EXPECT_EQ(head.authority, "app.example:8080");
    EXPECT_EQ(head.minor_version, 1);
    const std::vector<Field> fields = {
        {"Host", "app.example:8080"}, {"X-Empty", ""}, {"X-Pad", "v w"}, {"content-LENGTH", "12"}};
    EXPECT_EQ(head.fields, fields);
    EXPECT_EQ(head.framing, Framing::length);
    EXPECT_EQ(head.content_length, 12u);
    EXPECT_TRUE(head.keep_alive);
    EXPECT_FALSE(head.expect_continue);
    EXPECT_FALSE(head.upgrade);
    EXPECT_GE(head.method.data(), raw.data());
    EXPECT_LT(head.fields[3].value.data(), raw.data() + raw.size());
}

TEST(RequestParser, SaysHowManyBytesTheHeadHasAndReadsPipelinedOnes) {
    const std::string first = get("");
    const std::string raw = first + post("Content-Length: 0\r\n");
    RequestParser parser;
    RequestHead head;
    const auto size = parser.parse(raw, head);
    ASSERT_EQ(size, first.size());
    EXPECT_EQ(head.method, "GET");
    EXPECT_EQ(parser.parse(std::string_view(raw).substr(*size), head), raw.size() - first.size());
    EXPECT_EQ(head.method, "POST");
    EXPECT_FALSE(head.has_body());
}

TEST(RequestParser, FollowsABufferThatMovesWhileItGrows) {
    const std::string raw = get("X: y\r\n");
    RequestParser parser;
    RequestHead head;
    for (std::size_t size = 0; size < raw.size(); ++size) {
        const std::string moved = raw.substr(0, size);
        ASSERT_EQ(parser.parse(moved, head), 0u);
    }
    ASSERT_EQ(parser.parse(raw, head), raw.size());
    EXPECT_EQ(find(head.fields, "x"), "y");
}

TEST(RequestParser, AllocatesNothingForARequestLikeTheOneBefore) {
    const std::string raw = get("A: 1\r\nB: 2\r\n");
    RequestParser parser;
    RequestHead head;
    ASSERT_EQ(parser.parse(raw, head), raw.size());
    const Field* const place = head.fields.data();
    ASSERT_EQ(parser.parse(raw, head), raw.size());
    EXPECT_EQ(head.fields.data(), place);
}

TEST(RequestParser, TellsFramingApart) {
    EXPECT_EQ(accept(get("")).framing, Framing::none);
    EXPECT_EQ(accept(post("Transfer-Encoding: chunked\r\n")).framing, Framing::chunked);
    EXPECT_EQ(accept(post("Transfer-Encoding: \tChunKed \r\n")).framing, Framing::chunked);
    EXPECT_TRUE(accept(post("Transfer-Encoding: chunked\r\n")).has_body());
    EXPECT_EQ(accept(post("Content-Length: 9223372036854775807\r\n")).content_length, 9223372036854775807u);
    EXPECT_EQ(accept(post("Content-Length: 007\r\n")).content_length, 7u);
}

TEST(RequestParser, TellsWhetherTheConnectionStays) {
    EXPECT_TRUE(accept(get("")).keep_alive);
    EXPECT_FALSE(accept(get("Connection: close\r\n")).keep_alive);
    EXPECT_FALSE(accept(get("Connection: x ,, CLOSE\r\n")).keep_alive);
    EXPECT_FALSE(accept(get("Connection: keep-alive\r\nConnection: close\r\n")).keep_alive);
    EXPECT_TRUE(accept(get("Connection: closed\r\n")).keep_alive);
    EXPECT_FALSE(accept("GET / HTTP/1.0\r\n\r\n").keep_alive);
    EXPECT_TRUE(accept("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
}

TEST(RequestParser, ReadsExpectAndUpgrade) {
    EXPECT_TRUE(accept(post("Expect: 100-Continue\r\nContent-Length: 1\r\n")).expect_continue);
    EXPECT_FALSE(accept("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").expect_continue);
    EXPECT_TRUE(accept(get("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n")).upgrade);
    EXPECT_FALSE(accept(get("Upgrade: websocket\r\n")).upgrade);
    EXPECT_FALSE(accept(get("Connection: Upgrade\r\n")).upgrade);
}

struct Accepted {
    const char* raw;
    const char* origin_form;
    const char* authority;
};

TEST(RequestParser, AcceptsEveryTargetFormButAuthority) {
    const Accepted rows[] = {
        {"GET /?a|b={\"c\"} HTTP/1.1\r\nHost: h\r\n\r\n", "/?a|b={\"c\"}", "h"},
        {"GET http://h.example/p?q HTTP/1.1\r\nHost: h.example\r\n\r\n", "/p?q", "h.example"},
        {"GET HTTPS://H.example:8443 HTTP/1.1\r\nHost: h.example:8443\r\n\r\n", "/", "H.example:8443"},
        {"GET http://h/ HTTP/1.0\r\n\r\n", "/", "h"},
        {"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "*", "h"},
        {"M-SEARCH / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n", "/", "[2001:db8::1]:80"},
        {"GET / HTTP/1.1\r\nHost: 192.0.2.1:\r\n\r\n", "/", "192.0.2.1:"},
        {"GET / HTTP/1.0\r\n\r\n", "/", ""},
        {"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "/", "h"},
        {"GET / HTTP/1.1\r\nHost: h\r\nX: \x80\xff\ttab\r\n\r\n", "/", "h"},
        {"GET / HTTP/1.1\r\nHost: h\r\nUnder_score: 1\r\nX: a:b\r\n\r\n", "/", "h"},
    };
    for (const Accepted& row : rows) {
        const RequestHead head = accept(row.raw);
        EXPECT_EQ(head.origin_form, row.origin_form) << row.raw;
        EXPECT_EQ(head.authority, row.authority) << row.raw;
    }
}

struct Refused {
    std::string raw;
    const char* code;
    const char* detail;  // Part of it.
};

void expect_refused(const Refused& row) {
    RequestHead head;
    const auto whole = parse_at_once(row.raw, head);
    ASSERT_FALSE(whole) << row.raw;
    EXPECT_EQ(whole.error().code, row.code) << row.raw;
    EXPECT_NE(whole.error().detail.find(row.detail), std::string::npos)
        << row.raw << ": " << whole.error().detail;
    const auto drip = parse_drip(row.raw, head);
    ASSERT_FALSE(drip) << row.raw;
    EXPECT_EQ(drip.error(), whole.error()) << row.raw;
}

TEST(RequestParser, RefusesLinesThatTwoReadersCouldSplitDifferently) {
    const Refused rows[] = {
        {"GET / HTTP/1.1\nHost: h\n\n", "bad_request", "LF without CR"},
        {"GET / HTTP/1.1\r\nHost: h\n\r\n", "bad_request", "LF without CR"},
        {get("X: a\nContent-Length: 5\r\n"), "bad_request", "LF without CR"},
        {get("X: a\rContent-Length: 5\r\n"), "bad_request", "CR without LF"},
        {get("X: a\r\r\n"), "bad_request", "CR without LF"},
        {"GET /\r HTTP/1.1\r\nHost: h\r\n\r\n", "bad_request", "CR without LF"},
        {get("X: a\0b\r\n"s), "bad_request", "control character"},
        {get("X\0Y: a\r\n"s), "bad_request", "control character"},
        {get("X: a\x01\r\n"), "bad_request", "control character"},
        {get("X: a\x7f\r\n"), "bad_request", "control character"},
        {get("Transfer-Encoding: \vchunked\r\n"), "bad_request", "control character"},
        {"GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n"s, "bad_request", "control character"},
        {get("X: a\r\n b\r\n"), "bad_request", "obs-fold"},
        {get("X: a\r\n\tb\r\n"), "bad_request", "obs-fold"},
        {get(" Transfer-Encoding: chunked\r\n"), "bad_request", "obs-fold"},
        {get("Content-Length : 5\r\n"), "bad_request", "before the colon"},
        {get("Transfer-Encoding\t: chunked\r\n"), "bad_request", "before the colon"},
        {get(": value\r\n"), "bad_request", "empty field name"},
        {get("no colon\r\n"), "bad_request", "without a colon"},
        {get("Na me: x\r\n"), "bad_request", "no token"},
        {get("Content-Length\xc2\xa0: 5\r\n"), "bad_request", "no token"},
        {get("(X): x\r\n"), "bad_request", "no token"},
        {"\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "bad_request", "start line is empty"},
    };
    for (const Refused& row : rows) expect_refused(row);
}

TEST(RequestParser, RefusesFramingThatTwoReadersCouldJudgeDifferently) {
    const char* const both = "both Content-Length and Transfer-Encoding";
    const char* const length = "not a number of digits";
    const char* const coding = "ends in the one chunked";
    const Refused rows[] = {
        {post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), "bad_request", both},
        {post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), "bad_request", both},
        {post("Transfer-Encoding: gzip, chunked\r\nContent-Length: 5\r\n"), "bad_request", both},
        {post("Content-Length: 5\r\nContent-Length: 6\r\n"), "bad_request", "more than one Content-Length"},
        {post("Content-Length: 5\r\ncontent-length: 5\r\n"), "bad_request", "more than one Content-Length"},
        {post("Content-Length: 5, 5\r\n"), "bad_request", length},
        {post("Content-Length: +5\r\n"), "bad_request", length},
        {post("Content-Length: -5\r\n"), "bad_request", length},
        {post("Content-Length: 0x5\r\n"), "bad_request", length},
        {post("Content-Length: 5 5\r\n"), "bad_request", length},
        {post("Content-Length: 5.0\r\n"), "bad_request", length},
        {post("Content-Length:\r\n"), "bad_request", length},
        {post("Content-Length: 9223372036854775808\r\n"), "bad_request", length},
        {post("Content-Length: 18446744073709551617\r\n"), "bad_request", length},
        {post("Transfer-Encoding: xchunked\r\n"), "bad_request", coding},
        {post("Transfer-Encoding: chunked, gzip\r\n"), "bad_request", coding},
        {post("Transfer-Encoding: chunked, chunked\r\n"), "bad_request", coding},
        {post("Transfer-Encoding: identity\r\n"), "bad_request", coding},
        {post("Transfer-Encoding: identity, chunked\r\n"), "bad_request", coding},
        {post("Transfer-Encoding: chunked,\r\n"), "bad_request", coding},
        {post("Transfer-Encoding: , chunked\r\n"), "bad_request", coding},
        {post("Transfer-Encoding: \"chunked\"\r\n"), "bad_request", coding},
        {post("Transfer-Encoding: chunked;q=1\r\n"), "bad_request", coding},
        {post("Transfer-Encoding:\r\n"), "bad_request", coding},
        {post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), "bad_request",
         "more than one Transfer-Encoding"},
        {post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), "bad_request", coding},
        {post("Transfer-Encoding: gzip, br\r\n"), "bad_request", coding},
        {post("Transfer-Encoding: gzip, chunked\r\n"), "unsupported_transfer_encoding", "other than chunked"},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "bad_request", "HTTP/1.0"},
    };
    for (const Refused& row : rows) expect_refused(row);
}

TEST(RequestParser, RefusesRequestLinesAndHostsThatRouteTwoWays) {
    const Refused rows[] = {
        {"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", "bad_request", "target"},
        {" GET / HTTP/1.1\r\nHost: h\r\n\r\n", "bad_request", "method"},
        {"GET / HTTP/1.1 \r\nHost: h\r\n\r\n", "bad_request", "version"},
        {"GET / x HTTP/1.1\r\nHost: h\r\n\r\n", "bad_request", "version"},
        {"GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", "bad_request", "no version"},
        {"GET /\tx HTTP/1.1\r\nHost: h\r\n\r\n", "bad_request", "target"},
        {"GET / http/1.1\r\nHost: h\r\n\r\n", "bad_request", "version"},
        {"GET / HTTP/1.10\r\nHost: h\r\n\r\n", "bad_request", "version"},
        {"GET / HTTP/x.1\r\nHost: h\r\n\r\n", "bad_request", "version"},
        {"GET / HTTP/1x1\r\nHost: h\r\n\r\n", "bad_request", "version"},
        {"GET / HTTP/1./\r\nHost: h\r\n\r\n", "bad_request", "version"},
        {"GET / HTTP/11\r\nHost: h\r\n\r\n", "bad_request", "version"},
        {"GET /\r\nHost: h\r\n\r\n", "bad_request", "no version"},
        {"GET\r\nHost: h\r\n\r\n", "bad_request", "no target"},
        {"G@T / HTTP/1.1\r\nHost: h\r\n\r\n", "bad_request", "method is no token"},
        {"GET / HTTP/1.2\r\nHost: h\r\n\r\n", "unsupported_version", "HTTP/1.2"},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "unsupported_version", "HTTP/2.0"},
        {"GET / HTTP/0.9\r\nHost: h\r\n\r\n", "unsupported_version", "HTTP/0.9"},
        {"GET /#x HTTP/1.1\r\nHost: h\r\n\r\n", "bad_request", "target"},
        {"GET /\xc3\xa4 HTTP/1.1\r\nHost: h\r\n\r\n", "bad_request", "target"},
        {"GET x HTTP/1.1\r\nHost: h\r\n\r\n", "bad_request", "neither a path"},
        {"GET h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n", "bad_request", "neither a path"},
        {"GET * HTTP/1.1\r\nHost: h\r\n\r\n", "bad_request", "OPTIONS"},
        {"GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n", "bad_request", "neither a path"},
        {"GET http:///x HTTP/1.1\r\nHost: h\r\n\r\n", "bad_request", "target's authority"},
        {"GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n", "bad_request", "target's authority"},
        {"GET http://u@h/ HTTP/1.0\r\n\r\n", "bad_request", "target's authority"},
        {"GET http://h?x HTTP/1.1\r\nHost: h\r\n\r\n", "bad_request", "no path"},
        {"GET http://evil/ HTTP/1.1\r\nHost: h\r\n\r\n", "bad_request", "Host differs"},
        {"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", "unsupported_method", "CONNECT"},
        {"GET / HTTP/1.1\r\n\r\n", "bad_request", "no Host"},
        {"GET http://h/ HTTP/1.1\r\n\r\n", "bad_request", "no Host"},
        {get("Host: a.example\r\n"), "bad_request", "more than one Host"},
        {"GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", "bad_request", "more than one Host"},
        {"GET / HTTP/1.1\r\nHost:\r\n\r\n", "bad_request", "Host is not"},
        {"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "bad_request", "Host is not"},
        {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "bad_request", "Host is not"},
        {"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", "bad_request", "Host is not"},
        {"GET / HTTP/1.1\r\nHost: a:70000\r\n\r\n", "bad_request", "Host is not"},
        {"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "bad_request", "Host is not"},
        {post("Expect: 200-ok\r\n"), "unsupported_expectation", "100-continue"},
        {post("Expect: 100-continue\r\nExpect: 100-continue\r\n"), "bad_request", "more than one Expect"},
        {"\x16\x03\x01\x02", "bad_request", "control character"},
    };
    for (const Refused& row : rows) expect_refused(row);
}

std::string head_of_size(std::size_t size) {
    const std::string begin = "GET / HTTP/1.1\r\nHost: h\r\nX: ";
    const std::string end = "\r\n\r\n";
    return begin + std::string(size - begin.size() - end.size(), 'x') + end;
}

TEST(RequestParser, TakesHeadsUpToTheLimitInBytes) {
    const HeadLimits limits;
    RequestHead head;
    EXPECT_EQ(parse_at_once(head_of_size(limits.bytes_max), head), limits.bytes_max);
    const Refused rows[] = {
        {head_of_size(limits.bytes_max + 1), "head_too_large", "65536"},
        {std::string(limits.bytes_max, 'x'), "head_too_large", "65536"},
    };
    for (const Refused& row : rows) expect_refused(row);
    EXPECT_EQ(parse_at_once(std::string(limits.bytes_max - 1, 'x'), head), 0u);
}

TEST(RequestParser, TakesHeadsUpToTheLimitInFields) {
    std::string fields;
    for (int i = 0; i < 199; ++i) fields += "X: y\r\n";  // And Host.
    EXPECT_EQ(accept(get(fields)).fields.size(), 200u);
    expect_refused({get(fields + "X: y\r\n"), "too_many_fields", "limit"});
}

TEST(RequestParser, EveryCodeHasItsStatus) {
    EXPECT_EQ(refusal_status("bad_request"), 400);
    EXPECT_EQ(refusal_status("head_too_large"), 431);
    EXPECT_EQ(refusal_status("too_many_fields"), 431);
    EXPECT_EQ(refusal_status("unsupported_expectation"), 417);
    EXPECT_EQ(refusal_status("unsupported_method"), 501);
    EXPECT_EQ(refusal_status("unsupported_transfer_encoding"), 501);
    EXPECT_EQ(refusal_status("unsupported_version"), 505);
    EXPECT_EQ(refusal_status("upgrade_required"), 426);
}

}  // namespace
}  // namespace ee::http
