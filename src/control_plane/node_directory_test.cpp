#include "control_plane/node_directory.h"

#include <gtest/gtest.h>

#include "ledger/test_ledger.h"

namespace ee::control_plane {
namespace {

using ledger::Money;
using std::chrono::hours;

// A ledger, and the directory that follows it.
struct NodeDirectoryTest : testing::Test {
    void SetUp() override { books.open_everything(); }
    std::vector<NodeDirectory::Lost> follow() { return directory.apply(all_nodes(books.store)); }
    std::string check(std::string_view node, std::optional<std::string> token) const {
        const auto proven = directory.check(node, token ? std::optional(Secret(*token)) : std::nullopt);
        return proven ? "ok" : proven.error().code;
    }

    ledger::TestLedger books;
    NodeDirectory directory;
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
    NodeDirectory restarted;
    EXPECT_TRUE(restarted.apply(all_nodes(books.store)).empty());
    EXPECT_TRUE(restarted.is_banned("n1"));
}

TEST_F(NodeDirectoryTest, FollowsStake) {
    follow();
    EXPECT_EQ(directory.find("n1")->stake, Money(10'000'000));
    ASSERT_TRUE(books.admin(ledger::Slash{
        .node = "n1", .cause = "other", .amount = Money(4'000'000), .event_ids = {"e1"}, .reason = "r"}));
    follow();
    EXPECT_EQ(directory.find("n1")->stake, Money(6'000'000));
    ASSERT_TRUE(books.admin(ledger::Unstake{.node = "n1", .reason = "r"}));
    follow();
    EXPECT_EQ(directory.find("n1")->stake, Money());
}

TEST_F(NodeDirectoryTest, APriceHoldsFromWhenItIsInForce) {
    follow();
    EXPECT_EQ(directory.price_at("n1", books.now - hours{1}), std::nullopt);
    EXPECT_EQ(directory.price_at("n1", books.now), Money(50'000));
    books.now += std::chrono::minutes{5};
    ledger::RegisterNode dearer{.node = "n1"};
    dearer.price = Money(70'000);
    ASSERT_TRUE(books.holder("n1", dearer));  // The node's own change: from the next cell on.
    follow();
    EXPECT_EQ(directory.price_at("n1", books.now), Money(50'000));
    EXPECT_EQ(directory.price_at("n1", ledger::LedgerTime{books.cell().end}), Money(70'000));
    // Changed again for the same moment: the newest counts.
    dearer.price = Money(60'000);
    ASSERT_TRUE(books.holder("n1", dearer));
    follow();
    EXPECT_EQ(directory.price_at("n1", ledger::LedgerTime{books.cell().end}), Money(60'000));
    EXPECT_EQ(directory.price_at("n2", books.now), std::nullopt);
}

}  // namespace
}  // namespace ee::control_plane
