#include "control_plane/settlement_watch.h"

#include <unistd.h>

#include <gtest/gtest.h>
#include <sys/mman.h>

#include "control_plane/test_ledger_door.h"
#include "net/test_peer.h"

namespace ee::control_plane {
namespace {

using namespace std::chrono_literals;

struct SettlementWatchTest : testing::Test {
    void SetUp() override { door.books.open_everything(); }
    // Everything there is, as at a start.
    void follow() {
        WindowCounts counts(ledger::Grid::hour);
        watch.apply(all_nodes(door.books.store, counts, {}));
    }
    std::int64_t gauge(const char* name) { return metrics.gauge(name, "").value(); }
    std::int64_t overdue(const char* why) {
        return metrics.gauge("ee_ledger_overdue_units", "", {{"why", why}}).value();
    }
    std::string logged() const {
        std::string text(1 << 16, '\0');
        const ssize_t length = ::pread(log_file.get(), text.data(), text.size(), 0);
        text.resize(length < 0 ? 0 : static_cast<std::size_t>(length));
        return text;
    }

    net::Loop loop;
    TestLedgerDoor door{loop};
    const net::Fd log_file{::memfd_create("log", MFD_CLOEXEC)};
    telemetry::Log log{telemetry::LogLevel::info, telemetry::LogFormat::json, log_file.get()};
    telemetry::Metrics metrics;
    SettlementWatch watch{loop, door, log, metrics, 1h};
};

TEST_F(SettlementWatchTest, CountsReportsAndSlashingsThatWaitForTheAdmin) {
    const auto filed = door.books.as({.role = ledger::Role::launcher},
                                     ledger::FileAbuse{.node = "n1", .reason = "spam"}, "report");
    ASSERT_TRUE(filed);
    ASSERT_TRUE(door.books.server(
        ledger::ProposeFraud{.node = "n1", .event_id = "e1", .reason = "lied", .evidence = "{}"}));
    const std::uint64_t slashing = door.books.store.leaf_count() + 1;
    ASSERT_TRUE(door.books.server(
        ledger::ProposeFraud{.node = "n1", .event_id = "e2", .reason = "lied", .evidence = "{}"}));
    follow();
    EXPECT_EQ(gauge("ee_ledger_pending_abuse_reports"), 1);
    EXPECT_EQ(gauge("ee_ledger_proposed_slashings"), 2);
    ASSERT_TRUE(door.books.admin(ledger::DismissSlashing{.slashing = slashing, .reason = "it was none"}));
    follow();
    EXPECT_EQ(gauge("ee_ledger_proposed_slashings"), 1);
    const std::uint64_t id = std::stoull(filed->body.substr(filed->body.find("report_id") + 12));
    ASSERT_TRUE(door.books.admin(ledger::DecideAbuse{.report = id}));
    ASSERT_TRUE(door.books.admin(
        ledger::Slash{.node = "n1", .cause = "attestation_fraud", .event_ids = {"e1"}, .reason = "lied"}));
    follow();
    EXPECT_EQ(gauge("ee_ledger_pending_abuse_reports"), 0);
    EXPECT_EQ(gauge("ee_ledger_proposed_slashings"), 0);
}

TEST_F(SettlementWatchTest, SaysWhatACellCameToAndWhatHoldsItBack) {
    const ledger::Period cell = door.books.cell();
    for (const char* app : {"held", "failed"}) {
        ledger::TakeLock lock{.account = "alice", .node = "n1", .app = app, .period = cell};
        lock.amount = ledger::Money(1'000'000);
        ASSERT_TRUE(door.books.holder("alice", lock));
    }
    const auto filed =
        door.books.as({.role = ledger::Role::launcher},
                      ledger::FileAbuse{.node = "n1", .app = "held", .reason = "spam"}, "report");
    ASSERT_TRUE(filed);
    follow();
    door.books.now = ledger::LedgerTime{cell.end} + 2h;
    ASSERT_TRUE(net::run_until(loop, [&] { return overdue("not_judged") == 1; }));
    EXPECT_EQ(overdue("abuse_report"), 1);
    EXPECT_NE(logged().find(R"("event":"ledger.cells_held","cells":1,"oldest":"2026-01-09T13")"),
              std::string::npos)
        << logged();
    ASSERT_TRUE(door.books.server(ledger::SettleMore{.period = ledger::Period{.start = {}, .end = cell.end},
                                                     .pending = ledger::SettleMore::Pending::wait_30_days}));
    watch.look_soon();
    ASSERT_TRUE(net::run_until(loop, [&] { return overdue("not_judged") == 0; }));
    const std::string id = filed->body.substr(filed->body.find("report_id") + 12);
    const std::string said = R"("event":"ledger.cell_held","cell":"2026-01-09T13","passed":0,"failed":1,)"
                             R"("inconclusive":0,"reported":1,"abuse_reports":")" +
                             id.substr(0, id.find('"') + 1);
    EXPECT_NE(logged().find(said), std::string::npos) << logged();
}

}  // namespace
}  // namespace ee::control_plane
