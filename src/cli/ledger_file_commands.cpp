#include "cli/ledger_file_commands.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <unistd.h>

#include <fmt/format.h>

#include "base/json_writer.h"
#include "base/printable.h"
#include "cli/leaf_words.h"
#include "ledger/ledger_check.h"
#include "ledger/sqlite/sqlite_reader.h"
#include "sqlite/backup.h"

namespace ee::cli {
namespace {

// After so many leaves a newer snapshot is read from: an old one would keep the server's log file growing.
constexpr std::uint64_t leaves_a_snapshot = 4096;

// What every file of SQLite begins with.
constexpr std::string_view database_magic{"SQLite format 3\0", 16};

int report(const Error& error, Context& context) {
    context.err << fmt::format("eectl: {}: {}\n", error.code, error.detail);
    // Of a file without a ledger, or with another version's, nothing is said.
    const bool is_judged = error.code != "no_ledger" && !error.code.starts_with("store_schema_");
    return is_judged ? exit_refused : exit_usage;
}

int refuse_file(std::string_view file, std::string_view why, Context& context) {
    context.err << fmt::format("eectl: {}: {}\n", printable(file), why);
    return exit_usage;
}

// Why there is no database to speak of; empty where there may be one.
std::string unreadable(const std::string& file) {
    std::error_code failed;
    if (std::filesystem::is_directory(file, failed)) return "it is a folder";
    if (::access(file.c_str(), R_OK) != 0) return std::strerror(errno);
    std::string begin(database_magic.size(), ' ');
    std::ifstream(file, std::ios::binary).read(begin.data(), static_cast<std::streamsize>(begin.size()));
    return begin == database_magic ? "" : "it is no database of SQLite";
}

}  // namespace

int run_ledger_check(const LedgerFileOptions& options, Context& context) {
    if (const std::string why = unreadable(options.database); !why.empty())
        return refuse_file(options.database, why, context);
    const auto reader = ledger::SqliteReader::open(options.database);
    if (!reader) return report(reader.error(), context);
    const ledger::CheckReport found = ledger::check_ledger(**reader, 0);
    if (options.json) {
        std::string line;
        JsonWriter json(line);
        json.begin_object().field("good", found.is_good()).field("leaves", found.leaves);
        json.field("accounts", found.accounts).field("held_locks", found.held_locks);
        json.key("findings").begin_array();
        for (const std::string& finding : found.findings) json.value(finding);
        json.end_array().end_object();
        context.out << line << '\n';
        return found.is_good() ? exit_good : exit_refused;
    }
    context.out << fmt::format("{} leaves, {} accounts, {} held locks\n", found.leaves, found.accounts,
                               found.held_locks);
    for (const std::string& finding : found.findings) context.out << printable(finding) << '\n';
    if (found.findings.size() == ledger::CheckReport::findings_max) context.out << "and maybe more\n";
    constexpr std::string_view good =
        "Leaves, tiles, checkpoints, entries, balances, held locks and settlements with their evidence\n"
        "agree with each other, and the log with itself about locks, usage and settlements. Other records\n"
        "were not compared.\n";
    context.out << (found.is_good() ? good : "The ledger is NOT what its log says.\n");
    return found.is_good() ? exit_good : exit_refused;
}

int run_ledger_export(const LedgerFileOptions& options, Context& context) {
    if (const std::string why = unreadable(options.database); !why.empty())
        return refuse_file(options.database, why, context);
    const auto reader = ledger::SqliteReader::open(options.database);
    if (!reader) return report(reader.error(), context);
    const std::uint64_t count = (*reader)->leaf_count();
    std::string line;
    for (std::uint64_t index = 0; index < count; ++index) {
        const auto bytes = (*reader)->leaf(index);
        if (!bytes) return report({"leaf_missing", fmt::format("leaf {} is not there", index)}, context);
        const auto leaf = ledger::decode_leaf(as_bytes(*bytes));
        if (!leaf)
            return report({leaf.error().code, fmt::format("leaf {}: {}", index, leaf.error().detail)},
                          context);
        line.clear();
        JsonWriter json(line);
        json.begin_object().field("leaf_index", index).key("leaf");
        write_leaf(json, *leaf);
        json.end_object();
        context.out << line << '\n';
        if (index % leaves_a_snapshot == leaves_a_snapshot - 1) (*reader)->end_reading();
    }
    return exit_good;
}

int run_ledger_backup(const LedgerFileOptions& options, Context& context) {
    std::error_code failed;
    if (std::filesystem::is_directory(options.to, failed))
        return refuse_file(options.to, "it is a folder: name the file that the copy is to be", context);
    if (const std::string why = unreadable(options.database); !why.empty())
        return refuse_file(options.database, why, context);
    const auto copied = sqlite::back_up(options.database, options.to);
    if (!copied) return report(copied.error(), context);
    // What can't be read is no backup.
    const auto reader = ledger::SqliteReader::open(options.to);
    if (!reader) return report(reader.error(), context);
    const std::uint64_t leaves = (*reader)->leaf_count();
    if (options.json)
        context.out << fmt::format("{{\"leaves\":{}}}\n", leaves);
    else
        context.out << fmt::format("{} holds the ledger with {} leaves\n", options.to, leaves);
    return exit_good;
}

}  // namespace ee::cli
