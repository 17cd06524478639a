// The journal itself: what no command asks for, and only a mistake of ours could (invariants L1, L8, L9, K3).

#include "ledger/books.h"

#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "ledger/locks.h"
#include "ledger/test_books.h"
#include "ledger/test_ledger.h"

namespace ee::ledger {
namespace {

class BooksRules : public testing::Test {
protected:
    BooksRules() {
        ledger.open_everything();  // alice with 100 USD, n1 with a stake of 10 USD
        EXPECT_TRUE(ledger.admin(
            TakeLock{.account = "alice", .node = "n1", .period = ledger.cell(), .amount = Money(4'000'000)}));
        EXPECT_TRUE(ledger.admin(Slash{
            .node = "n1", .cause = "other", .amount = Money(1'000'000), .event_ids = {"e"}, .reason = "r"}));
    }

    // "ok", the refusal's code, or "broken".
    std::string post(PostingKind kind, std::vector<Change> changes) {
        Batch batch(ledger.store);
        Context context = context_of(batch);
        try {
            const auto leaf = ledger::post(context, {.kind = kind}, changes);
            return leaf ? "ok" : leaf.error().code;
        } catch (const BrokenInvariant&) {
            EXPECT_TRUE(batch.is_empty()) << "nothing is written before all is checked";
            return "broken";
        }
    }
    std::string move(PostingKind kind, std::string_view from, std::string_view to, std::int64_t micro = 1) {
        return post(kind, {{from, Money(-micro), {}}, {to, Money(micro), {}}});
    }
    Context context_of(Batch& batch) {
        return {.batch = batch, .rules = rules, .now = ledger.now, .request = request, .principal = "admin"};
    }

    TestLedger ledger;
    Rules rules;
    Request request;
};

TEST_F(BooksRules, EachKindOfPostingIsForItsAccountsOnly) {
    // L9, all of it: source and destination of each kind, by one account of each type.
    using enum PostingKind;
    constexpr std::string_view accounts[] = {"alice", "node:n1", "stake:n1", "@issued", "@slashed"};
    struct Row {
        PostingKind kind;
        std::set<std::string_view> from;
        std::set<std::string_view> to;
    };
    const Row rows[] = {
        {purchase, {"@issued"}, {"alice"}},
        {redeem, {"alice", "node:n1"}, {"@issued"}},
        {transfer, {"alice", "node:n1"}, {"alice", "node:n1"}},
        {pay, {"alice"}, {"node:n1"}},
        {stake, {"alice", "@issued"}, {"stake:n1"}},
        {unstake, {"stake:n1"}, {"alice", "@issued"}},
        {slash, {"stake:n1"}, {"@slashed"}},
        {lock, {}, {}},
        {release, {}, {}},
        {refund, {}, {}},
    };
    ASSERT_TRUE(ledger.admin(Transfer{.from = "alice", .to = "node:n1", .amount = Money(9)}));
    for (const Row& row : rows)
        for (const std::string_view from : accounts)
            for (const std::string_view to : accounts) {
                const bool is_allowed = row.from.contains(from) && row.to.contains(to) && from != to;
                EXPECT_EQ(move(row.kind, from, to), is_allowed ? "ok" : "broken")
                    << to_word(row.kind) << " from " << from << " to " << to;
            }
    for (const PostingKind kind : {lock, release, refund})
        for (const std::string_view account : accounts)
            EXPECT_EQ(post(kind, {{account, Money(1), Money(-1)}}), account == "alice" ? "ok" : "broken")
                << to_word(kind) << " of " << account;
    EXPECT_EQ(move(transfer, "alice", "no such name"), "broken");
    EXPECT_EQ(move(transfer, "alice", "carol"), "broken") << "an account that there is not";
}

TEST_F(BooksRules, DebitsAndCreditsAreEqual) {
    // L1
    using enum PostingKind;
    EXPECT_EQ(post(transfer, {{"alice", Money(-2), {}}, {"bob", Money(1), {}}}), "broken");
    EXPECT_EQ(post(transfer, {{"alice", Money(-1), {}}, {"bob", Money(2), {}}}), "broken");
    EXPECT_EQ(post(transfer, {{"alice", Money(0), {}}, {"bob", Money(0), {}}}), "broken");
    EXPECT_EQ(post(transfer, {{"alice", Money(1), {}}, {"bob", Money(-1), {}}}), "broken");
    EXPECT_EQ(post(transfer, {{"alice", Money(-1), {}}, {"alice", Money(1), {}}}), "broken");
    EXPECT_EQ(post(transfer, {{"alice", Money(-1), {}}, {"bob", {}, Money(1)}}), "broken")
        << "nobody gains what is locked";
    EXPECT_EQ(post(transfer, {{"alice", Money(-1), {}}}), "broken");
    EXPECT_EQ(post(transfer, {{"alice", Money(-2), {}}, {"bob", Money(1), {}}, {"node:n1", Money(1), {}}}),
              "broken");
    EXPECT_EQ(post(transfer, {}), "broken");
    EXPECT_EQ(post(lock, {{"alice", Money(-1), Money(2)}}), "broken");
    EXPECT_EQ(post(lock, {{"alice", Money(-1), Money(1)}, {"bob", Money(1), Money(-1)}}), "broken");
    EXPECT_EQ(post(pay, {{"alice", Money(1), Money(-3)}, {"node:n1", Money(2), {}}}), "ok");
    EXPECT_EQ(move(transfer, "alice", "bob", -1), "broken");
}

TEST_F(BooksRules, NothingGoesBelowZeroOrBeyond64Bits) {
    // L4, L8
    using enum PostingKind;
    EXPECT_EQ(move(transfer, "alice", "bob", 96'000'000), "ok");
    EXPECT_EQ(move(transfer, "alice", "bob", 96'000'001), "insufficient_credit");
    EXPECT_EQ(post(release, {{"alice", Money(4'000'000), Money(-4'000'000)}}), "ok");
    EXPECT_EQ(post(release, {{"alice", Money(4'000'001), Money(-4'000'001)}}), "broken");
    EXPECT_EQ(move(slash, "stake:n1", "@slashed", 9'000'001), "insufficient_credit");
    EXPECT_EQ(move(purchase, "@issued", "alice", INT64_MAX), "balance_too_large");
    EXPECT_EQ(move(purchase, "@issued", "alice", INT64_MAX - 110'000'000), "ok");
    EXPECT_EQ(move(purchase, "@issued", "alice", INT64_MAX - 109'999'999), "balance_too_large");
    EXPECT_EQ(post(lock, {{"alice", Money(-INT64_MAX), Money(INT64_MAX)}}), "balance_too_large");
    Batch batch(ledger.store);
    Context context = context_of(batch);
    EXPECT_THROW(static_cast<void>(ledger::move(context, {.kind = transfer}, "alice", "bob", Money(0))),
                 BrokenInvariant);
    EXPECT_THROW(static_cast<void>(ledger::move(context, {.kind = transfer}, "alice", "bob", Money(-5))),
                 BrokenInvariant);
}

TEST_F(BooksRules, ALockEndsOnceAndPaysAtMostWhatItHolds) {
    // K2, K3; another lock of hers holds more than enough to end this one twice.
    ASSERT_TRUE(ledger.admin(
        TakeLock{.account = "alice", .node = "n1", .period = ledger.cell(), .amount = Money(9'000'000)}));
    std::uint64_t id = 0;
    ledger.store.scan(Table::locks, "", [&](std::string_view key, std::string_view) {
        id = number_at(key, 0);
        return false;
    });
    for (const std::int64_t paid : {std::int64_t{-1}, std::int64_t{4'000'001}}) {
        Batch batch(ledger.store);
        Context context = context_of(batch);
        EXPECT_THROW(end_lock(context, id, find_lock(batch, id).value(), LockState::settled, Money(paid)),
                     BrokenInvariant);
    }
    for (const std::int64_t paid : {0, 1, 3'999'999, 4'000'000}) {
        Batch batch(ledger.store);
        Context context = context_of(batch);
        end_lock(context, id, find_lock(batch, id).value(), LockState::settled, Money(paid));
        EXPECT_EQ(find_account(batch, "node:n1")->available.micro(), paid);
        EXPECT_EQ(find_account(batch, "alice")->available.micro(), 91'000'000 - paid);
        EXPECT_EQ(find_account(batch, "alice")->locked.micro(), 9'000'000);
        EXPECT_THROW(end_lock(context, id, find_lock(batch, id).value(), LockState::released, {}),
                     BrokenInvariant);
    }
}

// L4, of the check that all tests of the rules go by: what is made good by the next entry was below zero all
// the same.
TEST_F(BooksRules, ABalanceThatWasBelowZeroForOneEntryIsFound) {
    Batch batch(ledger.store);
    Context context = context_of(batch);
    const std::uint64_t transfer = 100;
    const auto enter = [&](std::string_view account, std::int64_t available, std::int64_t locked,
                           std::int64_t available_after, std::int64_t locked_after) {
        append_leaf(context, LeafKind::entry,
                    {transfer, account, std::string_view("transfer"), std::string_view(""), available, locked,
                     available_after, locked_after, std::string_view(""), std::string_view("")});
    };
    const std::uint64_t first = batch.leaf_count();
    enter("bob", -1, 0, -1, 0);
    enter("bob", 1, 0, 0, 0);
    enter("bob", 1, -1, 1, -1);
    enter("bob", -1, 1, 0, 0);
    enter("@issued", -5, 0, -110'000'005, 0);
    ledger.store.commit(batch.take());
    BooksCheck books;
    std::vector<std::string> broken = books.look(ledger.store);
    std::erase_if(broken, [](const std::string& what) { return !what.ends_with("below 0"); });
    EXPECT_EQ(broken, (std::vector{fmt::format("entry {} leaves bob below 0", first),
                                   fmt::format("entry {} leaves bob below 0", first + 2)}));
}

TEST_F(BooksRules, WhatIsNoLeafIsNotAppended) {
    Batch batch(ledger.store);
    Context context = context_of(batch);
    EXPECT_THROW(append_leaf(context, LeafKind::grid, std::span<const LentField>()), BrokenInvariant)
        << "it has a field";
    EXPECT_THROW(append_leaf(context, LeafKind::grid, {std::string_view("\xff")}), BrokenInvariant)
        << "of UTF-8";
    EXPECT_TRUE(batch.is_empty());
}

}  // namespace
}  // namespace ee::ledger
