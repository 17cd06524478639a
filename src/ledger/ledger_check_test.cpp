#include "ledger/ledger_check.h"

#include <functional>

#include "ledger/locks.h"
#include "ledger/test_worker.h"

namespace ee::ledger {
namespace {

// alice, who has a held lock on n1; what is damaged of it is in a copy.
class LedgerCheckTest : public testing::Test {
protected:
    void SetUp() override {
        ASSERT_NO_FATAL_FAILURE(worker_.open_with_lock(20));
        worker_.worker.reset();
        store_ = copy_of(*worker_.memory);
    }
    void put(Table table, std::string key, std::optional<std::string> record) const {
        Changes changes;
        changes.first_leaf = store_->leaf_count();
        changes.of(table).emplace_back(std::move(key), std::move(record));
        store_->commit(changes);
    }
    Account account(std::string_view name) const { return find_account(Batch(*store_), name).value(); }
    void change(const std::string& name, const std::function<void(Account&)>& how) const {
        Account changed = account(name);
        how(changed);
        put(Table::accounts, name, changed.encode());
    }
    std::uint64_t lock_id() const {
        std::uint64_t id = 0;
        store_->scan(Table::held_locks, "", [&](std::string_view key, std::string_view) {
            id = lock_id_of(key);
            return false;
        });
        return id;
    }
    void change_lock(const std::function<void(Lock&)>& how) const {
        Lock changed = find_lock(Batch(*store_), lock_id()).value();
        how(changed);
        put(Table::locks, Lock::key(lock_id()), changed.encode());
    }
    // As at a start that has no leaves to read.
    std::string check() const {
        std::string out;
        for (const std::string& finding : check_ledger(*store_, store_->leaf_count()).findings)
            out += finding + '\n';
        return out;
    }

    TestWorker worker_;
    std::shared_ptr<MemoryStore> store_;
};

TEST_F(LedgerCheckTest, NamesWhatDoesNotAddUp) {
    const struct {
        const char* name;
        std::function<void()> make;
        const char* finding;
    } rows[] = {
        {"less than nothing", [&] { change("alice", [](Account& a) { a.available = Money(-1); }); },
         "balance_not_negative: alice has -0.000001 USD available"},
        {"less than nothing locked", [&] { change("alice", [](Account& a) { a.locked = Money(-1); }); },
         "balance_not_negative: alice has"},
        {"a name that no account has", [&] { put(Table::accounts, "al/ice", account("alice").encode()); },
         "accounts: an account is called al/ice"},
        {"two of one number", [&] { change("alice", [](Account& a) { ++a.number; }); },
         "accounts: no account or more than one has number"},
        {"an account is gone", [&] { put(Table::accounts, "alice", std::nullopt); }, " were opened, "},
        {"more than was issued", [&] { change("alice", [](Account& a) { a.available = Money(14); }); },
         "sum_is_zero: accounts hold"},
        {"other sums", [&] { change("alice", [](Account& a) { a.available = Money(14); }); },
         "sums: the sums that were kept are not those of the accounts"},
        {"more locked than its locks", [&] { change("alice", [](Account& a) { a.locked = Money(8); }); },
         "locked_is_held: 0.000001 USD that alice has locked are of no held lock"},
        {"more locks than are held", [&] { change("alice", [](Account& a) { ++a.held_locks; }); },
         "locked_is_held: 0 USD that alice has locked are of no held lock"},
        {"nothing locked",
         [&] {
             change("alice", [](Account& a) {
                 a.locked = {};
                 a.held_locks = 0;
             });
         },
         "is of alice, which has nothing locked"},
        {"a lock is gone", [&] { put(Table::locks, Lock::key(lock_id()), std::nullopt); },
         "is held and not there"},
        {"a lock that is released", [&] { change_lock([](Lock& l) { l.state = LockState::released; }); },
         "is released and held"},
        {"more drawn than there is", [&] { change_lock([](Lock& l) { l.drawn = Money(8); }); },
         "is held and held, 0.000008 of 0.000007 USD drawn"},
        {"a lock of another unit", [&] { change_lock([](Lock& l) { l.app = "shop"; }); },
         "is held in another unit or by another account"},
        {"a lock of another amount", [&] { change_lock([](Lock& l) { l.amount = Money(8); }); },
         "is not what its leaf says"},
    };
    ASSERT_EQ(check(), "");
    for (const auto& row : rows) {
        row.make();
        EXPECT_NE(check().find(row.finding), std::string::npos) << row.name << ": " << check();
        store_ = copy_of(*worker_.memory);
    }
}

}  // namespace
}  // namespace ee::ledger
