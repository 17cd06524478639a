#include "ledger/ledger_worker.h"

#include <fmt/format.h>

#include "ledger/books.h"
#include "ledger/meta_record.h"
#include "ledger/refusals.h"

namespace ee::ledger {
namespace {

constexpr std::string_view forked = "ledger_forked";
// What witnesses show and the worker has not looked at yet: each connects again.
constexpr std::size_t witnessed_max = 64;

std::string number_text(std::uint64_t number) {
    std::string out;
    append_big_endian<8>(out, number);
    return out;
}

bool is_step_by_step(const Request& request) {
    return std::holds_alternative<Finalize>(request.command);
}

// Whose key it is: of a role, or of whoever has the token. Empty: there is none.
std::string flight_key(const Request& request) {
    if (request.idempotency_key.empty()) return {};
    std::string key(1, static_cast<char>(request.caller.role));
    key.append(as_text(request.caller.token)).append(request.idempotency_key);
    return key;
}

bool has_records(const Store& store, Table table) {
    bool found = false;
    store.scan(table, "", [&](std::string_view, std::string_view) {
        found = true;
        return false;
    });
    return found;
}

Result<Log> open_log(const Store& store, const LogIdentity& if_new) {
    try {
        return Log::open(store, if_new);
    } catch (const DamagedRecord& damage) {
        return fail("ledger_damaged", fmt::format("records: {}", damage.what()));
    }
}

}  // namespace

LedgerWorker::LedgerWorker(std::unique_ptr<Store> store, Log log, Settings settings)
    : store_(std::move(store)),
      log_(std::move(log)),
      identity_(log_.identity()),
      settings_(std::move(settings)),
      ledger_(settings_.rules),
      reader_(*store_) {}

Result<std::unique_ptr<LedgerWorker>> LedgerWorker::start(std::unique_ptr<Store> store,
                                                          const MakeKey& make_key, Settings settings) {
    try {
        const CheckReport report = check_since_verified(*store);
        auto log = open_log(*store, settings.if_new);
        if (!log && log.error().code != "ledger_damaged") return fail(std::move(log.error()));
        // A damaged ledger is shown, and not written to.
        std::optional<Error> damage;
        if (!log) damage = std::move(log.error());
        Log held = damage ? Log::closed(settings.if_new) : *std::move(log);
        std::unique_ptr<LedgerWorker> worker(
            new LedgerWorker(std::move(store), std::move(held), std::move(settings)));
        if (damage) worker->halt("ledger_halted", damage->detail);
        if (!report.is_good()) worker->halt("ledger_halted", report.findings.front());
        if (auto begun = worker->begin_unless_halted(make_key); !begun) return fail(std::move(begun.error()));
        worker->thread_ = std::thread([self = worker.get()] { self->work(); });
        return worker;
    } catch (const StoreFailure& failure) {
        return fail("store_unavailable", failure.what());
    }
}

LedgerWorker::~LedgerWorker() {
    {
        const std::lock_guard guard(mutex_);
        stopping_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
}

Result<void> LedgerWorker::begin_unless_halted(const MakeKey& make_key) {
    try {
        fork_ = find_fork(*store_);
        if (fork_) halt(std::string(forked), fork_->detail());
        if (!standstill_) return begin(make_key);
    } catch (const DamagedRecord& damage) {
        halt("ledger_halted", fmt::format("records: {}", damage.what()));
    } catch (const BrokenInvariant& broken) {
        halt("ledger_halted", broken.what());
    }
    return {};
}

// The start's own commit: what was checked, the grid, and the key that signs from now on.
Result<void> LedgerWorker::begin(const MakeKey& make_key) {
    auto key = make_key(log_.identity(), log_.tree().head());
    if (!key) return fail(std::move(key.error()));
    if (log_.tree().size() > 0) store_->commit(remember_verified(log_.tree().size()));
    Batch batch(*store_);
    const LedgerTime time = now();
    log_.begin_key(batch, *std::move(key), to_us(time));
    if (auto recorded = record_loss(batch, time); !recorded) return recorded;
    log_.mark_losses(losses_logged(batch, log_.identity()));
    if (auto recorded = record_grid(batch, time); !recorded) return recorded;
    commit(batch, time);
    if (has_records(*store_, Table::moving_units)) settling_.push_back({.step = {}, .then = {}});
    store_->end_reading();
    return {};
}

Result<void> LedgerWorker::record_grid(Batch& batch, LedgerTime time) const {
    const auto known = meta_record(batch, grid_key, decode_grid);
    if (known == settings_.rules.grid) return {};
    const std::string word(to_word(settings_.rules.grid));
    // Their keys have no end: of which cell one is, settled or not, the grid says. Locks name theirs for
    // ever.
    const bool has_units = has_records(*store_, Table::units) || has_records(*store_, Table::locks);
    if (!known && has_units) throw DamagedRecord("'grid' is missing, and there are cells of it");
    if (known && has_units)
        return fail("settle_period_in_use",
                    fmt::format("EE_SETTLE_PERIOD is {0} in this ledger and can't become {1}: locks or usage "
                                "are recorded by it, and what was settled is named by it. Set it to {0}; {1} "
                                "needs a ledger that has none yet",
                                to_word(*known), word));
    batch.put(Table::meta, std::string(grid_key), word);
    return record(batch, RecordLeaf{.kind = LeafKind::grid, .fields = {word}}, time);
}

// What was lost and accepted, in the log for everybody; evidence of that time is lost with it.
Result<void> LedgerWorker::record_loss(Batch& batch, LedgerTime time) const {
    auto loss = loss_to_log(*store_);
    if (!loss) return {};
    const RecordLeaf said{.kind = LeafKind::restored,
                          .fields = {number_text(loss->size), number_text(loss->lost_size)}};
    loss->leaf_index = batch.leaf_count();
    if (auto recorded = record(batch, said, time); !recorded) return recorded;
    loss_was_logged(batch, *loss);
    const auto last = last_leaf(*store_, loss->size);
    if (!last || from_us(last->time_us) >= time) return {};
    const Outage away{.from = from_us(last->time_us), .to = time, .cause = "restored"};
    return record(batch, RecordOutage{.outage = away}, time);
}

Result<void> LedgerWorker::record(Batch& batch, Command command, LedgerTime time) const {
    const auto recorded = ledger_.apply(batch, own_request(std::move(command)), time);
    if (!recorded) return fail(recorded.error());
    return {};
}

void LedgerWorker::witnessed(Witnessed what) {
    if (!what.is_fork()) return;
    {
        const std::lock_guard guard(mutex_);
        if (witnessed_.size() >= witnessed_max) return;
        witnessed_.push_back(std::move(what));
    }
    wake_.notify_one();
}

void LedgerWorker::record_fork() {
    std::vector<Witnessed> seen;
    {
        const std::lock_guard guard(mutex_);
        seen.swap(witnessed_);
        if (seen.empty() || (standstill_ && standstill_->code != forked)) return;
    }
    try {
        Fork fork = fork_ ? *fork_ : begin_fork(*store_, seen.front());
        for (const Witnessed& one : seen) fork.add(one);
        if (fork == fork_) return;
        fork_ = fork;
        halt(std::string(forked), fork.detail());
        store_->commit(remember_fork(fork));
    } catch (const std::runtime_error& failure) {
        // It holds until a restart; then the next witness shows it again.
        const std::string detail = fork_ ? fork_->detail() : "a witness holds a checkpoint that is not of it";
        halt(std::string(forked), fmt::format("{}; this can't be kept: {}", detail, failure.what()));
    }
    store_->end_reading();
}

void LedgerWorker::checked(Result<std::uint64_t> up_to) {
    {
        const std::lock_guard guard(mutex_);
        if (checked_ && !*checked_) return;
        checked_ = std::move(up_to);
    }
    wake_.notify_one();
}

// Before the commands that came meanwhile: on what is damaged nothing more is built.
void LedgerWorker::record_check() {
    std::optional<Result<std::uint64_t>> up_to;
    {
        const std::lock_guard guard(mutex_);
        up_to.swap(checked_);
        if (!up_to || standstill_) return;
    }
    if (!*up_to) return halt(up_to->error().code, up_to->error().detail);
    try {
        store_->commit(remember_verified(**up_to));
    } catch (const StoreBusy&) {
        // The next check says so again.
    } catch (const StoreFailure& failure) {
        halt("store_unavailable", failure.what());
    }
}

Request LedgerWorker::own_request(Command command) {
    Request request{.caller = {.role = Role::server}};
    request.command = std::move(command);
    return request;
}

LedgerTime LedgerWorker::now() const {
    return commit_time(settings_.clock(), from_us(log_.last_time_us()));
}

// Before the answer is given, so that whoever has it may ask again.
LedgerWorker::Done LedgerWorker::leaving_flight(std::string key, Done done) {
    return [this, key = std::move(key), done = std::move(done)](Result<Reply> reply) {
        {
            const std::lock_guard guard(mutex_);
            in_flight_.erase(key);
        }
        done(std::move(reply));
    };
}

void LedgerWorker::run(Request request, Done done) {
    std::optional<Error> refusal;
    std::string key = flight_key(request);
    std::unique_lock lock(mutex_);
    if (standstill_)
        refusal = Error{standstill_->code, standstill_->detail};
    else if (waiting_.size() >= settings_.waiting_max &&
             !std::holds_alternative<RecordOutage>(request.command))  // Few, and each holds for others.
        refusal = Error{"ledger_busy", fmt::format("{} commands wait already", waiting_.size())};
    else if (!key.empty() && !in_flight_.insert(key).second)
        refusal = Error{"idempotency_in_flight", "the first request under this key has no answer yet"};
    if (refusal) {
        lock.unlock();
        return done(fail(*std::move(refusal)));
    }
    if (!key.empty()) done = leaving_flight(std::move(key), std::move(done));
    waiting_.push_back({std::move(request), std::move(done)});
    lock.unlock();
    wake_.notify_one();
}

void LedgerWorker::recorded_until(LedgerTime time) {
    {
        const std::lock_guard guard(mutex_);
        told_recorded_ = time;
    }
    wake_.notify_one();
}

void LedgerWorker::listen(OnCommit on_commit) {
    const std::lock_guard guard(mutex_);
    on_commit_ = std::make_shared<OnCommit>(std::move(on_commit));
}

std::optional<Standstill> LedgerWorker::standstill() const {
    const std::lock_guard guard(mutex_);
    return standstill_;
}

std::shared_ptr<const SignedHead> LedgerWorker::head() const {
    const std::lock_guard guard(mutex_);
    return standstill_ ? nullptr : head_;
}

void LedgerWorker::halt(std::string code, std::string detail) {
    Standstill why{.code = std::move(code), .detail = std::move(detail)};
    {
        const std::lock_guard guard(mutex_);
        if (standstill_ && (standstill_->code != why.code || why.code != forked)) return;
        standstill_ = why;
    }
    if (settings_.on_standstill) settings_.on_standstill(why);
}

void LedgerWorker::work() {
    for (;;) {
        bool stopping = false;
        std::deque<Waiting> waiting = wait_for_work(stopping);
        record_fork();
        record_check();
        if (stopping && waiting.empty()) return;
        run_batch(std::move(waiting));
    }
}

std::deque<LedgerWorker::Waiting> LedgerWorker::wait_for_work(bool& stopping) {
    std::unique_lock lock(mutex_);
    const auto has_work = [&] {
        return stopping_ || !waiting_.empty() || !settling_.empty() || !witnessed_.empty() ||
               told_recorded_ || checked_.has_value();
    };
    wake_.wait(lock, has_work);
    stopping = stopping_;
    if (told_recorded_) recorded_until_ = *std::exchange(told_recorded_, std::nullopt);
    std::deque<Waiting> taken;
    if (waiting_.size() <= settings_.batch_max) {
        taken.swap(waiting_);
        return taken;
    }
    const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(settings_.batch_max);
    taken.assign(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(end));
    waiting_.erase(waiting_.begin(), end);
    return taken;
}

void LedgerWorker::run_batch(std::deque<Waiting> waiting) {
    if (const auto why = standstill()) {
        for (Settling& settling : std::exchange(settling_, {}))
            if (settling.then) settling.then->done(fail(why->code, why->detail));
        for (Waiting& command : waiting) command.done(fail(why->code, why->detail));
        return;
    }
    std::vector<Answered> answered;
    const auto refuse_all = [&](const std::string& code, const std::string& detail) {
        halt(code, detail);
        for (Answered& one : answered) one.answer = fail(code, detail);
    };
    std::deque<Settling> settling = settling_;  // Mostly none.
    const LedgerTime settled_until = settled_until_;
    try {
        const LedgerTime time = now();
        Batch batch(*store_);
        apply(batch, std::move(waiting), time, answered);
        start_automatic_settlement(time);
        if (!settling_.empty()) settle_step(batch, time, answered);
        if (!batch.is_empty()) commit(batch, time);
    } catch (const StoreBusy& busy) {
        const Error why{"ledger_busy", busy.what()};
        for (Answered& one : answered) one.answer = fail(why);
        go_on_settling(std::move(settling), why);
        settled_until_ = settled_until;
    } catch (const StoreFailure& failure) {
        refuse_all("store_unavailable", failure.what());
    } catch (const BrokenInvariant& broken) {
        refuse_all("ledger_halted", broken.what());
    } catch (const DamagedRecord& damage) {
        refuse_all("ledger_halted", damage.what());
    }
    give(std::move(answered));
}

void LedgerWorker::apply(Batch& batch, std::deque<Waiting> waiting, LedgerTime time,
                         std::vector<Answered>& answered) {
    answered.reserve(waiting.size() + 1);
    // All that was taken is answered, whatever happens to one of them.
    for (Waiting& command : waiting)
        if (!is_step_by_step(command.request))
            answered.push_back({std::move(command.done), fail("ledger_halted", "it was not run")});
    std::size_t place = 0;
    for (Waiting& command : waiting) {
        if (is_step_by_step(command.request)) {
            begin_settling(std::move(command));
            continue;
        }
        Answered& to_give = answered[place++];
        to_give.answer = ledger_.apply(batch, command.request, time, &to_give.was_known);
        if (std::holds_alternative<Resolve>(command.request.command))
            settling_.push_back({.step = {}, .then = {}});
    }
    commands_.fetch_add(place, std::memory_order_relaxed);
}

void LedgerWorker::commit(Batch& batch, LedgerTime time) {
    if (const Sums sums = sums_of(batch); !sums.is_balanced())
        throw BrokenInvariant(fmt::format("accounts hold {} USD available and {} locked, held locks {}",
                                          to_usd(sums.available), to_usd(sums.locked), to_usd(sums.held)));
    last_commit_from_ = log_.tree().size();
    Changes changes = log_.seal(batch, to_us(time));
    store_->commit(changes);
    log_.committed();
    tell(changes);
    reader_.keep(changes.first_leaf, std::move(changes.leaves));
    if (log_.head()) {
        auto head = std::make_shared<const SignedHead>(*log_.head());
        const std::lock_guard guard(mutex_);
        head_ = std::move(head);
    }
    commits_.fetch_add(1, std::memory_order_relaxed);
}

void LedgerWorker::tell(const Changes& changes) {
    std::shared_ptr<OnCommit> on_commit;
    {
        const std::lock_guard guard(mutex_);
        on_commit = on_commit_;
    }
    if (on_commit) (*on_commit)(changes);
}

void LedgerWorker::give(std::vector<Answered> answered) {
    for (Answered& one : answered) {
        if (!one.answer) {
            // Only those are kept under a key.
            if (one.was_known && is_business_refusal(one.answer.error().code))
                one.done(Reply{.replayed = true, .refusal = std::move(one.answer.error())});
            else
                one.done(fail(std::move(one.answer.error())));
            continue;
        }
        Result<Reply> reply = fail("ledger_halted");
        try {
            reply = reply_of(*std::move(one.answer));
        } catch (const std::runtime_error& failure) {
            // It is done, and can't be shown: a retry with its key will.
            reply = fail("store_unavailable", failure.what());
        }
        one.done(std::move(reply));
    }
    store_->end_reading();
}

Result<Reply> LedgerWorker::reply_of(Answer answer) {
    Reply reply{.status = answer.status,
                .body = std::move(answer.body),
                .secret = std::move(answer.secret),
                .replayed = answer.replayed};
    if (!answer.leaf_index) return reply;
    // A leaf of the last commit is under its checkpoint; that of others is looked up.
    const std::uint64_t leaf = *answer.leaf_index;
    const auto added = leaf >= last_commit_from_
                           ? reader_.add_receipt(reply.body, log_.tree(), leaf, *log_.head())
                           : reader_.add_receipt(reply.body, log_.tree(), leaf);
    if (!added) return fail("store_unavailable", added.error().detail);
    return reply;
}

}  // namespace ee::ledger
