#pragma once
// A ledger's worker over a memory that outlives it, can be copied, and can fail: for tests.

#include <future>

#include <gtest/gtest.h>

#include "ledger/ledger_worker.h"
#include "ledger/memory_store.h"
#include "ledger/test_ledger.h"

namespace ee::ledger {

struct StoreFaults {
    bool disk_fails = false;
    int busy_commits = 0;  // So many find the database locked,
    int busy_after = 0;    // after so many that do not.
};

// A memory that outlives its worker, and can fail.
class SharedStore final : public Store {
public:
    explicit SharedStore(std::shared_ptr<MemoryStore> memory, std::shared_ptr<StoreFaults> faults)
        : memory_(std::move(memory)), faults_(std::move(faults)) {}
    std::optional<std::string> get(Table table, std::string_view key) const override {
        return memory_->get(table, key);
    }
    void scan(Table table, std::string_view from, const Visit& visit) const override {
        memory_->scan(table, from, visit);
    }
    std::uint64_t leaf_count() const override { return memory_->leaf_count(); }
    std::optional<std::string> leaf(std::uint64_t index) const override { return memory_->leaf(index); }
    std::optional<std::string> tile(unsigned level, std::uint64_t index) const override {
        return memory_->tile(level, index);
    }
    void commit(const Changes& changes) override {
        if (faults_->disk_fails) throw StoreFailure("disk full");
        if (faults_->busy_commits > 0 && faults_->busy_after-- <= 0) {
            --faults_->busy_commits;
            throw StoreBusy("locked");
        }
        memory_->commit(changes);
    }

private:
    std::shared_ptr<MemoryStore> memory_;
    std::shared_ptr<StoreFaults> faults_;
};

class TestWorker {
public:
    TestWorker() { start(); }
    // On what another one has written so far, as if its file had been copied.
    TestWorker(const std::shared_ptr<MemoryStore>& copy, const std::string& key) : memory(copy), pem(key) {
        start();
    }

    void start() {
        worker.reset();
        auto started = LedgerWorker::start(
            std::make_unique<SharedStore>(memory, faults),
            [this](const LogIdentity&, const TreeHead&) -> Result<LogKey> { return make_key(); }, settings());
        ASSERT_TRUE(started) << started.error().detail;
        worker = std::move(*started);
    }
    // As from a file; without `pem` a fresh one at each start, as in a TEE.
    LogKey make_key() const {
        return {.key = pem.empty() ? crypto::SigningKey::generate(crypto::KeyKind::ed25519)
                                   : crypto::SigningKey::from_pem(pem).value()};
    }
    LedgerWorker::Settings settings() {
        LedgerWorker::Settings out{.if_new = {.log_id = std::string(32, 'a'), .salt_secret = {7}}};
        out.clock = [this] { return now; };
        out.settle_auto = settle_auto;
        out.awaits_evidence = awaits_evidence;
        if (waiting_max) out.waiting_max = *waiting_max;
        return out;
    }
    void buy(int times = 1) {
        for (int i = 0; i < times; ++i) {
            const auto bought =
                admin(Purchase{.account = "alice", .amount = Money(1)}, "buy " + std::to_string(++bought_));
            ASSERT_TRUE(bought) << bought.error().detail;
        }
    }
    // alice with n1, so many purchases and a lock of hers that is held.
    void open_with_lock(int purchases) {
        ASSERT_TRUE(admin(OpenAccount{.account = "alice", .token = token_of("alice")}, "a"));
        ASSERT_TRUE(admin(TestLedger::node("n1"), "n"));
        buy(purchases);
        const Period cell = cell_at(Grid::hour, now);
        ASSERT_TRUE(
            admin(TakeLock{.account = "alice", .node = "n1", .period = cell, .amount = Money(7)}, "lock"));
    }
    Result<Reply> as(const Caller& caller, Command command, std::string key) {
        std::promise<Result<Reply>> promise;
        Request request{
            .caller = caller, .idempotency_key = std::move(key), .method = "POST", .path = "/test"};
        request.command = std::move(command);
        worker->run(std::move(request), [&](Result<Reply> reply) { promise.set_value(std::move(reply)); });
        return promise.get_future().get();
    }
    Result<Reply> admin(Command command, std::string key) {
        return as({.role = Role::admin}, std::move(command), std::move(key));
    }

    std::shared_ptr<MemoryStore> memory = std::make_shared<MemoryStore>();
    std::string pem;
    std::shared_ptr<StoreFaults> faults = std::make_shared<StoreFaults>();
    LedgerTime now = test_start;
    bool settle_auto = false;                  // from the next start on
    bool awaits_evidence = false;              // as well
    std::optional<std::size_t> waiting_max{};  // as well
    std::unique_ptr<LedgerWorker> worker;

private:
    int bought_ = 0;
};

// Of logs below 256 leaves, which have no tiles.
inline std::shared_ptr<MemoryStore> copy_of(const Store& store) {
    Changes all;
    for (std::size_t table = 0; table < table_count; ++table)
        store.scan(static_cast<Table>(table), "", [&](std::string_view key, std::string_view record) {
            all.records[table].emplace_back(key, record);
            return true;
        });
    for (std::uint64_t index = 0; index < store.leaf_count(); ++index)
        all.leaves.push_back(store.leaf(index).value());
    auto copy = std::make_shared<MemoryStore>();
    copy->commit(all);
    return copy;
}

}  // namespace ee::ledger
