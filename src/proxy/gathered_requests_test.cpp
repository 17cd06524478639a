// Requests whose bodies are gathered before an agent is asked count from their head on.
#include "proxy/forwarder_fixture.h"

namespace ee::proxy {
namespace {

struct GatheredRequests : ForwarderTest {
    // An upload of which something is still to come.
    std::unique_ptr<net::Peer> begin(std::string_view method = "PUT", std::string_view size = "5") {
        auto visitor = visit();
        visitor->say(std::string(method) + " /up HTTP/1.1\r\nHost: myapp.example\r\nConnection: close\r\n" +
                     "Content-Length: " + std::string(size) + "\r\n\r\n");
        net::run_turns(loop, 3);
        visitor->say("bod");
        net::run_turns(loop, 3);
        return visitor;
    }
    std::string answer_to(net::Peer& visitor) {
        EXPECT_TRUE(until([&] { return !visitor.closed.empty(); })) << visitor.received;
        return visitor.received;
    }
    static void expect_limited(const std::string& answer) {
        EXPECT_TRUE(answer.starts_with("HTTP/1.1 429 ")) << answer;
        EXPECT_NE(answer.find("\"rate_limited\""), std::string::npos) << answer;
        EXPECT_NE(answer.find("Retry-After: "), std::string::npos) << answer;
    }
    std::uint64_t limited(std::string_view limit) {
        return metrics.counter("ee_proxy_rate_limited_total", "", {{"limit", limit}}).value();
    }
};

TEST_F(GatheredRequests, CountAgainstTheirClientAndTheirAppOnce) {
    for (const bool of_client : {true, false}) {
        open();
        forwarder->set_rate_limits(of_client ? RateLimitSettings{.client_rps = 1}
                                             : RateLimitSettings{.app_rps = 1});
        const auto agent = stream_from();
        std::vector<std::unique_ptr<net::Peer>> begun;
        for (int i = 0; i < 9; ++i) begun.push_back(begin());
        const auto tenth = begin();
        EXPECT_EQ(forwarder->open_calls(), 0u);
        // Before its body has come; and no request of another kind passes either.
        expect_limited(answer_to(*begin()));
        expect_limited(ask(get("/")));
        EXPECT_EQ(limited(of_client ? "client_rate" : "app_rate"), 2u);
        EXPECT_NE(logged().find("\"error\":\"rate_limited\""), std::string::npos) << logged();
        // What has been counted is not counted again.
        tenth->say("y!");
        ASSERT_TRUE(until([&] { return agent->received == "body!"; })) << tenth->received;
        agent->respond(200, {}, true);
        EXPECT_TRUE(answer_to(*tenth).starts_with("HTTP/1.1 200 "));
        agent->wire.stream.abort();
        ASSERT_TRUE(until([&] { return tunnels.size() == 0; }));
    }
}

TEST_F(GatheredRequests, AgentsOfTheFirstVersionAreNoWayAroundThat) {
    forwarder->set_rate_limits({.client_rps = 1});
    const auto agent = come();
    std::vector<std::unique_ptr<net::Peer>> begun;
    for (int i = 0; i < 10; ++i) begun.push_back(begin("POST", "4000000"));
    expect_limited(answer_to(*begin("POST", "4000000")));
}

TEST_F(GatheredRequests, AreOpenUntilTheyEnd) {
    const auto agent = stream_from();
    forwarder->set_rate_limits({.client_rps = 1000});
    std::vector<std::unique_ptr<net::Peer>> begun;
    for (int i = 0; i < 100; ++i) begun.push_back(begin());
    forwarder->set_rate_limits({.client_rps = 10});  // 100 open ones at most.
    expect_limited(answer_to(*begin()));
    EXPECT_EQ(limited("client_streams"), 1u);
    begun.pop_back();  // Its visitor leaves.
    net::run_turns(loop, 5);
    const auto next = begin();
    next->say("y!");
    ASSERT_TRUE(until([&] { return agent->received == "body!"; })) << next->received;
    expect_limited(answer_to(*begin()));
    EXPECT_EQ(limited("client_streams"), 2u) << "it is open while it is served";
    agent->respond(200, {}, true);
    EXPECT_TRUE(answer_to(*next).starts_with("HTTP/1.1 200 "));
    const auto last = begin();
    EXPECT_EQ(last->received, "");
}

}  // namespace
}  // namespace ee::proxy
