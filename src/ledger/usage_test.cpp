// Usage and price: invariants U1, U2, U5, U6, K6, and the defects they keep from coming back.

#include <algorithm>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "ledger/locks.h"
#include "ledger/test_damaged_store.h"
#include "ledger/test_ledger.h"
#include "ledger/test_script.h"
#include "ledger/test_worker.h"

namespace ee::ledger {
namespace {

constexpr std::string_view world = R"(
    open alice
    open bob
    buy alice 10
    buy bob 10
    node n1 cpus=8 price=1 stake=5
)";

void run_in_world(std::string_view table, const Rules& rules = {}) {
    Script script(rules);
    script.run(world);
    script.run(table);
}

TEST(UsageRules, DrawsOnHeldLocksOldestFirstThenLocksAnew) {
    run_in_world(R"(
        lock alice n1/shop 13h 1h as=A
        lock alice n1/shop 13h 2h as=B
        lock alice n1 13h 1h as=C          # of no app
        lock bob n1/shop 13h 1h as=D
        use alice n1/shop 13h 2h id=r1     => 2 + 0
        show-lock A                        => 1 of 1 held
        show-lock B                        => 1 of 2 held
        use alice n1/shop 13h 3h id=r2     => 3 + 0       # 1 of B, 2 anew
        show-lock B                        => 2 of 2 held
        show alice                         => 4 and 6 locked
        show-lock C                        => 0 of 1 held
        show-lock D                        => 0 of 1 held
        # K6: what is above all credit is recorded, never owed
        move alice bob 3.5
        use alice n1/shop 13h 3h id=r3     => 0.5 + 2.5
        show alice                         => 0 and 6.5 locked
        clock 14:00
        slot n1/shop a 13h all
        finalize 13h
        settle
        show-unit n1/shop 13h              => pass, 5.5 paid, 1 returned
        show alice                         => 1
        show node:n1                       => 5.5
    )");
}

TEST(UsageRules, ALockIsRequiredWhereTheOperatorSaysSo) {
    run_in_world(R"(
        lock alice n1 13h 2h as=A
        use alice n1 13h 2.000001h id=r1   => lock_missing
        show-lock A                        => 0 of 2 held     # all or nothing
        use alice n1 13h 2h id=r1          => 2 + 0
        use alice n1 13h 0.000001h id=r2   => lock_missing
    )",
                 {.usage_requires_lock = true});
}

TEST(UsageRules, AReportIsCountedOnce) {
    run_in_world(R"(
        use alice n1 13h 1h id=r1          => 1 + 0
        use alice n1 13h 1h id=r1          => replayed
        use alice n1 13h 2h id=r1          => report_conflict
        use bob n1 13h 1h id=r1            => report_conflict
        use alice n1/x 13h 1h id=r1        => report_conflict
        use alice n1 12:00..13:00 1h id=r1 => report_conflict
        node n1x cpus=8 price=1 stake=5
        use alice n1x 13h 1h id=r1         => 1 + 0           # another node's r1
        show alice                         => 8 and 2 locked
        clock 14:00
        finalize 13h
        use alice n1 13h 1h id=r1          => replayed        # also when all is settled
        use alice n1 13h 1h id=a\0b        => invalid_field:report_id
        use alice n1 13h 1h id=\xFF        => invalid_field:report_id
    )");
    run_in_world("use alice n1 13h 1h id=" + std::string(129, 'r') + " => invalid_field:report_id");
}

TEST(UsageRules, NeverMoreThanTheNodeHas) {
    run_in_world(R"(
        use alice n1 13h 8.000001h id=r1   => exceeds_capacity
        use alice n1 13h 5h id=r2          => 5 + 0
        use bob n1/shop 13h 3.000001h id=r3 => exceeds_capacity   # of all users and apps together
        use bob n1/shop 13h 3h id=r4       => 3 + 0
        use bob n1 13h 0.000001h id=r5     => exceeds_capacity
        # What counts is the capacity at the cell's start.
        clock 13:01
        node n1 cpus=16
        use bob n1 13h 1h id=r6            => exceeds_capacity
        clock 14:30
        use bob n1 14h 7h id=r7            => 7 + 0
        show bob                           => 0 and 10 locked
        use bob n1 13:00..15:00 2h id=r8   => exceeds_capacity    # a half of it is enough to refuse it all
        use bob n1 14h 9h id=r9            => 0 + 9
    )");
}

TEST(UsageRules, WhoMayReportWhat) {
    run_in_world(R"(
        use alice n1 13h 1h id=r by=alice  => forbidden
        use alice n1 13h 1h id=r by=n1     => forbidden
        use alice n1 13h 1h id=r by=admin  => 1 + 0
        use alice n9 13h 1h id=r           => unknown_node
        use carol n1 13h 1h id=s           => unknown_account
        use node:n1 n1 13h 1h id=s         => unknown_account
        use alice n1 14h 1h id=s           => period_not_started
        use alice n1 13:00..15:00 1h id=s  => period_not_started
        use alice n1 12:30..13:00 1h id=s  => period_not_on_grid
        use alice n1 2025 1h id=s          => period_too_long
        use alice n1 13h 0u id=s           => invalid_hours
        use alice n1 13h -1u id=s          => invalid_hours
        use alice n1 13h 9223372036854775807u id=s => invalid_hours
        use alice n1/Shop 13h 1h id=s      => invalid_field:app_name
        use alice n1/a\0alice 13h 1h id=s  => invalid_field:app_name
        use alice n1 12h 1h id=s           => node_price_missing   # there was no node
    )");
}

TEST(UsageRules, ThePriceIsTheOneAtTheCellsStart) {
    run_in_world(R"(
        # U2, defect 14: no price after the fact
        clock 14:10
        node n1 price=5
        use alice n1 14h 1h id=r1          => 1 + 0
        node n1 price=9 by=n1              # from 15:00 on
        use alice n1 14h 1h id=r2          => 1 + 0
        clock 15:30
        use alice n1 15h 0.5h id=r3        => 4.5 + 0    # 0.5 h at 9
    )");
    run_in_world(R"(
        # Or, where there was none then, the first in it.
        clock 14:10
        node n2 cpus=4 stake=1
        use bob n2 14h 1h id=r1            => node_price_missing
        clock 14:20
        node n2 price=0.5
        clock 14:30
        node n2 price=7 cpus=6
        use bob n2 14h 1h id=r1            => 0.5 + 0
    )");
}

TEST(UsageRules, TheFirstPriceInTheCellCountsWhereThereWasNoneBefore) {
    run_in_world(R"(
        node n2 cpus=4 stake=1             # no price yet
        clock 14:20
        node n2 price=0.5
        clock 14:30
        node n2 price=7 cpus=6
        use bob n2 14h 4h id=r1            => 2 + 0
        use bob n2 14h 0.5h id=r2          => exceeds_capacity     # the capacity is the one at the start
        clock 15:00
        use bob n2 13h 1h id=r3            => node_price_missing
        # 0 is a price: the first one posted in a cell, too.
        node n3 cpus=4 stake=1
        node n3 price=0
        clock 15:30
        node n3 price=5
        use bob n3 15h 4h id=r4            => 0 + 0
    )");
}

TEST(UsageRules, APriceOfZeroAsksForNothing) {
    run_in_world(R"(
        node n2 cpus=4 price=0 stake=1
        show-terms n2 14:00                => 4 vCPUs at 0, standard
        node n3 cpus=4 stake=1
        show-terms n3 14:00                => 4 vCPUs at no price, standard
        clock 14:10
        # There is nothing to lock for it, and nothing to draw; what ran is counted all the same.
        lock bob n2 14h 1h                 => invalid_amount
        use bob n2 14h 3h id=r1            => 0 + 0
        use bob n2 14h 2h id=r2            => exceeds_capacity
        use bob n3 14h 1h id=r3            => node_price_missing
        lock bob n3 14h $1                 => node_price_missing
        # The lock's price holds for its draws, whatever the cell's: 0 pays for all hours,
        lock alice n2/a 15h $1 as=A        => 1
        clock 15:00
        node n2 price=2
        clock 16:10
        use alice n2/a 15h 4h id=r4        => 0 + 0
        # and 2 are paid on the lock though the cell is free.
        lock alice n2/b 17h $3 as=B        => 3
        node n2 price=0                    # the admin: now
        clock 17:10
        use alice n2/b 17h 1h id=r5        => 2 + 0
        use alice n2/b 17h 2h id=r6        => 1 + 0     # half an hour of them; the others are free
        use bob n2/b 17h 1h id=r7          => 0 + 0
    )");
}

TEST(UsageRules, AFreeNodesTermsReadAsTheyWereWritten) {
    const auto with = [](std::optional<Money> price) {
        Terms terms{.price = price, .capacity_vcpus = 8, .tier = Tier::premium, .posted_at = LedgerTime{}};
        return Terms::decode(terms.encode()).price;
    };
    for (const std::optional<Money> price : {std::optional<Money>{}, {Money{}}, {Money(1)}, {largest_money}})
        EXPECT_EQ(with(price), price);
    // As it was before a price of 0 could be posted.
    EXPECT_EQ(Terms{}.encode().substr(0, 8), std::string(8, '\0'));
}

TEST(UsageRules, SeveralCellsAreSeveralReports) {
    run_in_world(R"(
        # n whole cells: n reports of hours/n, the remainder in the last
        node n2 cpus=8 price=0.000001 stake=1
        clock 15:30
        use alice n2 13:00..16:00 10h id=r1 => 0.000009 + 0   # 3.333333 twice, 3.333334: 3 + 3 + 3
        use alice n1 13:00..16:00 4.000001h id=r2 => 4.000001 + 0
        show-unit n1 13h                   => open
        show-unit n1 15h                   => open
        show-node n1                       => stake 5 (5 of @issued), 3 open
        clock 17:00
        finalize 14h                       => 2 settled
        use alice n1 13:00..16:00 1h id=r3 => period_finalized    # one cell is enough to refuse it all
        use alice n1 13:00..14:00 1h id=r4 => 1 + 0
    )");
}

TEST(UsageRules, RoundedHalfUpOnceAReport) {
    run_in_world(R"(
        # U1, defect 10
        node n2 cpus=8 price=0.000001 stake=1
        use alice n2 13h 0.499999h id=r1   => 0 + 0      # recorded, no lock
        use alice n2 13h 0.5h id=r2        => 0.000001 + 0
        use alice n2 13h 1.499999h id=r3   => 0.000001 + 0
        use alice n2 13h 1.5h id=r4        => 0.000002 + 0
        show alice                         => 9.999996 and 0.000004 locked
        show-unit n2 13h                   => open
        clock 14:00
        slot n2/x a 13h all
        finalize 13h
        settle
        show node:n2                       => 0.000004
    )");
}

TEST(UsageRules, WhatALockWithRoomCoversIsCovered) {
    run_in_world(R"(
        # A cheap lock rounds the last part of an hour away; the dear price of the cell never sees it.
        node n2 cpus=200 price=0.000001 stake=1
        lock alice n2 14h $1 as=A
        node n2 price=1000 by=n2           # from 14:00 on
        clock 14:10
        use alice n2 14h 100.4h id=r1      => 0.0001 + 0
        use alice n2 14h 0.4h id=r2        => 0 + 0
        show alice                         => 9 and 1 locked
        show-lock A                        => 0.0001 of 1 held
    )");
    run_in_world(R"(
        # Beyond the lock, the rest of the hours has the cell's price.
        node n2 cpus=8 price=0.5 stake=1
        lock alice n2 14h $1 as=A          # 2 hours
        node n2 price=2
        clock 14:10
        use alice n2 14h 3h id=r1          => 3 + 0        # 1 of A, 1 hour at 2
        show alice                         => 7 and 3 locked
    )");
}

TEST(UsageRules, NothingRunsIntoOverflow) {
    run_script(R"(
        # L8
        open alice
        node n1 cpus=1000000 price=1000000000 stake=1
        use alice n1 13h 1.000001h id=r1   => invalid_amount      # more than an amount may be
        use alice n1 13h 1h id=r1          => 0 + 1000000000
        use alice n1 13h 0.999999h id=r2   => 0 + 999999000
        use alice n1 13h 999998h id=r3     => invalid_amount
        node n2 cpus=8 price=0.000001 stake=1
        buy alice 1000000000
        lock alice n2 14h $1000000000
        node n2 price=1000000000
        clock 14:10
        use alice n2 14h 0.5h id=r4        => 0.000001 + 0        # the lock's price, half a micro-USD up
    )");
}

std::vector<std::string> everything_in(const Store& store) {
    std::vector<std::string> out;
    for (std::size_t table = 0; table < table_count; ++table)
        store.scan(static_cast<Table>(table), "", [&](std::string_view key, std::string_view record) {
            out.push_back(fmt::format("{} {} {}", table, key, record));
            return true;
        });
    for (std::uint64_t i = 0; i < store.leaf_count(); ++i) out.push_back(store.leaf(i).value());
    return out;
}

TEST(UsageRules, UncollectedSumsUpToWhat64BitsHoldAndNoFurther) {
    // L8
    TestLedger ledger;
    RegisterNode node = TestLedger::node("n1");
    node.capacity_vcpus = 1'000'000;
    node.price = amount_max;
    ASSERT_TRUE(ledger.admin(OpenAccount{.account = "alice"}));
    ASSERT_TRUE(ledger.admin(node));
    // By a name of its own, not under a key: what is refused is not remembered either.
    int reports = 0;
    const auto report = [&](std::int64_t micro_hours) -> std::string {
        const auto reported =
            ledger.as({.role = Role::admin}, ReportUsage{.account = "alice",
                                                         .node = "n1",
                                                         .period = ledger.cell(),
                                                         .hours = Hours(micro_hours),
                                                         .report_id = fmt::format("r{}", ++reports)});
        return reported ? "ok" : reported.error().code;
    };
    // An hour costs all that one report may: 9,223 of them, and what 64 bits have left.
    for (int i = 0; i < 9223; ++i) ASSERT_EQ(report(1'000'000), "ok");
    ASSERT_EQ(report(372'036), "ok");
    const std::vector<std::string> before = everything_in(ledger.store);
    EXPECT_EQ(report(1), "balance_too_large");
    EXPECT_EQ(everything_in(ledger.store), before);
    const UnitName unit{.cell = ledger.cell(), .node = "n1", .app = ""};
    EXPECT_EQ(find_unit(Batch(ledger.store), unit)->uncollected, Money(9'223'372'036'000'000'000));
    BooksCheck books;
    EXPECT_EQ(books.look(ledger.store), std::vector<std::string>{});
}

TEST(UsageRules, SplittingAReportChangesItsCostByRoundingOnly) {
    // U1: half a micro-USD a report.
    std::mt19937 random(1);
    TestLedger ledger;
    ledger.open_everything();
    for (int round = 0; round < 60; ++round) {
        const std::int64_t price = 1 + random() % (round % 2 == 0 ? 9 : 300'000);
        RegisterNode node = TestLedger::node("n1");
        node.price = Money(price);
        node.stake.reset();
        ledger.now += std::chrono::hours{1} - std::chrono::microseconds{1};
        ASSERT_TRUE(ledger.admin(node));
        ledger.now += std::chrono::microseconds{1};
        const auto locked_by = [&](std::string app, std::vector<std::int64_t> parts) {
            const Money before = ledger.account("alice").locked;
            for (const std::int64_t part : parts)
                EXPECT_TRUE(ledger.admin(ReportUsage{.account = "alice",
                                                     .node = "n1",
                                                     .app = app,
                                                     .period = ledger.cell(),
                                                     .hours = Hours(part)}));
            return ledger.account("alice").locked.micro() - before.micro();
        };
        std::vector<std::int64_t> parts(1 + random() % 9);
        std::int64_t whole = 0;
        for (std::int64_t& part : parts) whole += part = 1 + random() % 400'000;
        const std::int64_t at_once = locked_by("once", {whole}), in_parts = locked_by("parts", parts);
        EXPECT_LE(std::abs(at_once - in_parts) * 2, static_cast<std::int64_t>(parts.size()) + 1);
        EXPECT_LE(std::abs(at_once * 1'000'000 - price * whole), 500'000);
    }
}

TEST(UsageRules, LateUsageOfASettledUnitHasNoEffect) {
    run_in_world(R"(
        # U5
        lock alice n1/shop 13h 1h
        slot n1/shop a 13h all
        clock 14:00
        use alice n1/shop 13h 1h id=r1     => 1 + 0          # late, not settled yet
        finalize 13h                       => 1 settled
        use alice n1/shop 13h 1h id=r2     => period_finalized
        show alice                         => 9 and 1 locked
        settle
        use alice n1/shop 13h 1h id=r3     => period_finalized
        show node:n1                       => 1
    )");
}

TEST(UsageRules, NobodyPaysForWhatDidNotRun) {
    run_in_world(R"(
        # U6, defect 6
        lock alice n1/shop 13h 4h
        slot n1/shop a 13h all
        clock 14:00
        finalize 13h
        settle
        show-unit n1/shop 13h              => pass, 0 paid, 4 returned
        show alice                         => 10
        # Usage that nobody saw running is no usage.
        use alice n1/shop 14h 1h id=r1     => 1 + 0
        clock 15:00
        finalize 14h
        settle
        show-unit n1/shop 14h              => fail (no_evidence), 0 paid, 1 returned
        show alice                         => 10
    )");
}

// However many locks there are: a report reads those it draws on, the one that stopped it, and no others.
TEST(UsageRules, AReportReadsNoLockThatHasNothingLeftAndNoneBehindTheOneThatMeetsIt) {
    constexpr int locks = 60;
    TestWorker worker;
    const Period cell = cell_at(Grid::hour, worker.now + std::chrono::hours(1));
    ASSERT_TRUE(worker.admin(OpenAccount{.account = "alice"}, "open"));
    ASSERT_TRUE(worker.admin(Purchase{.account = "alice", .amount = Money(9'000'000)}, "buy"));
    ASSERT_TRUE(worker.admin(TestLedger::node("n1"), "node"));  // at 0.05
    for (int i = 0; i < locks; ++i)
        ASSERT_TRUE(
            worker.admin(TakeLock{.account = "alice", .node = "n1", .period = cell, .amount = Money(50)},
                         fmt::format("lock {}", i)));
    worker.now += std::chrono::hours(1);
    worker.worker.reset();
    std::set<std::pair<Table, std::string>> read;
    auto store = std::make_unique<DamagedStore>(worker.memory);
    store->read = &read;
    worker.worker =
        LedgerWorker::start(
            std::move(store),
            [&](const LogIdentity&, const TreeHead&) -> Result<LogKey> { return worker.make_key(); },
            worker.settings())
            .value();
    const auto locks_read_by = [&](std::int64_t micro_hours, std::string key) {
        read.clear();
        const auto reported = worker.admin(
            ReportUsage{.account = "alice", .node = "n1", .period = cell, .hours = Hours(micro_hours)},
            std::move(key));
        EXPECT_TRUE(reported) << reported.error().detail;
        EXPECT_NE(reported->body.find(R"("uncollected_usd":"0")"), std::string::npos) << reported->body;
        return std::ranges::count(read, Table::locks, [](const auto& one) { return one.first; });
    };
    EXPECT_EQ(locks_read_by(40'500, "1"), 41);  // of which half of the last is left
    EXPECT_EQ(locks_read_by(500, "2"), 1);
    EXPECT_EQ(locks_read_by(500, "3"), 1);
    EXPECT_EQ(locks_read_by(1'500, "4"), 2);
    // One that is taken later, and is behind all.
    ASSERT_TRUE(worker.admin(TakeLock{.account = "alice", .node = "n1", .period = cell, .amount = Money(50)},
                             "late"));
    EXPECT_EQ(locks_read_by(18'000, "5"), 18);  // 43 of them have nothing left now, 17 and the late one pay
    EXPECT_EQ(locks_read_by(1'000, "6"), 0);    // locks anew
    EXPECT_EQ(locks_read_by(1'000, "7"), 1);    // the one of before
    EXPECT_TRUE(check_ledger(*worker.memory, 0).is_good());
}

// As it was kept before draws remembered where they ended.
TEST(UsageRules, AnAccountsRecordOfBeforeReadsAsItWas) {
    const std::string before = KeyWriter().number(7);
    EXPECT_EQ(UnitAccount::decode(before).uncollected, Money(7));
    EXPECT_EQ(UnitAccount::decode(before).draws_from, 0U);
    const UnitAccount kept =
        UnitAccount::decode(UnitAccount{.uncollected = Money(8), .draws_from = 9}.encode());
    EXPECT_EQ(kept.uncollected, Money(8));
    EXPECT_EQ(kept.draws_from, 9U);
    EXPECT_THROW((void)UnitAccount::decode(before + "1234"), DamagedRecord);
}

}  // namespace
}  // namespace ee::ledger
