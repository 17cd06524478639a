#pragma once
// SQLite with results in place of codes. One thread at a time.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace ee::sqlite {

class Writers;

// A prepared statement. Failures are remembered: bind and step as if all went well, then ask.
class Statement {
public:
    Statement& bind(int index, std::string_view text);
    Statement& bind(int index, std::int64_t number);
    Statement& bind(int index, ByteSpan blob);
    Statement& bind_null(int index);
    // Not copied: the bytes stay as they are until run() or reset().
    Statement& lend(int index, ByteSpan blob);

    // True while there is a row. Refusals are `store_unavailable`.
    Result<bool> step();
    // Runs it to its end and makes it ready for the next time.
    Result<void> run();
    // Makes it ready for the next time, wherever it is.
    void reset();

    std::string text(int column) const;
    Bytes blob(int column) const;
    // Lives until the next step() or reset().
    std::string_view view(int column) const;
    std::int64_t number(int column) const;
    bool is_null(int column) const;

private:
    friend class Database;
    struct Finalize {
        void operator()(sqlite3_stmt* statement) const;
    };
    Statement(sqlite3* database, sqlite3_stmt* statement) : database_(database), statement_(statement) {}

    sqlite3* database_;
    std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// What the disk has to do with a refusal.
enum class DiskFault : std::uint8_t { none, full, io };

// How a transaction's pages come into the write-ahead log.
enum class LogWrites : std::uint8_t {
    one_by_one,
    gathered  // at once (gathered_log.h), for commits of many pages; meanwhile they stay in memory
};

class Database {
public:
    // Makes the file (mode 0600) if need be; write-ahead log, every commit on disk before it is answered.
    // `writers`, which outlive it: those of this process that share the file; null where it is the only one.
    static Result<Database> open(const std::filesystem::path& file, Writers* writers = nullptr,
                                 LogWrites log_writes = LogWrites::one_by_one);
    // Beside whoever writes it. The file is not changed and must be there.
    static Result<Database> open_read_only(const std::filesystem::path& file);

    Result<void> execute(const std::string& sql);
    Result<Statement> prepare(std::string_view sql);
    // The row inserted last, and how many the last statement changed.
    std::int64_t last_row() const;
    std::int64_t changes() const;

    // Of the refusal that came last.
    DiskFault disk_fault() const;

private:
    friend class Transaction;
    friend Result<void> back_up(const std::filesystem::path& file, const std::filesystem::path& to);
    struct Close {
        void operator()(sqlite3* database) const;
    };
    explicit Database(sqlite3* database) : database_(database) {}

    std::unique_ptr<sqlite3, Close> database_;
    Writers* writers_ = nullptr;
};

}  // namespace ee::sqlite
