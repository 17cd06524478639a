#include "registry/sqlite/registration_store.h"

#include <csignal>
#include <fstream>
#include <future>
#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "sqlite/database.h"

namespace ee::registry {
namespace {

class RegistrationStoreTest : public testing::Test {
protected:
    RegistrationStoreTest() {
        std::string pattern = (std::filesystem::temp_directory_path() / "registrations.XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
    }
    ~RegistrationStoreTest() override { std::filesystem::remove_all(folder_); }

    std::filesystem::path file() const { return folder_ / "data" / "deep" / "control-plane.db"; }
    std::unique_ptr<RegistrationStore> open() const {
        auto store = RegistrationStore::open(file());
        EXPECT_TRUE(store) << (store ? "" : store.error().detail);
        return std::move(store.value());
    }
    void run_sql(const std::string& sql) const {
        sqlite3* database = nullptr;
        ASSERT_EQ(sqlite3_open(file().c_str(), &database), SQLITE_OK);
        EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
            << sqlite3_errmsg(database);
        sqlite3_close(database);
    }

    std::filesystem::path folder_;
};

AppRecord record(const std::string& name) {
    return {.app_name = name,
            .repo = "org/" + name,
            .network = "forge-1",
            .release_tag = "v1 '; DROP TABLE registrations;--",
            .created_at = WallTime{std::chrono::milliseconds{1768473000123}},
            .expires_at = WallTime{std::chrono::milliseconds{1771065000456}},
            .last_attest = WallTime{std::chrono::milliseconds{1768473000124}},
            .sealed = true};
}

Result<void> wait_for_save(RegistrationStore& store, const AppRecord& saved) {
    std::promise<Result<void>> done;
    store.save(saved, [&](const Result<void>& result) { done.set_value(result); });
    return done.get_future().get();
}

TEST_F(RegistrationStoreTest, RegistrationsSurviveARestart) {
    AppRecord never_attested = record("b");
    never_attested.last_attest.reset();
    never_attested.sealed = false;
    {
        const auto store = open();
        EXPECT_TRUE(store->load_all()->empty());
        EXPECT_TRUE(wait_for_save(*store, record("a")));
        EXPECT_TRUE(wait_for_save(*store, never_attested));
    }
    EXPECT_EQ(open()->load_all().value(), (std::vector{record("a"), never_attested}));
}

TEST_F(RegistrationStoreTest, WhatTheOwnerSaidOfAnAppSurvivesARestart) {
    AppRecord whole = record("whole"), nobody = record("nobody"), changed = record("changed");
    whole.made_by_admin = true;
    whole.billing_account = "alice";
    whole.token = ByteArray<32>{1, 2, 0, 255};
    whole.nodes = {"n1", "n2:x"};
    whole.rollout = {{"v0.1.3", 90}, {"a tag of words ", 0}, {"7 up", 4294967295}};
    nobody.nodes.emplace();
    {
        const auto store = open();
        AppRecord before = whole;
        before.app_name = "changed";
        store->save(whole);
        store->save(nobody);
        EXPECT_TRUE(wait_for_save(*store, before));
        EXPECT_TRUE(wait_for_save(*store, changed));
    }
    EXPECT_EQ(open()->load_all().value(), (std::vector{changed, nobody, whole}));
}

TEST_F(RegistrationStoreTest, RegistrationsOfTheFirstSchemaAreTaken) {
    open().reset();
    run_sql(
        "DROP TABLE registrations; DROP TABLE registration_answers;"
        "CREATE TABLE registrations (app_name TEXT PRIMARY KEY, repo TEXT NOT NULL, network TEXT NOT NULL, "
        "release_tag TEXT NOT NULL, created_at_ms INTEGER NOT NULL, expires_at_ms INTEGER NOT NULL, "
        "last_attest_ms INTEGER, sealed INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
        "UPDATE schema_versions SET version = 1 WHERE component = 'registry';"
        "INSERT INTO registrations VALUES ('a', 'org/a', 'forge-1', 'v1', 5, 6, NULL, 0)");
    const AppRecord old{.app_name = "a",
                        .repo = "org/a",
                        .network = "forge-1",
                        .release_tag = "v1",
                        .created_at = WallTime{std::chrono::milliseconds{5}},
                        .expires_at = WallTime{std::chrono::milliseconds{6}}};
    EXPECT_EQ(open()->load_all().value(), std::vector{old});
    AppRecord owned = old;
    owned.nodes = {"n1"};
    EXPECT_TRUE(wait_for_save(*open(), owned));
    EXPECT_EQ(open()->load_all().value(), std::vector{owned});
}

TEST_F(RegistrationStoreTest, WhatItHasNotWrittenIsRefused) {
    struct Case {
        const char* column;
        const char* value;
    };
    const Case cases[] = {{"token_sha256", "x'0102'"},    {"rollout", "'90'"},     {"rollout", "'90 '"},
                          {"rollout", "'v1 90'"},         {"rollout", "'-1 v1'"},  {"rollout", "' v1'"},
                          {"rollout", "'4294967296 v1'"}, {"rollout", "'90\tv1'"}, {"rollout", "'1 v1\n\n'"}};
    EXPECT_TRUE(wait_for_save(*open(), record("a")));
    for (const Case& broken : cases) {
        run_sql(
            fmt::format("UPDATE registrations SET rollout = '', token_sha256 = NULL;"
                        "UPDATE registrations SET {} = {}",
                        broken.column, broken.value));
        const auto records = open()->load_all();
        ASSERT_FALSE(records) << broken.value;
        EXPECT_EQ(records.error().code, "store_unavailable");
    }
}

TEST_F(RegistrationStoreTest, AnAnsweredSaveSurvivesAKill) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        auto store = RegistrationStore::open(file());
        if (!store || !wait_for_save(**store, record("kept"))) ::_exit(1);
        ::kill(::getpid(), SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    EXPECT_EQ(open()->load_all().value(), std::vector{record("kept")});
}

TEST_F(RegistrationStoreTest, AnAnswerIsKeptWithItsChangeOrNotAtAll) {
    const auto find = [](RegistrationStore& store, const std::string& key) {
        std::promise<std::optional<KeptAnswer>> done;
        store.find_answer(key, [&](const auto& found) { done.set_value(found.value()); });
        return done.get_future().get();
    };
    const KeptAnswer first{.key = "k1", .status = 201, .body = R"({"a":"'"})"};
    const KeptAnswer second{.key = "k2", .status = 200, .body = "{}"};
    {
        const auto store = open();
        EXPECT_EQ(find(*store, "k1"), std::nullopt);
        // Of one app within one write: both answers are kept, and whoever asks next finds them.
        store->save(record("a"), {}, first);
        store->save(record("a"), {}, second);
        EXPECT_EQ(find(*store, "k1"), first);
        store->save(record("a"), {}, KeptAnswer{.key = "k1", .status = 500, .body = "another"});
        store->remove("a");
        EXPECT_EQ(find(*store, "k1"), first) << "also once the app is gone";
    }
    run_sql(
        "CREATE TRIGGER full BEFORE INSERT ON registrations WHEN NEW.app_name = 'bad' BEGIN SELECT "
        "RAISE(ABORT, 'disk full'); END");
    const auto store = open();
    EXPECT_EQ(find(*store, "k2"), second);
    store->save(record("bad"), {}, KeptAnswer{.key = "k3"});
    EXPECT_EQ(find(*store, "k3"), std::nullopt);
}

TEST_F(RegistrationStoreTest, TheLastSaveOfAnAppStandsAndRemovalsRemove) {
    {
        const auto store = open();
        AppRecord changed = record("a");
        store->save(changed);
        store->save(record("gone"));
        changed.repo = "org/other";
        store->save(changed);
        store->remove("gone");
        store->remove("never");
    }
    const auto records = open()->load_all().value();
    ASSERT_EQ(records.size(), 1u);
    EXPECT_EQ(records[0].repo, "org/other");
}

TEST_F(RegistrationStoreTest, OnlyTheLastOfAnAppsWaitingSavesIsWritten) {
    std::atomic<int> good = 0;
    {
        const auto store = open();
        run_sql(
            "CREATE TABLE writes (app_name TEXT);"
            "CREATE TRIGGER inserted AFTER INSERT ON registrations BEGIN "
            "INSERT INTO writes VALUES (NEW.app_name); END;"
            "CREATE TRIGGER updated AFTER UPDATE ON registrations BEGIN "
            "INSERT INTO writes VALUES (NEW.app_name); END;");
        for (int i = 0; i < 500; ++i) {
            AppRecord changed = record("a");
            changed.repo = fmt::format("org/{}", i);
            store->save_soon(changed, [&](const Result<void>& result) { good += result ? 1 : 0; });
        }
        EXPECT_TRUE(wait_for_save(*store, record("b")));
    }
    EXPECT_EQ(good, 500);
    const auto records = open()->load_all().value();
    ASSERT_EQ(records.size(), 2u);
    EXPECT_EQ(records[0].repo, "org/499");
    auto database = sqlite::Database::open(file()).value();
    auto count = database.prepare("SELECT count(*) FROM writes WHERE app_name = 'a'").value();
    ASSERT_TRUE(count.step().value());
    EXPECT_LT(count.number(0), 100) << "of 500 saves within a moment";
}

TEST_F(RegistrationStoreTest, EverySaveIsAnsweredOnceAndWaitingOnesAreWrittenAtTheEnd) {
    std::atomic<int> good = 0;
    {
        const auto store = open();
        for (int i = 0; i < 500; ++i)
            store->save(record(fmt::format("app-{}", i)),
                        [&](const Result<void>& result) { good += result ? 1 : 0; });
    }
    EXPECT_EQ(good, 500);
    EXPECT_EQ(open()->load_all()->size(), 500u);
}

TEST_F(RegistrationStoreTest, ASecondServerIsRefused) {
    const auto first = open();
    const auto second = RegistrationStore::open(file());
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, "store_locked");
    EXPECT_NE(second.error().detail.find(std::to_string(::getpid())), std::string::npos)
        << second.error().detail;
    EXPECT_TRUE(wait_for_save(*first, record("a")));
}

TEST_F(RegistrationStoreTest, TheLockEndsWithItsHolder) {
    open().reset();
    EXPECT_TRUE(RegistrationStore::open(file()));
}

TEST_F(RegistrationStoreTest, ANewerSchemaIsRefusedAndLeftAlone) {
    open().reset();
    run_sql("UPDATE schema_versions SET version = 99 WHERE component = 'registry'");
    for (int i = 0; i < 2; ++i) {
        const auto store = RegistrationStore::open(file());
        ASSERT_FALSE(store);
        EXPECT_EQ(store.error().code, "store_schema_newer");
    }
}

TEST_F(RegistrationStoreTest, OtherComponentsOfTheFileAreLeftAlone) {
    open().reset();
    run_sql(
        "INSERT INTO schema_versions VALUES ('other', 99); CREATE TABLE other (x); INSERT INTO other VALUES "
        "(1)");
    EXPECT_TRUE(wait_for_save(*open(), record("a")));
    run_sql("INSERT INTO other VALUES (2)");
}

TEST_F(RegistrationStoreTest, OnlyTheOwnerMayReadIt) {
    const auto store = open();
    struct stat status{};
    ASSERT_EQ(::stat(file().parent_path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0700u);
    ASSERT_EQ(::stat(file().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0077, 0u);
}

TEST_F(RegistrationStoreTest, WhatIsNoDatabaseIsRefused) {
    std::filesystem::create_directories(file().parent_path());
    std::ofstream(file()) << std::string(8192, 'x');
    const auto store = RegistrationStore::open(file());
    ASSERT_FALSE(store);
    EXPECT_EQ(store.error().code, "store_unavailable");
    EXPECT_EQ(RegistrationStore::open("/dev/null/x/y.db").error().code, "store_unavailable");
}

TEST_F(RegistrationStoreTest, AFailedWriteIsSaidAndTheNextOneSucceeds) {
    const auto store = open();
    run_sql(
        "CREATE TRIGGER full BEFORE INSERT ON registrations WHEN NEW.app_name = 'bad' BEGIN SELECT "
        "RAISE(ABORT, 'disk full'); END");
    const auto refused = wait_for_save(*store, record("bad"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "store_unavailable");
    EXPECT_NE(refused.error().detail.find("disk full"), std::string::npos);
    EXPECT_TRUE(wait_for_save(*store, record("good")));
    EXPECT_EQ(store->load_all().value(), std::vector{record("good")});
}

}  // namespace
}  // namespace ee::registry
