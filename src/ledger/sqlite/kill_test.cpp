// A process that commits in a loop is killed at any moment; what it was told is on disk stays.
#include <csignal>
#include <cstdio>
#include <random>
#include <unistd.h>

#include <gtest/gtest.h>
#include <sys/wait.h>

#include "base/check.h"
#include "ledger/encoding.h"
#include "ledger/sqlite/sqlite_store.h"

namespace ee::ledger {
namespace {

// Copying the log is interrupted, too, and folding.
constexpr int log_pages = 24;
constexpr RecentChanges::Limits limits{.records_max = 6};

std::string key_of(std::uint64_t number) {
    return KeyWriter().number(number);
}

// Each commit says its number in five places.
Changes numbered(std::uint64_t number) {
    Changes changes;
    changes.of(Table::meta).emplace_back("count", key_of(number + 1));
    changes.of(Table::entries).emplace_back(key_of(number), std::to_string(number));
    changes.of(Table::locks).emplace_back(key_of(number), std::to_string(number));
    if (number > 0)
        changes.of(Table::locks).insert(changes.of(Table::locks).begin(), {key_of(number - 1), std::nullopt});
    changes.first_leaf = number;
    changes.leaves = {std::string(200, static_cast<char>(number))};
    changes.tiles = {{.level = 0, .index = number, .hashes = std::string(8192, static_cast<char>(number))}};
    return changes;
}

std::uint64_t count_of(const Store& store) {
    const auto count = store.get(Table::meta, "count");
    return count ? number_at(*count, 0) : 0;
}

// Never returns; says each number when it is committed.
[[noreturn]] void commit_for_ever(const std::filesystem::path& file, int acknowledgements) {
    sqlite::Writers writers(file, log_pages);
    auto store = SqliteStore::open(file, writers, limits);
    if (!store) ::_exit(1);
    for (std::uint64_t number = count_of(**store);; ++number) {
        (*store)->commit(numbered(number));
        if (::write(acknowledgements, &number, sizeof(number)) != sizeof(number)) ::_exit(1);
    }
}

void expect_whole(const Store& store, std::uint64_t count) {
    ASSERT_EQ(store.leaf_count(), count);
    std::uint64_t entries = 0;
    store.scan(Table::entries, "", [&](std::string_view key, std::string_view record) {
        EXPECT_EQ(key, key_of(entries));
        EXPECT_EQ(record, std::to_string(entries));
        ++entries;
        return true;
    });
    EXPECT_EQ(entries, count);
    std::vector<std::string> locks;
    store.scan(Table::locks, "", [&](std::string_view, std::string_view record) {
        locks.emplace_back(record);
        return true;
    });
    EXPECT_EQ(locks, std::vector{std::to_string(count - 1)});
    for (std::uint64_t number = 0; number < count; ++number) {
        EXPECT_EQ(store.leaf(number), std::string(200, static_cast<char>(number)));
        EXPECT_EQ(store.tile(0, number), std::string(8192, static_cast<char>(number)));
    }
    EXPECT_EQ(store.tile(0, count), std::nullopt);
}

class KillTest : public testing::Test {
protected:
    KillTest() {
        std::string pattern = (std::filesystem::temp_directory_path() / "killed.XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
    }
    ~KillTest() override { std::filesystem::remove_all(folder_); }

    std::filesystem::path file() const { return folder_ / "ledger.db"; }

    // What the child said last before it was killed.
    std::uint64_t kill_after(int commits, std::chrono::microseconds more) {
        int ends[2];
        EE_CHECK(::pipe(ends) == 0);
        const pid_t child = ::fork();
        EE_CHECK(child >= 0);
        if (child == 0) {
            ::close(ends[0]);
            commit_for_ever(file(), ends[1]);
        }
        ::close(ends[1]);
        std::uint64_t said = 0, last = 0;
        for (int i = 0; i < commits && ::read(ends[0], &said, sizeof(said)) == sizeof(said); ++i) last = said;
        const auto until = std::chrono::steady_clock::now() + more;
        while (std::chrono::steady_clock::now() < until) {
        }
        ::kill(child, SIGKILL);
        while (::read(ends[0], &said, sizeof(said)) == sizeof(said)) last = said;
        ::close(ends[0]);
        int status = 0;
        EXPECT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_TRUE(WIFSIGNALED(status)) << "it ended by itself: " << status;
        return last;
    }

    std::filesystem::path folder_;
};

TEST_F(KillTest, NothingAcknowledgedIsLostAndNothingIsHalfThere) {
    std::mt19937_64 random(7);
    std::uint64_t count = 0;
    for (int round = 0; round < 40; ++round) {
        SCOPED_TRACE(round);
        const int commits = static_cast<int>(random() % 12 + 1);
        const std::uint64_t acknowledged =
            kill_after(commits, std::chrono::microseconds(random() % 2000)) + 1;
        EXPECT_GE(acknowledged, count + static_cast<std::uint64_t>(commits));
        sqlite::Writers writers(file(), log_pages);
        const auto store = SqliteStore::open(file(), writers, limits);
        ASSERT_TRUE(store) << store.error().detail;
        count = count_of(**store);
        EXPECT_GE(count, acknowledged);
        EXPECT_LE(count, acknowledged + 1) << "at most one was on its way";
        expect_whole(**store, count);
        if (HasFailure()) return;
    }
}

}  // namespace
}  // namespace ee::ledger
