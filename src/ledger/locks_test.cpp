// Locks: invariants K1 to K6, and the defects they keep from coming back.

#include <gtest/gtest.h>

#include "ledger/test_ledger.h"
#include "ledger/test_script.h"

namespace ee::ledger {
namespace {

constexpr std::string_view world = R"(
    open alice
    open bob
    buy alice 10
    buy bob 10
    node n1 cpus=8 price=1 stake=5
    node n1x cpus=8 price=1 stake=5
)";

void run_in_world(std::string_view table, const Rules& rules = {}) {
    Script script(rules);
    script.run(world);
    script.run(table);
}

TEST(LockRules, CreditsAreHeldBeforeComputeRuns) {
    run_in_world(R"(
        # K6, defect 3
        lock alice n1/shop 13h 4h as=A    => 4
        show alice                        => 6 and 4 locked
        lock alice n1/shop 14h $1.5 as=B  => 1.5
        show alice                        => 4.5 and 5.5 locked
        show-lock A                       => 0 of 4 held
        show-node n1                      => stake 5 (5 of @issued), 2 open
        # K1
        lock alice n1 13h $4.500001       => insufficient_credit
        lock alice n1 13h $4.5            => 4.5
        lock alice n1 13h $0.000001       => insufficient_credit
        show alice                        => 0 and 10 locked
        move alice bob 0.1                => insufficient_credit      # locked is not spent twice
        redeem alice 1 ref=r              => insufficient_credit
    )");
}

TEST(LockRules, OneCellThatHasNotEndedAndIsNear) {
    run_in_world(R"(
        lock alice n1 12h 1h              => period_ended
        lock alice n1 13h 1h              => 1
        clock 13:59:59
        lock alice n1 13h 1h              => 1       # running is not ended
        clock 14:00
        lock alice n1 13h 1h              => period_ended
        lock alice n1 10T14:00..10T15:00 1h => 1      # exactly a day ahead
        lock alice n1 10T15:00..10T16:00 1h => period_too_far
        lock alice n1 15:00..17:00 1h     => period_not_on_grid
        lock alice n1 15:00..15:30 1h     => period_not_on_grid
        lock alice n1 2026-01-10 1h       => period_not_on_grid
    )");
    run_script(R"(
        open alice
        buy alice 10
        node n1 cpus=8 price=1 stake=5
        lock alice n1 2026-01-09 4h       => 4
        lock alice n1 13h 4h              => period_not_on_grid
    )",
               {.grid = Grid::day});
}

TEST(LockRules, WhatItTakes) {
    run_in_world(R"(
        lock alice n9 13h 1h              => unknown_node
        lock carol n1 13h 1h              => unknown_account
        lock node:n1 n1 13h 1h            => unknown_account
        lock @issued n1 13h 1h            => unknown_account
        lock alice n1 13h 1h $1           => invalid_field:vcpu_hours   # not both
        lock alice n1 13h                 => invalid_field:vcpu_hours   # nor none
        lock alice n1 13h $0u             => invalid_amount
        lock alice n1 13h $-5000000u      => invalid_amount
        lock alice n1 13h $1000000000000001u => invalid_amount
        lock alice n1 13h 0u              => invalid_hours
        lock alice n1 13h -1u             => invalid_hours
        lock alice n1 13h 9223372036854775807u => invalid_hours
        lock alice n1 13h 9999999999h     => invalid_amount
        lock alice n1/Shop 13h 1h         => invalid_field:app_name
        lock alice n1/a\0bob 13h 1h       => invalid_field:app_name
        lock alice n1 13h 1h by=bob       => forbidden
        lock alice n1 13h 1h by=n1        => forbidden
        lock alice n1 13h 1h by=launcher  => forbidden
        lock alice n1 13h 1h by=alice     => 1
        node n2 cpus=8 stake=1
        lock alice n2 13h 1h              => node_price_missing
        node n2 price=0.000001
        lock alice n2 13h 0.4h            => invalid_amount    # rounds to nothing
        lock alice n2 13h 0.5h            => 0.000001
        ban n2
        lock alice n2 13h 1h              => node_banned
    )");
}

TEST(LockRules, ThePriceIsTheOnePostedWhenItIsTaken) {
    run_in_world(R"(
        # U2, defect 14
        lock alice n1 14h 1h as=A         => 1
        node n1 price=2
        lock alice n1 14h 1h              => 2
        node n1 price=3 by=n1             # from 14:00 on
        lock alice n1 13h 1h              => 2
        lock alice n1 14h 1h              => 3
        clock 14:00
        slot n1/x a 14h all
        use alice n1 14h 1h id=r1         => 1 + 0     # A, at its own price
        show-lock A                       => 1 of 1 held
    )");
}

TEST(LockRules, ReleasedBeforeTheCellAndNeverTwice) {
    run_in_world(R"(
        # K2, K4
        lock alice n1 14h 4h as=A by=alice => 4
        release A by=bob                  => unknown_lock
        release A by=n1                   => forbidden
        release 999                       => unknown_lock
        release A by=alice key=k          => ok
        show alice                        => 10
        show-node n1                      => stake 5 (5 of @issued), 0 open
        show-unit n1 14h                  => none
        release A by=alice key=k          => replayed
        release A by=alice                => already_released
        release A                         => already_released
        lock alice n1 14h 4h as=B
        lock bob n1 14h 4h as=C
        clock 13:59:59
        release B                         => ok
        show-unit n1 14h                  => open       # bob's is still held
        clock 14:00
        release C                         => cell_started
        clock 15:00
        release C                         => cell_started
        finalize 14h                      => 1 settled
        release C                         => cell_started
        settle                            => done
        release C                         => already_settled
        show bob                          => 10
    )");
}

TEST(LockRules, AUnitOutlivesItsLocksOnlyWhileThereIsUsage) {
    run_in_world(R"(
        lock alice n1/shop 14h 1h as=A
        lock alice n1/shop 14h 1h as=B
        lock alice n1/shop2 14h 1h as=C
        release A                         => ok
        show-unit n1/shop 14h             => open
        release B                         => ok
        show-unit n1/shop 14h             => none
        show-unit n1/shop2 14h            => open
        show-node n1                      => stake 5 (5 of @issued), 1 open
        release C
        show-node n1                      => stake 5 (5 of @issued), 0 open
        lock alice n1/shop 14h 1h
        show-node n1                      => stake 5 (5 of @issued), 1 open
    )");
}

// Each is read when the unit is settled, in one step.
TEST(LockRules, AnAccountHoldsAThousandOfThemInAUnit) {
    TestLedger ledger;
    ASSERT_NO_FATAL_FAILURE(ledger.open_everything());
    ASSERT_TRUE(ledger.admin(Purchase{.account = "bob", .amount = Money(9)}));
    ledger.now += std::chrono::hours(1);
    const Period cell = ledger.cell();
    ledger.now -= std::chrono::hours(1);
    const auto lock = [&](std::string account = "alice", std::string app = "") -> std::string {
        TakeLock command{.account = std::move(account), .node = "n1", .app = std::move(app), .period = cell};
        command.amount = Money(1);
        const auto taken = ledger.admin(command);
        return taken ? "ok" : taken.error().code;
    };
    for (int i = 0; i < 999; ++i) ASSERT_EQ(lock(), "ok");
    const std::uint64_t last = ledger.store.leaf_count() + 1;
    EXPECT_EQ(lock(), "ok");
    EXPECT_EQ(lock(), "too_many_locks");
    EXPECT_EQ(lock("bob"), "ok");
    EXPECT_EQ(lock("alice", "shop"), "ok") << "it holds a thousand, and none of this unit";
    ASSERT_TRUE(ledger.admin(ReleaseLock{.lock = last}));
    EXPECT_EQ(lock(), "ok");
    EXPECT_EQ(lock(), "too_many_locks");
    // What has run is booked all the same: 0.05 USD, of which the locks pay 0.001.
    ledger.now += std::chrono::hours(1);
    ReportUsage usage{.account = "alice", .node = "n1", .period = cell, .hours = Hours(1'000'000)};
    ASSERT_TRUE(ledger.admin(usage));
    EXPECT_EQ(ledger.account("alice").held_locks, 1002U);
    EXPECT_EQ(ledger.locked("alice"), "0.050001");
    ledger.now += std::chrono::hours(1);
    ASSERT_TRUE(ledger.admin(Finalize{.period = cell}));
    ledger.settle_all();
    EXPECT_EQ(ledger.available("alice"), "100") << "nobody attested there";
}

TEST(LockRules, NamesThatBeginAlikeAreNotOneAnother) {
    run_in_world(R"(
        lock alice n1/a 13h 1h as=A
        lock alice n1/ab 13h 1h as=B
        lock alice n1x/a 13h 1h as=C
        lock alice n1 13h 1h as=D
        open alic
        buy alic 5
        lock alic n1/a 13h 1h as=E
        slot n1/a x 13h all
        use alice n1/a 13h 1h id=r1       => 1 + 0
        show-lock A                       => 1 of 1 held
        show-lock B                       => 0 of 1 held
        show-lock C                       => 0 of 1 held
        show-lock D                       => 0 of 1 held
        show-lock E                       => 0 of 1 held
        clock 14:00
        finalize 13h n1                   => 3 settled
        settle
        show-lock C                       => 0 of 1 held
        show-unit n1x/a 13h               => open
        show-unit n1/a 13h                => pass, 1 paid, 1 returned
        show-unit n1/ab 13h               => fail (no_evidence), 0 paid, 1 returned
        show node:n1x                     => 0
    )");
}

}  // namespace
}  // namespace ee::ledger
