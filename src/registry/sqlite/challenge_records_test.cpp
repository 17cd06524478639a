// Through the store of evidence, whose transactions they are part of.

#include "registry/sqlite/challenge_records.h"

#include <filesystem>
#include <mutex>
#include <unistd.h>

#include <gtest/gtest.h>

#include "registry/sqlite/evidence_store.h"

namespace ee::registry {
namespace {

using namespace std::chrono_literals;

const WallTime day = std::chrono::sys_days(std::chrono::year{2026} / 6 / 1);

ByteArray<32> digest(unsigned number) {
    ByteArray<32> out{};
    out[0] = static_cast<std::uint8_t>(number);
    out[1] = static_cast<std::uint8_t>(number >> 8);
    return out;
}

struct ChallengeRecordsTest : testing::Test {
    ChallengeRecordsTest() {
        std::string name = (std::filesystem::temp_directory_path() / "ee-challenges-XXXXXX").string();
        folder = ::mkdtemp(name.data());
        open();
    }
    ~ChallengeRecordsTest() override {
        store.reset();
        std::filesystem::remove_all(folder);
    }
    void open() {
        store.reset();
        store =
            EvidenceStore::open(folder / "control.db", [](const Error& why) { ADD_FAILURE() << why.detail; },
                                {.gather_time = 0ms})
                .value();
        store->on_shared_key([this](const SharedKey& key) {
            const std::lock_guard guard(mutex);
            shared.push_back(key.first.node_id + " " + key.now.node_id);
        });
    }
    void keep(unsigned number, WallTime at, std::optional<unsigned> key = {}, std::string node = "n1") {
        EvidenceRecord record{.app_name = "myapp",
                              .id = "e" + std::to_string(number),
                              .agent = "agent",
                              .judged_at = at,
                              .json = "{}",
                              .contents = {}};
        record.challenge = ChallengeRecord{.report_data_sha256 = digest(number),
                                           .agent_id = "a" + std::to_string(number),
                                           .app_name = "myapp",
                                           .node_id = std::move(node),
                                           .at = at};
        if (key) record.challenge->agent_key = digest(*key);
        store->keep(std::move(record));
    }
    // "agent app node at", or "none".
    std::string found(unsigned number, WallTime now = day) {
        const auto record = store->find_challenge(digest(number), now).value();
        if (!record) return "none";
        return record->agent_id + " " + record->app_name + " " + record->node_id + " " +
               to_rfc3339(record->at);
    }
    std::int64_t count(const std::string& table) {
        static_cast<void>(found(0));  // What was kept is written now.
        auto database = sqlite::Database::open(folder / "control.db").value();
        auto statement = database.prepare("SELECT count(*) FROM " + table).value();
        EXPECT_TRUE(statement.step().value());
        return statement.number(0);
    }
    std::vector<std::string> told() {
        static_cast<void>(found(0));
        const std::lock_guard guard(mutex);
        return shared;
    }

    std::filesystem::path folder;
    std::unique_ptr<EvidenceStore> store;
    std::mutex mutex;
    std::vector<std::string> shared;
};

TEST_F(ChallengeRecordsTest, AreFoundByWhatTheyAskedForAlsoAfterARestart) {
    keep(1, day);
    keep(2, day + 1h, {}, "");
    for (int start = 0; start < 2; ++start) {
        EXPECT_EQ(found(1), "a1 myapp n1 2026-06-01T00:00:00Z");
        EXPECT_EQ(found(2, day + 1h), "a2 myapp  2026-06-01T01:00:00Z");
        EXPECT_EQ(found(3), "none");
        open();
    }
}

TEST_F(ChallengeRecordsTest, AreOnRecordForThirtyDays) {
    keep(1, day + 30min);
    EXPECT_NE(found(1, day + 30 * 24h + 30min), "none");
    EXPECT_EQ(found(1, day + 30 * 24h + 30min + 1ms), "none");
    EXPECT_NE(found(1, day), "none") << "a clock that was set back";
}

TEST_F(ChallengeRecordsTest, OldOnesAreDeletedInSteps) {
    for (unsigned number = 1; number <= 300; ++number) keep(number, day, number);
    ASSERT_EQ(count("challenges"), 300);
    ASSERT_EQ(count("agent_keys"), 300);
    const WallTime later = day + 31 * 24h;
    keep(301, later);
    EXPECT_EQ(count("challenges"), 301 - 66) << "one kept: twice that and 64";
    EXPECT_EQ(count("agent_keys"), 300 - 66);
    for (unsigned number = 302; number <= 320; ++number) {
        keep(number, later);
        static_cast<void>(found(0));  // A transaction each.
    }
    EXPECT_EQ(count("challenges"), 20);
    EXPECT_EQ(count("agent_keys"), 0);
    EXPECT_NE(found(301, later), "none");
}

TEST_F(ChallengeRecordsTest, AKeyOfTwoNodesIsToldOfEachTime) {
    keep(1, day, 7, "n1");
    keep(2, day + 1s, 7, "n1");
    keep(3, day + 2s, 8, "n2");
    keep(4, day + 3s, 7, "");  // of no node
    keep(5, day + 4s, {}, "n2");
    EXPECT_TRUE(told().empty());
    open();
    keep(6, day + 5s, 7, "n2");
    EXPECT_EQ(told(), (std::vector<std::string>{"n1 n2"}));
    keep(7, day + 6s, 7, "n2");
    EXPECT_EQ(told(), (std::vector<std::string>{"n1 n2", "n1 n2"})) << "the first stays on record";
    keep(8, day + 7s, 7, "n1");
    EXPECT_EQ(told().size(), 2u);
    store->on_shared_key({});
    keep(9, day + 8s, 7, "n2");
    EXPECT_EQ(told().size(), 2u);
}

TEST_F(ChallengeRecordsTest, AKeyIsOnRecordForThirtyDaysAfterItWasUsedLast) {
    keep(1, day, 7, "n1");
    keep(2, day + 20 * 24h, 7, "n1");
    keep(3, day + 40 * 24h, 7, "n2");
    EXPECT_EQ(told().size(), 1u);
    keep(4, day + 51 * 24h, 7, "n2");
    EXPECT_EQ(told().size(), 1u) << "forgotten by then";
}

}  // namespace
}  // namespace ee::registry
