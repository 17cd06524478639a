#include "cli/restore_command.h"

#include <gtest/gtest.h>

#include "cli/eectl_run.h"
#include "ledger/forks.h"
#include "ledger/ledger_worker.h"
#include "ledger/sqlite/sqlite_store.h"
#include "sqlite/database.h"
#include "sqlite/file_lock.h"

namespace ee::cli {
namespace {

bool says(const std::string& text, std::string_view word) {
    return text.find(word) != std::string::npos;
}

class RestoreTest : public testing::Test {
protected:
    // A control plane's start and end.
    void start_once() const {
        sqlite::Writers writers(file);
        auto store = ledger::SqliteStore::open(file, writers);
        ASSERT_TRUE(store) << store.error().detail;
        ledger::LedgerWorker::Settings settings;
        settings.if_new = {.log_id = std::string(32, 'a'), .salt_secret = {7}};
        settings.clock = [] { return ledger::from_us(1'767'963'600'000'000); };
        const auto worker = ledger::LedgerWorker::start(
            *std::move(store),
            [](const auto&, const auto&) -> Result<ledger::LogKey> {
                return ledger::LogKey{.key = crypto::SigningKey::generate(crypto::KeyKind::ed25519)};
            },
            std::move(settings));
        ASSERT_TRUE(worker) << worker.error().detail;
    }
    template <class Look>
    void look(Look&& at) const {
        sqlite::Writers writers(file);
        const auto store = ledger::SqliteStore::open(file, writers);
        ASSERT_TRUE(store) << store.error().detail;
        at(**store);
    }

    TemporaryFolder folder;
    std::string file = folder.file("control-plane.db");
};

TEST_F(RestoreTest, TheNextStartSaysInTheLogWhatWasLost) {
    start_once();
    const EectlRun done = eectl({"restore", "--accept-loss", file, "--size", "40"});
    ASSERT_EQ(done.code, exit_good) << done.err;
    EXPECT_TRUE(says(done.out, "2 entries are kept; up to 38 after them are lost"));
    look([](const ledger::Store& store) {
        EXPECT_EQ(store.leaf_count(), 2u);
        EXPECT_TRUE(ledger::loss_to_log(store));
    });
    start_once();
    look([](const ledger::Store& store) {
        const auto leaf = ledger::decode_leaf(as_bytes(store.leaf(3).value()));
        ASSERT_TRUE(leaf);
        EXPECT_EQ(leaf->kind, ledger::LeafKind::restored);
        EXPECT_EQ(leaf->u64("size"), 2u);
        EXPECT_EQ(leaf->u64("lost_size"), 38u);
        EXPECT_FALSE(ledger::loss_to_log(store));
    });
}

TEST(LedgerFiles, WhatIsNoFileIsBadUsage) {
    const TemporaryFolder folder;
    const std::string absent = folder.file("absent"), directory = folder.file("");
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{"check"}, {"export"}, {"backup", folder.file("copy")}})
        for (const auto& [file, why] :
             {std::pair(absent, "No such file or directory"), std::pair(directory, "it is a folder")}) {
            std::vector<std::string> arguments = {"ledger", command[0], file};
            arguments.insert(arguments.end(), command.begin() + 1, command.end());
            const EectlRun run = eectl(arguments);
            EXPECT_EQ(run.code, exit_usage) << command[0];
            EXPECT_EQ(run.err, "eectl: " + file + ": " + why + "\n");
        }
    std::ofstream(folder.file("file")) << "x";
    const EectlRun run = eectl({"ledger", "backup", folder.file("file"), directory});
    EXPECT_EQ(run.code, exit_usage);
    EXPECT_NE(run.err.find("it is a folder: name the file"), std::string::npos) << run.err;
}

TEST(LedgerFiles, WhatIsNoLedgerIsNotCalledDamaged) {
    const TemporaryFolder folder;
    const std::string text = folder.file("text"), empty = folder.file("empty"), other = folder.file("other");
    std::ofstream(text) << "SQLite format 2, or so";
    std::ofstream(empty).flush();
    ASSERT_TRUE(sqlite::Database::open(other)->execute("CREATE TABLE something (of)"));
    for (const char* command : {"check", "export"}) {
        for (const std::string& file : {text, empty})
            EXPECT_EQ(eectl({"ledger", command, file}).err,
                      "eectl: " + file + ": it is no database of SQLite\n");
        EXPECT_EQ(eectl({"ledger", command, other}).err,
                  "eectl: no_ledger: there is no ledger in this file\n");
        for (const std::string& file : {text, empty, other})
            EXPECT_EQ(eectl({"ledger", command, file}).code, exit_usage) << file;
    }
}

TEST_F(RestoreTest, RefusesWhatItCannotDo) {
    EXPECT_TRUE(says(eectl({"restore", "--accept-loss", file, "--size", "40"}).err, "store_unavailable"));
    start_once();
    EXPECT_EQ(eectl({"restore", file, "--size", "40"}).code, exit_usage) << "it must be said";
    EXPECT_TRUE(says(eectl({"restore", "--accept-loss", file}).err, "size_missing"));
    EXPECT_TRUE(says(eectl({"restore", "--accept-loss", file, "--size", "2"}).err, "size_too_small"));
    const std::string far = "1000000000";
    EXPECT_TRUE(says(eectl({"restore", "--accept-loss", file, "--size", far}).err, "at most 1000002 in all"));
    const auto held = sqlite::FileLock::take(file);
    const EectlRun refused = eectl({"restore", "--accept-loss", file, "--size", "40"});
    EXPECT_EQ(refused.code, exit_refused);
    EXPECT_TRUE(says(refused.err, "store_locked"));
}

}  // namespace
}  // namespace ee::cli
