#include "ledger/ledger.h"

#include <gtest/gtest.h>

#include "ledger/test_ledger.h"

namespace ee::ledger {
namespace {

using std::chrono::hours;

TEST(Ledger, BuysLocksRunsAndSettles) {
    TestLedger ledger;
    ledger.open_everything();
    const Period cell = ledger.cell();
    const auto lock = ledger.holder(
        "alice",
        TakeLock{.account = "alice", .node = "n1", .app = "shop", .period = cell, .hours = Hours(4'000'000)});
    ASSERT_TRUE(lock) << lock.error().detail;
    EXPECT_EQ(ledger.available("alice"), "99.8");
    EXPECT_EQ(ledger.locked("alice"), "0.2");

    ASSERT_TRUE(ledger.server(ledger.passing("n1", "shop", "a1")));
    const auto usage = ledger.admin(ReportUsage{.account = "alice",
                                                .node = "n1",
                                                .app = "shop",
                                                .period = cell,
                                                .hours = Hours(3'000'000),
                                                .report_id = "r1"});
    ASSERT_TRUE(usage) << usage.error().detail;
    EXPECT_NE(usage->body.find(R"("amount_usd":"0.15","uncollected_usd":"0")"), std::string::npos)
        << usage->body;

    EXPECT_EQ(ledger.admin(Finalize{.period = cell}).error().code, "period_open");
    ledger.now += hours{1};
    const auto settled = ledger.admin(Finalize{.period = cell});
    ASSERT_TRUE(settled) << settled.error().detail;
    EXPECT_NE(settled->body.find(R"("outcome":"pass","reasons":[],"paid_usd":"0.15","returned_usd":"0.05")"),
              std::string::npos)
        << settled->body;
    ledger.settle_all();
    EXPECT_EQ(ledger.available("alice"), "99.85");
    EXPECT_EQ(ledger.locked("alice"), "0");
    EXPECT_EQ(ledger.available("node:n1"), "0.15");
    EXPECT_EQ(ledger.available("@issued"), "-110");
}

TEST(Ledger, AMissReturnsEverything) {
    TestLedger ledger;
    ledger.open_everything();
    const Period cell = ledger.cell();
    ASSERT_TRUE(ledger.holder(
        "alice", TakeLock{.account = "alice", .node = "n1", .period = cell, .amount = Money(5)}));
    RecordSlots slots = ledger.passing("n1", "shop", "a1");
    slots.seen[0].slot.windows[7] = static_cast<char>(Window::miss);
    ASSERT_TRUE(ledger.server(slots));
    ledger.now += hours{1};
    const auto settled = ledger.admin(Finalize{.period = cell});
    ASSERT_TRUE(settled);
    EXPECT_NE(settled->body.find(R"("outcome":"fail","reasons":["health_miss"])"), std::string::npos)
        << settled->body;
    ledger.settle_all();
    EXPECT_EQ(ledger.available("alice"), "100");
    EXPECT_EQ(ledger.available("node:n1"), "0");
}

TEST(Ledger, AKeyIsAnsweredOnce) {
    TestLedger ledger;
    ledger.open_everything();
    const Caller alice{.role = Role::holder, .token = token_of("alice")};
    const Transfer transfer{.from = "alice", .to = "bob", .amount = Money(1'000'000)};
    const auto first = ledger.as(alice, transfer, "k");
    ASSERT_TRUE(first);
    const auto second = ledger.as(alice, transfer, "k");
    ASSERT_TRUE(second);
    EXPECT_TRUE(second->replayed);
    EXPECT_EQ(first->body, second->body);
    EXPECT_EQ(first->leaf_index, second->leaf_index);
    EXPECT_EQ(ledger.available("bob"), "1");
    EXPECT_EQ(ledger.as(alice, transfer).error().code, "idempotency_key_required");
}

}  // namespace
}  // namespace ee::ledger
