#include "control_plane/node_directory.h"

#include <gtest/gtest.h>

#include "ledger/test_ledger.h"

namespace ee::control_plane {
namespace {

using ledger::Money;
using std::chrono::hours;

// A ledger, and the directory that follows it as after a start.
struct NodeDirectoryTest : testing::Test {
    void SetUp() override { books.open_everything(); }
    Moment now() const { return {.mono = {}, .wall = std::chrono::floor<WallTime::duration>(books.now)}; }
    NodeChanges all() const {
        WindowCounts counts(ledger::Grid::hour);
        return all_nodes(books.store, counts, books.now - hours{720});
    }
    std::vector<NodeDirectory::Lost> follow() { return directory.apply(all(), now()); }
    const registry::Node& node(std::string_view id = "n1") const { return *nodes.find(id); }
    registry::NodeTime time() const { return nodes.at(now()); }
    std::string check(std::string_view node, std::optional<std::string> token) const {
        const auto proven = directory.check(node, token ? std::optional(Secret(*token)) : std::nullopt);
        return proven ? "ok" : proven.error().code;
    }

    ledger::TestLedger books;
    registry::Nodes nodes{hours{1}};
    NodeDirectory directory{nodes};
};

TEST_F(NodeDirectoryTest, KnowsTheTokenOfEachNodeAndNoOther) {
    EXPECT_EQ(check("n1", "n1"), "node_token_invalid");  // Not told of it yet.
    EXPECT_TRUE(follow().empty());
    ASSERT_TRUE(books.admin(ledger::TestLedger::node("n2")));
    EXPECT_TRUE(follow().empty());
    EXPECT_EQ(directory.size(), 2u);
    EXPECT_EQ(check("n1", "n1"), "ok");
    EXPECT_EQ(check("n2", "n2"), "ok");
    EXPECT_EQ(check("n1", "n2"), "node_token_invalid");
    EXPECT_EQ(check("n1", ""), "node_token_invalid");
    EXPECT_EQ(check("n1", std::nullopt), "node_token_invalid");
    EXPECT_EQ(check("n3", "n1"), "node_token_invalid");
}

// An agent may have come before the ledger said anything of its node: routing knows it, nobody proves it.
TEST_F(NodeDirectoryTest, ANodeThatOnlyRoutingKnowsHasNoToken) {
    nodes.of("n3");
    EXPECT_EQ(check("n3", ""), "node_token_invalid");
    EXPECT_EQ(check("n3", "n3"), "node_token_invalid");
}

TEST_F(NodeDirectoryTest, ARotatedTokenReplacesTheOldOneAndLosesItsTunnels) {
    follow();
    ledger::RegisterNode rotate{.node = "n1"};
    rotate.rotate_token = true;
    rotate.token = ledger::token_of("new");
    ASSERT_TRUE(books.admin(rotate));
    const auto lost = follow();
    ASSERT_EQ(lost.size(), 1u);
    EXPECT_EQ(lost[0].node, "n1");
    EXPECT_FALSE(lost[0].banned);
    EXPECT_EQ(check("n1", "n1"), "node_token_invalid");
    EXPECT_EQ(check("n1", "new"), "ok");
    EXPECT_TRUE(follow().empty());  // Once.
}

TEST_F(NodeDirectoryTest, ABanIsHeardOfOnceAndLasts) {
    follow();
    ASSERT_TRUE(books.admin(ledger::Ban{.node = "n1", .reason = "fraud"}));
    const auto lost = follow();
    ASSERT_EQ(lost.size(), 1u);
    EXPECT_TRUE(lost[0].banned);
    EXPECT_TRUE(directory.is_banned("n1"));
    EXPECT_EQ(check("n1", "n1"), "node_banned");
    // Who does not have the token is told nothing else.
    EXPECT_EQ(check("n1", "x"), "node_token_invalid");
    EXPECT_TRUE(follow().empty());
    // Known as banned from the start, as after a restart.
    registry::Nodes others{hours{1}};
    NodeDirectory restarted{others};
    EXPECT_TRUE(restarted.apply(all(), now()).empty());
    EXPECT_TRUE(restarted.is_banned("n1"));
}

TEST_F(NodeDirectoryTest, FollowsStake) {
    follow();
    EXPECT_EQ(node().stake(), 10'000'000);
    ASSERT_TRUE(books.admin(ledger::Slash{
        .node = "n1", .cause = "other", .amount = Money(4'000'000), .event_ids = {"e1"}, .reason = "r"}));
    follow();
    EXPECT_EQ(node().stake(), 6'000'000);
    ASSERT_TRUE(books.admin(ledger::Unstake{.node = "n1", .reason = "r"}));
    follow();
    EXPECT_EQ(node().stake(), 0);
}

TEST_F(NodeDirectoryTest, APriceHoldsFromWhenItIsInForce) {
    follow();
    const auto price_at = [&](ledger::LedgerTime at) {
        return node().terms_at(std::chrono::floor<WallTime::duration>(at)).price;
    };
    EXPECT_EQ(price_at(books.now - hours{1}), std::nullopt);
    EXPECT_EQ(price_at(books.now), 50'000);
    books.now += std::chrono::minutes{5};
    ledger::RegisterNode dearer{.node = "n1"};
    dearer.price = Money(70'000);
    ASSERT_TRUE(books.holder("n1", dearer));  // The node's own change: from the next cell on.
    follow();
    EXPECT_EQ(price_at(books.now), 50'000);
    EXPECT_EQ(price_at(ledger::LedgerTime{books.cell().end}), 70'000);
    // Changed again for the same moment: the newest counts.
    dearer.price = Money(60'000);
    dearer.tier = ledger::Tier::premium;
    ASSERT_TRUE(books.holder("n1", dearer));
    follow();
    EXPECT_EQ(price_at(ledger::LedgerTime{books.cell().end}), 60'000);
    EXPECT_EQ(node().terms_at(now().wall).tier, registry::NodeTier::standard);
    EXPECT_EQ(node().terms_at(now().wall + hours{1}).tier, registry::NodeTier::premium);
}

TEST_F(NodeDirectoryTest, TheAdminsPriceIsInForceAtOnce) {
    follow();
    books.now += std::chrono::microseconds{300'000'777};  // Within a millisecond.
    ledger::RegisterNode dearer{.node = "n1"};
    dearer.price = Money(70'000);
    ASSERT_TRUE(books.admin(dearer));
    follow();
    EXPECT_EQ(node().terms_at(time().ledger).price, 70'000);
    books.now += std::chrono::microseconds{100};  // In the same one: the newest counts, after a restart too.
    dearer.price = Money(80'000);
    ASSERT_TRUE(books.admin(dearer));
    follow();
    EXPECT_EQ(node().terms_at(time().ledger).price, 80'000);
    ledger::RegisterNode free{.node = "n1"};
    free.price = Money(0);
    ASSERT_TRUE(books.admin(free));
    follow();
    EXPECT_EQ(node().terms_at(time().ledger).price, 0);  // It has one, unlike a node that has posted none.
}

TEST_F(NodeDirectoryTest, FollowsLocksUntilTheyEnd) {
    const ledger::TakeLock lock{.account = "alice",
                                .node = "n1",
                                .app = "shop",
                                .period = {books.cell().end, books.cell().end + hours{1}},
                                .amount = Money(1'000'000)};
    ASSERT_TRUE(books.admin(lock));
    follow();
    EXPECT_FALSE(node().is_funded("alice", "shop", time().cell));
    const WallTime cell = time().cell + hours{1};
    EXPECT_TRUE(node().is_funded("alice", "shop", cell));
    EXPECT_FALSE(node().is_funded("bob", "shop", cell));
    // What a commit changes, as the writing thread tells it.
    std::string key;
    books.store.scan(ledger::Table::held_locks, "", [&](std::string_view held, std::string_view) {
        key = held;
        return false;
    });
    directory.apply({.held_locks = {{key, std::nullopt}}}, now());
    EXPECT_FALSE(node().is_funded("alice", "shop", cell));
}

TEST_F(NodeDirectoryTest, CountsAuthorizedReportsOnly) {
    const auto file = [&] {
        const auto filed =
            books.as({.role = ledger::Role::launcher}, ledger::FileAbuse{.node = "n1", .reason = "spam"});
        EXPECT_TRUE(filed);
        return books.store.leaf_count();  // The report's number.
    };
    const auto decide = [&](std::uint64_t report, bool authorize) {
        ASSERT_TRUE(books.admin(ledger::DecideAbuse{.report = report, .authorize = authorize}));
    };
    const auto reports = [&] {
        follow();
        return node().record_at(time().lived).abuse_reports;
    };
    const std::uint64_t first = file(), second = file();
    EXPECT_EQ(reports(), 0u);
    decide(first, false);
    EXPECT_EQ(reports(), 0u);
    decide(second, true);
    EXPECT_EQ(reports(), 1u);
    EXPECT_EQ(reports(), 1u);
    books.now += hours{90 * 24};
    EXPECT_EQ(node().record_at(time().lived).abuse_reports, 0u);
}

// R3: registering again, with another token, terms or owner, changes nothing of what was counted.
TEST_F(NodeDirectoryTest, R3RegisteringAgainShedsNoHistory) {
    ledger::RecordSlots slots = books.passing("n1", "shop", "a1");
    slots.seen[0].slot.windows.assign(30, static_cast<char>(ledger::Window::miss));
    ASSERT_TRUE(books.server(slots));
    follow();
    const router::NodeRecord before = node().record_at(time().lived);
    EXPECT_EQ(before.windows, 30u);
    EXPECT_EQ(before.windows_passed, 0u);
    ledger::RegisterNode again = ledger::TestLedger::node("n1");
    again.rotate_token = true;
    again.token = ledger::token_of("fresh");
    again.tier = ledger::Tier::premium;
    ASSERT_TRUE(books.admin(again));
    follow();
    EXPECT_EQ(node().record_at(time().lived).windows, 30u);
    EXPECT_EQ(node().record_at(time().lived).windows_passed, 0u);
}

// R3: what a node trades with itself is no window.
TEST_F(NodeDirectoryTest, R3LocksAndUsageOfItsOwnRaiseNothing) {
    follow();
    const router::NodeRecord before = node().record_at(time().lived);
    const ledger::Period cell = books.cell();
    ASSERT_TRUE(books.admin(ledger::TakeLock{
        .account = "alice", .node = "n1", .app = "own", .period = cell, .amount = Money(1'000'000)}));
    ASSERT_TRUE(books.admin(ledger::ReportUsage{.account = "alice",
                                                .node = "n1",
                                                .app = "own",
                                                .period = cell,
                                                .hours = ledger::Hours(1'000'000),
                                                .report_id = "r1"}));
    follow();
    EXPECT_EQ(node().record_at(time().lived).windows, before.windows);
    EXPECT_EQ(node().record_at(time().lived).windows_passed, before.windows_passed);
}

}  // namespace
}  // namespace ee::control_plane
