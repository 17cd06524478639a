// Slashing: invariant S2, and the parts of defect 9 that are about penalties.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "ledger/leaf.h"
#include "ledger/nodes.h"
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

TEST(SlashingRules, WhatIsProposedStaysStakedUnlessTheAdminLowersIt) {
    run_in_world(R"(
        node n1 owner=alice
        node n2 cpus=1 price=1 stake=2 owner=alice
        see n1 e1 downtime_migration 14:10 14:20
        see n1 e2 downtime_migration 14:20 14:25                # 1.2 each
        node n1 stake=2.39 by=n1 owner-token=alice => stake_in_use
        node n1 stake=0 by=n1 owner-token=alice    => stake_in_use
        node n2 stake=0 by=n2 owner-token=alice    => ok      # another's proposals are no concern of it
        node n1 stake=2.4 by=n1 owner-token=alice  => ok
        slash n1 downtime_migration e1     => 1.2
        node n1 stake=1.1 by=n1 owner-token=alice  => stake_in_use
        node n1 stake=1.1                  => ok
        node n1 stake=0 by=n1 owner-token=alice    => stake_in_use
        slash n1 downtime_migration e2     => 1.1
        node n1 stake=3                    => ok
        node n1 stake=0 by=n1 owner-token=alice    => ok      # nothing is proposed any more
        show stake:n1                      => 0
    )");
}

TEST(SlashingRules, AProposalIsDismissedOrCarriedOutAndNeitherAgain) {
    run_in_world(R"(
        see n1 e1 downtime_migration 14:10 14:20
        see n1 e2 downtime_migration 14:20 14:25
        dismiss 1                          => unknown_slashing
        dismiss n1/e1 reason=              => invalid_field:reason
        dismiss n1/e1 reason=\xFF          => invalid_field:reason
        dismiss n1/e1 by=n1                => forbidden
        dismiss n1/e1 by=uptime            => forbidden
        dismiss n1/e1 by=auditor           => forbidden
        dismiss n1/e1 key=k                => 1.2 dismissed
        dismiss n1/e1 key=k                => replayed
        dismiss n1/e1                      => already_dismissed
        show-slashings => n1 downtime_migration 1.2 dismissed; n1 downtime_migration 1.2 proposed
        see n1 e1 downtime_migration 14:10 14:20 => replayed
        slash n1 downtime_migration e1     => already_dismissed
        slash n1 downtime_migration e1 $5  => already_dismissed
        slash n1 downtime_migration e2,e1  => already_dismissed    # however it is put together
        slash n1 downtime_migration e2     => 1.2                  # another proposal is none of its concern
        dismiss n1/e2                      => already_slashed
        slash n1 other e1 $1               => 1                    # nor is another cause
        show stake:n1                      => 17.8
        show-slashings => n1 downtime_migration 1.2 dismissed; n1 downtime_migration 1.2 done; n1 other 1 done
    )");
}

TEST(SlashingRules, WhatIsDismissedHoldsBackNoStake) {
    run_in_world(R"(
        node n1 owner=alice
        see n1 e1 downtime_migration 14:10 14:20
        see n1 e2 downtime_migration 14:20 14:25                # 1.2 each
        node n1 stake=2.39 by=n1 owner-token=alice => stake_in_use
        dismiss n1/e1                      => 1.2 dismissed
        node n1 stake=1.19 by=n1 owner-token=alice => stake_in_use
        node n1 stake=1.2 by=n1 owner-token=alice  => ok
        dismiss n1/e2                      => 1.2 dismissed
        node n1 stake=0 by=n1 owner-token=alice    => ok
        show @slashed                      => none
    )");
}

TEST(SlashingRules, AReasonForADismissalHas256Bytes) {
    for (const std::size_t length : {256, 257}) {
        TestLedger ledger;
        ledger.open_everything();
        const std::uint64_t id = ledger.store.leaf_count() + 1;
        ASSERT_TRUE(ledger.server(ProposeFraud{.node = "n1", .event_id = "e", .reason = "r"}));
        const auto answer = ledger.admin(DismissSlashing{.slashing = id, .reason = std::string(length, 'x')});
        EXPECT_EQ(answer ? "ok" : answer.error().code, length == 256 ? "ok" : "invalid_field:reason");
    }
}

TEST(SlashingRules, ByTheTierItHadWhenItWentDown) {
    run_in_world(R"(
        node n1 tier=premium
        clock 14:40
        node n1 tier=economy by=n1         # from 15:00 on: too late for what happened at 14:50
        clock 15:10
        see n1 e1 downtime_migration 14:50 15:05
        show-slashings                     => n1 downtime_migration 36 proposed  # a month
        see n1 e2 downtime_migration 15:05 15:06
        slash n1 downtime_migration e2     => 0.05        # an hour
        slash n1 downtime_migration e1     => 19.95       # at most what is left
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
        slash n1 downtime_migration e2     => invalid_field:amount_usd             # it has stake
        slash n1 downtime_migration e2 $3  => 3
        show stake:n1                      => 17
    )");
}

TEST(SlashingRules, OnlyTheNodesOwnRevenueCounts) {
    run_in_world(R"(
        node n2 cpus=30 price=1 stake=20
        see n2 e0 downtime_migration 14:10 14:20
        show-slashings                     => none        # it has earned nothing
        lock alice n2 15h 30h
        clock 15:10
        use alice n2 15h 30h id=r2
        slot n2/x a 15h all
        clock 16:00
        finalize 15h
        settle
        clock 16:30
        show node:n2                       => 30
        see n1 e1 downtime_migration 16:10 16:20
        slash n1 downtime_migration e1     => 1.2         # a thirtieth of 36
        see n2 e1 downtime_migration 16:10 16:20
        slash n2 downtime_migration e1     => 1
        slash n2 downtime_migration e0     => 1           # that it was not proposed does not matter
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
    run_in_world(R"(
        # but not for less than it costs: that the admin decides, and it is done then
        node n1 stake=1.19
        see n1 e1 downtime_migration 14:10 14:20
        show-slashings                     => n1 downtime_migration 1.2 proposed
        show stake:n1                      => 1.19
        node n1 stake=0
        see n1 e2 downtime_migration 14:20 14:25
        node n1 stake=3
        slash n1 downtime_migration e1     => 1.2
        node n1 stake=1
        slash n1 downtime_migration e2     => 1
        slash n1 downtime_migration e2     => already_slashed
        show-slashings                     => n1 downtime_migration 1.2 done; n1 downtime_migration 1 done
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

// ---- Fraud that challenges have shown ----

ProposeFraud fraud_of(std::string node, std::string event = "foreign_quote:1") {
    return {.node = std::move(node),
            .event_id = std::move(event),
            .reason = "a relayed quote",
            .evidence = R"({"kind":"foreign_quote"})"};
}

Slash carried_out(std::string event = "foreign_quote:1") {
    return {.node = "n1",
            .cause = "attestation_fraud",
            .event_ids = {std::move(event)},
            .reason = "seen by the admin"};
}

std::vector<Slashing> slashings_of(const TestLedger& ledger) {
    std::vector<Slashing> out;
    ledger.store.scan(Table::slashings, "", [&](std::string_view, std::string_view record) {
        out.push_back(Slashing::decode(record));
        return true;
    });
    return out;
}

bool is_banned(const TestLedger& ledger) {
    return find_node(Batch(ledger.store), "n1").value().banned;
}

// What the node lowers of its stake goes to her.
void open_owned_by_alice(TestLedger& ledger) {
    ledger.open_everything();
    RegisterNode owned{.node = "n1"};
    owned.owner = "alice";
    ASSERT_TRUE(ledger.admin(owned));
}

TEST(FraudProposals, AreMadeOnceAndNeverCarriedOutAutomatically) {
    for (const bool slash_auto : {false, true}) {
        TestLedger ledger({.slash_auto = slash_auto});
        ledger.open_everything();
        const auto first = ledger.server(fraud_of("n1"));
        ASSERT_TRUE(first);
        EXPECT_FALSE(first->replayed);
        EXPECT_TRUE(ledger.server(fraud_of("n1"))->replayed);
        const auto known = slashings_of(ledger);
        ASSERT_EQ(known.size(), 1u);
        EXPECT_EQ(known[0].cause, "attestation_fraud");
        EXPECT_EQ(known[0].state, SlashingState::proposed);
        EXPECT_EQ(to_usd(known[0].amount), "10");
        EXPECT_EQ(ledger.available("stake:n1"), "10");
        EXPECT_FALSE(is_banned(ledger));
        // Another cause, of another event.
        EXPECT_FALSE(ledger.server(fraud_of("n1", "foreign_quote:2"))->replayed);
        EXPECT_EQ(slashings_of(ledger).size(), 2u);
    }
}

TEST(FraudProposals, AreInTheLogWithTheirEvidenceAndKeepIt) {
    TestLedger ledger;
    ledger.open_everything();
    ASSERT_TRUE(ledger.server(fraud_of("n1")));
    const auto leaf = decode_leaf(as_bytes(ledger.store.leaf(ledger.store.leaf_count() - 1).value()));
    ASSERT_TRUE(leaf);
    EXPECT_EQ(leaf->text("cause"), "attestation_fraud:proposed");
    EXPECT_EQ(leaf->text("reason"), R"(a relayed quote: {"kind":"foreign_quote"})");
    ASSERT_TRUE(ledger.admin(carried_out()));
    const auto known = slashings_of(ledger);
    ASSERT_EQ(known.size(), 1u);
    EXPECT_EQ(known[0].reason, "seen by the admin");
    EXPECT_EQ(known[0].evidence, R"({"kind":"foreign_quote"})");
}

TEST(FraudProposals, CostAllTheStakeThereIsByThenAndTheNodesPlace) {
    TestLedger ledger;
    ledger.open_everything();
    ASSERT_TRUE(ledger.server(fraud_of("n1")));
    RegisterNode more{.node = "n1"};
    more.stake = Money(25'000'000);
    ASSERT_TRUE(ledger.admin(more));
    Slash slash = carried_out();
    slash.amount = Money(1'000'000);  // Not less than all.
    ASSERT_TRUE(ledger.admin(slash));
    EXPECT_EQ(ledger.available("stake:n1"), "0");
    EXPECT_EQ(ledger.available("@slashed"), "25");
    EXPECT_TRUE(is_banned(ledger));
    const auto again = ledger.admin(carried_out());
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, "already_slashed");
    EXPECT_TRUE(ledger.server(fraud_of("n1"))->replayed) << "what is done is not proposed again";
}

TEST(FraudProposals, KeepAllTheStakeUntilTheAdminHasDecided) {
    TestLedger ledger;
    ASSERT_NO_FATAL_FAILURE(open_owned_by_alice(ledger));
    ASSERT_TRUE(ledger.server(fraud_of("n1")));
    RegisterNode lower{.node = "n1"};
    lower.stake = Money(9'999'999);
    lower.owner_token = token_of("alice");
    const auto refused = ledger.holder("n1", lower);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "stake_in_use");
    EXPECT_EQ(refused.error().detail,
              "slashings of 10 USD are proposed for n1: the admin decides first, or lowers the stake");
    ASSERT_TRUE(ledger.admin(Unstake{.node = "n1", .reason = "it was none"}));
}

TEST(FraudProposals, ADismissedOneIsInTheLogAndNeitherMadeNorCarriedOutAgain) {
    TestLedger ledger;
    ASSERT_NO_FATAL_FAILURE(open_owned_by_alice(ledger));
    const std::uint64_t id = ledger.store.leaf_count() + 1;
    ASSERT_TRUE(ledger.server(fraud_of("n1")));
    ledger.now += std::chrono::minutes{1};
    const auto dismissed = ledger.admin(DismissSlashing{.slashing = id, .reason = "a stolen token"});
    ASSERT_TRUE(dismissed) << dismissed.error().code;
    EXPECT_EQ(dismissed->status, 200);
    EXPECT_EQ(
        dismissed->body,
        fmt::format(R"({{"slashing_id":"{}","node_id":"n1","cause":"attestation_fraud","amount_usd":"10",)"
                    R"("status":"dismissed","reason":"a stolen token","event_ids":["foreign_quote:1"],)"
                    R"("proposed_at":"2026-01-09T13:00:00Z","done_at":"2026-01-09T13:01:00Z",)"
                    R"("evidence":{{"kind":"foreign_quote"}}}})",
                    id));
    const auto leaf = decode_leaf(as_bytes(ledger.store.leaf(dismissed->leaf_index.value()).value()));
    ASSERT_TRUE(leaf);
    EXPECT_EQ(leaf->kind, LeafKind::slashing);
    EXPECT_EQ(leaf->text("slashing_id"), std::to_string(id));
    EXPECT_EQ(leaf->text("cause"), "attestation_fraud:dismissed");
    EXPECT_EQ(leaf->text("reason"), "a stolen token");
    const auto slashed = ledger.admin(carried_out());
    ASSERT_FALSE(slashed);
    EXPECT_EQ(slashed.error().code, "already_dismissed");
    EXPECT_EQ(slashed.error().detail,
              fmt::format("foreign_quote:1: slashing {} was dismissed at 2026-01-09T13:01:00Z: nothing is "
                          "taken for it",
                          id));
    EXPECT_TRUE(ledger.server(fraud_of("n1"))->replayed);
    EXPECT_EQ(slashings_of(ledger).size(), 1u);
    EXPECT_FALSE(is_banned(ledger));
    RegisterNode lower{.node = "n1"};
    lower.stake = Money(0);
    lower.owner_token = token_of("alice");
    EXPECT_TRUE(ledger.holder("n1", lower)) << "nothing holds it back any more";
}

TEST(FraudProposals, AreTheServersAloneAndOfKnownNodes) {
    TestLedger ledger;
    ledger.open_everything();
    EXPECT_EQ(ledger.admin(fraud_of("n1")).error().code, "forbidden");
    EXPECT_EQ(ledger.server(fraud_of("n9")).error().code, "unknown_node");
    EXPECT_TRUE(slashings_of(ledger).empty());
}

TEST(FraudProposals, ANodeWithoutStakeIsProposedForTheBan) {
    TestLedger ledger;
    ledger.open_everything();
    ASSERT_TRUE(ledger.admin(Unstake{.node = "n1", .reason = "leaves"}));
    ASSERT_TRUE(ledger.server(fraud_of("n1")));
    ASSERT_TRUE(ledger.admin(carried_out()));
    EXPECT_TRUE(is_banned(ledger));
}

TEST(FraudProposals, SlashingsFromBeforeHaveNoEvidence) {
    const Slashing before{.node = "n1", .cause = "abuse", .event_ids = {"7"}, .reason = "r"};
    EXPECT_EQ(Slashing::decode(before.encode()).evidence, "");
    Slashing after = before;
    after.evidence = "{}";
    EXPECT_EQ(Slashing::decode(after.encode()).evidence, "{}");
    EXPECT_EQ(after.encode().substr(0, before.encode().size()), before.encode());
}

TEST(FraudProposals, AStateThatThereIsNotIsDamage) {
    for (std::uint8_t state = 0; state < 5; ++state) {
        Slashing slashing{.node = "n1", .cause = "other", .event_ids = {"e"}, .reason = "r"};
        slashing.state = static_cast<SlashingState>(state);
        const std::string record = slashing.encode();
        if (state >= 1 && state <= 3)
            EXPECT_EQ(static_cast<std::uint8_t>(Slashing::decode(record).state), state);
        else
            EXPECT_THROW(Slashing::decode(record), DamagedRecord) << int{state};
    }
}

}  // namespace
}  // namespace ee::ledger
