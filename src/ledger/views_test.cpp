#include "ledger/views.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include "base/base64.h"
#include "ledger/test_ledger.h"

namespace ee::ledger {
namespace {

// Whoever has a node makes its evidence large, and whoever has a cent as many units.
TEST(Views, APieceOfAListEndsBeforeItIsTooLarge) {
    TestLedger ledger;
    ASSERT_NO_FATAL_FAILURE(ledger.open_everything());
    const Period cell = ledger.cell();
    constexpr int units = 64;
    for (int i = 0; i < units; ++i) {
        TakeLock lock{.account = "alice", .node = "n1", .app = fmt::format("app-{}", i), .period = cell};
        lock.amount = Money(1);
        ASSERT_TRUE(ledger.holder("alice", lock));
    }
    ledger.now = LedgerTime{cell.end};
    for (int i = 0; i < units; ++i) {
        Observation seen{
            .type = ObservationType::health_pass, .from = LedgerTime{cell.start}, .to = LedgerTime{cell.end}};
        seen.evidence_url = "https://" + std::string(2000, 'x');
        ASSERT_TRUE(ledger.as({.role = Role::uptime},
                              Observe{.node = "n1", .event_id = fmt::format("e{}", i), .observation = seen}));
    }
    ASSERT_TRUE(ledger.admin(Finalize{.period = cell}));

    const Rules rules;
    const auto views = Views::open(ledger.store, rules, {.role = Role::auditor}, ledger.now);
    constexpr std::size_t mib = 1024 * 1024;
    std::size_t seen = 0, pages = 0;
    for (Page page{.limit = 500}; seen < units; ++pages) {
        const auto shown = views->settlements(cell, std::nullopt, std::nullopt, page);
        ASSERT_TRUE(shown);
        EXPECT_LT(shown->body.size(), 5 * mib);
        simdjson::dom::parser parser;
        const simdjson::dom::element list = parser.parse(shown->body);
        const std::size_t items = list["items"].get_array().value().size();
        ASSERT_GT(items, 0u);
        seen += items;
        std::string_view next;
        if (list["next_cursor"].get(next) != simdjson::SUCCESS) break;
        const auto after = from_base64(next);
        ASSERT_TRUE(after);
        page.after = std::string(as_text(*after));
    }
    EXPECT_EQ(seen, units);
    EXPECT_GT(pages, 1u);
}

}  // namespace
}  // namespace ee::ledger
