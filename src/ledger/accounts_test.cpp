// Accounts and credits: invariants L1 to L9 and L12, and the defects they keep from coming back. How to read
// the tables: test_script.h. The books (L1 to L5, L7) are checked behind every line of every table.

#include <gtest/gtest.h>

#include "ledger/test_ledger.h"
#include "ledger/test_script.h"

namespace ee::ledger {
namespace {

TEST(AccountRules, CreditsAreBoughtMovedAndBurnt) {
    run_script(R"(
        open alice                        => ok
        open bob                          => ok
        buy alice 100                     => 100
        show @issued                      => -100      # L3, defect 2: minted from an account of its own
        move alice bob 0.5                => 99.5
        show bob                          => 0.5
        move alice bob 99.500001          => insufficient_credit    # L4
        move alice bob 99.5               => 0
        move alice bob 0.000001           => insufficient_credit
        redeem bob 40 ref=r1              => 60
        show @issued                      => -60
        redeem bob 60.000001 ref=r2       => insufficient_credit
        show bob                          => 60
    )");
}

TEST(AccountRules, NamesOfUsersNodesAndTheLedgerItselfNeverMeet) {
    run_script(R"(
        # L12, defect 12: users and nodes have their own names
        open @issued                      => invalid_field:account_id
        open node:n1                      => invalid_field:account_id
        open stake:n1                     => invalid_field:account_id
        open a/b                          => invalid_field:account_id
        open a\0b                         => invalid_field:account_id
        open n1 token=first               => ok
        open n1                           => account_exists
        node n1 cpus=8 price=1 stake=5    => ok
        buy n1 7                          => 7
        show n1                           => 7
        show node:n1                      => 0
        show stake:n1                     => 5
        # The token of account n1 is not the node's, and the other way round.
        rotate n1 account-token           => ok
        move n1 node:n1 1 by=n1           => forbidden
        move n1 node:n1 1 by=account-token => 6
        move node:n1 n1 1 by=account-token => forbidden
        move node:n1 n1 1 by=n1           => 0
    )");
}

TEST(AccountRules, MoneyMovesOnlyBetweenAccountsThatMay) {
    run_script(R"(
        open alice
        buy alice 10
        node n1 cpus=8 price=1 stake=5
        # L9: purchase @issued to user, redeem holder to @issued, transfer holder to holder
        buy node:n1 1                     => invalid_field:account_id
        buy @issued 1                     => invalid_field:account_id
        redeem stake:n1 1 ref=a           => invalid_field:account_id
        redeem @slashed 1 ref=b           => invalid_field:account_id
        move alice stake:n1 1             => invalid_field:to_account
        move alice @issued 1              => invalid_field:to_account
        move alice @slashed 1             => invalid_field:to_account
        move stake:n1 alice 1             => invalid_field:from_account
        move @issued alice 1              => invalid_field:from_account
        move alice alice 1                => invalid_field:to_account     # L1: two accounts
        move alice carol 1                => unknown_account
        move carol alice 1                => unknown_account
        buy carol 1                       => unknown_account
        redeem carol 1 ref=c              => unknown_account
        redeem node:n9 1 ref=d            => unknown_account
        move alice node:n1 4              => 6
        redeem node:n1 3 ref=e            => 1
        show alice                        => 6
    )");
}

TEST(AccountRules, EachAsksForItsOwn) {
    run_script(R"(
        open alice
        open bob
        buy alice 10
        buy bob 10
        node n1 cpus=8 price=1 stake=5
        node n2 cpus=8 price=1 stake=5
        move alice bob 1 by=bob           => forbidden
        move alice bob 1 by=n1            => forbidden
        move alice bob 1 by=nobody        => unauthorized
        move alice bob 1 by=launcher      => forbidden
        move alice bob 1 by=uptime        => forbidden
        move alice bob 1 by=auditor       => forbidden
        move alice bob 1 by=alice         => 9
        move alice node:n1 2 by=alice     => 7
        move node:n1 bob 1 by=n2          => forbidden
        move node:n1 bob 1 by=n1          => 1
        open carol by=alice               => forbidden
        buy alice 1 by=alice              => forbidden
        redeem alice 1 ref=x by=alice     => forbidden
        rotate alice t2 by=bob            => forbidden
        rotate alice t2 by=alice          => ok
        move alice bob 1 by=alice         => unauthorized
        move alice bob 1 by=t2            => 6
        rotate n1 t3                      => unknown_account
        rotate node:n1 t3                 => unknown_account
        rotate @issued t3                 => unknown_account
    )");
}

TEST(AccountRules, AmountsAreAboveZeroAndCountable) {
    run_script(R"(
        # L8; "u" is micro-USD, as no request could say it
        open alice
        open bob
        buy alice 0u                      => invalid_amount
        buy alice -1u                     => invalid_amount
        buy alice 1000000000000001u       => invalid_amount
        buy alice 9223372036854775807u    => invalid_amount
        buy alice 1000000000              => 1000000000
        move alice bob 0u                 => invalid_amount
        move alice bob -1000000u          => invalid_amount
        redeem alice 0u ref=a             => invalid_amount
        redeem alice -9223372036854775807u ref=b => invalid_amount
        show alice                        => 1000000000
    )");
}

TEST(AccountRules, BalancesStopWhere64BitsEnd) {
    // L8: 9223 times the most that one purchase may be.
    TestLedger ledger;
    ASSERT_TRUE(ledger.admin(OpenAccount{.account = "alice", .token = token_of("alice")}));
    ASSERT_TRUE(ledger.admin(OpenAccount{.account = "bob", .token = token_of("bob")}));
    for (int i = 0; i < 9223; ++i)
        ASSERT_TRUE(ledger.admin(Purchase{.account = "alice", .amount = amount_max}));
    EXPECT_EQ(ledger.available("alice"), "9223000000000");
    const auto code = [&](const char* account, std::int64_t micro) {
        const auto answer = ledger.admin(Purchase{.account = account, .amount = Money(micro)});
        return answer ? "ok" : answer.error().code;
    };
    EXPECT_EQ(code("alice", amount_max.micro()), "balance_too_large");
    EXPECT_EQ(code("bob", 372'036'854'775'808), "balance_too_large") << "all together, too";
    EXPECT_EQ(code("bob", 372'036'854'775'807), "ok");
    EXPECT_EQ(code("bob", 1), "balance_too_large");
    EXPECT_EQ(ledger.available("@issued"), "-9223372036854.775807");
    BooksCheck books;
    EXPECT_EQ(books.look(ledger.store), std::vector<std::string>{});
}

TEST(AccountRules, TextsAreWhatALeafTakes) {
    const std::string long_text(257, 'm');
    run_script(R"(
        open alice
        open bob
        buy alice 10
        move alice bob 1 memo=\xFF        => invalid_field:memo
        move alice bob 1 memo=)" +
               long_text + R"( => invalid_field:memo
        buy alice 1 ref=\xFF              => invalid_field:payment_ref
        buy alice 1 ref=a\0b              => invalid_field:payment_ref
        buy alice 1 ref=)" +
               long_text + R"( => invalid_field:payment_ref
        show alice                        => 10
    )");
}

TEST(AccountRules, APaymentHappensOnce) {
    run_script(R"(
        # L3, defect 1: a payment's own number makes it one, whatever the idempotency key
        open alice
        open bob
        buy alice 10 ref=p1               => 10
        buy alice 10 ref=p1               => replayed
        buy alice 10 ref=p1 key=-         => replayed
        buy alice 11 ref=p1               => payment_ref_used
        buy bob 10 ref=p1                 => payment_ref_used
        redeem alice 10 ref=p1            => 0        # of another kind
        redeem alice 10 ref=p1            => replayed
        redeem alice 9 ref=p1 key=-       => payment_ref_used
        redeem alice 1 ref=p2 key=-       => insufficient_credit
        buy alice 1 ref=p3 key=-          => 1
        redeem alice 1 ref=p2 key=-       => 0        # it had not happened
        buy alice 1 ref=p1x key=-         => 1
        show @issued                      => -1
    )");
}

TEST(AccountRules, EntriesAreNeverChanged) {
    // L6: every leaf and line that was there is there, the same, after anything.
    Script script;
    std::vector<std::string> leaves;
    std::map<std::string, std::string> lines;
    const auto look = [&] {
        for (std::size_t i = 0; i < leaves.size(); ++i) EXPECT_EQ(script.store().leaf(i), leaves[i]);
        while (leaves.size() < script.store().leaf_count())
            leaves.push_back(script.store().leaf(leaves.size()).value());
        std::map<std::string, std::string> now;
        script.store().scan(Table::entries, "", [&](std::string_view key, std::string_view record) {
            return now.emplace(key, record), true;
        });
        for (const auto& [key, record] : lines) EXPECT_EQ(now[key], record);
        lines = now;
    };
    for (const char* line :
         {"open alice", "open bob", "buy alice 10", "node n1 cpus=8 price=1 stake=5 owner=alice",
          "lock alice n1 13h 4h as=A", "move alice bob 1", "slot n1/x a 13h all", "use alice n1 13h 5h",
          "clock 14:00", "finalize 13h", "settle", "redeem bob 1 ref=r", "unstake n1"}) {
        script.run(line);
        look();
    }
    for (int i = 0; i < 40; ++i) {
        script.run("move alice bob 0.01");
        look();
    }
    EXPECT_GE(lines.size(), 4u);
}

}  // namespace
}  // namespace ee::ledger
