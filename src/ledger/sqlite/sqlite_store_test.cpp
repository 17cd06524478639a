#include "ledger/sqlite/sqlite_store.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/hex.h"
#include "ledger/sqlite/appended_rows.h"
#include "ledger/sqlite/sqlite_reader.h"
#include "ledger/sqlite/store_model.h"
#include "sqlite/backup.h"
#include "sqlite/transaction.h"

namespace ee::ledger {
namespace {

class SqliteStoreTest : public testing::Test {
protected:
    SqliteStoreTest() {
        std::string pattern = (std::filesystem::temp_directory_path() / "ledger.XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
        writers_ = std::make_unique<sqlite::Writers>(file());
    }
    ~SqliteStoreTest() override {
        writers_.reset();
        std::filesystem::remove_all(folder_);
    }

    std::filesystem::path file() const { return folder_ / "control-plane.db"; }
    std::unique_ptr<SqliteStore> open(const RecentChanges::Limits& limits = {}) {
        auto store = SqliteStore::open(file(), *writers_, limits);
        EXPECT_TRUE(store) << (store ? "" : store.error().detail);
        return std::move(store.value());
    }
    std::unique_ptr<SqliteReader> open_reader(std::shared_ptr<RecentChanges> recent = nullptr) {
        auto reader = SqliteReader::open(file(), std::move(recent));
        EXPECT_TRUE(reader) << (reader ? "" : reader.error().detail);
        return std::move(reader.value());
    }

    std::filesystem::path folder_;
    std::unique_ptr<sqlite::Writers> writers_;
};

Changes put(Table table, std::string key, std::string record) {
    Changes changes;
    changes.of(table).emplace_back(std::move(key), std::move(record));
    return changes;
}

TEST_F(SqliteStoreTest, EveryTableHasItsPlace) {
    const auto key = [](Table table) { return is_appended(table) ? appended_key(table, 7) : "key"; };
    {
        const auto store = open();
        for (std::size_t number = 0; number < table_count; ++number) {
            const auto table = static_cast<Table>(number);
            store->commit(put(table, key(table), std::to_string(number)));
        }
    }
    const auto store = open();
    for (std::size_t number = 0; number < table_count; ++number) {
        const auto table = static_cast<Table>(number);
        EXPECT_EQ(store->get(table, key(table)), std::to_string(number));
    }
}

TEST_F(SqliteStoreTest, WhatIsAppendedGoesIntoItsTableAndIsNeverReplaced) {
    for (const Table table : {Table::answers, Table::checkpoints, Table::audit}) {
        const auto store = open();
        const std::string first = appended_key(table, 1);
        store->commit(put(table, first, "first"));
        EXPECT_THROW(store->commit(put(table, first, "second")), StoreFailure);
        EXPECT_EQ(store->get(table, first), "first");
        store->commit(put(table, appended_key(table, 2), "next"));
        auto database = sqlite::Database::open_read_only(file());
        auto count = database->prepare("SELECT count(*) FROM ledger_" + std::string(to_word(table)));
        ASSERT_TRUE(count->step().value());
        EXPECT_EQ(count->number(0), 2) << to_word(table);
    }
}

TEST_F(SqliteStoreTest, WhatAnEarlierVersionHadAmongTheRecentChangesIsFound) {
    open()->commit(put(Table::locks, "a", "lock"));
    int commit = 3;
    for (const Table table : {Table::checkpoints, Table::audit}) {
        const std::string key = appended_key(table, 7);
        ASSERT_TRUE(sqlite::Database::open(file())->execute(
            fmt::format("INSERT INTO ledger_recent VALUES ({}, x'{:02x}00000008{}000000026162')", commit,
                        static_cast<int>(table), to_hex(as_bytes(key)))));
        EXPECT_EQ(open()->get(table, key), "ab");
        // Closing has folded it.
        auto database = sqlite::Database::open_read_only(file());
        auto rows = database->prepare(fmt::format("SELECT number, value FROM ledger_{}", to_word(table)));
        ASSERT_TRUE(rows->step().value());
        EXPECT_EQ(rows->number(0), 7);
        EXPECT_EQ(rows->view(1), "ab");
        commit += 2;
    }
}

TEST_F(SqliteStoreTest, ARecentChangeUnderAKeyThatItsTableCannotHaveIsDamage) {
    open()->commit(put(Table::locks, "a", "lock"));
    ASSERT_TRUE(sqlite::Database::open(file())->execute(
        fmt::format("INSERT INTO ledger_recent VALUES (3, x'{:02x}0000000137000000026162')",
                    static_cast<int>(Table::answers))));
    // It is not folded, and stays where it is.
    open()->commit(put(Table::locks, "b", "lock"));
    auto database = sqlite::Database::open_read_only(file());
    auto count = database->prepare("SELECT count(*) FROM ledger_answers");
    ASSERT_TRUE(count->step().value());
    EXPECT_EQ(count->number(0), 0);
    EXPECT_EQ(open()->get(Table::locks, "b"), "lock");
}

TEST_F(SqliteStoreTest, WhatWasReadBeforeIsWhatTheLastCommitMadeOfIt) {
    const auto store = open();
    for (const Table table : {Table::accounts, Table::tokens}) {
        store->commit(put(table, "a", "1"));
        EXPECT_EQ(store->get(table, "a"), "1");
        store->commit(put(table, "a", "2"));
        EXPECT_EQ(store->get(table, "a"), "2");
        Changes erasing;
        erasing.of(table).emplace_back("a", std::nullopt);
        store->commit(erasing);
        EXPECT_EQ(store->get(table, "a"), std::nullopt);
        store->commit(put(table, "a", "3"));
        EXPECT_EQ(store->get(table, "a"), "3");
    }
}

TEST_F(SqliteStoreTest, AReaderSeesOneMomentUntilItAsksForALaterOne) {
    const auto store = open();
    store->commit(put(Table::accounts, "a", "1"));
    const auto reader = open_reader();
    EXPECT_EQ(reader->get(Table::accounts, "a"), "1");
    Changes changes = put(Table::accounts, "a", "2");
    changes.leaves = {"leaf"};
    store->commit(changes);
    EXPECT_EQ(reader->get(Table::accounts, "a"), "1");
    EXPECT_EQ(reader->leaf_count(), 0u);
    EXPECT_EQ(reader->leaf(0), std::nullopt);
    reader->end_reading();
    EXPECT_EQ(reader->leaf_count(), 1u);
    EXPECT_EQ(reader->get(Table::accounts, "a"), "2");
    EXPECT_THROW(reader->commit(put(Table::accounts, "a", "3")), StoreFailure);
}

// One that shares what the store remembers, and one as another process has it.
TEST_F(SqliteStoreTest, AReaderNeverSeesHalfACommit) {
    const auto store = open({.records_max = 50});
    const auto numbered = [](int number) {
        const std::string text = std::to_string(number);
        Changes changes = put(Table::accounts, "a", text);
        changes.of(Table::accounts).emplace_back("b" + std::to_string(number % 30), text);
        changes.of(Table::locks).emplace_back("b", text);
        changes.of(Table::reports).emplace_back("r" + text, text);
        if (number > 0)
            changes.of(Table::reports).emplace_back("r" + std::to_string(number - 1), std::nullopt);
        std::ranges::sort(changes.of(Table::reports));
        changes.first_leaf = static_cast<std::uint64_t>(number);
        changes.leaves = {text};
        return changes;
    };
    store->commit(numbered(0));
    std::atomic<int> committed = 0;
    constexpr int commits = 1000;
    const auto read = [&](std::shared_ptr<RecentChanges> recent) {
        const auto reader = open_reader(std::move(recent));
        int last = 0;
        while (last < commits && !HasFailure()) {
            const int before = committed;
            const std::string number = reader->get(Table::accounts, "a").value();
            last = std::stoi(number);
            EXPECT_GE(last, before) << "what was acknowledged is seen";
            EXPECT_EQ(reader->get(Table::locks, "b"), number);
            EXPECT_EQ(reader->leaf_count(), static_cast<std::uint64_t>(last) + 1);
            std::vector<std::string> reports;
            reader->scan(Table::reports, "", [&](std::string_view, std::string_view report) {
                reports.emplace_back(report);
                return true;
            });
            EXPECT_EQ(reports, std::vector{number});
            for (int i = std::max(0, last - 29); i <= last; ++i)
                EXPECT_EQ(reader->get(Table::accounts, "b" + std::to_string(i % 30)), std::to_string(i));
            reader->end_reading();
        }
    };
    std::thread beside([&] { read(store->recent()); }), apart([&] { read(nullptr); });
    for (int i = 1; i <= commits; ++i) {
        store->commit(numbered(i));
        committed = i;
    }
    beside.join();
    apart.join();
}

// Whatever is folded meanwhile, and forgotten.
TEST_F(SqliteStoreTest, AReaderKeepsItsMomentAsLongAsItLikes) {
    const auto store = open({.records_max = 4});
    std::mt19937_64 random(5);
    StoreModel model;
    std::vector<std::pair<std::unique_ptr<SqliteReader>, StoreModel>> moments;
    for (int i = 0; i < 300; ++i) {
        const Changes changes = random_changes(random, model, 8);
        store->commit(changes);
        model.apply(changes);
        if (i % 20 == 7) {
            moments.emplace_back(open_reader(store->recent()), model);
            moments.back().first->leaf_count();
        }
        if (moments.size() > 3) moments.erase(moments.begin() + static_cast<std::ptrdiff_t>(random() % 4));
        store->end_reading();
    }
    for (const auto& [reader, then] : moments) EXPECT_EQ(read_all(*reader, then.tiles), then);
    for (const auto& [reader, then] : moments) {
        reader->end_reading();
        EXPECT_EQ(read_all(*reader, model.tiles), model);
    }
}

TEST_F(SqliteStoreTest, WhatCommitsChangedIsKeptTwiceForAWhileOnly) {
    const auto store = open({.records_max = 100});
    const auto count = [&] {
        auto database = sqlite::Database::open_read_only(file());
        auto statement = database->prepare("SELECT count(*) FROM ledger_recent");
        EXPECT_TRUE(statement->step());
        return statement->number(0);
    };
    std::int64_t most = 0;
    for (int i = 0; i < 2000; ++i) {
        store->commit(put(Table::locks, std::to_string(i), "lock"));
        if (i % 50 == 0) most = std::max(most, count());
    }
    EXPECT_GT(most, 100);
    EXPECT_LT(most, 300);
    auto database = sqlite::Database::open_read_only(file());
    auto folded = database->prepare("SELECT count(*) FROM ledger_locks");
    ASSERT_TRUE(folded->step());
    EXPECT_GT(folded->number(0), 1800);
}

TEST_F(SqliteStoreTest, FoldingKeepsUpWithCommitsOfAnySize) {
    constexpr std::size_t records = 20000;
    const auto store = open({.records_max = 1000});
    for (std::size_t i = 0; i < 12; ++i) {
        Changes changes;
        for (std::size_t j = 0; j < records; ++j)
            changes.of(Table::locks).emplace_back(std::to_string(1'000'000 + i * records + j), "lock");
        store->commit(changes);
    }
    auto database = sqlite::Database::open_read_only(file());
    auto folded = database->prepare("SELECT count(*) FROM ledger_locks");
    ASSERT_TRUE(folded->step());
    EXPECT_GE(folded->number(0), static_cast<std::int64_t>(4 * records));
}

TEST_F(SqliteStoreTest, AClosedStoreHasAllInItsTables) {
    std::mt19937_64 random(11);
    StoreModel model;
    for (int i = 0; i < 40; ++i) {
        const auto store = open({.records_max = 30});
        for (int j = 0; j < i % 7; ++j) {
            const Changes changes = random_changes(random, model, 8);
            store->commit(changes);
            model.apply(changes);
        }
        store->get(Table::accounts, "a");  // A snapshot is in nobody's way.
    }
    auto database = sqlite::Database::open_read_only(file());
    for (std::size_t number = 0; number < table_count; ++number) {
        const auto table = static_cast<Table>(number);
        std::map<std::string, std::string> records;
        auto rows = database->prepare(
            fmt::format("SELECT {}, value FROM ledger_{}", key_column(table), to_word(table)));
        while (rows->step().value())
            records.emplace(is_appended(table) ? key_of(table, rows->number(0)) : rows->view(0),
                            rows->view(1));
        EXPECT_EQ(records, model.tables[number]) << to_word(table);
    }
    EXPECT_EQ(read_all(*open(), model.tiles), model);
}

TEST_F(SqliteStoreTest, ADamagedRowOfARecentCommitIsNotOpened) {
    open()->commit(put(Table::locks, "a", "lock"));
    ASSERT_TRUE(
        sqlite::Database::open(file())->execute("INSERT INTO ledger_recent VALUES (3, x'060000000161')"));
    const auto store = SqliteStore::open(file(), *writers_);
    ASSERT_FALSE(store);
    EXPECT_EQ(store.error().code, "store_unavailable");
    EXPECT_NE(store.error().detail.find("row 3 of ledger_recent is damaged"), std::string::npos);
    EXPECT_THROW(open_reader()->get(Table::locks, "a"), StoreFailure);
}

TEST_F(SqliteStoreTest, AReaderOfAnotherProcessGoesOnOnceTheDamageIsGone) {
    const auto store = open();
    store->commit(put(Table::locks, "a", "1"));
    const auto reader = open_reader();
    EXPECT_EQ(reader->get(Table::locks, "a"), "1");
    reader->end_reading();
    auto other = sqlite::Database::open(file(), writers_.get());
    ASSERT_TRUE(other->execute(
        "DROP TRIGGER ledger_recent_kept; INSERT INTO ledger_recent VALUES (2, x'060000000161')"));
    const auto refusal = [&]() -> std::string {
        try {
            return reader->get(Table::locks, "a").value_or("nothing");
        } catch (const StoreFailure& failure) {
            return failure.what();
        }
    };
    const std::string first = refusal();
    EXPECT_NE(first.find("row 2 of ledger_recent is damaged"), std::string::npos) << first;
    EXPECT_EQ(refusal(), first);
    ASSERT_TRUE(other->execute("DELETE FROM ledger_recent WHERE number = 2"));
    store->commit(put(Table::locks, "a", "2"));
    EXPECT_EQ(reader->get(Table::locks, "a"), "2");
}

// I5, with another process that keeps the file: as long as one waits, 5 s.
TEST_F(SqliteStoreTest, I5AFileThatSomebodyElseKeepsIsWrittenToOnceItIsFree) {
    const auto store = open();
    store->commit(put(Table::locks, "a", "1"));
    auto other = sqlite::Database::open(file());
    ASSERT_TRUE(other->execute("BEGIN IMMEDIATE"));
    EXPECT_THROW(store->commit(put(Table::locks, "a", "2")), StoreBusy);
    EXPECT_EQ(store->get(Table::locks, "a"), "1");
    ASSERT_TRUE(other->execute("ROLLBACK"));
    store->commit(put(Table::locks, "a", "3"));
    EXPECT_EQ(store->get(Table::locks, "a"), "3");
}

TEST_F(SqliteStoreTest, ADamagedRowOfLeavesIsInTheWayOfNoOther) {
    const auto store = open();
    Changes changes;
    changes.leaves = {"first", "second"};
    store->commit(changes);
    changes.first_leaf = 2;
    changes.leaves = {"third"};
    store->commit(changes);
    ASSERT_TRUE(
        sqlite::Database::open(file(), writers_.get())
            ->execute("DROP TRIGGER ledger_leaves_unchanged;"
                      "UPDATE ledger_leaves SET leaves = substr(leaves, 1, 14) WHERE first_leaf = 0"));
    const auto reader = open_reader();
    EXPECT_EQ(reader->leaf(0), "first");
    EXPECT_THROW(reader->leaf(1), StoreFailure);
    EXPECT_EQ(reader->leaf(2), "third");
    EXPECT_EQ(reader->leaf(3), std::nullopt);
    EXPECT_THROW(reader->leaf(1), StoreFailure);
    reader->end_reading();
    changes.first_leaf = 3;
    store->commit(changes);
    EXPECT_EQ(reader->leaf_count(), 4u);
}

TEST_F(SqliteStoreTest, ScansMayReadAndScanWithin) {
    const auto store = open();
    Changes changes;
    auto& records = changes.of(Table::locks);
    records = {{"a", "1"}, {"b", "2"}, {"c", "3"}};
    store->commit(changes);
    std::string seen;
    for (int round = 0; round < 2; ++round)
        store->scan(Table::locks, "a", [&](std::string_view key, std::string_view) {
            store->scan(Table::locks, key, [&](std::string_view, std::string_view record) {
                seen += record;
                return record != "2";
            });
            seen += *store->get(Table::locks, key) + ";";
            return key != "b";
        });
    EXPECT_EQ(seen, "121;22;121;22;");
    struct Stopped {};
    EXPECT_THROW(store->scan(Table::locks, "", [](auto, auto) -> bool { throw Stopped(); }), Stopped);
    store->commit(put(Table::locks, "d", "4"));
    EXPECT_EQ(store->get(Table::locks, "d"), "4");
}

TEST_F(SqliteStoreTest, WhatIsRefusedBeforeTheCommitLeavesNothingAndStopsNothing) {
    const auto store = open();
    store->commit(put(Table::entries, "e", "1"));
    Changes again = put(Table::entries, "e", "2");
    again.of(Table::accounts).emplace_back("a", "changed");
    again.leaves = {"leaf"};
    EXPECT_THROW(store->commit(again), StoreFailure);
    EXPECT_EQ(store->get(Table::accounts, "a"), std::nullopt);
    EXPECT_EQ(store->leaf_count(), 0u);
    EXPECT_EQ(store->get(Table::entries, "e"), "1");
    store->commit(put(Table::accounts, "a", "later"));
    EXPECT_EQ(store->get(Table::accounts, "a"), "later");
}

TEST_F(SqliteStoreTest, AnEntryThatIsInItsTableIsNotReplacedEither) {
    const auto store = open({.records_max = 1});
    store->commit(put(Table::entries, "e", "1"));
    for (int i = 0; i < 5; ++i) store->commit({});
    ASSERT_FALSE(store->recent()->find(Table::entries, "e", store->recent()->last()));
    EXPECT_THROW(store->commit(put(Table::entries, "e", "2")), StoreFailure);
    EXPECT_EQ(store->get(Table::entries, "e"), "1");
}

TEST_F(SqliteStoreTest, OthersOfTheFileWriteBesideIt) {
    const auto store = open();
    auto other = sqlite::Database::open(file(), writers_.get());
    ASSERT_TRUE(other->execute("CREATE TABLE other (x INTEGER PRIMARY KEY)"));
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(store->get(Table::accounts, "a"),
                  i == 0 ? std::nullopt : std::optional(std::to_string(i - 1)));
        {
            auto transaction = sqlite::Transaction::begin(*other);
            ASSERT_TRUE(other->execute("INSERT INTO other VALUES (" + std::to_string(i) + ")"));
            ASSERT_TRUE(transaction->commit());
        }
        store->commit(put(Table::accounts, "a", std::to_string(i)));
    }
}

// Another writes without a pause: each of its transactions lasts until the store waits for its turn, and then
// the store has it, however soon the other comes again.
TEST_F(SqliteStoreTest, ACommitWaitsForTheTransactionUnderWayAndNoOther) {
    const auto store = open();
    ASSERT_TRUE(sqlite::Database::open(file())->execute("CREATE TABLE other (x INTEGER PRIMARY KEY)"));
    std::atomic<int> begun = 0;
    std::atomic<bool> over = false;
    std::thread storm([&] {
        auto database = sqlite::Database::open(file(), writers_.get());
        while (!over) {
            auto transaction = sqlite::Transaction::begin(*database);
            ASSERT_TRUE(transaction && database->execute("INSERT INTO other DEFAULT VALUES"));
            ++begun;
            while (writers_->waiting() == 0 && !over) std::this_thread::yield();
            ASSERT_TRUE(transaction->commit());
        }
    });
    for (int i = 1; i <= 50; ++i) {
        while (begun < i) std::this_thread::yield();
        store->commit(put(Table::accounts, "a", std::to_string(i)));
        EXPECT_LE(begun, i + 1);
    }
    over = true;
    storm.join();
    EXPECT_EQ(store->get(Table::accounts, "a"), "50");
}

TEST_F(SqliteStoreTest, ABackupOpensAsALedger) {
    {
        const auto store = open();
        Changes changes = put(Table::accounts, "a", "1");
        changes.leaves = {"leaf"};
        store->commit(changes);
        ASSERT_TRUE(sqlite::back_up(file(), folder_ / "copy.db"));
        store->commit(put(Table::accounts, "a", "2"));
    }
    sqlite::Writers writers(folder_ / "copy.db");
    const auto store = SqliteStore::open(folder_ / "copy.db", writers);
    ASSERT_TRUE(store);
    EXPECT_EQ((*store)->get(Table::accounts, "a"), "1");
    EXPECT_EQ((*store)->leaf(0), "leaf");
}

}  // namespace
}  // namespace ee::ledger
