// Calls: who asked for what, beside the leaf that tells of it.

#include "ledger/audit.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "ledger/leaf.h"
#include "ledger/test_ledger.h"
#include "ledger/views.h"

namespace ee::ledger {
namespace {

// The newest first: principal, and the kind of its leaf.
std::vector<std::string> calls_of(const TestLedger& ledger) {
    const Rules rules;
    const auto views = Views::open(ledger.store, rules, {.role = Role::auditor}, ledger.now);
    std::vector<std::string> out;
    const auto page = views->calls({.limit = 500});
    for (const CallRecord& call : page->calls) {
        const auto leaf = decode_leaf(as_bytes(ledger.store.leaf(call.leaf_index).value()));
        out.push_back(fmt::format("{} {}", call.principal, to_string(leaf->kind)));
    }
    return out;
}

TEST(Audit, EveryCallThatChangedSomethingIsNamedByALeaf) {
    TestLedger ledger;
    const auto last = [&] { return calls_of(ledger).front(); };
    const auto count = [&] { return calls_of(ledger).size(); };
    ASSERT_NO_FATAL_FAILURE(ledger.open_everything());
    EXPECT_EQ(calls_of(ledger), std::vector<std::string>(4, "admin call"));

    // Whoever moves money of its own is named by its entry; whoever moves that of others is not.
    ASSERT_TRUE(ledger.holder("alice", Transfer{.from = "alice", .to = "bob", .amount = Money(1'000'000)}));
    EXPECT_EQ(last(), "account:alice entry");
    ASSERT_TRUE(ledger.admin(Transfer{.from = "alice", .to = "bob", .amount = Money(1)}));
    EXPECT_EQ(last(), "admin call");
    TakeLock lock{.account = "alice", .node = "n1", .period = ledger.cell()};
    lock.amount = Money(1'000'000);
    ASSERT_TRUE(ledger.holder("alice", lock));
    EXPECT_EQ(last(), "account:alice entry");
    ASSERT_TRUE(ledger.admin(lock));
    EXPECT_EQ(last(), "admin call");
    const ReportUsage usage{
        .account = "alice", .node = "n1", .period = ledger.cell(), .hours = Hours(1), .report_id = "r"};
    ASSERT_TRUE(ledger.as({.role = Role::uptime}, usage));
    EXPECT_EQ(last(), "uptime usage");
    ASSERT_TRUE(ledger.as({.role = Role::launcher}, FileAbuse{.node = "n1", .reason = "spam"}));
    EXPECT_EQ(last(), "launcher call");
    ASSERT_TRUE(ledger.holder("n1", RegisterNode{.node = "n1", .price = Money(5)}));
    EXPECT_EQ(last(), "node:n1 call");
    ASSERT_TRUE(ledger.admin(Ban{.node = "n1", .reason = "fraud"}));
    EXPECT_EQ(last(), "admin call");

    // Whoever settles has judged it step by step before: what is left is the call.
    ledger.now += std::chrono::hours(1);
    Finalize finalize{.period = cell_at(Grid::hour, test_start), .allow_pending = true};
    ASSERT_TRUE(ledger.admin(finalize));
    const std::size_t settled = count();
    finalize.judged = true;
    ASSERT_TRUE(ledger.admin(finalize));
    EXPECT_EQ(count(), settled + 1);
    EXPECT_EQ(last(), "admin call");

    // What changed nothing, or is the server's own doing, is no call.
    const std::size_t before = count();
    ASSERT_TRUE(ledger.as({.role = Role::uptime}, usage));  // the same report
    ASSERT_FALSE(ledger.holder("bob", Transfer{.from = "bob", .to = "alice", .amount = largest_money}));
    ASSERT_TRUE(ledger.server(ledger.passing("n1", "app", "a")));
    ASSERT_TRUE(ledger.server(RecordOutage{.outage = {.from = ledger.now, .to = ledger.now, .cause = "x"}}));
    EXPECT_EQ(count(), before);
}

TEST(Audit, ACallOfAnotherKindIsALeafAndNothingElse) {
    TestLedger ledger;
    ASSERT_NO_FATAL_FAILURE(ledger.open_everything());
    Request request{.caller = {.role = Role::holder, .token = token_of("n1"), .address = token_of("address")},
                    .method = "POST",
                    .path = "/v1/apps/shop/drain",
                    .request_id = "req-1",
                    .content = token_of("body"),
                    .command = RecordCall{}};
    const std::uint64_t leaves = ledger.store.leaf_count();
    const auto written = ledger.apply(request);
    ASSERT_TRUE(written) << written.error().detail;
    EXPECT_EQ(ledger.store.leaf_count(), leaves + 1);
    const auto leaf = decode_leaf(as_bytes(ledger.store.leaf(leaves).value()));
    EXPECT_EQ(leaf->text("principal"), "node:n1");
    EXPECT_EQ(leaf->text("path"), "/v1/apps/shop/drain");
    EXPECT_EQ(leaf->bytes("address_salted"), to_bytes(token_of("address")));
    const Rules rules;
    const auto views = Views::open(ledger.store, rules, {.role = Role::admin}, ledger.now);
    const auto page = views->calls({.limit = 1});
    ASSERT_EQ(page->calls.size(), 1u);
    const CallRecord& call = page->calls[0];
    EXPECT_EQ(call.principal, "node:n1");
    EXPECT_EQ(call.request_id, "req-1");
    EXPECT_EQ(call.address, token_of("address"));
    EXPECT_EQ(call.leaf_index, leaves);
    EXPECT_EQ(call.at, ledger.now);

    request.caller = {.role = Role::app, .app = "shop"};
    ASSERT_TRUE(ledger.apply(request));
    EXPECT_EQ(calls_of(ledger).front(), "app:shop call");
    EXPECT_EQ(ledger.as(request.caller, Ban{.node = "n1", .reason = "r"}).error().code, "forbidden");
    request.caller = {.role = Role::holder, .token = token_of("nobody")};
    EXPECT_EQ(ledger.apply(request).error().code, "unauthorized");
    request.caller.role = Role::server;
    EXPECT_EQ(ledger.apply(request).error().code, "forbidden");
}

TEST(Audit, IsReadInPiecesByWhoMay) {
    TestLedger ledger;
    ASSERT_NO_FATAL_FAILURE(ledger.open_everything());
    const Rules rules;
    for (const auto* token : {"alice", "n1"})
        EXPECT_EQ(
            Views::open(ledger.store, rules, {.role = Role::holder, .token = token_of(token)}, ledger.now)
                ->calls({})
                .error()
                .code,
            "forbidden");
    const auto views = Views::open(ledger.store, rules, {.role = Role::auditor}, ledger.now);
    std::vector<std::uint64_t> leaves;
    Page page{.limit = 3};
    for (int pieces = 0; pieces < 2; ++pieces) {
        const auto piece = views->calls(page);
        for (const CallRecord& call : piece->calls) leaves.push_back(call.leaf_index);
        EXPECT_EQ(piece->next.has_value(), pieces == 0);
        page.after = piece->next.value_or("");
    }
    ASSERT_EQ(leaves.size(), 4u);
    EXPECT_TRUE(std::ranges::is_sorted(leaves, std::greater{}));
}

}  // namespace
}  // namespace ee::ledger
