#include <algorithm>

#include "proxy/forwarder_fixture.h"

namespace ee::proxy {
namespace {

using tunnel::TestAgent;

struct FailoverTest : ForwarderTest {
    FailoverTest() {
        for (const char* id : {"a1", "a2", "a3"}) agents.push_back(come(id));
    }
    // The one that has a request.
    TestAgent* asked() {
        for (const auto& agent : agents)
            if (agent && !agent->requests.empty()) return agent.get();
        return nullptr;
    }
    std::size_t requests() const {
        std::size_t count = 0;
        for (const auto& agent : agents) count += agent ? agent->requests.size() : 0;
        return count;
    }
    // Its tunnel is lost. What it was asked.
    protocol::ProxyRequest lose(TestAgent* lost) {
        protocol::ProxyRequest request = lost->requests.front();
        for (auto& agent : agents) {
            if (agent.get() != lost) continue;
            agent->stream.abort();
            agent.reset();
        }
        return request;
    }
    // The first agent is lost; whether another is asked the same, and answers.
    bool survives(const std::string& request) {
        const auto visitor = visit();
        visitor->say(request);
        EXPECT_TRUE(until([&] { return asked() != nullptr; })) << visitor->received;
        const protocol::ProxyRequest first = lose(asked());
        EXPECT_TRUE(until([&] { return asked() != nullptr || !visitor->received.empty(); }));
        if (asked() == nullptr) {
            EXPECT_TRUE(visitor->received.starts_with("HTTP/1.1 502 ")) << visitor->received;
            EXPECT_NE(visitor->received.find("\"tunnel_closed\""), std::string::npos);
            return false;
        }
        const protocol::ProxyRequest second = asked()->requests.front();
        EXPECT_EQ(second.method, first.method);
        EXPECT_EQ(second.path, first.path);
        EXPECT_EQ(second.body, first.body);
        for (const protocol::HeaderField& field : first.headers) {
            EXPECT_EQ(value(second, field.name), field.value);
        }
        EXPECT_EQ(second.headers.size(), first.headers.size());
        asked()->answer(second.request_id, "done");
        EXPECT_TRUE(until([&] { return visitor->received.ends_with("done"); })) << visitor->received;
        return true;
    }
    std::uint64_t counted(std::string_view name) { return metrics.counter(name, "").value(); }

    std::vector<std::unique_ptr<TestAgent>> agents;
};

TEST_F(FailoverTest, ARequestOutlivesItsAgent) {
    EXPECT_TRUE(
        survives("GET /a?b HTTP/1.1\r\nHost: myapp.example\r\nX-Name: value\r\nConnection: close\r\n\r\n"));
    EXPECT_EQ(counted("ee_proxy_retries_total"), 1u);
    EXPECT_EQ(forwarder->open_calls(), 0u);
    const std::string line = logged();
    EXPECT_NE(line.find("\"status\":200,\"attempts\":2,"), std::string::npos) << line;
    EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
}

TEST_F(FailoverTest, OnlyWhatMeansTheSameTwiceAndIsAllHereIsSentAgain) {
    const auto with_body = [](const std::string& method, std::size_t size) {
        return method + " /x HTTP/1.1\r\nHost: myapp.example\r\nConnection: close\r\nContent-Length: " +
               std::to_string(size) + "\r\n\r\n" + std::string(size, 'b');
    };
    const std::string bare = " /x HTTP/1.1\r\nHost: myapp.example\r\nConnection: close\r\n\r\n";
    const struct {
        std::string request;
        bool survives;
    } rows[] = {
        {"GET" + bare, true},
        {"OPTIONS" + bare, true},
        {"TRACE" + bare, true},
        {"DELETE" + bare, true},
        {with_body("PUT", 64 * 1024), true},
        {with_body("PUT", 64 * 1024 + 1), false},
        {with_body("POST", 1), false},
        {"POST" + bare, false},
        {with_body("PATCH", 1), false},
        {"PROPFIND" + bare, false},
    };
    for (const auto& row : rows) {
        agents.clear();
        ASSERT_TRUE(until([&] { return tunnels.size() == 0; }));
        for (const char* id : {"a1", "a2"}) agents.push_back(come(id));
        EXPECT_EQ(survives(row.request), row.survives) << row.request.substr(0, 40);
    }
}

TEST_F(FailoverTest, ItIsSentOnceMoreAndNoMore) {
    const auto visitor = visit();
    visitor->say(get("/"));
    ASSERT_TRUE(until([&] { return asked() != nullptr; }));
    lose(asked());
    ASSERT_TRUE(until([&] { return asked() != nullptr; }));
    lose(asked());
    ASSERT_TRUE(until([&] { return !visitor->closed.empty(); }));
    EXPECT_TRUE(visitor->received.starts_with("HTTP/1.1 502 ")) << visitor->received;
    EXPECT_EQ(asked(), nullptr);
    EXPECT_NE(logged().find("\"status\":502,\"attempts\":2,\"error\":\"tunnel_closed\""), std::string::npos);
}

TEST_F(FailoverTest, AgentsThatDieTogetherAreAllKnownToBeDeadBeforeItIsSentAgain) {
    const auto visitor = visit();
    visitor->say(get("/"));
    ASSERT_TRUE(until([&] { return asked() != nullptr; }));
    TestAgent* const first = asked();
    TestAgent* const last = agents[agents[2].get() == first ? 1 : 2].get();
    lose(first);
    ASSERT_TRUE(until([&] { return tunnels.size() == 2; }));
    for (auto& agent : agents)
        if (agent && agent.get() != last) agent.reset();
    ASSERT_TRUE(until([&] { return !last->requests.empty(); }));
    last->answer(last->requests.front().request_id, "done");
    EXPECT_TRUE(until([&] { return visitor->received.ends_with("done"); })) << visitor->received;
}

TEST_F(FailoverTest, AVisitorThatLeavesMeanwhileIsNotSentAgain) {
    auto visitor = visit();
    visitor->say(get("/"));
    ASSERT_TRUE(until([&] { return asked() != nullptr; }));
    lose(asked());
    ASSERT_TRUE(until([&] { return tunnels.size() == 2; }));
    EXPECT_EQ(forwarder->open_calls(), 1u);
    visitor.reset();
    ASSERT_TRUE(until([&] { return forwarder->open_calls() == 0; }));
    EXPECT_EQ(asked(), nullptr);
    EXPECT_EQ(counted("ee_proxy_retries_total"), 0u);
}

TEST_F(FailoverTest, AnAgentsOwnRefusalIsAnAnswer) {
    const auto visitor = visit();
    visitor->say(get("/"));
    ASSERT_TRUE(until([&] { return asked() != nullptr; }));
    asked()->answer(asked()->requests.front().request_id, "", 502, {}, protocol::backend_unreachable);
    ASSERT_TRUE(until([&] { return !visitor->closed.empty(); }));
    EXPECT_TRUE(visitor->received.starts_with("HTTP/1.1 502 ")) << visitor->received;
    EXPECT_EQ(requests(), 1u);
    EXPECT_EQ(counted("ee_proxy_retries_total"), 0u);
}

TEST_F(FailoverTest, AnAgentIsNotAskedAgainUnderAnotherTunnel) {
    const std::string had_it[] = {"a1", "a2"};
    const auto left = forwarder->choose("myapp", now(), Selection{.not_agents = had_it});
    ASSERT_TRUE(left);
    EXPECT_EQ((*left)->registration()->agent_id, "a3");
    const std::string all[] = {"a1", "a2", "a3"};
    EXPECT_EQ(forwarder->choose("myapp", now(), Selection{.not_agents = all}).error().code, "offline");
}

TEST_F(FailoverTest, RetriesHaveABudget) {
    // All of them with one agent, so that they are lost together.
    agents.clear();
    ASSERT_TRUE(until([&] { return tunnels.size() == 0; }));
    agents.push_back(come("a1"));
    std::vector<std::unique_ptr<net::Peer>> visitors;
    for (int i = 0; i < 25; ++i) {
        visitors.push_back(visit());
        visitors.back()->say(get("/"));
    }
    ASSERT_TRUE(until([&] { return requests() == 25; }));
    agents.push_back(come("a2"));
    lose(agents[0].get());
    const auto refused = [&] {
        return std::ranges::count_if(
            visitors, [](const auto& visitor) { return visitor->received.starts_with("HTTP/1.1 502 "); });
    };
    ASSERT_TRUE(until([&] { return requests() == 20 && refused() == 5; }))
        << requests() << " were sent again, " << refused() << " refused";
    EXPECT_EQ(counted("ee_proxy_retries_total"), 20u);
    EXPECT_EQ(counted("ee_proxy_retries_over_budget_total"), 5u);
}

TEST_F(FailoverTest, WhatNobodyIsLeftForTakesNothingOfTheBudget) {
    agents.clear();
    ASSERT_TRUE(until([&] { return tunnels.size() == 0; }));
    agents.push_back(come("a1"));
    std::vector<std::unique_ptr<net::Peer>> visitors;
    const auto ask = [&](int count) {
        const std::size_t before = requests();
        for (int i = 0; i < count; ++i) {
            visitors.push_back(visit());
            visitors.back()->say(get("/"));
        }
        return until([&] { return requests() == before + static_cast<std::size_t>(count); });
    };
    ASSERT_TRUE(ask(25));
    lose(agents[0].get());
    ASSERT_TRUE(until([&] {
        return std::ranges::all_of(
            visitors, [](const auto& visitor) { return visitor->received.starts_with("HTTP/1.1 502 "); });
    }));
    EXPECT_EQ(counted("ee_proxy_retries_over_budget_total"), 0u);
    // All of the budget is there for those that can be sent again.
    visitors.clear();
    agents.clear();
    agents.push_back(come("a2"));
    ASSERT_TRUE(ask(20));
    agents.push_back(come("a3"));
    lose(agents[0].get());
    ASSERT_TRUE(until([&] { return requests() == 20 && counted("ee_proxy_retries_total") == 20u; }))
        << requests() << " " << counted("ee_proxy_retries_total");
}

TEST_F(FailoverTest, BodiesThatAreKeptAreCounted) {
    BodyMemory memory(1024 * 1024);
    settings.memory = &memory;
    open();
    const auto visitor = visit();
    visitor->say(
        "PUT / HTTP/1.1\r\nHost: myapp.example\r\nConnection: close\r\nContent-Length: 1000\r\n\r\n" +
        std::string(1000, 'b'));
    ASSERT_TRUE(until([&] { return asked() != nullptr; }));
    EXPECT_EQ(memory.held(), 1000u);
    asked()->answer(asked()->requests.front().request_id, "ok");
    ASSERT_TRUE(until([&] { return visitor->received.ends_with("ok"); }));
    EXPECT_EQ(memory.held(), 0u);
}

// ---- v2 ----

using StreamingFailoverTest = ForwarderTest;

TEST_F(StreamingFailoverTest, ASmallBodyIsGatheredAndSentAgain) {
    auto first = stream_from("a1");
    const auto visitor = visit();
    visitor->say(
        "PUT /x HTTP/1.1\r\nHost: myapp.example\r\nConnection: close\r\nContent-Length: 6\r\n\r\nabc");
    net::run_turns(loop, 10);
    EXPECT_EQ(first->last, 0u);  // Not all of it is here.
    visitor->say("def");
    ASSERT_TRUE(until([&] { return first->received == "abcdef" && first->ended; }));
    const auto second = stream_from("a2");
    first->wire.stream.abort();
    ASSERT_TRUE(until([&] { return second->received == "abcdef" && second->ended; }));
    EXPECT_TRUE(second->asked.starts_with("PUT  myapp.example /x ")) << second->asked;
    EXPECT_EQ(second->asked, first->asked);
    second->respond(204, {}, true);
    ASSERT_TRUE(until([&] { return !visitor->closed.empty(); }));
    EXPECT_TRUE(visitor->received.starts_with("HTTP/1.1 204 ")) << visitor->received;
    EXPECT_NE(visitor->received.find("EE-Agent: hash-of-a2\r\n"), std::string::npos);
}

TEST_F(StreamingFailoverTest, WhatAnAgentRefusesIsSentToAnother) {
    auto first = stream_from("a1");
    const auto visitor = visit();
    visitor->say("GET /x HTTP/1.1\r\nHost: myapp.example\r\nConnection: close\r\n\r\n");
    ASSERT_TRUE(until([&] { return first->last != 0; }));
    const auto second = stream_from("a2");
    first->reset(http::http2_code::refused_stream);
    ASSERT_TRUE(until([&] { return second->last != 0; }));
    second->respond(204, {}, true);
    ASSERT_TRUE(until([&] { return !visitor->closed.empty(); }));
    EXPECT_TRUE(visitor->received.starts_with("HTTP/1.1 204 ")) << visitor->received;
}

TEST_F(StreamingFailoverTest, NothingIsSentAgainOnceAnAnswerHasBegun) {
    const struct {
        const char* what;
        int status;
        const char* heard;
    } rows[] = {{"interim", 103, "HTTP/1.1 502 "}, {"head", 200, "HTTP/1.1 200 "}};
    for (const auto& row : rows) {
        auto first = stream_from("a1");
        const auto visitor = visit();
        visitor->say(get("/"));
        ASSERT_TRUE(until([&] { return first->last != 0; }));
        const auto second = stream_from("a2");
        first->respond(row.status);
        ASSERT_TRUE(until([&] { return !visitor->received.empty(); })) << row.what;
        first->wire.stream.abort();
        ASSERT_TRUE(until([&] { return !visitor->closed.empty(); })) << row.what;
        EXPECT_NE(visitor->received.find(row.heard), std::string::npos) << row.what << visitor->received;
        EXPECT_EQ(second->last, 0u) << row.what;
        second->wire.stream.abort();
        ASSERT_TRUE(until([&] { return tunnels.size() == 0; }));
    }
}

TEST_F(StreamingFailoverTest, PassesInterimAnswersOnUpToALimit) {
    const std::string large(20 * 1024, 'x');
    const struct {
        const char* what;
        int heads;
        std::string_view value;
        bool is_refused;
    } rows[] = {
        {"as many as may be", 16, "</a>", false},
        {"too many", 17, "</a>", true},
        {"as large as may be", 3, large, false},
        {"too large", 4, large, true},
    };
    for (const auto& row : rows) {
        const auto agent = stream_from("a1");
        const auto visitor = visit();
        visitor->say(get("/"));
        ASSERT_TRUE(until([&] { return agent->last != 0; })) << row.what;
        for (int i = 0; i < row.heads; ++i)
            agent->session.interim(agent->last, 103, std::vector<http::Field>{{"link", row.value}});
        agent->flush();
        if (!row.is_refused) agent->respond(204, {}, true);
        ASSERT_TRUE(until([&] { return !visitor->closed.empty(); })) << row.what;
        int passed = 0;
        for (std::size_t at = 0; (at = visitor->received.find("HTTP/1.1 103 ", at)) != std::string::npos;
             ++at)
            ++passed;
        EXPECT_EQ(passed, row.is_refused ? row.heads - 1 : row.heads) << row.what;
        EXPECT_EQ(visitor->received.find("HTTP/1.1 204 ") == std::string::npos, row.is_refused) << row.what;
        EXPECT_EQ(visitor->received.find("bad_agent_answer") != std::string::npos, row.is_refused)
            << row.what;
        EXPECT_EQ(agent->reset_code.has_value(), row.is_refused) << row.what;
        agent->wire.stream.abort();
        ASSERT_TRUE(until([&] { return tunnels.size() == 0; }));
    }
}

// Nobody hears yet whether the visitor leaves: it is answered at once.
TEST_F(FailoverTest, WhatNoAgentHasTakenDoesNotWaitForOne) {
    struct Served final : http::RequestHandler {
        http::BodyTerms body_terms(const http::RequestHead&, const net::Endpoint&) override { return {}; }
        void on_request(http::Exchange& exchange) override { serve(exchange); }
        std::string on_refused(const http::Refusal&) override { return ""; }
        std::function<void(http::Exchange&)> serve;
    } served;
    agents.push_back(come("a4"));
    agents.push_back(come("a5"));
    std::vector<std::unique_ptr<net::Peer>> others;  // Each agent has one, and so stays while it drains.
    while (std::ranges::any_of(agents, [](const auto& agent) { return agent->requests.empty(); })) {
        others.push_back(visit());
        others.back()->say(get("/"));
        ASSERT_TRUE(until([&] { return requests() == others.size(); }));
    }
    owner.drained = [](tunnel::Session&, const std::string&) {};  // The registry has not heard of it.
    served.serve = [&](http::Exchange& exchange) {
        for (tunnel::TunnelId id = 1; id <= 5; ++id) tunnels.find(id)->drain("draining", std::nullopt);
        handler->on_request(exchange);
        EXPECT_EQ(metrics.counter_family("ee_proxy_refused_total", "", "reason").value("tunnel_closed"), 1u);
    };
    http::Server server(loop, served, http::ServerLimits{});
    ASSERT_TRUE(server.listen("127.0.0.1", 0, nullptr));
    net::Peer visitor(loop, net::connect_to(server.port()));
    visitor.say(get("/"));
    ASSERT_TRUE(until([&] { return !visitor.closed.empty(); }));
    EXPECT_NE(visitor.received.find("\"tunnel_closed\""), std::string::npos) << visitor.received;
    server.close();
}

// ---- Ejection ----

struct EjectionTest : FailoverTest {
    // One request; what became of it with whoever was asked.
    std::string fail_one() {
        const auto visitor = visit();
        visitor->say(get("/"));
        EXPECT_TRUE(until([&] { return asked() != nullptr; }));
        TestAgent* const agent = asked();
        const std::string id = agent->requests.front().request_id;
        agent->requests.clear();
        const bool is_bad = agent == agents[0].get();
        agent->answer(id, "", is_bad ? 502 : 200, {}, is_bad ? protocol::backend_unreachable : "");
        EXPECT_TRUE(until([&] { return !visitor->closed.empty(); }));
        return is_bad ? "failed" : "served";
    }
};

TEST_F(EjectionTest, AnAgentThatFailsFiveTimesInARowIsLeftOut) {
    int failed = 0, asked_in_all = 0;
    while (failed < 5 && ++asked_in_all < 500) failed += fail_one() == "failed" ? 1 : 0;
    ASSERT_EQ(failed, 5);
    for (int i = 0; i < 30; ++i) EXPECT_EQ(fail_one(), "served");
    EXPECT_EQ(counted("ee_proxy_ejections_total"), 1u);
    const auto until_when = forwarder->ejected_until("myapp", "a1");
    ASSERT_TRUE(until_when);
    EXPECT_GT(*until_when, loop.now() + std::chrono::seconds(5));
    EXPECT_FALSE(forwarder->ejected_until("myapp", "a2"));
    const Explanation explained = forwarder->explain("myapp", now());
    EXPECT_EQ(explained.candidates.size(), 3u);
    ASSERT_EQ(explained.ejected.size(), 1u);
    EXPECT_EQ(explained.ejected[0].tunnel, registry.tunnel_of("myapp", "a1"));
    EXPECT_GT(explained.ejected[0].until, now().wall + std::chrono::seconds(5));
    const registry::Event told = registry.detail("myapp", now())->events.front();
    EXPECT_EQ(told.kind + " " + told.agent_id + " " + told.code, "ejected a1 backend_unreachable");
}

TEST_F(EjectionTest, TheLastAgentIsNotLeftOut) {
    agents.pop_back();
    agents.pop_back();
    ASSERT_TRUE(until([&] { return tunnels.size() == 1; }));
    for (int i = 0; i < 8; ++i) EXPECT_EQ(fail_one(), "failed");
    EXPECT_EQ(counted("ee_proxy_ejections_total"), 1u);
    EXPECT_TRUE(forwarder->explain("myapp", now()).ejected.empty());
    agents.push_back(come("a2"));
    for (int i = 0; i < 20; ++i) EXPECT_EQ(fail_one(), "served");
}

}  // namespace
}  // namespace ee::proxy
