#include "ledger/outcome.h"

#include <algorithm>
#include <map>

namespace ee::ledger {
namespace {

struct Interval {
    std::int64_t start;  // us
    std::int64_t end;

    bool overlaps(const Interval& other) const { return start < other.end && other.start < end; }
};

Interval interval_of(const Period& period) {
    return {to_us(LedgerTime{period.start}), to_us(LedgerTime{period.end})};
}
Interval interval_of(const Outage& outage) {
    // An outage that is not over covers all that follows.
    return {to_us(outage.from), outage.to ? to_us(*outage.to) : INT64_MAX};
}

// The whole windows that are expected of a slot in a cell. Window k of the grid is [kW, (k+1)W).
struct Expected {
    std::int64_t first = 0;  // numbers on the grid
    std::int64_t last = 0;   // excluded
};
std::int64_t ceil_divide(std::int64_t a, std::int64_t b) {
    return a / b + (a % b > 0 ? 1 : 0);
}
Expected expected_of(const Slot& slot, const Period& cell) {
    const std::int64_t length = static_cast<std::int64_t>(slot.window_s) * 1'000'000;
    const Interval whole = interval_of(cell);
    const std::int64_t from = std::max(whole.start, to_us(slot.attested_at));
    const std::int64_t to = slot.drained_at ? std::min(whole.end, to_us(*slot.drained_at)) : whole.end;
    return {ceil_divide(from, length), std::max(ceil_divide(from, length), to / length)};
}

// A slot that is expected in no whole window and had no challenge says nothing of the cell: without more, its
// node was not there. One that was drained in it was, until somebody told it to go.
bool says_something(const Slot& slot, const Period& cell) {
    if (slot.challenges_passed > 0 || slot.challenges_missed > 0 || slot.challenges_inconclusive > 0)
        return true;
    if (slot.drained_at && *slot.drained_at >= LedgerTime{cell.start}) return true;
    if (slot.window_s == 0) return false;
    const Expected expected = expected_of(slot, cell);
    return expected.first < expected.last;
}

// What the slots say of each window together: one that passed is enough. Keyed by its interval, for slots of
// different lengths of window are judged each by its own.
using Windows = std::map<std::pair<std::int64_t, std::int64_t>, Window>;

Windows expected_windows(const UnitEvidence& evidence) {
    Windows windows;
    for (const UnitEvidence::AgentSlot& agent : evidence.slots) {
        const Slot& slot = agent.slot;
        if (slot.window_s == 0) continue;
        const std::int64_t length = static_cast<std::int64_t>(slot.window_s) * 1'000'000;
        const std::int64_t base = slot.first_window(evidence.unit.cell);
        const Expected expected = expected_of(slot, evidence.unit.cell);
        for (std::int64_t k = expected.first; k < expected.last; ++k) {
            const std::size_t place = static_cast<std::size_t>(k - base);
            const Window seen =
                place < slot.windows.size() ? static_cast<Window>(slot.windows[place]) : Window::unknown;
            if (seen == Window::drained) continue;
            auto [window, is_new] = windows.try_emplace({k * length, (k + 1) * length}, seen);
            // What nobody can say is better than a miss.
            if (window->second == Window::miss) window->second = seen;
        }
    }
    return windows;
}

// A window that one of them is expected in passes by any of them, also by one that came in the middle of it.
Windows collect(const UnitEvidence& evidence) {
    Windows windows = expected_windows(evidence);
    for (const UnitEvidence::AgentSlot& agent : evidence.slots) {
        const Slot& slot = agent.slot;
        if (slot.window_s == 0) continue;
        const std::int64_t length = static_cast<std::int64_t>(slot.window_s) * 1'000'000;
        const std::int64_t base = slot.first_window(evidence.unit.cell);
        for (std::size_t place = 0; place < slot.windows.size(); ++place) {
            if (static_cast<Window>(slot.windows[place]) != Window::pass) continue;
            const std::int64_t start = (base + static_cast<std::int64_t>(place)) * length;
            const auto window = windows.find({start, start + length});
            if (window != windows.end()) window->second = Window::pass;
        }
    }
    return windows;
}

// What outside observations say that it was well, by start.
std::vector<Interval> seen_well(const UnitEvidence& evidence) {
    std::vector<Interval> well;
    for (const UnitEvidence::Seen& seen : evidence.observations)
        if (seen.observation.type == ObservationType::health_pass)
            well.push_back({to_us(seen.observation.from), to_us(seen.observation.to)});
    std::ranges::sort(well, {}, &Interval::start);
    return well;
}

// Whether they cover all of it, together.
bool is_filled(const Interval& window, const std::vector<Interval>& well) {
    std::int64_t covered = window.start;
    for (const Interval& one : well) {
        if (one.start > covered) break;
        covered = std::max(covered, one.end);
    }
    return covered >= window.end;
}

struct Reasons {
    bool health_miss = false;
    bool attest_miss = false;
    bool downtime = false;
    bool hole = false;
    bool verdict_open = false;
};

void judge_windows(const UnitEvidence& evidence, Reasons& reasons) {
    const auto overlaps_outage = [&](const Interval& window) {
        return std::ranges::any_of(
            evidence.outages, [&](const Outage& outage) { return interval_of(outage).overlaps(window); });
    };
    const std::vector<Interval> well = seen_well(evidence);
    for (const auto& [key, seen] : collect(evidence)) {
        if (seen == Window::pass) continue;
        const Interval window{key.first, key.second};
        const bool is_hole = seen != Window::miss || overlaps_outage(window);
        if (!is_hole)
            reasons.health_miss = true;
        else if (!is_filled(window, well))
            reasons.hole = true;
    }
}

void judge_rest(const UnitEvidence& evidence, Reasons& reasons) {
    for (const UnitEvidence::AgentSlot& agent : evidence.slots) {
        if (agent.slot.challenges_missed > 0) reasons.attest_miss = true;
        if (agent.slot.challenges_inconclusive > 0) reasons.verdict_open = true;
    }
    for (const UnitEvidence::Seen& seen : evidence.observations) {
        const ObservationType type = seen.observation.type;
        if (type == ObservationType::health_miss) reasons.health_miss = true;
        if (type == ObservationType::attest_miss) reasons.attest_miss = true;
        if (type == ObservationType::downtime_migration) reasons.downtime = true;
    }
}

}  // namespace

const UnitEvidence::Abuse* UnitEvidence::find_abuse(AbuseState state) const {
    const auto found = std::ranges::find(abuse, state, &Abuse::state);
    return found == abuse.end() ? nullptr : &*found;
}

Judgement judge(const UnitEvidence& evidence) {
    Reasons reasons;
    judge_windows(evidence, reasons);
    judge_rest(evidence, reasons);
    const bool no_slot = std::ranges::none_of(evidence.slots, [&](const UnitEvidence::AgentSlot& agent) {
        return says_something(agent.slot, evidence.unit.cell);
    });
    // Without any slot an outage may be why: then nobody can say.
    const bool no_evidence = no_slot && evidence.outages.empty();

    Judgement out;
    const auto add = [&](bool holds, std::string_view word) {
        if (holds) out.reasons.emplace_back(word);
    };
    add(reasons.health_miss, "health_miss");
    add(reasons.attest_miss, "attest_miss");
    add(reasons.downtime, "downtime_migration");
    add(evidence.find_abuse(AbuseState::authorized) != nullptr, "abuse");
    add(!evidence.held_standing, "standing_missing");
    add(no_evidence, "no_evidence");
    if (!out.reasons.empty()) {
        out.outcome = Outcome::fail;
        return out;
    }
    add(reasons.hole, "hole");
    add(reasons.verdict_open, "verdict_inconclusive");
    add(no_slot, "no_slot_in_outage");
    if (out.reasons.empty()) {
        out.outcome = Outcome::pass;
        return out;
    }
    if (evidence.judged_at >= evidence.unit.cell.end + inconclusive_max) {
        out.outcome = Outcome::fail;
        out.reasons.emplace_back("evidence_missing");
        return out;
    }
    out.outcome = Outcome::inconclusive;
    return out;
}

}  // namespace ee::ledger
