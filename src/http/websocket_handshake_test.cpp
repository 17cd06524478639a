#include "http/websocket_handshake.h"

#include <gtest/gtest.h>

#include "http/fields.h"
#include "http/http1_request_parser.h"
#include "http/http1_response_parser.h"

namespace ee::http {
namespace {

constexpr std::string_view v2 = "easyenclave.tunnel.v2";
const std::vector<std::string_view> supported = {v2, "second"};

RequestHead request(const std::string& raw) {
    RequestHead head;
    EXPECT_EQ(RequestParser().parse(raw, head), raw.size()) << raw;
    return head;
}

// The request of RFC 6455 section 1.2, with one line replaced and one added.
std::string example(std::string_view line = {}, std::string_view replacement = {},
                    std::string_view added = {}) {
    std::string raw =
        "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    if (!line.empty()) raw.replace(raw.find(line), line.size(), replacement);
    return raw + std::string(added) + "\r\n";
}

TEST(WebSocketHandshake, AnswersTheExampleOfRfc6455) {
    const std::string raw = example();
    const auto acceptance = accept_websocket(request(raw), supported);
    ASSERT_TRUE(acceptance);
    EXPECT_EQ(acceptance->accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    EXPECT_EQ(acceptance->protocol, "");
    std::string out;
    append_websocket_acceptance(out, *acceptance);
    EXPECT_EQ(out,
              "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
}

TEST(WebSocketHandshake, PicksTheServersFirstChoiceAmongTheOffered) {
    const struct {
        const char* offered;
        std::string_view picked;
    } rows[] = {
        {"Sec-WebSocket-Protocol: easyenclave.tunnel.v2\r\n", v2},
        {"Sec-WebSocket-Protocol: second, x, easyenclave.tunnel.v2\r\n", v2},
        {"Sec-WebSocket-Protocol: x\r\nsec-websocket-protocol: second\r\n", "second"},
        {"Sec-WebSocket-Protocol: EasyEnclave.tunnel.v2\r\n", ""},
        {"Sec-WebSocket-Protocol: x\r\n", ""},
    };
    for (const auto& row : rows) {
        const std::string raw = example({}, {}, row.offered);
        const auto acceptance = accept_websocket(request(raw), supported);
        ASSERT_TRUE(acceptance) << row.offered;
        EXPECT_EQ(acceptance->protocol, row.picked) << row.offered;
    }
}

TEST(WebSocketHandshake, RefusesRequestsThatAreNoHandshake) {
    const struct {
        std::string raw;
        const char* code;
    } rows[] = {
        {example("Upgrade: websocket\r\n", ""), "upgrade_required"},
        {example("Upgrade: websocket", "Upgrade: h2c"), "upgrade_required"},
        {example("Connection: Upgrade", "Connection: keep-alive"), "upgrade_required"},
        {example("HTTP/1.1", "HTTP/1.0"), "upgrade_required"},
        {example("GET", "POST"), "bad_request"},
        {example({}, {}, "Content-Length: 1\r\n"), "bad_request"},
        {example({}, {}, "Transfer-Encoding: chunked\r\n"), "bad_request"},
        {example("Version: 13", "Version: 8"), "unsupported_websocket_version"},
        {example("Sec-WebSocket-Version: 13\r\n", ""), "unsupported_websocket_version"},
        {example({}, {}, "Sec-WebSocket-Version: 13\r\n"), "unsupported_websocket_version"},
        {example("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), "bad_request"},
        {example({}, {}, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), "bad_request"},
        {example("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ"), "bad_request"},
        {example("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZTE="), "bad_request"},
        {example("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZR=="), "bad_request"},
        {example("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j!Q=="), "bad_request"},
        {example("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBs ZSBub25jZQ=="), "bad_request"},
    };
    for (const auto& row : rows) {
        const auto refused = accept_websocket(request(row.raw), supported);
        ASSERT_FALSE(refused) << row.raw;
        EXPECT_EQ(refused.error().code, row.code) << row.raw;
    }
    EXPECT_EQ(find(websocket_refusal_fields(), "sec-websocket-version"), "13");
    EXPECT_EQ(find(websocket_refusal_fields(), "upgrade"), "websocket");
}

const WebSocketNonce nonce = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

TEST(WebSocketHandshake, BothSidesAgree) {
    std::string sent;
    const std::vector<Field> extra = {{"Authorization", "Bearer x"}};
    ASSERT_TRUE(append_websocket_request(
        sent, {.target = "/v1/tunnel", .host = "cp.example:8088", .protocols = supported, .fields = extra},
        nonce));
    const RequestHead head = request(sent);
    EXPECT_EQ(find(head.fields, "authorization"), "Bearer x");
    const auto acceptance = accept_websocket(head, supported);
    ASSERT_TRUE(acceptance);
    std::string answer;
    append_websocket_acceptance(answer, *acceptance);
    ResponseHead response;
    ASSERT_EQ(ResponseParser().parse(answer, AskedMethod::other, response), answer.size());
    EXPECT_EQ(check_websocket_response(response, nonce, supported), v2);
}

TEST(WebSocketHandshake, WritesNoRequestThatAFieldCouldSplit) {
    std::string out = "kept";
    const std::vector<std::string_view> bad_protocol = {"a b"};
    EXPECT_FALSE(append_websocket_request(
        out, {.target = "/", .host = "h\r\nX: y", .protocols = {}, .fields = {}}, nonce));
    EXPECT_FALSE(
        append_websocket_request(out, {.target = "/ x", .host = "h", .protocols = {}, .fields = {}}, nonce));
    EXPECT_FALSE(append_websocket_request(
        out, {.target = "/", .host = "h", .protocols = bad_protocol, .fields = {}}, nonce));
    EXPECT_EQ(out, "kept");
}

TEST(WebSocketHandshake, TheClientRefusesAnswersThatDoNotFit) {
    const std::string accept = websocket_accept("AQIDBAUGBwgJCgsMDQ4PEA==");
    const std::string good =
        "HTTP/1.1 101 Up\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: " + accept +
        "\r\n";
    const auto check = [](const std::string& raw) -> Result<std::string> {
        ResponseHead response;
        EXPECT_EQ(ResponseParser().parse(raw, AskedMethod::other, response), raw.size()) << raw;
        const auto checked = check_websocket_response(response, nonce, supported);
        if (!checked) return fail(checked.error());
        return std::string(*checked);
    };
    EXPECT_EQ(check(good + "\r\n"), "");
    const std::string no_accept = "HTTP/1.1 101 Up\r\nUpgrade: websocket\r\nConnection: upgrade\r\n";
    const std::string rows[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0" + good.substr(std::string_view("HTTP/1.1 101 Up").size()) +
            "\r\n",
        "HTTP/1.1 101 Up\r\nUpgrade: h2c\r\nConnection: upgrade\r\nSec-WebSocket-Accept: " + accept +
            "\r\n\r\n",
        "HTTP/1.1 101 Up\r\nConnection: upgrade\r\nSec-WebSocket-Accept: " + accept + "\r\n\r\n",
        "HTTP/1.1 101 Up\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + accept + "\r\n\r\n",
        no_accept + "\r\n",
        no_accept + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        good + "Sec-WebSocket-Accept: " + accept + "\r\n\r\n",
        good + "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
        good + "Sec-WebSocket-Protocol: other\r\n\r\n",
        good + "Sec-WebSocket-Protocol: second\r\nSec-WebSocket-Protocol: second\r\n\r\n",
    };
    for (const std::string& raw : rows) {
        const auto refused = check(raw);
        ASSERT_FALSE(refused) << raw;
        EXPECT_EQ(refused.error().code, "bad_handshake") << raw;
    }
}

}  // namespace
}  // namespace ee::http
