// The whole way of a write, on a disk that fails: who was answered keeps what they were told, who was not can
// ask again, and nobody is told anything that is not so.
#include <future>
#include <unistd.h>

#include <gtest/gtest.h>

#include "ledger/books.h"
#include "ledger/ledger_worker.h"
#include "ledger/sqlite/fault_vfs.h"
#include "ledger/sqlite/sqlite_reader.h"
#include "ledger/sqlite/sqlite_store.h"

namespace ee::ledger {
namespace {

constexpr int purchases = 8;
constexpr int log_pages = 16;  // Copying the log fails, too.

struct Fault {
    const char* name;
    DiskOperation operation;
    DiskAnswer answer;
};

class WorkerDisk : public testing::Test {
protected:
    void SetUp() override {
        const bool has_memory = std::filesystem::is_directory("/dev/shm");
        const auto below = has_memory ? "/dev/shm" : std::filesystem::temp_directory_path();
        std::string pattern = (below / "worker-faults.XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    // A server's ledger; null: it could not start.
    struct Server {
        explicit Server(const std::filesystem::path& file) : writers(file, log_pages) {
            auto store = SqliteStore::open(file, writers);
            if (!store) return;
            LedgerWorker::Settings settings{.if_new = {.log_id = std::string(32, 'a'), .salt_secret = {7}}};
            settings.clock = [] { return from_us(1'767'963'600'000'000); };
            settings.settle_auto = false;
            auto started = LedgerWorker::start(
                *std::move(store),
                [](const LogIdentity&, const TreeHead&) -> Result<LogKey> {
                    return LogKey{.key = crypto::SigningKey::generate(crypto::KeyKind::ed25519)};
                },
                std::move(settings));
            if (started) worker = *std::move(started);
        }
        Result<Reply> admin(Command command, std::string key) const {
            std::promise<Result<Reply>> promise;
            Request request{.caller = {.role = Role::admin}, .idempotency_key = std::move(key)};
            request.method = "POST";
            request.path = "/test";
            request.command = std::move(command);
            worker->run(std::move(request),
                        [&](Result<Reply> reply) { promise.set_value(std::move(reply)); });
            return promise.get_future().get();
        }
        Result<Reply> buy(int number) const {
            return admin(Purchase{.account = "alice", .amount = Money(1)}, "buy " + std::to_string(number));
        }

        sqlite::Writers writers;
        std::unique_ptr<LedgerWorker> worker;
    };

    static std::int64_t alice_of(const Store& store) {
        const auto account = find_account(Batch(store), "alice");
        return account ? account->available.micro() : -1;
    }

    std::filesystem::path folder_;
};

class WorkerFaults : public WorkerDisk, public testing::WithParamInterface<Fault> {};

TEST_P(WorkerFaults, WhatWasAnsweredStaysAndWhatWasNotCanBeAskedAgain) {
    int refused = 0;
    bool fired = true;
    for (std::uint64_t nth = 1; fired; ++nth) {
        SCOPED_TRACE(nth);
        ASSERT_LT(nth, 2000U);
        const auto file = folder_ / ("ledger-" + std::to_string(nth) + ".db");
        FaultyDisk disk(nth);
        std::vector<std::string> answers;
        {
            Server server(file);
            ASSERT_TRUE(server.worker);
            ASSERT_TRUE(server.admin(OpenAccount{.account = "alice"}, "open"));
            wait_for_copy(disk, server.writers);
            disk.fail(GetParam().operation, nth, GetParam().answer);
            for (int i = 0; i < purchases; ++i) {
                auto reply = server.buy(i);
                if (!reply) {
                    EXPECT_EQ(reply.error().code, "store_unavailable");
                    break;
                }
                answers.push_back(reply->body);
                wait_for_copy(disk, server.writers);
            }
            const int done = static_cast<int>(answers.size());
            if (done < purchases) {
                ++refused;
                // Not before a restart, whatever the disk says now; and reads go on.
                EXPECT_EQ(server.buy(done).error().code, "store_unavailable");
                EXPECT_EQ(server.worker->standstill()->code, "store_unavailable");
                if (GetParam().answer != DiskAnswer::power_cut) {
                    const auto reader = SqliteReader::open(file);
                    ASSERT_TRUE(reader) << reader.error().detail;
                    EXPECT_GE(alice_of(**reader), done);
                    EXPECT_LE(alice_of(**reader), done + 1) << "the one that was refused may be there";
                }
            }
            if (nth % 2 == 0) disk.cut_power();
        }
        fired = disk.has_failed();
        disk.cut_power();
        disk.power_returns(nth % 3 == 0 ? FaultyDisk::Unsynced::lost : FaultyDisk::Unsynced::random);

        Server again(file);
        ASSERT_TRUE(again.worker);
        ASSERT_FALSE(again.worker->standstill()) << again.worker->standstill()->detail;
        for (int i = 0; i < purchases; ++i) {
            const auto reply = again.buy(i);
            ASSERT_TRUE(reply) << reply.error().detail;
            if (static_cast<std::size_t>(i) >= answers.size()) continue;
            EXPECT_TRUE(reply->replayed) << i;
            EXPECT_EQ(reply->body, answers[static_cast<std::size_t>(i)]);
        }
        const auto reader = SqliteReader::open(file);
        ASSERT_TRUE(reader) << reader.error().detail;
        EXPECT_EQ(alice_of(**reader), purchases);
        const CheckReport report = check_ledger(**reader, 0);
        EXPECT_TRUE(report.is_good()) << report.findings.front();
        if (HasFailure()) return;
    }
    EXPECT_GE(refused, 2) << "purchases whose commit the disk refused";
}

INSTANTIATE_TEST_SUITE_P(Disk, WorkerFaults,
                         testing::Values(Fault{"WriteFull", DiskOperation::write, DiskAnswer::full},
                                         Fault{"WriteShort", DiskOperation::write, DiskAnswer::short_write},
                                         Fault{"WriteIo", DiskOperation::write, DiskAnswer::io},
                                         Fault{"SyncIo", DiskOperation::sync, DiskAnswer::io},
                                         Fault{"PowerCutAtSync", DiskOperation::sync, DiskAnswer::power_cut}),
                         [](const auto& one) { return one.param.name; });

// Each of its moments is one: what is written meanwhile shows in the next.
TEST_F(WorkerDisk, AReaderBesideTheServerSeesWholeCommits) {
    const auto file = folder_ / "ledger.db";
    Server server(file);
    ASSERT_TRUE(server.worker);
    ASSERT_TRUE(server.admin(OpenAccount{.account = "alice"}, "open"));
    const auto reader = SqliteReader::open(file);
    ASSERT_TRUE(reader) << reader.error().detail;
    for (int i = 0; i < 40; ++i) {
        EXPECT_EQ(alice_of(**reader), i);
        ASSERT_TRUE(server.buy(i));
        EXPECT_EQ(alice_of(**reader), i) << "still the same moment";
        EXPECT_TRUE(check_ledger(**reader, 0).is_good()) << i;
        (*reader)->end_reading();
    }
    EXPECT_THROW((*reader)->commit({}), StoreFailure);
}

}  // namespace
}  // namespace ee::ledger
