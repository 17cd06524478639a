// What every store does alike.
#include <unistd.h>

#include <gtest/gtest.h>

#include "ledger/memory_store.h"
#include "ledger/sqlite/sqlite_store.h"
#include "ledger/sqlite/store_model.h"

namespace ee::ledger {
namespace {

// Forgets when it is closed, so it is never closed.
class InMemory {
public:
    Store& store() { return store_; }
    void reopen() {}

private:
    MemoryStore store_;
};

class InSqlite {
public:
    explicit InSqlite(const RecentChanges::Limits& limits = {}) : limits_(limits) {
        std::string pattern = (std::filesystem::temp_directory_path() / "stores.XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
        reopen();
    }
    ~InSqlite() {
        store_.reset();
        writers_.reset();
        std::filesystem::remove_all(folder_);
    }
    Store& store() { return *store_; }
    void reopen() {
        constexpr int log_pages = 64;  // So that the log is copied a few times.
        store_.reset();
        writers_ = std::make_unique<sqlite::Writers>(folder_ / "ledger.db", log_pages);
        auto opened = SqliteStore::open(folder_ / "ledger.db", *writers_, limits_);
        EXPECT_TRUE(opened) << (opened ? "" : opened.error().detail);
        store_ = std::move(*opened);
    }

private:
    const RecentChanges::Limits limits_;
    std::filesystem::path folder_;
    std::unique_ptr<sqlite::Writers> writers_;
    std::unique_ptr<SqliteStore> store_;
};

// What commits change is folded into the tables all the time.
class InSqliteFolding : public InSqlite {
public:
    InSqliteFolding() : InSqlite({.records_max = 100}) {}
};

template <class Kind>
class StoreConformance : public testing::Test {
protected:
    Store& store() { return kind_.store(); }

    Kind kind_;
};
using Kinds = testing::Types<InMemory, InSqlite, InSqliteFolding>;
TYPED_TEST_SUITE(StoreConformance, Kinds);

// Scans from anywhere, stopped anywhere, give what the model has there.
void compare_scan(const Store& store, const StoreModel& model, std::mt19937_64& random) {
    const std::size_t table = random() % table_count;
    const auto& records = model.tables[table];
    std::string from(random() % 3, static_cast<char>(random()));
    if (!records.empty() && random() % 2 == 0)
        from = std::next(records.begin(), static_cast<std::ptrdiff_t>(random() % records.size()))->first;
    if (random() % 4 == 0) from.push_back(static_cast<char>(random() % 3));
    const std::size_t visits_max = random() % 10 + 1;
    std::vector<std::pair<std::string, std::string>> seen, expected;
    store.scan(static_cast<Table>(table), from, [&](std::string_view key, std::string_view record) {
        seen.emplace_back(key, record);
        return seen.size() < visits_max;
    });
    for (auto at = records.lower_bound(from); at != records.end() && expected.size() < visits_max; ++at)
        expected.emplace_back(at->first, at->second);
    EXPECT_EQ(seen, expected);
}

void compare_reads(const Store& store, const StoreModel& model, std::mt19937_64& random) {
    const std::size_t table = random() % table_count;
    const auto& records = model.tables[table];
    for (const auto& [key, record] : records) EXPECT_EQ(store.get(static_cast<Table>(table), key), record);
    const std::string absent = "absent" + std::to_string(random());
    EXPECT_EQ(store.get(static_cast<Table>(table), absent), std::nullopt);
    ASSERT_EQ(store.leaf_count(), model.leaves.size());
    EXPECT_EQ(store.leaf(model.leaves.size()), std::nullopt);
    if (!model.leaves.empty()) {
        const std::uint64_t index = random() % model.leaves.size();
        EXPECT_EQ(store.leaf(index), model.leaves[index]);
    }
    EXPECT_EQ(store.tile(3, model.tiles.size()), std::nullopt);
}

TYPED_TEST(StoreConformance, RandomHistoriesGiveWhatAPlainModelHolds) {
    std::mt19937_64 random(20260115);
    StoreModel model;
    for (int round = 0; round < 150; ++round) {
        SCOPED_TRACE(round);
        const Changes changes = random_changes(random, model, random() % 60);
        this->store().commit(changes);
        model.apply(changes);
        for (int i = 0; i < 5; ++i) compare_scan(this->store(), model, random);
        compare_reads(this->store(), model, random);
        if (random() % 2 == 0) this->store().end_reading();
        if (random() % 10 == 0) {
            this->kind_.reopen();
            ASSERT_EQ(read_all(this->store(), model.tiles), model);
        }
        if (this->HasFailure()) return;
    }
    EXPECT_EQ(read_all(this->store(), model.tiles), model);
}

TYPED_TEST(StoreConformance, KeysAndRecordsAreAnyBytesAndKeysAreOrderedByThem) {
    Changes changes;
    const std::vector<std::string> keys{"",
                                        std::string(1, '\0'),
                                        std::string(2, '\0'),
                                        "\x01",
                                        "a",
                                        std::string("a\0", 2),
                                        std::string("a\0b", 3),
                                        "ab",
                                        "b",
                                        "\x7f",
                                        "\x80",
                                        "\xff",
                                        "\xff\xff"};
    auto& records = changes.of(Table::meta);
    for (const std::string& key : keys) records.emplace_back(key, key);
    this->store().commit(changes);
    this->kind_.reopen();
    std::vector<std::string> seen;
    this->store().scan(Table::meta, "", [&](std::string_view key, std::string_view record) {
        EXPECT_EQ(key, record);
        seen.emplace_back(key);
        return true;
    });
    EXPECT_EQ(seen, keys);
    for (const std::string& key : keys) EXPECT_EQ(this->store().get(Table::meta, key), key);
}

TYPED_TEST(StoreConformance, AnEmptyCommitIsOneToo) {
    this->store().commit(Changes{});
    EXPECT_EQ(this->store().leaf_count(), 0u);
    EXPECT_EQ(this->store().leaf(0), std::nullopt);
    EXPECT_EQ(this->store().tile(0, 0), std::nullopt);
}

TYPED_TEST(StoreConformance, ABatchOfThousandsIsOneCommit) {
    Changes changes;
    auto& records = changes.of(Table::accounts);
    for (int i = 10000; i < 40000; ++i) records.emplace_back(std::to_string(i), std::string(100, 'x'));
    changes.leaves.assign(3000, std::string(200, 'l'));
    this->store().commit(changes);
    this->kind_.reopen();
    std::size_t count = 0;
    this->store().scan(Table::accounts, "", [&](auto, auto) { return ++count > 0; });
    EXPECT_EQ(count, 30000u);
    EXPECT_EQ(this->store().leaf(2999), std::string(200, 'l'));
}

}  // namespace
}  // namespace ee::ledger
