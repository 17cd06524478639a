#include "protocol/limits.h"
#include "proxy/forwarder_fixture.h"

namespace ee::proxy {
namespace {

using namespace std::chrono_literals;
using net::Peer;
using tunnel::TestAgent;

// ---- What is carried ----

TEST_F(ForwarderTest, CarriesARequestToAnAgentAndItsAnswerBack) {
    const auto agent = come();
    const auto visitor = visit();
    visitor->say(
        "POST /a/b?secret=1 HTTP/1.1\r\nHost: myapp.example\r\nX-Request-Id: my-id\r\n"
        "X-Forwarded-For: 198.51.100.7\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        "2\r\nin\r\n0\r\n\r\n");
    ASSERT_TRUE(until([&] { return agent->requests.size() == 1; }));
    const protocol::ProxyRequest& request = agent->requests[0];
    EXPECT_EQ(request.method + " " + request.path + " " + request.body, "POST /a/b?secret=1 in");
    EXPECT_EQ(value(request, "Host"), "myapp.example");
    EXPECT_EQ(value(request, "X-Forwarded-For"), "198.51.100.7, 127.0.0.1");
    EXPECT_EQ(value(request, "X-Request-Id"), "my-id");
    EXPECT_EQ(value(request, "Transfer-Encoding"), "absent");
    EXPECT_EQ(value(request, "traceparent").size(), 55u);
    EXPECT_EQ(forwarder->open_calls(), 1u);
    const protocol::HeaderView fields[] = {
        {"Content-Type", "text/plain"}, {"Set-Cookie", "a=1"}, {"Set-Cookie", "b=2"}, {"EE-Agent", "forged"}};
    agent->answer(request.request_id, "out", 201, fields);
    ASSERT_TRUE(until([&] { return !visitor->closed.empty(); }));
    EXPECT_EQ(visitor->received,
              "HTTP/1.1 201 Created\r\nContent-Type: text/plain\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
              "X-Request-Id: my-id\r\nEE-App: myapp\r\nEE-Agent: hash-of-a1\r\n"
              "EE-Attested-At: 2026-01-15T10:30:00Z\r\nEE-TCB-Status: UpToDate\r\nEE-Attestation: 00ff\r\n"
              "Content-Length: 3\r\nConnection: close\r\n\r\nout");
    EXPECT_EQ(forwarder->open_calls(), 0u);
    const std::string line = logged();
    for (const char* part : {"\"my-id\"", "\"198.51.100.7\"", "\"myapp\"", "\"a1\"", "\"POST\"", "\"/a/b\"",
                             "201", "\"queue_us\":", "\"upstream_us\":"})
        EXPECT_NE(line.find(part), std::string::npos) << part << " in " << line;
    EXPECT_EQ(line.find("secret"), std::string::npos);  // Queries may hold credentials.
    EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
}

TEST_F(ForwarderTest, NamesRequestsThatDoNotNameThemselvesSanely) {
    const auto agent = come();
    const auto visitor = visit();
    visitor->say(get("/", "X-Request-Id: two words\r\ntraceparent: nonsense\r\ntracestate: a=1\r\n"));
    ASSERT_TRUE(until([&] { return agent->requests.size() == 1; }));
    const std::string id = value(agent->requests[0], "X-Request-Id");
    EXPECT_EQ(id.find(' '), std::string::npos);
    EXPECT_GE(id.size(), 16u);
    EXPECT_TRUE(value(agent->requests[0], "traceparent").starts_with("00-"));
    EXPECT_EQ(value(agent->requests[0], "tracestate"), "absent");
    agent->answer(agent->requests[0].request_id, "ok");
    EXPECT_TRUE(until([&] { return visitor->received.find("X-Request-Id: " + id) != std::string::npos; }));
}

TEST_F(ForwarderTest, AnswersToHeadKeepTheLengthAndHaveNoBody) {
    const auto agent = come();
    const auto visitor = visit();
    visitor->say("HEAD / HTTP/1.1\r\nHost: myapp.example\r\nConnection: close\r\n\r\n");
    ASSERT_TRUE(until([&] { return agent->requests.size() == 1; }));
    const protocol::HeaderView length{"content-length", "12345"};
    agent->answer(agent->requests[0].request_id, "", 200, {&length, 1});
    ASSERT_TRUE(until([&] { return !visitor->closed.empty(); }));
    EXPECT_NE(visitor->received.find("\r\nContent-Length: 12345\r\n"), std::string::npos)
        << visitor->received;
    EXPECT_TRUE(visitor->received.ends_with("\r\n\r\n"));
}

TEST_F(ForwarderTest, ServesPipelinedRequestsInOrder) {
    const auto agent = come();
    const auto visitor = visit();
    visitor->say(get("/1", "") + get("/2", "") + get("/3"));
    for (std::size_t i = 0; i < 3; ++i) {
        ASSERT_TRUE(until([&] { return agent->requests.size() == i + 1; }));
        EXPECT_EQ(agent->requests[i].path, "/" + std::to_string(i + 1));
        agent->answer(agent->requests[i].request_id, "answer " + std::to_string(i + 1));
    }
    ASSERT_TRUE(until([&] { return !visitor->closed.empty(); }));
    const std::size_t first = visitor->received.find("answer 1"), second = visitor->received.find("answer 2"),
                      third = visitor->received.find("answer 3");
    EXPECT_LT(first, second);
    EXPECT_LT(second, third);
    EXPECT_NE(third, std::string::npos);
}

TEST_F(ForwarderTest, SpreadsRequestsOverTheAgents) {
    const auto first = come("a1"), second = come("a2");
    std::vector<std::unique_ptr<Peer>> visitors;
    for (int i = 0; i < 20; ++i) {
        visitors.push_back(visit());
        visitors.back()->say(get("/"));
        ASSERT_TRUE(
            until([&] { return first->requests.size() + second->requests.size() == visitors.size(); }));
    }
    // Of two agents both are looked at, and the one with fewer open streams is taken.
    EXPECT_EQ(first->requests.size(), 10u);
    EXPECT_EQ(second->requests.size(), 10u);
}

// ---- Refusals ----

// Also those that name no app.
TEST_F(ForwarderTest, EachRequestIsCountedOnce) {
    const auto agent = come();
    const auto visitor = visit();
    visitor->say(get("/"));
    ASSERT_TRUE(until([&] { return agent->requests.size() == 1; }));
    agent->answer(agent->requests[0].request_id, "ok");
    ASSERT_TRUE(until([&] { return !visitor->closed.empty(); }));
    ask("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    ask("GET / HTTP/1.1\r\nHost: unknown.example\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(metrics.counter("ee_proxy_requests_total", "", {{"class", "2xx"}}).value(), 1u);
    EXPECT_EQ(metrics.counter("ee_proxy_requests_total", "", {{"class", "4xx"}}).value(), 2u);
    const auto& refused = metrics.counter_family("ee_proxy_refused_total", "", "reason");
    EXPECT_EQ(refused.value("missing_app"), 1u);
    EXPECT_EQ(refused.value("unknown_app"), 1u);
}

// Of a refusal by the proxy, of one before it was asked, and of a body that breaks off; HEAD has none.
TEST_F(ForwarderTest, TheBodiesOfRefusalsAreInTheAccessLog) {
    const auto agent = stream_from();
    for (const std::string_view request :
         {"GET / HTTP/1.1\r\nHost: unknown.example\r\nConnection: close\r\n\r\n", "nonsense\r\n\r\n",
          "POST / HTTP/1.1\r\nHost: myapp.example\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
          "HEAD / HTTP/1.1\r\nHost: unknown.example\r\nConnection: close\r\n\r\n"}) {
        const std::size_t before = logged().size();
        const std::string heard = ask(request);
        const std::string counted = std::to_string(heard.size() - heard.find("\r\n\r\n") - 4);
        const std::string line = logged().substr(before);
        EXPECT_TRUE(line.find("\"response_bytes\":" + counted + ",") != std::string::npos ||
                    line.find("\"response_bytes\":" + counted + "}") != std::string::npos)
            << line << " of " << heard;
    }
}

TEST_F(ForwarderTest, SaysWhyAnAppIsNotServed) {
    const auto refused = [&](const std::string& request, std::string_view status, std::string_view reason,
                             bool retry) {
        const std::string heard = ask(request);
        EXPECT_TRUE(heard.starts_with("HTTP/1.1 " + std::string(status) + " ")) << heard;
        EXPECT_NE(heard.find("\"" + std::string(reason) + "\""), std::string::npos) << heard;
        EXPECT_EQ(heard.find("\r\nRetry-After: ") != std::string::npos, retry) << heard;
        EXPECT_NE(heard.find("\r\nX-Request-Id: "), std::string::npos) << heard;
        return heard;
    };
    refused("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", "400", "missing_app", false);
    refused(get("/"), "404", "unknown_app", false);
    auto agent = come();
    refused(get("/", "Connection: close, upgrade\r\nUpgrade: websocket\r\n"), "501", "upgrade_unsupported",
            false);
    agent->send(protocol::Health{.pass = false, .detail = "down", .checkpoint = {}});
    ASSERT_TRUE(until([&] { return owner.has("health fail"); }));
    refused(get("/"), "503", "unhealthy", true);
    registry.attest_missed(1, {"attestation_timeout", ""}, now());
    const std::string body = refused(get("/"), "403", "unattested", false);
    EXPECT_NE(body.find("\"allowed\":false"), std::string::npos) << body;  // The resolve body.
    agent.reset();
    ASSERT_TRUE(until([&] { return tunnels.size() == 0; }));
    refused(get("/"), "503", "offline", true);
    EXPECT_EQ(forwarder->open_calls(), 0u);
    const std::string log = logged();
    EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 6);  // Each with its line.
}

TEST_F(ForwarderTest, ADrainingAgentGetsNoNewRequest) {
    const auto agent = come();
    const auto visitor = visit();
    visitor->say(get("/1"));
    ASSERT_TRUE(until([&] { return agent->requests.size() == 1; }));
    tunnels.find(1)->drain("draining", std::nullopt);
    EXPECT_NE(ask(get("/2")).find("\"draining\""), std::string::npos);
    agent->answer(agent->requests[0].request_id, "done");
    EXPECT_TRUE(until([&] { return visitor->received.ends_with("done"); }));
}

TEST_F(ForwarderTest, RefusesMoreThanATunnelHolds) {
    const auto agent = come("a1", 1);
    std::vector<std::unique_ptr<Peer>> visitors;
    for (int i = 0; i < 65; ++i) {
        visitors.push_back(visit());
        visitors.back()->say(get("/"));
    }
    ASSERT_TRUE(until([&] { return forwarder->open_calls() == 65; }));
    const std::string heard = ask(get("/"));
    EXPECT_TRUE(heard.starts_with("HTTP/1.1 503 ")) << heard;
    EXPECT_NE(heard.find("\"overloaded\""), std::string::npos);
    EXPECT_EQ(agent->requests.size(), 1u);
}

TEST_F(ForwarderTest, RefusesABodyThatOneMessageCannotHold) {
    const auto agent = come();
    const std::string body(3200 * 1024, 'b');  // Its base64 has more than 4 MiB.
    const std::string heard =
        ask("POST / HTTP/1.1\r\nHost: myapp.example\r\nConnection: close\r\nContent-Length: " +
            std::to_string(body.size()) + "\r\n\r\n" + body);
    EXPECT_TRUE(heard.starts_with("HTTP/1.1 413 ")) << heard;
    EXPECT_TRUE(agent->requests.empty());
}

// Its head alone makes the message too long; whoever has no such limit takes it.
TEST_F(ForwarderTest, WhatOneAgentCannotTakeGoesToAnother) {
    const auto v1 = come("a1");
    std::string request = "POST / HTTP/1.1\r\nHost: myapp.example\r\nConnection: close\r\nContent-Length: " +
                          std::to_string(protocol::request_body_bytes_max) + "\r\n";
    for (int i = 0; i < 100; ++i)
        request += "X-" + std::to_string(i) + ": " + std::string(600, '\xe9') + "\r\n";
    request += "\r\n" + std::string(protocol::request_body_bytes_max, 'b');
    const std::string refused = ask(request);
    EXPECT_TRUE(refused.starts_with("HTTP/1.1 413 ")) << refused;
    const auto v2 = stream_from("a2");
    for (int i = 0; i < 8; ++i) {
        v2->received.clear();
        const auto visitor = visit();
        visitor->say(request);
        ASSERT_TRUE(until([&] { return v2->received.size() == protocol::request_body_bytes_max; }))
            << visitor->received;
    }
    EXPECT_TRUE(v1->requests.empty());
}

TEST_F(ForwarderTest, BeginsNothingWhereTheMemoryForBodiesIsShort) {
    BodyMemory memory(1000);
    settings.memory = &memory;
    open();
    const auto agent = come();
    HeldBytes held(&memory);
    held.set(501);  // A v1 answer comes whole: half is enough.
    const std::string heard = ask(get("/"));
    EXPECT_TRUE(heard.starts_with("HTTP/1.1 503 ")) << heard;
    EXPECT_NE(heard.find("\"overloaded\""), std::string::npos);
    EXPECT_NE(heard.find("\r\nRetry-After: "), std::string::npos);
    EXPECT_TRUE(agent->requests.empty());
    held.set(250);
    const auto visitor = visit();
    visitor->say(get("/"));
    EXPECT_TRUE(until([&] { return agent->requests.size() == 1; }));
}

// ---- Answers that do not come, or cannot be passed on ----

TEST_F(ForwarderTest, SaysWhatBecameOfARequest) {
    const auto agent = come();
    std::string options;
    for (int i = 0; i < 65; ++i) options += "x" + std::to_string(i) + ",";
    const protocol::HeaderView too_many{"Connection", options};
    struct Row {
        const char* what;
        std::function<void(const std::string& id)> answer;
        const char* status;
        const char* reason;
    };
    const Row rows[] = {
        {"status", [&](const std::string& id) { agent->answer(id, "", 199); }, "502", "bad_agent_answer"},
        {"fields", [&](const std::string& id) { agent->answer(id, "x", 200, {&too_many, 1}); }, "502",
         "bad_agent_answer"},
        {"unreachable",
         [&](const std::string& id) { agent->answer(id, "", 502, {}, protocol::backend_unreachable); }, "502",
         "backend_unreachable"},
        {"timeout", [&](const std::string& id) { agent->answer(id, "", 504, {}, protocol::backend_timeout); },
         "504", "proxy_timeout"},
    };
    for (const Row& row : rows) {
        const auto visitor = visit();
        visitor->say(get("/"));
        ASSERT_TRUE(until([&] { return !agent->requests.empty(); })) << row.what;
        row.answer(agent->requests[0].request_id);
        agent->requests.clear();
        ASSERT_TRUE(until([&] { return !visitor->closed.empty(); })) << row.what;
        EXPECT_TRUE(visitor->received.starts_with("HTTP/1.1 " + std::string(row.status)))
            << visitor->received;
        EXPECT_NE(visitor->received.find(row.reason), std::string::npos) << visitor->received;
    }
    EXPECT_EQ(forwarder->open_calls(), 0u);
    EXPECT_EQ(tunnels.find(1)->open_streams(), 0u);
}

struct ImpatientForwarderTest : ForwarderTest {
    static tunnel::TunnelSettings impatient() {
        tunnel::TunnelSettings out;
        out.answer_time = 40ms;
        return out;
    }
    ImpatientForwarderTest() : ForwarderTest(impatient()) {}
};

TEST_F(ImpatientForwarderTest, GivesUpOnASilentAgentAtTheDeadline) {
    const auto agent = come();
    const std::string heard = ask(get("/"));
    EXPECT_TRUE(heard.starts_with("HTTP/1.1 504 ")) << heard;
    EXPECT_NE(heard.find("\"proxy_timeout\""), std::string::npos);
    EXPECT_EQ(agent->closed, "");
}

TEST_F(ForwarderTest, FailsWhatIsOpenWhenTheTunnelDies) {
    const auto agent = come();
    const auto visitor = visit();
    // Pipelined: the second is looked at when the first has failed, and finds the agent gone.
    visitor->say(get("/1", "") + get("/2"));
    ASSERT_TRUE(until([&] { return agent->requests.size() == 1; }));
    agent->stream.abort();
    ASSERT_TRUE(until([&] { return !visitor->closed.empty(); }));
    EXPECT_TRUE(visitor->received.starts_with("HTTP/1.1 502 ")) << visitor->received;
    EXPECT_NE(visitor->received.find("\"tunnel_closed\""), std::string::npos);
    EXPECT_NE(visitor->received.find("HTTP/1.1 503 "), std::string::npos) << visitor->received;
    EXPECT_NE(visitor->received.find("\"offline\""), std::string::npos);
}

TEST_F(ForwarderTest, AVisitorThatLeavesFreesItsPlace) {
    const auto agent = come();
    auto visitor = visit();
    visitor->say(get("/"));
    ASSERT_TRUE(until([&] { return agent->requests.size() == 1; }));
    visitor.reset();
    ASSERT_TRUE(until([&] { return forwarder->open_calls() == 0; }));
    EXPECT_EQ(tunnels.find(1)->open_streams(), 0u);
    agent->answer(agent->requests[0].request_id, "late");
    EXPECT_TRUE(until([&] { return owner.has("dropped visitor_gone"); }));
    const std::string line = logged();
    EXPECT_NE(line.find("499"), std::string::npos) << line;
    EXPECT_NE(line.find("\"visitor_gone\""), std::string::npos) << line;
}

TEST_F(ForwarderTest, ADescribedRequestCannotForgeWhereItComesFrom) {
    // A handler as POST /v1/proxy/{app} has one: the fields come from the message's body.
    struct Described final : http::RequestHandler {
        explicit Described(Forwarder& to) : forwarder(to) {}
        http::BodyTerms body_terms(const http::RequestHead&, const net::Endpoint&) override { return {}; }
        void on_request(http::Exchange& exchange) override {
            const http::Field fields[] = {{"X-Forwarded-For", "1.1.1.1"}, {"X-Forwarded-Proto", "https"}};
            const Visitor visitor =
                identify_visitor(exchange.head(), exchange.peer(), forwarder.settings().trust);
            forwarder.forward(exchange, {.visitor = visitor,
                                         .request_id = "r1",
                                         .app = "myapp",
                                         .method = "GET",
                                         .target = "/described",
                                         .fields = fields,
                                         .body = {},
                                         .origin = Origin::control,
                                         .described = true});
        }
        std::string on_refused(const http::Refusal&) override { return ""; }
        Forwarder& forwarder;
    } described(*forwarder);
    http::Server server(loop, described, http::ServerLimits{});
    ASSERT_TRUE(server.listen("127.0.0.1", 0, nullptr));
    const auto agent = come();
    Peer visitor(loop, net::connect_to(server.port()));
    visitor.say(get("/", "X-Forwarded-For: 198.51.100.7\r\nConnection: close\r\n"));
    ASSERT_TRUE(until([&] { return agent->requests.size() == 1; }));
    EXPECT_EQ(value(agent->requests[0], "X-Forwarded-For"), "198.51.100.7");
    EXPECT_EQ(value(agent->requests[0], "X-Forwarded-Proto"), "http");
    const protocol::HeaderView cookie{"Set-Cookie", "a=1"};
    agent->answer(agent->requests[0].request_id, "ok", 200, {&cookie, 1});
    ASSERT_TRUE(until([&] { return !visitor.closed.empty(); }));
    EXPECT_EQ(visitor.received.find("Set-Cookie"), std::string::npos);
    EXPECT_NE(visitor.received.find("Content-Security-Policy: sandbox\r\n"), std::string::npos);
    server.close();
}

}  // namespace
}  // namespace ee::proxy
