#pragma once
// A ledger in memory, and short ways to ask it.

#include <gtest/gtest.h>

#include "ledger/books.h"
#include "ledger/ledger.h"
#include "ledger/memory_store.h"

namespace ee::ledger {

inline const LedgerTime test_start = from_us(1'767'963'600'000'000);  // 2026-01-09T13:00:00Z

inline crypto::Sha256 token_of(std::string_view text) {
    return crypto::sha256(as_bytes(text));
}

class TestLedger {
public:
    explicit TestLedger(const Rules& rules = {}) : ledger_(rules) {}

    LedgerTime now = test_start;
    MemoryStore store;

    Result<Answer> apply(const Request& request) {
        Batch batch(store);
        auto answer = ledger_.apply(batch, request, now);
        store.commit(batch.take());
        return answer;
    }
    Result<Answer> as(const Caller& caller, Command command, std::string key = "") {
        Request request{
            .caller = caller, .idempotency_key = std::move(key), .method = "POST", .path = "/test"};
        request.command = std::move(command);
        return apply(request);
    }
    // With a key of its own.
    Result<Answer> admin(Command command) {
        return as({.role = Role::admin}, std::move(command), "key " + std::to_string(++keys_));
    }
    Result<Answer> server(Command command) { return as({.role = Role::server}, std::move(command)); }
    Result<Answer> holder(std::string_view token, Command command) {
        return as({.role = Role::holder, .token = token_of(token)}, std::move(command),
                  "key " + std::to_string(++keys_));
    }
    // Behind its back: nullopt erases.
    void put(Table table, std::string key, std::optional<std::string> record) {
        Changes changes;
        changes.first_leaf = store.leaf_count();
        changes.of(table).emplace_back(std::move(key), std::move(record));
        store.commit(changes);
    }
    // Every transfer that is still to come.
    void settle_all() {
        std::string next = "x";
        while (!next.empty()) next = server(SettleMore{}).value().next;
    }

    Account account(std::string_view name) { return find_account(Batch(store), name).value_or(Account{}); }
    std::string available(std::string_view name) { return to_usd(account(name).available); }
    std::string locked(std::string_view name) { return to_usd(account(name).locked); }

    // alice with 100 USD, bob with nothing; n1 with 8 vCPUs at 0.05 USD an hour and a stake of 10 USD. Tokens
    // are the names.
    void open_everything() {
        ASSERT_TRUE(admin(OpenAccount{.account = "alice", .token = token_of("alice")}));
        ASSERT_TRUE(admin(OpenAccount{.account = "bob", .token = token_of("bob")}));
        ASSERT_TRUE(admin(Purchase{.account = "alice", .amount = Money(100'000'000)}));
        ASSERT_TRUE(admin(node("n1")));
    }
    static RegisterNode node(std::string id) {
        RegisterNode command{.node = id};
        command.capacity_vcpus = 8;
        command.price = Money(50'000);
        command.stake = Money(10'000'000);
        command.token = token_of(id);
        return command;
    }
    Period cell() const { return cell_at(ledger_.rules().grid, now); }

    // A slot of one agent that passed every window of the running cell.
    RecordSlots passing(std::string node, std::string app, std::string agent) {
        Slot slot{.attested_at = LedgerTime{cell().start}, .window_s = 120};
        slot.windows = std::string(static_cast<std::size_t>(cell().length().count() / 120), '\1');
        RecordSlots out{.cell = cell()};
        out.seen.push_back({std::move(node), std::move(app), std::move(agent), std::move(slot)});
        return out;
    }

private:
    Ledger ledger_;
    int keys_ = 0;
};

}  // namespace ee::ledger
