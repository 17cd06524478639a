#include "sqlite/database.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include "sqlite/folder.h"
#include "sqlite/gathered_log.h"
#include "sqlite/writers.h"

namespace ee::sqlite {
namespace {

constexpr int busy_wait_ms = 5000;

tl::unexpected<Error> unavailable(sqlite3* database) {
    return fail("store_unavailable", sqlite3_errmsg(database));
}

}  // namespace

void Statement::Finalize::operator()(sqlite3_stmt* statement) const {
    sqlite3_finalize(statement);
}
void Database::Close::operator()(sqlite3* database) const {
    sqlite3_close_v2(database);
}

// Binding fails only for a wrong index or without memory; step() then reports the error.
Statement& Statement::bind(int index, std::string_view text) {
    sqlite3_bind_text64(statement_.get(), index, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
    return *this;
}

Statement& Statement::bind(int index, std::int64_t number) {
    sqlite3_bind_int64(statement_.get(), index, number);
    return *this;
}

Statement& Statement::bind(int index, ByteSpan blob) {
    sqlite3_bind_blob64(statement_.get(), index, blob.data(), blob.size(), SQLITE_TRANSIENT);
    return *this;
}

Statement& Statement::lend(int index, ByteSpan blob) {
    // Of no bytes the pointer may be null, which would bind NULL.
    const void* bytes = blob.empty() ? "" : static_cast<const void*>(blob.data());
    sqlite3_bind_blob64(statement_.get(), index, bytes, blob.size(), SQLITE_STATIC);
    return *this;
}

Statement& Statement::bind_null(int index) {
    sqlite3_bind_null(statement_.get(), index);
    return *this;
}

Result<bool> Statement::step() {
    switch (sqlite3_step(statement_.get())) {
        case SQLITE_ROW: return true;
        case SQLITE_DONE: return false;
        default: return unavailable(database_);
    }
}

Result<void> Statement::run() {
    Result<bool> row = step();
    while (row && *row) row = step();
    reset();
    if (!row) return fail(std::move(row.error()));
    return {};
}

void Statement::reset() {
    sqlite3_reset(statement_.get());
    sqlite3_clear_bindings(statement_.get());
}

std::string Statement::text(int column) const {
    const unsigned char* text = sqlite3_column_text(statement_.get(), column);
    if (text == nullptr) return {};
    return {reinterpret_cast<const char*>(text),
            static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

Bytes Statement::blob(int column) const {
    const auto* bytes = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_.get(), column));
    if (bytes == nullptr) return {};
    return {bytes, bytes + sqlite3_column_bytes(statement_.get(), column)};
}

std::string_view Statement::view(int column) const {
    const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_.get(), column));
    if (bytes == nullptr) return {};
    return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

std::int64_t Statement::number(int column) const {
    return sqlite3_column_int64(statement_.get(), column);
}
bool Statement::is_null(int column) const {
    return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

Result<Database> Database::open(const std::filesystem::path& file, Writers* writers, LogWrites log_writes) {
    // SQLite would make it readable for others, and would not see to it that the folder keeps it.
    if (auto made = make_file(file); !made) return fail(std::move(made.error()));
    sqlite3* opened = nullptr;
    const bool gathered = log_writes == LogWrites::gathered;
    const int code = sqlite3_open_v2(file.c_str(), &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX,
                                     gathered ? gathered_log_vfs() : nullptr);
    Database database(opened);
    if (code != SQLITE_OK) return unavailable(opened);
    sqlite3_extended_result_codes(opened, 1);
    sqlite3_busy_timeout(opened, busy_wait_ms);
    if (auto set = database.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"); !set)
        return fail("store_unavailable", fmt::format("{}: {}", file.string(), set.error().detail));
    if (gathered) {
        if (auto set = database.execute("PRAGMA cache_spill=OFF"); !set) return fail(std::move(set.error()));
    }
    if (writers != nullptr) {
        database.writers_ = writers;
        // Whoever commits first after the log has begun anew cuts off what is longer.
        const std::string kept = fmt::format("PRAGMA journal_size_limit={}", writers->log_bytes_kept());
        if (auto set = database.execute(kept); !set) return fail(std::move(set.error()));
        sqlite3_wal_hook(
            opened,
            [](void* told, sqlite3*, const char*, int pages) {
                static_cast<Writers*>(told)->log_has(pages);
                return SQLITE_OK;
            },
            writers);
    }
    return database;
}

Result<Database> Database::open_read_only(const std::filesystem::path& file) {
    sqlite3* opened = nullptr;
    const int code =
        sqlite3_open_v2(file.c_str(), &opened, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, nullptr);
    Database database(opened);
    if (code != SQLITE_OK)
        return fail("store_unavailable", fmt::format("{}: {}", file.string(), sqlite3_errmsg(opened)));
    sqlite3_extended_result_codes(opened, 1);
    sqlite3_busy_timeout(opened, busy_wait_ms);
    return database;
}

Result<void> Database::execute(const std::string& sql) {
    if (sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
        return unavailable(database_.get());
    return {};
}

std::int64_t Database::last_row() const {
    return sqlite3_last_insert_rowid(database_.get());
}
std::int64_t Database::changes() const {
    return sqlite3_changes64(database_.get());
}

Result<Statement> Database::prepare(std::string_view sql) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(database_.get(), sql.data(), static_cast<int>(sql.size()), &statement, nullptr) !=
        SQLITE_OK)
        return unavailable(database_.get());
    return Statement(database_.get(), statement);
}

DiskFault Database::disk_fault() const {
    switch (sqlite3_errcode(database_.get()) & 0xff) {
        case SQLITE_FULL: return DiskFault::full;
        case SQLITE_IOERR: return DiskFault::io;
        default: return DiskFault::none;
    }
}

}  // namespace ee::sqlite
