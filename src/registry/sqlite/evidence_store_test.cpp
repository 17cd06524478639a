#include "registry/sqlite/evidence_store.h"

#include <atomic>
#include <filesystem>
#include <unistd.h>

#include <gtest/gtest.h>

namespace ee::registry {
namespace {

using namespace std::chrono_literals;

const WallTime day = std::chrono::sys_days(std::chrono::year{2026} / 6 / 1);

SharedContent content(const std::string& sha256, const std::string& text,
                      const std::string& kind = "tcb_info") {
    const auto owner = std::make_shared<const std::string>(text);
    return {sha256, kind, as_bytes(*owner), owner};
}

EvidenceRecord record(const std::string& id, const std::string& agent, WallTime judged_at,
                      std::vector<SharedContent> contents = {}) {
    return {.app_name = "myapp",
            .id = id,
            .agent = agent,
            .judged_at = judged_at,
            .json = "{\"id\":\"" + id + "\"}",
            .contents = std::move(contents)};
}

struct EvidenceStoreTest : testing::Test {
    EvidenceStoreTest() {
        std::string name = (std::filesystem::temp_directory_path() / "ee-evidence-XXXXXX").string();
        folder = ::mkdtemp(name.data());
    }
    ~EvidenceStoreTest() override { std::filesystem::remove_all(folder); }

    std::filesystem::path file() const { return folder / "control.db"; }
    std::unique_ptr<EvidenceStore> open(const EvidenceLimits& limits = {}) {
        return EvidenceStore::open(file(), [this](const Error&) { ++failures; }, limits).value();
    }
    static std::string found(const EvidenceStore& store, const std::string& id, WallTime now = day) {
        const auto answer = store.find("myapp", id, now).value();
        return answer ? answer->json : "none";
    }
    static std::string newest(const EvidenceStore& store, const std::string& agent) {
        const auto answer = store.newest("myapp", agent).value();
        return answer ? answer->json : "none";
    }
    static bool has_content(const EvidenceStore& store, const std::string& sha256) {
        return store.content(sha256).value().has_value();
    }
    std::int64_t count(const char* table) {
        auto database = sqlite::Database::open(file()).value();
        auto statement = database.prepare(std::string("SELECT count(*) FROM ") + table).value();
        EXPECT_TRUE(statement.step().value());
        return statement.number(0);
    }

    std::filesystem::path folder;
    std::atomic<int> failures = 0;
};

TEST_F(EvidenceStoreTest, WhatWasKeptIsFoundAtOnceByIdAndByAgent) {
    const auto store = open();
    store->keep(record("e1", "agent-1", day));
    store->keep(record("e2", "agent-1", day + 1h));
    store->keep(record("e3", "agent-2", day + 2h));
    EXPECT_EQ(found(*store, "e1"), "{\"id\":\"e1\"}");
    EXPECT_EQ(newest(*store, "agent-1"), "{\"id\":\"e2\"}");
    EXPECT_EQ(newest(*store, "agent-2"), "{\"id\":\"e3\"}");
    EXPECT_EQ(newest(*store, "agent-3"), "none");
    EXPECT_EQ(found(*store, "e4"), "none");
    EXPECT_FALSE(store->find("other", "e1", day).value());
    EXPECT_EQ(failures, 0);
}

TEST_F(EvidenceStoreTest, RecordsWaitForOthersUnlessSomebodyReads) {
    const EvidenceLimits limits{.gather_time = 1h};
    {
        const auto store = open(limits);
        for (const char* id : {"e1", "e2", "e3"}) store->keep(record(id, "agent-1", day));
        EXPECT_EQ(count("evidence"), 0);
        EXPECT_EQ(found(*store, "e2"), "{\"id\":\"e2\"}");
        EXPECT_EQ(count("evidence"), 3);
        store->keep(record("e4", "agent-1", day));
    }
    EXPECT_EQ(count("evidence"), 4) << "the end waits for no more";
}

TEST_F(EvidenceStoreTest, EvidenceSurvivesARestart) {
    open()->keep(record("e1", "agent-1", day, {content("aa", "text")}));
    const auto store = open();
    EXPECT_EQ(found(*store, "e1"), "{\"id\":\"e1\"}");
    const auto kept = store->content("aa").value();
    ASSERT_TRUE(kept);
    EXPECT_EQ(as_text(kept->bytes), "text");
    EXPECT_EQ(kept->kind, "tcb_info");
}

TEST_F(EvidenceStoreTest, AContentIsKeptOnceHoweverManyReferToIt) {
    {
        const auto store = open();
        for (int i = 0; i < 20; ++i)
            store->keep(record("e" + std::to_string(i), "agent-1", day,
                               {content("aa", "collateral"), content("bb", "{}", "allowlist")}));
    }
    open()->keep(record("later", "agent-2", day, {content("aa", "collateral")}));
    EXPECT_EQ(count("evidence_contents"), 2);
    EXPECT_EQ(count("evidence_refers"), 3) << "20 share the references of the first";
    const auto store = open();
    const auto contents = store->references_of(store->find("myapp", "e7", day).value()->seq).value();
    ASSERT_EQ(contents.size(), 2u);
    EXPECT_EQ(contents[0].sha256 + contents[1].sha256, "aabb");
}

TEST_F(EvidenceStoreTest, ASecondRecordUnderAnIdReplacesTheFirstAndItsReferences) {
    const auto store = open();
    store->keep(record("e1", "agent-1", day, {content("aa", "old")}));
    store->keep(record("e1", "agent-1", day + 1min, {content("bb", "new")}));
    const auto contents = store->references_of(store->find("myapp", "e1", day).value()->seq).value();
    ASSERT_EQ(contents.size(), 1u);
    EXPECT_EQ(contents[0].sha256, "bb");
    EXPECT_EQ(count("evidence"), 1);
}

TEST_F(EvidenceStoreTest, ReferencesOutliveTheRecordThatHadThemFirst) {
    const auto references = [](const EvidenceStore& store, const std::string& id, WallTime now) {
        const auto names = store.references_of(store.find("myapp", id, now).value()->seq).value();
        std::string all;
        for (const ContentName& name : names) all += name.sha256;
        return all;
    };
    const std::vector<SharedContent> contents = {content("aa", "collateral"), content("bb", "{}", "policy")};
    {
        const auto store = open();
        store->keep(record("first", "agent-1", day, contents));
        store->keep(record("second", "agent-2", day, contents));
        store->keep(record("first", "agent-1", day, {content("cc", "other")}));
        store->keep(record("third", "agent-3", day, contents));
        EXPECT_EQ(references(*store, "first", day), "cc");
        EXPECT_EQ(references(*store, "second", day), "aabb");
        EXPECT_EQ(references(*store, "third", day), "aabb");
        store->keep(record("later", "agent-2", day + 25h));
        EXPECT_EQ(references(*store, "third", day + 1h), "aabb") << "of agent-2's old record";
    }
    const auto store = open();
    store->keep(record("much later", "agent-3", day + 50h));
    EXPECT_FALSE(has_content(*store, "aa")) << "nothing refers to it any more";
    EXPECT_FALSE(has_content(*store, "bb"));
    EXPECT_TRUE(has_content(*store, "cc")) << "the newest of agent-1";
}

// The first version of the tables had references of its own for each record.
TEST_F(EvidenceStoreTest, RecordsOfTheFirstSchemaKeepTheirReferences) {
    {
        auto database = sqlite::Database::open(file()).value();
        ASSERT_TRUE(database.execute(
            "CREATE TABLE schema_versions (component TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT;"
            "INSERT INTO schema_versions VALUES ('evidence', 1);"
            "CREATE TABLE evidence (seq INTEGER PRIMARY KEY, app_name TEXT NOT NULL, id TEXT NOT NULL, "
            "agent TEXT NOT NULL, judged_at_ms INTEGER NOT NULL, bytes INTEGER NOT NULL, record TEXT NOT "
            "NULL, "
            "UNIQUE (app_name, id)) STRICT;"
            "CREATE TABLE evidence_contents (content INTEGER PRIMARY KEY, sha256 TEXT NOT NULL UNIQUE, "
            "kind TEXT NOT NULL, bytes BLOB NOT NULL) STRICT;"
            "CREATE TABLE evidence_refers (evidence INTEGER NOT NULL, content INTEGER NOT NULL, "
            "PRIMARY KEY (evidence, content)) STRICT, WITHOUT ROWID;"
            "CREATE TRIGGER evidence_deleted AFTER DELETE ON evidence BEGIN "
            "DELETE FROM evidence_refers WHERE evidence = OLD.seq; END;"
            "INSERT INTO evidence VALUES (7, 'myapp', 'e1', 'agent-1', 1780272000000, 2, '{}');"
            "INSERT INTO evidence_contents VALUES (3, 'aa', 'tcb_info', x'00');"
            "INSERT INTO evidence_refers VALUES (7, 3);"));
    }
    const auto store = open();
    const auto contents = store->references_of(store->find("myapp", "e1", day).value()->seq).value();
    ASSERT_EQ(contents.size(), 1u);
    EXPECT_EQ(contents[0].sha256, "aa");
    store->keep(record("e2", "agent-1", day, {content("aa", "text")}));
    EXPECT_EQ(store->references_of(store->find("myapp", "e2", day).value()->seq).value().size(), 1u);
    store->keep(record("e3", "agent-1", day + 25h));
    EXPECT_EQ(newest(*store, "agent-1"), "{\"id\":\"e3\"}");
    EXPECT_EQ(count("evidence_refers"), 0);
}

TEST_F(EvidenceStoreTest, AfterADayOnlyTheNewestOfAnAgentIsKept) {
    const auto store = open();
    store->keep(record("old", "agent-1", day, {content("aa", "old")}));
    store->keep(record("newest", "agent-1", day + 1h, {content("bb", "both")}));
    store->keep(record("alone", "agent-2", day, {content("cc", "alone")}));
    EXPECT_EQ(found(*store, "old", day + 24h), "{\"id\":\"old\"}");
    EXPECT_EQ(found(*store, "old", day + 24h + 1ms), "none");
    store->keep(record("now", "agent-3", day + 26h, {content("bb", "both")}));
    EXPECT_EQ(newest(*store, "agent-1"), "{\"id\":\"newest\"}");
    EXPECT_EQ(newest(*store, "agent-2"), "{\"id\":\"alone\"}");
    EXPECT_EQ(count("evidence"), 3);
    EXPECT_FALSE(has_content(*store, "aa")) << "nothing refers to it any more";
    EXPECT_TRUE(has_content(*store, "bb"));
    EXPECT_TRUE(has_content(*store, "cc"));
}

TEST_F(EvidenceStoreTest, ADeletedContentComesBackWhenItIsReferredToAgain) {
    const auto store = open();
    store->keep(record("e1", "agent-1", day, {content("aa", "text")}));
    store->keep(record("e2", "agent-1", day + 25h));
    EXPECT_FALSE(has_content(*store, "aa"));
    store->keep(record("e3", "agent-1", day + 26h, {content("aa", "text")}));
    EXPECT_TRUE(has_content(*store, "aa"));
}

TEST_F(EvidenceStoreTest, AnAgentThatStaysAwayIsForgottenAfterAMonth) {
    const auto store = open();
    store->keep(record("gone", "agent-1", day));
    store->keep(record("now", "agent-2", day + std::chrono::days(30) + 1ms));
    EXPECT_EQ(newest(*store, "agent-1"), "none");
    EXPECT_EQ(newest(*store, "agent-2"), "{\"id\":\"now\"}");
}

TEST_F(EvidenceStoreTest, BeyondItsSizeTheOldestGo) {
    const auto store = open({.bytes_max = 50});  // A record has 11 bytes.
    for (int i = 0; i < 9; ++i)
        store->keep(record("e" + std::to_string(i), "agent-" + std::to_string(i), day + i * 1s));
    store->keep(record("e9", "agent-9", day + 2min));
    EXPECT_EQ(newest(*store, "agent-9"), "{\"id\":\"e9\"}");
    EXPECT_LE(count("evidence"), 5);
    EXPECT_EQ(newest(*store, "agent-8"), "{\"id\":\"e8\"}");
    EXPECT_EQ(newest(*store, "agent-0"), "none");
}

TEST_F(EvidenceStoreTest, AClockThatWasSetBackDoesNotStopThePruning) {
    const auto store = open({.bytes_max = 50});  // A record has 11 bytes.
    store->keep(record("e0", "agent-0", day + std::chrono::days(300)));
    EXPECT_NE(newest(*store, "agent-0"), "none");
    for (int i = 1; i < 9; ++i) {
        store->keep(record("e" + std::to_string(i), "agent-" + std::to_string(i), day + i * 2min));
        EXPECT_NE(newest(*store, "agent-" + std::to_string(i)), "none");
    }
    EXPECT_LE(count("evidence"), 4);
}

TEST_F(EvidenceStoreTest, AFailedWriteIsSaidAndTheNextOneSucceeds) {
    const auto store = open();
    store->keep(record("before", "agent-1", day, {content("aa", "text")}));
    EXPECT_EQ(found(*store, "before"), "{\"id\":\"before\"}");
    auto other = sqlite::Database::open(file()).value();
    ASSERT_TRUE(
        other.execute("CREATE TRIGGER full BEFORE INSERT ON evidence WHEN NEW.id = 'bad' BEGIN SELECT "
                      "RAISE(ABORT, 'disk full'); END"));
    store->keep(record("bad", "agent-1", day, {content("bb", "lost")}));
    EXPECT_EQ(found(*store, "bad"), "none");
    EXPECT_EQ(failures, 1);
    store->keep(record("good", "agent-1", day, {content("bb", "lost")}));
    EXPECT_EQ(found(*store, "good"), "{\"id\":\"good\"}");
    EXPECT_TRUE(has_content(*store, "bb"));
}

TEST_F(EvidenceStoreTest, ANewerSchemaIsRefused) {
    open();
    auto database = sqlite::Database::open(file()).value();
    ASSERT_TRUE(database.execute("UPDATE schema_versions SET version = 99 WHERE component = 'evidence'"));
    const auto store = EvidenceStore::open(file(), [](const Error&) {});
    ASSERT_FALSE(store);
    EXPECT_EQ(store.error().code, "store_schema_newer");
}

}  // namespace
}  // namespace ee::registry
