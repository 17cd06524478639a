// Settlement: invariants P1 to P11, K3, K4, and defects 4 to 7.

#include <span>

#include <gtest/gtest.h>

#include "ledger/kept_evidence.h"
#include "ledger/locks.h"
#include "ledger/test_ledger.h"
#include "ledger/test_script.h"
#include "ledger/views.h"

namespace ee::ledger {
namespace {

constexpr std::string_view world = R"(
    open alice
    open bob
    buy alice 100
    buy bob 100
    node n1 cpus=8 price=1 stake=10
    node n2 cpus=8 price=1 stake=10
)";

void run_in_world(std::string_view table, const Rules& rules = {}) {
    Script script(rules);
    script.run(world);
    script.run(table);
}

TEST(SettlementRules, APassPaysWhatWasUsedAndReturnsTheRest) {
    run_in_world(R"(
        # K3, P10
        lock alice n1/shop 13h 4h as=A
        lock bob n1/shop 13h 3h as=B
        lock alice n1/shop 13h 1h as=C
        slot n1/shop a 13h all
        use alice n1/shop 13h 3h id=r1
        use bob n1/shop 13h 3h id=r2
        clock 13:59:59
        finalize 13h                       => period_open
        clock 14:00
        finalize 13h key=k                 => 1 settled
        show-unit n1/shop 13h              => pass, 6 paid, 2 returned
        show node:n1                       => 0               # the transfers follow
        settle                             => done
        show node:n1                       => 6
        show alice                         => 97
        show bob                           => 97
        show-lock A                        => 3 of 4 settled
        show-lock C                        => 0 of 1 settled
        # P2: once
        finalize 13h key=k                 => replayed
        finalize 13h                       => 1 settled
        settle 13h
        show node:n1                       => 6
        show-node n1                       => stake 10 (10 of @issued), 0 open
    )");
}

TEST(SettlementRules, PeriodsAreIntervalsOnTheGrid) {
    run_in_world(R"(
        # Defect 4: any spelling settles every cell inside
        lock alice n1 13h 1h
        lock alice n1 14h 1h
        lock alice n1 10T00:00..10T01:00 1h
        slot n1/x a 13h all
        slot n1/x a 14h all
        clock 10T00:00
        finalize 13:30..14:00              => period_not_on_grid       # defect 7
        finalize 13:00..14:30              => period_not_on_grid
        finalize 2026-W02                  => period_open
        finalize 10T00:00..10T01:00        => period_open
        finalize 2026-01-09                => 2 settled
        show-unit n1 13h                   => pass, 0 paid, 1 returned
        show-unit n1 14h                   => pass, 0 paid, 1 returned
        settle
        show alice                         => 99 and 1 locked
        clock 2026-01-12T00:00
        finalize 2026-W02                  => 3 settled
        settle
        show alice                         => 100
    )");
}

struct OutcomeRow {
    const char* what;
    const char* happened;  // in the cell from 14:00 on, which bob has locked 2 USD for and used 1
    const char* outcome;
};

void expect_outcomes(std::span<const OutcomeRow> rows) {
    for (const OutcomeRow& row : rows) {
        SCOPED_TRACE(row.what);
        run_in_world("lock bob n1/shop 14h 2h\nclock 14:58\nuse bob n1/shop 14h 1h id=r1\n" +
                     std::string(row.happened) + "\nclock 15:00\nfinalize 14h\nshow-unit n1/shop 14h => " +
                     row.outcome);
    }
}

TEST(SettlementRules, EachOutcome) {
    const OutcomeRow rows[] = {
        {"every window passed", "slot n1/shop a 14h all", "pass, 1 paid, 1 returned"},
        {"nothing was recorded", "", "fail (no_evidence), 0 paid, 2 returned"},
        {"another app's slot", "slot n1/other a 14h all", "fail (no_evidence), 0 paid, 2 returned"},
        {"another node's slot", "slot n2/shop a 14h all", "fail (no_evidence), 0 paid, 2 returned"},
        {"a window was missed", "slot n1/shop a 14h pppppmpppppppppppppppppppppppp",
         "fail (health_miss), 0 paid, 2 returned"},
        {"another slot of the app passed it",
         "slot n1/shop a 14h pppppmpppppppppppppppppppppppp\nslot n1/shop b 14h all",
         "pass, 1 paid, 1 returned"},
        {"another slot took over in the middle of a window",
         "slot n1/shop a 14h pppppmmmmmmmmmmmmmmmmmmmmmmmmm\n"
         "slot n1/shop b 14h ppppppppppppppppppppppppp from=14:10:30",
         "pass, 1 paid, 1 returned"},
        {"it came a window later",
         "slot n1/shop a 14h pppppmmmmmmmmmmmmmmmmmmmmmmmmm\n"
         "slot n1/shop b 14h pppppppppppppppppppppppp from=14:12:30",
         "fail (health_miss), 0 paid, 2 returned"},
        {"a window is a hole", "slot n1/shop a 14h pppppopppppppppppppppppppppppp", "inconclusive (hole)"},
        {"a window is unknown", "slot n1/shop a 14h ppppp?pppppppppppppppppppppppp", "inconclusive (hole)"},
        {"the last windows are unknown", "slot n1/shop a 14h pppppppp", "inconclusive (hole)"},
        {"a missed window in an outage is a hole",
         "slot n1/shop a 14h pppppmpppppppppppppppppppppppp\noutage 14:11 14:11:30", "inconclusive (hole)"},
        {"the outage ended as the window began",
         "slot n1/shop a 14h pppppmpppppppppppppppppppppppp\noutage 14:09 14:10",
         "fail (health_miss), 0 paid, 2 returned"},
        {"the outage began as the window ended",
         "slot n1/shop a 14h pppppmpppppppppppppppppppppppp\noutage 14:12 14:13",
         "fail (health_miss), 0 paid, 2 returned"},
        {"an outage that is not over", "slot n1/shop a 14h pppppmpppppppppppppppppppppppp\noutage 14:11",
         "inconclusive (hole)"},
        {"an outage without a miss", "slot n1/shop a 14h all\noutage 14:11 14:12",
         "pass, 1 paid, 1 returned"},
        {"no slot, but an outage", "outage 14:11 14:12", "inconclusive (no_slot_in_outage)"},
        {"a hole filled from outside",
         "slot n1/shop a 14h pppppopppppppppppppppppppppppp\nsee n1 e health_pass 14:10 14:12",
         "pass, 1 paid, 1 returned"},
        {"a hole filled in part only",
         "slot n1/shop a 14h pppppopppppppppppppppppppppppp\nsee n1 e health_pass 14:10 14:11:59",
         "inconclusive (hole)"},
        {"a hole filled by two together",
         "slot n1/shop a 14h pppppopppppppppppppppppppppppp\nsee n1 e health_pass 14:11 14:12\n"
         "see n1 f health_pass 14:09 14:11",
         "pass, 1 paid, 1 returned"},
        {"a hole filled by two with a second between them",
         "slot n1/shop a 14h pppppopppppppppppppppppppppppp\nsee n1 e health_pass 14:11:01 14:12\n"
         "see n1 f health_pass 14:09 14:11",
         "inconclusive (hole)"},
        {"a hole of this app filled for another",
         "slot n1/shop a 14h pppppopppppppppppppppppppppppp\nsee n1/other e health_pass 14:00 15:00",
         "inconclusive (hole)"},
        {"a miss is not filled",
         "slot n1/shop a 14h pppppmpppppppppppppppppppppppp\nsee n1 e health_pass 14:00 15:00",
         "fail (health_miss), 0 paid, 2 returned"},
        {"a miss seen from outside", "slot n1/shop a 14h all\nsee n1 e health_miss 14:59:59 15:00",
         "fail (health_miss), 0 paid, 2 returned"},
        {"a miss seen in the next cell", "slot n1/shop a 14h all\nsee n1 e health_miss 15:00 15:01",
         "pass, 1 paid, 1 returned"},
        {"a miss seen in the cell before", "slot n1/shop a 14h all\nsee n1 e health_miss 13:59 14:00",
         "pass, 1 paid, 1 returned"},
        {"a miss seen of another app", "slot n1/shop a 14h all\nsee n1/other e health_miss 14:10 14:11",
         "pass, 1 paid, 1 returned"},
        {"a failed attestation seen", "slot n1/shop a 14h all\nsee n1/shop e attest_miss 14:10 14:11",
         "fail (attest_miss), 0 paid, 2 returned"},
        {"an event that began a day before",
         "slot n1/shop a 14h all\nsee n1 e attest_miss 2026-01-08T14:30 14:30",
         "fail (attest_miss), 0 paid, 2 returned"},
        {"a challenge was missed", "slot n1/shop a 14h all passed=9 missed=1",
         "fail (attest_miss), 0 paid, 2 returned"},
        {"a challenge of any slot was missed", "slot n1/shop a 14h all\nslot n1/shop b 14h all missed=1",
         "fail (attest_miss), 0 paid, 2 returned"},
        {"a verdict that could not be given", "slot n1/shop a 14h all open=1",
         "inconclusive (verdict_inconclusive)"},
        {"several reasons, in their order",
         "slot n1/shop a 14h pppppmpppppppppppppppppppppppp missed=1\nabuse n1 14h as=R\n"
         "decide R authorize\nban n1",
         "fail (health_miss, attest_miss, abuse, standing_missing), 0 paid, 2 returned"},
        {"up from within the cell", "slot n1/shop a 14h pppppppppp from=14:40:30",
         "pass, 1 paid, 1 returned"},
        {"a miss before it was attested is none of its windows",
         "slot n1/shop a 14h mppppppppp from=14:40:30", "pass, 1 paid, 1 returned"},
        {"attested in the last window, which is not whole: nobody saw it up",
         "slot n1/shop a 14h p from=14:58:01", "fail (no_evidence), 0 paid, 2 returned"},
        {"the same with a challenge it passed", "slot n1/shop a 14h p from=14:58:01 passed=1",
         "pass, 1 paid, 1 returned"},
        {"a slot without windows", "slot n1/shop a 14h none window=0",
         "fail (no_evidence), 0 paid, 2 returned"},
        {"a window longer than the cell", "slot n1/shop a 14h p window=7200",
         "fail (no_evidence), 0 paid, 2 returned"},
    };
    expect_outcomes(rows);
}

TEST(SettlementRules, OutcomesOfSlotsThatWereDrained) {
    const OutcomeRow rows[] = {
        {"drained by the operator", "slot n1/shop a 14h pppppm drained=14:11", "pass, 1 paid, 1 returned"},
        {"drained, back, and up to the end", "slot n1/shop a 14h pppdddpppppppppppppppppppppppp",
         "pass, 1 paid, 1 returned"},
        {"drained, back, and gone", "slot n1/shop a 14h pppdddppmmmmmmmmmmmmmmmmmmmmmm",
         "fail (health_miss), 0 paid, 2 returned"},
        {"drained, back, and nobody knows", "slot n1/shop a 14h pppdddpp", "inconclusive (hole)"},
        {"drained and back, told later",
         "slot n1/shop a 14h ppp drained=14:06\n"
         "slot n1/shop a 14h pppdddppmmmmmmmmmmmmmmmmmmmmmm back=yes",
         "fail (health_miss), 0 paid, 2 returned"},
        {"drained, back, and drained again",
         "slot n1/shop a 14h ppp drained=14:06\nslot n1/shop a 14h pppdddpp back=yes drained=14:16",
         "pass, 1 paid, 1 returned"},
        {"while one is drained another is missed",
         "slot n1/shop a 14h pppdddpppppppppppppppppppppppp\n"
         "slot n1/shop b 14h pppppmpppppppppppppppppppppppp",
         "fail (health_miss), 0 paid, 2 returned"},
        {"drained before a window was over", "slot n1/shop a 14h p drained=14:01:59",
         "pass, 1 paid, 1 returned"},
        {"drained as the cell began", "slot n1/shop a 14h p drained=14:00", "pass, 1 paid, 1 returned"},
        {"drained before it began", "slot n1/shop a 14h p drained=13:59:59",
         "fail (no_evidence), 0 paid, 2 returned"},
    };
    expect_outcomes(rows);
}

TEST(SettlementRules, LocksWithoutAnAppGoByAllOfTheNode) {
    run_in_world(R"(
        # P11
        lock alice n1 13h 1h
        lock alice n1/a 13h 1h
        lock alice n2 13h 1h
        slot n1/a s 13h pppppmpppppppppppppppppppppppp
        slot n1/b s 13h all
        slot n2/a s 13h all
        slot n2/b s 13h all missed=1
        clock 14:00
        finalize 13h
        show-unit n1/a 13h                 => fail (health_miss), 0 paid, 1 returned
        show-unit n1 13h                   => pass, 0 paid, 1 returned
        show-unit n2 13h                   => fail (attest_miss), 0 paid, 1 returned
    )");
    run_in_world(R"(
        # Events of one app touch that app's unit only.
        lock alice n1 13h 1h
        lock alice n1/a 13h 1h
        slot n1/a s 13h all
        clock 14:00
        see n1/a e health_miss 13:10 13:11
        finalize 13h
        show-unit n1/a 13h                 => fail (health_miss), 0 paid, 1 returned
        show-unit n1 13h                   => pass, 0 paid, 1 returned
    )");
}

TEST(SettlementRules, AnInconclusiveUnitWaits) {
    run_in_world(R"(
        # P7, P8
        lock alice n1 13h 2h
        use alice n1 13h 1h id=r1
        slot n1/x a 13h pppppopppppppppppppppppppppppp
        resolve n1 13h pass                => not_inconclusive    # it has not been judged
        clock 14:00
        finalize 13h                       => 1 settled
        show-unit n1 13h                   => inconclusive (hole)
        show alice                         => 98 and 2 locked     # nothing moves
        settle 13h
        show alice                         => 98 and 2 locked
        use alice n1 13h 0.5h id=r2        => 0.5 + 0             # it is not settled
        see n1 e1 health_pass 13:10 13:12
        finalize 13h
        show-unit n1 13h                   => pass, 1.5 paid, 0.5 returned
        resolve n1 13h fail                => period_finalized
    )");
    run_in_world(R"(
        # after 30 days it is a fail
        lock alice n1 13h 2h
        slot n1/x a 13h pppppopppppppppppppppppppppppp
        clock 2026-02-08T13:59:59
        settle 13h
        show-unit n1 13h                   => inconclusive (hole)
        clock 2026-02-08T14:00
        settle 13h
        show-unit n1 13h                   => fail (hole, evidence_missing), 0 paid, 2 returned
        show alice                         => 100
    )");
}

TEST(SettlementRules, TheAdminDecidesWhatNobodyCanSay) {
    run_in_world(R"(
        lock alice n1 13h 2h
        lock alice n2 13h 2h
        use alice n1 13h 1h id=r1
        use alice n2 13h 1h id=r1
        slot n1/x a 13h pppppopppppppppppppppppppppppp
        slot n2/x a 13h pppppopppppppppppppppppppppppp
        clock 14:00
        finalize 13h
        resolve n1 13h pass by=n1          => forbidden
        resolve n1 13h pass by=alice       => forbidden
        resolve n1 13h pass reason=        => invalid_field:reason
        resolve n1 13h pass reason=\xFF    => invalid_field:reason
        resolve n1/x 13h pass              => unknown_settlement
        resolve n1/a\0b 13h pass           => unknown_settlement
        resolve n1 13:00..15:00 pass       => period_not_on_grid
        resolve n1 13h pass                => pass
        show-unit n1 13h                   => pass (resolved: looked), 1 paid, 1 returned
        resolve n1 13h pass                => period_finalized
        resolve n1 13h fail                => period_finalized
        resolve n2 13h fail                => fail
        show-unit n2 13h                   => fail (resolved: looked), 0 paid, 2 returned
        settle
        show alice                         => 99
    )");
    run_in_world(R"(
        # Zero tolerance is not the admin's to waive: a failure that came to be known since decides.
        lock alice n1 13h 2h
        lock alice n2 13h 2h
        slot n1/x a 13h pppppopppppppppppppppppppppppp
        slot n2/x a 13h pppppopppppppppppppppppppppppp
        clock 14:00
        finalize 13h
        abuse n1 13h as=R
        decide R authorize
        see n2 e1 health_pass 13:00 14:00
        resolve n1 13h pass                => not_inconclusive
        resolve n2 13h fail                => not_inconclusive
        finalize 13h
        show-unit n1 13h                   => fail (abuse), 0 paid, 2 returned
        show-unit n2 13h                   => pass, 0 paid, 2 returned
    )");
}

TEST(SettlementRules, WhatIsSettledStaysSettled) {
    run_in_world(R"(
        # P2, P3: nothing recorded later changes an outcome
        lock alice n1 13h 2h
        slot n1/x a 13h all
        clock 14:00
        finalize 13h
        slot n1/x a 13h mmmmmmmm missed=3
        see n1 e1 health_miss 13:10 13:11
        outage 13:00 14:00
        ban n1
        finalize 13h                       => 1 settled
        settle 13h
        show-unit n1 13h                   => pass, 0 paid, 2 returned
        show alice                         => 100
        lock alice n1/y 13h 1h             => period_ended
    )");
}

TEST(SettlementRules, TransfersComeInStepsThatCanStopAnywhere) {
    run_in_world(R"(
        lock alice n1/a 13h 1h
        lock alice n1/a 13h 1h
        lock bob n1/a 13h 1h
        lock bob n1/b 13h 1h
        lock bob n2/a 13h 1h
        slot n1/a s 13h all
        use alice n1/a 13h 1.5h id=r1
        clock 14:00
        settle 13h units=1 locks=2 steps=1 => more        # n1/a is decided, 2 of its 3 locks are moved
        show-unit n1/a 13h                 => pass, 1.5 paid, 1.5 returned
        show-unit n1/b 13h                 => open
        show alice                         => 98.5
        show bob                           => 97 and 3 locked
        show node:n1                       => 1.5
        use alice n1/a 13h 1h id=r2        => period_finalized
        node n1 stake=1                    => stake_in_use    # n1/b
        settle 13h units=1 locks=0 steps=1 => more
        settle 13h units=0 locks=1 steps=9 => done
        show bob                           => 99 and 1 locked
        settle 13h units=1 locks=1         => done
        show bob                           => 100
        show alice                         => 98.5
        settle                             => done
        settle by=admin                    => forbidden
        settle by=alice                    => forbidden
    )");
}

TEST(SettlementRules, AnAnswerTellsOfFiveHundredUnitsAtMost) {
    for (const int units : {500, 501}) {
        TestLedger ledger;
        ledger.open_everything();
        for (int i = 0; i < units; ++i)
            ASSERT_TRUE(ledger.admin(TakeLock{.account = "alice",
                                              .node = "n1",
                                              .app = "a" + std::to_string(i),
                                              .period = ledger.cell(),
                                              .amount = Money(1)}));
        const Period cell = ledger.cell();
        ledger.now += std::chrono::hours{1};
        const std::string body = ledger.admin(Finalize{.period = cell}).value().body;
        std::size_t told = 0;
        for (std::size_t at = 0; (at = body.find("\"outcome\":", at)) != std::string::npos; ++at) ++told;
        EXPECT_EQ(told, 500u);
        EXPECT_EQ(body.find("\"complete\":true") != std::string::npos, units == 500);
        ledger.settle_all();
        EXPECT_EQ(ledger.available("alice"), "100") << "all are settled";
    }
}

TEST(SettlementRules, WhetherItMayBeSettledIsAskedWithoutSettling) {
    TestLedger ledger;
    ledger.open_everything();
    ASSERT_TRUE(ledger.admin(
        TakeLock{.account = "alice", .node = "n1", .period = ledger.cell(), .amount = Money(5)}));
    const Ledger core{Rules{}};
    Request request{
        .caller = {.role = Role::admin}, .idempotency_key = "k", .method = "POST", .path = "/test"};
    request.command = Finalize{.period = ledger.cell()};
    const auto asked = [&] {
        Batch batch(ledger.store);
        const auto known = core.check_finalize(batch, request, ledger.now);
        EXPECT_TRUE(batch.is_empty());
        return !known ? "may" : !*known ? known->error().code : (*known)->replayed ? "replayed" : "ok";
    };
    EXPECT_EQ(asked(), "period_open");
    ledger.now += std::chrono::hours{1};
    EXPECT_EQ(asked(), "may");
    ASSERT_TRUE(ledger.apply(request));
    EXPECT_EQ(asked(), "replayed");
    request.caller.role = Role::launcher;
    EXPECT_EQ(asked(), "forbidden");
}

TEST(SettlementRules, OneNodesCellsAloneAreSettledWhenAsked) {
    run_in_world(R"(
        lock alice n1 13h 1h
        lock alice n2 13h 1h
        slot n1/x a 13h all
        slot n2/x a 13h all
        clock 14:00
        finalize 13h n1                    => 1 settled
        show-unit n2 13h                   => open
        finalize 13h n9                    => unknown_node
        finalize 13h node:n1               => unknown_node
        finalize 13h by=n1                 => forbidden
        finalize 13h by=alice              => forbidden
        finalize 13h                       => 2 settled
    )");
}

TEST(SettlementRules, WhatWasJudgedStepByStepIsNotJudgedAgainButWhatCameMeanwhileIs) {
    run_in_world(R"(
        lock alice n1 13h 1h
        slot n1/x a 13h pppppopppppppppppppppppppppppp
        clock 14:00
        finalize 13h                       => 1 settled
        show-unit n1 13h                   => inconclusive (hole)
        see n1 e1 health_pass 13:10 13:12
        finalize 13h judged=yes            => 1 settled
        show-unit n1 13h                   => inconclusive (hole)
        finalize 13h                       => 1 settled
        show-unit n1 13h                   => pass, 0 paid, 1 returned
    )");
    run_in_world(R"(
        lock alice n1 13h 1h
        slot n1/x a 13h all
        clock 14:00
        finalize 13h judged=yes            => 1 settled
        show-unit n1 13h                   => pass, 0 paid, 1 returned
    )");
}

TEST(SettlementRules, DaysAreCellsWhereTheOperatorSaysSo) {
    run_script(R"(
        open alice
        buy alice 100
        node n1 cpus=2 price=1 stake=10
        lock alice n1 2026-01-10 40h
        clock 10T20:00
        use alice n1 2026-01-10 48h id=r1  => 48 + 0
        use alice n1 2026-01-10 0.000001h id=r2 => exceeds_capacity
        use alice n1 20h 1h id=r3          => period_not_on_grid
        slot n1/x a 2026-01-10 all
        clock 11T00:00
        finalize 13h                       => period_not_on_grid
        finalize 2026-01-10                => 1 settled
        settle
        show-unit n1 2026-01-10            => pass, 48 paid, 0 returned
        show alice                         => 52
    )",
               {.grid = Grid::day});
}

// The admin resolves by what is shown.
TEST(Settlement, WhatAnInconclusiveUnitIsJudgedByIsKeptAnewWhenThereIsMoreOfIt) {
    TestLedger ledger;
    ledger.open_everything();
    const Period cell = ledger.cell();
    const UnitName unit{.cell = cell, .node = "n1"};
    TakeLock lock{.account = "alice", .node = "n1", .period = cell};
    lock.amount = Money(1'000'000);
    ASSERT_TRUE(ledger.holder("alice", lock));
    RecordSlots slots = ledger.passing("n1", "shop", "a");
    slots.seen[0].slot.challenges_inconclusive = 1;
    ASSERT_TRUE(ledger.server(slots));
    ledger.now = LedgerTime{cell.end};
    const auto evidence_after_finalize = [&] {
        ledger.now += std::chrono::minutes(1);
        EXPECT_TRUE(ledger.admin(Finalize{.period = cell}));
        return evidence_json(Batch(ledger.store), find_unit(Batch(ledger.store), unit).value());
    };
    const std::string first = evidence_after_finalize();
    EXPECT_NE(first.find(R"("observations":[])"), std::string::npos) << first;
    EXPECT_EQ(evidence_after_finalize(), first) << "nothing new, nothing written";
    const Observation seen{
        .type = ObservationType::health_pass, .from = LedgerTime{cell.start}, .to = LedgerTime{cell.end}};
    ASSERT_TRUE(ledger.as({.role = Role::uptime},
                          Observe{.node = "n1", .event_id = "seen-well", .observation = seen}));
    const std::string second = evidence_after_finalize();
    EXPECT_NE(second.find("seen-well"), std::string::npos) << second;
    EXPECT_EQ(find_unit(Batch(ledger.store), unit)->outcome, Outcome::inconclusive);
}

// What of the next cell's settlements a caller is shown: of each unit its app, what it returned, what was not
// collected, and whose transfers; whether there is a receipt.
std::string seen_by(const TestLedger& ledger, const Caller& caller, const Period& cell, std::string app) {
    const Rules rules;
    const auto views = Views::open(ledger.store, rules, caller, ledger.now);
    const auto shown = views->settlements(cell, std::nullopt, std::move(app), {.limit = 500});
    EXPECT_TRUE(shown) << shown.error().detail;
    std::string out;
    const std::string& body = shown->body;
    const auto value_after = [&](std::string_view name, std::size_t at) {
        const std::size_t start = body.find(name, at) + name.size();
        return body.substr(start, body.find('"', start) - start);
    };
    const std::size_t item = body.find(R"("cell":)");
    if (item == std::string::npos) return "nothing";
    out =
        value_after(R"("returned_usd":")", item) + "+" + value_after(R"("uncollected_usd":")", item) + " of";
    constexpr std::string_view name = R"("account_id":")";
    for (std::size_t at = item; (at = body.find(name, at)) != std::string::npos; ++at)
        out += " " + value_after(name, at);
    return out + (shown->leaf_index ? ", proven" : "");
}

TEST(SettlementRules, AnAccountSeesItsOwnPartAndNothingOfOthers) {
    TestLedger ledger;
    ASSERT_NO_FATAL_FAILURE(ledger.open_everything());
    for (const auto* account : {"carol", "dave"})
        ASSERT_TRUE(ledger.admin(OpenAccount{.account = account, .token = token_of(account)}));
    for (const auto* account : {"bob", "carol"})
        ASSERT_TRUE(ledger.admin(Purchase{.account = account, .amount = Money(3'000'000)}));
    ledger.now += std::chrono::hours(1);
    const Period cell = ledger.cell();
    ledger.now -= std::chrono::hours(1);
    const auto lock = [&](std::string account, std::string app, std::int64_t usd) {
        TakeLock command{.account = account, .node = "n1", .app = std::move(app), .period = cell};
        command.amount = Money(usd * 1'000'000);
        return ledger.holder(account, command);
    };
    ASSERT_TRUE(lock("alice", "", 4) && lock("bob", "", 2) && lock("bob", "his", 1));
    const auto given_back = lock("carol", "", 3);
    ASSERT_TRUE(given_back);
    ASSERT_TRUE(ledger.holder("carol", ReleaseLock{.lock = *given_back->leaf_index + 1}));
    ledger.now += std::chrono::hours(1);
    const auto use = [&](std::string account, std::int64_t micro_hours) {
        ReportUsage usage{.account = account, .node = "n1", .period = cell};
        usage.hours = Hours(micro_hours);
        usage.report_id = account;
        return ledger.as({.role = Role::uptime}, usage);
    };
    // What costs nothing is nobody's part; what dave could not pay for is.
    ASSERT_TRUE(use("carol", 1) && use("dave", 1'000'000));
    const auto seen = [&](std::string_view who, std::string app = "") {
        return seen_by(ledger, {.role = Role::holder, .token = token_of(who)}, cell, std::move(app));
    };
    for (const bool moved : {false, true}) {
        ledger.now = LedgerTime{cell.end};
        ASSERT_TRUE(ledger.admin(Finalize{.period = cell}));
        if (moved) ledger.settle_all();
        const std::string all = "6+0.05 of alice bob, proven";
        EXPECT_EQ(seen_by(ledger, {.role = Role::auditor}, cell, ""), all);
        EXPECT_EQ(seen("n1"), all);
        EXPECT_EQ(seen("alice"), "4+0 of alice");
        EXPECT_EQ(seen("bob"), "2+0 of bob");
        EXPECT_EQ(seen("bob", "his"), "1+0 of bob, proven");
        EXPECT_EQ(seen("carol"), "nothing");
        EXPECT_EQ(seen("dave"), "0+0.05 of");
        EXPECT_EQ(seen("alice", "his"), "nothing");
    }
}

}  // namespace
}  // namespace ee::ledger
