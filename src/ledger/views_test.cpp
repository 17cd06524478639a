#include "ledger/views.h"

#include <functional>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include "base/base64.h"
#include "ledger/account_name.h"
#include "ledger/test_damaged_store.h"
#include "ledger/test_worker.h"

namespace ee::ledger {
namespace {

// What pieces of a list have, until the last.
struct Pieces {
    std::vector<std::string> cells{};
    std::size_t count = 0;
    std::size_t empty = 0;
};
Pieces settlements_of(const TestLedger& ledger, const Caller& caller, const Period& period,
                      const std::optional<std::string>& node = std::nullopt) {
    const Rules rules;
    const auto views = Views::open(ledger.store, rules, caller, ledger.now).value();
    Pieces out;
    for (Page page{.limit = 500}; out.count < 100;) {
        const auto shown = views.settlements(period, node, std::nullopt, page);
        simdjson::dom::parser parser;
        const simdjson::dom::element list = parser.parse(shown.value().body);
        const simdjson::dom::array items = list["items"];
        for (const simdjson::dom::element item : items)
            out.cells.emplace_back(item["cell"].get_string().value());
        ++out.count;
        if (items.size() == 0) ++out.empty;
        std::string_view next;
        if (list["next_cursor"].get(next) != simdjson::SUCCESS) break;
        page.after = std::string(as_text(from_base64(next).value()));
    }
    return out;
}

// So many of others in each of four hours; in the last, one of alice on n1 and one on n2 between them.
constexpr int foreign_units = 1500;
Period open_units(TestLedger& ledger) {
    Period hours = ledger.cell();
    Changes changes;
    changes.first_leaf = ledger.store.leaf_count();
    for (int hour = 0; hour < 4; ++hour) {
        hours.end = hours.start + std::chrono::hours{hour + 1};
        const Period cell{hours.end - std::chrono::hours{1}, hours.end};
        for (int i = 0; i < foreign_units; ++i)
            changes.of(Table::units)
                .emplace_back(UnitName{cell, i % 2 == 0 ? "m" : "n3", fmt::format("app-{}", i)}.key(),
                              Unit{}.encode());
    }
    ledger.store.commit(changes);
    EXPECT_TRUE(ledger.admin(TestLedger::node("n2")));
    for (const char* node : {"n1", "n2"}) {
        TakeLock lock{
            .account = "alice", .node = node, .period = {hours.end - std::chrono::hours{1}, hours.end}};
        lock.amount = Money(1);
        EXPECT_TRUE(ledger.holder("alice", lock));
    }
    return hours;
}

TEST(Views, APieceOfAListEndsWhereItHasPassedManyUnitsOver) {
    TestLedger ledger;
    ASSERT_NO_FATAL_FAILURE(ledger.open_everything());
    const Period hours = open_units(ledger);
    const Pieces alice = settlements_of(ledger, {.role = Role::holder, .token = token_of("alice")}, hours);
    EXPECT_EQ(alice.cells, (std::vector<std::string>{"2026-01-09T16", "2026-01-09T16"}));
    EXPECT_EQ(alice.count, 4u);
    EXPECT_EQ(alice.empty, 3u);
    const Pieces bob = settlements_of(ledger, {.role = Role::holder, .token = token_of("bob")}, hours);
    EXPECT_TRUE(bob.cells.empty());
    EXPECT_EQ(bob.count, 4u);
    EXPECT_EQ(settlements_of(ledger, {.role = Role::admin}, hours).cells.size(), 4u * foreign_units + 2);
    const Period first = ledger.cell();
    EXPECT_EQ(settlements_of(ledger, {.role = Role::admin}, first).cells.size(), foreign_units) << "no later";
}

TEST(Views, ANodesUnitsAreFoundWithoutLookingAtOthers) {
    TestLedger ledger;
    ASSERT_NO_FATAL_FAILURE(ledger.open_everything());
    const Period hours = open_units(ledger);
    for (const char* node : {"n1", "n2"}) {
        const Caller itself{.role = Role::holder, .token = token_of(node)};
        for (const auto& [caller, filter] :
             {std::pair{itself, std::optional<std::string>()},
              {Caller{.role = Role::auditor}, std::optional<std::string>(node)}}) {
            const Pieces found = settlements_of(ledger, caller, hours, filter);
            EXPECT_EQ(found.cells, (std::vector<std::string>{"2026-01-09T16"})) << node;
            EXPECT_EQ(found.count, 1u) << node;
        }
    }
    const Caller n1{.role = Role::holder, .token = token_of("n1")};
    EXPECT_TRUE(settlements_of(ledger, n1, hours, "n2").cells.empty());
    EXPECT_EQ(settlements_of(ledger, {.role = Role::auditor}, hours, "m").cells.size(), 2u * foreign_units);
}

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

template <class Shown>
std::string code_of(const Shown& shown) {
    return shown ? "" : shown.error().code;
}

// alice has a lock on n1.
class ViewsOfCallers : public testing::Test {
protected:
    void SetUp() override {
        ASSERT_NO_FATAL_FAILURE(ledger.open_everything());
        ASSERT_TRUE(ledger.admin(TestLedger::node("n2")));
        const auto taken = ledger.holder(
            "alice", TakeLock{.account = "alice", .node = "n1", .period = ledger.cell(), .amount = Money(1)});
        ASSERT_TRUE(taken);
        lock = *taken->leaf_index + 1;
    }
    Views as(const Caller& caller) const {
        return Views::open(ledger.store, rules, caller, ledger.now).value();
    }
    Views as(std::string_view token) const { return as({.role = Role::holder, .token = token_of(token)}); }

    const Rules rules;
    TestLedger ledger;
    std::uint64_t lock = 0;
};

TEST_F(ViewsOfCallers, EachSeesTheirOwn) {
    const Page page;
    const struct {
        const char* what;
        std::function<std::string(const Views&)> ask;
        std::vector<std::string_view> seen_by;  // besides the admin and the auditor
        const char* refusal = "forbidden";
    } rows[] = {
        {"an account", [](auto& v) { return code_of(v.balance("alice", std::nullopt)); }, {"alice"}},
        {"a node's", [](auto& v) { return code_of(v.balance("node:n1", std::nullopt)); }, {"n1"}},
        {"its stake", [](auto& v) { return code_of(v.balance("stake:n1", std::nullopt)); }, {"n1"}},
        {"entries", [&](auto& v) { return code_of(v.entries("alice", page)); }, {"alice"}},
        {"a node's entries", [&](auto& v) { return code_of(v.entries("node:n1", page)); }, {"n1"}},
        {"a lock", [&](auto& v) { return code_of(v.lock(lock)); }, {"alice", "n1"}, "unknown_lock"},
        {"a node", [](auto& v) { return code_of(v.node("n1")); }, {"n1"}},
        {"nodes", [&](auto& v) { return code_of(v.nodes(page)); }, {}},
        {"settlements",
         [&](auto& v) { return code_of(v.settlements(ledger.cell(), std::nullopt, std::nullopt, page)); },
         {"alice", "bob", "n1", "n2"}},
        {"abuse reports", [&](auto& v) { return code_of(v.abuse_reports(std::nullopt, page)); }, {}},
        {"slashings", [&](auto& v) { return code_of(v.slashings(std::nullopt, page)); }, {}},
        {"calls", [&](auto& v) { return code_of(v.calls(page)); }, {}},
        {"leaves", [&](auto& v) { return code_of(v.leaves(page)); }, {}},
    };
    for (const auto& row : rows) {
        for (const Role role : {Role::admin, Role::auditor}) EXPECT_EQ(row.ask(as({.role = role})), "");
        EXPECT_EQ(row.ask(as({.role = Role::uptime})), row.refusal) << row.what;
        for (const std::string_view holder : {"alice", "bob", "n1", "n2"})
            EXPECT_EQ(row.ask(as(holder)), std::ranges::count(row.seen_by, holder) > 0 ? "" : row.refusal)
                << row.what << " by " << holder;
    }
    const Caller stranger{.role = Role::holder, .token = token_of("carol")};
    EXPECT_EQ(code_of(Views::open(ledger.store, rules, stranger, ledger.now)), "unauthorized");
}

TEST_F(ViewsOfCallers, OnlyTheAdminTriesASettlement) {
    ledger.now = LedgerTime{ledger.cell().end};
    const Finalize command{.period = {ledger.cell().start - std::chrono::hours(1), ledger.cell().start}};
    EXPECT_EQ(code_of(as({.role = Role::admin}).dry_run(command)), "");
    EXPECT_EQ(code_of(as({.role = Role::auditor}).dry_run(command)), "forbidden");
    EXPECT_EQ(code_of(as("alice").dry_run(command)), "forbidden");
}

TEST_F(ViewsOfCallers, ALongListComesInPieces) {
    for (std::uint64_t id : {1U, 2U}) {
        const std::string key = KeyWriter().number(id);
        ledger.put(Table::abuse, key, AbuseReport{.node = "n1"}.encode());
        ledger.put(Table::slashings, key, Slashing{.node = "n1"}.encode());
    }
    const Views views = as({.role = Role::auditor});
    const auto calls = views.calls({.limit = 1});
    EXPECT_EQ(calls->calls.size(), 1U);
    EXPECT_TRUE(calls->next);
    const Page one{.limit = 1};
    const std::pair<const char*, Result<std::string>> lists[] = {
        {"entries", views.entries("alice", one)},
        {"nodes", views.nodes(one)},
        {"abuse reports", views.abuse_reports(std::nullopt, one)},
        {"slashings", views.slashings(std::nullopt, one)},
        {"leaves", views.leaves(one)},
    };
    for (const auto& [what, list] : lists) {
        ASSERT_TRUE(list) << what;
        simdjson::dom::parser parser;
        const simdjson::dom::element shown = parser.parse(*list);
        EXPECT_EQ(shown["items"].get_array().value().size(), 1U) << what;
        EXPECT_TRUE(shown["next_cursor"].is_string()) << what;
    }
}

TEST_F(ViewsOfCallers, APeriodIsOfWholeCells) {
    Period period = ledger.cell();
    period.end -= std::chrono::minutes(1);
    const auto shown = as("alice").settlements(period, std::nullopt, std::nullopt, Page{});
    EXPECT_EQ(code_of(shown), "period_not_on_grid");
}

TEST_F(ViewsOfCallers, ALeafThatCantBeReadIsDamage) {
    for (const auto& damaged : {std::optional<std::string>{}, std::optional<std::string>("leaf")}) {
        DamagedStore store(copy_of(ledger.store));
        store.leaves[0] = damaged;
        const auto views = Views::open(store, rules, {.role = Role::auditor}, ledger.now);
        EXPECT_THROW(static_cast<void>(views->leaves(Page{})), DamagedRecord);
    }
}

TEST(Views, TheNetworksOwnAccountsAreThereFromTheBeginning) {
    TestLedger ledger;
    const Rules rules;
    const auto views = Views::open(ledger.store, rules, {.role = Role::auditor}, ledger.now);
    for (const std::string_view name : {issued_account, slashed_account}) {
        EXPECT_EQ(views->balance(name, std::nullopt).value(),
                  fmt::format(R"({{"account_id":"{}","available_usd":"0","locked_usd":"0","total_usd":"0",)"
                              R"("as_of_seq":{}}})",
                              name, ledger.store.leaf_count()));
        EXPECT_TRUE(views->balance(name, ledger.now));
        EXPECT_EQ(views->entries(name, Page{}).value(), R"({"items":[],"next_cursor":null})");
    }
    for (const std::string_view name : {"alice", "node:n1", "@other"})
        EXPECT_EQ(views->balance(name, std::nullopt).error().code, "unknown_account") << name;
}

}  // namespace
}  // namespace ee::ledger
