#include "ledger/sqlite/ledger_reads.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/big_endian.h"
#include "base/check.h"
#include "ledger/sqlite/appended_rows.h"
#include "ledger/tile.h"

namespace ee::ledger {
namespace {

// The leaf at that place of the row; nullopt: the row ends before.
std::optional<std::string> leaf_in(std::string_view row, std::uint64_t place) {
    auto leaf = take_counted(row);
    for (; leaf && place > 0; --place) leaf = take_counted(row);
    return leaf ? std::optional<std::string>(*leaf) : std::nullopt;
}

// Recent changes one by one, taken from there more and more at once: most scans end soon.
class RecentScan {
public:
    RecentScan(const RecentChanges& recent, Table table, std::string_view from, std::uint64_t as_of)
        : recent_(recent),
          table_(table),
          as_of_(as_of),
          taken_(recent.scan(table, RecentChanges::Start::from, from, 1, as_of)) {}

    // Null at the end.
    const RecentChanges::Change* now() const { return at_ < taken_.size() ? &taken_[at_] : nullptr; }
    void next() {
        if (++at_ < taken_.size()) return;
        at_once_ = std::min(2 * at_once_, at_once_max);
        taken_ = recent_.scan(table_, RecentChanges::Start::after, std::string(taken_.back().key), at_once_,
                              as_of_);
        at_ = 0;
    }

private:
    static constexpr std::size_t at_once_max = 64;

    const RecentChanges& recent_;
    const Table table_;
    const std::uint64_t as_of_;
    std::size_t at_once_ = 1;
    std::vector<RecentChanges::Change> taken_;
    std::size_t at_ = 0;
};

}  // namespace

StoreFailure store_failure(std::string_view doing, const Error& error, const sqlite::Database& database) {
    std::string_view remedy;
    switch (database.disk_fault()) {
        case sqlite::DiskFault::full: remedy = "; free space on the file system of EE_DB_PATH"; break;
        case sqlite::DiskFault::io:
            remedy =
                "; look at the kernel's log for the disk, and at the limits of the file system of EE_DB_PATH";
            break;
        case sqlite::DiskFault::none: break;
    }
    return StoreFailure(fmt::format("{}: {}{}", doing, error.detail, remedy));
}

Result<void> load_recent(sqlite::Statement& rows, RecentChanges& recent) {
    Result<void> loaded;
    while (loaded) {
        const auto row = rows.step();
        if (!row) loaded = fail(row.error());
        if (!row || !*row) break;
        loaded = recent.load(static_cast<std::uint64_t>(rows.number(0)), std::string(rows.view(1)));
    }
    rows.reset();
    return loaded;
}

Result<LedgerReads> LedgerReads::prepare(sqlite::Database& database, std::shared_ptr<RecentChanges> recent) {
    auto begin = database.prepare("BEGIN"), end = database.prepare("ROLLBACK");
    auto last_commit = database.prepare("SELECT coalesce(max(number), 0) FROM ledger_recent");
    auto rows = database.prepare(recent_rows_sql);
    auto leaf_count = database.prepare(count_leaves_sql);
    auto leaf = database.prepare(
        "SELECT first_leaf, leaf_count, leaves FROM ledger_leaves WHERE first_leaf <= ?1 "
        "ORDER BY first_leaf DESC LIMIT 1");
    auto tile = database.prepare("SELECT hashes FROM ledger_tiles WHERE number = ?1");
    for (auto* statement : {&begin, &end, &last_commit, &rows, &leaf_count, &leaf, &tile})
        if (!*statement) return fail(std::move(statement->error()));
    LedgerReads out(database,
                    {std::move(*begin), std::move(*end), std::move(*last_commit), std::move(*rows),
                     std::move(*leaf_count), std::move(*leaf), std::move(*tile)},
                    std::move(recent));
    for (std::size_t table = 0; table < table_count; ++table) {
        auto get = database.prepare(fmt::format("SELECT value FROM ledger_{} WHERE {} = ?1",
                                                to_word(static_cast<Table>(table)),
                                                key_column(static_cast<Table>(table))));
        if (!get) return fail(std::move(get.error()));
        out.gets_.push_back(std::move(*get));
    }
    return out;
}

bool LedgerReads::step(sqlite::Statement& statement) {
    const auto row = statement.step();
    if (row) return *row;
    StoreFailure failure = store_failure("cannot read the ledger", row.error(), *database_);
    statement.reset();
    throw StoreFailure(failure);
}

// All of it or nothing: who fails here tries anew with the next read.
void LedgerReads::take_snapshot() {
    if (hold_) return;
    hold_ = std::make_unique<RecentChanges::Hold>(*recent_);
    struct Forget {
        void operator()(LedgerReads* reads) const { reads->forget_snapshot(); }
    };
    std::unique_ptr<LedgerReads, Forget> unless_taken(this);
    step(statements_.begin);
    statements_.begin.reset();
    read_last_commit();
    (void)unless_taken.release();
}

// A transaction that reads takes its snapshot with this first read.
void LedgerReads::read_last_commit() {
    as_of_ = static_cast<std::uint64_t>(only_number(statements_.last_commit));
    if (shares_recent_ || recent_->last() == as_of_) return;
    hold_.reset();
    recent_->clear();
    const auto loaded = load_recent(statements_.recent, *recent_);
    hold_ = std::make_unique<RecentChanges::Hold>(*recent_);
    if (!loaded) throw store_failure("cannot read the ledger", loaded.error(), *database_);
}

// The transaction has changed nothing; where a failure has ended it already, there is nothing to do.
void LedgerReads::forget_snapshot() noexcept {
    EE_CHECK(scans_ == 0);
    if (!hold_) return;
    (void)statements_.end.run();
    hold_.reset();
}

std::int64_t LedgerReads::only_number(sqlite::Statement& statement) {
    step(statement);
    const std::int64_t number = statement.number(0);
    statement.reset();
    return number;
}

std::optional<std::string> LedgerReads::only_value(sqlite::Statement& statement) {
    std::optional<std::string> value;
    if (step(statement)) value = statement.view(0);
    statement.reset();
    return value;
}

std::optional<std::string> LedgerReads::get(Table table, std::string_view key) {
    take_snapshot();
    if (auto change = recent_->find(table, key, as_of_)) return std::move(change->record);
    sqlite::Statement& statement = gets_[static_cast<std::size_t>(table)];
    if (!is_appended(table)) return only_value(statement.lend(1, as_bytes(key)));
    const auto row = row_of(table, key);
    return row ? only_value(statement.bind(1, *row)) : std::nullopt;
}

class LedgerReads::Scanning {
public:
    Scanning(LedgerReads& reads, Table table, std::string_view from)
        : reads_(reads),
          table_(table),
          idle_(reads.idle_scans_[static_cast<std::size_t>(table)]),
          statement_(take()) {
        ++reads_.scans_;
        if (!is_appended(table)) {
            statement_.lend(1, as_bytes(from));
        } else if (const auto row = first_row_of(table, from)) {
            statement_.bind(1, *row);
        } else {
            statement_.bind_null(1);  // which no row compares to
        }
    }
    ~Scanning() {
        --reads_.scans_;
        statement_.reset();
        idle_.push_back(std::move(statement_));
    }
    Scanning(const Scanning&) = delete;
    Scanning& operator=(const Scanning&) = delete;

    bool next() {
        if (!reads_.step(statement_)) return false;
        if (is_appended(table_)) key_ = key_of(table_, statement_.number(0));
        return true;
    }
    // Until next().
    std::string_view key() const { return is_appended(table_) ? key_ : statement_.view(0); }
    std::string_view record() const { return statement_.view(1); }

private:
    sqlite::Statement take() {
        if (!idle_.empty()) {
            sqlite::Statement statement = std::move(idle_.back());
            idle_.pop_back();
            return statement;
        }
        const std::string_view column = key_column(table_);
        auto made = reads_.database_->prepare(
            fmt::format("SELECT {0}, value FROM ledger_{1} WHERE {0} {2}", column, to_word(table_),
                        is_newest_first(table_) ? "<= ?1 ORDER BY number DESC"
                                                : fmt::format(">= ?1 ORDER BY {}", column)));
        if (!made) throw store_failure("cannot read the ledger", made.error(), *reads_.database_);
        return std::move(*made);
    }

    LedgerReads& reads_;
    const Table table_;
    std::vector<sqlite::Statement>& idle_;
    sqlite::Statement statement_;
    std::string key_;  // of a table that is appended to
};

void LedgerReads::scan(Table table, std::string_view from, const Store::Visit& visit) {
    take_snapshot();
    Scanning rows(*this, table, from);
    bool has_row = rows.next();
    RecentScan changes(*recent_, table, from, as_of_);
    while (has_row || changes.now()) {
        if (!changes.now() || (has_row && rows.key() < changes.now()->key)) {
            if (!visit(rows.key(), rows.record())) return;
            has_row = rows.next();
            continue;
        }
        if (has_row && rows.key() == changes.now()->key) has_row = rows.next();
        if (changes.now()->record && !visit(changes.now()->key, *changes.now()->record)) return;
        changes.next();
    }
}

std::uint64_t LedgerReads::leaf_count() {
    take_snapshot();
    return static_cast<std::uint64_t>(only_number(statements_.leaf_count));
}

// Rows of leaves stay as they are, whatever the snapshot: the last one that was read is kept for its other
// leaves.
std::optional<std::string> LedgerReads::leaf(std::uint64_t index) {
    if (!leaves_.has(index)) {
        take_snapshot();
        sqlite::Statement& row = statements_.leaf.bind(1, static_cast<std::int64_t>(index));
        leaves_ = {};
        if (step(row))
            leaves_ = {.first = static_cast<std::uint64_t>(row.number(0)),
                       .count = static_cast<std::uint64_t>(row.number(1)),
                       .bytes = std::string(row.view(2))};
        row.reset();
    }
    if (!leaves_.has(index)) return std::nullopt;
    auto leaf = leaf_in(leaves_.bytes, index - leaves_.first);
    if (!leaf) throw StoreFailure("a row of leaves is shorter than they are");
    return leaf;
}

std::optional<std::string> LedgerReads::tile(unsigned level, std::uint64_t index) {
    const auto number = tile_number(level, index);
    if (!number) return std::nullopt;
    take_snapshot();
    return only_value(statements_.tile.bind(1, static_cast<std::int64_t>(*number)));
}

}  // namespace ee::ledger
