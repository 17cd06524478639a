// Nodes: terms and their history, tokens, stake (invariant S1), standing; and defects 5, 9, 14.

#include "ledger/nodes.h"

#include <gtest/gtest.h>

#include "ledger/test_ledger.h"
#include "ledger/test_script.h"

namespace ee::ledger {
namespace {

TEST(NodeRules, RegisteredByTheAdminUpdatedByItself) {
    run_script(R"(
        node n1 cpus=8 price=1 stake=5 by=n1 => unauthorized
        node n1 price=1                    => invalid_field:capacity_vcpus
        node n1 cpus=0                     => invalid_field:capacity_vcpus
        node n1 cpus=1000001               => invalid_field:capacity_vcpus
        node n/1 cpus=8                    => invalid_field:node_id
        node n1 cpus=8 price=-1u           => invalid_amount
        node n1 cpus=8 price=1000000000000001u => invalid_amount
        node n1 cpus=8 stake=-1u           => invalid_amount
        node n1 cpus=8 price=1 tier=premium stake=5 => ok
        node n2 cpus=8 price=1 stake=5     => ok
        node n1 price=2 by=n2              => forbidden
        node n1 price=2 by=launcher        => forbidden
        node n1 cpus=9 by=n1               => forbidden      # down only
        node n1 stake=0 by=n1              => forbidden
        node n1 cpus=7 by=n1               => ok
        node n1 cpus=8 by=n1               => forbidden      # it has said 7
        show-terms n1 13:59                => 8 vCPUs at 1, premium
        show-terms n1 14:00                => 7 vCPUs at 1, premium
        show-node n1                       => stake 5 (5 of @issued), 0 open
        show-node n9                       => none
    )");
}

TEST(NodeRules, ItsOwnChangesBeginWithTheNextCell) {
    run_script(R"(
        # Defect 14
        node n1 cpus=8 price=1 stake=5
        clock 13:20
        node n1 price=2 tier=economy by=n1
        show-terms n1 13:59                => 8 vCPUs at 1, standard
        show-terms n1 14:00                => 8 vCPUs at 2, economy
        node n1 price=3 by=n1
        show-terms n1 14:00                => 8 vCPUs at 3, economy
        node n1 price=1 by=n1              # back again
        show-terms n1 14:00                => 8 vCPUs at 1, economy
        clock 14:30
        node n1 tier=premium by=n1
        show-terms n1 14:59                => 8 vCPUs at 1, economy
        show-terms n1 15:00                => 8 vCPUs at 1, premium
    )");
}

TEST(NodeRules, AnAdminsChangeBeginsNowAndOutlivesWhatTheNodeAnnounced) {
    run_script(R"(
        node n1 cpus=8 price=1 stake=5
        clock 13:20
        node n1 cpus=4 price=2 by=n1       # from 14:00 on
        clock 13:30
        node n1 price=9                    # the admin
        show-terms n1 13:29                => 8 vCPUs at 1, standard
        show-terms n1 13:30                => 8 vCPUs at 9, standard
        show-terms n1 14:00                => 4 vCPUs at 9, standard
        node n1 cpus=6
        show-terms n1 13:30                => 6 vCPUs at 9, standard
        show-terms n1 14:00                => 6 vCPUs at 9, standard
        node n1 price=2 by=n1              # from 14:00 on
        node n1 price=2                    # the admin: now
        show-terms n1 13:30                => 6 vCPUs at 2, standard
        show-terms n1 14:00                => 6 vCPUs at 2, standard
    )");
}

TEST(NodeRules, ATokenIsRotatedAndTheOldOneIsNobodys) {
    run_script(R"(
        node n1 cpus=8 price=1 stake=5
        node n1 price=2 rotate=t2 by=n1    => ok
        node n1 price=3 by=n1              => unauthorized
        node n1 price=3 by=t2              => ok
        node n1 rotate=t3                  => ok             # the admin
        node n1 price=4 by=t2              => unauthorized
        node n1 price=4 by=t3              => ok
        node n1 rotate=t3 by=t3            => ok             # the same again
        node n1 price=5 by=t3              => ok
        node n2 cpus=1 rotate=t9           => ok
        node n2 price=5 by=t9              => ok
    )");
}

TEST(NodeRules, StakeIsRealMoneyAndReturnsToItsSource) {
    run_script(R"(
        # S1, defect 9
        open alice
        open bob
        buy alice 10
        buy bob 10
        node n1 cpus=8 price=1 stake=5     => ok             # from outside
        show @issued                       => -25
        show stake:n1                      => 5
        node n1 owner=alice stake=8        => ok             # alice pays 3
        show alice                         => 7
        node n1 owner=bob stake=12         => ok             # bob pays 4
        show-node n1                       => stake 12 (5 of @issued, 3 of alice, 4 of bob), 0 open
        node n1 stake=9                    => ok             # the last one first
        show-node n1                       => stake 9 (5 of @issued, 3 of alice, 1 of bob), 0 open
        show bob                           => 9
        node n1 stake=6                    => ok
        show alice                         => 9
        show bob                           => 10
        node n1 stake=6.5                  => ok
        node n1 stake=6.75                 => ok
        show-node n1                       => stake 6.75 (5 of @issued, 1 of alice, 0.75 of bob), 0 open
        node n1 stake=100                  => insufficient_credit
        unstake n1                         => 6.75
        show-node n1                       => stake 0, 0 open
        show alice                         => 10
        show bob                           => 10
        show @issued                       => -20
        unstake n1                         => no_stake
        unstake n9                         => unknown_node
        unstake n1 by=n1                   => forbidden
    )");
}

TEST(NodeRules, ASourceHasOnePartOfAStakeHoweverOftenItPays) {
    run_script(R"(
        open alice
        open bob
        buy alice 10
        buy bob 10
        node n1 cpus=8 price=1 stake=2
        node n1 owner=alice stake=5
        node n1 owner=bob stake=9
        node n1 owner=alice stake=10
        show-node n1                       => stake 10 (2 of @issued, 4 of bob, 4 of alice), 0 open
        node n1 stake=9                    # whoever raised it last has it back first
        show-node n1                       => stake 9 (2 of @issued, 4 of bob, 3 of alice), 0 open
        node n1 owner=bob stake=9.000001
        node n1 owner=alice stake=9.000002
        node n1 owner=bob stake=9.000003
        node n1 owner=alice stake=9.000004
        show-node n1           => stake 9.000004 (2 of @issued, 4.000002 of bob, 3.000002 of alice), 0 open
        slash n1 other e1 $4               => 4
        show-node n1                       => stake 5.000004 (2 of @issued, 3.000004 of bob), 0 open
        unstake n1                         => 5.000004
        show alice                         => 6.999998
        show bob                           => 9.000002
        show @slashed                      => 4
    )");
}

TEST(NodeRules, SeveralPartsOfASourceFromBeforeBecomeOne) {
    TestLedger ledger;
    ASSERT_NO_FATAL_FAILURE(ledger.open_everything());
    Node node = find_node(Batch(ledger.store), "n1").value();
    node.stake_parts = {
        {"@issued", Money(4'000'000)}, {"alice", Money(1'000'000)}, {"@issued", Money(5'000'000)}};
    ledger.put(Table::nodes, "n1", node.encode());
    RegisterNode more{.node = "n1"};
    more.stake = Money(12'000'000);
    ASSERT_TRUE(ledger.admin(more));
    const auto parts = find_node(Batch(ledger.store), "n1")->stake_parts;
    ASSERT_EQ(parts.size(), 2U);
    EXPECT_EQ(parts[0].source + " " + to_usd(parts[0].amount), "alice 1");
    EXPECT_EQ(parts[1].source + " " + to_usd(parts[1].amount), "@issued 11");
}

TEST(NodeRules, OwnerAndStakeNeedTheTokenOfWhoPays) {
    run_script(R"(
        open alice
        open bob
        buy alice 10
        buy bob 10
        node n1 cpus=8 price=1 stake=0
        node n1 stake=5 by=n1              => forbidden      # nobody pays
        node n1 stake=5 owner-token=alice by=n1 => forbidden # she is not its owner
        node n1 owner=alice by=n1          => forbidden
        node n1 owner=alice stake=5 owner-token=bob by=n1 => forbidden
        node n1 owner=alice stake=5 owner-token=nobody by=n1 => forbidden
        node n1 owner=alice stake=5 owner-token=n1 by=n1 => forbidden
        node n1 owner=alice stake=5 owner-token=alice by=n1 => ok
        show alice                         => 5
        node n1 stake=6 by=n1              => forbidden
        node n1 stake=6 owner-token=alice by=n1 => ok
        node n1 stake=6 owner=bob owner-token=alice by=n1 => forbidden
        node n1 owner=node:n1              => unknown_account
        node n1 owner=@issued              => unknown_account
        node n1 owner=carol                => unknown_account
        node n1 stake=4 owner-token=alice by=n1 => ok
        show alice                         => 6
    )");
}

TEST(NodeRules, StakeStaysWhileCellsAreUnsettled) {
    run_script(R"(
        open alice
        buy alice 10
        node n1 cpus=8 price=1 stake=5
        lock alice n1 14h 1h as=A
        node n1 stake=4                    => stake_in_use
        unstake n1                         => stake_in_use
        node n1 stake=6                    => ok             # more is always welcome
        node n1 stake=6 price=2            => ok
        release A
        node n1 stake=5                    => ok
        clock 14:10
        use alice n1 14h 0.1h id=r1
        node n1 stake=4                    => stake_in_use
        clock 15:00
        outage 14:00 14:10
        finalize 14h
        show-unit n1 14h                   => inconclusive (no_slot_in_outage)
        node n1 stake=4                    => stake_in_use
        resolve n1 14h fail
        node n1 stake=4                    => ok
        unstake n1                         => 4
    )");
}

TEST(NodeRules, StandingIsWhatItWasNotWhatItIs) {
    run_script(R"(
        # P3, defect 5
        open alice
        buy alice 100
        node n1 cpus=8 price=1 stake=5     # registered at 13:00
        node n2 cpus=8 price=1 stake=5
        node n3 cpus=8 price=1             # never staked
        clock 13:00:01
        node n4 cpus=8 price=1 stake=5     # a second too late for this cell
        lock alice n1 13h 1h
        lock alice n2 13h 1h
        lock alice n3 13h 1h
        lock alice n4 13h 1h
        lock alice n4 14h 1h
        slot n1/x a 13h all
        slot n2/x a 13h all
        slot n3/x a 13h all
        slot n4/x a 13h all
        slot n4/x a 14h all
        clock 13:59:59
        ban n2
        clock 14:00
        ban n1
        clock 15:00
        finalize 13:00..15:00              => 5 settled
        show-unit n1 13h                   => pass, 0 paid, 1 returned
        show-unit n2 13h                   => fail (standing_missing), 0 paid, 1 returned
        show-unit n3 13h                   => fail (standing_missing), 0 paid, 1 returned
        show-unit n4 13h                   => fail (standing_missing), 0 paid, 1 returned
        show-unit n4 14h                   => pass, 0 paid, 1 returned
        node n1 price=2                    => ok
        show-node n1                       => stake 5 (5 of @issued), 0 open, banned    # for good
    )");
    run_script(R"(
        # Stake that was taken away during the cell, and put back.
        open alice
        buy alice 100
        node n1 cpus=8 price=1 stake=5
        clock 14:10
        unstake n1
        clock 14:20
        node n1 stake=5
        lock alice n1 14h 1h
        lock alice n1 15h 1h
        slot n1/x a 14h all
        slot n1/x a 15h all
        clock 16:00
        finalize 14:00..16:00
        show-unit n1 14h                   => fail (standing_missing), 0 paid, 1 returned
        show-unit n1 15h                   => pass, 0 paid, 1 returned
        ban n9                             => unknown_node
        ban n1 by=n1                       => forbidden
    )");
}

}  // namespace
}  // namespace ee::ledger
