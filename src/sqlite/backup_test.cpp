#include "sqlite/backup.h"

#include <atomic>
#include <fstream>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>
#include <sys/stat.h>

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

TEST_F(BackupTest, OnlyTheOwnerMayReadIt) {
    ASSERT_TRUE(Database::open(file())->execute("CREATE TABLE t (x INTEGER NOT NULL)"));
    ASSERT_TRUE(back_up(file(), copy()));
    struct stat status{};
    ASSERT_EQ(::stat(copy().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
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
