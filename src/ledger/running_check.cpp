#include "ledger/running_check.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/thread_priority.h"
#include "ledger/encoding.h"
#include "ledger/leaf_check.h"
#include "ledger/ledger_check.h"

namespace ee::ledger {

RunningCheck::RunningCheck(std::unique_ptr<Store> reader, OnChecked on_checked, Pace pace)
    : reader_(std::move(reader)),
      on_checked_(std::move(on_checked)),
      pace_(pace),
      thread_([this] { work(); }) {}

RunningCheck::~RunningCheck() {
    stop();
    thread_.join();
}

void RunningCheck::stop() {
    {
        const std::lock_guard guard(mutex_);
        stopping_ = true;
    }
    wake_.notify_one();
}

void RunningCheck::work() {
    become_background_thread();
    while (rest(pace_.look)) {
        std::optional<Result<std::uint64_t>> checked;
        try {
            if (has_enough()) checked = check();
        } catch (const StoreFailure& failure) {
            checked = fail("store_unavailable", failure.what());
        } catch (const DamagedRecord& damage) {
            checked = fail("ledger_halted", fmt::format("records: {}", damage.what()));
        }
        if (!checked) continue;
        if (*checked) verified_ = **checked;
        const bool is_good = checked->has_value();
        on_checked_(*std::move(checked));
        if (!is_good) break;
    }
    reader_.reset();  // with the moment it may still have
}

// False: it is to end.
bool RunningCheck::rest(std::chrono::steady_clock::duration time) {
    std::unique_lock lock(mutex_);
    return !wake_.wait_for(lock, time, [&] { return stopping_; });
}

bool RunningCheck::has_enough() {
    // What this thread has found good may not be remembered yet.
    verified_ = std::max(verified_, verified_size(*reader_));
    const std::uint64_t leaves = reader_->leaf_count();
    reader_->end_reading();
    return leaves >= verified_ + pace_.leaves_min;
}

// To the checkpoint that is the newest one now. nullopt: it is to end.
std::optional<Result<std::uint64_t>> RunningCheck::check() {
    LeafCheck leaves(verified_);
    CheckReport report;
    for (;;) {
        const auto begun = std::chrono::steady_clock::now();
        const bool more = leaves.step(*reader_, pace_.leaves_in_step, report);
        reader_->end_reading();
        if (!more || !report.is_good()) break;
        const std::uint64_t unhurried =
            pace_.leaves_hurried - std::min(pace_.leaves_hurried, leaves.size() - verified_);
        const auto taken = std::chrono::steady_clock::now() - begun;
        if (!rest(taken * pace_.rests * unhurried / pace_.leaves_hurried)) return std::nullopt;
    }
    if (!report.is_good()) return fail("ledger_halted", report.findings.front());
    return leaves.size();
}

}  // namespace ee::ledger
