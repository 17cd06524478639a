// Whatever the disk does: a commit has happened wholly or not at all, what was acknowledged survives a power
// cut, and the ledger opens again.
#include <functional>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "ledger/sqlite/fault_vfs.h"
#include "ledger/sqlite/sqlite_store.h"
#include "ledger/sqlite/store_model.h"
#include "sqlite/database.h"

namespace ee::ledger {
namespace {

constexpr int commits = 6;
constexpr int log_pages = 16;  // Copied after the migration, and again after a few commits.
constexpr RecentChanges::Limits limits{.records_max = 1};

// The same for every run.
const std::vector<Changes>& history() {
    static const std::vector<Changes> all = [] {
        std::mt19937_64 random(3);
        StoreModel model;
        std::vector<Changes> out;
        for (int i = 0; i < commits; ++i) {
            out.push_back(random_changes(random, model, 8));
            model.apply(out.back());
        }
        return out;
    }();
    return all;
}

// What the store holds after each number of commits.
const std::vector<StoreModel>& states() {
    static const std::vector<StoreModel> all = [] {
        std::vector<StoreModel> out(1);
        for (const Changes& changes : history()) {
            out.push_back(out.back());
            out.back().apply(changes);
        }
        return out;
    }();
    return all;
}

struct Outcome {
    bool opened = false;
    int acknowledged = 0;
    std::string failure{};       // of the first commit that failed
    int acknowledged_later = 0;  // after the first failure
    std::uint64_t copied = 0;    // times the log was
};

bool commit(Store& store, const Changes& changes, std::string& failure) {
    try {
        store.commit(changes);
        return true;
    } catch (const StoreFailure& why) {
        if (failure.empty()) failure = why.what();
        return false;
    }
}

class FaultsTest : public testing::Test {
protected:
    void SetUp() override {
        // The disk is a model: what lies under it need not be one.
        const bool has_memory = std::filesystem::is_directory("/dev/shm");
        const auto below = has_memory ? "/dev/shm" : std::filesystem::temp_directory_path();
        std::string pattern = (below / "faults.XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    // A file of its own each time.
    void next_file() {
        std::filesystem::remove(file_);
        file_ = folder_ / ("ledger-" + std::to_string(++files_) + ".db");
    }

    // Opens the store and commits the history, each commit up to three times, until one stays refused.
    Outcome run(
        FaultyDisk& disk, bool power_cut_at_end, const std::function<void()>& before_commits = [] {}) const {
        Outcome out;
        sqlite::Writers writers(file_, log_pages);
        auto store = SqliteStore::open(file_, writers, limits);
        if (!store) return out;
        out.opened = true;
        wait_for_copy(disk, writers);
        before_commits();
        for (const Changes& changes : history()) {
            bool done = false;
            for (int attempt = 0; attempt < 3 && !done; ++attempt) {
                const bool failed_before = !out.failure.empty();
                done = commit(**store, changes, out.failure);
                if (done && failed_before) ++out.acknowledged_later;
            }
            if (!done) break;
            // The copier is another thread: what it does belongs into the run, too.
            ++out.acknowledged;
            wait_for_copy(disk, writers);
        }
        out.copied = writers.copied();
        if (power_cut_at_end) disk.cut_power();  // Else the last one closes the file first.
        return out;
    }

    // Whether it comes to that.
    template <class Done>
    static bool until(std::chrono::milliseconds limit, Done done) {
        const auto deadline = std::chrono::steady_clock::now() + limit;
        while (!done() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
        return done();
    }
    // In one transaction, a row a page; the log is copied from so many on. `before_commit`: to the disk.
    static sqlite::Database write_pages(
        sqlite::Writers& writers, const std::filesystem::path& file, int pages,
        const std::function<void()>& before_commit = [] {}) {
        auto database = sqlite::Database::open(file, &writers);
        EXPECT_TRUE(database->execute("CREATE TABLE t (x BLOB)"));
        auto insert = database->prepare("INSERT INTO t VALUES (zeroblob(4000))");
        EXPECT_TRUE(database->execute("BEGIN"));
        for (int i = 0; i < pages; ++i) EXPECT_TRUE(insert->run());
        before_commit();
        EXPECT_TRUE(database->execute("COMMIT"));
        return *std::move(database);
    }

    // What is there is what was acknowledged, and at most the one commit that failed.
    void expect_intact(const Outcome& before) const {
        sqlite::Writers writers(file_, log_pages);
        auto store = SqliteStore::open(file_, writers, limits);
        ASSERT_TRUE(store) << store.error().detail;
        const StoreModel found = read_all(**store, states().back().tiles);
        const auto acknowledged = static_cast<std::size_t>(before.acknowledged);
        const bool next = acknowledged + 1 < states().size() && found == states()[acknowledged + 1];
        EXPECT_TRUE(next || found == states()[acknowledged]);
        EXPECT_FALSE(next && before.failure.empty());
        // And it goes on from there.
        for (std::size_t i = acknowledged + (next ? 1 : 0); i < history().size(); ++i)
            (*store)->commit(history()[i]);
        EXPECT_EQ(read_all(**store, states().back().tiles), states().back());
    }

    std::filesystem::path folder_, file_;
    int files_ = 0;
};

struct Case {
    const char* name;
    DiskOperation operation;
    DiskAnswer answer;
};

class FaultAt : public FaultsTest, public testing::WithParamInterface<Case> {};

// At the first operation, the second, and so on until the run has no such operation any more; then the same,
// counted from the first commit on. Of the many of the migration every seventh.
TEST_P(FaultAt, LosesNothingAcknowledgedAndLeavesNothingHalf) {
    int opened = 0, refused = 0;
    for (const bool from_commits : {false, true}) {
        bool fired = true;
        for (std::uint64_t nth = 1; fired;
             nth += opened == 0 && GetParam().operation != DiskOperation::sync ? 7 : 1) {
            SCOPED_TRACE(fmt::format("{}{}", nth, from_commits ? " from the first commit on" : ""));
            ASSERT_LT(nth, 5000u);
            next_file();
            FaultyDisk disk(nth);
            const auto fault = [&] { disk.fail(GetParam().operation, nth, GetParam().answer); };
            if (!from_commits) fault();
            const Outcome done = from_commits ? run(disk, nth % 3 != 0, fault) : run(disk, nth % 3 != 0);
            fired = disk.has_failed();
            if (!fired) {
                EXPECT_EQ(done.acknowledged, commits) << done.failure;
                EXPECT_GE(done.copied, 2u);
            }
            if (done.opened) ++opened;
            if (!done.failure.empty()) ++refused;
            if (GetParam().operation == DiskOperation::sync || GetParam().answer == DiskAnswer::io) {
                EXPECT_EQ(done.acknowledged_later, 0)
                    << "written after the disk had failed: " << done.failure;
            }
            disk.cut_power();
            disk.power_returns(nth % 2 == 0 ? FaultyDisk::Unsynced::lost : FaultyDisk::Unsynced::random);
            expect_intact(done);
            if (HasFailure()) return;
        }
    }
    EXPECT_GT(opened, 2);
    EXPECT_GT(refused, GetParam().operation == DiskOperation::truncate ? 0 : 3);
}

INSTANTIATE_TEST_SUITE_P(Disk, FaultAt,
                         testing::Values(Case{"WriteFull", DiskOperation::write, DiskAnswer::full},
                                         Case{"WriteShort", DiskOperation::write, DiskAnswer::short_write},
                                         Case{"WriteIo", DiskOperation::write, DiskAnswer::io},
                                         Case{"SyncFull", DiskOperation::sync, DiskAnswer::full},
                                         Case{"SyncIo", DiskOperation::sync, DiskAnswer::io},
                                         Case{"TruncateIo", DiskOperation::truncate, DiskAnswer::io},
                                         Case{"PowerCutAtWrite", DiskOperation::write, DiskAnswer::power_cut},
                                         Case{"PowerCutAtSync", DiskOperation::sync, DiskAnswer::power_cut}),
                         [](const auto& one) { return one.param.name; });

TEST_F(FaultsTest, AFailedSyncStopsEveryLaterCommitAndReadsGoOn) {
    next_file();
    FaultyDisk disk(1);
    {
        sqlite::Writers writers(file_);
        auto store = SqliteStore::open(file_, writers, limits);
        std::string failure;
        ASSERT_TRUE(commit(**store, history()[0], failure));
        disk.fail(DiskOperation::sync, 1, DiskAnswer::io);
        EXPECT_FALSE(commit(**store, history()[1], failure));
        EXPECT_NE(failure.find("disk I/O error"), std::string::npos) << failure;
        EXPECT_NE(failure.find("kernel's log"), std::string::npos) << failure;
        EXPECT_NE(failure.find("restarted"), std::string::npos) << failure;
        for (int i = 0; i < 5; ++i) EXPECT_FALSE(commit(**store, history()[1], failure));
        EXPECT_EQ(read_all(**store, states()[1].tiles), states()[1]);
    }
    sqlite::Writers writers(file_);
    auto store = SqliteStore::open(file_, writers, limits);
    std::string failure;
    EXPECT_EQ((*store)->leaf_count(), states()[1].leaves.size());
    EXPECT_TRUE(commit(**store, history()[1], failure)) << failure;
}

TEST_F(FaultsTest, AFullDiskSaysWhatToDo) {
    next_file();
    FaultyDisk disk(1);
    sqlite::Writers writers(file_);
    auto store = SqliteStore::open(file_, writers, limits);
    disk.fail(DiskOperation::write, 1, DiskAnswer::full);
    std::string failure;
    EXPECT_FALSE(commit(**store, history()[0], failure));
    EXPECT_NE(failure.find("database or disk is full; free space"), std::string::npos) << failure;
}

// A commit's sync would wait for all that is on the way to the disk before it.
TEST_F(FaultsTest, TheLogGoesIntoTheFileAFewPagesAtOnce) {
    constexpr int pages = 2000;
    next_file();
    FaultyDisk disk(1);
    sqlite::Writers writers(file_, pages);
    const auto database = write_pages(writers, file_, pages);
    wait_for_copy(disk, writers);
    EXPECT_EQ(writers.copied(), 1u);
    EXPECT_GE(disk.most_unsynced(file_), 16u);
    EXPECT_LE(disk.most_unsynced(file_), 256u);
}

// Of what SQLite counts as copied some may be lost with a sync that failed: a log that began anew by it would
// be gone, too.
TEST_F(FaultsTest, NothingIsCopiedAfterASyncHasFailed) {
    constexpr int pages = 200;
    next_file();
    FaultyDisk disk(1);
    sqlite::Writers writers(file_, pages);
    // The first two are the commit's, and the copier's of the log.
    const auto database =
        write_pages(writers, file_, pages, [&] { disk.fail(DiskOperation::sync, 3, DiskAnswer::io); });
    ASSERT_TRUE(until(std::chrono::seconds(20), [&] { return writers.disk_failure().has_value(); }));
    int longer = pages;
    EXPECT_FALSE(until(std::chrono::milliseconds(300), [&] {
        writers.log_has(longer += pages);
        return writers.copied() > 0;
    }));
}

// The log is copied on a thread of its own: what its disk loses stops the commits, too.
TEST_F(FaultsTest, AFailedSyncOfTheFileItselfStopsTheCommits) {
    next_file();
    FaultyDisk disk(1);
    sqlite::Writers writers(file_, 4);
    auto store = SqliteStore::open(file_, writers, limits);
    std::string failure;
    ASSERT_TRUE(commit(**store, history()[0], failure));
    disk.fail_syncs_of(file_);
    StoreModel model = states()[1], next = model;
    std::mt19937_64 random(9);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    for (;;) {
        const Changes changes = random_changes(random, model, 10);
        next.apply(changes);
        if (!commit(**store, changes, failure)) break;
        model = next;
        ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    }
    EXPECT_NE(failure.find("copying the log"), std::string::npos) << failure;
    EXPECT_NE(writers.disk_failure(), std::nullopt);
    // Reads go on; the commit that was refused while the copier failed may be among what they see.
    EXPECT_TRUE(read_all(**store, next.tiles) == model || read_all(**store, next.tiles) == next);
    disk.cut_power();
    store = fail("closed");
}

}  // namespace
}  // namespace ee::ledger
