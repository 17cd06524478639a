// Abuse: invariants A1, A2, P9, P11, and defect 8.

#include <gtest/gtest.h>

#include "ledger/test_ledger.h"
#include "ledger/test_script.h"

namespace ee::ledger {
namespace {

constexpr std::string_view world = R"(
    open alice
    buy alice 100
    node n1 cpus=8 price=1 stake=10
    node n1x cpus=8 price=1 stake=10
    lock alice n1/a 13h 4h
    lock alice n1/b 13h 2h
    lock alice n1 13h 1h
    lock alice n1x/a 13h 1h
    use alice n1/a 13h 3h id=a
    use alice n1/b 13h 2h id=b
    slot n1/a s 13h all
    slot n1/b s 13h all
    slot n1x/a s 13h all
)";

void run_in_world(std::string_view table, const Rules& rules = {}) {
    Script script(rules);
    script.run(world);
    script.run(table);
}

TEST(AbuseRules, FiledByTheLauncherDecidedOnceByTheAdmin) {
    run_in_world(R"(
        # A1, defect 8
        abuse n1 13h by=admin              => forbidden
        abuse n1 13h by=alice              => forbidden
        abuse n1 13h by=uptime             => forbidden
        abuse n9 13h                       => unknown_node
        abuse n1 14h                       => period_not_started
        abuse n1 13:00..13:30              => period_not_on_grid
        abuse n1/Shop 13h                  => invalid_field:app_name
        abuse n1/a\0b 13h                  => invalid_field:app_name
        abuse n1 13h reason=               => invalid_field:reason
        abuse n1 13h reason=\xFF           => invalid_field:reason
        abuse n1 13h url=\xFF              => invalid_field:evidence_url
        abuse n1 13h reporter=\xFF         => invalid_field:reported_by
        clock 13:30
        abuse n1 as=R                      => 2026-01-09T13      # no period: the cell of the filing
        decide R authorize by=launcher     => forbidden
        decide R authorize by=alice        => forbidden
        decide 99 authorize                => unknown_report
        decide R authorize who=\xFF        => invalid_field:authorized_by
        decide R deny                      => denied
        decide R authorize                 => already_decided
        decide R deny                      => already_decided
        abuse n1 13h as=S
        decide S authorize                 => authorized
        decide S deny                      => already_decided
    )");
}

// A1: each holds money back until it is decided.
TEST(AbuseRules, OfANodeAThousandWaitForTheirDecision) {
    TestLedger ledger;
    ASSERT_NO_FATAL_FAILURE(ledger.open_everything());
    ASSERT_TRUE(ledger.admin(TestLedger::node("n1x")));
    const auto file = [&](std::string node, std::string app = "") -> std::string {
        const auto filed =
            ledger.as({.role = Role::launcher},
                      FileAbuse{.node = std::move(node), .app = std::move(app), .reason = "r"});
        return filed ? "ok" : filed.error().code;
    };
    const std::uint64_t first = ledger.store.leaf_count() + 1;
    for (int i = 0; i < 1000; ++i) ASSERT_EQ(file("n1"), "ok");
    EXPECT_EQ(file("n1"), "too_many_reports");
    EXPECT_EQ(file("n1", "shop"), "too_many_reports");
    EXPECT_EQ(file("n1x"), "ok");
    for (const bool authorize : {true, false}) {
        ASSERT_TRUE(
            ledger.admin(DecideAbuse{.report = authorize ? first : first + 1, .authorize = authorize}));
        EXPECT_EQ(file("n1"), "ok");
        EXPECT_EQ(file("n1"), "too_many_reports");
    }
}

TEST(AbuseRules, AuthorizedItFailsEveryUnitItTouches) {
    run_in_world(R"(
        # P4, P11: one app's report touches that unit only
        abuse n1/a 13h as=R
        decide R authorize
        clock 14:00
        finalize 13h                       => 4 settled
        show-unit n1/a 13h                 => fail (abuse), 0 paid, 4 returned
        show-unit n1/b 13h                 => pass, 2 paid, 0 returned
        show-unit n1 13h                   => pass, 0 paid, 1 returned
        show-unit n1x/a 13h                => pass, 0 paid, 1 returned
        settle
        show alice                         => 98
    )");
    run_in_world(R"(
        # without an app all of the node's
        abuse n1 12:00..14:00 as=R
        decide R authorize
        clock 14:00
        finalize 13h                       => 4 settled
        show-unit n1/a 13h                 => fail (abuse), 0 paid, 4 returned
        show-unit n1/b 13h                 => fail (abuse), 0 paid, 2 returned
        show-unit n1 13h                   => fail (abuse), 0 paid, 1 returned
        show-unit n1x/a 13h                => pass, 0 paid, 1 returned
        settle
        show alice                         => 100
    )");
    run_in_world(R"(
        # and of another cell nothing: periods are half open
        abuse n1 12h as=R
        decide R authorize
        clock 14:00
        abuse n1 14h as=S
        decide S authorize
        finalize 13h                       => 4 settled
        show-unit n1/a 13h                 => pass, 3 paid, 1 returned
    )");
}

TEST(AbuseRules, PendingItStopsTheSettlementDeniedItDoesNothing) {
    run_in_world(R"(
        # A2
        abuse n1/a 13h as=R
        clock 14:00
        finalize 13h                       => abuse_pending
        show-unit n1/b 13h                 => open
        finalize 13h n1x                   => 1 settled      # another node's cells need not wait
        settle 13h                         => done           # automatically: all but the one it touches
        show-unit n1/a 13h                 => open
        show-unit n1/b 13h                 => pass, 2 paid, 0 returned
        decide R deny
        finalize 13h                       => 4 settled
        show-unit n1/a 13h                 => pass, 3 paid, 1 returned
        show-slashings                     => none
    )");
    run_in_world(R"(
        # Nor is what nobody can say decided over it.
        lock alice n1/c 13h 1h
        slot n1/c s 13h pppppopppppppppppppppppppppppp
        abuse n1/c 13h as=R
        clock 14:00
        finalize 13h pending=yes
        show-unit n1/c 13h                 => inconclusive (hole)
        resolve n1/c 13h pass              => abuse_pending
        resolve n1/c 13h fail              => abuse_pending
        resolve n1/c 13h pass pending=yes  => pass
    )");
    run_in_world(R"(
        abuse n1/a 13h as=R
        clock 14:00
        finalize 13h pending=yes           => 4 settled
        show-unit n1/a 13h                 => pass, 3 paid, 1 returned
    )");
    run_in_world(R"(
        # Automatic settlement waits 30 days at most.
        abuse n1/a 13h as=R
        clock 2026-02-08T13:59:59
        settle 13h
        show-unit n1/a 13h                 => open
        clock 2026-02-08T14:00
        settle 13h
        show-unit n1/a 13h                 => pass, 3 paid, 1 returned
    )");
}

TEST(AbuseRules, AfterSettlementItClaimsStakeAndNothingElseOnce) {
    run_in_world(R"(
        # P9, defect 8
        abuse n1 13h as=R
        abuse n1/a 13h as=S
        abuse n1 13h as=T
        clock 14:00
        finalize 13h pending=yes
        settle
        show alice                         => 95
        show node:n1                       => 5
        decide S authorize                 => authorized
        show-unit n1/a 13h                 => pass, 3 paid, 1 returned     # settled money stays
        show-slashings                     => n1 abuse 3 proposed
        decide R authorize                 => authorized
        show-slashings                     => n1 abuse 3 proposed; n1 abuse 2 proposed    # b's, not a's again
        decide T authorize
        show-slashings                     => n1 abuse 3 proposed; n1 abuse 2 proposed
        slash n1 abuse S                   => 3
        slash n1 abuse S                   => already_slashed
        slash n1 abuse R $1                => 1          # less than proposed
        slash n1 abuse T                   => unknown_slashing
        slash n1 abuse T $5                => unknown_slashing
        show stake:n1                      => 6
        show @slashed                      => 4
        show alice                         => 95
        show node:n1                       => 5
    )");
    run_in_world(R"(
        # never more than the stake
        node n2 cpus=8 price=10 stake=2
        lock alice n2 14h 4h
        clock 14:10
        use alice n2 14h 4h id=r
        slot n2/x s 14h all
        clock 15:00
        finalize 14h
        abuse n2 14h as=R
        decide R authorize
        show-slashings                     => n2 abuse 40 proposed
        slash n2 abuse R $100              => 2
        show-slashings                     => n2 abuse 2 done
        show stake:n2                      => 0
    )");
    run_in_world(R"(
        # by the stake when it is taken: none when it is proposed keeps nothing from being claimed
        abuse n1 13h as=R
        abuse n1 13h as=S
        clock 14:00
        finalize 13h pending=yes
        settle
        node n1 stake=0
        decide R authorize
        show-slashings                     => n1 abuse 5 proposed
        slash n1 abuse R                   => no_stake
        node n1 stake=10
        decide S authorize
        show-slashings                     => n1 abuse 5 proposed         # not again
        slash n1 abuse R                   => 5
    )");
    run_in_world(R"(
        # a claim that is dismissed is none of the next report's either
        abuse n1 13h as=R
        abuse n1 13h as=S
        clock 14:00
        finalize 13h pending=yes
        settle
        decide R authorize
        dismiss n1/R                       => 5 dismissed
        slash n1 abuse R                   => already_dismissed
        decide S authorize
        show-slashings                     => n1 abuse 5 dismissed
        slash n1 abuse S                   => unknown_slashing
    )");
    run_in_world(R"(
        # nor does a speck of it
        node n1 owner=alice
        abuse n1 13h as=R
        clock 14:00
        finalize 13h pending=yes
        settle
        node n1 stake=0.000001 by=n1 owner-token=alice => ok
        decide R authorize
        show-slashings                     => n1 abuse 5 proposed
        node n1 stake=0 by=n1 owner-token=alice        => stake_in_use
        node n1 stake=7 by=n1 owner-token=alice        => ok
        node n1 stake=4 by=n1 owner-token=alice        => stake_in_use
        slash n1 abuse R                   => 5
        show stake:n1                      => 2
    )");
    run_in_world(R"(
        # cells of one report that are settled and cells that are not
        lock alice n1/a 14h 4h
        clock 14:00
        finalize 13h
        slot n1/a s 14h all
        use alice n1/a 14h 4h id=r
        abuse n1/a 13:00..15:00 as=R
        decide R authorize
        show-slashings                     => n1 abuse 3 proposed
        clock 15:00
        finalize 14h
        show-unit n1/a 14h                 => fail (abuse), 0 paid, 4 returned
    )");
}

}  // namespace
}  // namespace ee::ledger
