// What a node is changes who gets traffic from the next question on.

#include <gtest/gtest.h>

#include "registry/registry_fixture.h"

namespace ee::registry {
namespace {

using namespace std::chrono_literals;
using Tunnels = std::vector<TunnelId>;
constexpr std::int64_t usd = 1'000'000;

class RegistryNodesTest : public testing::Test, protected RegistryFixture {
protected:
    // On a network that asks for everything, an agent of a node that has it.
    void SetUp() override {
        registry.set_networks({{"forge-1", {"channel", 0s, rules}}});
        std::vector<AppRecord> records{{.app_name = "myapp", .repo = "org/repo", .network = "forge-1"}};
        records[0].expires_at = now().wall + std::chrono::days{30};
        records[0].billing_account = "alice";
        registry.load(records);
        Node& node = registry.nodes().of("n1");
        node.set_stake(10 * usd);
        node.set_terms(now().wall, {.price = 50'000});
        node.hold(lock);
        AdmitRequest served = request(1);
        served.node_id = "n1";
        admit(served);
    }
    std::string detail_of(NodeLack lack) const {
        const AgentDetail agent = registry.detail("myapp", now())->agents.at(0);
        EXPECT_EQ(agent.lack, lack);
        EXPECT_EQ(agent.status, status());
        EXPECT_EQ(resolve().status, status());
        EXPECT_FALSE(resolve().allowed);
        EXPECT_TRUE(candidates().empty());
        return std::string(to_word(agent.status));
    }

    NodeRules rules{.stake_required = true,
                    .price_required = true,
                    .funded_required = true,
                    .stake_min = {100 * usd, 10 * usd, 0}};
    HeldLock lock{.account = "alice", .app = "myapp", .cell = now().wall, .id = 1};
};

TEST_F(RegistryNodesTest, R4WhoeverLosesAnyOneConditionIsOutOfTheNextRequest) {
    Node& node = registry.nodes().of("n1");
    EXPECT_EQ(candidates(), Tunnels{1});
    node.set_stake(10 * usd - 1);
    EXPECT_EQ(detail_of(NodeLack::stake), "no_stake");
    node.set_stake(10 * usd);
    EXPECT_EQ(candidates(), Tunnels{1});
    node.set_terms(now().wall, {.price = std::nullopt});
    EXPECT_EQ(detail_of(NodeLack::price), "unfunded");
    node.set_terms(now().wall, {.price = 50'000});
    EXPECT_EQ(candidates(), Tunnels{1});
    node.let_go(lock);
    EXPECT_EQ(detail_of(NodeLack::funding), "unfunded");
    node.hold(lock);
    EXPECT_EQ(candidates(), Tunnels{1});
    node.set_banned(true);
    EXPECT_EQ(detail_of(NodeLack::standing), "banned");
}

TEST_F(RegistryNodesTest, WhatANodeLacksIsToldOnceAndThatItLacksItNoMore) {
    Node& node = registry.nodes().of("n1");
    const auto told = [&] {
        registry.note_lapses(now(), 1000);
        std::string kinds;
        const AppDetail detail = registry.detail("myapp", now()).value();
        for (const Event& event : detail.events)
            if (event.kind.ends_with("fit")) kinds = event.kind + ":" + event.code + " " + kinds;
        return kinds;
    };
    EXPECT_EQ(told(), "");
    node.let_go(lock);
    EXPECT_EQ(told(), "unfit:unfunded ");
    EXPECT_EQ(told(), "unfit:unfunded ");
    // Not what it lacks any more, but something else.
    node.set_stake(0);
    EXPECT_EQ(told(), "unfit:unfunded unfit:no_stake ");
    node.set_stake(10 * usd);
    node.hold(lock);
    EXPECT_EQ(told(), "unfit:unfunded unfit:no_stake fit: ");
    // A cell that ends does so by itself.
    clock += 1h;
    EXPECT_TRUE(told().ends_with("fit: unfit:unfunded ")) << told();
    // Who takes locks and releases them again pushes nobody out, and how it stands in the end is told.
    lock.cell = now().wall;
    for (int i = 0; i < 20; ++i) {
        node.hold(lock);
        told();
        node.let_go(lock);
        told();
    }
    EXPECT_LE(registry.detail("myapp", now())->events.size(), 15u) << "ten of these at most";
    node.hold(lock);
    told();
    clock += 10s;
    EXPECT_TRUE(told().ends_with("fit: ") && !told().ends_with("unfit: ")) << told();
}

TEST_F(RegistryNodesTest, R4WhatEndsWithTimeEndsAtItsMoment) {
    clock += 1h - 1ms;
    registry.health(1, true, "", now());
    EXPECT_EQ(candidates(), Tunnels{1});
    clock += 1ms;  // The next cell, for which nothing is locked.
    EXPECT_EQ(detail_of(NodeLack::funding), "unfunded");
    HeldLock next = lock;
    next.cell = now().wall;
    next.id = 2;
    registry.nodes().of("n1").hold(next);
    EXPECT_EQ(candidates(), Tunnels{1});
    registry.nodes().of("n1").set_terms(now().wall + 20s, {.price = std::nullopt});
    EXPECT_EQ(candidates(), Tunnels{1});
    clock += 20s;
    EXPECT_EQ(detail_of(NodeLack::price), "unfunded");
}

TEST_F(RegistryNodesTest, R4APolicyCountsFromWhenItComesIntoForce) {
    Node& node = registry.nodes().of("n1");
    node.set_stake(0);
    node.let_go(lock);
    EXPECT_EQ(detail_of(NodeLack::stake), "no_stake");
    registry.set_networks({{"forge-1", {"channel", 0s, {.funded_required = true}}}});
    EXPECT_EQ(detail_of(NodeLack::funding), "unfunded");
    registry.set_networks({{"forge-1", {"channel", 0s, {}}}});
    EXPECT_EQ(candidates(), Tunnels{1});
    registry.set_networks({{"forge-1", {"channel", 0s, {.stake_required = true}}}});
    EXPECT_TRUE(candidates().empty());
}

TEST_F(RegistryNodesTest, R4AnotherPayerCountsFromTheNextRequestOn) {
    EXPECT_EQ(candidates(), Tunnels{1});
    const auto pays = [&](std::string account) {
        EXPECT_TRUE(registry.make_app({.app_name = "myapp",
                                       .repo = "org/repo",
                                       .network = "forge-1",
                                       .billing_account = std::move(account)},
                                      now().wall));
    };
    pays("bob");
    EXPECT_EQ(detail_of(NodeLack::funding), "unfunded");
    pays("alice");
    EXPECT_EQ(candidates(), Tunnels{1});
}

TEST_F(RegistryNodesTest, WhatIsFarthestFromServiceNamesAnAgent) {
    Node& node = registry.nodes().of("n1");
    node.let_go(lock);
    registry.drain(1, "operator", now().wall);
    EXPECT_EQ(status(), AppStatus::draining);
    node.set_banned(true);
    EXPECT_EQ(status(), AppStatus::banned);
    registry.disconnected(1, "closed", now().wall);
    EXPECT_EQ(status(), AppStatus::offline);
}

TEST_F(RegistryNodesTest, AnAgentWithoutANodeServesWhereNothingIsAskedOfNodes) {
    admit(request(2, "a2"));
    EXPECT_EQ(candidates(), Tunnels{1});
    registry.set_networks({{"forge-1", {"channel", 0s, {}}}});
    EXPECT_EQ(candidates(), (Tunnels{1, 2}));
}

// ---- What it is chosen by ----

TEST_F(RegistryNodesTest, AnOfferHasThePriceInForceAndTheTrustOfTheMoment) {
    const Agent& agent = *registry.agent_of(1);
    Offer offer = registry.offer_of(agent, now());
    EXPECT_EQ(offer.price, 50'000);
    EXPECT_EQ(offer.trust, (router::Trust{1'000'000, 900'000, 1'000'000, 900'000}));
    Node& node = registry.nodes().of("n1");
    node.set_windows(now().wall, 30, 29, now().wall);
    node.add_abuse(1, now().wall);
    offer = registry.offer_of(agent, now());
    EXPECT_EQ(offer.record.windows, 30u);
    EXPECT_EQ(offer.trust, (router::Trust{1'000'000, 902'666, 500'000, 451'333}));
    registry.inconclusive(1, {"collateral_unavailable", ""}, now());
    EXPECT_EQ(registry.offer_of(agent, now()).trust.attestation, 900'000u);
    AttestedVerdict simulated = verdict(now());
    simulated.simulated = true;
    registry.attested(1, simulated, now());
    EXPECT_EQ(registry.offer_of(agent, now()).trust.attestation, 500'000u);
    AttestedVerdict unbound = verdict(now());
    unbound.binding = "none";
    registry.attested(1, unbound, now());
    EXPECT_EQ(registry.offer_of(agent, now()).trust.attestation, 500'000u);
}

TEST_F(RegistryNodesTest, AnOfferIsOfTheMomentThoughNobodyHasLookedSince) {
    registry.nodes().of("n1").set_terms(now().wall + 20s, {.price = 70'000});
    EXPECT_EQ(candidates(), Tunnels{1});
    EXPECT_EQ(registry.offer_of(*registry.agent_of(1), now()).price, 50'000);
    clock += 20s;
    EXPECT_EQ(registry.offer_of(*registry.agent_of(1), now()).price, 70'000);
}

TEST_F(RegistryNodesTest, AnAgentWithoutANodeHasNoPriceAndHalfTheHealth) {
    admit(request(2, "a2"));
    const Offer offer = registry.offer_of(*registry.agent_of(2), now());
    EXPECT_EQ(offer.price, std::nullopt);
    EXPECT_EQ(offer.trust, (router::Trust{1'000'000, 500'000, 1'000'000, 500'000}));
}

// R3: the record is the node's, whichever tunnel, agent or registration speaks of it.
TEST_F(RegistryNodesTest, R3ComingAgainShedsNoHistory) {
    Node& node = registry.nodes().of("n1");
    node.set_windows(now().wall, 30, 0, now().wall);
    const router::Trust before = registry.offer_of(*registry.agent_of(1), now()).trust;
    registry.disconnected(1, "closed", now().wall);
    registry.forget("myapp", now().wall);
    AdmitRequest again = request(2, "another");
    again.node_id = "n1";
    admit(again);
    EXPECT_EQ(registry.offer_of(*registry.agent_of(2), now()).trust, before);
}

}  // namespace
}  // namespace ee::registry
