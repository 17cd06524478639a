// Whatever is damaged of what a start reads: it ends in a standstill or a refusal, and never in an exception.

#include <functional>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "ledger/ledger_check.h"
#include "ledger/test_damaged_store.h"
#include "ledger/test_worker.h"

namespace ee::ledger {
namespace {

using Key = std::pair<Table, std::string>;
using Damaged = std::optional<std::string>;  // nullopt: it is missing

std::string text_of(const Key& key) {
    return fmt::format("{} {:?}", to_word(key.first), key.second);
}

// A ledger with accounts, a held lock, and a settled cell of which nothing is left to move.
class StartDamageTest : public testing::Test {
protected:
    void SetUp() override {
        ASSERT_NO_FATAL_FAILURE(worker_.open_with_lock(20));
        worker_.start();  // It remembers what it has found good.
        worker_.buy(13);  // beyond a full record of lines
        worker_.worker.reset();
    }

    std::string record(const Key& key) const { return worker_.memory->get(key.first, key.second).value(); }
    void put(std::string_view key, std::string record) const {
        Changes changes;
        changes.of(Table::meta).emplace_back(key, std::move(record));
        worker_.memory->commit(changes);
    }

    void erase(std::string_view key) const {
        Changes changes;
        changes.of(Table::meta).emplace_back(key, std::nullopt);
        worker_.memory->commit(changes);
    }
    // What a start reads of the tables.
    std::set<Key> read_at_start() {
        std::set<Key> read;
        EXPECT_EQ(start([&](DamagedStore& store) { store.read = &read; }), "good");
        return read;
    }

    // How a start on a copy ends: a standstill's code and detail, a refusal's, or "good".
    std::string start(const std::function<void(DamagedStore&)>& damage) {
        auto store = std::make_unique<DamagedStore>(copy_of(*worker_.memory));
        damage(*store);
        const auto started = LedgerWorker::start(
            std::move(store),
            [&](const LogIdentity&, const TreeHead&) -> Result<LogKey> { return worker_.make_key(); },
            worker_.settings());
        if (!started) return started.error().code + ": " + started.error().detail;
        const auto why = (*started)->standstill();
        return why ? why->code + ": " + why->detail : "good";
    }
    std::string start_with(const Key& key, const Damaged& record) {
        try {
            return start([&](DamagedStore& store) { store.records[key] = record; });
        } catch (const std::exception& uncaught) {
            return fmt::format("exception: {}", uncaught.what());
        }
    }

    // Of any length but its own, and what another record of the ledger holds.
    std::vector<Damaged> misread(const Key& key) const {
        const std::string whole = record(key);
        std::vector<Damaged> out{whole + '\0', record({Table::accounts, "alice"})};
        if (key.second != "head" || key.first != Table::meta) out.emplace_back(record({Table::meta, "head"}));
        for (const std::size_t size : {std::size_t{0}, std::size_t{1}, whole.size() / 2, whole.size() - 1})
            if (size < whole.size()) out.emplace_back(whole.substr(0, size));
        std::erase(out, Damaged(whole));
        return out;
    }
    std::vector<Damaged> flipped(const Key& key) const {
        std::vector<Damaged> out;
        for (std::size_t at = 0; at < record(key).size(); ++at) {
            out.emplace_back(record(key));
            (*out.back())[at] ^= static_cast<char>(1U << at % 8);
        }
        return out;
    }

    TestWorker worker_;
};

TEST_F(StartDamageTest, ARecordOfTheLedgerItselfHaltsOrRefusesAStart) {
    struct Case {
        std::string key;
        std::string misread;               // how a start with such a record ends
        std::vector<std::string> flipped;  // with one bit of it, one of these; none: it can't be told
        std::string missing;
    };
    const std::string grid = "ledger_halted: records: 'grid'";
    const Case cases[] = {
        // Another size that a checkpoint has is as good to begin from.
        {"verified", "ledger_halted: records: ", {"ledger_halted: root", "good"}, "good"},
        {"identity", "ledger_halted: records: ", {"ledger_halted", "ledger_foreign"}, "ledger_halted: "},
        {"head", "ledger_halted: records: ", {"ledger_halted"}, "ledger_halted: "},
        {"sums", "ledger_halted: records: ", {"ledger_halted: sums"}, "ledger_halted: sums"},
        {"account_count", "ledger_halted: records: ", {"ledger_halted: accounts"}, "ledger_halted: accounts"},
        {"grid", grid, {grid}, grid},
        {"fork", "ledger_halted: records: ", {"ledger_forked", "ledger_halted"}, "good"},
        {"loss accepted", "ledger_halted: records: ", {"good"}, "good"},
    };
    for (const Case& one : cases) {
        SCOPED_TRACE(one.key);
        if (one.key == "fork")
            put(one.key, remember_fork({.lost_to = 9, .note = "n"}).of(Table::meta)[0].second.value());
        if (one.key == "loss accepted")
            put(one.key, accept_loss(*worker_.memory, {.size = 1, .lost_size = 1}, {})
                             .of(Table::meta)
                             .back()
                             .second.value());
        const Key key{Table::meta, one.key};
        for (const Damaged& damaged : misread(key)) {
            const std::string ended = start_with(key, damaged);
            EXPECT_TRUE(ended.starts_with(one.misread)) << ended << " by " << damaged->size() << " bytes";
        }
        for (const Damaged& damaged : flipped(key)) {
            const std::string ended = start_with(key, damaged);
            EXPECT_TRUE(std::ranges::any_of(one.flipped, [&](const auto& expected) {
                return ended.starts_with(expected);
            })) << ended;
        }
        const std::string ended = start_with(key, std::nullopt);
        EXPECT_TRUE(ended.starts_with(one.missing)) << ended;
        if (one.key == "fork" || one.key == "loss accepted") erase(one.key);
    }
}

// All that a start reads, so that what is read one day, too, is damaged here.
TEST_F(StartDamageTest, WhateverRecordIsDamagedNoExceptionLeavesAStart) {
    std::set<Table> read;
    for (const Key& key : read_at_start()) {
        if (!worker_.memory->get(key.first, key.second)) continue;
        SCOPED_TRACE(text_of(key));
        read.insert(key.first);
        for (const auto& damages : {misread(key), flipped(key), {std::nullopt}})
            for (const Damaged& damaged : damages) {
                const std::string ended = start_with(key, damaged);
                EXPECT_FALSE(ended.starts_with("exception")) << ended;
            }
        // Of others only that they are there is read, or of checkpoints some.
        if (key.first != Table::accounts && key.first != Table::locks) continue;
        for (const Damaged& damaged : misread(key))
            EXPECT_TRUE(start_with(key, damaged).starts_with("ledger_halted: ")) << damaged->size();
        EXPECT_TRUE(start_with(key, std::nullopt).starts_with("ledger_halted: "));
    }
    for (const Table table :
         {Table::meta, Table::accounts, Table::entries, Table::locks, Table::held_locks, Table::checkpoints})
        EXPECT_TRUE(read.contains(table)) << to_word(table);
}

// Behind the check's back.
TEST_F(StartDamageTest, ARecordThatIsGoneWhileItRunsHaltsIt) {
    const Period cell = cell_at(Grid::hour, worker_.now);
    const ReportUsage report{.account = "alice", .node = "n1", .period = cell, .hours = Hours(1'000'000)};
    const Finalize finalize{.period = cell, .allow_pending = true};
    const std::pair<Table, Command> cases[] = {
        {Table::locks, report}, {Table::locks, finalize}, {Table::nodes, finalize}, {Table::units, finalize}};
    for (const auto& [table, command] : cases) {
        SCOPED_TRACE(to_word(table));
        TestWorker running(copy_of(*worker_.memory), worker_.pem);
        ASSERT_EQ(running.worker->standstill(), std::nullopt);
        running.now = worker_.now + std::chrono::hours(3);
        Changes gone;
        running.memory->scan(table, "", [&, in = table](std::string_view key, std::string_view) {
            gone.of(in).emplace_back(key, std::nullopt);
            return true;
        });
        running.memory->commit(gone);
        const auto answer = running.admin(command, "k");
        ASSERT_FALSE(answer);
        EXPECT_EQ(answer.error().code, "ledger_halted") << answer.error().detail;
        ASSERT_TRUE(running.worker->standstill());
        EXPECT_TRUE(running.worker->standstill()->detail.ends_with(" is missing"));
    }
}

TEST_F(StartDamageTest, SumsThatDoNotAgreeAnyMoreHaltIt) {
    TestWorker running(copy_of(*worker_.memory), worker_.pem);
    Sums other = sums_of(Batch(*running.memory));
    other.held = checked_add(other.held, Money(1)).value();
    Changes changed;
    changed.of(Table::meta).emplace_back("sums", other.encode());
    running.memory->commit(changed);
    const std::uint64_t size = running.memory->leaf_count();
    const auto refused = running.admin(Purchase{.account = "alice", .amount = Money(1)}, "more");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "ledger_halted");
    EXPECT_EQ(running.memory->leaf_count(), size);
}

// It is done, and can't be shown.
TEST_F(StartDamageTest, AReplayWhoseLeafIsGoneIsRefusedAndHaltsNothing) {
    auto store = std::make_unique<DamagedStore>(worker_.memory);
    DamagedStore& damaged = *store;
    TestWorker other;
    other.worker =
        LedgerWorker::start(
            std::move(store),
            [&](const LogIdentity&, const TreeHead&) -> Result<LogKey> { return other.make_key(); },
            other.settings())
            .value();
    const Purchase purchase{.account = "alice", .amount = Money(1)};
    std::uint64_t leaf = worker_.memory->leaf_count();
    ASSERT_TRUE(other.admin(purchase, "once"));
    const std::uint64_t end = worker_.memory->leaf_count();
    ASSERT_TRUE(other.admin(purchase, "again"));  // Whose leaves it has at hand now.
    for (; leaf < end; ++leaf) damaged.leaves[leaf] = std::nullopt;
    const auto replay = other.admin(purchase, "once");
    ASSERT_FALSE(replay);
    EXPECT_EQ(replay.error().code, "store_unavailable");
    EXPECT_FALSE(other.worker->standstill());
    damaged.leaves.clear();
    EXPECT_TRUE(other.admin(purchase, "once")->replayed);
}

TEST_F(StartDamageTest, WhateverLeafIsDamagedSinceTheLastCheckAStartHalts) {
    const std::uint64_t verified = verified_size(*worker_.memory);
    ASSERT_GT(verified, 0U);
    for (std::uint64_t index = verified; index < worker_.memory->leaf_count(); ++index) {
        const std::string whole = worker_.memory->leaf(index).value();
        std::string other = whole;
        other.back() ^= 1;
        for (const Damaged& damaged : {Damaged{}, Damaged(""), Damaged(whole.substr(0, whole.size() / 2)),
                                       Damaged(whole + '\0'), Damaged(other), worker_.memory->leaf(0)}) {
            const std::string ended = start([&](DamagedStore& store) { store.leaves[index] = damaged; });
            EXPECT_TRUE(ended.starts_with("ledger_halted: ")) << index << ' ' << ended;
        }
    }
}

// The accounts of which nothing is locked are not kept in mind while the held locks are read.
TEST_F(StartDamageTest, AHeldLockOfAnAccountThatHasNothingLockedHaltsAStart) {
    Account alice = Account::decode(record({Table::accounts, "alice"}));
    alice.locked = {};
    alice.held_locks = 0;
    const CheckReport good = check_ledger(*worker_.memory, 0);
    EXPECT_TRUE(good.is_good() && good.held_locks == 1);
    DamagedStore damaged(worker_.memory);
    damaged.records[{Table::accounts, "alice"}] = alice.encode();
    const auto findings = check_ledger(damaged, 0).findings;
    EXPECT_TRUE(std::ranges::any_of(findings, [](const std::string& finding) {
        return finding.starts_with("locks: lock ") &&
               finding.ends_with(" is of alice, which has nothing locked");
    })) << testing::PrintToString(findings);
    damaged.records[{Table::accounts, "alice"}] = std::nullopt;
    EXPECT_TRUE(std::ranges::any_of(check_ledger(damaged, 0).findings, [](const std::string& finding) {
        return finding.ends_with(" is of alice, which is no account");
    }));
}

}  // namespace
}  // namespace ee::ledger
