// Idempotency keys: invariants I1 to I6 where the core decides, and defect 1.

#include <gtest/gtest.h>

#include "ledger/test_ledger.h"
#include "ledger/test_script.h"

namespace ee::ledger {
namespace {

TEST(IdempotencyRules, AKeyHasOneEffectAndOneAnswer) {
    run_script(R"(
        open alice
        open bob
        buy alice 10 key=k                => 10       # I1
        buy alice 10 key=k                => replayed
        buy alice 10 key=k                => replayed
        show alice                        => 10
        buy alice 11 key=k                => idempotency_key_reused    # I2: another body
        buy alice 10 key=k route=redeem   => idempotency_key_reused    # another route
        move alice bob 1 key=k            => idempotency_key_reused
        move alice bob 1 key=k by=alice   => 9        # another principal, another key
        move alice bob 1 key=k by=alice   => replayed
        show bob                          => 1
    )");
}

TEST(IdempotencyRules, AKeyBelongsToThePrincipalNotTheToken) {
    run_script(R"(
        open alice
        open bob
        buy alice 10
        move alice bob 1 key=k by=alice   => 9
        rotate alice t2                   => ok
        move alice bob 1 key=k by=alice   => unauthorized
        move alice bob 1 key=k by=t2      => replayed
        move alice bob 2 key=k by=t2      => idempotency_key_reused
        show bob                          => 1
    )");
}

TEST(IdempotencyRules, AKeyHas128CharactersAtMost) {
    TestLedger ledger;
    const Caller admin{.role = Role::admin};
    EXPECT_TRUE(ledger.as(admin, OpenAccount{.account = "alice"}, std::string(128, 'k')));
    const auto refused = ledger.as(admin, OpenAccount{.account = "bob"}, std::string(129, 'k'));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "invalid_field:idempotency_key");
}

TEST(IdempotencyRules, AnAnswerUnderTheKeyItselfIsGivenAgain) {
    // As versions before 5 of the ledger's schema kept it.
    TestLedger ledger;
    const Caller admin{.role = Role::admin};
    const auto first = ledger.as(admin, OpenAccount{.account = "alice"}, "k");
    ASSERT_TRUE(first);
    const std::string key = KeyRecord::key("admin", "k");
    Changes older;
    older.of(Table::keys)
        .emplace_back(key, ledger.store.get(Table::answers, ledger.store.get(Table::keys, key).value()));
    ledger.store.commit(older);
    const auto again = ledger.as(admin, OpenAccount{.account = "alice"}, "k");
    ASSERT_TRUE(again);
    EXPECT_TRUE(again->replayed);
    EXPECT_EQ(again->body, first->body);
}

TEST(IdempotencyRules, AKeyWithoutItsAnswerIsDamage) {
    TestLedger ledger;
    const Caller admin{.role = Role::admin};
    ASSERT_TRUE(ledger.as(admin, OpenAccount{.account = "alice"}, "k"));
    Changes lost;
    lost.of(Table::answers)
        .emplace_back(ledger.store.get(Table::keys, KeyRecord::key("admin", "k")).value(), std::nullopt);
    ledger.store.commit(lost);
    EXPECT_THROW((void)ledger.as(admin, OpenAccount{.account = "alice"}, "k"), DamagedRecord);
}

TEST(IdempotencyRules, WhatMovesMoneyNeedsOne) {
    run_script(R"(
        # Defect 1
        open alice key=-                  => ok
        open bob key=-                    => ok
        node n1 cpus=8 price=1 stake=5 key=- => ok
        buy alice 10 key=-                => idempotency_key_required
        buy alice 10 ref=a key=-          => 10
        redeem alice 1 key=-              => idempotency_key_required
        redeem alice 1 ref=a key=-        => 9
        move alice bob 1 key=-            => idempotency_key_required
        lock alice n1 13h 1h key=-        => idempotency_key_required
        use alice n1 13h 1h key=-         => idempotency_key_required
        use alice n1 13h 1h id=r1 key=-   => 1 + 0
        use alice n1 13h 1h id=r1 key=-   => replayed
        lock alice n1 13h 1h as=A         => 1
        lock alice n1 14h 1h as=B         => 1
        release B key=-                   => ok
        finalize 12h key=-                => ok
    )");
}

TEST(IdempotencyRules, ABusinessRefusalIsRememberedNothingElseIs) {
    run_script(R"(
        # I4
        open alice
        open bob
        move alice bob 1 key=a            => insufficient_credit
        buy alice 10
        move alice bob 1 key=a            => insufficient_credit
        move alice bob 1 key=b            => 9
        move alice carol 1 key=c          => unknown_account
        open carol
        move alice carol 1 key=c          => 8
        buy alice 0u key=d                => invalid_amount
        move alice bob 1 key=e by=bob     => forbidden
        buy alice 1 key=d                 => 9        # the key of a refusal before the ledger is free
        show alice                        => 9
    )");
}

TEST(IdempotencyRules, ASecretIsSaidOnce) {
    TestLedger ledger;
    const OpenAccount open{.account = "alice", .token = token_of("alice")};
    const auto first = ledger.as({.role = Role::admin}, open, "k");
    ASSERT_TRUE(first);
    EXPECT_EQ(first->secret, "token");
    EXPECT_FALSE(first->replayed);
    // Whoever answers puts null where `secret` is named and the answer is replayed.
    const auto second = ledger.as({.role = Role::admin}, open, "k");
    ASSERT_TRUE(second);
    EXPECT_TRUE(second->replayed);
    EXPECT_EQ(second->secret, "token");
    EXPECT_EQ(second->body, first->body);
    EXPECT_EQ(second->status, first->status);
    EXPECT_EQ(second->leaf_index, first->leaf_index);
    EXPECT_EQ(second->body.find("ee_"), std::string::npos);
}

TEST(IdempotencyRules, TheEffectAndItsKeyAreOneCommit) {
    // I3: what is not committed never happened, the key neither; then once.
    TestLedger ledger;
    ledger.open_everything();
    const Ledger core{Rules{}};
    Request request{.caller = {.role = Role::admin}, .idempotency_key = "k", .method = "POST", .path = "/t"};
    request.command = Transfer{.from = "alice", .to = "bob", .amount = Money(1'000'000)};
    for (int crash = 0; crash < 3; ++crash) {
        Batch lost(ledger.store);
        const auto answer = core.apply(lost, request, ledger.now);
        ASSERT_TRUE(answer);
        EXPECT_FALSE(answer->replayed);
    }
    EXPECT_EQ(ledger.available("bob"), "0");
    ASSERT_TRUE(ledger.apply(request));
    EXPECT_EQ(ledger.available("bob"), "1");
    EXPECT_TRUE(ledger.apply(request)->replayed);
    EXPECT_EQ(ledger.available("bob"), "1");
}

TEST(IdempotencyRules, ADuplicateInTheSameCommitIsOneToo) {
    // I6: group commit holds both.
    TestLedger ledger;
    ledger.open_everything();
    const Ledger core{Rules{}};
    Request request{.caller = {.role = Role::admin}, .idempotency_key = "k", .method = "POST", .path = "/t"};
    request.command = Transfer{.from = "alice", .to = "bob", .amount = Money(1'000'000)};
    Batch batch(ledger.store);
    EXPECT_FALSE(core.apply(batch, request, ledger.now)->replayed);
    EXPECT_TRUE(core.apply(batch, request, ledger.now)->replayed);
    ledger.store.commit(batch.take());
    EXPECT_EQ(ledger.available("bob"), "1");
}

TEST(IdempotencyRules, ARefusedCommandLeavesNothingBehind) {
    // A raise of stake that fails after the terms were posted: terms, owner and token stay as they were.
    run_script(R"(
        open alice
        buy alice 10
        node n1 cpus=8 price=1 stake=0
        node n1 price=2 owner=alice stake=11 rotate=new => insufficient_credit
        show-terms n1 13:00               => 8 vCPUs at 1, standard
        show-node n1                      => stake 0, 0 open
        node n1 price=3 by=new            => unauthorized
        node n1 price=3 by=n1             => ok
    )");
}

}  // namespace
}  // namespace ee::ledger
