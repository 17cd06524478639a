#include "control_plane/ledger_events.h"

#include <gtest/gtest.h>

#include "ledger/test_ledger.h"

namespace ee::control_plane {
namespace {

using events::Event;
using ledger::Money;

const WallTime now = std::chrono::sys_days{std::chrono::year{2026} / 1 / 10};

// A ledger, and the events of each commit in words.
struct LedgerEventsTest : testing::Test {
    void SetUp() override {
        books.open_everything();
        nodes.apply(all_nodes(books.store, counts, {}), at);
    }

    // Both in one commit.
    std::string commit(std::vector<ledger::Command> commands, ledger::Role role = ledger::Role::admin) {
        ledger::Batch batch(books.store);
        for (ledger::Command& command : commands) {
            ledger::Request request{.caller = {.role = role},
                                    .idempotency_key = "of commit " + std::to_string(++keys),
                                    .method = "POST",
                                    .path = "/test"};
            request.command = std::move(command);
            const auto answer = ledger.apply(batch, request, books.now);
            EXPECT_TRUE(answer) << answer.error().code << " " << answer.error().detail;
        }
        const ledger::Changes changes = batch.take();
        books.store.commit(changes);
        const NodeChanges of_nodes = node_changes_in(changes, counts);
        std::string out;
        for (const Event& event : node_events(nodes, of_nodes, now)) describe(out, event);
        nodes.apply(of_nodes, at);
        for (const Event& event : found.in(changes, now)) describe(out, event);
        return out;
    }
    static void describe(std::string& out, const Event& event) {
        EXPECT_TRUE(events::is_kind(event.kind));
        EXPECT_EQ(event.seq, 0u);
        EXPECT_GT(event.at, WallTime{});
        for (const std::string_view part :
             {std::string_view(event.kind), std::string_view(event.node_id), std::string_view(event.app_name),
              std::string_view(event.code), std::string_view(event.detail), std::string_view(event.data)})
            out.append(part).append(part.empty() ? "" : " ");
        out.append("\n");
    }

    ledger::TestLedger books;
    ledger::Ledger ledger{ledger::Rules{}};
    registry::Nodes known{std::chrono::hours{1}};
    NodeDirectory nodes{known};
    WindowCounts counts{ledger::Grid::hour};
    const Moment at{.mono = {}, .wall = now};
    LedgerEvents found{ledger::Grid::hour};
    int keys = 0;
};

ledger::FileAbuse report(const std::string& app = "") {
    return {.node = "n1", .app = app, .reason = "spam"};
}

TEST_F(LedgerEventsTest, MoneyAloneIsNoEvent) {
    EXPECT_EQ(commit({ledger::Purchase{.account = "alice", .amount = Money(1'000'000)}}), "");
    EXPECT_EQ(commit({ledger::TakeLock{
                  .account = "alice", .node = "n1", .period = books.cell(), .amount = Money(1'000'000)}}),
              "");
}

TEST_F(LedgerEventsTest, ANodeIsRegisteredOnceAndChangesAfterThat) {
    EXPECT_EQ(commit({ledger::TestLedger::node("n2")}),
              "node_registered n2 {\"owner_account\":\"\",\"stake_usd\":\"10\"} \n"
              "node_terms n2 {\"price_usd_per_vcpu_hour\":\"0.05\",\"capacity_vcpus\":\"8\","
              "\"stake_tier\":\"standard\",\"from\":\"2026-01-09T13:00:00Z\"} \n");
    ledger::RegisterNode rotate{.node = "n2"};
    rotate.rotate_token = true;
    rotate.token = ledger::token_of("new");
    EXPECT_EQ(commit({rotate}), "node_token n2 \n");
    EXPECT_EQ(commit({ledger::Ban{.node = "n2", .reason = "fraud"}}), "node_banned n2 fraud \n");
}

TEST_F(LedgerEventsTest, ANewPriceIsOneEvent) {
    ledger::RegisterNode dearer{.node = "n1"};
    dearer.price = Money(70'000);
    EXPECT_EQ(commit({dearer}),
              "node_terms n1 {\"price_usd_per_vcpu_hour\":\"0.07\",\"capacity_vcpus\":\"8\","
              "\"stake_tier\":\"standard\",\"from\":\"2026-01-09T13:00:00Z\"} \n");
}

TEST_F(LedgerEventsTest, NoPriceIsNullAndAPriceOfZeroIsZero) {
    ledger::RegisterNode node{.node = "n3", .capacity_vcpus = 1};
    node.token = ledger::token_of("n3");
    EXPECT_NE(commit({node}).find("{\"price_usd_per_vcpu_hour\":null,"), std::string::npos);
    node.price = Money(0);
    EXPECT_NE(commit({node}).find("{\"price_usd_per_vcpu_hour\":\"0\","), std::string::npos);
}

TEST_F(LedgerEventsTest, AbuseIsFiledThenDecided) {
    const std::string filed = commit({report("app")}, ledger::Role::launcher);
    EXPECT_TRUE(filed.starts_with("abuse_filed n1 app spam {\"report_id\":\"")) << filed;
    const std::uint64_t id = std::stoull(filed.substr(filed.find("report_id") + 12));
    EXPECT_NE(filed.find("\"period\":\"2026-01-09T13\""), std::string::npos) << filed;
    books.now += std::chrono::minutes{1};
    const std::string decided = commit({ledger::DecideAbuse{.report = id, .authorize = false}});
    EXPECT_TRUE(decided.starts_with("abuse_decided n1 app denied spam {\"report_id\":\"")) << decided;
}

TEST_F(LedgerEventsTest, ASlashingTakesStake) {
    const std::string done = commit({ledger::Slash{
        .node = "n1", .cause = "other", .amount = Money(4'000'000), .event_ids = {"e1"}, .reason = "lied"}});
    EXPECT_NE(done.find("node_stake n1 {\"stake_usd\":\"6\"} \n"), std::string::npos) << done;
    EXPECT_NE(done.find("slashed n1 other lied {\"slashing_id\":\""), std::string::npos) << done;
    EXPECT_NE(done.find("\"amount_usd\":\"4\"}"), std::string::npos) << done;
    EXPECT_EQ(std::count(done.begin(), done.end(), '\n'), 2) << done;
}

TEST_F(LedgerEventsTest, APenaltyIsProposedThenDismissed) {
    const std::uint64_t id = books.store.leaf_count() + 1;
    const std::string data = "{\"slashing_id\":\"" + std::to_string(id) + "\",\"amount_usd\":\"10\"} \n";
    EXPECT_EQ(
        commit({ledger::ProposeFraud{.node = "n1", .event_id = "e1", .reason = "relayed", .evidence = "{}"}},
               ledger::Role::server),
        "slashing_proposed n1 attestation_fraud relayed " + data);
    EXPECT_EQ(commit({ledger::DismissSlashing{.slashing = id, .reason = "it was none"}}),
              "slashing_dismissed n1 attestation_fraud it was none " + data);
}

TEST_F(LedgerEventsTest, ASettlementIsOneEventOfEachUnit) {
    commit({ledger::TakeLock{
        .account = "alice", .node = "n1", .app = "a", .period = books.cell(), .amount = Money(1'000'000)}});
    commit({ledger::TakeLock{
        .account = "alice", .node = "n1", .app = "b", .period = books.cell(), .amount = Money(2'000'000)}});
    books.now = ledger::LedgerTime{books.cell().end} + std::chrono::hours{2};
    const ledger::Period all{.start = {}, .end = books.cell().start};
    // Nothing was seen of either: nobody can say, or they failed.
    const std::string first = commit({ledger::SettleMore{.period = all}}, ledger::Role::server);
    EXPECT_EQ(std::count(first.begin(), first.end(), '\n'), 2) << first;
    EXPECT_NE(first.find("settled n1 a "), std::string::npos) << first;
    EXPECT_NE(first.find("settled n1 b "), std::string::npos) << first;
    EXPECT_NE(first.find("\"period\":\"2026-01-09T13\""), std::string::npos) << first;
    // Its transfers, which come in further commits, are none.
    EXPECT_EQ(commit({ledger::SettleMore{.period = all}}, ledger::Role::server), "");
    EXPECT_EQ(commit({ledger::SettleMore{}}, ledger::Role::server), "");
}

TEST_F(LedgerEventsTest, NobodyCanSayIsToldOnceForEachReason) {
    commit({ledger::TakeLock{
        .account = "alice", .node = "n1", .app = "a", .period = books.cell(), .amount = Money(1'000'000)}});
    const std::string key = ledger::UnitName{.cell = books.cell(), .node = "n1", .app = "a"}.key();
    ledger::Unit unit{.outcome = ledger::Outcome::inconclusive, .reasons = {"outage"}};
    const auto told = [&] {
        ledger::Changes changes;
        changes.of(ledger::Table::units) = {{key, unit.encode()}};
        std::string out;
        for (const Event& event : found.in(changes, now)) describe(out, event);
        return out;
    };
    EXPECT_EQ(told(), "settled n1 a inconclusive outage {\"period\":\"2026-01-09T13\"} \n");
    unit.has_usage = true;
    EXPECT_EQ(told(), "");
    unit.reasons.push_back("holes");
    EXPECT_EQ(told(), "settled n1 a inconclusive outage, holes {\"period\":\"2026-01-09T13\"} \n");
}

TEST(StandstillEvent, SaysWhy) {
    const Event event = standstill_event({.code = "ledger_halted", .detail = "sums differ"}, now);
    EXPECT_EQ(event.kind, "ledger_standstill");
    EXPECT_EQ(event.code, "ledger_halted");
    EXPECT_EQ(event.detail, "sums differ");
}

}  // namespace
}  // namespace ee::control_plane
