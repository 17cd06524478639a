// Settling, a step between the commits of others at a time.

#include "ledger/ledger_worker.h"

namespace ee::ledger {
namespace {

// Whoever reports usage of ended cells while they are settled keeps no finalize from its end.
constexpr std::uint32_t passes_max = 3;
// So long after a cell's end nobody who settles it by hand waits for its evidence: recording it takes a
// second, and the verdict on an answer that came in time less than this.
constexpr std::chrono::minutes evidence_wait_max{2};

SettleMore steps_of(const Finalize& command) {
    using enum SettleMore::Pending;
    return {.period = command.period,
            .node = command.node,
            .pending = command.allow_pending ? judge : wait,
            .passes_left = passes_max};
}

}  // namespace

void LedgerWorker::begin_settling(Waiting finalize) {
    const SettleMore step = steps_of(std::get<Finalize>(finalize.request.command));
    settling_.push_back({.step = step, .then = std::move(finalize)});
}

void LedgerWorker::settle_step(Batch& batch, LedgerTime time, std::vector<Answered>& answered) {
    Settling& settling = settling_.front();
    // Who may not ask for it, or not now, is refused before anything is settled.
    if (settling.then && settling.step.from.empty() && settling.step.period) {
        std::get<Finalize>(settling.then->request.command).recorded_until = evidence_until(time);
        if (ledger_.check_finalize(batch, settling.then->request, time))
            return end_settling(batch, time, answered);
    }
    const auto stepped = ledger_.apply(batch, own_request(settling.step), time);
    std::string next = stepped ? stepped->next : "";
    const bool goes_back = !next.empty() && next < settling.step.from;
    if (goes_back) --settling.step.passes_left;
    settling.step.from = std::move(next);
    if (!settling.step.from.empty()) return;
    if (settling.then) std::get<Finalize>(settling.then->request.command).judged = true;
    end_settling(batch, time, answered);
}

// Whoever asked for it is answered, whatever happens to the command.
void LedgerWorker::end_settling(Batch& batch, LedgerTime time, std::vector<Answered>& answered) {
    std::optional<Waiting> then = std::move(settling_.front().then);
    settling_.pop_front();
    if (!then) return;
    Answered& out = answered.emplace_back(std::move(then->done), fail("ledger_halted", "it was not run"));
    out.answer = ledger_.apply(batch, then->request, time, &out.was_known);
}

LedgerTime LedgerWorker::evidence_until(LedgerTime time) const {
    if (!settings_.awaits_evidence) return LedgerTime::max();
    return std::max(recorded_until_, time - evidence_wait_max);
}

void LedgerWorker::start_automatic_settlement(LedgerTime time) {
    if (!settings_.settle_auto) return;
    // Either clock may have been set back since.
    const LedgerTime known = std::min(time, recorded_until_);
    const Seconds due = cell_at(settings_.rules.grid, known - settings_.settle_delay).start;
    if (LedgerTime{due} <= settled_until_) return;
    settled_until_ = due;
    const Period all{.start = {}, .end = due};
    settling_.push_back({.step = {.period = all, .pending = SettleMore::Pending::wait_30_days}, .then = {}});
}

// Of a batch that was not committed. Who waits for a settlement is refused; as far as it had come it goes on
// by itself.
void LedgerWorker::go_on_settling(std::deque<Settling> from, const Error& why) {
    for (Settling& settling : settling_)
        if (settling.then) settling.then->done(fail(why));
    std::erase_if(from, [](const Settling& one) { return one.then && one.step.from.empty(); });
    for (Settling& settling : from) settling.then.reset();
    settling_ = std::move(from);
}

}  // namespace ee::ledger
