#include "api/proxy_envelope.h"

#include <gtest/gtest.h>

namespace ee::api {
namespace {

constexpr std::size_t body_max = 9;

// The refusal's code, empty for none.
std::string refusal(const std::string& json) {
    const auto envelope = parse_proxy_envelope(json, body_max);
    return envelope ? "" : envelope.error().code;
}
std::string nested(int depth) {
    std::string out = R"({"x":)";
    for (int i = 1; i < depth; ++i) out += '[';
    for (int i = 1; i < depth; ++i) out += ']';
    return out + '}';
}
std::string headers(int count, const std::string& value = "v") {
    std::string out = R"({"headers":{)";
    for (int i = 0; i < count; ++i)
        out += (i > 0 ? R"(,"x)" : R"("x)") + std::to_string(i) + R"(":")" + value + '"';
    return out + "}}";
}

TEST(ProxyEnvelope, HoldsARequest) {
    const ProxyEnvelope envelope =
        parse_proxy_envelope(
            R"({"method":"PUT","path":"/a?b=c","headers":{"Host":"a.example:80","X":["1","2"],"E":""},)"
            R"("body_b64":"AAECAwQFBgcI"})",
            body_max)
            .value();
    EXPECT_EQ(envelope.method, "PUT");
    EXPECT_EQ(envelope.path, "/a?b=c");
    EXPECT_EQ(envelope.headers,
              (std::vector<http::OwnedField>{{"Host", "a.example:80"}, {"X", "1"}, {"X", "2"}, {"E", ""}}));
    EXPECT_EQ(envelope.body, std::string("\0\1\2\3\4\5\6\7\10", 9));
}

TEST(ProxyEnvelope, EveryMemberMayBeAbsent) {
    const ProxyEnvelope envelope = parse_proxy_envelope("{}", body_max).value();
    EXPECT_EQ(envelope.method + " " + envelope.path, "GET /");
    EXPECT_TRUE(envelope.headers.empty());
    EXPECT_TRUE(envelope.body.empty());
}

TEST(ProxyEnvelope, RefusesTheRestWithItsReason) {
    struct Row {
        std::string json;
        const char* code;
    };
    const Row rows[] = {
        {"", "invalid_json"},
        {"{", "invalid_json"},
        {"{}{}", "invalid_json"},
        {"[]", "invalid_json"},
        {"null", "invalid_json"},
        {"\"text\"", "invalid_json"},
        {R"({"method":"GET",})", "invalid_json"},
        {"{\"path\":\"/\xff\"}", "invalid_json"},
        {nested(33), "invalid_json"},
        {nested(31), "unknown_field:x"},
        {R"({"Method":"GET"})", "unknown_field:Method"},
        {R"({"body":"x"})", "unknown_field:body"},
        {R"({"method":1})", "invalid_field:method"},
        {R"({"method":""})", "invalid_field:method"},
        {R"({"method":"GE T"})", "invalid_field:method"},
        {R"({"method":"GET\r\nX: y"})", "invalid_field:method"},
        {R"({"method":"CONNECT"})", "invalid_field:method"},
        {R"({"method":null})", "invalid_field:method"},
        {R"({"method":"GET","method":"POST"})", "invalid_field:method"},
        {R"({"path":""})", "invalid_field:path"},
        {R"({"path":"a"})", "invalid_field:path"},
        {R"({"path":"*"})", "invalid_field:path"},
        {R"({"path":"http://internal/"})", "invalid_field:path"},
        {R"({"path":"/a b"})", "invalid_field:path"},
        {R"({"path":"/a#b"})", "invalid_field:path"},
        {R"({"path":"/a\u0000"})", "invalid_field:path"},
        {R"({"path":"/a\r\nX: y"})", "invalid_field:path"},
        {R"({"path":"/\u00e4"})", "invalid_field:path"},
        {R"({"path":["/"]})", "invalid_field:path"},
        {R"({"headers":[]})", "invalid_field:headers"},
        {R"({"headers":"X: y"})", "invalid_field:headers"},
        {R"({"headers":{"X":1}})", "invalid_field:headers"},
        {R"({"headers":{"X":null}})", "invalid_field:headers"},
        {R"({"headers":{"X":["y",1]}})", "invalid_field:headers"},
        {R"({"headers":{"":"y"}})", "invalid_field:headers"},
        {R"({"headers":{"X Y":"y"}})", "invalid_field:headers"},
        {R"({"headers":{"X:":"y"}})", "invalid_field:headers"},
        {R"({"headers":{"X":"a\r\nSet-Cookie: b"}})", "invalid_field:headers"},
        {R"({"headers":{"X":"a\u0000"}})", "invalid_field:headers"},
        {R"({"headers":{"X":" a"}})", "invalid_field:headers"},
        {R"({"headers":{"Host":"a","host":"b"}})", "invalid_field:headers"},
        {R"({"headers":{"Host":["a","b"]}})", "invalid_field:headers"},
        {R"({"headers":{"Host":"a\";for=\"1.1.1.1"}})", "invalid_field:headers"},
        {R"({"headers":{"Host":"user@a"}})", "invalid_field:headers"},
        {R"({"headers":{"Host":""}})", "invalid_field:headers"},
        {headers(201), "invalid_field:headers"},
        {headers(100, std::string(700, 'v')), "invalid_field:headers"},
        {headers(200), ""},
        {R"({"body_b64":"AAECAwQFBgcICQ=="})", "body_too_large"},
        {R"({"body_b64":"AAECAwQFBgcI"})", ""},
        {R"({"body_b64":"A"})", "invalid_field:body_b64"},
        {R"({"body_b64":"!!!!"})", "invalid_field:body_b64"},
        {R"({"body_b64":1})", "invalid_field:body_b64"},
        {R"({"body_b64":"AAEC","body_b64":"AAEC"})", "invalid_field:body_b64"},
    };
    for (const Row& row : rows) EXPECT_EQ(refusal(row.json), row.code) << row.json.substr(0, 100);
}

TEST(ProxyEnvelope, SaysWhatAHeaderMayBe) {
    for (const char* json : {R"({"headers":{"X":1}})", R"({"headers":{"X":["y",1]}})"})
        EXPECT_EQ(parse_proxy_envelope(json, 8).error().detail,
                  "a header must be a string, or a list of strings")
            << json;
}

TEST(ProxyEnvelope, TheLimitIsOnTheDecodedBody) {
    // 8 and 9 bytes have a base64 of the same length.
    EXPECT_TRUE(parse_proxy_envelope(R"({"body_b64":"AAECAwQFBgc="})", 8));
    EXPECT_EQ(parse_proxy_envelope(R"({"body_b64":"AAECAwQFBgcI"})", 8).error().code, "body_too_large");
}

}  // namespace
}  // namespace ee::api
