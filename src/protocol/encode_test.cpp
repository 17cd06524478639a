#include <gtest/gtest.h>

#include "protocol/decoder.h"
#include "protocol/encoder.h"

namespace ee::protocol {
namespace {

template <class Message>
Message round_trip_agent(const Message& message) {
    Decoder decoder;
    std::string text = encode(message);
    const auto decoded = decoder.decode_agent_message(PaddedText(text));
    EXPECT_TRUE(decoded) << (decoded ? "" : decoded.error().detail);
    return std::get<Message>(*decoded);
}

template <class Message>
Message decode_control(std::string text) {
    Decoder decoder;
    const auto decoded = decoder.decode_control_message(PaddedText(text));
    EXPECT_TRUE(decoded) << (decoded ? "" : decoded.error().detail);
    return std::get<Message>(*decoded);
}

TEST(Encode, RegisterRoundTrips) {
    const Register sent{.repo = "org/repo",
                        .release_tag = "v1 \"x\"",
                        .app_name = "myapp",
                        .network = "sandbox-1",
                        .agent_id = "a:1",
                        .node_id = "n1",
                        .tunnel_version = "1",
                        .checkpoint = "note\n",
                        .max_requests = 64};
    const Register read = round_trip_agent(sent);
    EXPECT_EQ(read.repo, sent.repo);
    EXPECT_EQ(read.release_tag, sent.release_tag);
    EXPECT_EQ(read.app_name, sent.app_name);
    EXPECT_EQ(read.network, sent.network);
    EXPECT_EQ(read.agent_id, sent.agent_id);
    EXPECT_EQ(read.node_id, sent.node_id);
    EXPECT_EQ(read.tunnel_version, sent.tunnel_version);
    EXPECT_EQ(read.checkpoint, sent.checkpoint);
    EXPECT_EQ(read.max_requests, 64u);
}

TEST(Encode, AttestResponseRoundTrips) {
    AttestResponse sent;
    sent.nonce.fill(7);
    sent.quote = Bytes(5000, 9);
    sent.report_data.fill(3);
    sent.measurements = {{"sealed", false}, {"name", std::string("\xc3\xa9")}, {"none", nullptr}};
    sent.layout2 = true;
    sent.agent_key = Bytes(44, 1);
    sent.signature = Bytes(64, 2);
    sent.node_token = Secret("ee_token");
    const AttestResponse read = round_trip_agent(sent);
    EXPECT_EQ(read.nonce, sent.nonce);
    EXPECT_EQ(read.quote, sent.quote);
    EXPECT_EQ(read.report_data, sent.report_data);
    EXPECT_EQ(read.measurements, sent.measurements);
    EXPECT_TRUE(read.layout2);
    EXPECT_EQ(read.agent_key, sent.agent_key);
    EXPECT_EQ(read.signature, sent.signature);
    EXPECT_EQ(read.node_token->reveal(), "ee_token");
}

TEST(Encode, ALegacyAnswerSaysNothingOfALayout) {
    EXPECT_EQ(encode(AttestResponse{}).find("layout"), std::string::npos);
}

TEST(Encode, HealthRoundTrips) {
    const Health read =
        round_trip_agent(Health{.pass = true, .detail = "200 in 3 ms", .checkpoint = std::nullopt});
    EXPECT_TRUE(read.pass);
    EXPECT_EQ(read.detail, "200 in 3 ms");
    EXPECT_EQ(encode(Health{}), R"({"type":"health","status":"fail"})");
}

TEST(Encode, AttestRequestAsksForTheLayoutAndTheBinding) {
    AttestRequest sent{.nonce = {},
                       .deadline_s = 30,
                       .reason = ChallengeReason::operator_request,
                       .layout2 = true,
                       .binding = "channel"};
    sent.nonce.fill(0xab);
    const auto read = decode_control<AttestRequest>(encode(sent));
    EXPECT_EQ(read.nonce, sent.nonce);
    EXPECT_EQ(read.deadline_s, 30u);
    EXPECT_EQ(read.reason, ChallengeReason::operator_request);
    EXPECT_TRUE(read.layout2);
    EXPECT_EQ(read.binding, "channel");
}

TEST(Encode, StatusRoundTripsAndLeavesOutWhatIsNotSet) {
    EXPECT_EQ(encode(Status{.state = StatusState::ok, .reason = "attested"}),
              R"({"type":"status","state":"ok","reason":"attested"})");
    for (const StatusState state :
         {StatusState::ok, StatusState::warning, StatusState::invalid, StatusState::draining}) {
        const Status sent{.state = state,
                          .reason = "rate_limited",
                          .detail = "wait",
                          .retry_after_s = 60,
                          .reconnect_after_ms = 1500,
                          .checkpoint = "c",
                          .consistency_proof = "p"};
        const auto read = decode_control<Status>(encode(sent));
        EXPECT_EQ(read.state, state);
        EXPECT_EQ(read.reason, sent.reason);
        EXPECT_EQ(read.detail, sent.detail);
        EXPECT_EQ(read.retry_after_s, sent.retry_after_s);
        EXPECT_EQ(read.reconnect_after_ms, sent.reconnect_after_ms);
        EXPECT_EQ(read.checkpoint, sent.checkpoint);
        EXPECT_EQ(read.consistency_proof, sent.consistency_proof);
    }
}

TEST(Encode, ARequestJoinsRepeatedFieldsForDeployedAgents) {
    const HeaderView headers[] = {{"Accept", "a"},   {"cookie", "x=1"}, {"accept", "b"},
                                  {"Cookie", "y=2"}, {"Host", "h"},     {"ACCEPT", "c"}};
    std::string text;
    append_proxy_request(text, {.request_id = "5",
                                .method = "POST",
                                .path = "/a?b=\"c\"",
                                .headers = headers,
                                .body = std::string_view("\0\xff", 2)});
    EXPECT_EQ(text, R"({"type":"proxy_request","request_id":"5","method":"POST","path":"/a?b=\"c\"",)"
                    R"("headers":{"Accept":"a, b, c","cookie":"x=1; y=2","Host":"h"},"body_b64":"AP8="})");
    const auto read = decode_control<ProxyRequest>(text);
    EXPECT_EQ(read.path, "/a?b=\"c\"");
    EXPECT_EQ(read.body, std::string("\0\xff", 2));
    EXPECT_EQ(read.headers.size(), 3u);
}

TEST(Encode, AnAnswerListsRepeatedFields) {
    const HeaderView headers[] = {{"Set-Cookie", "x=1"}, {"A", "1"}, {"set-cookie", "y=2"}};
    std::string text;
    append_proxy_response(
        text, {.request_id = "5", .status = 201, .headers = headers, .body = "hello", .error = {}});
    EXPECT_EQ(text, R"({"type":"proxy_response","request_id":"5","status":201,)"
                    R"("headers":{"Set-Cookie":["x=1","y=2"],"A":"1"},"body_b64":"aGVsbG8="})");
    Decoder decoder;
    const auto read = decoder.decode_agent_message(PaddedText(text));
    const auto& answer = *std::get<ProxyResponse>(*read).answer;
    EXPECT_EQ(answer.headers, (HeaderFields{{"Set-Cookie", "x=1"}, {"Set-Cookie", "y=2"}, {"A", "1"}}));
    EXPECT_EQ(answer.body, "hello");
}

TEST(Encode, AnAnswerNamesItsError) {
    std::string text;
    append_proxy_response(
        text, {.request_id = "5", .status = 502, .headers = {}, .body = {}, .error = backend_unreachable});
    Decoder decoder;
    const auto read = decoder.decode_agent_message(PaddedText(text));
    EXPECT_EQ(std::get<ProxyResponse>(*read).answer.error().code, "backend_unreachable");
}

}  // namespace
}  // namespace ee::protocol
