#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "ledger/sqlite/recent_changes.h"
#include "ledger/store.h"
#include "sqlite/database.h"

namespace ee::ledger {

// What StoreFailure says of `error`, which came last of `database`: for a disk that is full or broken, what
// to do, too.
StoreFailure store_failure(std::string_view doing, const Error& error, const sqlite::Database& database);

// Leaves lie in rows of at most so many, in their order, each as append_counted() puts it.
inline constexpr std::size_t leaves_in_row_max = 64;
inline constexpr const char* count_leaves_sql =
    "SELECT coalesce((SELECT first_leaf + leaf_count FROM ledger_leaves ORDER BY first_leaf DESC LIMIT 1), "
    "0)";
inline constexpr const char* recent_rows_sql = "SELECT number, changes FROM ledger_recent ORDER BY number";
// All rows of that statement, which is ready for the next time then. `store_unavailable`.
Result<void> load_recent(sqlite::Statement& rows, RecentChanges& recent);

// The ledger's tables read through one connection, all from one snapshot: the file as it was at the first
// read since forget_snapshot(). Meanwhile the write-ahead log keeps what the snapshot needs.
class LedgerReads {
public:
    // `database` must outlive it. `recent`: what the writer keeps of that file; null, for who is not of its
    // process: each snapshot's is read from the file. `store_unavailable`.
    static Result<LedgerReads> prepare(sqlite::Database& database, std::shared_ptr<RecentChanges> recent);

    // As Store says; StoreFailure.
    std::optional<std::string> get(Table table, std::string_view key);
    void scan(Table table, std::string_view from, const Store::Visit& visit);
    std::uint64_t leaf_count();
    std::optional<std::string> leaf(std::uint64_t index);
    std::optional<std::string> tile(unsigned level, std::uint64_t index);

    // Not within a scan.
    void forget_snapshot() noexcept;

private:
    struct Statements {
        sqlite::Statement begin, end, last_commit, recent, leaf_count, leaf, tile;
    };
    struct LeafRow {
        bool has(std::uint64_t index) const { return index >= first && index - first < count; }

        std::uint64_t first = 0, count = 0;
        std::string bytes{};
    };
    LedgerReads(sqlite::Database& database, Statements statements, std::shared_ptr<RecentChanges> recent)
        : database_(&database),
          statements_(std::move(statements)),
          shares_recent_(recent != nullptr),
          recent_(recent ? std::move(recent) : std::make_shared<RecentChanges>(RecentChanges::Limits{})) {}

    void take_snapshot();
    void read_last_commit();
    std::int64_t only_number(sqlite::Statement& statement);
    bool step(sqlite::Statement& statement);
    std::optional<std::string> only_value(sqlite::Statement& statement);
    // Puts a statement back when the scan is over, however it ends.
    class Scanning;

    sqlite::Database* database_;
    Statements statements_;
    std::vector<sqlite::Statement> gets_;                                 // by table
    std::array<std::vector<sqlite::Statement>, table_count> idle_scans_;  // those no scan is using
    bool shares_recent_;
    std::shared_ptr<RecentChanges> recent_;
    std::unique_ptr<RecentChanges::Hold> hold_;  // while there is a snapshot
    LeafRow leaves_;
    std::uint64_t as_of_ = 0;  // the commit the snapshot ends with
    int scans_ = 0;
};

}  // namespace ee::ledger
