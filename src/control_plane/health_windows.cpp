#include "control_plane/health_windows.h"

#include <algorithm>

namespace ee::control_plane {

using ledger::LedgerTime;
using ledger::Period;
using ledger::RecordSlots;
using ledger::to_us;
using ledger::Window;

namespace {

// Slots in one command: a commit of a few hundred KiB at most.
constexpr std::size_t slots_in_command_max = 1000;
// Digests of one slot in one cell; challenges that callers ask for have no other bound.
constexpr std::size_t verdicts_max = 256;

char letter(Window window) {
    return static_cast<char>(window);
}

}  // namespace

HealthWindows::HealthWindows(ledger::Grid grid, std::chrono::seconds window, LedgerTime now)
    : grid_(grid),
      window_s_(static_cast<std::uint32_t>(window.count())),
      watching_since_(now),
      cell_(ledger::cell_at(grid, now)),
      lengths_{window_s_} {
    plan(now);
}

std::int64_t HealthWindows::length_of(const Tracked& tracked) {
    return static_cast<std::int64_t>(tracked.slot.window_s) * 1'000'000;
}

// ---- What is known at the start ----

void HealthWindows::load(const SlotName& name, const ledger::Slot& recorded) {
    Tracked& tracked = slots_[name];
    tracked.slot = {.attested_at = recorded.attested_at,
                    // Where EE_HEALTH_TIMEOUT_SEC has changed, this cell goes on as it began.
                    .window_s = recorded.window_s == 0 ? window_s_ : recorded.window_s,
                    .windows = recorded.windows,
                    .drained_at = recorded.drained_at};
    tracked.verdicts = recorded.verdicts.size();
    tracked.closed_until = to_us(watching_since_) / length_of(tracked);
    lengths_.insert(tracked.slot.window_s);
    plan(watching_since_);
}

void HealthWindows::carry(const SlotName& name) {
    if (!slots_.contains(name)) begin_slot(name, LedgerTime{cell_.start});
}

HealthWindows::Tracked& HealthWindows::begin_slot(const SlotName& name, LedgerTime attested_at) {
    Tracked& tracked = slots_[name];
    tracked.slot = {.attested_at = attested_at, .window_s = window_s_};
    tracked.closed_until = std::max(to_us(attested_at), to_us(watching_since_)) / length_of(tracked);
    tracked.verdicts = 0;
    tracked.changed = urgent_ = true;
    return tracked;
}

// ---- What tunnels show ----

void HealthWindows::serves(const SlotName& name, LedgerTime now) {
    advance(now);
    const auto found = slots_.find(name);
    Tracked& tracked = found == slots_.end() ? begin_slot(name, now) : found->second;
    if (tracked.slot.drained_at) come_back(tracked, now);
    ++tracked.tunnels;
    alive(name, now);
}

// From the drain to this window nothing was expected; from here on it is again.
void HealthWindows::come_back(Tracked& tracked, LedgerTime now) {
    ledger::Slot& slot = tracked.slot;
    const std::int64_t length = length_of(tracked), first = slot.first_window(cell_);
    const std::int64_t end = to_us(now) / length - first;
    const std::int64_t drained = std::max(to_us(*slot.drained_at) / length - first, std::int64_t{0});
    for (std::int64_t place = drained; place < end; ++place) {
        const auto index = static_cast<std::size_t>(place);
        if (index >= slot.windows.size()) slot.windows.resize(index + 1, letter(Window::unknown));
        if (slot.windows[index] != letter(Window::pass)) slot.windows[index] = letter(Window::drained);
    }
    slot.drained_at.reset();
    tracked.came_back = tracked.changed = urgent_ = true;
}

void HealthWindows::left(const SlotName& name, LedgerTime now) {
    advance(now);
    if (const auto found = slots_.find(name); found != slots_.end() && found->second.tunnels > 0)
        --found->second.tunnels;
}

void HealthWindows::alive(const SlotName& name, LedgerTime now) {
    advance(now);
    const auto found = slots_.find(name);
    if (found == slots_.end()) return;
    ledger::Slot& slot = found->second.slot;
    const std::int64_t place = to_us(now) / length_of(found->second) - slot.first_window(cell_);
    if (place < 0) return;  // The clock was set back to before its first attestation.
    const auto index = static_cast<std::size_t>(place);
    if (index >= slot.windows.size()) slot.windows.resize(index + 1, letter(Window::unknown));
    slot.windows[index] = letter(Window::pass);
}

void HealthWindows::drained(const SlotName& name, LedgerTime now) {
    advance(now);
    const auto found = slots_.find(name);
    if (found == slots_.end() || found->second.slot.drained_at) return;
    found->second.slot.drained_at = now;
    found->second.changed = urgent_ = true;
}

void HealthWindows::count(Counts& counts, std::size_t verdicts_known, ChallengeOutcome outcome,
                          std::string verdict) const {
    switch (outcome) {
        case ChallengeOutcome::passed: ++counts.passed; break;
        case ChallengeOutcome::missed: ++counts.missed; break;
        case ChallengeOutcome::inconclusive: ++counts.inconclusive; break;
        case ChallengeOutcome::resolved:
            ++counts.resolved;
            ++counts.passed;
            break;
    }
    if (!verdict.empty() && verdicts_known + counts.verdicts.size() < verdicts_max)
        counts.verdicts.push_back(std::move(verdict));
}

void HealthWindows::challenge(const SlotName& name, LedgerTime deadline, ChallengeOutcome outcome,
                              std::string verdict, LedgerTime now) {
    advance(now);
    const Period cell = ledger::cell_at(grid_, deadline);
    const auto found = slots_.find(name);
    const bool has_left = found == slots_.end() && cell == cell_ &&
                          (outcome == ChallengeOutcome::missed || outcome == ChallengeOutcome::inconclusive);
    if (cell < cell_ || has_left) return count_late(name, cell, outcome, std::move(verdict));
    if (found == slots_.end()) return;
    Tracked& tracked = found->second;
    if (cell == cell_) {
        count(tracked.counts, tracked.verdicts, outcome, std::move(verdict));
        tracked.changed = urgent_ = true;
    } else {
        count(tracked.ahead, 0, outcome, std::move(verdict));
    }
}

// Judged after the cell of its deadline had ended, or of a slot that is not in its cell. It may have been
// settled: then nothing changes.
void HealthWindows::count_late(const SlotName& name, const Period& cell, ChallengeOutcome outcome,
                               std::string verdict) {
    Tracked late;
    // No windows come with it.
    late.slot = {.attested_at = LedgerTime{cell.end}};
    count(late.counts, 0, outcome, std::move(verdict));
    give(cell, seen_of(name, late));
    urgent_ = true;
}

// ---- Time ----

// All windows that end by `until`. Those that began before anybody watched are not known to be missed.
void HealthWindows::close_windows(Tracked& tracked, LedgerTime until) const {
    ledger::Slot& slot = tracked.slot;
    const std::int64_t length = length_of(tracked);
    const std::int64_t first = slot.first_window(cell_);
    const std::int64_t end = std::min(to_us(until), to_us(LedgerTime{cell_.end})) / length;
    if (end <= tracked.closed_until) return;
    for (std::int64_t k = std::max(tracked.closed_until, first); k < end; ++k) {
        const auto index = static_cast<std::size_t>(k - first);
        if (index >= slot.windows.size()) slot.windows.resize(index + 1, letter(Window::unknown));
        const bool is_watched = k * length >= to_us(watching_since_);
        const bool is_expected =
            k * length >= std::max(to_us(slot.attested_at), to_us(LedgerTime{cell_.start})) &&
            (!slot.drained_at || (k + 1) * length <= to_us(*slot.drained_at));
        if (slot.windows[index] == letter(Window::unknown) && is_watched && is_expected)
            slot.windows[index] = letter(Window::miss);
    }
    tracked.closed_until = end;
    tracked.changed = true;
}

void HealthWindows::advance(LedgerTime now) {
    if (now < next_end_) return;
    while (now >= LedgerTime{cell_.end}) {
        for (auto& [name, tracked] : slots_) {
            close_windows(tracked, LedgerTime{cell_.end});
            if (tracked.changed) give(cell_, seen_of(name, tracked));
        }
        begin_cell(ledger::cell_at(grid_, LedgerTime{cell_.end}));
    }
    for (auto& [name, tracked] : slots_) close_windows(tracked, now);
    plan(now);
}

// A window that the cell's end cuts is not of this cell.
void HealthWindows::plan(LedgerTime now) {
    next_end_ = LedgerTime{cell_.end};
    for (const std::uint32_t seconds : lengths_) {
        const std::int64_t length = static_cast<std::int64_t>(seconds) * 1'000'000;
        next_end_ = std::min(next_end_, ledger::from_us((to_us(now) / length + 1) * length));
    }
}

// Who is up is expected from the new cell's start; of who is not nothing is, but a challenge missed by then
// counts.
void HealthWindows::begin_cell(const Period& cell) {
    cell_ = cell;
    lengths_ = {window_s_};
    for (auto slot = slots_.begin(); slot != slots_.end();) {
        Tracked& tracked = slot->second;
        const bool is_up = tracked.tunnels > 0;
        if (!is_up && tracked.ahead.missed == 0) {
            slot = slots_.erase(slot);
            continue;
        }
        Counts counts = std::exchange(tracked.ahead, {});
        begin_slot(slot->first, LedgerTime{cell.start});
        tracked.verdicts = 0;
        tracked.counts = std::move(counts);
        if (!is_up) {
            tracked.slot.drained_at = LedgerTime{cell.start};
            give(cell_, seen_of(slot->first, tracked));
            slot = slots_.erase(slot);
            continue;
        }
        ++slot;
    }
}

bool HealthWindows::is_up(const SlotName& name) const {
    const auto found = slots_.find(name);
    return found != slots_.end() && found->second.tunnels > 0;
}

// ---- To the ledger ----

RecordSlots::Seen HealthWindows::seen_of(const SlotName& name, Tracked& tracked) {
    Counts counts = std::exchange(tracked.counts, {});
    RecordSlots::Seen seen{.node = name.node,
                           .app = name.app,
                           .agent = name.agent,
                           .slot = tracked.slot,
                           .resolved = counts.resolved,
                           .came_back = std::exchange(tracked.came_back, false)};
    seen.slot.challenges_passed = counts.passed;
    seen.slot.challenges_missed = counts.missed;
    seen.slot.challenges_inconclusive = counts.inconclusive;
    tracked.verdicts += counts.verdicts.size();
    seen.slot.verdicts = std::move(counts.verdicts);
    tracked.changed = false;
    return seen;
}

void HealthWindows::give(const Period& cell, RecordSlots::Seen seen) {
    ready_[cell].push_back(std::move(seen));
}

std::vector<RecordSlots> HealthWindows::take(LedgerTime now) {
    advance(now);
    for (auto& [name, tracked] : slots_)
        if (tracked.changed) give(cell_, seen_of(name, tracked));
    std::vector<RecordSlots> out;
    for (auto& [cell, all] : ready_) {
        for (RecordSlots::Seen& seen : all) {
            if (out.empty() || out.back().cell != cell || out.back().seen.size() == slots_in_command_max)
                out.push_back({.cell = cell, .seen = {}});
            out.back().seen.push_back(std::move(seen));
        }
    }
    ready_.clear();
    urgent_ = false;
    return out;
}

std::vector<RecordSlots> HealthWindows::take_all(LedgerTime now) {
    advance(now);
    for (auto& [name, tracked] : slots_) tracked.changed = true;
    return take(now);
}

}  // namespace ee::control_plane
