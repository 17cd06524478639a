// What is recorded for settlements: slots, outages, observations from outside, and leaves of the server's
// own.

#include "ledger/evidence.h"

#include <algorithm>

#include <fmt/format.h>

#include "ledger/answers.h"
#include "ledger/books.h"
#include "ledger/field_rules.h"
#include "ledger/locks.h"
#include "ledger/log.h"
#include "ledger/nodes.h"
#include "ledger/operations.h"
#include "ledger/slashing.h"
#include "ledger/terms.h"

namespace ee::ledger {
namespace {

constexpr std::size_t event_id_max = 128;
constexpr std::size_t url_max = 2048;
// By how much the clock of whoever observes may be ahead.
constexpr std::chrono::minutes observer_ahead_max{5};
// Periods begin with it, too.
constexpr std::chrono::sys_days earliest{std::chrono::year{2020} / 1 / 1};

Result<void> check(const Observe& command, LedgerTime now) {
    const Observation& seen = command.observation;
    if (auto checked = check_id("event_id", command.event_id, event_id_max); !checked) return checked;
    if (auto checked = check_app(seen.app); !checked) return checked;
    if (seen.from >= seen.to) return fail("invalid_field:to", "it is not after `from`");
    if (seen.to - seen.from > observation_length_max)
        return fail("invalid_field:to",
                    fmt::format("an observation is at most {} h long", observation_length_max.count()));
    if (seen.to > now + observer_ahead_max)
        return fail("invalid_field:to",
                    fmt::format("{} has not come yet: it is {}", to_text(seen.to), to_text(now)));
    if (seen.to < earliest) return fail("invalid_field:to", "it is before 2020");
    return check_text("evidence_url", seen.evidence_url, url_max);
}

// Adds what is known of more windows: those that passed stay passed. The two may begin with different
// windows, as after a restart of the server. Windows of another length are of another grid and can't be told
// apart in this one: what they would have covered stays unknown.
void merge_windows(Slot& known, const Slot& more, const Period& cell) {
    if (known.window_s == 0) {  // There is only a challenge yet.
        known.window_s = more.window_s;
        known.windows = more.windows;
        known.attested_at = more.attested_at;
    }
    if (known.window_s != more.window_s || more.window_s == 0) return;
    const std::int64_t known_first = known.first_window(cell), more_first = more.first_window(cell);
    if (more_first < known_first)
        known.windows.insert(0, static_cast<std::size_t>(known_first - more_first), '\0');
    const auto shift = static_cast<std::size_t>(std::max<std::int64_t>(0, more_first - known_first));
    if (shift + more.windows.size() > known.windows.size()) known.windows.resize(shift + more.windows.size());
    for (std::size_t i = 0; i < more.windows.size(); ++i) {
        char& window = known.windows[shift + i];
        if (static_cast<Window>(more.windows[i]) != Window::unknown &&
            static_cast<Window>(window) != Window::pass)
            window = more.windows[i];
    }
    known.attested_at = std::min(known.attested_at, more.attested_at);
}

// What was recorded of a slot before and what is added.
Slot merge(Slot known, const RecordSlots::Seen& seen, const Period& cell) {
    const Slot& more = seen.slot;
    merge_windows(known, more, cell);
    known.challenges_passed += more.challenges_passed;
    known.challenges_missed += more.challenges_missed;
    known.challenges_inconclusive += more.challenges_inconclusive;
    const bool is_earlier = more.drained_at && (!known.drained_at || *more.drained_at < *known.drained_at);
    if (seen.came_back || is_earlier) known.drained_at = more.drained_at;
    known.verdicts.insert(known.verdicts.end(), more.verdicts.begin(), more.verdicts.end());
    return known;
}

void gather_slots(const Batch& batch, UnitEvidence& out) {
    const UnitName& unit = out.unit;
    // Without an app, all of the node's slots are its evidence.
    const std::string prefix =
        unit.app.empty() ? UnitName::prefix(unit.cell.start, unit.node) : held_lock_prefix(unit);
    batch.scan(Table::slots, prefix, [&](std::string_view key, std::string_view record) {
        KeyReader in(key);
        static_cast<void>(in.time());
        static_cast<void>(in.text());
        UnitEvidence::AgentSlot slot;
        slot.app = in.text();
        slot.agent = in.text();
        slot.slot = Slot::decode(record);
        out.slots.push_back(std::move(slot));
        return true;
    });
}

void gather_observations(const Batch& batch, UnitEvidence& out) {
    const UnitName& unit = out.unit;
    const std::string prefix = KeyWriter().text(unit.node);
    const std::string first =
        Observation::key_by_time(unit.node, LedgerTime{unit.cell.start} - observation_length_max, "");
    batch.scan_from(Table::seen, first, [&](std::string_view key, std::string_view record) {
        if (!key.starts_with(prefix)) return false;
        KeyReader in(key);
        static_cast<void>(in.text());
        if (from_us(in.time()) >= unit.cell.end) return false;
        const std::string event_id = in.text();
        Observation seen = Observation::decode(record);
        if (seen.touches(unit)) out.observations.push_back({event_id, std::move(seen)});
        return true;
    });
}

// How early an outage can have begun that reaches into a time: the beginning of the first that is not over,
// or the length of the longest that is. Kept with every outage, so that a settlement reads those around its
// cell only.
struct OutageReach {
    std::chrono::microseconds longest{};
    std::optional<LedgerTime> open_from{};

    LedgerTime first_before(LedgerTime time) const {
        const LedgerTime by_length = time - longest;
        return open_from ? std::min(by_length, *open_from) : by_length;
    }
};
constexpr std::string_view outage_reach_key = "outage_reach";

OutageReach outage_reach(const Batch& batch) {
    OutageReach out;
    const auto record = batch.get(Table::meta, outage_reach_key);
    if (!record) return out;
    RecordReader in(*record);
    out.longest = std::chrono::microseconds{in.integer()};
    const bool is_open = in.flag();
    const LedgerTime from = from_us(in.integer());
    in.finish();
    if (is_open) out.open_from = from;
    return out;
}

void note_outage(Batch& batch, const Outage& outage) {
    OutageReach reach = outage_reach(batch);
    if (outage.to) reach.longest = std::max(reach.longest, *outage.to - outage.from);
    if (!reach.open_from || outage.from <= *reach.open_from) {
        // It may be the first one now, or be over.
        reach.open_from.reset();
        batch.scan_from(Table::outages, Outage::key(outage.from, 0),
                        [&](std::string_view, std::string_view record) {
                            const Outage later = Outage::decode(record);
                            if (!later.to) reach.open_from = later.from;
                            return later.to.has_value();
                        });
    }
    batch.put(Table::meta, std::string(outage_reach_key),
              RecordWriter()
                  .integer(reach.longest.count())
                  .flag(reach.open_from.has_value())
                  .integer(to_us(reach.open_from.value_or(LedgerTime{})))
                  .take());
}

void gather_outages(const Batch& batch, UnitEvidence& out) {
    const LedgerTime first = outage_reach(batch).first_before(out.unit.cell.start);
    batch.scan_from(Table::outages, Outage::key(first, 0), [&](std::string_view, std::string_view record) {
        Outage outage = Outage::decode(record);
        if (outage.from >= out.unit.cell.end) return false;
        if (!outage.to || *outage.to > out.unit.cell.start) out.outages.push_back(std::move(outage));
        return true;
    });
}

void gather_abuse(const Batch& batch, UnitEvidence& out) {
    for_each_abuse(batch, out.unit.node, [&](std::uint64_t id, const AbuseReport& report) {
        if (!report.touches(out.unit)) return true;
        UnitEvidence::Abuse abuse{.id = id,
                                  .app = report.app,
                                  .state = report.state,
                                  .filed_at = report.filed_at,
                                  .decided_by = report.decided_by};
        if (report.state != AbuseState::pending) {
            abuse.decided_at = report.decided_at;
            if (abuse.decided_by.empty()) abuse.decided_by = report.deciding_principal;
        }
        out.abuse.push_back(std::move(abuse));
        return true;
    });
}

}  // namespace

UnitEvidence gather(const Batch& batch, const UnitName& name, const Unit& unit, LedgerTime now) {
    UnitEvidence out{.unit = name, .judged_at = now, .has_usage = unit.has_usage};
    out.held_standing = held_standing(batch, name.node, name.cell);
    gather_slots(batch, out);
    gather_observations(batch, out);
    gather_outages(batch, out);
    gather_abuse(batch, out);
    visit_terms_of_cell(batch, name.node, name.cell, [&](LedgerTime from, Terms terms) {
        out.prices.insert(out.prices.begin(), {.from = from, .terms = std::move(terms)});
    });
    out.log_size = batch.leaf_count();
    if (const auto head = newest_head(batch)) out.checkpoint = head->note;
    return out;
}

void for_each_abuse(const Batch& batch, std::string_view node,
                    const std::function<bool(std::uint64_t id, const AbuseReport& report)>& visit) {
    const std::string prefix = KeyWriter().text(node);
    batch.scan(Table::abuse_by_node, prefix, [&](std::string_view key, std::string_view) {
        const std::uint64_t id = number_at(key, key.size() - 8);
        return visit(id, AbuseReport::decode(expect_record(batch.get(Table::abuse, AbuseReport::key(id)),
                                                           "a report of abuse")));
    });
}

std::optional<std::uint64_t> pending_abuse_of(const Batch& batch, const UnitName& unit) {
    std::optional<std::uint64_t> found;
    for_each_abuse(batch, unit.node, [&](std::uint64_t id, const AbuseReport& report) {
        if (report.state == AbuseState::pending && report.touches(unit)) found = id;
        return !found;
    });
    return found;
}

HeldMoney held_money_of(const Batch& batch, const UnitName& unit) {
    HeldMoney out;
    batch.scan(Table::held_locks, held_lock_prefix(unit), [&](std::string_view key, std::string_view) {
        const Lock lock = expect_record(find_lock(batch, lock_id_of(key)), "a held lock");
        ++out.locks;
        out.locked = checked_add(out.locked, lock.amount).value();
        out.drawn = checked_add(out.drawn, lock.drawn).value();
        return true;
    });
    return out;
}

Result<Answer> perform(Context& context, const Observe& command) {
    if (auto checked = check(command, context.now); !checked) return fail(checked.error());
    const auto node = find_node(context.batch, command.node);
    if (!node) return unknown_node(command.node);
    const Observation& seen = command.observation;
    const std::string key = Observation::key(command.node, command.event_id);
    Answer answer{.status = 201};
    JsonWriter(answer.body)
        .begin_object()
        .field("node_id", command.node)
        .field("event_id", command.event_id)
        .field("type", to_word(seen.type))
        .end_object();
    if (const auto known = context.batch.get(Table::observations, key)) {
        if (*known != seen.encode())
            return fail("event_conflict",
                        fmt::format("event {} of {} said something else", command.event_id, command.node));
        answer.replayed = true;
        return answer;
    }
    context.batch.put(Table::observations, key, seen.encode());
    context.batch.put(Table::seen, Observation::key_by_time(command.node, seen.from, command.event_id),
                      seen.encode());
    answer.leaf_index = append_leaf(context, LeafKind::observation,
                                    {command.node, seen.app, command.event_id, to_word(seen.type),
                                     to_us(seen.from), to_us(seen.to), seen.evidence_url});
    if (seen.type == ObservationType::downtime_migration)
        propose_downtime_penalty(context, command.node, command.event_id, seen);
    return answer;
}

Result<Answer> perform(Context& context, const RecordSlots& command) {
    for (const RecordSlots::Seen& seen : command.seen) {
        // What is settled keeps what it was settled by; the node's unit may still wait for this.
        const UnitName unit{.cell = command.cell, .node = seen.node, .app = seen.app};
        const std::string key = Slot::key(unit, seen.agent);
        const auto known = context.batch.get(Table::slots, key);
        Slot slot = known ? merge(Slot::decode(*known), seen, command.cell) : seen.slot;
        slot.challenges_inconclusive -= std::min(slot.challenges_inconclusive, seen.resolved);
        context.batch.put(Table::slots, key, slot.encode());
    }
    return Answer{.status = 200, .body = "{}"};
}

Result<Answer> perform(Context& context, const RecordOutage& command) {
    const Outage& outage = command.outage;
    context.batch.put(Table::outages, Outage::key(outage.from, 0), outage.encode());
    note_outage(context.batch, outage);
    if (outage.to)
        append_leaf(context, LeafKind::outage, {to_us(outage.from), to_us(*outage.to), outage.cause});
    return Answer{.status = 200, .body = "{}"};
}

Result<Answer> perform(Context& context, const RecordLeaf& command) {
    if (!command.in_force.empty()) {
        RecordWriter content;
        for (const std::string& one : command.fields) content.text(one);
        const crypto::Sha256 digest = crypto::sha256(as_bytes(content.take()));
        std::string key = fmt::format("in_force/{}/{}", to_string(command.kind), command.in_force);
        if (context.batch.get(Table::meta, key) == as_text(digest))
            return Answer{.status = 200, .body = "{}"};
        context.batch.put(Table::meta, std::move(key), std::string(as_text(digest)));
    }
    const std::uint64_t leaf = append_leaf(
        context, command.kind, std::vector<LentField>(command.fields.begin(), command.fields.end()));
    return Answer{.status = 200, .body = "{}", .leaf_index = leaf};
}

}  // namespace ee::ledger
