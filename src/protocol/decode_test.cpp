#include <malloc.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/base64.h"
#include "base/hex.h"
#include "protocol/decoder.h"
#include "protocol/encoder.h"
#include "protocol/limits.h"

namespace ee::protocol {
namespace {

Result<AgentMessage> decode(std::string text) {
    static Decoder decoder;
    return decoder.decode_agent_message(PaddedText(text));
}

Result<ControlMessage> decode_control(std::string text) {
    static Decoder decoder;
    return decoder.decode_control_message(PaddedText(text));
}

std::string code_of(const std::string& text) {
    const auto message = decode(text);
    return message ? "ok" : message.error().code;
}

using Fields = std::vector<std::pair<std::string, std::string>>;

// The message with one member replaced, added, or (empty JSON) left out.
std::string with(Fields fields, const std::string& name, const std::string& json) {
    std::string out = "{";
    bool replaced = false;
    for (auto& [key, value] : fields) {
        if (key == name) {
            value = json;
            replaced = true;
        }
        if (!value.empty()) out += fmt::format("{}\"{}\":{}", out.size() > 1 ? "," : "", key, value);
    }
    if (!replaced && !json.empty()) out += fmt::format(",\"{}\":{}", name, json);
    return out + "}";
}

const Fields register_fields{{"type", "\"register\""},      {"repo", "\"org/repo\""},
                             {"release_tag", "\"v0.1.3\""}, {"app_name", "\"myapp\""},
                             {"network", "\"forge-1\""},    {"agent_id", "\"uuid\""}};

Fields attest_fields() {
    return {{"type", "\"attest_response\""},
            {"nonce", fmt::format("\"{}\"", std::string(64, 'a'))},
            {"quote", "\"AQID\""},
            {"report_data", fmt::format("\"{}\"", std::string(128, '0'))},
            {"measurements", "{\"sealed\":true,\"image\":\"x\",\"none\":null}"}};
}

const Fields health_fields{{"type", "\"health\""}, {"status", "\"pass\""}};

const Fields answer_fields{{"type", "\"proxy_response\""},
                           {"request_id", "\"7\""},
                           {"status", "200"},
                           {"headers", "{\"Content-Type\":\"text/plain\"}"},
                           {"body_b64", "\"aGVsbG8=\""}};

TEST(Decode, WhatIsNotAJsonObjectIsInvalidJson) {
    const std::string deep = "{\"type\":" + std::string(40, '[') + std::string(40, ']') + "}";
    const std::string very_deep(60000, '[');
    for (const std::string& bad :
         {std::string(), std::string(" "), std::string("{"), std::string("[]"), std::string("1"),
          std::string("null"), std::string("\"x\""), std::string("{}{}"), std::string("{\"type\":}"),
          std::string("{\"type\":\"\xff\"}"), std::string("{'type':1}"), std::string("{\"a\":\"\\ud800\"}"),
          std::string("{\"\\udc00\":1}"), std::string("{\"a\":1e999}"),
          std::string("{\"type\":\"health\"") + '\0' + "}", deep, very_deep})
        EXPECT_EQ(code_of(bad), "invalid_json") << bad.substr(0, 40);
}

TEST(Decode, NestingOfThirtyTwoIsAllowedAndNoMore) {
    const auto nested = [](int levels) {
        return with(health_fields, "x",
                    std::string(static_cast<std::size_t>(levels), '[') + "1" +
                        std::string(static_cast<std::size_t>(levels), ']'));
    };
    EXPECT_EQ(code_of(nested(31)), "ok");  // And the message itself.
    EXPECT_EQ(code_of(nested(32)), "invalid_json");
}

TEST(Decode, AMessageWithoutAKnownTypeIsUnknown) {
    for (const char* type : {"", "1", "null", "[\"health\"]", "\"\"", "\"Health\"", "\"attest_request\"",
                             "\"status\"", "\"proxy_request\"", "\"health\\u0000\""})
        EXPECT_EQ(code_of(with(health_fields, "type", type)), "unknown_message") << type;
}

TEST(Decode, MissingFieldsAreAllNamed) {
    const auto message = decode(R"({"type":"register","repo":"org/repo","app_name":5})");
    ASSERT_FALSE(message);
    EXPECT_EQ(message.error().code, "missing_fields");
    EXPECT_EQ(message.error().detail, "register lacks release_tag, agent_id");
    for (const char* name : {"repo", "release_tag", "app_name", "agent_id"})
        EXPECT_EQ(code_of(with(register_fields, name, "")), "missing_fields") << name;
    for (const char* name : {"nonce", "quote", "report_data", "measurements"})
        EXPECT_EQ(code_of(with(attest_fields(), name, "")), "missing_fields") << name;
    EXPECT_EQ(code_of(with(health_fields, "status", "")), "missing_fields");
    EXPECT_EQ(code_of(with(answer_fields, "request_id", "")), "missing_fields");
}

TEST(Decode, EveryFieldIsChecked) {
    const std::string long_text = "\"" + std::string(100000, 'x') + "\"";
    const struct {
        Fields fields;
        const char* name;
        std::vector<std::string> bad;
    } rows[] = {
        {register_fields,
         "repo",
         {"1", "[]", "null", "\"repo\"", "\"a/../b\"", "\"../../<script>\"", long_text}},
        {register_fields,
         "release_tag",
         {"{}", "\"\"", "\"/v1\"", "\"a..b\"", "\"v\\u0000\"", "\"v\\n\"", long_text}},
        {register_fields,
         "app_name",
         {"true", "\"\"", "\"My\"", "\"-a\"", "\"../x\"", "\"<script>\"", long_text}},
        {register_fields, "agent_id", {"7", "\"\"", "\"a b\"", "\"../../<script>\"", long_text}},
        {register_fields, "node_id", {"7", "\"\"", "\"a b\"", long_text}},
        {register_fields, "network", {"7", "\"\"", "\"a b\"", long_text}},
        {register_fields, "tunnel_version", {"1", "\"a\\nb\"", long_text}},
        {register_fields, "checkpoint", {"1", long_text}},
        {register_fields,
         "max_requests",
         {"0", "257", "-1", "1.0", "true", "\"1\"", "[]", "99999999999999999999"}},
        {attest_fields(),
         "nonce",
         {"1", "\"\"", "\"" + std::string(63, 'a') + "\"", "\"" + std::string(64, 'g') + "\""}},
        {attest_fields(),
         "quote",
         {"1", "\"@\"", "\"AQI\"", "\"" + to_base64(Bytes(quote_bytes_max + 1)) + "\""}},
        {attest_fields(), "report_data", {"null", "\"\"", "\"" + std::string(126, '0') + "\""}},
        {attest_fields(),
         "measurements",
         {"1", "[]", "null", "{\"a\":1}", "{\"a\":[]}", "{\"a\":{}}", "{\"a\":1.5}",
          "{\"a\":true,\"a\":true}", "{\"a\":" + long_text + "}"}},
        {attest_fields(), "layout", {"1", "3", "\"2\"", "true", "2.0"}},
        {attest_fields(),
         "agent_key",
         {"1", "\"@\"", "\"" + to_base64(Bytes(agent_key_bytes_max + 1)) + "\""}},
        {attest_fields(), "signature", {"1", "\"@\""}},
        {attest_fields(), "node_token", {"1", "\"\"", long_text}},
        {health_fields, "status", {"1", "null", "true"}},
        {health_fields, "detail", {"1", "{}"}},
        {health_fields, "checkpoint", {"1", long_text}},
        {answer_fields, "request_id", {"7", "null", long_text}},
    };
    for (const auto& row : rows) {
        EXPECT_EQ(code_of(with(row.fields, "zz", "1")), "ok");
        for (const std::string& bad : row.bad) {
            const std::string code = code_of(with(row.fields, row.name, bad));
            // A number beyond 64 bits is no JSON to the parser.
            if (bad.size() == 20)
                EXPECT_EQ(code, "invalid_json");
            else
                EXPECT_EQ(code, fmt::format("invalid_field:{}", row.name)) << bad.substr(0, 60);
        }
    }
}

TEST(Decode, TheFirstWrongFieldIsNamed) {
    const auto message = decode(with(register_fields, "app_name", "\"<script>\""));
    ASSERT_FALSE(message);
    EXPECT_EQ(message.error().detail, "app_name must be a DNS label in lower case, not \"<script>\"");
}

TEST(Decode, RegisterHasDefaultsForWhatDeployedAgentsLeaveOut) {
    const auto message = decode(with(register_fields, "network", ""));
    ASSERT_TRUE(message);
    const auto& registration = std::get<Register>(*message);
    EXPECT_EQ(registration.network, "forge-1");
    EXPECT_EQ(registration.max_requests, 1u);
    EXPECT_FALSE(registration.node_id);
    for (const char* name : {"network", "node_id", "tunnel_version", "checkpoint", "max_requests"})
        EXPECT_EQ(code_of(with(register_fields, name, "null")), "ok") << name;
    EXPECT_EQ(std::get<Register>(*decode(with(register_fields, "max_requests", "256"))).max_requests, 256u);
}

TEST(Decode, AttestResponseCarriesItsEvidence) {
    const auto message = decode(with(attest_fields(), "layout", "2"));
    ASSERT_TRUE(message);
    const auto& answer = std::get<AttestResponse>(*message);
    EXPECT_EQ(to_hex(answer.nonce), std::string(64, 'a'));
    EXPECT_EQ(answer.quote, (Bytes{1, 2, 3}));
    EXPECT_TRUE(answer.layout2);
    EXPECT_EQ(answer.measurements,
              (Claims{{"sealed", true}, {"image", std::string("x")}, {"none", nullptr}}));
    EXPECT_FALSE(std::get<AttestResponse>(*decode(with(attest_fields(), "zz", "1"))).layout2);
    const std::string largest = "\"" + to_base64(Bytes(quote_bytes_max)) + "\"";
    EXPECT_EQ(code_of(with(attest_fields(), "quote", largest)), "ok");
}

TEST(Decode, AnyHealthStatusButPassIsAFailure) {
    for (const auto& [status, pass] :
         {std::pair{"\"pass\"", true}, {"\"fail\"", false}, {"\"PASS\"", false}, {"\"\"", false}})
        EXPECT_EQ(std::get<Health>(*decode(with(health_fields, "status", status))).pass, pass) << status;
}

TEST(Decode, ALongHealthDetailIsCutBetweenCharacters) {
    std::string detail = "x";
    while (detail.size() < 2000) detail += "\xc3\xa9";
    const auto message = decode(with(health_fields, "detail", "\"" + detail + "\""));
    EXPECT_EQ(std::get<Health>(*message).detail, detail.substr(0, 1023));
}

TEST(Decode, AProxyAnswerKeepsRepeatedFields) {
    const auto message =
        decode(with(answer_fields, "headers", R"({"A":"1","Set-Cookie":["x=1","y=2"],"E":[]})"));
    ASSERT_TRUE(message);
    const auto& response = std::get<ProxyResponse>(*message);
    EXPECT_EQ(response.request_id, "7");
    ASSERT_TRUE(response.answer);
    EXPECT_EQ(response.answer->status, 200);
    EXPECT_EQ(response.answer->body, "hello");
    EXPECT_EQ(response.answer->headers,
              (HeaderFields{{"A", "1"}, {"Set-Cookie", "x=1"}, {"Set-Cookie", "y=2"}}));
}

TEST(Decode, ABrokenAnswerFailsItsRequestAlone) {
    std::string many = "{";
    for (std::size_t i = 0; i <= answer_fields_max; ++i)
        many += fmt::format("{}\"h{}\":\"\"", i ? "," : "", i);
    many += "}";
    const std::pair<const char*, std::vector<std::string>> rows[] = {
        {"status", {"", "99999", "-1", "0", "true", "101", "199", "600", "200.0", "\"200\"", "null"}},
        {"body_b64", {"", "\"%%%\"", "\"aGVsbG8\"", "1", "null"}},
        {"headers",
         {"", "[]", "null", "{\"a b\":\"x\"}", "{\"\":\"x\"}", "{\"a\":1}", "{\"a\":null}", "{\"a\":[1]}",
          "{\"a\":[[\"x\"]]}", "{\"a\":\"x\\r\\ny: z\"}", "{\"a\":\"x\\u0000\"}", "{\"a\":[\"x\\n\"]}",
          "{\"a\\r\\nb\":\"x\"}", many, "{\"a\":\"" + std::string(answer_head_bytes_max, 'x') + "\"}"}},
        {"error", {"1", "[]", "true"}},
    };
    for (const auto& [name, values] : rows) {
        for (const std::string& bad : values) {
            const auto message = decode(with(answer_fields, name, bad));
            ASSERT_TRUE(message) << name << " " << bad.substr(0, 60);
            const auto& response = std::get<ProxyResponse>(*message);
            EXPECT_EQ(response.request_id, "7");
            ASSERT_FALSE(response.answer) << name << " " << bad.substr(0, 60);
            EXPECT_EQ(response.answer.error().code, "bad_agent_answer");
        }
    }
}

TEST(Decode, AnAgentSaysWhatHappenedToItsBackend) {
    const std::pair<const char*, const char*> rows[] = {{"backend_unreachable", "backend_unreachable"},
                                                        {"backend_timeout", "proxy_timeout"},
                                                        {"bad_backend_answer", "bad_agent_answer"}};
    for (const auto& [said, code] : rows) {
        const auto message =
            decode(fmt::format(R"({{"type":"proxy_response","request_id":"7","error":"{}"}})", said));
        EXPECT_EQ(std::get<ProxyResponse>(*message).answer.error().code, code);
    }
    EXPECT_TRUE(std::get<ProxyResponse>(*decode(with(answer_fields, "error", "null"))).answer);
    EXPECT_TRUE(std::get<ProxyResponse>(*decode(with(answer_fields, "error", "\"other\""))).answer);
}

TEST(Decode, LargeMessagesAndSmallOnesTakeTurns) {
    const std::string body(3 * kib * kib, 'b');
    const std::string large = with(answer_fields, "body_b64", "\"" + to_base64(as_bytes(body)) + "\"");
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(std::get<ProxyResponse>(*decode(large)).answer->body, body);
        EXPECT_EQ(code_of(with(health_fields, "x", "[[[[]]]]")), "ok");
    }
}

std::string repeated(std::string_view text, std::size_t times) {
    std::string out;
    while (times-- > 0) out += text;
    return out;
}

// As encoders do that escape what HTML gives a meaning to.
std::string escaped(const std::string& base64) {
    std::string out;
    for (const char c : base64) {
        if (c == '/')
            out += "\\/";
        else if (c == '+')
            out += "\\u002B";
        else
            out += c;
    }
    return out;
}

TEST(Decode, ALargeMessageIsOneLongString) {
    const Bytes bytes(2 * kib * kib, 0xfb);  // Every second character is a slash or a plus.
    const std::string body = to_base64(bytes), quotes = repeated("\\\"", kib);
    const auto body_of = [](const Fields& fields) {
        const auto message = decode(with(fields, "", ""));
        return message ? std::get<ProxyResponse>(*message).answer.value_or(ProxyAnswer{}).body : "";
    };
    Fields fields = answer_fields;
    fields.back().second = "\"" + body + "\"";
    EXPECT_EQ(body_of(fields), as_text(bytes));
    fields.back().second = "\"" + escaped(body) + "\"";
    EXPECT_EQ(body_of(fields), as_text(bytes));
    // A head as long as one may be, after the body and before it.
    for (const std::size_t place : {fields.size(), fields.size() - 1}) {
        Fields headed = fields;
        headed.insert(
            headed.begin() + static_cast<std::ptrdiff_t>(place),
            {"x", "{\"a\":\"" + std::string(200 * kib, 'x') + "\",\"b\\\\\":[\"" + quotes + "\"]}"});
        EXPECT_EQ(body_of(headed), as_text(bytes)) << place;
    }
    // In a long string of any name, and with what looks like an end of it.
    for (const std::string& end : {std::string("\\\\"), std::string("\\\""), std::string("\\\\\\\"[{,:")})
        EXPECT_EQ(code_of(with(health_fields, "x", "\"" + std::string(kib * kib, 'x') + end + "\"")), "ok")
            << end;
}

TEST(Decode, AMessageThatIsLargeOtherwiseIsRefusedBeforeItIsParsed) {
    const std::size_t size = 600 * kib;
    const std::string text = "\"" + std::string(size, 'x') + "\"";
    for (const std::string& large :
         {"[" + repeated("0,", size / 2) + "0]", "[" + repeated("\"\",", size / 3) + "1]",
          std::string(size, ' ') + "1", "[" + repeated("[],", size / 3) + "1]", "[" + text + "," + text + "]",
          "\"" + repeated("\\\"", size / 2) + "\"",
          "\"" + std::string(2 * kib * kib, 'x') + "\",\"y\":[" + repeated("0,", size / 2) + "0]",
          "[\\\"" + repeated("0,", size / 2) + "\"]",
          "\"\\\\\",\"y\":[" + repeated("0,", size / 2) + "0],\"z\":\"\\\\\""}) {
        const auto message = decode(with(health_fields, "x", large));
        ASSERT_FALSE(message) << large.substr(0, 20);
        EXPECT_EQ(message.error().code, "invalid_json");
        EXPECT_EQ(message.error().detail, "a message of over 512 KiB is one long string and little else");
    }
    EXPECT_EQ(code_of(with(health_fields, "x", "[" + repeated("0,", 250 * kib) + "0]")), "ok");
    std::string message = with(health_fields, "x", text);
    message += std::string(512 * kib - (message.size() - size), ' ');
    EXPECT_EQ(code_of(message), "ok");
    EXPECT_EQ(code_of(message + ' '), "invalid_json");
}

std::size_t bytes_in_use() {
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

TEST(Decode, NoMemoryIsKeptOfALargeMessageWhateverBecomesOfIt) {
    const std::string text = "\"" + std::string(4 * kib * kib, 'x') + "\"";
    for (const auto& [message, code] : {std::pair{with(health_fields, "x", text), "ok"},
                                        {with(health_fields, "x", text + "}"), "invalid_json"}}) {
        EXPECT_EQ(code_of(with(health_fields, "x", "1")), "ok");  // What is kept for small ones is there.
        const std::size_t before = bytes_in_use();
        EXPECT_EQ(code_of(message), code);
        EXPECT_LE(bytes_in_use(), before + 64 * kib) << code;
    }
}

TEST(Decode, TheTextIsReadInPlaceWhenItHasRoom) {
    std::string text = with(health_fields, "x", "1");
    text.reserve(text.size() + text_padding);
    const char* before = text.data();
    EXPECT_EQ(PaddedText(text).data(), before);
    std::string tight(text);
    tight.shrink_to_fit();
    EXPECT_EQ(PaddedText(tight).view(), text);
}

TEST(DecodeControl, ReadsTheMessagesOfEarlierControlPlanes) {
    const std::string nonce(64, 'b');
    const auto challenge = decode_control(R"({"type":"attest_request","nonce":")" + nonce +
                                          R"(","deadline_s":30,"reason":"register"})");
    ASSERT_TRUE(challenge);
    EXPECT_FALSE(std::get<AttestRequest>(*challenge).layout2);
    EXPECT_EQ(std::get<AttestRequest>(*challenge).deadline_s, 30u);
    const auto status = decode_control(R"({"type":"status","state":"ok","reason":"attested"})");
    ASSERT_TRUE(status);
    EXPECT_EQ(std::get<Status>(*status).state, StatusState::ok);
}

TEST(DecodeControl, RefusesWhatCannotBeForwarded) {
    const Fields request{{"type", "\"proxy_request\""}, {"request_id", "\"1\""}, {"method", "\"GET\""},
                         {"path", "\"/a?b\""},          {"headers", "{}"},       {"body_b64", "\"\""}};
    ASSERT_TRUE(decode_control(with(request, "zz", "1")));
    const std::pair<const char*, const char*> rows[] = {
        {"method", "\"G T\""},          {"method", "\"\""},
        {"path", "\"http://h/\""},      {"path", "\"\""},
        {"path", "\"/a b\""},           {"path", "\"/a\\r\\nX: y\""},
        {"headers", "{\"a\":\"\\n\"}"}, {"body_b64", "\"%\""}};
    for (const auto& [name, bad] : rows) {
        const auto message = decode_control(with(request, name, bad));
        ASSERT_FALSE(message) << name << bad;
        EXPECT_EQ(message.error().code, fmt::format("invalid_field:{}", name));
    }
    for (const char* nonce : {"", "\"nonce\":1,", "\"nonce\":\"bb\","})
        EXPECT_FALSE(decode_control(fmt::format(R"({{"type":"attest_request",{}"deadline_s":30}})", nonce)))
            << nonce;
    EXPECT_EQ(decode_control("[]").error().code, "invalid_json");
    EXPECT_EQ(decode_control(R"({"type":"register"})").error().code, "unknown_message");
    EXPECT_EQ(decode_control(R"({"type":"status"})").error().code, "missing_fields");
}

}  // namespace
}  // namespace ee::protocol
