#pragma once
// The one doorway to the ledger: a thread that owns the store, runs commands in the order they came, and lets
// all that wait share one commit. An answer is given once its commit is on disk.

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_set>

#include "ledger/forks.h"
#include "ledger/ledger.h"
#include "ledger/ledger_check.h"
#include "ledger/log.h"

namespace ee::ledger {

// What a caller is told, with the receipt in the body.
struct Reply {
    std::uint16_t status = 200;
    std::string body{};    // a JSON object
    std::string secret{};  // the field to add to it, made for this answer; empty: none
    bool replayed = false;
    std::optional<Error> refusal{};  // remembered from the first time; what comes anew is an Error itself
};

// Why nothing is written any more: `ledger_halted` (an invariant broke, a record is damaged), `ledger_forked`
// (a witness holds a checkpoint that this log does not lead to) or `store_unavailable` (the disk). Reads and
// proofs go on.
struct Standstill {
    std::string code;
    std::string detail;
};

class LedgerWorker {
public:
    struct Settings {
        Rules rules{};
        LogIdentity if_new{};  // of a ledger that does not exist yet
        bool settle_auto = true;
        std::chrono::seconds settle_delay{3600};
        bool awaits_evidence = false;  // somebody calls recorded_until(), and a finalize waits for it
        std::function<LedgerTime()> clock{};
        std::function<void(const Standstill&)>
            on_standstill{};              // on the worker's thread; again when a fork shows more
        std::size_t batch_max = 512;      // commands that share a commit
        std::size_t waiting_max = 65536;  // more are refused: `ledger_busy`
    };

    // Checks the store (a ledger that is not what its journal says, or has forked, opens at a standstill),
    // records the grid and the key, and starts. Refusals: `ledger_foreign`, `settle_period_in_use`,
    // `store_unavailable`. `make_key` is called once, with the log as it ends there: what binds the key names
    // both.
    using MakeKey = std::function<Result<LogKey>(const LogIdentity& identity, const TreeHead& last)>;
    static Result<std::unique_ptr<LedgerWorker>> start(std::unique_ptr<Store> store, const MakeKey& make_key,
                                                       Settings settings);

    // Does what is waiting, then ends.
    ~LedgerWorker();
    LedgerWorker(const LedgerWorker&) = delete;
    LedgerWorker& operator=(const LedgerWorker&) = delete;

    // Any thread. `done` is called once, on the worker's thread, and does not wait for anything. What comes
    // under an idempotency key whose first request has no answer yet is refused: `idempotency_in_flight`.
    using Done = std::function<void(Result<Reply>)>;
    void run(Request request, Done done);

    // Any thread. Whoever records evidence has been answered about all that there was up to `time`. Cells are
    // settled automatically only as far as this was said: what is not recorded yet must not be missing there.
    // Nor by hand, where evidence is awaited, but for what ended minutes ago.
    void recorded_until(LedgerTime time);

    // Any thread. What a witness has shown: a fork ends writing, also after a restart, until
    // accept_loss().
    void witnessed(Witnessed what);

    // Any thread. What a check beside this thread has come to: the size up to which it has found the ledger
    // good, which is remembered in a commit of its own, or what it found, which ends writing as at a start.
    void checked(Result<std::uint64_t> up_to);

    // Any thread. From now on each commit is told of once it is on disk, before its commands are answered: on
    // the worker's thread, which does not wait for anything in there.
    using OnCommit = std::function<void(const Changes&)>;
    void listen(OnCommit on_commit);

    // Any thread.
    std::optional<Standstill> standstill() const;
    // The newest checkpoint of this run; null: none, nothing is written any more.
    std::shared_ptr<const SignedHead> head() const;
    const LogIdentity& identity() const { return identity_; }
    std::uint64_t commits() const { return commits_.load(std::memory_order_relaxed); }
    std::uint64_t commands() const { return commands_.load(std::memory_order_relaxed); }

private:
    struct Waiting {
        Request request;
        Done done;
    };
    // Settling goes step by step between the commits of others; what it was asked for is answered at its end.
    struct Settling {
        SettleMore step;
        std::optional<Waiting> then;
    };
    struct Answered {
        Done done;
        Result<Answer> answer;
        bool was_known = false;  // by its key
    };

    LedgerWorker(std::unique_ptr<Store> store, Log log, Settings settings);
    Result<void> begin_unless_halted(const MakeKey& make_key);
    Result<void> begin(const MakeKey& make_key);
    Result<void> record_grid(Batch& batch, LedgerTime now) const;
    Result<void> record_loss(Batch& batch, LedgerTime now) const;
    Result<void> record(Batch& batch, Command command, LedgerTime now) const;
    void record_fork();
    void record_check();
    Done leaving_flight(std::string key, Done done);
    void work();
    std::deque<Waiting> wait_for_work(bool& stopping);
    void run_batch(std::deque<Waiting> waiting);
    void apply(Batch& batch, std::deque<Waiting> waiting, LedgerTime now, std::vector<Answered>& answered);
    void begin_settling(Waiting finalize);
    void settle_step(Batch& batch, LedgerTime now, std::vector<Answered>& answered);
    void end_settling(Batch& batch, LedgerTime now, std::vector<Answered>& answered);
    void start_automatic_settlement(LedgerTime now);
    LedgerTime evidence_until(LedgerTime now) const;
    void go_on_settling(std::deque<Settling> from, const Error& why);
    void commit(Batch& batch, LedgerTime now);
    void tell(const Changes& changes);
    void give(std::vector<Answered> answered);
    Result<Reply> reply_of(Answer answer);
    void halt(std::string code, std::string detail);
    static Request own_request(Command command);
    LedgerTime now() const;

    std::unique_ptr<Store> store_;
    Log log_;
    LogIdentity identity_;
    Settings settings_;
    Ledger ledger_;
    LogReader reader_;
    std::uint64_t last_commit_from_ = 0;  // its first leaf
    std::deque<Settling> settling_;
    LedgerTime recorded_until_{};
    LedgerTime settled_until_{};  // by automatic settlement
    std::optional<Fork> fork_;

    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Waiting> waiting_;
    std::unordered_set<std::string> in_flight_;  // callers' keys
    std::vector<Witnessed> witnessed_;
    std::optional<LedgerTime> told_recorded_;  // until when; not looked at yet
    std::optional<Result<std::uint64_t>> checked_;
    std::optional<Standstill> standstill_;
    std::shared_ptr<const SignedHead> head_;
    std::shared_ptr<OnCommit> on_commit_;  // not copied: it may remember
    bool stopping_ = false;
    std::atomic<std::uint64_t> commits_{0};
    std::atomic<std::uint64_t> commands_{0};
    std::thread thread_;  // Last: it uses all of the above.
};

}  // namespace ee::ledger
