// The ledger when there is much of it; bench/run.py starts it.
//
//   ledger_scale settle FOLDER NODES LOCKS      settles one cell with so many locks, beside transfers
//   ledger_scale usage FOLDER LOCKS            reports on half of so many locks of one account for one app,
//                                               at most 1000
//   ledger_scale grow FOLDER ENTRIES...         how long a start and a proof take with so many entries
//   ledger_scale accounts FOLDER ACCOUNTS       how long a start takes with so many accounts
//   ledger_scale start FILE                     how long a start takes on a ledger that is there
//
// Prints one line of JSON; of `grow` an array, an object for each number of entries (rising). The check of a
// running server runs beside, as it does there: a start finds what it has left.
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/check.h"
#include "crypto/signing_key.h"
#include "ledger/ledger_check.h"
#include "ledger/ledger_worker.h"
#include "ledger/running_check.h"
#include "ledger/sqlite/sqlite_reader.h"
#include "ledger/sqlite/sqlite_store.h"

using namespace ee;
using namespace ee::ledger;

namespace {

using Clock = std::chrono::steady_clock;
using Random = std::mt19937_64;

constexpr std::size_t callers = 512;
constexpr std::uint64_t accounts = 1000;
constexpr std::uint32_t window_s = 60;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

void expect(const Result<Reply>& answer) {
    if (answer) return;
    fmt::print(stderr, "ledger_scale: {}: {}\n", answer.error().code, answer.error().detail);
    std::exit(1);
}

std::string account_name(std::uint64_t account) {
    return fmt::format("account-{:08}", account);
}
std::string node_name(std::uint64_t node) {
    return fmt::format("node-{:05}", node);
}

Request request_of(Command command, std::uint64_t number) {
    Request request{.caller = {.role = Role::admin},
                    .idempotency_key = fmt::format("key-{}", number),
                    .method = "POST",
                    .path = "/bench"};
    if (const auto* transfer = std::get_if<Transfer>(&command))
        request.caller = {.role = Role::holder, .token = crypto::sha256(as_bytes(transfer->from))};
    if (std::holds_alternative<RecordSlots>(command)) request.caller = {.role = Role::server};
    request.command = std::move(command);
    return request;
}

class Books {
public:
    explicit Books(std::filesystem::path file)
        : file_(std::move(file)), writers_(file_), first_start_s_(start()) {}

    double first_start_s() const { return first_start_s_; }

    // How long it took.
    double start() {
        check_.reset();
        worker_.reset();
        LedgerWorker::Settings settings{.if_new = {.log_id = std::string(32, 'a'), .salt_secret = {1}}};
        settings.settle_auto = false;
        settings.clock = [this] { return now(); };
        const auto make_key = [](const LogIdentity&, const TreeHead&) -> Result<LogKey> {
            return LogKey{.key = crypto::SigningKey::generate(crypto::KeyKind::ed25519)};
        };
        const auto began = Clock::now();
        auto store = SqliteStore::open(file_, writers_).value();
        recent_ = store->recent();
        worker_ = LedgerWorker::start(std::move(store), make_key, settings).value();
        const double took = seconds_since(began);
        EE_CHECK(!worker_->standstill());
        check_ = std::make_unique<RunningCheck>(
            reader(), [this](Result<std::uint64_t> up_to) { worker_->checked(std::move(up_to)); });
        return took;
    }

    LedgerTime now() const {
        return std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now()) +
               std::chrono::hours(ahead_h_);
    }
    void pass_hours(int hours) { ahead_h_ += hours; }
    std::unique_ptr<SqliteReader> reader() const { return SqliteReader::open(file_, recent_).value(); }

    // One command, and its answer.
    void ask(Command command) {
        std::mutex mutex;
        std::condition_variable answered;
        bool done = false;
        worker_->run(request_of(std::move(command), ++keys_), [&](const Result<Reply>& answer) {
            expect(answer);
            const std::lock_guard guard(mutex);
            done = true;
            answered.notify_one();
        });
        std::unique_lock lock(mutex);
        answered.wait(lock, [&] { return done; });
    }

    // `count` commands, many at a time; each answer brings the next one.
    void ask_all(std::uint64_t count, const std::function<Command(std::uint64_t)>& make) {
        std::mutex mutex;
        std::condition_variable idle;
        std::uint64_t number = 0, answered = 0;
        std::function<void()> next = [&] {  // under the mutex
            if (number == count) return;
            worker_->run(request_of(make(number++), ++keys_), [&](const Result<Reply>& answer) {
                expect(answer);
                const std::lock_guard guard(mutex);
                next();
                if (++answered == count) idle.notify_one();
            });
        };
        std::unique_lock lock(mutex);
        for (std::size_t caller = 0; caller < callers; ++caller) next();
        idle.wait(lock, [&] { return answered == count; });
    }

    void open_accounts(std::uint64_t count = accounts) {
        ask_all(count, [](std::uint64_t account) -> Command {
            return OpenAccount{.account = account_name(account),
                               .token = crypto::sha256(as_bytes(account_name(account)))};
        });
        const Money each(1'000'000'000'000'000 / static_cast<std::int64_t>(count));
        ask_all(count, [each](std::uint64_t account) -> Command {
            return Purchase{.account = account_name(account), .amount = each};
        });
    }
    Command some_transfer() {
        const std::uint64_t from = random_() % accounts;
        return Transfer{.from = account_name(from),
                        .to = account_name((from + 1 + random_() % (accounts - 1)) % accounts),
                        .amount = Money(1)};
    }

private:
    const std::filesystem::path file_;
    sqlite::Writers writers_;
    std::shared_ptr<RecentChanges> recent_;
    std::atomic<int> ahead_h_ = 0;
    std::atomic<std::uint64_t> keys_ = 0;
    Random random_{1};
    std::unique_ptr<LedgerWorker> worker_;
    std::unique_ptr<RunningCheck> check_;
    const double first_start_s_;
};

// ---- Settling ----

void prepare_cell(Books& books, const Period& cell, std::uint64_t nodes, std::uint64_t locks) {
    books.open_accounts();
    books.ask_all(nodes, [](std::uint64_t node) -> Command {
        RegisterNode command{.node = node_name(node)};
        command.capacity_vcpus = 1000;
        command.price = Money(50'000);
        command.stake = Money(10'000'000);
        command.token = crypto::sha256(as_bytes(node_name(node)));
        return command;
    });
    books.ask_all(locks, [&](std::uint64_t number) -> Command {
        TakeLock command{.account = account_name(number * 7919 % accounts),
                         .node = node_name(number % nodes),
                         .app = "app",
                         .period = cell};
        command.amount = Money(1'000'000);
        return command;
    });
    books.pass_hours(1);
    books.ask_all(nodes, [&](std::uint64_t node) -> Command {
        Slot slot{.attested_at = LedgerTime{cell.start}, .window_s = window_s, .challenges_passed = 12};
        slot.windows.assign(3600 / window_s, static_cast<char>(Window::pass));
        RecordSlots command{.cell = cell};
        command.seen.push_back({.node = node_name(node), .app = "app", .agent = "agent", .slot = slot});
        return command;
    });
    books.ask_all(locks / 2, [&](std::uint64_t number) -> Command {
        return ReportUsage{.account = account_name(number * 7919 % accounts),
                           .node = node_name(number % nodes),
                           .app = "app",
                           .period = cell,
                           .hours = Hours(100'000),
                           .report_id = fmt::format("report-{}", number)};
    });
    books.pass_hours(1);
}

// Transfers, one after another, until told to stop: how long each took.
class Bystander {
public:
    explicit Bystander(Books& books)
        : thread_([this, &books] {
              while (!over_) {
                  const auto start = Clock::now();
                  books.ask(books.some_transfer());
                  waits_ms_.push_back(seconds_since(start) * 1000);
              }
          }) {}
    std::vector<double> stop() {
        over_ = true;
        thread_.join();
        std::ranges::sort(waits_ms_);
        return waits_ms_;
    }

private:
    std::atomic<bool> over_ = false;
    std::vector<double> waits_ms_;
    std::thread thread_;
};

bool is_moving(const SqliteReader& reader) {
    bool moving = false;
    reader.scan(Table::moving_units, "", [&](std::string_view, std::string_view) {
        moving = true;
        return false;
    });
    reader.end_reading();
    return moving;
}

void settle(const std::filesystem::path& file, std::uint64_t nodes, std::uint64_t locks) {
    Books books(file);
    const Period cell = cell_at(Grid::hour, books.now() + std::chrono::hours(1));
    prepare_cell(books, cell, nodes, locks);
    const auto reader = books.reader();
    Bystander bystander(books);
    const auto start = Clock::now();
    books.ask(Finalize{.period = cell});
    const double answered = seconds_since(start);
    while (is_moving(*reader)) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    const double moved = seconds_since(start);
    const std::vector<double> waits = bystander.stop();
    fmt::print(
        R"({{"answered_s":{:.3f},"settled_s":{:.3f},"others":{},"wait_ms_p99":{:.2f},"wait_ms_max":{:.2f}}})"
        "\n",
        answered, moved, waits.size(), waits[waits.size() * 99 / 100], waits.back());
}

// ---- Usage ----

// All locks are of one account, for one app and cell, and of as much as a report draws on: one report on half
// of them, then many that draw on the next one each.
void usage(const std::filesystem::path& file, std::uint64_t locks) {
    constexpr std::int64_t lock_hours = 1000;  // micro-hours
    constexpr int reports = 100;
    Books books(file);
    books.open_accounts();
    RegisterNode node{.node = node_name(0)};
    node.capacity_vcpus = 1000;
    node.price = Money(1'000'000);
    node.stake = Money(10'000'000);
    node.token = crypto::sha256(as_bytes(node_name(0)));
    books.ask(node);
    const Period cell = cell_at(Grid::hour, books.now() + std::chrono::hours(1));
    books.ask_all(locks, [&](std::uint64_t) -> Command {
        TakeLock command{.account = account_name(0), .node = node_name(0), .app = "app", .period = cell};
        command.amount = Money(lock_hours);
        return command;
    });
    books.pass_hours(1);
    const auto report = [&](std::int64_t hours) {
        const auto start = Clock::now();
        books.ask(ReportUsage{.account = account_name(0),
                              .node = node_name(0),
                              .app = "app",
                              .period = cell,
                              .hours = Hours(hours)});
        return seconds_since(start) * 1000;
    };
    const double half = report(static_cast<std::int64_t>(locks / 2) * lock_hours);
    std::vector<double> took;
    for (int i = 0; i < reports; ++i) took.push_back(report(lock_hours));
    std::ranges::sort(took);
    fmt::print(R"({{"locks":{},"half_ms":{:.2f},"report_ms_p50":{:.3f},"report_ms_p99":{:.3f}}})"
               "\n",
               locks, half, took[reports / 2], took[reports * 99 / 100]);
}

// ---- Growing ----

// Microseconds each, of a new reader's many; always the same ones.
double proof_us(Books& books) {
    const auto store = books.reader();
    LogReader log(*store);
    const LogTree tree = log.load().value();
    Random random(3);
    constexpr int count = 2000;
    const auto start = Clock::now();
    for (int i = 0; i < count; ++i) EE_CHECK(log.inclusion(tree, random() % tree.size(), tree.size()));
    return seconds_since(start) * 1e6 / count;
}

double head_us(Books& books) {
    const auto store = books.reader();
    constexpr int count = 50'000;  // some 5 us each
    const auto start = Clock::now();
    for (int i = 0; i < count; ++i) {
        EE_CHECK(newest_head(*store));
        store->end_reading();
    }
    return seconds_since(start) * 1e6 / count;
}

void grow(const std::filesystem::path& file, const std::vector<std::uint64_t>& sizes) {
    Books books(file);
    books.open_accounts();
    std::vector<std::string> lines;
    std::uint64_t entries = 2 * accounts;
    for (const std::uint64_t size : sizes) {
        if (size > entries) {
            books.ask_all((size - entries) / 2, [&](std::uint64_t) { return books.some_transfer(); });
            entries = size;
        }
        const double first = books.start();  // checks what the running server had not come to
        const double second = books.start();
        const double first_proof = proof_us(books);  // reads from the disk what the kernel has let go of
        lines.push_back(
            fmt::format(R"({{"entries":{},"first_start_s":{:.3f},"start_s":{:.3f},"head_us":{:.2f},)"
                        R"("first_proof_us":{:.2f},"proof_us":{:.2f}}})",
                        entries, first, second, head_us(books), first_proof, proof_us(books)));
    }
    fmt::print("[{}]\n", fmt::join(lines, ","));
}

// The first of them checks what was appended; the others what goes with the number of accounts.
void accounts_at_start(const std::filesystem::path& file, std::uint64_t count) {
    Books books(file);
    books.open_accounts(count);
    books.start();
    std::vector<double> took;
    for (int i = 0; i < 5; ++i) took.push_back(books.start());
    std::ranges::sort(took);
    fmt::print(R"({{"accounts":{},"start_s_min":{:.3f},"start_s_median":{:.3f}}})"
               "\n",
               count, took.front(), took[took.size() / 2]);
}

// With what was appended since the mark, and the part of it that goes with the number of accounts and locks.
void start(const std::filesystem::path& file) {
    std::uint64_t mark = 0, leaves = 0, accounts_there = 0;
    double whole = 0;
    {
        const auto reader = SqliteReader::open(file).value();
        mark = verified_size(*reader);
        leaves = reader->leaf_count();
        const auto began = Clock::now();
        const CheckReport report = check_ledger(*reader, leaves);
        whole = seconds_since(began);
        EE_CHECK(report.is_good());
        accounts_there = report.accounts;
    }
    Books books(file);
    fmt::print(R"({{"leaves":{},"since_mark":{},"accounts":{},"whole_s":{:.3f},"start_s":{:.3f}}})"
               "\n",
               leaves, leaves - mark, accounts_there, whole, books.first_start_s());
}

}  // namespace

int main(int count, char** arguments) {
    const std::string what = count > 2 ? arguments[1] : "";
    const auto number = [&](int at) { return std::strtoull(arguments[at], nullptr, 10); };
    if (what == "settle" && count == 5) {
        settle(std::filesystem::path(arguments[2]) / "settle.db", number(3), number(4));
    } else if (what == "usage" && count == 4) {
        usage(std::filesystem::path(arguments[2]) / "usage.db", number(3));
    } else if (what == "accounts" && count == 4) {
        accounts_at_start(std::filesystem::path(arguments[2]) / "accounts.db", number(3));
    } else if (what == "start" && count == 3) {
        start(arguments[2]);
    } else if (what == "grow" && count > 3) {
        std::vector<std::uint64_t> sizes;
        for (int i = 3; i < count; ++i) sizes.push_back(number(i));
        grow(std::filesystem::path(arguments[2]) / "grow.db", sizes);
    } else {
        fmt::print(stderr,
                   "ledger_scale settle FOLDER NODES LOCKS | usage FOLDER LOCKS | grow FOLDER ENTRIES... | "
                   "accounts FOLDER ACCOUNTS | start FILE\n");
        return 2;
    }
}
