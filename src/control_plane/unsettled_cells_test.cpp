#include "control_plane/unsettled_cells.h"

#include <gtest/gtest.h>

#include "ledger/test_ledger.h"

namespace ee::control_plane {
namespace {

using namespace std::chrono_literals;
using ledger::Money;

// alice has a lock on n1 for each of three apps: one that passes, one that fails, one of which nobody can
// say.
struct UnsettledCellsTest : testing::Test {
    void SetUp() override {
        books.open_everything();
        cell = books.cell();
        for (const char* app : {"good", "bad", "unknown"}) lock(app);
        ASSERT_TRUE(books.server(books.passing("n1", "good", "a")));
        ledger::RecordSlots slots = books.passing("n1", "unknown", "b");
        slots.seen[0].slot.challenges_inconclusive = 1;
        ASSERT_TRUE(books.server(slots));
    }
    void lock(const std::string& app, Money amount = Money(1'000'000)) {
        ledger::TakeLock lock{.account = "alice", .node = "n1", .app = app, .period = books.cell()};
        lock.amount = amount;
        ASSERT_TRUE(books.holder("alice", lock));
    }
    // Of an app of n1 in the running cell; its id.
    std::uint64_t report(const std::string& app) {
        const auto filed = books.as({.role = ledger::Role::launcher},
                                    ledger::FileAbuse{.node = "n1", .app = app, .reason = "spam"}, "report");
        EXPECT_TRUE(filed);
        const std::uint64_t id = number_in(filed->body, "report_id");
        pending["n1"][id] = {.node = "n1", .app = app, .period = cell};
        return id;
    }
    void deny(std::uint64_t report) {
        ASSERT_TRUE(books.admin(ledger::DecideAbuse{.report = report}));
        pending.clear();
    }
    static std::uint64_t number_in(const std::string& body, const std::string& name) {
        return std::stoull(body.substr(body.find(name) + name.size() + 3));
    }
    void settle() {
        ASSERT_TRUE(books.server(ledger::SettleMore{.period = ledger::Period{.start = {}, .end = cell.end},
                                                    .pending = ledger::SettleMore::Pending::wait_30_days,
                                                    .units_max = 10'000,
                                                    .locks_max = 10'000}));
    }
    void end_cell() { books.now = ledger::LedgerTime{cell.end} + 2h; }
    UnsettledCells::Found look() {
        return cells.look(books.store, ledger::Grid::hour, books.now, books.now - 1h, pending);
    }
    // What is new, in words.
    std::string news() {
        std::string out;
        for (const SettledCell& one : look().news) {
            out += ledger::to_text(one.cell) + ": " + std::to_string(one.passed) + " passed, " +
                   std::to_string(one.failed) + " failed, " + std::to_string(one.rest.inconclusive) +
                   " inconclusive, " + std::to_string(one.rest.reported) + " reported";
            for (const std::uint64_t id : one.rest.reports) out += " " + std::to_string(id);
            out += "\n";
        }
        return out;
    }

    ledger::TestLedger books;
    ledger::Period cell{};
    PendingReports pending;
    UnsettledCells cells;
};

TEST_F(UnsettledCellsTest, ACellIsToldOnceItIsSettledAsFarAsItCanBe) {
    EXPECT_TRUE(look().is_first);
    EXPECT_EQ(news(), "") << "it is not over";
    end_cell();
    EXPECT_EQ(news(), "") << "nobody has judged it";
    settle();
    EXPECT_EQ(news(), "2026-01-09T13: 1 passed, 1 failed, 1 inconclusive, 0 reported\n");
    EXPECT_EQ(news(), "");
    ASSERT_TRUE(books.admin(ledger::Resolve{
        .period = cell, .node = "n1", .app = "unknown", .pass = true, .reason = "it was up"}));
    EXPECT_EQ(news(), "2026-01-09T13: 2 passed, 1 failed, 0 inconclusive, 0 reported\n");
    EXPECT_EQ(news(), "");
}

TEST_F(UnsettledCellsTest, WhatAReportHoldsBackIsToldWithTheReport) {
    look();
    const std::uint64_t id = report("good");
    end_cell();
    settle();
    EXPECT_EQ(news(),
              "2026-01-09T13: 0 passed, 1 failed, 1 inconclusive, 1 reported " + std::to_string(id) + "\n");
    deny(id);
    EXPECT_EQ(news(), "") << "nothing is in the way any more, and nobody has judged it";
    settle();
    EXPECT_EQ(news(), "2026-01-09T13: 1 passed, 1 failed, 1 inconclusive, 0 reported\n");
}

TEST_F(UnsettledCellsTest, WhatIsOverdueIsCountedByWhatItWaitsFor) {
    const std::uint64_t id = report("good");
    books.now = ledger::LedgerTime{cell.end} + 59min;
    UnsettledCells::Found found = look();
    EXPECT_EQ(found.overdue, Unsettled{}) << "its time has not come";
    books.now += 1min;
    found = look();
    EXPECT_EQ(found.overdue, (Unsettled{.not_judged = 2, .reported = 1, .reports = {id}}));
    settle();
    found = look();
    EXPECT_EQ(found.overdue, (Unsettled{.inconclusive = 1, .reported = 1, .reports = {id}}));
    EXPECT_EQ(found.held, std::vector{cell});
}

// A start with a month of cells held back has one line for all of them.
TEST_F(UnsettledCellsTest, TheFirstLookTellsNothingOfEachCell) {
    end_cell();
    settle();
    const UnsettledCells::Found first = look();
    EXPECT_TRUE(first.is_first);
    EXPECT_TRUE(first.news.empty());
    EXPECT_EQ(first.held, std::vector{cell});
    EXPECT_EQ(news(), "");
}

TEST_F(UnsettledCellsTest, ACellThatIsSettledBetweenTwoLooksIsTold) {
    lock("later");
    look();
    end_cell();
    settle();
    ASSERT_TRUE(books.admin(ledger::Resolve{
        .period = cell, .node = "n1", .app = "unknown", .pass = false, .reason = "it was down"}));
    EXPECT_EQ(news(), "2026-01-09T13: 1 passed, 3 failed, 0 inconclusive, 0 reported\n");
}

TEST_F(UnsettledCellsTest, ReleasedLocksLeaveNothingToTell) {
    ledger::TakeLock lock{
        .account = "alice", .node = "n1", .period = ledger::cell_at(ledger::Grid::hour, books.now + 1h)};
    lock.amount = Money(1);
    const auto taken = books.holder("alice", lock);
    ASSERT_TRUE(taken);
    look();
    ASSERT_TRUE(books.holder("alice", ledger::ReleaseLock{.lock = number_in(taken->body, "lock_id")}));
    EXPECT_EQ(news(), "");
}

// Whoever reads a balance waits behind the look.
TEST_F(UnsettledCellsTest, ALargeCellIsCountedInSeveralLooks) {
    for (int app = 0; app < 5000; ++app) lock("app-" + std::to_string(app), Money(1));
    look();
    end_cell();
    settle();
    const UnsettledCells::Found first = look();
    EXPECT_TRUE(first.goes_on);
    EXPECT_TRUE(first.news.empty());
    EXPECT_EQ(news(), "2026-01-09T13: 1 passed, 5001 failed, 1 inconclusive, 0 reported\n");
    EXPECT_FALSE(look().goes_on);
}

// What it waits for has changed meanwhile.
TEST_F(UnsettledCellsTest, ALargeCellIsCountedAnewWhereItsRestChanges) {
    for (int app = 0; app < 5000; ++app) lock("app-" + std::to_string(app), Money(1));
    look();
    end_cell();
    settle();
    EXPECT_TRUE(look().goes_on);
    ASSERT_TRUE(books.admin(ledger::Resolve{
        .period = cell, .node = "n1", .app = "unknown", .pass = true, .reason = "it was up"}));
    EXPECT_EQ(news(), "") << "it begins again";
    EXPECT_EQ(news(), "2026-01-09T13: 2 passed, 5001 failed, 0 inconclusive, 0 reported\n");
    EXPECT_EQ(news(), "");
}

}  // namespace
}  // namespace ee::control_plane
