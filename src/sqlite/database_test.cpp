#include "sqlite/database.h"

#include <fcntl.h>
#include <unistd.h>

#include <gtest/gtest.h>
#include <sys/wait.h>

namespace ee::sqlite {
namespace {

class DatabaseTest : public testing::Test {
protected:
    DatabaseTest() {
        std::string pattern = (std::filesystem::temp_directory_path() / "database.XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
    }
    ~DatabaseTest() override { std::filesystem::remove_all(folder_); }

    std::filesystem::path file() const { return folder_ / "some.db"; }

    std::filesystem::path folder_;
};

// Whether another process finds a lock on the bytes SQLite locks.
bool is_locked(const std::filesystem::path& file) {
    const pid_t child = ::fork();
    if (child == 0) {
        struct flock lock{};
        lock.l_type = F_WRLCK;
        lock.l_whence = SEEK_SET;
        const int descriptor = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
        ::_exit(descriptor >= 0 && ::fcntl(descriptor, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? 1
                                                                                                      : 0);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

// Without it another process that closes the file takes itself for the last one and deletes the log.
TEST_F(DatabaseTest, FurtherConnectionsLeaveTheLockOfTheFirst) {
    auto first = Database::open(file());
    ASSERT_TRUE(first->execute("CREATE TABLE t (x); INSERT INTO t VALUES (1)"));
    EXPECT_TRUE(is_locked(file()));
    auto second = Database::open(file());
    EXPECT_TRUE(is_locked(file()));
    second = fail("closed");
    EXPECT_TRUE(is_locked(file()));
    first = fail("closed");
    EXPECT_FALSE(is_locked(file()));
}

TEST_F(DatabaseTest, WhatIsLentIsNotCopiedAndMayBeOfNoBytes) {
    auto database = Database::open(file());
    ASSERT_TRUE(database->execute("CREATE TABLE t (k BLOB NOT NULL, v BLOB NOT NULL) STRICT"));
    auto insert = database->prepare("INSERT INTO t VALUES (?1, ?2)");
    std::string lent = "before";
    insert->lend(1, {}).lend(2, as_bytes(lent));
    lent = "after!";
    ASSERT_TRUE(insert->run());
    auto select = database->prepare("SELECT k, v FROM t");
    ASSERT_TRUE(select->step().value());
    EXPECT_EQ(select->view(0), "");
    EXPECT_EQ(select->view(1), "after!");
}

TEST_F(DatabaseTest, WhatIsReadOnlyChangesNothingAndMakesNothing) {
    EXPECT_EQ(Database::open_read_only(file()).error().code, "store_unavailable");
    EXPECT_FALSE(std::filesystem::exists(file()));
    ASSERT_TRUE(Database::open(file())->execute("CREATE TABLE t (x)"));
    auto database = Database::open_read_only(file());
    EXPECT_FALSE(database->execute("INSERT INTO t VALUES (1)"));
    EXPECT_TRUE(database->execute("SELECT * FROM t"));
}

}  // namespace
}  // namespace ee::sqlite
