#include "events/webhook_message.h"

#include <gtest/gtest.h>

#include "base/base64.h"

namespace ee::events {
namespace {

WebhookKeys keys(const std::vector<std::string>& texts) {
    std::vector<Secret> secrets;
    for (const std::string& text : texts) secrets.emplace_back(text);
    return WebhookKeys::parse(secrets).value();
}

// The example that libraries of the standard test themselves with.
constexpr const char* published_secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const WebhookMessage published{.id = "msg_p5jXN8AQM9LWM0D4loKWxJek", .body = R"({"test": 2432232314})"};
constexpr std::int64_t published_timestamp = 1614265330;
constexpr const char* published_signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

TEST(WebhookKeys, SignAsTheStandardsExample) {
    EXPECT_EQ(keys({published_secret}).sign(published, published_timestamp), published_signature);
}

TEST(WebhookKeys, TheSignatureIsOfEachPart) {
    const WebhookKeys key = keys({published_secret});
    EXPECT_NE(key.sign({.id = "msg_other", .body = published.body}, published_timestamp),
              published_signature);
    EXPECT_NE(key.sign({.id = published.id, .body = "{}"}, published_timestamp), published_signature);
    EXPECT_NE(key.sign(published, published_timestamp + 1), published_signature);
}

TEST(WebhookKeys, EveryKeySignsWhileOneIsReplaced) {
    const std::string other = "whsec_" + to_base64(Bytes(32, 7));
    const std::string both = keys({other, published_secret}).sign(published, published_timestamp);
    EXPECT_EQ(both, keys({other}).sign(published, published_timestamp) + " " + published_signature);
}

TEST(WebhookKeys, TakeTwentyFourToSixtyFourBytes) {
    struct Row {
        std::string secret;
        bool good;
    };
    const Row rows[] = {
        {"whsec_" + to_base64(Bytes(23, 1)), false},
        {"whsec_" + to_base64(Bytes(24, 1)), true},
        {"whsec_" + to_base64(Bytes(64, 1)), true},
        {"whsec_" + to_base64(Bytes(65, 1)), false},
        {to_base64(Bytes(24, 1)), false},
        {"whsk_" + to_base64(Bytes(24, 1)), false},
        {"whsec_", false},
        {"whsec_not*base64*not*base64*not*base64*", false},
        {"", false},
    };
    for (const Row& row : rows) {
        const auto parsed = WebhookKeys::parse({Secret(row.secret)});
        EXPECT_EQ(parsed.has_value(), row.good) << row.secret;
        if (parsed || row.secret.size() < 8) continue;
        EXPECT_EQ(parsed.error().code, "invalid_secret");
        EXPECT_EQ(parsed.error().detail.find(row.secret.substr(6)), std::string::npos);
    }
}

TEST(WebhookMessage, HoldsTheEvent) {
    const Event event{.seq = 7, .at = from_rfc3339("2026-01-15T10:30:00.123Z").value(), .kind = "draining"};
    const WebhookMessage message = webhook_message(event, "00ff");
    EXPECT_EQ(message.id, "evt_00ff_7");
    std::string data;
    append_json(data, event);
    EXPECT_EQ(message.body,
              R"({"type":"draining","timestamp":"2026-01-15T10:30:00.123Z","data":)" + data + "}");
    const WebhookMessage lost = webhook_lost(3, 9, event.at, "00ff");
    EXPECT_EQ(lost.id, "evt_00ff_lost_9");
    EXPECT_EQ(lost.body, R"({"type":"events_lost","timestamp":"2026-01-15T10:30:00.123Z",)"
                         R"("data":{"after":3,"oldest":9}})");
}

}  // namespace
}  // namespace ee::events
