// The ledger's check beside a server that writes, on its real store: worker and check as LedgerService wires
// them, but at a pace for tests.
#include "ledger/running_check.h"

#include <atomic>
#include <future>
#include <unistd.h>

#include <gtest/gtest.h>

#include "crypto/signing_key.h"
#include "ledger/ledger_worker.h"
#include "ledger/sqlite/sqlite_reader.h"
#include "ledger/sqlite/sqlite_store.h"
#include "sqlite/database.h"

namespace ee::ledger {
namespace {

using namespace std::chrono_literals;

constexpr RunningCheck::Pace pace{.leaves_min = 100, .leaves_in_step = 16, .look = 1ms};
constexpr auto deadline = 30s;

// Counts the leaves it reads, and how many of them from one moment.
class WatchedReader final : public Store {
public:
    struct Watch {
        std::atomic<std::uint64_t> leaves_read = 0;
        std::atomic<std::uint64_t> leaves_of_moment_max = 0;
        std::atomic<int> looks = 0;
        std::function<void()> at_leaf{};

        // One that began from now on is over.
        void await_look() {
            const int last = looks + 2;
            for (int seen = looks; seen < last; seen = looks) looks.wait(seen);
        }
    };
    WatchedReader(const std::filesystem::path& file, Watch& watch)
        : reader_(SqliteReader::open(file).value()), watch_(watch) {}
    std::optional<std::string> get(Table table, std::string_view key) const override {
        return reader_->get(table, key);
    }
    void scan(Table table, std::string_view from, const Visit& visit) const override {
        reader_->scan(table, from, visit);
    }
    std::uint64_t leaf_count() const override {
        ++watch_.looks;
        watch_.looks.notify_all();
        return reader_->leaf_count();
    }
    std::optional<std::string> leaf(std::uint64_t index) const override {
        if (watch_.at_leaf) watch_.at_leaf();
        ++watch_.leaves_read;
        watch_.leaves_of_moment_max = std::max(watch_.leaves_of_moment_max.load(), ++of_moment_);
        return reader_->leaf(index);
    }
    std::optional<std::string> tile(unsigned level, std::uint64_t index) const override {
        return reader_->tile(level, index);
    }
    void commit(const Changes& changes) override { reader_->commit(changes); }
    void end_reading() const noexcept override {
        of_moment_ = 0;
        reader_->end_reading();
    }

private:
    std::unique_ptr<SqliteReader> reader_;
    Watch& watch_;
    mutable std::uint64_t of_moment_ = 0;
};

class RunningCheckTest : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "running-check.XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }
    std::filesystem::path file() const { return folder_ / "ledger.db"; }

    // By a row as a commit's; no key: the last.
    static void erase(const std::filesystem::path& path, sqlite::Database& database, Table table,
                      std::string key) {
        const auto reader = SqliteReader::open(path).value();
        if (key.empty())
            reader->scan(table, "",
                         [&](std::string_view at, std::string_view) { return !(key = at).empty(); });
        Changes changes;
        changes.of(table).emplace_back(key, std::nullopt);
        auto row =
            database.prepare("INSERT INTO ledger_recent SELECT max(number) + 1, ?1 FROM ledger_recent");
        ASSERT_TRUE(row->bind(1, as_bytes(encode_changes(changes))).run());
    }

    struct Server {
        explicit Server(const std::filesystem::path& path) : file(path), writers(path) {
            LedgerWorker::Settings settings{.if_new = {.log_id = std::string(32, 'a'), .salt_secret = {7}}};
            settings.clock = [] { return from_us(1'767'963'600'000'000); };
            settings.settle_auto = false;
            settings.on_standstill = [this](const Standstill& why) { stands_still.set_value(why); };
            worker = LedgerWorker::start(
                         SqliteStore::open(file, writers).value(),
                         [](const LogIdentity&, const TreeHead&) -> Result<LogKey> {
                             return LogKey{.key = crypto::SigningKey::generate(crypto::KeyKind::ed25519)};
                         },
                         std::move(settings))
                         .value();
        }
        void start_check(WatchedReader::Watch& watch) {
            check.emplace(
                std::make_unique<WatchedReader>(file, watch),
                [this](Result<std::uint64_t> up_to) {
                    if (before_telling) before_telling();
                    const bool is_good = up_to.has_value();
                    const std::uint64_t size = up_to.value_or(0);
                    worker->checked(std::move(up_to));
                    if (is_good && !std::exchange(told, true)) verified.set_value(size);
                },
                pace);
        }
        Result<Reply> admin(Command command, std::string key) const {
            return ask(std::move(command), std::move(key)).get();
        }
        std::future<Result<Reply>> ask(Command command, std::string key) const {
            const auto promise = std::make_shared<std::promise<Result<Reply>>>();
            Request request{.caller = {.role = Role::admin}, .idempotency_key = std::move(key)};
            request.method = "POST";
            request.path = "/test";
            request.command = std::move(command);
            worker->run(std::move(request),
                        [promise](Result<Reply> reply) { promise->set_value(std::move(reply)); });
            return promise->get_future();
        }
        void buy(int count) {
            std::vector<std::future<Result<Reply>>> answers;
            for (int i = 0; i < count; ++i)
                answers.push_back(
                    ask(Purchase{.account = "alice", .amount = Money(1)}, std::to_string(++keys)));
            for (auto& answer : answers) ASSERT_TRUE(answer.get());
        }
        // Until a check has told.
        std::uint64_t await_verified() {
            auto size = verified.get_future();
            EXPECT_EQ(size.wait_for(deadline), std::future_status::ready);
            return size.wait_for(0s) == std::future_status::ready ? size.get() : 0;
        }
        std::uint64_t mark() const { return verified_size(*SqliteReader::open(file).value()); }

        const std::filesystem::path file;
        sqlite::Writers writers;
        std::promise<Standstill> stands_still;
        std::promise<std::uint64_t> verified;
        bool told = false;
        std::function<void()> before_telling;
        int keys = 0;
        std::unique_ptr<LedgerWorker> worker;
        std::optional<RunningCheck> check;
    };

    std::filesystem::path folder_;
    WatchedReader::Watch watch_;
};

TEST_F(RunningCheckTest, MovesTheMarkSoThatAStartReadsOnlyTheRest) {
    std::uint64_t size = 0;
    {
        Server server(file());
        ASSERT_TRUE(server.admin(OpenAccount{.account = "alice"}, "open"));
        ASSERT_EQ(server.mark(), 0U);
        server.start_check(watch_);
        server.buy(300);
        size = server.await_verified();
        EXPECT_GE(size, pace.leaves_min);
        server.check.reset();
        server.buy(1);  // answered after what the check told
        EXPECT_GE(server.mark(), size);
        size = server.mark();
        // At most where a tree's right edge begins, besides a step's own.
        EXPECT_LE(watch_.leaves_of_moment_max.load(), 2 * tile_hashes + 1);
        EXPECT_FALSE(server.worker->standstill());
    }
    const auto reader = SqliteReader::open(file()).value();
    EXPECT_EQ(check_ledger(*reader, verified_size(*reader)).leaves, reader->leaf_count() - size);
    EXPECT_TRUE(check_ledger(*reader, 0).is_good());
    Server again(file());
    EXPECT_FALSE(again.worker->standstill());
    EXPECT_GT(again.mark(), size);
}

TEST_F(RunningCheckTest, LooksOnlyWhenThereIsEnough) {
    Server server(file());
    ASSERT_TRUE(server.admin(OpenAccount{.account = "alice"}, "open"));
    server.start_check(watch_);
    server.buy(10);
    watch_.await_look();
    EXPECT_EQ(watch_.leaves_read.load(), 0U);
    server.buy(200);
    server.await_verified();
    EXPECT_GE(watch_.leaves_read.load(), pace.leaves_min);
}

TEST_F(RunningCheckTest, ADamagedRecordHaltsARunningServerAsItWouldAStart) {
    struct Damage {
        const char* name;
        const char* sql;
        const char* finding;
        Table erased_of{};
        std::string erased{};  // empty: the last
    };
    // A byte of a leaf (of the other account's name, whichever it is) that the first checkpoint after it
    // shares with the first tile, or of a tile, and whole rows.
    const Damage damages[] = {
        {"leaf",
         "UPDATE ledger_leaves SET leaves = CAST(substr(leaves, 1, 62) || x'58' || substr(leaves, 64) AS "
         "BLOB) "
         "WHERE first_leaf = (SELECT max(first_leaf) FROM ledger_leaves WHERE first_leaf < 256)",
         "tile 0 of level 0 is not that of the leaves"},
        {"leaves gone",
         "DELETE FROM ledger_leaves WHERE first_leaf = (SELECT first_leaf FROM ledger_leaves WHERE "
         "first_leaf > 80 "
         "LIMIT 1)",
         "leaves: leaf "},
        {"tile", "UPDATE ledger_tiles SET hashes = CAST(x'00' || substr(hashes, 2) AS BLOB)", "root: "},
        // Of what the last commits changed.
        {"journal", "", "records: ", Table::entries},
        {"account", "", "which is no account", Table::accounts, "alice"},
    };
    for (const Damage& damage : damages) {
        SCOPED_TRACE(damage.name);
        const auto path = folder_ / (std::string(damage.name) + ".db");
        {
            Server server(path);
            ASSERT_TRUE(server.admin(OpenAccount{.account = "alice"}, "open"));
            server.buy(300);
            {
                auto other = sqlite::Database::open(path, &server.writers).value();
                if (damage.sql[0] == '\0') erase(path, other, damage.erased_of, damage.erased);
                // As a disk does, which asks no trigger.
                const auto damaged = other.execute(
                    std::string("DROP TRIGGER ledger_leaves_unchanged; DROP TRIGGER ledger_leaves_kept;"
                                "DROP TRIGGER ledger_tiles_unchanged; DROP TRIGGER ledger_entries_kept;") +
                    damage.sql);
                ASSERT_TRUE(damaged) << damaged.error().detail;
            }
            server.start_check(watch_);
            auto why = server.stands_still.get_future();
            ASSERT_EQ(why.wait_for(deadline), std::future_status::ready);
            const Standstill standstill = why.get();
            EXPECT_EQ(standstill.code, "ledger_halted");
            EXPECT_NE(standstill.detail.find(damage.finding), std::string::npos) << standstill.detail;
            EXPECT_EQ(server.admin(Purchase{.account = "alice", .amount = Money(1)}, "after").error().code,
                      "ledger_halted");
            EXPECT_EQ(server.mark(), 0U);
        }
        Server again(path);
        ASSERT_TRUE(again.worker->standstill());
        EXPECT_EQ(again.worker->standstill()->code, "ledger_halted");
    }
}

// As a kill at that moment leaves the files: nothing has been told to anybody.
TEST_F(RunningCheckTest, AServerKilledBetweenCheckAndCommitStartsFromTheMarkBefore) {
    const auto killed = folder_ / "killed.db";
    Server server(file());
    ASSERT_TRUE(server.admin(OpenAccount{.account = "alice"}, "open"));
    server.buy(300);
    server.before_telling = [&] {
        if (std::filesystem::exists(killed)) return;
        std::filesystem::copy_file(file(), killed);
        std::filesystem::copy_file(file().string() + "-wal", killed.string() + "-wal");
    };
    server.start_check(watch_);
    server.await_verified();
    server.check.reset();
    server.buy(1);
    EXPECT_GT(server.mark(), 0U);

    Server again(killed);  // SQLite recovers what the log holds.
    EXPECT_FALSE(again.worker->standstill());
    const auto reader = SqliteReader::open(killed).value();
    EXPECT_TRUE(check_ledger(*reader, 0).is_good());
    EXPECT_GE(verified_size(*reader), 300U) << "the start's own check moved it";
}

TEST_F(RunningCheckTest, EndsWithinAStepWhenTheServerEnds) {
    Server server(file());
    ASSERT_TRUE(server.admin(OpenAccount{.account = "alice"}, "open"));
    server.buy(600);
    // The tree's right edge is less than a tile: that one is read in a step of leaves.
    constexpr std::uint64_t last = tile_hashes + 100;
    std::promise<void> started, stopped;
    watch_.at_leaf = [&] {
        if (watch_.leaves_read != last) return;
        started.get_future().wait();
        server.check->stop();
        stopped.set_value();
    };
    server.start_check(watch_);
    started.set_value();
    ASSERT_EQ(stopped.get_future().wait_for(deadline), std::future_status::ready);
    server.check.reset();
    EXPECT_LE(watch_.leaves_read.load(), last + pace.leaves_in_step);
    EXPECT_FALSE(server.told);
    server.buy(1);
    EXPECT_EQ(server.mark(), 0U);
}

}  // namespace
}  // namespace ee::ledger
