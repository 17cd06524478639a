#include "events/webhooks/webhook_sender.h"

#include <deque>

#include <gtest/gtest.h>

#include "base/base64.h"
#include "net/test_peer.h"

namespace ee::events {
namespace {

using namespace std::chrono_literals;
using net::run_turns;
using net::run_until;

struct NoStore final : Store {
    void keep(SharedEvent, std::uint64_t) override {}
};

// A log, and a receiver that answers what the test says.
struct WebhookSenderTest : testing::Test {
    void start(std::uint64_t delivered = 0) {
        WebhookSender::Settings settings{
            .url = net::parse_url("https://hooks.example/in?key=hunter2").value(),
            .keys = WebhookKeys::parse({Secret("whsec_" + to_base64(Bytes(24, 1)))}).value(),
            .log_id = "00ff",
            .delivered = delivered,
            .first_retry = 10ms};
        sender.emplace(
            loop, events,
            [this](http::ClientRequest request, http::OnClientAnswer on_answer) {
                requests.push_back(std::move(request));
                answers.push_back(std::move(on_answer));
            },
            log, metrics, std::move(settings), [this](std::uint64_t seq) { delivered_to = seq; },
            [] { return 0.5; });
    }
    void happen(int count) {
        for (int i = 0; i < count; ++i) last = events.add({.kind = "attested", .app_name = "a"});
        events.written(last, last + 100, true);
    }
    void answer(Result<http::ClientAnswer> with) {
        ASSERT_FALSE(answers.empty());
        const auto on_answer = std::move(answers.front());
        answers.pop_front();
        on_answer(std::move(with));
    }
    void answer(int status, std::vector<http::ClientField> fields = {}) {
        answer(http::ClientAnswer{.status = status, .fields = std::move(fields), .body = ""});
    }
    std::string field(std::size_t request, std::string_view name) const {
        for (const http::ClientField& one : requests.at(request).fields)
            if (one.name == name) return one.value;
        return "none";
    }
    bool until_requests(std::size_t count) {
        return run_until(loop, [&] { return requests.size() >= count; });
    }
    std::uint64_t counted(const char* name) { return metrics.counter(name, "").value(); }

    net::Loop loop;
    NoStore store;
    EventLog events{store, {}, 5};
    telemetry::Log log{telemetry::LogLevel::off, telemetry::LogFormat::json};
    telemetry::Metrics metrics;
    std::vector<http::ClientRequest> requests;
    std::deque<http::OnClientAnswer> answers;
    std::uint64_t delivered_to = 0, last = 0;
    std::optional<WebhookSender> sender;
};

TEST_F(WebhookSenderTest, SendsInOrderOneAtATime) {
    start();
    EXPECT_EQ(requests.size(), 0u);
    happen(3);
    ASSERT_EQ(requests.size(), 1u);
    EXPECT_EQ(requests[0].method, "POST");
    EXPECT_EQ(requests[0].url.path, "/in?key=hunter2");
    EXPECT_TRUE(requests[0].is_path_secret);
    EXPECT_EQ(field(0, "webhook-id"), "evt_00ff_1");
    EXPECT_EQ(field(0, "Content-Type"), "application/json");
    const WebhookKeys keys = WebhookKeys::parse({Secret("whsec_" + to_base64(Bytes(24, 1)))}).value();
    EXPECT_EQ(field(0, "webhook-signature"), keys.sign({.id = "evt_00ff_1", .body = requests[0].body},
                                                       std::stoll(field(0, "webhook-timestamp"))));
    answer(200);
    EXPECT_EQ(delivered_to, 1u);
    answer(204);
    EXPECT_EQ(field(2, "webhook-id"), "evt_00ff_3");
    answer(299);
    EXPECT_EQ(delivered_to, 3u);
    EXPECT_EQ(requests.size(), 3u);
    happen(1);
    EXPECT_EQ(field(3, "webhook-id"), "evt_00ff_4");
    EXPECT_EQ(counted("ee_webhook_delivered_total"), 3u);
}

TEST_F(WebhookSenderTest, GoesOnWhereItWas) {
    happen(3);
    start(2);
    ASSERT_EQ(requests.size(), 1u);
    EXPECT_EQ(field(0, "webhook-id"), "evt_00ff_3");
}

TEST_F(WebhookSenderTest, SendsTheSameAgainUntilItIsTaken) {
    start();
    happen(2);
    struct Row {
        const char* what;
        Result<http::ClientAnswer> answer;
    };
    const Row rows[] = {
        {"server error", http::ClientAnswer{.status = 500, .fields = {}, .body = ""}},
        {"a redirect is not followed",
         http::ClientAnswer{
             .status = 302, .fields = {{"Location", "https://elsewhere.example"}}, .body = ""}},
        {"not found", http::ClientAnswer{.status = 404, .fields = {}, .body = ""}},
        {"timed out", fail("timed_out", "hooks.example")},
        {"unreachable", fail("unreachable", "hooks.example")},
        {"no final answer", http::ClientAnswer{.status = 199, .fields = {}, .body = ""}},
    };
    std::size_t sent = 1;
    for (const Row& row : rows) {
        answer(row.answer);
        EXPECT_EQ(requests.size(), sent) << row.what;  // Not at once.
        ASSERT_TRUE(until_requests(++sent)) << row.what;
        EXPECT_EQ(field(sent - 1, "webhook-id"), "evt_00ff_1") << row.what;
        EXPECT_EQ(requests.back().body, requests.front().body) << row.what;
    }
    EXPECT_EQ(delivered_to, 0u);
    answer(200);
    EXPECT_EQ(delivered_to, 1u);
    EXPECT_EQ(field(sent, "webhook-id"), "evt_00ff_2");
    EXPECT_EQ(counted("ee_webhook_failed_tries_total"), std::size(rows));
}

TEST_F(WebhookSenderTest, WaitsAsLongAsTheReceiverAsks) {
    start();
    happen(1);
    answer(429, {{"retry-after", "1"}});
    const MonoTime before = std::chrono::steady_clock::now();
    ASSERT_TRUE(until_requests(2));
    EXPECT_GE(std::chrono::steady_clock::now() - before, 900ms);
}

TEST_F(WebhookSenderTest, AReceiverThatIsGoneIsSentNothingMore) {
    start();
    happen(2);
    answer(410);
    happen(1);
    run_turns(loop, 20);
    EXPECT_EQ(requests.size(), 1u);
    EXPECT_EQ(delivered_to, 0u);
}

TEST_F(WebhookSenderTest, SaysWhatIsNotKeptAnyMore) {
    start();
    happen(1);
    happen(9);  // The newest five are kept; the first is being sent.
    answer(200);
    EXPECT_EQ(field(1, "webhook-id"), "evt_00ff_lost_6");
    EXPECT_NE(requests[1].body.find(R"("type":"events_lost")"), std::string::npos);
    EXPECT_NE(requests[1].body.find(R"("data":{"after":1,"oldest":6})"), std::string::npos);
    answer(200);
    EXPECT_EQ(field(2, "webhook-id"), "evt_00ff_6");
}

}  // namespace
}  // namespace ee::events
