// Slashing: invariant S2, and the parts of defect 9 that are about penalties.

#include <gtest/gtest.h>

#include "ledger/test_ledger.h"
#include "ledger/test_script.h"

namespace ee::ledger {
namespace {

// n1 has earned 36 USD in the cell from 13:00 on; it is 14:30.
constexpr std::string_view world = R"(
    open alice
    buy alice 100
    node n1 cpus=36 price=1 stake=20
    lock alice n1 13h 36h
    use alice n1 13h 36h id=r
    slot n1/x a 13h all
    clock 14:00
    finalize 13h
    settle
    clock 14:30
    show node:n1                       => 36
)";

void run_in_world(std::string_view table, const Rules& rules = {}) {
    Script script(rules);
    script.run(world);
    script.run(table);
}

TEST(SlashingRules, DowntimeIsProposedAndCarriedOutOnce) {
    run_in_world(R"(
        # S2: a day of 36 USD in 30 days
        see n1 e1 downtime_migration 14:10 14:20
        show-slashings                     => n1 downtime_migration 1.2 proposed
        show stake:n1                      => 20
        see n1 e1 downtime_migration 14:10 14:20 => replayed
        show-slashings                     => n1 downtime_migration 1.2 proposed
        slash n1 downtime_migration e1     => 1.2
        show stake:n1                      => 18.8
        show @slashed                      => 1.2
        slash n1 downtime_migration e1     => already_slashed
        slash n1 downtime_migration e1 $5  => already_slashed
        slash n1 downtime_migration e1,e1  => already_slashed
        see n1 e2 downtime_migration 14:20 14:25
        slash n1 downtime_migration e2,e1  => already_slashed      # however it is put together
        slash n1 downtime_migration e1,e2  => already_slashed
        slash n1 downtime_migration e2 $0.5 => 0.5
        show stake:n1                      => 18.3
    )");
}

TEST(SlashingRules, ProposalsAreCarriedOutAsTheyWereMade) {
    run_in_world(R"(
        see n1 e1 downtime_migration 14:10 14:20
        see n1 e2 downtime_migration 14:20 14:25
        slash n1 downtime_migration e1,e2  => invalid_field:event_ids
        slash n1 downtime_migration e1,e1 $5 => 1.2       # one event, and not more than was proposed
        slash n1 downtime_migration e2     => 1.2
        show stake:n1                      => 17.6
    )");
}

TEST(SlashingRules, ByTheTierItHadWhenItWentDown) {
    run_in_world(R"(
        node n1 tier=premium
        clock 14:40
        node n1 tier=economy by=n1         # from 15:00 on: too late for what happened at 14:50
        clock 15:10
        see n1 e1 downtime_migration 14:50 15:05
        show-slashings                     => n1 downtime_migration 20 proposed  # a month, at most all
        see n1 e2 downtime_migration 15:05 15:06
        slash n1 downtime_migration e2     => 0.05        # an hour
        slash n1 downtime_migration e1     => 19.95       # what is left
        show stake:n1                      => 0
        see n1 e3 downtime_migration 15:07 15:08
        slash n1 downtime_migration e3     => no_stake
        slash n1 downtime_migration e3 $1  => no_stake
    )");
}

TEST(SlashingRules, OnlyTheRevenueOfThirtyDaysCounts) {
    run_in_world(R"(
        clock 2026-02-08T13:00
        see n1 e1 downtime_migration 2026-02-08T12:00 2026-02-08T12:10
        show-slashings                     => n1 downtime_migration 1.2 proposed
        clock 2026-02-08T13:00:01
        see n1 e2 downtime_migration 2026-02-08T12:20 2026-02-08T12:30
        show-slashings                     => n1 downtime_migration 1.2 proposed    # nothing to take for e2
        slash n1 downtime_migration e2     => no_stake
        slash n1 downtime_migration e2 $3  => 3
        show stake:n1                      => 17
    )");
}

TEST(SlashingRules, CarriedOutAtOnceWhereTheOperatorSaysSo) {
    run_in_world(R"(
        see n1 e1 downtime_migration 14:10 14:20
        show-slashings                     => n1 downtime_migration 1.2 done
        show stake:n1                      => 18.8
        slash n1 downtime_migration e1     => already_slashed
        see n1 e1 downtime_migration 14:10 14:20 => replayed
        show stake:n1                      => 18.8
    )",
                 {.slash_auto = true});
}

TEST(SlashingRules, FraudTakesAllAndBansForGood) {
    run_in_world(R"(
        slash n1 attestation_fraud q1 $1   => 20         # all of it
        show-node n1                       => stake 0, 0 open, banned
        show @slashed                      => 20
        slash n1 attestation_fraud q1      => already_slashed
        node n1 stake=3
        slash n1 attestation_fraud q1      => already_slashed
        slash n1 attestation_fraud q2      => 3
        show-node n1                       => stake 0, 0 open, banned
        lock alice n1 14h 1h               => node_banned
        node n2 cpus=1
        slash n2 attestation_fraud q1      => 0          # it has nothing, and is banned all the same
        show-node n2                       => stake 0, 0 open, banned
    )");
}

TEST(SlashingRules, WhatItTakes) {
    run_in_world(R"(
        see n1 up health_pass 14:00 14:01
        slash n1 laziness e1               => invalid_field:cause
        slash n9 other e1 $1               => unknown_node
        slash n1 other e1 $1 by=n1         => forbidden
        slash n1 other e1 $1 by=uptime     => forbidden
        slash n1 other e1                  => invalid_field:amount_usd
        slash n1 other e1 $0u              => invalid_amount
        slash n1 other e1 $-1u             => invalid_amount
        slash n1 other e1 $1 reason=       => invalid_field:reason
        slash n1 other e1 $1 reason=\xFF   => invalid_field:reason
        slash n1 other a\0b $1             => invalid_field:event_ids
        slash n1 other \xFF $1             => invalid_field:event_ids
        slash n1 downtime_migration e9     => invalid_field:event_ids
        slash n1 downtime_migration up     => invalid_field:event_ids
        slash n1 abuse 7                   => unknown_slashing
        slash n1 other e1 $1000            => 20         # S2: at most the stake, never below 0
        show stake:n1                      => 0
        slash n1 other e2 $1               => no_stake
        show-slashings                     => n1 other 20 done
    )");
}

TEST(SlashingRules, ItIsForOneToSixtyFourEvents) {
    TestLedger ledger;
    ledger.open_everything();
    for (const std::size_t count : {0, 1, 64, 65}) {
        Slash command{.node = "n1", .cause = "other", .amount = Money(1), .reason = "r"};
        for (std::size_t i = 0; i < count; ++i)
            command.event_ids.push_back(std::to_string(count) + "." + std::to_string(i));
        const auto answer = ledger.admin(command);
        EXPECT_EQ(answer ? "ok" : answer.error().code,
                  count == 0 || count == 65 ? "invalid_field:event_ids" : "ok");
    }
}

TEST(SlashingRules, StakeIsTakenFromTheLastPartFirst) {
    run_script(R"(
        open alice
        open bob
        buy alice 10
        buy bob 10
        node n1 cpus=1 price=1 stake=2
        node n1 owner=alice stake=5
        node n1 owner=bob stake=9
        slash n1 other e1 $5               => 5
        show-node n1                       => stake 4 (2 of @issued, 2 of alice), 0 open
        unstake n1                         => 4
        show alice                         => 9
        show bob                           => 6
        show @slashed                      => 5
    )");
}

}  // namespace
}  // namespace ee::ledger
