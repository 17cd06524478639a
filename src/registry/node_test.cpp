#include <gtest/gtest.h>

#include "registry/nodes.h"

namespace ee::registry {
namespace {

using namespace std::chrono_literals;
constexpr WallTime start{std::chrono::sys_days{std::chrono::year{2026} / 1 / 15}};
constexpr std::int64_t usd = 1'000'000;

NodeTime at(WallTime time) {
    Nodes nodes(1h);
    return nodes.at({.mono = {}, .wall = time});
}

TEST(Node, TermsHoldFromWhenTheyAreInForceUntilTheNext) {
    Node node;
    EXPECT_EQ(node.terms_at(start).price, std::nullopt);
    node.set_terms(start + 1h, {.price = 70'000, .tier = NodeTier::premium});
    node.set_terms(start, {.price = 50'000});
    EXPECT_EQ(node.terms_at(start - 1ms).price, std::nullopt);
    EXPECT_EQ(node.terms_at(start).price, 50'000);
    EXPECT_EQ(node.terms_at(start + 1h - 1ms).price, 50'000);
    EXPECT_EQ(node.terms_at(start + 1h).price, 70'000);
    EXPECT_EQ(node.terms_at(start + 1h).tier, NodeTier::premium);
    node.set_terms(start + 1h, {.price = std::nullopt});  // Posted again for the same moment.
    EXPECT_EQ(node.terms_at(start + 9h).price, std::nullopt);
}

TEST(Node, ALockFundsItsAppInItsCell) {
    Node node;
    node.hold({.account = "alice", .app = "shop", .cell = start, .id = 1});
    node.hold({.account = "bob", .app = "", .cell = start + 1h, .id = 2});
    EXPECT_TRUE(node.is_funded("alice", "shop", start));
    EXPECT_FALSE(node.is_funded("alice", "shop", start + 1h));
    EXPECT_FALSE(node.is_funded("alice", "other", start));  // What it pays for is another app.
    EXPECT_FALSE(node.is_funded("bob", "shop", start));
    EXPECT_TRUE(node.is_funded("bob", "shop", start + 1h));
    EXPECT_FALSE(node.is_funded("", "", start));
    node.hold({.account = "", .app = "", .cell = start, .id = 9});
    EXPECT_FALSE(node.is_funded("", "shop", start));  // Nobody pays for an app without an account.
}

TEST(Node, TheLastLockThatGoesTakesTheFundingWithIt) {
    Node node;
    const HeldLock first{.account = "alice", .app = "shop", .cell = start, .id = 1};
    HeldLock second = first;
    second.id = 2;
    node.hold(first);
    node.hold(first);  // Told twice.
    node.hold(second);
    node.let_go(first);
    EXPECT_TRUE(node.is_funded("alice", "shop", start));
    node.let_go(first);
    EXPECT_TRUE(node.is_funded("alice", "shop", start));
    // One that was taken and given back within a commit was never heard of.
    node.let_go({.account = "alice", .app = "shop", .cell = start, .id = 3});
    EXPECT_TRUE(node.is_funded("alice", "shop", start));
    node.let_go(second);
    EXPECT_FALSE(node.is_funded("alice", "shop", start));
}

TEST(Node, AnAuthorizedReportCountsForNinetyDays) {
    Node node;
    node.add_abuse(7, start);
    node.add_abuse(7, start + 24h);  // The same one.
    node.add_abuse(8, start + 24h);
    EXPECT_EQ(node.record_at(start + 24h).abuse_reports, 2u);
    EXPECT_EQ(node.record_at(start + 90 * 24h - 1ms).abuse_reports, 2u);
    EXPECT_EQ(node.record_at(start + 90 * 24h).abuse_reports, 1u);
    EXPECT_EQ(node.record_at(start + 91 * 24h).abuse_reports, 0u);
}

// ---- What a network asks of it ----

struct Asked {
    const char* what;
    NodeRules rules;
    void (*lose)(Node&);
    NodeLack lack;
};

TEST(Node, LacksWhatItsNetworkAsksOfIt) {
    constexpr NodeRules all{.stake_required = true,
                            .price_required = true,
                            .funded_required = true,
                            .stake_min = {100 * usd, 10 * usd, 1}};
    const auto nothing = [](Node&) {};
    const auto ban = [](Node& node) { node.set_banned(true); };
    const auto unstake = [](Node& node) { node.set_stake(0); };
    const auto lower_stake = [](Node& node) { node.set_stake(10 * usd - 1); };
    const auto unprice = [](Node& node) { node.set_terms(start, {.price = std::nullopt}); };
    const auto unfund = [](Node& node) {
        node.let_go({.account = "alice", .app = "shop", .cell = start, .id = 1});
    };
    const auto climb = [](Node& node) { node.set_terms(start, {.price = 1, .tier = NodeTier::premium}); };
    const auto descend = [](Node& node) {
        node.set_terms(start, {.price = 1, .tier = NodeTier::economy});
        node.set_stake(1);
    };
    const auto give_away = [](Node& node) { node.set_terms(start, {.price = 0}); };
    const auto lose_all = [](Node& node) { node = Node(); };
    const Asked rows[] = {
        {"all is there", all, nothing, NodeLack::nothing},
        {"banned", {}, ban, NodeLack::standing},
        {"banned, of many", all, ban, NodeLack::standing},
        {"no stake", all, unstake, NodeLack::stake},
        {"no stake, none asked", {.price_required = true}, unstake, NodeLack::nothing},
        {"a least stake counts only where stake is asked",
         {.stake_min = {9, 9, 9}},
         unstake,
         NodeLack::nothing},
        {"any stake will do", {.stake_required = true}, lower_stake, NodeLack::nothing},
        {"too little", all, lower_stake, NodeLack::stake},
        {"too little for its tier", all, climb, NodeLack::stake},
        {"enough for its tier", all, descend, NodeLack::nothing},
        {"no price", all, unprice, NodeLack::price},
        {"no price, none asked", {.stake_required = true}, unprice, NodeLack::nothing},
        {"a price of nothing", all, give_away, NodeLack::nothing},
        {"no lock", all, unfund, NodeLack::funding},
        {"no lock, none asked", {.stake_required = true}, unfund, NodeLack::nothing},
        {"nothing at all: the farthest from service", all, lose_all, NodeLack::stake},
        {"nothing at all, price and lock asked",
         {.price_required = true, .funded_required = true},
         lose_all,
         NodeLack::price},
        {"nothing at all, nothing asked", {}, lose_all, NodeLack::nothing},
    };
    for (const Asked& row : rows) {
        Node node;
        node.set_stake(10 * usd);
        node.set_terms(start, {.price = 50'000});
        node.hold({.account = "alice", .app = "shop", .cell = start, .id = 1});
        row.lose(node);
        EXPECT_EQ(lack_of(&node, row.rules, "alice", "shop", at(start + 1min)), row.lack) << row.what;
    }
}

TEST(Node, AnAgentWithoutOneLacksWhatOnlyNodesHave) {
    const NodeTime now = at(start);
    EXPECT_EQ(lack_of(nullptr, {}, "alice", "shop", now), NodeLack::nothing);
    EXPECT_EQ(lack_of(nullptr, {.stake_required = true}, "alice", "shop", now), NodeLack::stake);
    EXPECT_EQ(lack_of(nullptr, {.price_required = true}, "alice", "shop", now), NodeLack::price);
    EXPECT_EQ(lack_of(nullptr, {.funded_required = true}, "alice", "shop", now), NodeLack::funding);
}

// ---- Times ----

TEST(NodeSpan, ContainsWhatLiesFromItsBeginningsToBeforeItsEnds) {
    const NodeSpan span{
        .ledger_from = start, .ledger_until = start + 2ms, .lived_from = start, .lived_until = start + 2ms};
    const struct {
        std::chrono::milliseconds ledger, lived;
        bool contained;
    } rows[] = {{0ms, 0ms, true},  {1ms, 1ms, true},   {-1ms, 0ms, false},
                {2ms, 0ms, false}, {0ms, -1ms, false}, {0ms, 2ms, false}};
    for (const auto& row : rows)
        EXPECT_EQ(span.contains({.ledger = start + row.ledger, .lived = start + row.lived}), row.contained)
            << row.ledger.count() << " " << row.lived.count();
}

TEST(Node, WhatIsFoundOfItHoldsUntilSomethingBeginsOrEnds) {
    Node node;
    node.set_terms(start + 1min, {.price = 1});
    node.set_terms(start + 2min, {.price = 2});
    node.add_abuse(1, start - abuse_counts_for + 3min);
    for (const auto moment : {0min, 1min, 2min, 3min}) {
        const NodeTime time = at(start + moment);
        const NodeSpan span = node.span_around(time);
        EXPECT_TRUE(span.contains(time)) << moment.count();
        EXPECT_EQ(span.ledger_from, start + std::min(moment, std::chrono::minutes{2}));
        EXPECT_EQ(span.ledger_until, moment < 2min ? start + moment + 1min : start + 1h);
        EXPECT_EQ(span.lived_until, moment < 3min ? start + 3min : WallTime::max());
    }
}

TEST(Nodes, CellsBeginAtWholeStepsSinceTheEpoch) {
    EXPECT_EQ(at(start + 59min).cell, start);
    EXPECT_EQ(at(start + 60min).cell, start + 1h);
    EXPECT_EQ(at(WallTime{-1ms}).cell, WallTime{-1h});
    Nodes days(24h);
    EXPECT_EQ(days.at({.mono = {}, .wall = start + 23h}).cell, start);
}

TEST(Nodes, AClockSetBackDoesNotTakeTheLedgersTimeBack) {
    Nodes nodes(1h);
    nodes.told_at(start + 2h);
    nodes.told_at(start);
    EXPECT_EQ(nodes.at({.mono = {}, .wall = start}).ledger, start + 2h);
    EXPECT_EQ(nodes.at({.mono = {}, .wall = start + 3h}).ledger, start + 3h);
}

// R3: whoever sets the clock, forth or back, neither sheds what was counted of a node nor ages it.
TEST(Nodes, R3AStepOfTheClockChangesNobodysRecord) {
    const MonoTime mono{1000h};
    Nodes nodes(1h);
    nodes.begin({.mono = mono, .wall = start});
    Node& node = nodes.of("n1");
    node.set_windows(start - 1h, 30, 0, start);
    node.add_abuse(1, start - 1h);
    for (const auto step : {0h, 31 * 24h, -31 * 24h, 10'000h}) {
        const NodeTime time = nodes.at({.mono = mono + 1h, .wall = start + 1h + step});
        const router::NodeRecord record = node.record_at(time.lived);
        EXPECT_EQ(record.windows, 30u) << step.count();
        EXPECT_EQ(record.abuse_reports, 1u) << step.count();
    }
    // It does grow old with time itself.
    const NodeTime later = nodes.at({.mono = mono + 720h, .wall = start});
    EXPECT_EQ(node.record_at(later.lived).windows, 0u);
}

TEST(Nodes, AreTheSameForAsLongAsTheyAreKnown) {
    Nodes nodes(1h);
    EXPECT_EQ(nodes.find("n1"), nullptr);
    Node& first = nodes.of("n1");
    for (int i = 0; i < 1000; ++i) nodes.of("x" + std::to_string(i));
    EXPECT_EQ(&nodes.of("n1"), &first);
    EXPECT_EQ(nodes.find("n1"), &first);
    EXPECT_EQ(nodes.size(), 1001u);
}

}  // namespace
}  // namespace ee::registry
