#include <fstream>

#include <gtest/gtest.h>

#include "base/hex.h"
#include "cli/eectl_run.h"
#include "crypto/digest.h"
#include "ledger/outcome.h"

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

std::string item_of(const ledger::UnitEvidence& evidence, const std::string& outcome,
                    const std::string& reasons, const std::string& sha256 = {}) {
    const std::string bundle = to_json(evidence);
    return R"({"cell":"2026-01-09T13","node_id":"n1","app_name":"myapp","outcome":")" + outcome +
           R"(","reasons":[)" + reasons + R"(],"evidence_sha256":")" +
           (sha256.empty() ? to_hex(crypto::sha256(as_bytes(bundle))) : sha256) + R"(","evidence":)" +
           bundle + "}";
}

EectlRun recompute(const std::string& content, bool json = false) {
    const TemporaryFolder folder;
    std::ofstream(folder.file("bundle")) << content;
    std::vector<std::string> arguments = {"settlement", "recompute", folder.file("bundle")};
    if (json) arguments.emplace_back("--json");
    return eectl(arguments);
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
        {item_of(missed, "pass", ""), exit_refused, "BUT recorded is pass []"},
        {item_of(good_cell(), "fail", R"("health_miss")"), exit_refused,
         "BUT recorded is fail [health_miss]"},
        {item_of(missed, "fail", R"("attest_miss")"), exit_refused, "BUT recorded is fail [attest_miss]"},
        {item_of(hole, "inconclusive", R"("hole")"), exit_good, "inconclusive [hole]"},
        {item_of(hole, "pass", R"("resolved: seen elsewhere")"), exit_good, "pass by the admin"},
        // The admin can't decide what the evidence has.
        {item_of(missed, "pass", R"("resolved: seen elsewhere")"), exit_refused, "BUT recorded is pass"},
        {item_of(good_cell(), "pass", "", std::string(64, '0')), exit_refused, "BUT its digest is"},
        {item_of(other_node, "pass", ""), exit_refused, "BUT it is recorded for 2026-01-09T13 n1 myapp"},
        {R"({"items":[],"next_cursor":null})", exit_good, "No unit in it has been judged."},
        {R"({"items":[{"cell":"2026-01-09T13","outcome":"open","evidence":null}]})", exit_good, "No unit"},
        {R"({"items":[)" + item_of(good_cell(), "pass", "") + "," + item_of(missed, "pass", "") + "]}",
         exit_refused, "pass []\n2026-01-09T13 n1 myapp  fail [health_miss]  BUT"},
    };
    for (const Row& row : rows) {
        const EectlRun run = recompute(row.content);
        EXPECT_EQ(run.code, row.code) << row.says << run.err;
        EXPECT_NE(run.out.find(row.says), std::string::npos) << row.says << "\n" << run.out;
    }
}

TEST(SettlementRecompute, RefusesWhatIsNoBundle) {
    std::string later = to_json(good_cell());
    later.replace(later.find(R"("rule_version":1)"), 16, R"("rule_version":9)");
    const std::pair<std::string, const char*> rows[] = {
        {"", "evidence_invalid:/"},
        {"[]", "evidence_invalid:/"},
        {"{}", "evidence_invalid:/"},
        {R"({"items":[{"evidence":{}}]})", "evidence_invalid:/"},
        {later, "rule_version_unsupported"}};
    for (const auto& [content, says] : rows) {
        const EectlRun run = recompute(content);
        EXPECT_EQ(run.code, exit_refused);
        EXPECT_NE(run.err.find(says), std::string::npos) << says << "\n" << run.err;
    }
    EXPECT_EQ(eectl({"settlement", "recompute", "/nowhere"}).code, exit_refused);
    EXPECT_EQ(eectl({"settlement", "recompute"}).code, exit_usage);
}

TEST(SettlementRecompute, SaysTheSameAsJson) {
    EXPECT_EQ(
        recompute(item_of(good_cell(), "pass", ""), true).out,
        R"({"units":[{"unit":"2026-01-09T13 n1 myapp","outcome":"pass","reasons":[],"difference":null}]})"
        "\n");
    const EectlRun run = recompute(item_of(good_cell(), "fail", ""), true);
    EXPECT_EQ(run.code, exit_refused);
    EXPECT_NE(run.out.find(R"("difference":"recorded is fail []")"), std::string::npos) << run.out;
}

}  // namespace
}  // namespace ee::cli
