#include "ledger/lock_check.h"

#include "ledger/answers.h"
#include "ledger/ledger_check.h"
#include "ledger/locks.h"
#include "ledger/test_damaged_store.h"
#include "ledger/test_ledger.h"
#include "ledger/test_worker.h"

namespace ee::ledger {
namespace {

// A ledger with locks that are held, released, paid and given back, and what is changed of it.
struct World {
    World() {
        ledger.open_everything();
        EXPECT_TRUE(ledger.admin(Purchase{.account = "bob", .amount = Money(50'000'000)}));
        EXPECT_TRUE(ledger.admin(TestLedger::node("n2")));
        first = cell = {ledger.cell().end, ledger.cell().end + std::chrono::hours(1)};
    }
    std::uint64_t lock(std::string account, std::string node, int usd) {
        TakeLock command{.account = account, .node = std::move(node), .app = "shop", .period = cell};
        command.amount = Money(usd * 1'000'000);
        const auto taken = ledger.holder(account, std::move(command));
        EXPECT_TRUE(taken);
        return *taken->leaf_index + 1;
    }
    void use(std::string account, std::string node, int hours) {
        ReportUsage usage{
            .account = std::move(account), .node = std::move(node), .app = "shop", .period = cell};
        usage.hours = Hours(hours * 1'000'000);
        usage.report_id = "r" + std::to_string(++reports);
        ASSERT_TRUE(ledger.as({.role = Role::uptime}, usage));
    }
    // One cell of each thing that can become of a lock, and the next cell with what is held.
    void live() {
        const auto given_back = lock("bob", "n1", 3);
        lock("alice", "n1", 2);
        lock("alice", "n1", 1);
        lock("bob", "n1", 2);
        lock("alice", "n2", 2);
        ASSERT_TRUE(ledger.holder("bob", ReleaseLock{.lock = given_back}));
        ledger.now = LedgerTime{cell.start};
        ASSERT_TRUE(ledger.server(ledger.passing("n1", "shop", "a")));
        use("alice", "n1", 4);
        use("bob", "n1", 2);
        use("alice", "n2", 2);
        ledger.now = LedgerTime{cell.end};
        cell = ledger.cell();
        use("bob", "n1", 1);  // Locked by what was used.
        held = lock_ending();
    }
    std::uint64_t lock_ending() {
        cell = {ledger.cell().end, ledger.cell().end + std::chrono::hours(1)};
        return lock("alice", "n1", 5);
    }
    void settle() {
        ASSERT_TRUE(ledger.admin(Finalize{.period = first}));
        ledger.settle_all();
    }
    Lock record(std::uint64_t id) { return find_lock(Batch(ledger.store), id).value(); }
    template <class Change>
    void change(std::uint64_t id, Change how) {
        Lock lock = record(id);
        how(lock);
        ledger.put(Table::locks, Lock::key(id), lock.encode());
    }
    // What the check finds, one line each.
    std::string check() {
        CheckReport report;
        LockCheck locks;
        for (std::uint64_t index = 0; index < ledger.store.leaf_count(); ++index)
            locks.follow(index, decode_leaf(as_bytes(*ledger.store.leaf(index))).value(), report);
        if (report.is_good()) locks.compare_held(ledger.store, report);
        ledger.store.scan(Table::held_locks, "", [&](std::string_view key, std::string_view) {
            compare_with_leaf(ledger.store, lock_id_of(key), record(lock_id_of(key)), report);
            return true;
        });
        std::string out;
        for (const std::string& finding : report.findings) out += finding + '\n';
        return out;
    }

    TestLedger ledger;
    Period first{}, cell{};
    std::uint64_t held = 0;
    int reports = 0;
};

TEST(LockCheck, FindsNothingWhereNothingIsChanged) {
    World world;
    world.live();
    EXPECT_EQ(world.check(), "");
    ASSERT_TRUE(world.ledger.admin(Finalize{.period = world.first}));
    EXPECT_EQ(world.check(), "") << "while it moves";
    world.ledger.settle_all();
    EXPECT_EQ(world.check(), "");
    EXPECT_EQ(world.ledger.locked("alice"), "5");
    EXPECT_EQ(world.ledger.available("node:n1"), "0.3");
    EXPECT_EQ(world.ledger.available("node:n2"), "0");  // Nobody attested there.
}

TEST(LockCheck, NamesWhatIsNotAsTheLogSays) {
    struct Row {
        const char* what;
        std::function<void(World&)> make;
        const char* finding;
    };
    const Row rows[] = {
        {"a held lock's amount",
         [](auto& t) { t.change(t.held, [](Lock& l) { l.amount = Money(6'000'000); }); },
         "is not what its leaf says"},
        {"its account", [](auto& t) { t.change(t.held, [](Lock& l) { l.account = "bob"; }); },
         "is not what its leaf says"},
        {"its node", [](auto& t) { t.change(t.held, [](Lock& l) { l.node = "n2"; }); },
         "is not what its leaf says"},
        {"its price", [](auto& t) { t.change(t.held, [](Lock& l) { l.price = Money(7); }); },
         "is not what its leaf says"},
        {"when it was taken",
         [](auto& t) { t.change(t.held, [](Lock& l) { l.taken_at += std::chrono::seconds(1); }); },
         "is not what its leaf says"},
        {"what is drawn on it", [](auto& t) { t.change(t.held, [](Lock& l) { l.drawn = Money(1); }); },
         "are drawn on locks of alice"},
        {"that it is held",
         [](auto& t) {
             t.ledger.put(Table::held_locks, held_lock_key(t.record(t.held), t.held), std::nullopt);
         },
         "locks are held by the log"},
        {"that it is another's leaf",
         [](auto& t) {
             const Lock lock = t.record(t.held);
             t.ledger.put(Table::locks, Lock::key(t.held + 1), lock.encode());
             t.ledger.put(Table::held_locks, held_lock_key(lock, t.held + 1), "");
         },
         "by the log it has ended, or was never taken"},
        {"that it is of another leaf",
         [](auto& t) {
             Lock lock = t.record(t.held);
             lock.taken_at = from_us(decode_leaf(as_bytes(*t.ledger.store.leaf(0))).value().time_us);
             t.ledger.put(Table::locks, Lock::key(1), lock.encode());
             t.ledger.put(Table::held_locks, held_lock_key(lock, 1), "");
         },
         "locks: lock 1 of alice"},
    };
    for (const Row& row : rows) {
        SCOPED_TRACE(row.what);
        World world;
        world.live();
        row.make(world);
        EXPECT_NE(world.check().find(row.finding), std::string::npos) << world.check();
    }
}

// Who changes locks before they are settled can't have it look right afterwards.
TEST(LockCheck, ASettlementPaysWhatUsageDrewAndNothingElse) {
    const auto shifted = [](World& t, std::string_view from, std::string_view to) {
        const Money some(50'000);
        bool taken = false, given = false;
        std::vector<std::uint64_t> ids;
        t.ledger.store.scan(Table::held_locks, "", [&](std::string_view key, std::string_view) {
            ids.push_back(lock_id_of(key));
            return true;
        });
        for (const std::uint64_t id : ids)
            t.change(id, [&](Lock& lock) {
                if (lock.cell != t.first || lock.node != "n1") return;
                if (lock.account == from && !std::exchange(taken, true))
                    lock.drawn = checked_subtract(lock.drawn, some).value();
                if (lock.account == to && !std::exchange(given, true))
                    lock.drawn = checked_add(lock.drawn, some).value();
            });
    };
    {
        World more;
        more.live();
        shifted(more, "", "alice");
        more.settle();
        EXPECT_NE(more.check().find("settlements: leaf "), std::string::npos) << more.check();
    }
    {
        World between;  // The unit pays what it should, but who pays?
        between.live();
        shifted(between, "alice", "bob");
        between.settle();
        EXPECT_NE(between.check().find("alice has paid 0.15 USD"), std::string::npos) << between.check();
        EXPECT_NE(between.check().find("bob has paid 0.15 USD"), std::string::npos) << between.check();
    }
}

// What leaves say that no ledger writes.
TEST(LockCheck, NamesLeavesThatContradictEachOther) {
    World world;
    world.live();
    world.settle();
    const MemoryStore& store = world.ledger.store;
    std::vector<Leaf> leaves;
    std::optional<std::size_t> pay, release, settlement, usage, lock;
    for (std::uint64_t index = 0; index < store.leaf_count(); ++index) {
        leaves.push_back(decode_leaf(as_bytes(*store.leaf(index))).value());
        const Leaf& leaf = leaves.back();
        if (leaf.kind == LeafKind::usage && !usage) usage = index;
        if (leaf.kind == LeafKind::settlement && leaf.text("outcome") == "pass") settlement = index;
        if (leaf.kind != LeafKind::entry) continue;
        if (leaf.text("transfer_kind") == "lock" && leaf.text("account") == "alice" && !lock) lock = index;
        if (leaf.text("transfer_kind") == "release") release = index;
        if (leaf.text("transfer_kind") == "pay" && leaf.i64("locked_delta") != 0) pay = index;
    }
    ASSERT_TRUE(pay && release && settlement && usage && lock);
    const auto findings = [](const std::vector<Leaf>& all) {
        CheckReport report;
        LockCheck locks;
        for (std::uint64_t index = 0; index < all.size(); ++index) locks.follow(index, all[index], report);
        std::string out;
        for (const std::string& finding : report.findings) out += finding + '\n';
        return out;
    };
    ASSERT_EQ(findings(leaves), "");
    const auto find = [&](const auto& forge) {
        std::vector<Leaf> forged = leaves;
        forge(forged);
        return findings(forged);
    };
    const auto again = [&](std::size_t which) {
        return find([&](std::vector<Leaf>& all) { all.push_back(all[which]); });
    };
    EXPECT_NE(again(*pay).find("which is not held by then"), std::string::npos);
    EXPECT_NE(again(*release).find("which is not held by then"), std::string::npos);
    EXPECT_NE(again(*settlement).find("settlements: leaf "), std::string::npos) << again(*settlement);
    const auto swapped = [&](std::size_t a, std::size_t b) {
        return find([&](std::vector<Leaf>& all) { std::swap(all[a], all[b]); });
    };
    EXPECT_NE(swapped(*usage, *settlement).find("settlements: leaf "), std::string::npos);
    EXPECT_NE(swapped(*pay, *settlement).find("settlement does not ask for"), std::string::npos);
    const auto with = [&](std::size_t which, std::size_t place, Bytes field) {
        return find([&](std::vector<Leaf>& all) { all[which].fields[place] = std::move(field); });
    };
    // What comes once the unit is settled, while its locks are still held.
    const auto once_settled = [&](std::size_t which) {
        return find([&](std::vector<Leaf>& all) {
            all.insert(all.begin() + static_cast<std::ptrdiff_t>(*settlement) + 1, all[which]);
        });
    };
    EXPECT_NE(once_settled(*lock).find("was taken for node=n1"), std::string::npos) << once_settled(*lock);
    EXPECT_NE(once_settled(*usage).find("is usage of node=n1"), std::string::npos) << once_settled(*usage);
    EXPECT_NE(once_settled(*settlement).find("settles node=n1"), std::string::npos);
    constexpr std::size_t account = 1, kind = 2, available = 4, locked = 5, reference = 8, memo = 9;
    constexpr std::size_t paid = 5, returned = 6;
    EXPECT_NE(with(*pay, locked, field(std::int64_t{-1})).find("otherwise than it was taken"),
              std::string::npos);
    Bytes more_than_its_id = leaves[*pay].fields[reference];
    more_than_its_id.push_back('x');
    EXPECT_NE(with(*pay, reference, more_than_its_id).find("which is not held by then"), std::string::npos);
    EXPECT_NE(with(*pay, account, to_bytes(as_bytes("carol"))).find("otherwise than it was taken"),
              std::string::npos);
    EXPECT_NE(with(*pay, memo, to_bytes(as_bytes("node=n1 app=shop"))).find("otherwise than it was taken"),
              std::string::npos);
    EXPECT_NE(with(*pay, kind, to_bytes(as_bytes("refund"))).find("settlement does not ask for"),
              std::string::npos);
    EXPECT_NE(with(*release, kind, to_bytes(as_bytes("refund"))).find("settlement does not ask for"),
              std::string::npos);
    EXPECT_NE(with(*pay, available, field(std::int64_t{0})).find("has paid"), std::string::npos);
    EXPECT_NE(with(*settlement, paid, field(std::int64_t{1})).find("settlements: leaf "), std::string::npos);
    EXPECT_NE(with(*settlement, returned, field(std::int64_t{1})).find("settlements: leaf "),
              std::string::npos);
}

TEST(LockCheck, IsPartOfStartsAndOfTheFullCheck) {
    TestWorker worker;
    ASSERT_TRUE(worker.admin(OpenAccount{.account = "alice", .token = token_of("alice")}, "a"));
    ASSERT_TRUE(worker.admin(TestLedger::node("n1"), "n"));
    worker.buy(20);
    const Period cell = cell_at(Grid::hour, worker.now);
    ASSERT_TRUE(
        worker.admin(TakeLock{.account = "alice", .node = "n1", .period = cell, .amount = Money(7)}, "lock"));
    worker.worker.reset();
    const std::uint64_t size = worker.memory->leaf_count();
    ASSERT_TRUE(check_ledger(*worker.memory, 0).is_good());
    std::string key;
    worker.memory->scan(Table::locks, "", [&](std::string_view found, std::string_view) {
        key = found;
        return false;
    });
    const std::string record = worker.memory->get(Table::locks, key).value();
    const auto check = [&](std::uint64_t from, const auto& change) {
        Lock lock = Lock::decode(record);
        change(lock);
        DamagedStore store(worker.memory);
        store.records[{Table::locks, key}] = lock.encode();
        const CheckReport report = check_ledger(store, from);
        return report.is_good() ? "good" : report.findings.front();
    };
    EXPECT_EQ(check(0, [](Lock&) {}), "good");
    EXPECT_TRUE(check(size, [](Lock& lock) { lock.price = Money(1); }).starts_with("locks: "));
    EXPECT_TRUE(check(0, [](Lock& lock) { lock.price = Money(1); }).starts_with("locks: "));
    EXPECT_EQ(check(size, [](Lock& lock) { lock.drawn = Money(1); }), "good");  // For the full one to find.
    EXPECT_TRUE(check(0, [](Lock& lock) { lock.drawn = Money(1); }).starts_with("locks: "));
    EXPECT_TRUE(check(size, [](Lock& lock) { lock.node = "n2"; }).starts_with("locks: lock "));
}

}  // namespace
}  // namespace ee::ledger
