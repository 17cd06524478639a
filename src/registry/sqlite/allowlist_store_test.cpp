#include "registry/sqlite/allowlist_store.h"

#include <atomic>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include "registry/sqlite/registration_store.h"

namespace ee::registry {
namespace {

class AllowlistStoreTest : public testing::Test {
protected:
    AllowlistStoreTest() {
        std::string pattern = (std::filesystem::temp_directory_path() / "allowlists.XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
    }
    ~AllowlistStoreTest() override { std::filesystem::remove_all(folder_); }

    std::filesystem::path file() const { return folder_ / "control-plane.db"; }
    std::unique_ptr<AllowlistStore> open() const {
        auto store = AllowlistStore::open(file());
        EXPECT_TRUE(store) << (store ? "" : store.error().detail);
        return std::move(store.value());
    }

    std::filesystem::path folder_;
};

AllowlistRecord record(const std::string& tag) {
    return {.repo = "org/repo'; DROP TABLE allowlists;--",
            .tag = tag,
            .accepted_asset = R"({"version":"1.0"})",
            .published_asset = std::string("\0\xff any bytes \x80", 14),
            .release_etag = "W/\"r\"",
            .asset_etag = "\"a\"",
            .asset_url = "https://api.github.com/a",
            .checked_at = WallTime{std::chrono::milliseconds{1768473000123}}};
}

TEST_F(AllowlistStoreTest, WhatWasSavedSurvivesARestart) {
    AllowlistRecord unchanged = record("b");
    unchanged.published_asset.reset();
    {
        const auto store = open();
        EXPECT_TRUE(store->load_all()->empty());
        EXPECT_TRUE(store->save(record("a")));
        EXPECT_TRUE(store->save(unchanged));
    }
    EXPECT_EQ(open()->load_all().value(), (std::vector{record("a"), unchanged}));
}

TEST_F(AllowlistStoreTest, TheLastSaveOfAReleaseStandsAndWhatIsForgottenIsGone) {
    const auto store = open();
    AllowlistRecord changed = record("a");
    EXPECT_TRUE(store->save(changed));
    EXPECT_TRUE(store->save(record("gone")));
    changed.accepted_asset = "another";
    changed.published_asset.reset();
    EXPECT_TRUE(store->save(changed));
    EXPECT_TRUE(store->forget(record("gone").repo, "gone", "5a"));
    EXPECT_TRUE(store->forget("org/never", "v1", "5b"));
    EXPECT_EQ(store->load_all().value(), std::vector{changed});
}

TEST_F(AllowlistStoreTest, WhichAssetWasAcceptedIsNeverForgotten) {
    const std::string repo = record("a").repo;
    const auto accepted = [&](AllowlistStore& store) {
        const auto found = store.accepted(repo, "a").value();
        return found ? found->asset + "|" + found->sha256 : "none";
    };
    {
        const auto store = open();
        EXPECT_EQ(accepted(*store), "none");
        EXPECT_TRUE(store->save(record("a")));
        EXPECT_EQ(accepted(*store), record("a").accepted_asset + "|");
        EXPECT_TRUE(store->forget(repo, "a", "5a"));
        EXPECT_TRUE(store->load_all()->empty());
    }
    const auto store = open();
    EXPECT_EQ(accepted(*store), "|5a");
    // Accepted anew: the bytes count, and when they are forgotten, their digest.
    EXPECT_TRUE(store->save(record("a")));
    EXPECT_EQ(accepted(*store), record("a").accepted_asset + "|");
    EXPECT_TRUE(store->forget(repo, "a", "5b"));
    EXPECT_EQ(accepted(*store), "|5b");
}

TEST_F(AllowlistStoreTest, TheLatestCheckedComesFirst) {
    const auto store = open();
    AllowlistRecord later = record("z");
    later.checked_at += std::chrono::seconds(1);
    EXPECT_TRUE(store->save(record("a")));
    EXPECT_TRUE(store->save(later));
    EXPECT_EQ(store->load_all()->front().tag, "z");
}

// Two connections of one process write one file: each waits for the other, and neither loses anything.
TEST_F(AllowlistStoreTest, WritesBesideTheRegistrations) {
    auto registrations = RegistrationStore::open(file()).value();
    const auto allowlists = open();
    std::atomic<int> registered = 0;
    std::thread other([&] {
        for (int i = 0; i < 200; ++i) {
            AppRecord app{.app_name = fmt::format("app-{}", i),
                          .repo = "org/repo",
                          .network = "forge-1",
                          .release_tag = "v1"};
            registrations->save(app, [&](const Result<void>& result) { registered += result ? 1 : 0; });
        }
    });
    for (int i = 0; i < 200; ++i) {
        const auto saved = allowlists->save(record(fmt::format("v{}", i)));
        ASSERT_TRUE(saved) << saved.error().detail;
    }
    other.join();
    registrations.reset();
    EXPECT_EQ(registered, 200);
    EXPECT_EQ(allowlists->load_all()->size(), 200u);
    EXPECT_EQ(RegistrationStore::open(file()).value()->load_all()->size(), 200u);
}

TEST_F(AllowlistStoreTest, ANewerSchemaIsRefused) {
    open().reset();
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(file().c_str(), &database), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(database, "UPDATE schema_versions SET version = 99 WHERE component = 'allowlists'",
                           nullptr, nullptr, nullptr),
              SQLITE_OK);
    sqlite3_close(database);
    const auto store = AllowlistStore::open(file());
    ASSERT_FALSE(store);
    EXPECT_EQ(store.error().code, "store_schema_newer");
}

TEST_F(AllowlistStoreTest, AFailedWriteIsSaidAndTheNextOneSucceeds) {
    const auto store = open();
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(file().c_str(), &database), SQLITE_OK);
    EXPECT_EQ(
        sqlite3_exec(database,
                     "CREATE TRIGGER full BEFORE INSERT ON allowlists WHEN NEW.tag = 'bad' BEGIN SELECT "
                     "RAISE(ABORT, 'disk full'); END",
                     nullptr, nullptr, nullptr),
        SQLITE_OK);
    sqlite3_close(database);
    const auto refused = store->save(record("bad"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "store_unavailable");
    EXPECT_TRUE(store->save(record("good")));
    EXPECT_EQ(store->load_all()->size(), 1u);
}

}  // namespace
}  // namespace ee::registry
