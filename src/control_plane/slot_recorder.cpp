#include "control_plane/slot_recorder.h"

#include <algorithm>

#include "attestation/appraisal.h"
#include "base/inconclusive.h"
#include "ledger/log.h"

namespace ee::control_plane {

using namespace std::chrono_literals;
using ledger::LedgerTime;

namespace {

constexpr auto tick_time = 1s;
constexpr auto mark_time = 5s;
// How long a new slot or a verdict waits for others to share its commit.
constexpr auto gather_time = 500ms;
// Between tries where the ledger has too much to do.
constexpr auto retry_time = 2s;
// So long after it was due an answer's verdict is waited for: what it is judged by is fetched in less.
constexpr auto verdict_time_max = 5min;
constexpr std::size_t marks_waiting_max = 4;
constexpr std::size_t in_force_max = 4096;

bool is_of_collateral(const std::string& code) {
    return code.starts_with("collateral_");
}

SlotName name_in(std::string_view key) {
    ledger::SlotKey slot = ledger::SlotKey::decode(key);
    return {std::move(slot.node), std::move(slot.app), std::move(slot.agent)};
}

// Whether it passed the last window that was over at `at`, and was not drained.
bool was_up(const ledger::Slot& slot, const ledger::Period& cell, LedgerTime at) {
    if (slot.window_s == 0 || slot.drained_at) return false;
    const std::int64_t length = static_cast<std::int64_t>(slot.window_s) * 1'000'000;
    const std::int64_t place = ledger::to_us(at) / length - slot.first_window(cell);
    const auto passed = [&](std::int64_t window) {
        return window >= 0 && static_cast<std::size_t>(window) < slot.windows.size() &&
               static_cast<ledger::Window>(slot.windows[static_cast<std::size_t>(window)]) ==
                   ledger::Window::pass;
    };
    return passed(place) || passed(place - 1);
}

// Where the leaves of each run begin: with its key.
std::vector<std::uint64_t> run_starts(const ledger::Store& store) {
    std::vector<std::uint64_t> starts;
    store.scan(ledger::Table::log_keys, "", [&](std::string_view key, std::string_view) {
        starts.push_back(ledger::number_at(key, 0));
        return true;
    });
    return starts;
}

// When the last leaf was made of a run before this one. What a start puts into the log, all in one commit,
// does not count: that run may have ended before it recorded since when nobody had been there.
std::optional<LedgerTime> last_leaf_time(const ledger::Store& store, std::span<const std::uint64_t> starts) {
    for (; !starts.empty(); starts = starts.first(starts.size() - 1)) {
        const auto last = ledger::last_leaf(store, starts.back());
        if (!last) return std::nullopt;
        if (starts.size() > 1) {
            const auto key = ledger::last_leaf(store, starts[starts.size() - 2] + 1);
            if (key && key->time_us == last->time_us) continue;
        }
        return ledger::from_us(last->time_us);
    }
    return std::nullopt;
}

// Whether a mark is of this ledger as it was before its newest run: not of one that has lost leaves since,
// nor of a copy that ran in its place.
bool is_of(const ledger::Store& store, const LivenessMark::Seen& mark, std::uint64_t leaves) {
    if (mark.leaves > leaves) return false;
    if (mark.leaves == 0 || mark.leaves == leaves) return true;
    const auto next = ledger::last_leaf(store, mark.leaves + 1);
    return !next || ledger::from_us(next->time_us) >= mark.at - liveness_gap_max;
}

}  // namespace

RecordedEvidence read_recorded(const ledger::Store& store, ledger::Grid grid,
                               const std::optional<LivenessMark::Seen>& last_mark, LedgerTime now) {
    RecordedEvidence out;
    const std::vector<std::uint64_t> starts = run_starts(store);
    out.leaves = starts.empty() ? 0 : starts.back();
    // A disk that has no mark, or a database that is older than it says, has nothing of what came behind its
    // last leaf; one that ran elsewhere since has more.
    out.last_alive = last_leaf_time(store, starts);
    if (last_mark && (!out.last_alive || is_of(store, *last_mark, out.leaves)))
        out.last_alive = std::max(last_mark->at, out.last_alive.value_or(last_mark->at));
    const auto each_slot = [&](const ledger::Period& cell, const auto& visit) {
        const std::string prefix = ledger::UnitName::prefix(cell.start);
        store.scan(ledger::Table::slots, prefix, [&](std::string_view key, std::string_view record) {
            if (!key.starts_with(prefix)) return false;
            visit(name_in(key), ledger::Slot::decode(record));
            return true;
        });
    };
    const ledger::Period running = ledger::cell_at(grid, now);
    each_slot(running, [&](SlotName name, ledger::Slot slot) {
        out.slots.push_back({std::move(name), std::move(slot)});
    });
    if (out.last_alive && *out.last_alive < LedgerTime{running.start}) {
        const ledger::Period before = ledger::cell_at(grid, *out.last_alive);
        each_slot(before, [&](SlotName name, const ledger::Slot& slot) {
            if (was_up(slot, before, *out.last_alive)) out.were_up.push_back(std::move(name));
        });
    }
    store.scan(ledger::Table::outages, "", [&](std::string_view, std::string_view record) {
        ledger::Outage outage = ledger::Outage::decode(record);
        if (!outage.to) out.open_outages.push_back(std::move(outage));
        return true;
    });
    return out;
}

SlotRecorder::SlotRecorder(net::Loop& loop, api::LedgerDoor& ledger, const telemetry::Log& log,
                           LivenessMark mark, const RecordedEvidence& recorded, const Settings& settings)
    : loop_(loop),
      ledger_(ledger),
      log_(log),
      mark_(std::move(mark)),
      settings_(settings),
      windows_(settings.grid, settings.window, now()),
      outages_(settings.window),
      ticks_(loop, [this] { tick(); }),
      records_(loop, [this] { record(); }),
      retries_(loop, [this] { hand_over(); }),
      marker_(1, marks_waiting_max) {
    for (const auto& [name, slot] : recorded.slots) windows_.load(name, slot);
    for (const SlotName& name : recorded.were_up) windows_.carry(name);
    outages_.started(recorded.last_alive, recorded.open_outages, now());
    // For the next start, should this run end before it has recorded that.
    if (recorded.last_alive && ledger_.state().word == "ok")
        mark_.write({.at = *recorded.last_alive, .leaves = recorded.leaves});
    tick();
}

SlotRecorder::~SlotRecorder() = default;

LedgerTime SlotRecorder::now() const {
    return settings_.clock();
}

LedgerTime SlotRecorder::wall_of(MonoTime at) const {
    return now() + std::chrono::duration_cast<std::chrono::microseconds>(at - loop_.now());
}

SlotRecorder::Carried* SlotRecorder::find(TunnelId tunnel) {
    if (stopped_) return nullptr;
    const auto found = tunnels_.find(tunnel);
    return found == tunnels_.end() ? nullptr : &found->second;
}

// ---- From tunnels ----

void SlotRecorder::serves(TunnelId tunnel, SlotName name, MonoTime deadline, std::string evidence) {
    if (stopped_) return;
    const LedgerTime at = now();
    attested_again(name);
    windows_.serves(name, at);
    // The slot begins now: an earlier cell has none that the challenge could count for.
    windows_.challenge(name, std::max(wall_of(deadline), at), ChallengeOutcome::passed, std::move(evidence),
                       at);
    outages_.tunnel_came(name, at);
    outages_.collateral_fresh(name, at);
    tunnels_.insert_or_assign(tunnel, Carried{.name = std::move(name)});
    plan();
}

// One that nobody could judge is judged again and again, and recorded as such.
void SlotRecorder::answered(TunnelId tunnel, MonoTime deadline) {
    const LedgerTime due = wall_of(deadline);
    if (find(tunnel) != nullptr && due >= judged_until_) unjudged_.insert_or_assign(tunnel, due);
}

void SlotRecorder::passed(TunnelId tunnel, MonoTime deadline, std::string evidence) {
    Carried* carried = find(tunnel);
    if (carried == nullptr) return;
    unjudged_.erase(tunnel);
    const LedgerTime at = now();
    windows_.alive(carried->name, at);
    outages_.collateral_fresh(carried->name, at);
    if (const auto open = std::exchange(carried->open, std::nullopt))
        windows_.challenge(carried->name, *open, ChallengeOutcome::resolved, std::move(evidence), at);
    else
        windows_.challenge(carried->name, wall_of(deadline), ChallengeOutcome::passed, std::move(evidence),
                           at);
    plan();
}

void SlotRecorder::inconclusive(TunnelId tunnel, MonoTime deadline, const Error& reason) {
    Carried* carried = find(tunnel);
    if (carried == nullptr) return;
    unjudged_.erase(tunnel);
    const LedgerTime at = now();
    windows_.alive(carried->name, at);
    if (is_of_collateral(reason.code)) outages_.collateral_stale(carried->name, at);
    if (!carried->open) {  // The same answer is judged again and again.
        carried->open = wall_of(deadline);
        windows_.challenge(carried->name, *carried->open, ChallengeOutcome::inconclusive, "", at);
    }
    plan();
}

void SlotRecorder::missed(TunnelId tunnel, MonoTime deadline, std::chrono::seconds time,
                          const Error& reason) {
    Carried* carried = find(tunnel);
    if (carried == nullptr) return;
    unjudged_.erase(tunnel);
    miss(carried->name, deadline, time, reason);
    plan();
}

void SlotRecorder::miss(const SlotName& name, MonoTime deadline, std::chrono::seconds time,
                        const Error& reason) {
    // Had this process stood still, an answer in time would lie unread.
    outages_.tick(std::chrono::steady_clock::now(), now());
    const LedgerTime due = wall_of(deadline);
    const bool is_ours = reason.code == "attestation_timeout" && outages_.overlaps(due - time, due);
    windows_.challenge(name, due, is_ours ? ChallengeOutcome::inconclusive : ChallengeOutcome::missed, "",
                       now());
    log_.info("slot.challenge_missed", {{"node", name.node},
                                        {"app", name.app},
                                        {"agent", name.agent},
                                        {"code", reason.code},
                                        {"counts", !is_ours}});
}

void SlotRecorder::alive(TunnelId tunnel) {
    if (Carried* carried = find(tunnel)) windows_.alive(carried->name, now());
}

void SlotRecorder::dismissed(TunnelId tunnel, bool by_operator) {
    Carried* carried = find(tunnel);
    if (carried == nullptr || carried->dismissed) return;
    carried->dismissed = true;
    windows_.left(carried->name, now());
    if (by_operator) windows_.drained(carried->name, now());
    plan();
}

void SlotRecorder::left(TunnelId tunnel, const std::optional<OpenChallenge>& open) {
    Carried* carried = find(tunnel);
    if (carried == nullptr) return;
    if (!open || !open->is_answered) unjudged_.erase(tunnel);
    if (open) {
        left_open_.insert_or_assign({carried->name, tunnel},
                                    LeftOpen{.challenge = *open, .inconclusive = carried->open});
        if (!open->is_answered) left_open_due_ = std::min(left_open_due_, open->deadline);
    }
    if (!carried->dismissed) windows_.left(carried->name, now());
    outages_.tunnel_left(carried->name, !carried->dismissed, now());
    tunnels_.erase(tunnel);
    plan();
}

// ---- Challenges that tunnels have left open ----

void SlotRecorder::attested_again(const SlotName& name) {
    miss_overdue();
    auto open = left_open_.lower_bound({name, TunnelId{0}});
    while (open != left_open_.end() && open->first.first == name) {
        open->second.has_attested_again = true;
        open = open->second.challenge.is_answered ? std::next(open) : left_open_.erase(open);
    }
}

void SlotRecorder::miss_overdue() {
    if (loop_.now() < left_open_due_) return;
    left_open_due_ = MonoTime::max();
    for (auto open = left_open_.begin(); open != left_open_.end();) {
        const OpenChallenge& challenge = open->second.challenge;
        if (!challenge.is_answered && challenge.deadline <= loop_.now()) {
            miss(open->first.first, challenge.deadline, challenge.time,
                 {"attestation_timeout", "its tunnel was closed, and it has not attested again"});
            open = left_open_.erase(open);
            continue;
        }
        if (!challenge.is_answered) left_open_due_ = std::min(left_open_due_, challenge.deadline);
        ++open;
    }
}

void SlotRecorder::judged_late(TunnelId tunnel, const SlotName& name, const Result<void>& verdict) {
    unjudged_.erase(tunnel);
    const auto found = left_open_.find({name, tunnel});
    if (stopped_ || found == left_open_.end()) return;
    const LeftOpen open = found->second;
    left_open_.erase(found);
    const LedgerTime at = now(), due = wall_of(open.challenge.deadline);
    if (verdict && open.inconclusive)
        windows_.challenge(name, *open.inconclusive, ChallengeOutcome::resolved, "", at);
    else if (verdict)
        windows_.challenge(name, due, ChallengeOutcome::passed, "", at);
    else if (!is_inconclusive(verdict.error().code))
        miss(name, open.challenge.deadline, open.challenge.time, verdict.error());
    else if (!open.inconclusive && !open.has_attested_again)
        windows_.challenge(name, due, ChallengeOutcome::inconclusive, "", at);
    plan();
}

void SlotRecorder::in_force(ledger::LeafKind kind, std::string name, std::vector<std::string> fields) {
    std::string content;
    for (const std::string& field : fields) content.append(field).push_back('\0');
    const std::string key = std::string(to_string(kind)) + "/" + name;
    const auto known = in_force_.find(key);
    if (known != in_force_.end() && known->second == content) return;
    if (in_force_.size() >= in_force_max) in_force_.clear();  // The ledger knows, too.
    in_force_.insert_or_assign(key, std::move(content));
    run(ledger::RecordLeaf{.kind = kind, .fields = std::move(fields), .in_force = std::move(name)});
}

// ---- Time ----

void SlotRecorder::mark(LedgerTime at) {
    if (outages_unrecorded_ > 0) return;  // It would cover them up.
    marked_at_ = std::chrono::steady_clock::now();
    // What is seen while the ledger stands still is recorded nowhere: as if nobody had been there.
    if (ledger_.state().word != "ok") return;
    const LivenessMark::Seen seen{.at = at, .leaves = ledger_.counts().leaves};
    // Where the disk does not keep up, the next mark says all that this one would.
    static_cast<void>(marker_.run([this, seen] { mark_.write(seen); }));
}

void SlotRecorder::tick() {
    if (stopped_) return;
    const MonoTime mono = std::chrono::steady_clock::now();
    miss_overdue();
    // The clock may step at any moment: what is told is what was looked at.
    const LedgerTime at = now();
    outages_.tick(mono, at);
    plan();
    if (mono - marked_at_ >= mark_time) mark(at);
    if (!windows_.is_urgent() && at < windows_.next_end()) tell_recorded(at);
    ticks_.arm_after(tick_time);
}

// The next moment at which there is something to record. Outages go at once: no cell may be judged without
// them.
void SlotRecorder::plan() {
    if (stopped_) return;
    for (ledger::Outage& outage : outages_.take()) {
        log_.warn("control.outage", {{"cause", outage.cause},
                                     {"from", ledger::to_text(outage.from)},
                                     {"to", outage.to ? ledger::to_text(*outage.to) : ""}});
        ++outages_unrecorded_;
        run(ledger::RecordOutage{.outage = std::move(outage)});
    }
    std::chrono::microseconds delay = windows_.next_end() - now();
    if (windows_.is_urgent()) delay = std::min<std::chrono::microseconds>(delay, gather_time);
    const MonoTime due =
        std::min(loop_.now() + std::max<std::chrono::microseconds>(delay, 0us), left_open_due_);
    if (records_.armed() && records_due_ <= due) return;
    records_due_ = due;
    records_.arm_at(due);
}

void SlotRecorder::record() {
    if (stopped_) return;
    miss_overdue();
    const LedgerTime at = now();
    outages_.tick(std::chrono::steady_clock::now(), at);
    for (ledger::RecordSlots& command : windows_.take(at)) run(std::move(command));
    plan();
    tell_recorded(at);
}

// ---- To the ledger ----

void SlotRecorder::run(ledger::Command command) {
    commands_.push_back(std::move(command));
    hand_over();
}

// One at a time: what the ledger has no time for is tried again, and nothing that came later overtakes it. An
// outage whose end was recorded before its begin would have none.
void SlotRecorder::hand_over() {
    if (is_under_way_ || commands_.empty() || retries_.armed()) return;
    is_under_way_ = true;
    ask(commands_.front());
}

void SlotRecorder::ask(const ledger::Command& command) {
    ledger::Request request{.caller = {.role = ledger::Role::server}};
    request.command = command;
    ledger_.run(std::move(request), [this](const Result<ledger::Reply>& reply) { ran(reply); });
}

// A ledger that stands still records nothing any more, and what it does not know it judges as holes.
void SlotRecorder::ran(const Result<ledger::Reply>& reply) {
    if (stopped_) return;
    is_under_way_ = false;
    if (!reply && reply.error().code == "ledger_busy") return retries_.arm_after(retry_time);
    if (!reply && std::exchange(not_recorded_for_, reply.error().code) != reply.error().code)
        log_.error("slot.not_recorded", {{"code", reply.error().code}, {"detail", reply.error().detail}});
    const ledger::Command& command = commands_.front();
    if (const auto* slots = std::get_if<ledger::RecordSlots>(&command); slots != nullptr && reply)
        log_.debug("slots.recorded", {{"cell", to_text(slots->cell)}, {"slots", slots->seen.size()}});
    if (std::holds_alternative<ledger::RecordOutage>(command)) --outages_unrecorded_;
    commands_.pop_front();
    if (telling_ && --telling_->unanswered == 0)
        ledger_.recorded_until(std::exchange(telling_, std::nullopt)->until);
    hand_over();
}

// All up to `until` has been handed over, or waits for that.
void SlotRecorder::tell_recorded(LedgerTime until) {
    if (telling_) return;  // The next tick tells more.
    until = judged_until_ = judged_until(until);
    if (commands_.empty()) return ledger_.recorded_until(until);
    telling_ = Telling{.until = until, .unanswered = commands_.size()};
}

// A challenge counts in the cell of its deadline, whenever its verdict comes.
LedgerTime SlotRecorder::judged_until(LedgerTime at) {
    std::erase_if(unjudged_, [&](const auto& answer) { return answer.second + verdict_time_max < at; });
    for (const auto& [tunnel, due] : unjudged_) at = std::min(at, due);
    return at;
}

void SlotRecorder::stop() {
    if (stopped_) return;
    // Had this process stood still, its windows would be misses.
    outages_.tick(std::chrono::steady_clock::now(), now());
    plan();
    for (ledger::RecordSlots& command : windows_.take_all(now())) commands_.push_back(std::move(command));
    // All at once: there is no time to try again.
    if (is_under_way_) commands_.pop_front();
    for (const ledger::Command& command : commands_) ask(command);
    mark(now());
    stopped_ = true;
    ticks_.cancel();
    records_.cancel();
    retries_.cancel();
}

}  // namespace ee::control_plane
