#include "ledger/sqlite/ledger_schema.h"

#include <algorithm>
#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/hex.h"
#include "ledger/sqlite/sqlite_reader.h"
#include "ledger/sqlite/sqlite_store.h"
#include "ledger/sqlite/store_model.h"

namespace ee::ledger {
namespace {

class LedgerSchemaTest : public testing::Test {
protected:
    LedgerSchemaTest() {
        std::string pattern = (std::filesystem::temp_directory_path() / "ledger.XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
    }
    ~LedgerSchemaTest() override { std::filesystem::remove_all(folder_); }

    std::filesystem::path file() const { return folder_ / "control-plane.db"; }
    std::filesystem::path backup() const { return folder_ / "control-plane.db.ledger-1.backup"; }

    std::filesystem::path folder_;
};

Result<std::int64_t> number_in(const std::filesystem::path& file, std::string_view sql) {
    auto database = sqlite::Database::open_read_only(file);
    if (!database) return fail(database.error());
    auto statement = database->prepare(sql);
    if (!statement) return fail(statement.error());
    if (const auto row = statement->step(); !row || !*row) return fail("none");
    return statement->number(0);
}

constexpr const char* first =
    "CREATE TABLE ledger_test (x INTEGER NOT NULL); INSERT INTO ledger_test VALUES (7);";
constexpr const char* second = "UPDATE ledger_test SET x = 2 * x;";

TEST_F(LedgerSchemaTest, AnOlderSchemaIsBackedUpAndBroughtUpToDate) {
    auto database = sqlite::Database::open(file());
    const char* const old[] = {first};
    const char* const both[] = {first, second};
    ASSERT_TRUE(migrate_ledger(*database, file(), old));
    EXPECT_FALSE(std::filesystem::exists(backup())) << "there was nothing to lose";
    ASSERT_TRUE(migrate_ledger(*database, file(), both));
    EXPECT_EQ(number_in(file(), "SELECT x FROM ledger_test"), 14);
    EXPECT_EQ(number_in(backup(), "SELECT x FROM ledger_test"), 7);
    std::filesystem::remove(backup());
    ASSERT_TRUE(migrate_ledger(*database, file(), both));
    EXPECT_FALSE(std::filesystem::exists(backup())) << "nothing was changed";
}

TEST_F(LedgerSchemaTest, WithoutABackupNothingIsChanged) {
    auto database = sqlite::Database::open(file());
    const char* const old[] = {first};
    const char* const both[] = {first, second};
    ASSERT_TRUE(migrate_ledger(*database, file(), old));
    std::filesystem::create_directories(backup() / "in the way");
    const auto migrated = migrate_ledger(*database, file(), both);
    ASSERT_FALSE(migrated);
    EXPECT_EQ(migrated.error().code, "store_unavailable");
    EXPECT_EQ(number_in(file(), "SELECT x FROM ledger_test"), 7);
}

TEST_F(LedgerSchemaTest, AStepThatFailsLeavesTheSchemaAsItWas) {
    auto database = sqlite::Database::open(file());
    const char* const old[] = {first};
    const char* const broken[] = {first, "UPDATE ledger_test SET x = 0; INSERT INTO nowhere VALUES (1);"};
    ASSERT_TRUE(migrate_ledger(*database, file(), old));
    EXPECT_FALSE(migrate_ledger(*database, file(), broken));
    EXPECT_EQ(number_in(file(), "SELECT x FROM ledger_test"), 7);
    const char* const mended[] = {first, second};
    EXPECT_TRUE(migrate_ledger(*database, file(), mended));
    EXPECT_EQ(number_in(file(), "SELECT x FROM ledger_test"), 14);
}

// Schema 6 has them by number where those before had them by key.
TEST_F(LedgerSchemaTest, WhatWasAppendedByKeyIsThereByNumber) {
    const std::vector<std::uint64_t> numbers{0,          1,        9, 10, 255, 256, 0xabcdef, 0x1234567890,
                                             1ull << 40, INT64_MAX};
    const Table tables[] = {Table::answers, Table::checkpoints, Table::audit};
    {
        auto database = sqlite::Database::open(file());
        ASSERT_TRUE(migrate_ledger(*database, file(), ledger_migrations().first(5)));
        for (const Table table : tables)
            for (const std::uint64_t number : numbers)
                ASSERT_TRUE(database->execute(fmt::format(
                    "INSERT INTO ledger_{} VALUES (x'{}', x'{:02x}')", to_word(table),
                    to_hex(as_bytes(appended_key(table, number))), static_cast<int>(number % 256))));
    }
    sqlite::Writers writers(file());
    const auto store = SqliteStore::open(file(), writers);
    ASSERT_TRUE(store) << store.error().detail;
    EXPECT_TRUE(std::filesystem::exists(folder_ / "control-plane.db.ledger-5.backup"));
    for (const Table table : tables) {
        std::vector<std::string> expected, seen;
        for (const std::uint64_t number : numbers) {
            expected.push_back(appended_key(table, number));
            EXPECT_EQ((*store)->get(table, expected.back()), std::string(1, static_cast<char>(number % 256)));
        }
        if (table == Table::audit) std::ranges::reverse(expected);
        (*store)->scan(table, "", [&](std::string_view key, std::string_view) {
            seen.emplace_back(key);
            return true;
        });
        EXPECT_EQ(seen, expected) << to_word(table);
        EXPECT_EQ((*store)->get(table, "1"), std::nullopt);
        EXPECT_EQ((*store)->get(table, appended_key(table, 1ull << 63)), std::nullopt);
    }
}

// Schema 8 has them by one number where those before had them by level and index.
TEST_F(LedgerSchemaTest, TilesByLevelAreThereByNumber) {
    const std::pair<unsigned, std::uint64_t> tiles[] = {{0, 0}, {0, 1}, {0, 300},        {1, 0},
                                                        {1, 1}, {6, 2}, {0, 1ull << 54}, {7, 0}};
    const auto hashes = [](unsigned level, std::uint64_t index) {
        return fmt::format("{}/{}", level, index);
    };
    {
        auto database = sqlite::Database::open(file());
        ASSERT_TRUE(migrate_ledger(*database, file(), ledger_migrations().first(7)));
        for (const auto& [level, index] : tiles)
            ASSERT_TRUE(database->execute(fmt::format("INSERT INTO ledger_tiles VALUES ({}, {}, x'{}')",
                                                      level, index, to_hex(as_bytes(hashes(level, index))))));
    }
    sqlite::Writers writers(file());
    const auto store = SqliteStore::open(file(), writers);
    ASSERT_TRUE(store) << store.error().detail;
    EXPECT_TRUE(std::filesystem::exists(folder_ / "control-plane.db.ledger-7.backup"));
    for (const auto& [level, index] : tiles) EXPECT_EQ((*store)->tile(level, index), hashes(level, index));
    // What none has, and what would be another's number.
    EXPECT_EQ((*store)->tile(0, 2), std::nullopt);
    EXPECT_EQ((*store)->tile(0, 1ull << 56), std::nullopt);
    EXPECT_EQ((*store)->tile(256, 0), std::nullopt);
}

TEST_F(LedgerSchemaTest, ANewerSchemaIsRefusedAndLeftAlone) {
    sqlite::Writers writers(file());
    ASSERT_TRUE(SqliteStore::open(file(), writers));
    ASSERT_TRUE(sqlite::Database::open(file())->execute(
        "UPDATE schema_versions SET version = 99 WHERE component = 'ledger'"));
    const auto store = SqliteStore::open(file(), writers);
    ASSERT_FALSE(store);
    EXPECT_EQ(store.error().code, "store_schema_newer");
    EXPECT_EQ(SqliteReader::open(file()).error().code, "store_schema_newer");
    EXPECT_EQ(number_in(file(), "SELECT version FROM schema_versions WHERE component = 'ledger'"), 99);
}

TEST_F(LedgerSchemaTest, AReaderRefusesWhatHasNoLedgerYet) {
    EXPECT_EQ(SqliteReader::open(file()).error().code, "store_unavailable");
    ASSERT_TRUE(sqlite::Database::open(file())->execute("CREATE TABLE schema_versions (component, version)"));
    EXPECT_EQ(SqliteReader::open(file()).error(), (Error{"no_ledger", "there is no ledger in this file"}));
}

// L6: entries, leaves and tiles stay as they were written, whoever asks.
TEST_F(LedgerSchemaTest, TheJournalAndTheLogAreNeverChanged) {
    sqlite::Writers writers(file());
    {
        const auto store = SqliteStore::open(file(), writers);
        ASSERT_TRUE(store);
        Changes changes;
        changes.of(Table::entries) = {{"e", "entry"}};
        changes.leaves = {"leaf"};
        changes.tiles = {{.level = 0, .index = 0, .hashes = std::string(8192, 'h')}};
        (*store)->commit(changes);
    }
    auto database = sqlite::Database::open(file());
    for (const char* sql :
         {"UPDATE ledger_entries SET value = x'00'",
          "UPDATE ledger_entries SET key = x'00'",
          "DELETE FROM ledger_entries",
          "INSERT OR REPLACE INTO ledger_entries VALUES (CAST('e' AS BLOB), x'00')",
          "REPLACE INTO ledger_entries VALUES (CAST('e' AS BLOB), x'00')",
          "INSERT INTO ledger_entries VALUES (CAST('e' AS BLOB), x'00') ON CONFLICT (key) DO "
          "UPDATE SET value = x'00'",
          "UPDATE ledger_leaves SET leaves = x'00'",
          "DELETE FROM ledger_leaves",
          "DELETE FROM ledger_leaves WHERE first_leaf = 0",
          "INSERT OR REPLACE INTO ledger_leaves VALUES (0, 1, x'00')",
          "INSERT INTO ledger_leaves VALUES (2, 1, x'00')",
          "INSERT INTO ledger_leaves VALUES (-1, 1, x'00')",
          "UPDATE ledger_tiles SET hashes = x'00'",
          "UPDATE ledger_tiles SET number = 1",
          "DELETE FROM ledger_tiles",
          "INSERT OR REPLACE INTO ledger_tiles VALUES (0, x'00')",
          "UPDATE ledger_recent SET changes = x'00'",
          "UPDATE ledger_recent SET number = number + 1",
          "INSERT OR REPLACE INTO ledger_recent VALUES (2, x'00')",
          "INSERT INTO ledger_recent VALUES (4, x'00')",
          "DELETE FROM ledger_recent",
          "DELETE FROM ledger_recent WHERE number = 2"}) {
        EXPECT_FALSE(database->execute(sql)) << sql;
    }
    EXPECT_TRUE(database->execute("INSERT INTO ledger_leaves VALUES (1, 1, x'00')"));
    database = fail("closed");
    const auto store = SqliteStore::open(file(), writers);
    EXPECT_EQ((*store)->get(Table::entries, "e"), "entry");
    EXPECT_EQ((*store)->leaf(0), "leaf");
    EXPECT_EQ((*store)->leaf_count(), 2u);
    EXPECT_EQ((*store)->tile(0, 0), std::string(8192, 'h'));
}

}  // namespace
}  // namespace ee::ledger
