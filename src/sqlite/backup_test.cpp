#include "sqlite/backup.h"

#include <atomic>
#include <fstream>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "sqlite/file_lock.h"
#include "sqlite/transaction.h"

namespace ee::sqlite {
namespace {

class BackupTest : public testing::Test {
protected:
    BackupTest() {
        std::string pattern = (std::filesystem::temp_directory_path() / "backup.XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
    }
    ~BackupTest() override { std::filesystem::remove_all(folder_); }

    std::filesystem::path file() const { return folder_ / "source.db"; }
    std::filesystem::path copy() const { return folder_ / "copy.db"; }

    std::filesystem::path folder_;
};

std::pair<std::int64_t, std::int64_t> count_and_sum(const std::filesystem::path& file) {
    auto database = Database::open(file);
    auto statement = database->prepare("SELECT count(*), sum(x) FROM t");
    EXPECT_TRUE(statement->step());
    return {statement->number(0), statement->number(1)};
}

// Pairs that add up to zero: a copy from within a transaction would not.
TEST_F(BackupTest, ItIsOfOneMomentWhileOthersWrite) {
    Writers writers(file());
    auto database = Database::open(file(), &writers);
    ASSERT_TRUE(database->execute("CREATE TABLE t (x INTEGER NOT NULL)"));
    std::atomic<int> written = 0;
    std::atomic<bool> over = false;
    std::thread writer([&] {
        for (int i = 1; !over; ++i) {
            auto transaction = Transaction::begin(*database);
            ASSERT_TRUE(database->execute("INSERT INTO t VALUES (" + std::to_string(i) + ")"));
            ASSERT_TRUE(database->execute("INSERT INTO t VALUES (" + std::to_string(-i) + ")"));
            ASSERT_TRUE(transaction->commit());
            written = i;
        }
    });
    while (written < 20) std::this_thread::yield();
    for (int i = 0; i < 5; ++i) {
        const int before = written;
        const auto done = back_up(file(), copy());
        ASSERT_TRUE(done) << done.error().detail;
        const auto [count, sum] = count_and_sum(copy());
        EXPECT_GE(count, 2 * before);
        EXPECT_EQ(sum, 0);
    }
    over = true;
    writer.join();
}

TEST_F(BackupTest, ItIsReadWithoutAFileBesideIt) {
    ASSERT_TRUE(
        Database::open(file())->execute("CREATE TABLE t (x INTEGER NOT NULL); INSERT INTO t VALUES (7)"));
    std::filesystem::create_directory(folder_ / "copies");
    ASSERT_TRUE(back_up(file(), folder_ / "copies" / "copy.db"));
    {
        auto database = Database::open_read_only(folder_ / "copies" / "copy.db");
        ASSERT_TRUE(database);
        auto statement = database->prepare("SELECT x FROM t");
        ASSERT_TRUE(statement);
        ASSERT_TRUE(statement->step().value());
        EXPECT_EQ(statement->number(0), 7);
        EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_ / "copies"), {}), 1);
    }
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_ / "copies"), {}), 1);
}

TEST_F(BackupTest, OnlyTheOwnerMayReadIt) {
    ASSERT_TRUE(Database::open(file())->execute("CREATE TABLE t (x INTEGER NOT NULL)"));
    ASSERT_TRUE(back_up(file(), copy()));
    struct stat status{};
    ASSERT_EQ(::stat(copy().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(BackupTest, ADatabaseInUseIsNoPlaceForACopy) {
    auto database = Database::open(file());
    ASSERT_TRUE(database->execute("CREATE TABLE t (x INTEGER NOT NULL); INSERT INTO t VALUES (1)"));
    const auto itself = back_up(file(), file());
    ASSERT_FALSE(itself);
    EXPECT_NE(itself.error().detail.find("is the database itself"), std::string::npos)
        << itself.error().detail;
    std::filesystem::create_symlink(file(), folder_ / "link.db");
    EXPECT_FALSE(back_up(file(), folder_ / "link.db"));
    ASSERT_TRUE(back_up(file(), copy()));
    // A server's, and then one that ended with its log.
    {
        const auto held = FileLock::take(copy());
        ASSERT_TRUE(held);
        EXPECT_EQ(back_up(file(), copy()).error().code, "store_locked");
    }
    ASSERT_TRUE(back_up(file(), copy()));
    std::ofstream(folder_ / "copy.db-wal") << "what it wrote last";
    EXPECT_NE(back_up(file(), copy()).error().detail.find("copy.db-wal"), std::string::npos);
    EXPECT_EQ(count_and_sum(file()), std::pair(std::int64_t{1}, std::int64_t{1}));
}

TEST_F(BackupTest, ALockIsOfTheFileByWhateverNameItIsFound) {
    ASSERT_TRUE(Database::open(file())->execute("CREATE TABLE t (x INTEGER NOT NULL)"));
    std::filesystem::create_symlink(file(), folder_ / "link.db");
    std::filesystem::create_directory_symlink(folder_, folder_ / "folder");
    {
        const auto held = FileLock::take(folder_ / "link.db");
        ASSERT_TRUE(held);
        for (const auto& name : {file(), folder_ / "link.db", folder_ / "folder" / "source.db"})
            EXPECT_EQ(FileLock::take(name).error().code, "store_locked") << name;
    }
    EXPECT_TRUE(FileLock::take(file()));
    std::filesystem::create_hard_link(file(), folder_ / "second.db");
    EXPECT_NE(FileLock::take(file()).error().detail.find("2 names"), std::string::npos);
}

TEST_F(BackupTest, ARefusalLeavesTheOldCopyAndNothingElse) {
    std::ofstream(file()) << std::string(8192, 'x');
    std::ofstream(copy()) << "the copy before";
    const auto done = back_up(file(), copy());
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, "store_unavailable");
    EXPECT_EQ(std::filesystem::file_size(copy()), 15u);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 2);
    EXPECT_EQ(back_up(folder_ / "none.db", copy()).error().code, "store_unavailable");
    ASSERT_TRUE(Database::open(folder_ / "good.db")->execute("CREATE TABLE t (x)"));
    EXPECT_EQ(back_up(folder_ / "good.db", folder_ / "no" / "folder.db").error().code, "store_unavailable");
}

}  // namespace
}  // namespace ee::sqlite
