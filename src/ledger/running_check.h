#pragma once
// The ledger's check while the server runs, so that the next start has little to check: a thread in the
// background that goes through what was appended since the last check was good.

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "base/result.h"
#include "ledger/check_report.h"
#include "ledger/store.h"

namespace ee::ledger {

class RunningCheck {
public:
    struct Pace {
        std::uint64_t leaves_min = 100'000;  // since the last check; less is soon checked at a start
        // Read from one moment of the store: a few ms, in which the write-ahead log can't begin anew.
        std::uint64_t leaves_in_step = 128;
        std::chrono::milliseconds look{1000};  // how often it looks whether there is enough
        // After each step it rests so many times as long as the step took, so that what is written meanwhile
        // has the cores and the disk; the more there is to check the less, and not at all from so many leaves
        // on, which a start would have to check.
        unsigned rests = 7;
        std::uint64_t leaves_hurried = 1'000'000;
    };
    // A size up to which the ledger is good, or what a start that finds the same refuses or halts with:
    // `ledger_halted`, `store_unavailable`; then the check has ended. On its thread.
    using OnChecked = std::function<void(Result<std::uint64_t>)>;

    // `reader` reads beside the writer, and gives up its moment with end_reading().
    RunningCheck(std::unique_ptr<Store> reader, OnChecked on_checked, Pace pace);
    RunningCheck(std::unique_ptr<Store> reader, OnChecked on_checked)
        : RunningCheck(std::move(reader), std::move(on_checked), Pace{}) {}
    // Waits for it to end.
    ~RunningCheck();
    RunningCheck(const RunningCheck&) = delete;
    RunningCheck& operator=(const RunningCheck&) = delete;

    // Any thread. A check that is under way ends after its step, and nothing is told of it.
    void stop();

private:
    void work();
    bool rest(std::chrono::steady_clock::duration time);
    bool has_enough();
    std::optional<Result<std::uint64_t>> check();

    std::unique_ptr<Store> reader_;
    const OnChecked on_checked_;
    const Pace pace_;
    std::uint64_t verified_ = 0;

    std::mutex mutex_;
    std::condition_variable wake_;
    bool stopping_ = false;
    std::thread thread_;  // Last: it uses all of the above.
};

}  // namespace ee::ledger
