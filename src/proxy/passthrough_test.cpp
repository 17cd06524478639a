#include "proxy/passthrough.h"

#include <gtest/gtest.h>

#include "http/server.h"
#include "proxy/streaming_agent.h"
#include "proxy/test_agents.h"

namespace ee::proxy {
namespace {

using namespace std::chrono_literals;
using net::Peer;
using net::run_turns;
using net::run_until;
using tunnel::TestAgent;

std::string number(std::size_t value, int size) {
    std::string out;
    for (int shift = 8 * (size - 1); shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
    return out;
}
std::string counted(const std::string& content, int length_size) {
    return number(content.size(), length_size) + content;
}
// As small as a ClientHello may be; without a server name where that is empty.
std::string hello(const std::string& server_name) {
    const std::string names = counted(number(0, 1) + counted(server_name, 2), 2);
    const std::string extensions = server_name.empty() ? "" : number(0, 2) + counted(names, 2);
    const std::string body = number(0x0303, 2) + std::string(32, 'r') + number(0, 1) +
                             counted(number(0x1301, 2), 2) + counted(std::string(1, '\0'), 1) +
                             counted(extensions, 2);
    return number(22, 1) + number(0x0301, 2) + counted(number(1, 1) + counted(body, 3), 2);
}
std::string alert(int description) {
    return std::string("\x15\x03\x03\x00\x02\x02", 6) + static_cast<char>(description);
}

// Visitors with TLS bytes, agents of either wire, and the registry between them, over TCP.
class PassthroughTest : public testing::Test, protected AgentsSide {
protected:
    PassthroughTest() { open(); }
    void open() {
        passthrough.reset();
        passthrough.emplace(loop, forwarder, tunnels, access_log, metrics, settings);
        EE_CHECK(passthrough->listen("127.0.0.1", 0));
    }
    void TearDown() override {
        passthrough->close();
        control.close();
        loop.collect();
    }
    void attest(TestAgent& agent, const std::string& app) {
        protocol::Register registration = tunnel::test_registration();
        registration.app_name = app;
        ASSERT_TRUE(AgentsSide::attest(agent, registration));
    }
    std::unique_ptr<StreamingAgent> come(const std::string& app = "myapp") {
        auto agent = std::make_unique<StreamingAgent>(loop, control.port());
        attest(agent->wire, app);
        // Its SETTINGS say that it takes extended CONNECT.
        agent->flush();
        run_turns(loop, 10);
        return agent;
    }
    std::unique_ptr<Peer> visit(const std::string& bytes) {
        auto visitor = std::make_unique<Peer>(loop, net::connect_to(passthrough->port()));
        visitor->say(bytes);
        return visitor;
    }
    // What a visitor hears that says this, until the end.
    std::string hear(const std::string& bytes) {
        const std::size_t before = passthrough->open_connections();
        const auto visitor = visit(bytes);
        EXPECT_TRUE(until([&] { return !visitor->closed.empty(); })) << visitor->received;
        EXPECT_TRUE(until([&] { return passthrough->open_connections() <= before; }));
        return visitor->received;
    }
    double refused(std::string_view reason) {
        const std::string text = metrics.render();
        const std::string line = fmt::format("ee_passthrough_refused_total{{reason=\"{}\"}} ", reason);
        const std::size_t at = text.find(line);
        return at == std::string::npos ? 0 : std::stod(text.substr(at + line.size()));
    }

    Forwarder forwarder{loop, registry, tunnels, access_log, metrics, ForwardSettings{}};
    PassthroughSettings settings{.app_domain = "app.test"};
    std::optional<Passthrough> passthrough;
};

// ---- What is carried ----

TEST_F(PassthroughTest, CarriesBytesBothWaysAndEachSidesEnd) {
    const auto agent = come();
    const auto visitor = visit(hello("MyApp.app.test") + "early");
    ASSERT_TRUE(until([&] { return agent->received.ends_with("early"); }));
    EXPECT_EQ(agent->asked, "CONNECT ee-tls myapp.app.test / ee-client=127.0.0.1");
    EXPECT_EQ(agent->received, hello("MyApp.app.test") + "early") << "as the visitor sent it";
    agent->respond(200);
    agent->say("welcome");
    ASSERT_TRUE(until([&] { return visitor->received == "welcome"; }));
    EXPECT_EQ(passthrough->open_connections(), 1u);
    visitor->stream.shut_after_flush();
    ASSERT_TRUE(until([&] { return agent->ended; }));
    agent->say(" and bye");
    agent->end();
    ASSERT_TRUE(until([&] { return !visitor->closed.empty(); }));
    EXPECT_EQ(visitor->received, "welcome and bye");
    ASSERT_TRUE(until([&] { return passthrough->open_connections() == 0; }));
    EXPECT_FALSE(agent->reset_code);
    const std::string line = logged();
    for (const char* part : {"\"method\":\"TLS\"", "\"status\":200", "\"app\":\"myapp\"", "\"agent\":\"a1\"",
                             "\"client\":\"127.0.0.1\"", "\"response_bytes\":15"})
        EXPECT_NE(line.find(part), std::string::npos) << part << " in " << line;
    EXPECT_EQ(line.find("error"), std::string::npos) << line;
}

struct HalfOpen : Peer {
    using Peer::Peer;
    bool on_input_end() override { return saw_end = true; }
    bool saw_end = false;
};

TEST_F(PassthroughTest, TakesFromAVisitorWhenTheAgentHasNothingMoreToSay) {
    const auto agent = come();
    HalfOpen visitor(loop, net::connect_to(passthrough->port()));
    visitor.say(hello("myapp.app.test"));
    ASSERT_TRUE(until([&] { return !agent->received.empty(); }));
    agent->respond(200);
    agent->end();
    ASSERT_TRUE(until([&] { return visitor.saw_end; }));
    visitor.say("late");
    ASSERT_TRUE(until([&] { return agent->received.ends_with("late"); }));
    visitor.stream.shut_after_flush();
    ASSERT_TRUE(until([&] { return agent->ended && passthrough->open_connections() == 0; }));
    EXPECT_FALSE(agent->reset_code);
    EXPECT_EQ(visitor.closed, "closed");
}

TEST_F(PassthroughTest, ReadsAHelloInPieces) {
    const auto agent = come();
    const std::string bytes = hello("myapp.app.test");
    const auto visitor = visit(bytes.substr(0, 1));
    for (std::size_t at = 1; at < bytes.size(); ++at) {
        run_turns(loop, 2);
        visitor->say(bytes.substr(at, 1));
    }
    ASSERT_TRUE(until([&] { return agent->received == bytes; }));
}

TEST_F(PassthroughTest, ChoosesTheAgentByTheName) {
    const auto first = come("first"), second = come("second");
    const auto visitor = visit(hello("second.app.test"));
    ASSERT_TRUE(until([&] { return !second->received.empty(); }));
    EXPECT_TRUE(first->received.empty());
}

// ---- Who is refused ----

TEST_F(PassthroughTest, SaysByAnAlertWhatIsWrongWithAHello) {
    const auto agent = come();
    const struct {
        std::string said;
        const char* reason;
        int description, status;
    } rows[] = {{"GET / HTTP/1.1\r\n\r\n", "not_tls", 50, 400},
                {hello("").replace(5, 1, "\x02"), "client_hello_malformed", 50, 400},
                {hello(""), "server_name_missing", 109, 400},
                {hello("my/app.app.test"), "server_name_invalid", 112, 400},
                {hello("other.app.test"), "unknown_app", 112, 404},
                {hello("myapp.other.test"), "unknown_app", 112, 404},
                {hello("app.test"), "unknown_app", 112, 404},
                {hello("myapp.deeper.app.test"), "unknown_app", 112, 404},
                {hello("myapp"), "unknown_app", 112, 404}};
    for (const auto& row : rows) {
        const double before = refused(row.reason);
        EXPECT_EQ(hear(row.said), alert(row.description)) << row.reason;
        EXPECT_EQ(refused(row.reason), before + 1) << row.reason;
        const std::string line = logged();
        EXPECT_NE(line.find(fmt::format("\"status\":{},\"error\":\"{}\"", row.status, row.reason)),
                  std::string::npos)
            << line;
    }
    EXPECT_EQ(agent->asked, "") << "no agent has heard of them";
    EXPECT_EQ(passthrough->open_connections(), 0u);
}

TEST_F(PassthroughTest, SaysInternalErrorWhereNoAgentCanServe) {
    const auto expect = [&](const char* reason) {
        EXPECT_EQ(hear(hello("myapp.app.test")), alert(80)) << reason;
        EXPECT_EQ(refused(reason), 1) << reason;
    };
    {
        TestAgent v1(loop, net::connect_to(control.port()));
        v1.upgrade();
        attest(v1, "myapp");
        expect("upgrade_unsupported");
        v1.stream.abort();
        ASSERT_TRUE(until([&] { return owner.has("closed tunnel_closed"); }));
    }
    expect("offline");
}

TEST_F(PassthroughTest, SaysInternalErrorWhereTheAgentRefuses) {
    const auto agent = come();
    const http::Field unreachable[] = {{"ee-error", "backend_unreachable"}};
    const struct {
        int status;
        std::span<const http::Field> fields;
        const char* reason;
    } rows[] = {{502, unreachable, "backend_unreachable"}, {403, {}, "bad_agent_answer"}};
    for (const auto& row : rows) {
        agent->received.clear();
        const auto visitor = visit(hello("myapp.app.test"));
        ASSERT_TRUE(until([&] { return !agent->received.empty(); }));
        agent->respond(row.status, row.fields, true);
        ASSERT_TRUE(until([&] { return !visitor->closed.empty(); }));
        EXPECT_EQ(visitor->received, alert(80)) << row.reason;
        ASSERT_TRUE(until([&] { return passthrough->open_connections() == 0; }));
        EXPECT_EQ(refused(row.reason), 1) << row.reason;
    }
}

TEST_F(PassthroughTest, WaitsForAHelloForSoLongAndForSoManyAtOnce) {
    settings.hello_time = 2s;
    settings.hellos_max = 2;
    open();
    const auto agent = come();
    const auto slow = visit(hello("myapp.app.test").substr(0, 20)), silent = visit("");
    ASSERT_TRUE(until([&] { return passthrough->open_connections() == 2; }));
    EXPECT_EQ(hear(hello("myapp.app.test")), "");
    EXPECT_EQ(refused("too_many_connections"), 1);
    ASSERT_TRUE(until([&] { return !slow->closed.empty() && !silent->closed.empty(); }));
    EXPECT_EQ(slow->received, "");
    EXPECT_EQ(refused("hello_timeout"), 2);
    const std::string lines = logged();
    EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 1) << "a port check is no visit: " << lines;
    const auto visitor = visit(hello("myapp.app.test"));
    ASSERT_TRUE(until([&] { return !agent->received.empty(); })) << "there is room again";
}

TEST_F(PassthroughTest, AVisitorThatEndsWithinItsHelloIsNotWaitedFor) {
    settings.hello_time = 1min;
    open();
    const auto visitor = visit(hello("myapp.app.test").substr(0, 20));
    ASSERT_TRUE(until([&] { return passthrough->open_connections() == 1; }));
    visitor->stream.shut_after_flush();
    EXPECT_TRUE(until([&] { return passthrough->open_connections() == 0; }));
}

TEST_F(PassthroughTest, TakesSoManyConnections) {
    settings.connections_max = 1;
    open();
    const auto agent = come();
    const auto visitor = visit(hello("myapp.app.test"));
    ASSERT_TRUE(until([&] { return !agent->received.empty(); }));
    EXPECT_EQ(hear(hello("myapp.app.test")), "");
    visitor->stream.reset();
    ASSERT_TRUE(until([&] { return passthrough->open_connections() == 0; }));
}

// ---- Limits of one client and one app ----

TEST_F(PassthroughTest, KeepsNoMoreWaitingHellosOfOneClient) {
    settings.hellos_per_client_max = 2;
    open();
    const auto agent = come();
    const auto first = visit(""), second = visit("\x16");
    ASSERT_TRUE(until([&] { return passthrough->open_connections() == 2; }));
    EXPECT_EQ(hear(hello("myapp.app.test")), "");
    EXPECT_EQ(refused("too_many_connections"), 1);
    Peer other(loop, net::connect_to(passthrough->port(), INADDR_LOOPBACK + 1));
    other.say(hello("myapp.app.test"));
    ASSERT_TRUE(until([&] { return !agent->received.empty(); })) << "another client's are its own";
    first->stream.reset();
    ASSERT_TRUE(until([&] { return passthrough->open_connections() == 2; }));
    agent->received.clear();
    const auto third = visit(hello("myapp.app.test"));
    ASSERT_TRUE(until([&] { return !agent->received.empty(); })) << "there is room again";
}

TEST_F(PassthroughTest, TakesSoManyConnectionsASecond) {
    const struct {
        RateLimitSettings limits;
        const char* name;
    } rows[] = {{{.client_rps = 1}, "other.app.test"}, {{.app_rps = 1}, "myapp.app.test"}};
    const auto agent = come();
    for (const auto& row : rows) {
        forwarder.set_rate_limits(row.limits);
        const double before = refused("rate_limited");
        std::vector<std::unique_ptr<Peer>> visitors;
        while (visitors.size() < 40 && refused("rate_limited") == before) {
            const std::size_t reached = agent->received.size();
            visitors.push_back(visit(hello(row.name)));
            ASSERT_TRUE(
                until([&] { return agent->received.size() > reached || !visitors.back()->closed.empty(); }));
        }
        EXPECT_GT(visitors.size(), 10u) << "as many may come at once";
        EXPECT_EQ(refused("rate_limited"), before + 1);
        EXPECT_EQ(visitors.back()->received, alert(80));
        ASSERT_TRUE(until(
            [&] { return logged().find("\"status\":429,\"error\":\"rate_limited\"") != std::string::npos; }));
    }
}

TEST_F(PassthroughTest, AConnectionCountsAgainstItsClientAndItsAppUntilItEnds) {
    const auto agent = come();
    const net::IpAddress here = *net::IpAddress::parse("127.0.0.1");
    for (const bool of_client : {true, false}) {
        forwarder.set_rate_limits(of_client ? RateLimitSettings{.client_rps = 1}
                                            : RateLimitSettings{.app_rps = 1});
        // All but one of those that may be open, come in long ago.
        std::vector<Buckets::Pass> passes;
        for (int i = 0; i < 99; ++i) {
            const MonoTime at = loop.now() - 200s + i * 1s;
            auto pass = of_client ? forwarder.take_client(here, at) : forwarder.take_app("myapp", at);
            ASSERT_TRUE(pass) << i;
            passes.push_back(std::move(*pass));
        }
        const double before = refused("rate_limited");
        for (int round = 0; round < 2; ++round) {
            agent->received.clear();
            const auto visitor = visit(hello("myapp.app.test"));
            ASSERT_TRUE(until([&] { return !agent->received.empty(); })) << round;
            EXPECT_EQ(hear(hello("myapp.app.test")), alert(80));
            EXPECT_EQ(refused("rate_limited"), before + round + 1);
            visitor->stream.reset();
            ASSERT_TRUE(until([&] { return passthrough->open_connections() == 0; }));
        }
    }
}

// ---- Ends ----

TEST_F(PassthroughTest, TellsEachSideThatTheOtherBrokeOff) {
    const auto agent = come();
    {
        const auto visitor = visit(hello("myapp.app.test"));
        ASSERT_TRUE(until([&] { return !agent->received.empty(); }));
        agent->respond(200);
        agent->say("x");
        ASSERT_TRUE(until([&] { return visitor->received == "x"; }));
        agent->reset();
        ASSERT_TRUE(until([&] { return !visitor->closed.empty(); }));
        EXPECT_EQ(visitor->closed, "connection_lost") << "a reset, not an end";
    }
    const auto visitor = visit(hello("myapp.app.test"));
    ASSERT_TRUE(until([&] { return agent->session.open_streams() == 1; }));
    visitor->stream.reset();
    ASSERT_TRUE(until([&] { return agent->reset_code.has_value(); }));
    EXPECT_EQ(agent->reset_code, http::http2_code::cancel);
    EXPECT_NE(logged().find("\"status\":499,\"error\":\"visitor_gone\""), std::string::npos) << logged();
}

// A TLS client closes its socket when it has what it asked for, with the agent's close_notify unread.
TEST_F(PassthroughTest, AVisitorThatLeavesAfterTheAgentsEndHasNotBrokenOff) {
    BodyMemory memory(64 << 20);
    settings.memory = &memory;
    open();
    for (const bool has_all : {true, false}) {
        const auto agent = come();
        const auto visitor = visit(hello("myapp.app.test"));
        ASSERT_TRUE(until([&] { return !agent->received.empty(); }));
        agent->respond(200);
        visitor->stream.pause_reading();
        agent->say("x");
        ASSERT_TRUE(until([&] {
            if (!has_all && memory.held() == 0) agent->say(std::string(64 << 10, 'x'));
            return has_all || memory.held() > 0;
        })) << "its socket takes no more";
        agent->end();
        run_turns(loop, 50);
        visitor->stream.reset();
        ASSERT_TRUE(until([&] { return passthrough->open_connections() == 0; }));
        const std::string line = logged();
        EXPECT_NE(line.find("\"status\":200"), std::string::npos) << line;
        EXPECT_EQ(line.find("visitor_gone") == std::string::npos, has_all) << line;
    }
}

// As the agent answers a visitor that closes its socket without close_notify.
TEST_F(PassthroughTest, AnAgentThatGivesUpWhatTheVisitorHasEndedHasNotFailed) {
    const auto agent = come();
    const auto visitor = visit(hello("myapp.app.test"));
    ASSERT_TRUE(until([&] { return !agent->received.empty(); }));
    agent->respond(200);
    agent->say("all of it");
    ASSERT_TRUE(until([&] { return visitor->received == "all of it"; }));
    visitor->stream.shut_after_flush();
    ASSERT_TRUE(until([&] { return agent->ended; }));
    agent->reset();
    ASSERT_TRUE(until([&] { return passthrough->open_connections() == 0; }));
    const std::string line = logged();
    EXPECT_NE(line.find("\"status\":200"), std::string::npos) << line;
    EXPECT_EQ(line.find("error"), std::string::npos) << line;
    EXPECT_EQ(refused("bad_agent_answer"), 0);
    EXPECT_EQ(visitor->closed, "connection_lost") << "should it still listen, this was not an end";
}

TEST_F(PassthroughTest, ATunnelThatIsLostBehindTheVisitorsEndIsAFailure) {
    const auto agent = come();
    const auto visitor = visit(hello("myapp.app.test"));
    ASSERT_TRUE(until([&] { return !agent->received.empty(); }));
    agent->respond(200);
    visitor->stream.shut_after_flush();
    ASSERT_TRUE(until([&] { return agent->ended; }));
    agent->wire.stream.abort();
    ASSERT_TRUE(until([&] { return passthrough->open_connections() == 0; }));
    EXPECT_EQ(refused("tunnel_closed"), 1);
}

TEST_F(PassthroughTest, BreaksOffWithTheTunnel) {
    const auto agent = come();
    const auto visitor = visit(hello("myapp.app.test"));
    ASSERT_TRUE(until([&] { return !agent->received.empty(); }));
    agent->respond(200);
    agent->say("x");
    ASSERT_TRUE(until([&] { return visitor->received == "x"; }));
    agent->wire.stream.abort();
    ASSERT_TRUE(until([&] { return !visitor->closed.empty(); }));
    EXPECT_EQ(visitor->closed, "connection_lost");
    EXPECT_EQ(refused("tunnel_closed"), 1);
}

TEST_F(PassthroughTest, SlowsAVisitorWhoseBytesTheAgentDoesNotTake) {
    const auto agent = come();
    agent->consumes = false;
    const auto visitor = visit(hello("myapp.app.test") + std::string(32 << 20, 'x'));
    ASSERT_TRUE(until([&] { return agent->received.size() >= 1 << 20; }));
    run_turns(loop, 200);
    EXPECT_EQ(agent->received.size(), 1u << 20) << "the stream's window";
    EXPECT_GT(visitor->stream.pending_output(), 16u << 20) << "the rest has stayed with the visitor";
    agent->consumes = true;
    agent->session.consume(agent->last, agent->received.size());
    agent->flush();
    ASSERT_TRUE(until([&] { return agent->received.size() == hello("myapp.app.test").size() + (32 << 20); }));
}

TEST_F(PassthroughTest, FinishesWhatIsOpenWhenItDrains) {
    const auto agent = come();
    const auto visitor = visit(hello("myapp.app.test"));
    const auto reading = visit("\x16");
    ASSERT_TRUE(until([&] { return !agent->received.empty() && passthrough->open_connections() == 2; }));
    agent->respond(200);
    run_turns(loop, 10);
    passthrough->drain();
    ASSERT_TRUE(until([&] { return !reading->closed.empty(); }));
    agent->say("still here");
    ASSERT_TRUE(until([&] { return visitor->received == "still here"; }));
    passthrough->close();
    ASSERT_TRUE(until([&] { return !visitor->closed.empty(); }));
    EXPECT_EQ(passthrough->open_connections(), 0u);
}

}  // namespace
}  // namespace ee::proxy
