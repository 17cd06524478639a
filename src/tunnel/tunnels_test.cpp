#include "tunnel/tunnels.h"

#include <gtest/gtest.h>

#include "http/server.h"
#include "tunnel/test_agent.h"

namespace ee::tunnel {
namespace {

using net::run_until;
using Words = std::vector<std::string>;

class TunnelsTest : public testing::Test, http::RequestHandler {
protected:
    void open() {
        tunnels.emplace(loop, owner, settings, limits, test_entropy());
        owner.activated = [this](Session& session) { tunnels->attested(session.id()); };
        server.emplace(loop, static_cast<http::RequestHandler&>(*this), http::ServerLimits{});
        ASSERT_TRUE(server->listen("127.0.0.1", 0, nullptr));
    }
    void TearDown() override {
        server.reset();
        loop.collect();
    }
    std::unique_ptr<TestAgent> come() {
        auto agent = std::make_unique<TestAgent>(loop, net::connect_to(server->port()));
        agent->upgrade();
        return agent;
    }
    bool until(const std::function<bool()>& done) { return run_until(loop, done); }

    http::BodyTerms body_terms(const http::RequestHead&, const net::Endpoint&) override { return {}; }
    void on_request(http::Exchange& exchange) override {
        if (const auto accepted = tunnels->accept(exchange, client); !accepted)
            exchange.respond(http::refusal_status(accepted.error().code), {}, accepted.error().code);
    }
    std::string on_refused(const http::Refusal&) override { return ""; }

    net::Loop loop;
    TestOwner owner;
    TunnelSettings settings;
    TunnelLimits limits;
    net::IpAddress client = *net::IpAddress::parse("192.0.2.1");
    std::optional<Tunnels> tunnels;
    std::optional<http::Server> server;
};

TEST_F(TunnelsTest, UpgradesAnAgentThatRegistersInTheSameSegment) {
    open();
    const auto agent = come();
    agent->send(test_registration());
    ASSERT_TRUE(until([&] { return agent->has_heard("challenge register"); }));
    EXPECT_TRUE(agent->response.starts_with("HTTP/1.1 101 Switching Protocols\r\n"));
    EXPECT_EQ(tunnels->size(), 1u);
    EXPECT_EQ(tunnels->unattested(), 1u);
    agent->attest();
    ASSERT_TRUE(until([&] { return agent->has_heard("status ok attested"); }));
    EXPECT_EQ(tunnels->unattested(), 0u);
    EXPECT_EQ(tunnels->find(1)->peer().ip.to_string(), "127.0.0.1");
    agent->stream.abort();
    ASSERT_TRUE(until([&] { return tunnels->size() == 0; }));
    EXPECT_EQ(tunnels->find(1), nullptr);
}

TEST_F(TunnelsTest, CountsAMessageWhileItIsGathered) {
    BodyMemory memory(1 << 20);
    settings.memory = &memory;
    open();
    auto agent = come();
    agent->send(test_registration());
    ASSERT_TRUE(until([&] { return agent->has_heard("challenge register"); }));
    agent->attest();
    ASSERT_TRUE(until([&] { return agent->has_heard("status ok attested"); }));
    agent->frame(http::Opcode::text, std::string(200'000, ' '), false);
    ASSERT_TRUE(until([&] { return memory.held() >= 200'000; }));
    EXPECT_EQ(tunnels->find(1)->held_bytes(), memory.held());
    agent.reset();
    EXPECT_TRUE(until([&] { return tunnels->size() == 0; }));
    run_until(loop, [] { return true; });
    EXPECT_EQ(memory.held(), 0u);
}

TEST_F(TunnelsTest, EndsTheTunnelWhoseUnfinishedMessageHoldsTheMost) {
    BodyMemory memory(1 << 20);
    settings.memory = &memory;
    open();
    auto small = come(), large = come();
    small->frame(http::Opcode::text, std::string(10'000, ' '), false);
    large->frame(http::Opcode::text, std::string(50'000, ' '), false);
    ASSERT_TRUE(until([&] { return memory.held() >= 60'000; }));
    const Freed freed = tunnels->shed(40'000);
    EXPECT_EQ(freed.count, 1u);
    EXPECT_GE(freed.bytes, 50'000u);
    EXPECT_LT(memory.held(), 50'000u) << "before the farewell is over";
    ASSERT_TRUE(until([&] { return !large->closed.empty(); }));
    EXPECT_EQ(large->heard, (Words{"status invalid overloaded", "close 1008 overloaded"}));
    EXPECT_EQ(small->closed, "");
    small.reset();
    ASSERT_TRUE(until([&] { return tunnels->size() == 0; }));
    loop.collect();
}

TEST_F(TunnelsTest, RefusesWhatIsNoUpgrade) {
    open();
    net::Peer visitor(loop, net::connect_to(server->port()));
    visitor.say("GET /v1/tunnel HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    ASSERT_TRUE(until([&] { return !visitor.closed.empty(); }));
    EXPECT_TRUE(visitor.received.starts_with("HTTP/1.1 426 ")) << visitor.received;
    EXPECT_EQ(tunnels->size(), 0u);
}

TEST_F(TunnelsTest, RefusesAgentsWithoutAClientCertificateWhereOneIsRequired) {
    settings.client_certificate_required = true;
    open();
    const auto agent = come();
    ASSERT_TRUE(until([&] { return !agent->closed.empty(); }));
    EXPECT_TRUE(agent->has_heard("status invalid ratls_missing"));
}

TEST_F(TunnelsTest, HoldsEveryLimitAndSaysWhichOneInsideTheTunnel) {
    struct Row {
        const char* what;
        TunnelLimits limits;
        const char* address;  // Of the third; the first two have 2001:db8:0:1::1.
        const char* limit;    // As the refusal names it; null: there is none.
    };
    constexpr const char* same = "2001:db8:0:1::1";
    constexpr const char* other = "2001:db8:0:2::1";
    const Row rows[] = {
        {"all tunnels",
         {.tunnels_max = 2, .unattested_max = 9, .unattested_per_address_max = 9},
         other,
         "EE_MAX_TUNNELS"},
        {"unattested",
         {.tunnels_max = 9, .unattested_max = 2, .unattested_per_address_max = 9},
         other,
         "EE_MAX_UNREGISTERED"},
        {"address",
         {.tunnels_max = 9, .unattested_max = 9, .unattested_per_address_max = 2},
         same,
         "EE_MAX_UNREGISTERED_PER_ADDRESS"},
        {"address of the same /64",
         {.tunnels_max = 9, .unattested_max = 9, .unattested_per_address_max = 2},
         "2001:db8:0:1:ffff::2",
         "EE_MAX_UNREGISTERED_PER_ADDRESS"},
        {"other address",
         {.tunnels_max = 9, .unattested_max = 9, .unattested_per_address_max = 2},
         other,
         nullptr},
    };
    for (const Row& row : rows) {
        server.reset();
        limits = row.limits;
        client = *net::IpAddress::parse(same);
        open();
        const auto first = come(), second = come();
        ASSERT_TRUE(until([&] { return tunnels->unattested() == 2; })) << row.what;
        client = *net::IpAddress::parse(row.address);
        const auto third = come();
        third->send(test_registration());
        ASSERT_TRUE(until([&] { return !third->heard.empty(); })) << row.what;
        if (row.limit == nullptr) {
            EXPECT_EQ(third->heard, (Words{"challenge register"})) << row.what;
            continue;
        }
        ASSERT_TRUE(until([&] { return !third->closed.empty(); })) << row.what;
        EXPECT_EQ(third->heard, (Words{"status invalid too_many_tunnels", "close 1008 too_many_tunnels"}))
            << row.what;
        EXPECT_TRUE(third->status_detail.ends_with(std::string("(") + row.limit + ")"))
            << third->status_detail;
        ASSERT_TRUE(until([&] { return tunnels->size() == 2; })) << row.what;
        EXPECT_EQ(first->closed + second->closed, "") << row.what;
    }
}

TEST_F(TunnelsTest, WhatIsRefusedCountsAgainstNobody) {
    limits = {.tunnels_max = 5, .unattested_max = 3, .unattested_per_address_max = 1};
    open();
    const auto first = come();
    ASSERT_TRUE(until([&] { return tunnels->size() == 1; }));
    std::vector<std::unique_ptr<TestAgent>> refused;
    for (std::size_t i = 0; i < 3; ++i) {
        refused.push_back(come());
        refused.back()->stream.pause_reading();  // Does not end its side.
        ASSERT_TRUE(until([&] { return tunnels->size() == 2 + i; }));
    }
    EXPECT_EQ(tunnels->unattested(), 1u);
    const auto too_many = come();
    ASSERT_TRUE(until([&] { return too_many->response.ends_with("too_many_tunnels"); }));
    EXPECT_TRUE(too_many->response.starts_with("HTTP/1.1 400 ")) << "without a tunnel";
    client = *net::IpAddress::parse("192.0.2.2");
    const auto other = come();
    other->send(test_registration());
    EXPECT_TRUE(until([&] { return other->has_heard("challenge register"); }));
    refused.clear();
    ASSERT_TRUE(until([&] { return tunnels->size() == 2; }));
    EXPECT_EQ(tunnels->unattested(), 2u);
}

TEST_F(TunnelsTest, AnAttestedTunnelMakesRoomForOneThatTries) {
    limits.unattested_max = 1;
    open();
    const auto first = come();
    first->send(test_registration("a1"));
    ASSERT_TRUE(until([&] { return first->has_heard("challenge register"); }));
    first->attest();
    ASSERT_TRUE(until([&] { return first->has_heard("status ok attested"); }));
    const auto second = come();
    second->send(test_registration("a2"));
    EXPECT_TRUE(until([&] { return second->has_heard("challenge register"); }));
    tunnels->attested(1);  // Counts once.
    tunnels->attested(77);
    EXPECT_EQ(tunnels->unattested(), 1u);
}

TEST_F(TunnelsTest, ATunnelThatEndsMakesRoom) {
    limits.unattested_per_address_max = 1;
    open();
    auto first = come();
    ASSERT_TRUE(until([&] { return tunnels->size() == 1; }));
    first.reset();
    ASSERT_TRUE(until([&] { return tunnels->size() == 0; }));
    EXPECT_EQ(tunnels->unattested(), 0u);
    const auto second = come();
    second->send(test_registration());
    EXPECT_TRUE(until([&] { return second->has_heard("challenge register"); }));
}

TEST_F(TunnelsTest, ClosesAllAndFailsWhatIsOpen) {
    open();
    const auto first = come(), second = come();
    ASSERT_TRUE(until([&] { return tunnels->size() == 2; }));
    int visited = 0;
    tunnels->for_each([&](Session&) { ++visited; });
    EXPECT_EQ(visited, 2);
    tunnels->close_all({"draining", "the control plane has stopped"});
    ASSERT_TRUE(until([&] { return tunnels->size() == 0; }));
    EXPECT_EQ(first->heard.back(), "close 1008 draining");
    EXPECT_EQ(second->heard.back(), "close 1008 draining");
    EXPECT_EQ(owner.count("closed draining"), 2u);
}

}  // namespace
}  // namespace ee::tunnel
