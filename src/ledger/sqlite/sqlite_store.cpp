#include "ledger/sqlite/sqlite_store.h"

#include <algorithm>
#include <ranges>
#include <span>

#include <fmt/format.h>

#include "base/big_endian.h"
#include "base/check.h"
#include "ledger/sqlite/appended_rows.h"
#include "ledger/sqlite/key_filter.h"
#include "ledger/sqlite/ledger_reads.h"
#include "ledger/sqlite/ledger_schema.h"
#include "ledger/sqlite/record_cache.h"
#include "ledger/tile.h"
#include "sqlite/transaction.h"

namespace ee::ledger {
namespace {

// In KiB. SQLite 3.40 goes through all of the cache in a commit that has split a page, as long as the file is
// smaller than 1 GiB; what is not in it is in the system's. Debian's SQLite overwrites what is deleted, which
// for the rows of ledger_recent is as much again as they were.
constexpr const char* settings_sql = "PRAGMA cache_size=-16384; PRAGMA secure_delete=OFF;";

// Entries are never changed nor erased: a trigger refuses another one under a key. Folded again, after a
// restart, is the same one.
std::string put_sql(Table table) {
    if (table == Table::entries)
        return "INSERT OR ROLLBACK INTO ledger_entries VALUES (?1, ?2) ON CONFLICT (key) DO NOTHING";
    return fmt::format(
        "INSERT INTO ledger_{} VALUES (?1, ?2) ON CONFLICT ({}) DO UPDATE SET value = excluded.value",
        to_word(table), key_column(table));
}

struct TableWrites {
    sqlite::Statement put;
    std::optional<sqlite::Statement> erase{};   // not of entries
    std::optional<sqlite::Statement> append{};  // where records are
};

Result<TableWrites> prepare_writes(sqlite::Database& database, Table table) {
    auto put = database.prepare(put_sql(table));
    if (!put) return fail(std::move(put.error()));
    TableWrites out{.put = std::move(*put)};
    if (is_appended(table)) {
        auto append = database.prepare(
            fmt::format("INSERT OR ROLLBACK INTO ledger_{} VALUES (?1, ?2)", to_word(table)));
        if (!append) return fail(std::move(append.error()));
        out.append = std::move(*append);
    }
    if (table == Table::entries) return out;
    auto erase = database.prepare(
        fmt::format("DELETE FROM ledger_{} WHERE {} = ?1", to_word(table), key_column(table)));
    if (!erase) return fail(std::move(erase.error()));
    out.erase = std::move(*erase);
    return out;
}

// Whether the table may have such a key.
bool lend_key(sqlite::Statement& statement, Table table, std::string_view key) {
    if (!is_appended(table)) return statement.lend(1, as_bytes(key)), true;
    const auto row = row_of(table, key);
    if (row) statement.bind(1, *row);
    return row.has_value();
}

// Of those that are folded into the tables later.
std::size_t count_records(const Changes& changes) {
    std::size_t count = 0;
    for_each_unappended(changes, [&](const auto&...) { ++count; });
    return count;
}

// Then a beginning of 12 bits has hundreds of keys, which are read at once.
constexpr std::uint64_t keys_for_longer_prefix = 1'000'000;
constexpr const char* count_answers_sql = "SELECT coalesce(max(number) + 1, 0) FROM ledger_answers";

Result<std::uint64_t> count(sqlite::Database& database, const char* sql) {
    auto statement = database.prepare(sql);
    if (!statement) return fail(std::move(statement.error()));
    if (const auto row = statement->step(); !row) return fail(row.error());
    return static_cast<std::uint64_t>(statement->number(0));
}

}  // namespace

class SqliteStore::Impl {
public:
    struct Statements {
        std::vector<TableWrites> tables;
        sqlite::Statement leaf, tile, recent, forget;
    };

    Impl(std::unique_ptr<sqlite::Database> opened, std::shared_ptr<RecentChanges> recent_changes,
         LedgerReads prepared_reads, Statements prepared_writes, const sqlite::Writers& those_of_the_file,
         std::uint64_t leaves, std::uint64_t answers)
        : database(std::move(opened)),
          recent(std::move(recent_changes)),
          reads(std::move(prepared_reads)),
          writes(std::move(prepared_writes)),
          writers(those_of_the_file),
          leaf_count(leaves),
          keys(answers > keys_for_longer_prefix ? 16 : 12) {}

    std::optional<std::string> get(Table table, std::string_view key) {
        if (table == Table::keys && !may_have_key(key)) return std::nullopt;
        RecordCache* const cache = cache_of(table);
        if (cache == nullptr) return reads.get(table, key);
        if (const std::string* known = cache->find(key)) return *known;
        auto record = reads.get(table, key);
        if (record) cache->add(key, *record);
        return record;
    }

    void commit(const Changes& changes) {
        if (stopped) throw StoreFailure(*stopped);
        stop_if_disk_failed();
        EE_CHECK(changes.leaves.empty() || changes.first_leaf == leaf_count);
        refuse_second_entries(changes.of(Table::entries));
        reads.forget_snapshot();
        auto transaction = sqlite::Transaction::begin(*database);
        if (!transaction) refuse_begin(transaction.error());
        std::string row = encode_changes(changes);
        run(writes.recent.bind(1, static_cast<std::int64_t>(recent->last() + 1)).lend(2, as_bytes(row)));
        write_log(changes);
        append_records(changes);
        const RecentChanges::Fold fold = recent->next_fold(count_records(changes));
        if (const auto folded = write_fold(fold); !folded) refuse(folded.error());
        recent->add(std::move(row));
        if (const auto committed = transaction->commit(); !committed)
            stop(failure_of(committed.error()).what());
        recent->committed(fold);
        for (const Table table : {Table::accounts, Table::tokens})
            for (const auto& [key, record] : changes.of(table)) cache_of(table)->changed(key, record);
        for (const auto& [key, record] : changes.of(Table::keys)) keys.add(key);
        leaf_count += changes.leaves.size();
        stop_if_disk_failed();  // Then what this commit has synced may be lost with what failed.
    }

    // Without it the next start has the rest in its memory, and goes on.
    Result<void> fold_all() {
        if (stopped || writers.disk_failure() || recent->last() == 0) return {};
        (void)database->execute("ROLLBACK");  // the snapshot, if there is one
        auto transaction = sqlite::Transaction::begin(*database);
        if (!transaction) return fail(std::move(transaction.error()));
        const std::string row = encode_changes({});
        auto numbered =
            writes.recent.bind(1, static_cast<std::int64_t>(recent->last() + 1)).lend(2, as_bytes(row)).run();
        if (!numbered) return numbered;
        if (auto folded = write_fold(recent->whole_fold()); !folded) return folded;
        return transaction->commit();
    }

    std::unique_ptr<sqlite::Database> database;  // where the statements know it
    std::shared_ptr<RecentChanges> recent;
    LedgerReads reads;
    Statements writes;
    const sqlite::Writers& writers;
    std::uint64_t leaf_count;
    std::optional<std::string> stopped;
    RecordCache accounts{16u << 20}, tokens{8u << 20};
    KeyFilter keys;

private:
    bool may_have_key(std::string_view key) {
        return keys.may_have(key, [&](std::string_view from, const auto& visit) {
            reads.scan(Table::keys, from,
                       [&](std::string_view seen, std::string_view) { return visit(seen); });
        });
    }

    // Of what nearly every command asks for.
    RecordCache* cache_of(Table table) {
        if (table == Table::accounts) return &accounts;
        return table == Table::tokens ? &tokens : nullptr;
    }

    void refuse_second_entries(const Changes::Records& entries) {
        for (const auto& [key, record] : entries) {
            EE_CHECK(record.has_value());
            if (reads.get(Table::entries, key))
                throw StoreFailure("cannot write the ledger: entries are never replaced");
        }
    }

    Result<void> write_fold(const RecentChanges::Fold& fold) {
        for (const auto& [table, key, record] : fold.records) {
            TableWrites& statements = writes.tables[static_cast<std::size_t>(table)];
            if (!record && !statements.erase)
                return fail("store_unavailable", "a row of ledger_recent erases an entry: it is damaged");
            sqlite::Statement& statement = record ? statements.put : *statements.erase;
            if (!lend_key(statement, table, key))
                return fail("store_unavailable",
                            fmt::format("a row of ledger_recent has a key that ledger_{} can't have: it is "
                                        "damaged",
                                        to_word(table)));
            if (record) statement.lend(2, as_bytes(*record));
            if (auto done = statement.run(); !done) return done;
        }
        if (fold.last_row == 0) return {};
        return writes.forget.bind(1, static_cast<std::int64_t>(fold.first_row))
            .bind(2, static_cast<std::int64_t>(fold.last_row))
            .run();
    }

    void write_log(const Changes& changes) {
        for (std::size_t first = 0; first < changes.leaves.size(); first += leaves_in_row_max) {
            const auto some = std::span(changes.leaves)
                                  .subspan(first)
                                  .first(std::min(leaves_in_row_max, changes.leaves.size() - first));
            std::string row;
            for (const std::string& leaf : some) append_counted(row, leaf);
            run(writes.leaf.bind(1, static_cast<std::int64_t>(changes.first_leaf + first))
                    .bind(2, static_cast<std::int64_t>(some.size()))
                    .lend(3, as_bytes(row)));
        }
        for (const NewTile& tile : changes.tiles)
            run(writes.tile.bind(1, static_cast<std::int64_t>(tile_number(tile.level, tile.index).value()))
                    .lend(2, as_bytes(tile.hashes)));
    }

    // In the order of their row numbers.
    void append_records(const Changes& changes) {
        for (std::size_t number = 0; number < table_count; ++number) {
            const auto table = static_cast<Table>(number);
            if (!is_appended(table)) continue;
            const Changes::Records& records = changes.of(table);
            if (is_newest_first(table))
                for (const auto& record : std::views::reverse(records)) append(table, record);
            else
                for (const auto& record : records) append(table, record);
        }
    }

    void append(Table table, const Changes::Records::value_type& appended) {
        const auto& [key, record] = appended;
        sqlite::Statement& statement = *writes.tables[static_cast<std::size_t>(table)].append;
        EE_CHECK(record.has_value() && lend_key(statement, table, key));
        run(statement.lend(2, as_bytes(*record)));
    }

    void run(sqlite::Statement& statement) {
        const auto done = statement.run();
        if (!done) refuse(done.error());
    }

    void stop_if_disk_failed() {
        if (const auto failed = writers.disk_failure()) stop(*failed);
    }
    StoreFailure failure_of(const Error& error) const {
        return store_failure("cannot write the ledger", error, *database);
    }
    // Before COMMIT nothing of the transaction counts; a disk that is full may be emptied.
    [[noreturn]] void refuse(const Error& error) {
        StoreFailure failure = failure_of(error);
        if (database->disk_fault() == sqlite::DiskFault::io) stop(failure.what());
        throw StoreFailure(failure);
    }
    [[noreturn]] void refuse_begin(const Error& error) {
        if (database->disk_fault() == sqlite::DiskFault::none) throw StoreBusy(failure_of(error).what());
        refuse(error);
    }
    // Whether a commit that failed is on the disk nobody knows: the file says.
    [[noreturn]] void stop(std::string_view why) {
        accounts.clear();
        tokens.clear();
        keys.clear();
        stopped = fmt::format("{}; the ledger is not written again before the server is restarted", why);
        throw StoreFailure(*stopped);
    }
};

SqliteStore::SqliteStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SqliteStore::~SqliteStore() {
    (void)impl_->fold_all();
}

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::filesystem::path& file,
                                                       sqlite::Writers& writers,
                                                       const RecentChanges::Limits& recent_limits) {
    auto opened = sqlite::Database::open(file, &writers, sqlite::LogWrites::gathered);
    if (!opened) return fail(std::move(opened.error()));
    auto database = std::make_unique<sqlite::Database>(std::move(*opened));
    if (auto set = database->execute(settings_sql); !set) return fail(std::move(set.error()));
    if (auto migrated = migrate_ledger(*database, file); !migrated) return fail(std::move(migrated.error()));
    const auto recent = std::make_shared<RecentChanges>(recent_limits);
    auto rows = database->prepare(recent_rows_sql);
    if (!rows) return fail(std::move(rows.error()));
    if (auto loaded = load_recent(*rows, *recent); !loaded) return fail(std::move(loaded.error()));
    auto reads = LedgerReads::prepare(*database, recent);
    if (!reads) return fail(std::move(reads.error()));
    auto leaf = database->prepare("INSERT OR ROLLBACK INTO ledger_leaves VALUES (?1, ?2, ?3)");
    if (!leaf) return fail(std::move(leaf.error()));
    auto tile = database->prepare("INSERT OR ROLLBACK INTO ledger_tiles VALUES (?1, ?2)");
    if (!tile) return fail(std::move(tile.error()));
    auto row = database->prepare("INSERT OR ROLLBACK INTO ledger_recent VALUES (?1, ?2)");
    if (!row) return fail(std::move(row.error()));
    auto forget = database->prepare("DELETE FROM ledger_recent WHERE number BETWEEN ?1 AND ?2");
    if (!forget) return fail(std::move(forget.error()));
    Impl::Statements statements{{}, std::move(*leaf), std::move(*tile), std::move(*row), std::move(*forget)};
    for (std::size_t table = 0; table < table_count; ++table) {
        auto writes = prepare_writes(*database, static_cast<Table>(table));
        if (!writes) return fail(std::move(writes.error()));
        statements.tables.push_back(std::move(*writes));
    }
    const auto leaves = count(*database, count_leaves_sql);
    if (!leaves) return fail(leaves.error());
    const auto answers = count(*database, count_answers_sql);
    if (!answers) return fail(answers.error());
    return std::unique_ptr<SqliteStore>(new SqliteStore(std::make_unique<Impl>(
        std::move(database), recent, std::move(*reads), std::move(statements), writers, *leaves, *answers)));
}

std::optional<std::string> SqliteStore::get(Table table, std::string_view key) const {
    return impl_->get(table, key);
}
void SqliteStore::scan(Table table, std::string_view from, const Visit& visit) const {
    impl_->reads.scan(table, from, visit);
}
std::uint64_t SqliteStore::leaf_count() const {
    return impl_->leaf_count;
}
std::optional<std::string> SqliteStore::leaf(std::uint64_t index) const {
    return impl_->reads.leaf(index);
}
std::optional<std::string> SqliteStore::tile(unsigned level, std::uint64_t index) const {
    return impl_->reads.tile(level, index);
}
void SqliteStore::commit(const Changes& changes) {
    impl_->commit(changes);
}
void SqliteStore::end_reading() const noexcept {
    impl_->reads.forget_snapshot();
}
std::shared_ptr<RecentChanges> SqliteStore::recent() const {
    return impl_->recent;
}

}  // namespace ee::ledger
