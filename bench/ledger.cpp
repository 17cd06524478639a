// How fast the ledger's store commits, beside the same transfers written to SQLite by hand; bench/run.py
// starts it.
//
//   ledger_bench FOLDER [SECONDS [ACCOUNTS [SYNC-MICROSECONDS [ledger [unchecked]]]]]
//
// The disk is the one FOLDER is on; with SYNC-MICROSECONDS every sync takes that much longer; with `ledger`
// only the whole ledger is measured, by 64 callers; `unchecked`: without the check that a server has beside.
// What is compared takes turns. Prints one line of JSON.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "base/check.h"
#include "crypto/signing_key.h"
#include "ledger/encoding.h"
#include "ledger/ledger_worker.h"
#include "ledger/running_check.h"
#include "ledger/sqlite/fault_vfs.h"
#include "ledger/sqlite/sqlite_reader.h"
#include "ledger/sqlite/sqlite_store.h"
#include "sqlite/transaction.h"

using namespace ee;
using namespace ee::ledger;

namespace {

using Clock = std::chrono::steady_clock;
using Random = std::mt19937_64;

// Of all threads of this process: what other programs do on the machine is not in it.
double cpu_seconds() {
    timespec spent{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return static_cast<double>(spent.tv_sec) + static_cast<double>(spent.tv_nsec) / 1e9;
}

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Planned {
    std::uint64_t from, to, number;
};

class Transfers {
public:
    explicit Transfers(std::uint64_t accounts) : accounts_(accounts) {}
    Planned next() {
        const std::uint64_t from = random_() % accounts_;
        return {from, (from + 1 + random_() % (accounts_ - 1)) % accounts_, ++number_};
    }

private:
    const std::uint64_t accounts_;
    std::uint64_t number_ = 0;
    Random random_{1};
};

std::string account_name(std::uint64_t account) {
    return fmt::format("account-{:08}", account);
}
// As a client's key and what it hashes to: no two near each other.
std::string key_name(std::uint64_t number) {
    Random random(number);
    std::string name(32, '\0');
    for (char& byte : name) byte = static_cast<char>(random());
    return name;
}
const std::string reply(200, 'r');

// ---- By hand: a table of balances, one of entries, one of keys ----

class ByHand {
public:
    ByHand(const std::filesystem::path& file, std::uint64_t accounts) : database_(with_tables(file)) {
        auto transaction = sqlite::Transaction::begin(database_);
        auto insert = database_.prepare("INSERT INTO accounts VALUES (?1, 1000000)").value();
        for (std::uint64_t account = 0; account < accounts; ++account)
            EE_CHECK(insert.bind(1, account_name(account)).run());
        EE_CHECK(transaction->commit());
    }

    void commit(const std::vector<Planned>& transfers) {
        run("BEGIN IMMEDIATE");
        for (const Planned& transfer : transfers) {
            const std::string from = account_name(transfer.from), to = account_name(transfer.to);
            EE_CHECK(balance_.bind(1, from).step().value());
            const std::int64_t balance = balance_.number(0);
            balance_.reset();
            EE_CHECK(update_.bind(1, from).bind(2, balance - 1).run());
            EE_CHECK(add_.bind(1, to).bind(2, std::int64_t{1}).run());
            enter(from, to, -1);
            enter(to, from, 1);
            const std::string key = key_name(transfer.number);
            EE_CHECK(key_.bind(1, as_bytes(key)).bind(2, reply).run());
        }
        run("COMMIT");
    }

private:
    static sqlite::Database with_tables(const std::filesystem::path& file) {
        auto database = sqlite::Database::open(file).value();
        EE_CHECK(database.execute(
            "CREATE TABLE accounts (name TEXT PRIMARY KEY, balance INTEGER NOT NULL) WITHOUT ROWID, STRICT;"
            "CREATE TABLE entries (seq INTEGER PRIMARY KEY, account TEXT NOT NULL, other TEXT NOT NULL, "
            "amount INTEGER NOT NULL, at_us INTEGER NOT NULL) STRICT;"
            "CREATE INDEX entries_by_account ON entries (account, seq);"
            "CREATE TABLE keys (key BLOB PRIMARY KEY, reply TEXT NOT NULL) WITHOUT ROWID, STRICT;"));
        return database;
    }
    void run(const char* sql) { EE_CHECK(database_.execute(sql)); }
    void enter(const std::string& account, const std::string& other, std::int64_t amount) {
        EE_CHECK(entry_.bind(1, account).bind(2, other).bind(3, amount).bind(4, std::int64_t{1}).run());
    }
    sqlite::Statement prepare(const char* sql) { return database_.prepare(sql).value(); }

    sqlite::Database database_;
    sqlite::Statement balance_ = prepare("SELECT balance FROM accounts WHERE name = ?1");
    sqlite::Statement update_ = prepare("UPDATE accounts SET balance = ?2 WHERE name = ?1");
    sqlite::Statement add_ = prepare("UPDATE accounts SET balance = balance + ?2 WHERE name = ?1");
    sqlite::Statement entry_ =
        prepare("INSERT INTO entries (account, other, amount, at_us) VALUES (?1, ?2, ?3, ?4)");
    sqlite::Statement key_ = prepare("INSERT INTO keys VALUES (?1, ?2)");
};

struct Figure;

// ---- The store: what commands would change, of the size they have ----

class ByStore {
public:
    ByStore(const std::filesystem::path& file, std::uint64_t accounts)
        : writers_(file), store_(SqliteStore::open(file, writers_).value()), entries_(accounts) {
        Changes changes;
        for (std::uint64_t account = 0; account < accounts; ++account)
            changes.of(Table::accounts).emplace_back(account_name(account), std::string(90, 'a'));
        store_->commit(changes);
    }

    // Reads what commands would, too. Answers how long the commit alone took.
    double commit(const std::vector<Planned>& transfers) {
        Changes changes;
        changes.first_leaf = store_->leaf_count();
        std::map<std::string, std::string> accounts, entries, keys;
        for (const Planned& transfer : transfers) {
            std::string key = key_name(transfer.number);
            EE_CHECK(!store_->get(Table::keys, key));
            keys.emplace(std::move(key), reply);
            for (const std::uint64_t account : {transfer.from, transfer.to}) {
                std::string name = account_name(account);
                std::string record = store_->get(Table::accounts, name).value();
                record[0] = static_cast<char>(record[0] + 1);
                accounts.insert_or_assign(std::move(name), std::move(record));
                entries.emplace(std::string(KeyWriter().number(account).number(entries_[account]++)),
                                std::string(72, 'e'));
                changes.leaves.emplace_back(200, static_cast<char>(transfer.number));
            }
        }
        changes.of(Table::accounts).assign(accounts.begin(), accounts.end());
        changes.of(Table::entries).assign(entries.begin(), entries.end());
        changes.of(Table::keys).assign(keys.begin(), keys.end());
        for (std::uint64_t leaves = changes.first_leaf + changes.leaves.size(); tiled_ + 256 <= leaves;
             tiled_ += 256)
            changes.tiles.push_back({.level = 0, .index = tiled_ / 256, .hashes = std::string(8192, 't')});
        const auto start = Clock::now();
        store_->commit(changes);
        return seconds_since(start);
    }

    std::uint64_t copied() const { return writers_.copied(); }
    std::shared_ptr<RecentChanges> recent() const { return store_->recent(); }

private:
    sqlite::Writers writers_;
    std::unique_ptr<SqliteStore> store_;
    std::vector<std::uint64_t> entries_;  // by account
    std::uint64_t tiled_ = 0;             // leaves
};

// ---- The ledger itself: callers that wait for each answer, receipt and all ----

class ByLedger {
public:
    ByLedger(const std::filesystem::path& file, std::uint64_t accounts, bool is_checked = true)
        : writers_(file) {
        LedgerWorker::Settings settings{.if_new = {.log_id = std::string(32, 'a'), .salt_secret = {1}}};
        settings.settle_auto = false;
        settings.clock = [] {
            return std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
        };
        const auto make_key = [](const LogIdentity&, const TreeHead&) -> Result<LogKey> {
            return LogKey{.key = crypto::SigningKey::generate(crypto::KeyKind::ed25519)};
        };
        auto store = SqliteStore::open(file, writers_).value();
        const auto recent = store->recent();
        worker_ = LedgerWorker::start(std::move(store), make_key, std::move(settings)).value();
        if (is_checked)
            check_ = std::make_unique<RunningCheck>(
                SqliteReader::open(file, recent).value(),
                [this](Result<std::uint64_t> up_to) { worker_->checked(std::move(up_to)); });
        run_all(accounts, 512, [&](std::uint64_t account) -> Command {
            return OpenAccount{.account = account_name(account),
                               .token = crypto::sha256(as_bytes(account_name(account)))};
        });
        run_all(accounts, 512, [&](std::uint64_t account) -> Command {
            return Purchase{.account = account_name(account), .amount = Money(1'000'000'000)};
        });
    }

    // Transfers for so long, by so many callers; `hot`: all of them from one account.
    void measure(Figure& figure, Transfers& transfers, std::size_t callers, double seconds, bool hot = false);

private:
    // `count` commands, `callers` at a time; each answer brings the next command.
    void run_all(std::uint64_t count, std::size_t callers,
                 const std::function<Command(std::uint64_t)>& make) {
        run(callers, [&](std::uint64_t number) -> std::optional<Command> {
            if (number >= count) return std::nullopt;
            return make(number);
        });
    }
    // Until `make` has no more.
    std::uint64_t run(std::size_t callers, const std::function<std::optional<Command>(std::uint64_t)>& make) {
        std::mutex mutex;
        std::condition_variable idle;
        std::size_t open = 0;
        std::uint64_t number = 0, answered = 0;
        std::function<void()> next = [&] {  // under the mutex
            auto command = make(number++);
            if (!command) return;
            ++open;
            Request request{.caller = {.role = Role::admin},
                            .idempotency_key = fmt::format("key-{}", ++keys_)};
            // Whose money it is asks for it, as over HTTP.
            if (const auto* transfer = std::get_if<ledger::Transfer>(&*command))
                request.caller = {.role = Role::holder, .token = crypto::sha256(as_bytes(transfer->from))};
            request.method = "POST";
            request.path = "/v1/credits/transfer";
            request.command = std::move(*command);
            worker_->run(std::move(request), [&](const Result<Reply>& answer) {
                EE_CHECK(answer);
                const std::lock_guard guard(mutex);
                ++answered;
                next();
                if (--open == 0) idle.notify_one();
            });
        };
        std::unique_lock lock(mutex);
        for (std::size_t caller = 0; caller < callers; ++caller) next();
        idle.wait(lock, [&] { return open == 0; });
        return answered;
    }

    sqlite::Writers writers_;
    std::unique_ptr<LedgerWorker> worker_;
    std::uint64_t keys_ = 0;
    std::unique_ptr<RunningCheck> check_;
};

// ---- Measuring ----

struct Figure {
    double seconds = 0;
    double cpu_s = 0;
    std::uint64_t transfers = 0;
    std::vector<double> commits_s{};

    double cpu_us() const { return cpu_s * 1e6 / static_cast<double>(transfers); }
    double rate() const { return static_cast<double>(transfers) / seconds; }
    double quantile_us(double part) {
        std::ranges::sort(commits_s);
        const auto at = static_cast<std::size_t>(part * static_cast<double>(commits_s.size()));
        return commits_s[std::min(at, commits_s.size() - 1)] * 1e6;
    }
};

void ByLedger::measure(Figure& figure, Transfers& transfers, std::size_t callers, double seconds, bool hot) {
    const auto start = Clock::now();
    const double cpu = cpu_seconds();
    figure.transfers += run(callers, [&](std::uint64_t) -> std::optional<Command> {
        if (seconds_since(start) >= seconds) return std::nullopt;
        const Planned transfer = transfers.next();
        return ledger::Transfer{.from = account_name(hot ? 0 : transfer.from),
                                .to = account_name(hot && transfer.to == 0 ? 1 : transfer.to),
                                .amount = Money(1)};
    });
    figure.seconds += seconds_since(start);
    figure.cpu_s += cpu_seconds() - cpu;
}

// One share of a second; `commit` answers the seconds that count as the commit.
void measure(Figure& figure, Transfers& transfers, std::size_t batch, double seconds,
             const std::function<double(const std::vector<Planned>&)>& commit) {
    const auto start = Clock::now();
    const double cpu = cpu_seconds();
    std::vector<Planned> some(batch);
    do {
        std::ranges::generate(some, [&] { return transfers.next(); });
        figure.commits_s.push_back(commit(some));
        figure.transfers += batch;
    } while (seconds_since(start) < seconds);
    figure.seconds += seconds_since(start);
    figure.cpu_s += cpu_seconds() - cpu;
}

// Balances read through a connection of its own until told to stop: how long each took.
class Reading {
public:
    Reading(const std::filesystem::path& file, std::shared_ptr<RecentChanges> recent, std::uint64_t accounts)
        : thread_([this, file, recent, accounts] {
              const auto reader = SqliteReader::open(file, recent).value();
              Random random(2);
              while (!over_) {
                  const std::string name = account_name(random() % accounts);
                  const auto start = Clock::now();
                  EE_CHECK(reader->get(Table::accounts, name));
                  reader->end_reading();
                  figure_.commits_s.push_back(seconds_since(start));
                  std::this_thread::sleep_for(std::chrono::microseconds(500));
              }
          }) {}
    Figure& stop() {
        over_ = true;
        thread_.join();
        return figure_;
    }

private:
    std::atomic<bool> over_ = false;
    Figure figure_;
    std::thread thread_;
};

}  // namespace

int main(int count, char** arguments) {
    const std::filesystem::path folder = count > 1 ? arguments[1] : ".";
    const double seconds = count > 2 ? std::atof(arguments[2]) : 3;
    const std::uint64_t accounts = count > 3 ? std::strtoull(arguments[3], nullptr, 10) : 10000;
    FaultyDisk disk(1, FaultyDisk::Syncs::real);
    if (count > 4) disk.delay_syncs(std::chrono::microseconds(std::atoi(arguments[4])));
    Transfers transfers(accounts);
    if (count > 5 && std::string_view(arguments[5]) == "ledger") {
        const bool is_checked = count <= 6 || std::string_view(arguments[6]) != "unchecked";
        ByLedger alone(folder / "ledger.db", accounts, is_checked);
        Figure figure;
        alone.measure(figure, transfers, 64, seconds);
        fmt::print("{{\"ledger_64\":{:.0f},\"ledger_64_cpu_us\":{:.1f}}}\n", figure.rate(), figure.cpu_us());
        return 0;
    }
    ByHand by_hand(folder / "by-hand.db", accounts);
    ByStore by_store(folder / "store.db", accounts);
    ByLedger by_ledger(folder / "ledger.db", accounts);
    const auto hand = [&](const std::vector<Planned>& some) {
        const auto start = Clock::now();
        by_hand.commit(some);
        return seconds_since(start);
    };
    const auto store = [&](const std::vector<Planned>& some) { return by_store.commit(some); };
    Figure hand_1, hand_64, store_1, store_64, store_512, beside_reads;
    Figure ledger_1, ledger_64, ledger_512, ledger_hot;
    constexpr int rounds = 10;
    for (int round = 0; round < rounds; ++round) {
        measure(hand_1, transfers, 1, seconds / rounds, hand);
        measure(store_1, transfers, 1, seconds / rounds, store);
        measure(hand_64, transfers, 64, seconds / rounds, hand);
        measure(store_64, transfers, 64, seconds / rounds, store);
        measure(store_512, transfers, 512, seconds / rounds, store);
        by_ledger.measure(ledger_1, transfers, 1, seconds / rounds);
        by_ledger.measure(ledger_64, transfers, 64, seconds / rounds);
        by_ledger.measure(ledger_512, transfers, 512, seconds / rounds);
        by_ledger.measure(ledger_hot, transfers, 64, seconds / rounds, true);
    }
    Reading reading(folder / "store.db", by_store.recent(), accounts);
    measure(beside_reads, transfers, 64, seconds, store);
    Figure& reads = reading.stop();
    fmt::print(
        R"({{"by_hand_1":{:.0f},"by_hand_64":{:.0f},"store_1":{:.0f},"store_64":{:.0f},"store_512":{:.0f},)"
        R"("ledger_1":{:.0f},"ledger_64":{:.0f},"ledger_512":{:.0f},"ledger_hot":{:.0f},)"
        R"("by_hand_1_cpu_us":{:.1f},"by_hand_64_cpu_us":{:.1f},)"
        R"("ledger_64_cpu_us":{:.1f},"ledger_512_cpu_us":{:.1f},)"
        R"("commit_us_1":{:.0f},"commit_us_64":{:.0f},"commit_us_512":{:.0f},"commit_us_64_p99":{:.0f},)"
        R"("commit_us_64_max":{:.0f},"read_us_p50":{:.0f},"read_us_p99":{:.0f},"log_copied":{}}})"
        "\n",
        hand_1.rate(), hand_64.rate(), store_1.rate(), store_64.rate(), store_512.rate(), ledger_1.rate(),
        ledger_64.rate(), ledger_512.rate(), ledger_hot.rate(), hand_1.cpu_us(), hand_64.cpu_us(),
        ledger_64.cpu_us(), ledger_512.cpu_us(), store_1.quantile_us(0.5), store_64.quantile_us(0.5),
        store_512.quantile_us(0.5), store_64.quantile_us(0.99), store_64.quantile_us(1),
        reads.quantile_us(0.5), reads.quantile_us(0.99), by_store.copied());
}
