#include "sqlite/writers.h"

#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "sqlite/transaction.h"

namespace ee::sqlite {
namespace {

using namespace std::chrono_literals;

class WritersTest : public testing::Test {
protected:
    WritersTest() {
        std::string pattern = (std::filesystem::temp_directory_path() / "writers.XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
    }
    ~WritersTest() override { std::filesystem::remove_all(folder_); }

    std::filesystem::path file() const { return folder_ / "shared.db"; }

    std::filesystem::path folder_;
};

void insert(Database& database, std::int64_t number) {
    auto transaction = Transaction::begin(database);
    ASSERT_TRUE(transaction) << transaction.error().detail;
    auto insert = database.prepare("INSERT INTO t VALUES (?1)");
    ASSERT_TRUE(insert->bind(1, number).run());
    ASSERT_TRUE(transaction->commit());
}

std::int64_t count(Database& database) {
    auto statement = database.prepare("SELECT count(*) FROM t");
    EXPECT_TRUE(statement->step());
    return statement->number(0);
}

TEST_F(WritersTest, TurnsComeInTheOrderTheyWereAskedFor) {
    Writers writers(file());
    auto first = writers.take_turn(0ms);
    ASSERT_TRUE(first);
    std::vector<int> order;
    std::vector<std::thread> waiting;
    for (int i = 0; i < 8; ++i) {
        waiting.emplace_back([&, i] {
            const auto turn = writers.take_turn(60s);
            ASSERT_TRUE(turn);
            order.push_back(i);  // The turn is what guards it.
        });
        while (writers.waiting() < static_cast<std::size_t>(i + 1)) std::this_thread::yield();
    }
    first.reset();
    for (std::thread& thread : waiting) thread.join();
    EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4, 5, 6, 7}));
}

TEST_F(WritersTest, ATurnThatDoesNotComeInTimeIsGivenUpAndDelaysNobody) {
    Writers writers(file());
    auto first = writers.take_turn(0ms);
    EXPECT_FALSE(writers.take_turn(1ms));
    EXPECT_EQ(writers.waiting(), 0u);
    first.reset();
    EXPECT_TRUE(writers.take_turn(0ms));
}

TEST_F(WritersTest, ManyWritersAtOnceAllCommit) {
    Writers writers(file());
    auto mine = Database::open(file(), &writers);
    ASSERT_TRUE(mine->execute("CREATE TABLE t (x INTEGER PRIMARY KEY)"));
    constexpr int others = 4, each = 40;
    std::vector<std::thread> threads;
    for (int other = 0; other < others; ++other)
        threads.emplace_back([&, other] {
            auto database = Database::open(file(), &writers);
            for (int i = 0; i < each; ++i) insert(*database, other * each + i);
        });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(count(*mine), others * each);
}

TEST_F(WritersTest, WhatIsNotCommittedIsUndoneAndTheTurnIsGivenBack) {
    Writers writers(file());
    auto database = Database::open(file(), &writers);
    ASSERT_TRUE(database->execute("CREATE TABLE t (x INTEGER PRIMARY KEY)"));
    {
        auto transaction = Transaction::begin(*database);
        ASSERT_TRUE(database->execute("INSERT INTO t VALUES (1)"));
    }
    EXPECT_EQ(count(*database), 0);
    insert(*database, 2);
    EXPECT_EQ(count(*database), 1);
}

TEST_F(WritersTest, TheLogIsCopiedBesideTheCommitsAndBeginsAnew) {
    constexpr int log_pages = 64;
    Writers writers(file(), log_pages);
    auto database = Database::open(file(), &writers);
    ASSERT_TRUE(database->execute("CREATE TABLE t (x INTEGER PRIMARY KEY)"));
    std::int64_t number = 0;
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (writers.copied() < 3 && std::chrono::steady_clock::now() < deadline) insert(*database, number++);
    EXPECT_GE(writers.copied(), 3u);
    EXPECT_EQ(count(*database), number);
    EXPECT_EQ(writers.disk_failure(), std::nullopt);
    // Two pages or more a commit: without a new beginning it were longer.
    EXPECT_LT(std::filesystem::file_size(file().string() + "-wal"),
              static_cast<std::uintmax_t>(2 * number * 4096));
}

TEST_F(WritersTest, ALongReadKeepsTheLogAndStopsNobody) {
    constexpr int log_pages = 16;
    Writers writers(file(), log_pages);
    auto database = Database::open(file(), &writers);
    ASSERT_TRUE(database->execute("CREATE TABLE t (x INTEGER PRIMARY KEY)"));
    insert(*database, 1);
    auto reader = Database::open_read_only(file());
    ASSERT_TRUE(reader->execute("BEGIN"));
    EXPECT_EQ(count(*reader), 1);
    std::int64_t number = 1;
    for (int i = 0; i < 4 * log_pages; ++i) insert(*database, ++number);
    EXPECT_EQ(count(*reader), 1);
    ASSERT_TRUE(reader->execute("COMMIT"));
    EXPECT_EQ(count(*reader), number);
    const std::uint64_t before = writers.copied();
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (writers.copied() == before && std::chrono::steady_clock::now() < deadline)
        insert(*database, ++number);
    EXPECT_GT(writers.copied(), before);
}

// In either way of writing it.
TEST_F(WritersTest, AfterABurstTheLogsFileShrinks) {
    constexpr int log_pages = 16;
    for (const LogWrites how : {LogWrites::one_by_one, LogWrites::gathered}) {
        const auto path = folder_ / (how == LogWrites::gathered ? "gathered.db" : "one by one.db");
        const auto log_bytes = [&] {
            return static_cast<std::int64_t>(std::filesystem::file_size(path.string() + "-wal"));
        };
        Writers writers(path, log_pages);
        auto database = Database::open(path, &writers, how);
        ASSERT_TRUE(database->execute("CREATE TABLE t (x INTEGER PRIMARY KEY)"));
        auto reader = Database::open_read_only(path);
        ASSERT_TRUE(reader->execute("BEGIN"));
        EXPECT_EQ(count(*reader), 0);
        std::int64_t number = 0;
        while (log_bytes() < 4 * writers.log_bytes_kept()) insert(*database, ++number);
        ASSERT_TRUE(reader->execute("COMMIT"));
        const std::uint64_t before = writers.copied();
        const auto deadline = std::chrono::steady_clock::now() + 60s;
        while (writers.copied() == before && std::chrono::steady_clock::now() < deadline)
            insert(*database, ++number);
        insert(*database, ++number);
        EXPECT_LE(log_bytes(), writers.log_bytes_kept());
        // What it keeps stays: it is not cut off at every beginning.
        while (writers.copied() == before + 1 && std::chrono::steady_clock::now() < deadline)
            insert(*database, ++number);
        const std::int64_t grown = log_bytes();
        insert(*database, ++number);
        EXPECT_EQ(log_bytes(), grown);
        EXPECT_EQ(count(*database), number);
    }
}

}  // namespace
}  // namespace ee::sqlite
