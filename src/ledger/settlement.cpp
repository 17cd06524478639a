#include "ledger/settlement.h"

#include <functional>
#include <limits>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/hex.h"
#include "ledger/answers.h"
#include "ledger/audit.h"
#include "ledger/books.h"
#include "ledger/evidence.h"
#include "ledger/field_rules.h"
#include "ledger/kept_evidence.h"
#include "ledger/locks.h"
#include "ledger/nodes.h"
#include "ledger/operations.h"

namespace ee::ledger {
namespace {

constexpr std::size_t everything = std::numeric_limits<std::size_t>::max();
constexpr std::size_t outcomes_shown_max = 500;
constexpr std::size_t reason_max = 256;

// The outcome stands from here on; what it moves is certain, and follows.
void decide(Context& context, const UnitName& name, Unit unit, const UnitEvidence& evidence,
            Judgement judgement) {
    unit.outcome = judgement.outcome;
    unit.reasons = std::move(judgement.reasons);
    unit.settled_at = context.now;
    keep_evidence(context.batch, unit, evidence);
    const HeldMoney held = held_money_of(context.batch, name);
    unit.paid = unit.outcome == Outcome::pass ? held.drawn : Money{};
    unit.returned = checked_subtract(held.locked, unit.paid).value();
    unit.moving = held.locks > 0;
    unit.settlement_leaf = append_leaf(
        context, LeafKind::settlement,
        {to_text(name.cell), name.node, name.app, to_word(unit.outcome), reasons_text(unit.reasons),
         unit.paid.micro(), unit.returned.micro(), rule_version, *unit.evidence_sha256});
    save_unit(context.batch, name, unit);
    close_unit(context.batch, name);
    if (unit.moving) context.batch.put(Table::moving_units, name.key(), "");
}

// Whether it says what the unit was judged by before, but for when that was.
bool is_known(const Batch& batch, const Unit& unit, UnitEvidence evidence) {
    const std::string json = evidence_json(batch, unit);
    const auto known = evidence_from_json(json);
    if (!known) return false;
    evidence.judged_at = known->judged_at;
    evidence.log_size = known->log_size;
    evidence.checkpoint = known->checkpoint;
    return to_json(evidence) == json;
}

// Still nobody can say: kept for who asks, judged anew at the next call.
void keep_inconclusive(Context& context, const UnitName& name, Unit unit, const UnitEvidence& evidence,
                       Judgement judgement) {
    if (unit.outcome == Outcome::inconclusive && unit.reasons == judgement.reasons &&
        is_known(context.batch, unit, evidence))
        return;
    unit.outcome = Outcome::inconclusive;
    unit.reasons = std::move(judgement.reasons);
    keep_evidence(context.batch, unit, evidence);
    save_unit(context.batch, name, unit);
}

bool waits_for_abuse(const Context& context, const UnitEvidence& evidence, SettleMore::Pending pending) {
    using enum SettleMore::Pending;
    if (pending == judge || evidence.find_abuse(AbuseState::pending) == nullptr) return false;
    return pending == wait || context.now < evidence.unit.cell.end + inconclusive_max;
}

void judge_unit(Context& context, const UnitName& name, SettleMore::Pending pending) {
    const Unit unit = expect_record(find_unit(context.batch, name), "an open unit");
    const UnitEvidence evidence = gather(context.batch, name, unit, context.now);
    if (waits_for_abuse(context, evidence, pending)) return;
    Judgement judgement = judge(evidence);
    if (judgement.outcome == Outcome::inconclusive)
        keep_inconclusive(context, name, unit, evidence, std::move(judgement));
    else
        decide(context, name, unit, evidence, std::move(judgement));
}

// Open units of ended cells in the period, from the key `from` on, at most `most`.
std::vector<UnitName> open_units_of(const Context& context, const Period& period, std::string_view node,
                                    std::string_view from, std::size_t most) {
    std::vector<UnitName> units;
    const std::string first = from.empty() ? UnitName::prefix(period.start) : std::string(from);
    context.batch.scan_from(Table::open_units, first, [&](std::string_view key, std::string_view) {
        if (units.size() == most) return false;
        UnitName name = UnitName::from_key(key, context.rules.grid);
        if (name.cell.start >= period.end || name.cell.end > context.now) return false;
        if (node.empty() || name.node == node) units.push_back(std::move(name));
        return true;
    });
    return units;
}

Result<void> check_no_pending_abuse(const Context& context, const UnitName& name) {
    const auto pending = pending_abuse_of(context.batch, name);
    if (!pending) return {};
    return fail("abuse_pending",
                fmt::format("abuse report {} touches {} in {} and is not decided; decide it, or "
                            "send \"allow_pending\": true",
                            *pending, name.node, to_text(name.cell)));
}

Result<void> check_no_pending_abuse(const Context& context, const Finalize& command) {
    for (const UnitName& name : open_units_of(context, command.period, command.node, "", everything)) {
        if (auto checked = check_no_pending_abuse(context, name); !checked) return checked;
    }
    return {};
}

// Units of a period, settled or not, in their order: cell, node, app.
void for_each_unit(const Batch& batch, Grid grid, const Period& period, std::string_view node,
                   const std::function<bool(const UnitName&, const Unit&)>& visit) {
    batch.scan_from(Table::units, UnitName::prefix(period.start),
                    [&](std::string_view key, std::string_view record) {
                        const UnitName name = UnitName::from_key(key, grid);
                        if (name.cell.start >= period.end) return false;
                        return (!node.empty() && name.node != node) || visit(name, Unit::decode(record));
                    });
}

Answer list_outcomes(Context& context, const Finalize& command) {
    Answer answer{.status = 200};
    std::size_t count = 0;
    std::optional<std::uint64_t> only_leaf;
    JsonWriter json(answer.body);
    json.begin_object().field("period", to_text(command.period)).key("outcomes").begin_array();
    for_each_unit(context.batch, context.rules.grid, command.period, command.node,
                  [&](const UnitName& name, const Unit& unit) {
                      if (++count > outcomes_shown_max) return false;
                      json.begin_object();
                      append_unit(json, name, unit);
                      json.end_object();
                      if (unit.is_settled()) only_leaf = unit.settlement_leaf;
                      return true;
                  });
    json.end_array().field("complete", count <= outcomes_shown_max).end_object();
    // One outcome has its own leaf; of several the call's is the proof.
    const std::uint64_t call = append_call(context);
    answer.leaf_index = count == 1 && only_leaf ? *only_leaf : call;
    return answer;
}

// The locks of one decided unit end; whether all did.
bool move_unit(Context& context, const UnitName& name, std::size_t& locks_left) {
    Unit unit = expect_record(find_unit(context.batch, name), "an open unit");
    std::vector<std::uint64_t> ids;
    bool more = false;
    context.batch.scan(Table::held_locks, held_lock_prefix(name),
                       [&](std::string_view key, std::string_view) {
                           more = ids.size() == locks_left;
                           if (!more) ids.push_back(lock_id_of(key));
                           return !more;
                       });
    for (const std::uint64_t id : ids) {
        const Lock lock = expect_record(find_lock(context.batch, id), "a held lock");
        end_lock(context, id, lock, LockState::settled, unit.outcome == Outcome::pass ? lock.drawn : Money{});
    }
    locks_left -= ids.size();
    if (more) return false;
    unit.moving = false;
    save_unit(context.batch, name, unit);
    context.batch.erase(Table::moving_units, name.key());
    return true;
}

}  // namespace

std::string reasons_text(const std::vector<std::string>& reasons) {
    return fmt::format("{}", fmt::join(reasons, ","));
}

void append_unit(JsonWriter& json, const UnitName& name, const Unit& unit) {
    json.field("cell", to_text(name.cell)).field("node_id", name.node);
    json.field_or_null("app_name", name.app);
    json.field("outcome", to_word(unit.outcome)).key("reasons").begin_array();
    for (const std::string& reason : unit.reasons) json.value(reason);
    json.end_array();
    field(json, "paid_usd", unit.paid);
    field(json, "returned_usd", unit.returned);
    field(json, "uncollected_usd", unit.uncollected);
    const auto digest = evidence_digest(unit);
    json.field_or_null("evidence_sha256", digest ? to_hex(*digest) : "");
    json.field_or_null("settled_at", unit.is_settled() ? to_text(unit.settled_at) : "");
}

std::string judge_units(Context& context, const Period& period, std::string_view node,
                        SettleMore::Pending pending, std::string_view from, std::size_t units_max) {
    const std::vector<UnitName> units = open_units_of(context, period, node, from, units_max);
    for (const UnitName& name : units) judge_unit(context, name, pending);
    if (units.empty() || units.size() < units_max) return {};
    // The least key after the last one.
    std::string next = units.back().key();
    next.push_back('\0');
    return next;
}

std::vector<UnitName> unjudged_units(const Context& context, const Period& period, std::string_view node,
                                     std::size_t most) {
    std::vector<UnitName> units;
    for (UnitName& name : open_units_of(context, period, node, "", everything)) {
        if (units.size() == most) break;
        const Unit unit = expect_record(find_unit(context.batch, name), "an open unit");
        if (unit.outcome == Outcome::open) units.push_back(std::move(name));
    }
    return units;
}

bool move_decided(Context& context, std::size_t locks_max) {
    std::vector<UnitName> moving;
    context.batch.scan(Table::moving_units, "", [&](std::string_view key, std::string_view) {
        moving.push_back(UnitName::from_key(key, context.rules.grid));
        return moving.size() <= locks_max;
    });
    for (const UnitName& name : moving)
        if (locks_max == 0 || !move_unit(context, name, locks_max)) return true;
    return false;
}

Result<void> check(const Context& context, const Finalize& command) {
    if (const auto cells = count_cells(context.rules.grid, command.period); !cells)
        return fail(cells.error());
    if (!command.node.empty() && !find_node(context.batch, command.node)) return unknown_node(command.node);
    if (command.period.end > context.now)
        return fail("period_open", fmt::format("{} ends at {}", to_text(command.period),
                                               to_text(LedgerTime{command.period.end})));
    if (LedgerTime{command.period.end} > command.recorded_until)
        return fail("period_open", fmt::format("{} is over, and its evidence is still being recorded: ask "
                                               "again in some seconds, under another key",
                                               to_text(command.period)));
    if (command.allow_pending) return {};
    return check_no_pending_abuse(context, command);
}

Result<Answer> perform(Context& context, const Finalize& command) {
    if (auto checked = check(context, command); !checked) return fail(checked.error());
    using enum SettleMore::Pending;
    // Whoever has judged step by step has left what nobody can decide, and what came meanwhile.
    if (!command.judged)
        judge_units(context, command.period, command.node, judge, "", everything);
    else
        for (const UnitName& name :
             unjudged_units(context, command.period, command.node, unjudged_at_end_max))
            judge_unit(context, name, command.allow_pending ? judge : wait);
    return list_outcomes(context, command);
}

Result<Answer> perform(Context& context, const Resolve& command) {
    const auto cell = as_cell(context.rules.grid, command.period);
    if (!cell) return fail(cell.error());
    if (auto checked = check_some_text("reason", command.reason, reason_max); !checked)
        return fail(checked.error());
    const UnitName name{.cell = *cell, .node = command.node, .app = command.app};
    const auto unit = find_unit(context.batch, name);
    if (!unit)
        return fail("unknown_settlement", fmt::format("nothing of {} is to be settled in {}",
                                                      command.node.substr(0, 150), to_text(*cell)));
    if (unit->outcome != Outcome::inconclusive)
        return fail(unit->is_settled() ? "period_finalized" : "not_inconclusive",
                    fmt::format("{} of {} is {}", to_text(*cell), command.node, to_word(unit->outcome)));
    const UnitEvidence evidence = gather(context.batch, name, *unit, context.now);
    // What has come to be known since may have decided it.
    if (const Judgement judgement = judge(evidence); judgement.outcome != Outcome::inconclusive)
        return fail("not_inconclusive",
                    fmt::format("by what is known now, {} of {} is {}: finalize it", to_text(*cell),
                                command.node, to_word(judgement.outcome)));
    if (!command.allow_pending)
        if (auto checked = check_no_pending_abuse(context, name); !checked) return fail(checked.error());
    decide(context, name, *unit, evidence,
           {.outcome = command.pass ? Outcome::pass : Outcome::fail,
            .reasons = {fmt::format("resolved: {}", command.reason)}});
    const Unit settled = expect_record(find_unit(context.batch, name), "a unit");
    return object_answer(200, settled.settlement_leaf,
                         [&](JsonWriter& json) { append_unit(json, name, settled); });
}

Result<Answer> perform(Context& context, const SettleMore& command) {
    std::string next;
    if (command.period)
        next = judge_units(context, *command.period, command.node, command.pending, command.from,
                           command.units_max);
    const bool moves = move_decided(context, command.locks_max);
    // Beyond the last unit there is none to judge, but transfers are still to come.
    if (next.empty() && moves) next.assign(1, '\xff');
    if (next.empty() && command.period && command.passes_left > 0) {
        const auto unjudged = unjudged_units(context, *command.period, command.node, unjudged_at_end_max + 1);
        if (unjudged.size() > unjudged_at_end_max) next = unjudged.front().key();
    }
    return Answer{.status = 200, .body = "{}", .next = std::move(next)};
}

}  // namespace ee::ledger
