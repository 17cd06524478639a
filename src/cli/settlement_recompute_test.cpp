#include <fstream>

#include <gtest/gtest.h>

#include "base/hex.h"
#include "cli/eectl_run.h"
#include "crypto/digest.h"
#include "ledger/outcome.h"
#include "ledger/test_log.h"

namespace ee::cli {
namespace {

using ledger::LedgerTime;

// A cell in which every window passed.
ledger::UnitEvidence good_cell() {
    ledger::UnitEvidence evidence;
    evidence.unit = {.cell = *ledger::parse_period("2026-01-09T13"), .node = "n1", .app = "myapp"};
    evidence.judged_at = LedgerTime{evidence.unit.cell.end} + std::chrono::hours(1);
    evidence.held_standing = true;
    ledger::Slot slot{.attested_at = LedgerTime{evidence.unit.cell.start}, .window_s = 60};
    slot.windows.assign(60, static_cast<char>(ledger::Window::pass));
    evidence.slots.push_back({.app = "myapp", .agent = "a1", .slot = slot});
    return evidence;
}

// Of two locks, one of which was drawn on.
std::string transfers_of(const std::string& outcome) {
    return std::string(R"({"amount_usd":"1","drawn_usd":"0.15","paid_usd":")") +
           (outcome == "pass" ? R"(0.15","returned_usd":"0.85"})" : R"(0","returned_usd":"1"})") +
           R"(,{"amount_usd":"1","drawn_usd":"0","paid_usd":"0","returned_usd":"1"})";
}

std::string item_of(const ledger::UnitEvidence& evidence, const std::string& outcome,
                    const std::string& reasons, const std::string& sha256 = {}) {
    const std::string bundle = to_json(evidence);
    return R"({"cell":"2026-01-09T13","node_id":"n1","app_name":"myapp","outcome":")" + outcome +
           R"(","reasons":[)" + reasons + R"(],"evidence_sha256":")" +
           (sha256.empty() ? to_hex(crypto::sha256(as_bytes(bundle))) : sha256) + R"(","paid_usd":")" +
           (outcome == "pass" ? "0.15" : "0") + R"(","returned_usd":")" +
           (outcome == "pass"   ? "1.85"
            : outcome == "fail" ? "2"
                                : "0") +
           R"(","evidence":)" + bundle + R"(,"transfers":[)" +
           (outcome == "inconclusive" ? "" : transfers_of(outcome)) + R"(],"transfers_complete":true})";
}

// Before it is judged.
constexpr std::string_view open_item =
    R"({"cell":"2026-01-09T13","node_id":"n1","app_name":null,"outcome":"open","reasons":[],"paid_usd":"0",)"
    R"("returned_usd":"0","uncollected_usd":"0.1","evidence_sha256":null,"settled_at":null,"moving":false,)"
    R"("evidence":null,"transfers":[],"transfers_complete":true})";

std::string with(std::string_view text, std::string_view what, std::string_view instead) {
    std::string out(text);
    const std::size_t at = out.find(what);
    EXPECT_NE(at, std::string::npos) << what << " in " << text;
    return at == std::string::npos ? out : out.replace(at, what.size(), instead);
}

// Of a leaf that is no settlement.
std::string receipt_of_another_leaf() {
    ledger::test::SaltedLog log;
    log.append_log_key();
    log.append(ledger::test::entry_leaf("alice"));
    return receipt_json(log.receipt(1, 0));
}

EectlRun recompute(const std::string& content, bool json = false) {
    const TemporaryFolder folder;
    std::ofstream(folder.file("bundle")) << content;
    std::vector<std::string> arguments = {"settlement", "recompute", folder.file("bundle")};
    if (json) arguments.emplace_back("--json");
    return eectl(arguments);
}

void expect_difference(const std::string& content, std::string_view says) {
    const EectlRun run = recompute(content);
    EXPECT_EQ(run.code, exit_refused) << says << "\n" << run.out << run.err;
    EXPECT_NE(run.out.find(says), std::string::npos) << says << "\n" << run.out << run.err;
}

TEST(SettlementRecompute, TellsAnotherOutcomeFromTheSame) {
    ledger::UnitEvidence missed = good_cell(), hole = good_cell(), other_node = good_cell();
    missed.slots[0].slot.windows[7] = static_cast<char>(ledger::Window::miss);
    hole.slots[0].slot.windows[7] = static_cast<char>(ledger::Window::hole);
    other_node.unit.node = "n2";
    struct Row {
        std::string content;
        int code;
        const char* says;
    };
    const Row rows[] = {
        {item_of(good_cell(), "pass", ""), exit_good, "2026-01-09T13 n1 myapp  pass []\n"},
        {to_json(good_cell()), exit_good, "pass []"},
        {to_json(missed), exit_good, "fail [health_miss]"},
        {item_of(missed, "fail", R"("health_miss")"), exit_good, "fail [health_miss]"},
        {item_of(missed, "pass", ""), exit_refused,
         "BUT outcome_mismatch: it comes to fail [health_miss], recorded is pass []"},
        {item_of(good_cell(), "fail", R"("health_miss")"), exit_refused,
         "BUT outcome_mismatch: it comes to pass [], recorded is fail [health_miss]"},
        {item_of(missed, "fail", R"("attest_miss")"), exit_refused, "BUT outcome_mismatch"},
        {item_of(hole, "inconclusive", R"("hole")"), exit_good, "inconclusive [hole]"},
        {item_of(hole, "pass", R"("resolved: seen elsewhere")"), exit_good, "pass by the admin"},
        // The admin can't decide what the evidence has.
        {item_of(missed, "pass", R"("resolved: seen elsewhere")"), exit_refused, "BUT outcome_mismatch"},
        {item_of(good_cell(), "pass", "", std::string(64, '0')), exit_refused,
         "BUT evidence_mismatch: its digest is"},
        {item_of(other_node, "pass", ""), exit_refused,
         "BUT unit_mismatch: it is recorded for 2026-01-09T13 n1 myapp"},
        {R"({"items":[],"next_cursor":null})", exit_good, "No unit in it has been judged."},
        {R"({"items":[)" + std::string(open_item) + "]}", exit_good, "No unit"},
        {R"({"items":[)" + item_of(good_cell(), "pass", "") + "," + item_of(missed, "pass", "") + "]}",
         exit_refused, "pass []\n2026-01-09T13 n1 myapp  fail [health_miss]  BUT"},
    };
    for (const Row& row : rows) {
        const EectlRun run = recompute(row.content);
        EXPECT_EQ(run.code, row.code) << row.says << run.err;
        EXPECT_NE(run.out.find(row.says), std::string::npos) << row.says << "\n" << run.out;
    }
}

TEST(SettlementRecompute, TransfersFollowFromTheOutcome) {
    struct Row {
        const char* what;
        const char* instead;
        const char* says;
    };
    const Row rows[] = {
        {R"("drawn_usd":"0.15")", R"("drawn_usd":"0.25")", "transfers_mismatch:0: "},
        {R"("paid_usd":"0.15","returned_usd":"0.85")", R"("paid_usd":"0.25","returned_usd":"0.75")",
         "transfers_mismatch:0: of 1 USD, 0.15 drawn, a pass pays 0.15; recorded are 0.25 paid, 0.75 "
         "returned"},
        {R"("returned_usd":"0.85")", R"("returned_usd":"0.84")", "transfers_mismatch:0: "},
        {R"({"amount_usd":"1","drawn_usd":"0",)", R"({"amount_usd":"2","drawn_usd":"0",)",
         "transfers_mismatch:1: "},
        {R"("paid_usd":"0.15","returned_usd":"1.85")", R"("paid_usd":"0.16","returned_usd":"1.85")",
         "transfers_mismatch:paid_usd: the transfers come to 0.15 USD, recorded are 0.16"},
        {R"("paid_usd":"0.15","returned_usd":"1.85")", R"("paid_usd":"0.15","returned_usd":"2.85")",
         "transfers_mismatch:returned_usd: "},
        {R"(,{"amount_usd":"1","drawn_usd":"0","paid_usd":"0","returned_usd":"1"})", "",
         "transfers_mismatch:returned_usd: "},
        {R"("app_name":"myapp","outcome")", R"("app_name":null,"outcome")", "unit_mismatch: "},
    };
    for (const Row& row : rows)
        expect_difference(with(item_of(good_cell(), "pass", ""), row.what, row.instead), row.says);
}

// The log's leaf proves the sums; without it only that they are no less is known.
TEST(SettlementRecompute, SaysWhichTransfersAreNotComparedWhereNotAllAreShown) {
    ledger::UnitEvidence missed = good_cell();
    missed.slots[0].slot.windows[7] = static_cast<char>(ledger::Window::miss);
    const std::string all_but_one = with(
        item_of(good_cell(), "pass", ""),
        R"(,{"amount_usd":"1","drawn_usd":"0","paid_usd":"0","returned_usd":"1"}],"transfers_complete":true)",
        R"(],"transfers_complete":false)");
    const std::string failed = with(item_of(missed, "fail", R"("health_miss")"),
                                    R"("transfers_complete":true)", R"("transfers_complete":false)");
    const EectlRun run = recompute(all_but_one);
    EXPECT_EQ(run.code, exit_good);
    EXPECT_EQ(run.out,
              "2026-01-09T13 n1 myapp  pass []  NOT COMPARED: transfers but the 1 that are shown, and their "
              "sums: 0.15 USD paid, 1.85 returned\n")
        << run.err;
    EXPECT_NE(recompute(all_but_one, true)
                  .out.find(R"("difference":null,"not_compared":"transfers but the 1 that are shown, and)"),
              std::string::npos);
    EXPECT_EQ(recompute(with(all_but_one, R"("returned_usd":"1.85")", R"("returned_usd":"999")")).code,
              exit_good);
    EXPECT_EQ(recompute(failed).code, exit_good);
    const std::pair<std::string, const char*> rows[] = {
        {with(all_but_one, R"("paid_usd":"0.15","returned_usd":"1.85")",
              R"("paid_usd":"0.14","returned_usd":"1.85")"),
         "transfers_mismatch:paid_usd: the transfers that are shown come to 0.15 USD, recorded are 0.14"},
        {with(all_but_one, R"("returned_usd":"1.85")", R"("returned_usd":"0.84")"),
         "transfers_mismatch:returned_usd: "},
        // Whatever is not shown: one that failed pays nothing.
        {with(failed, R"("paid_usd":"0","returned_usd":"2")", R"("paid_usd":"999","returned_usd":"2")"),
         "transfers_mismatch:paid_usd: the transfers come to 0 USD, recorded are 999"},
    };
    for (const auto& [item, says] : rows) expect_difference(item, says);
}

TEST(SettlementRecompute, OfAUnitThatIsNotSettledNothingMoves) {
    ledger::UnitEvidence hole = good_cell();
    hole.slots[0].slot.windows[7] = static_cast<char>(ledger::Window::hole);
    const std::string item = item_of(hole, "inconclusive", R"("hole")");
    const std::string incomplete =
        with(item, R"("transfers_complete":true)", R"("transfers_complete":false)");
    const std::pair<std::string, const char*> rows[] = {
        {with(item, R"("paid_usd":"0")", R"("paid_usd":"5")"), "transfers_mismatch:paid_usd"},
        {with(incomplete, R"("returned_usd":"0")", R"("returned_usd":"5")"),
         "transfers_mismatch:returned_usd"},
        {with(item, R"("transfers":[])", R"("transfers":[)" + transfers_of("fail") + "]"),
         "transfers_mismatch:0: of a unit that is inconclusive nothing moves"},
    };
    for (const auto& [changed, says] : rows) expect_difference(changed, says);
}

TEST(SettlementRecompute, WhatIsRecordedWithoutEvidenceIsADifference) {
    const auto list = [](const std::string& items) { return R"({"items":[)" + items + "]}"; };
    std::string settled = with(open_item, R"("outcome":"open")", R"("outcome":"pass")");
    settled = with(settled, R"("paid_usd":"0")", R"("paid_usd":"99")");
    struct Row {
        std::string content;
        const char* says;
    };
    const Row rows[] = {
        {list(settled), "2026-01-09T13 n1  open []  BUT evidence_missing: recorded are pass [], 99 USD paid"},
        {list(item_of(good_cell(), "pass", "") + "," + settled), "open []  BUT evidence_missing: "},
        {list(with(open_item, R"("outcome":"open")", R"("outcome":"inconclusive")")), "evidence_missing: "},
        {list(with(open_item, R"("settled_at":null)", R"("settled_at":"2026-01-09T15:00:00Z")")),
         "evidence_missing: "},
        {list(with(open_item, R"("paid_usd":"0")", R"("paid_usd":"0.2")")), "evidence_missing: "},
        {list(with(open_item, R"("returned_usd":"0")", R"("returned_usd":"0.2")")), "evidence_missing: "},
        {list(with(open_item, R"("reasons":[])", R"("reasons":["hole"])")), "evidence_missing: "},
        {list(with(open_item, R"("evidence_sha256":null)", R"("evidence_sha256":"00")")),
         "evidence_missing: "},
        {list(with(open_item, R"("transfers":[])", R"("transfers":[)" + transfers_of("fail") + "]")),
         "evidence_missing: "},
        {R"({"items":[)" + std::string(open_item) + R"(],"receipt":)" + receipt_of_another_leaf() + "}",
         "evidence_missing: recorded are open [], 0 USD paid and 0 returned, with a receipt"},
    };
    for (const Row& row : rows) expect_difference(row.content, row.says);
}

TEST(SettlementRecompute, RefusesWhatIsNoBundle) {
    const auto without = [](std::string_view member) {
        std::string item = item_of(good_cell(), "fail", "");
        const std::size_t at = item.find(member);
        EXPECT_NE(at, std::string::npos) << member << " in " << item;
        return item.erase(at, member.size());
    };
    std::string later = to_json(good_cell());
    later.replace(later.find(R"("rule_version":1)"), 16, R"("rule_version":9)");
    const std::pair<std::string, const char*> rows[] = {
        {"", "evidence_invalid:/"},
        {"[]", "evidence_invalid:/"},
        {"{}", "evidence_invalid:/"},
        {R"({"items":[{"evidence":{}}]})", "evidence_invalid:/"},
        {later, "rule_version_unsupported"},
        {without(R"("cell":"2026-01-09T13",)"), "settlement_invalid:cell"},
        {without(R"("returned_usd":"2",)"), "settlement_invalid:returned_usd"},
        {without(R"("paid_usd":"0","returned_usd":"2",)"), "settlement_invalid:paid_usd"},
        {without(R"(,"transfers_complete":true)"), "settlement_invalid:transfers_complete"},
        {without(R"("amount_usd":"1",)"), "settlement_invalid:amount_usd"},
        {R"({"items":[)" + item_of(good_cell(), "pass", "") + R"(],"receipt":{}})", "receipt_malformed:/"},
        // It would prove one of them, and nobody knows which.
        {R"({"items":[],"receipt":{}})", "settlement_invalid:receipt"},
        {R"({"items":[)" + item_of(good_cell(), "pass", "") + "," + std::string(open_item) +
             R"(],"receipt":{}})",
         "settlement_invalid:receipt"},
        {with(open_item, R"("outcome":"open",)", ""), "settlement_invalid:outcome"}};
    for (const auto& [content, says] : rows) {
        const EectlRun run = recompute(content);
        EXPECT_EQ(run.code, exit_refused);
        EXPECT_NE(run.err.find(says), std::string::npos) << says << "\n" << run.err;
    }
    EXPECT_EQ(eectl({"settlement", "recompute", "/nowhere"}).code, exit_usage);
    EXPECT_EQ(eectl({"settlement", "recompute"}).code, exit_usage);
}

TEST(SettlementRecompute, SaysTheSameAsJson) {
    EXPECT_EQ(recompute(item_of(good_cell(), "pass", ""), true).out,
              R"({"units":[{"unit":"2026-01-09T13 n1 myapp","outcome":"pass","reasons":[],"difference":null,)"
              R"("not_compared":null}]})"
              "\n");
    const EectlRun run = recompute(item_of(good_cell(), "fail", ""), true);
    EXPECT_EQ(run.code, exit_refused);
    EXPECT_NE(run.out.find(R"("difference":"outcome_mismatch: it comes to pass [], recorded is fail []")"),
              std::string::npos)
        << run.out;
}

}  // namespace
}  // namespace ee::cli
