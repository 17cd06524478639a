// Abuse: filed by the launcher, decided once by the owner of the network.

#include <fmt/format.h>

#include "ledger/answers.h"
#include "ledger/audit.h"
#include "ledger/books.h"
#include "ledger/evidence.h"
#include "ledger/field_rules.h"
#include "ledger/locks.h"
#include "ledger/nodes.h"
#include "ledger/operations.h"
#include "ledger/slashing.h"

namespace ee::ledger {
namespace {

constexpr std::size_t reason_max = 2000;
constexpr std::size_t name_max = 256;
constexpr std::size_t url_max = 2048;

Result<void> check(const FileAbuse& command) {
    if (auto checked = check_some_text("reason", command.reason, reason_max); !checked) return checked;
    if (auto checked = check_text("reported_by", command.reported_by, name_max); !checked) return checked;
    if (auto checked = check_text("evidence_url", command.evidence_url, url_max); !checked) return checked;
    return check_app(command.app);
}

// Of one node: each holds its money back, and is read whenever one of its cells is settled.
constexpr std::size_t pending_reports_max = 1000;

Result<void> check_count(const Batch& batch, const std::string& node) {
    // Most nodes have fewer in all.
    const std::string prefix = KeyWriter().text(node);
    std::size_t reports = 0;
    batch.scan(Table::abuse_by_node, prefix,
               [&](std::string_view, std::string_view) { return ++reports < pending_reports_max; });
    if (reports < pending_reports_max) return {};
    std::size_t pending = 0;
    for_each_abuse(batch, node, [&](std::uint64_t, const AbuseReport& report) {
        if (report.state == AbuseState::pending) ++pending;
        return pending < pending_reports_max;
    });
    if (pending < pending_reports_max) return {};
    return fail("too_many_reports",
                fmt::format("{} has {} reports that nobody has decided: decide them first", node, pending));
}

Result<Period> period_of(const Context& context, const FileAbuse& command) {
    const Period period = command.period.value_or(cell_at(context.rules.grid, context.now));
    if (const auto cells = count_cells(context.rules.grid, period); !cells) return fail(cells.error());
    if (period.start > context.now)
        return fail("period_not_started", fmt::format("{} has not started", to_text(period)));
    return period;
}

// Proposes to take from the stake what settlements that can't be changed any more paid for what was abused,
// and no claim has had before.
void claim_revenue(Context& context, std::uint64_t id, const AbuseReport& report) {
    Money sum;
    std::vector<std::pair<UnitName, Unit>> claimed;
    const auto step = step_of(context.rules.grid);
    for (Seconds start = report.period.start; start < report.period.end; start += step) {
        context.batch.scan(
            Table::units, UnitName::prefix(start, report.node),
            [&](std::string_view key, std::string_view record) {
                const UnitName name = UnitName::from_key(key, context.rules.grid);
                const Unit unit = Unit::decode(record);
                if (unit.outcome == Outcome::pass && report.touches(name) && unit.claimed.is_zero())
                    claimed.emplace_back(name, unit);
                return true;
            });
    }
    for (auto& [name, unit] : claimed) {
        sum = checked_add(sum, unit.paid).value_or(largest_money);
        unit.claimed = unit.paid;
        save_unit(context.batch, name, unit);
    }
    propose_abuse_claim(context, report.node, id, sum);
}

}  // namespace

void append_abuse(JsonWriter& json, std::uint64_t id, const AbuseReport& report) {
    json.field("report_id", id_text(id)).field("status", to_word(report.state)).field("node_id", report.node);
    json.field_or_null("app_name", report.app);
    json.field("period", to_text(report.period)).field("reason", report.reason);
    json.field_or_null("reported_by", report.reported_by);
    json.field_or_null("evidence_url", report.evidence_url);
    json.field("filed_at", to_text(report.filed_at));
    json.field_or_null("decided_by", report.decided_by);
    json.field_or_null("decided_at", report.state == AbuseState::pending ? "" : to_text(report.decided_at));
}

Result<Answer> perform(Context& context, const FileAbuse& command) {
    if (auto checked = check(command); !checked) return fail(checked.error());
    if (!find_node(context.batch, command.node)) return unknown_node(command.node);
    const auto period = period_of(context, command);
    if (!period) return fail(period.error());
    if (auto counted = check_count(context.batch, command.node); !counted) return fail(counted.error());
    const AbuseReport report{.node = command.node,
                             .app = command.app,
                             .period = *period,
                             .reason = command.reason,
                             .reported_by = command.reported_by,
                             .evidence_url = command.evidence_url,
                             .filed_by = context.principal,
                             .filed_at = context.now};
    const std::uint64_t id = append_call(context) + 1;
    context.batch.put(Table::abuse, AbuseReport::key(id), report.encode());
    context.batch.put(Table::abuse_by_node, AbuseReport::key_by_node(report.node, id), "");
    return object_answer(201, std::nullopt, [&](JsonWriter& json) { append_abuse(json, id, report); });
}

Result<Answer> perform(Context& context, const DecideAbuse& command) {
    if (auto checked = check_text("authorized_by", command.decided_by, name_max); !checked)
        return fail(checked.error());
    const auto record = context.batch.get(Table::abuse, AbuseReport::key(command.report));
    if (!record) return fail("unknown_report", fmt::format("no abuse report is called {}", command.report));
    AbuseReport report = AbuseReport::decode(*record);
    if (report.state != AbuseState::pending)
        return fail("already_decided",
                    fmt::format("it was {} at {}", to_word(report.state), to_text(report.decided_at)));
    if (report.filed_by == context.principal)
        return fail("forbidden", fmt::format("{} filed it; somebody else decides", report.filed_by));
    report.state = command.authorize ? AbuseState::authorized : AbuseState::denied;
    report.decided_by = command.decided_by;
    report.deciding_principal = context.principal;
    report.decided_at = context.now;
    context.batch.put(Table::abuse, AbuseReport::key(command.report), report.encode());
    const std::uint64_t leaf = append_leaf(
        context, LeafKind::abuse_decision,
        {id_text(command.report), report.node, report.app, to_text(report.period), to_word(report.state),
         report.decided_by.empty() ? context.principal : report.decided_by});
    if (command.authorize) claim_revenue(context, command.report, report);
    return object_answer(200, leaf, [&](JsonWriter& json) { append_abuse(json, command.report, report); });
}

}  // namespace ee::ledger
