#include "sqlite/gathered_log.h"

#include <map>
#include <random>
#include <unistd.h>

#include <gtest/gtest.h>

#include "sqlite/transaction.h"

namespace ee::sqlite {
namespace {

using Rows = std::map<std::int64_t, std::string>;

class GatheredLogTest : public testing::Test {
protected:
    GatheredLogTest() {
        std::string pattern = (std::filesystem::temp_directory_path() / "gathered.XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
    }
    ~GatheredLogTest() override { std::filesystem::remove_all(folder_); }

    std::filesystem::path file() const { return folder_ / "some.db"; }

    std::filesystem::path folder_;
};

Rows rows_of(Database& database) {
    Rows rows;
    auto statement = database.prepare("SELECT k, v FROM t");
    while (statement->step().value()) rows.emplace(statement->number(0), statement->text(1));
    return rows;
}

std::string integrity_of(Database& database) {
    auto statement = database.prepare("PRAGMA integrity_check");
    EXPECT_TRUE(statement->step().value());
    return statement->text(0);
}

TEST_F(GatheredLogTest, TransactionsLargerThanTheCacheAreWhatTheyWere) {
    auto database = Database::open(file(), nullptr, LogWrites::gathered);
    ASSERT_TRUE(database) << database.error().detail;
    ASSERT_TRUE(
        database->execute("PRAGMA cache_size=4; PRAGMA wal_autocheckpoint=100;"
                          "CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT NOT NULL) STRICT"));
    auto other = Database::open(file());
    auto put = database->prepare("INSERT INTO t VALUES (?1, ?2) ON CONFLICT (k) DO UPDATE SET v = ?2");
    std::mt19937_64 random(5);
    Rows expected;
    for (int round = 0; round < 40; ++round) {
        SCOPED_TRACE(round);
        auto transaction = Transaction::begin(*database);
        Rows rows = expected;
        for (std::uint64_t i = random() % 400; i > 0; --i) {
            const auto key = static_cast<std::int64_t>(random() % 1000);
            const std::string value(random() % 300, static_cast<char>('a' + random() % 26));
            ASSERT_TRUE(put->bind(1, key).bind(2, value).run());
            rows[key] = value;
        }
        EXPECT_EQ(rows_of(*database), rows);
        EXPECT_EQ(rows_of(*other), expected);
        if (round % 3 == 0) {
            ASSERT_TRUE(database->execute("ROLLBACK"));
        } else {
            ASSERT_TRUE(transaction->commit());
            expected = std::move(rows);
        }
        EXPECT_EQ(rows_of(*other), expected) << "a commit is seen at once";
    }
    EXPECT_EQ(integrity_of(*other), "ok");
    database = fail("closed");
    other = fail("closed");
    auto again = Database::open(file());
    EXPECT_EQ(rows_of(*again), expected);
    EXPECT_EQ(integrity_of(*again), "ok");
}

// More than the cache holds: nothing of it may be left to be written later, over what others have written.
void expect_undone(Database& database) {
    const Rows before = rows_of(database);
    {
        auto transaction = Transaction::begin(database);
        ASSERT_TRUE(database.execute(
            "WITH RECURSIVE n (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n WHERE x < 300) "
            "INSERT INTO t SELECT 10000 + x, hex(zeroblob(300)) FROM n"));
    }
    EXPECT_EQ(rows_of(database), before);
}

TEST_F(GatheredLogTest, OthersWriteTheSameLogInTurn) {
    Writers writers(file(), 50);
    auto gathering = Database::open(file(), &writers, LogWrites::gathered);
    auto plain = Database::open(file(), &writers);
    ASSERT_TRUE(gathering->execute("PRAGMA cache_size=4"));
    ASSERT_TRUE(plain->execute("CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT NOT NULL) STRICT"));
    Rows expected;
    for (std::int64_t key = 0; key < 300; ++key) {
        if (key % 10 == 0) expect_undone(*gathering);
        Database& database = key % 3 == 0 ? *plain : *gathering;
        auto transaction = Transaction::begin(database);
        const std::string value(static_cast<std::size_t>(key), 'v');
        ASSERT_TRUE(database.prepare("INSERT INTO t VALUES (?1, ?2)")->bind(1, key).bind(2, value).run());
        ASSERT_TRUE(transaction->commit());
        expected.emplace(key, value);
    }
    EXPECT_EQ(rows_of(*plain), expected);
    EXPECT_EQ(rows_of(*gathering), expected);
    EXPECT_EQ(integrity_of(*plain), "ok");
}

}  // namespace
}  // namespace ee::sqlite
