#include "sqlite/backup.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include "sqlite/database.h"
#include "sqlite/file_lock.h"
#include "sqlite/folder.h"

namespace ee::sqlite {
namespace {

Result<void> copy(sqlite3* from, const std::filesystem::path& to) {
    sqlite3* target = nullptr;
    int code = sqlite3_open_v2(to.c_str(), &target, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
    const std::unique_ptr<sqlite3, int (*)(sqlite3*)> owner(target, sqlite3_close_v2);
    if (code == SQLITE_OK) {
        sqlite3_backup* backup = sqlite3_backup_init(target, "main", from, "main");
        // In one step, so in one read transaction: what is written meanwhile does not begin it anew.
        if (backup != nullptr) sqlite3_backup_step(backup, -1);
        code = backup == nullptr ? sqlite3_errcode(target) : sqlite3_backup_finish(backup);
    }
    // Without a log who may only read it needs to make no file beside it; a server gives it one again.
    if (code == SQLITE_OK)
        code = sqlite3_exec(target, "PRAGMA journal_mode=DELETE", nullptr, nullptr, nullptr);
    if (code == SQLITE_OK) return {};
    return fail("store_unavailable",
                fmt::format("cannot copy the database to {}: {}", to.string(), sqlite3_errstr(code)));
}

// Whether a copy may take this place. A lock that it has is held meanwhile.
Result<std::optional<FileLock>> take_place(const std::filesystem::path& file,
                                           const std::filesystem::path& to) {
    std::error_code failed;
    if (std::filesystem::equivalent(file, to, failed))
        return fail("store_unavailable",
                    fmt::format("{} is the database itself, not a place for its copy", to.string()));
    auto lock = FileLock::take_if_there(to);
    if (!lock) return lock;
    std::filesystem::path log = to;
    log += "-wal";
    if (const auto size = std::filesystem::file_size(log, failed); !failed && size > 0)
        return fail(
            "store_unavailable",
            fmt::format("{} belongs to a database at {} that is in use, or was until a crash: name another "
                        "file for the copy",
                        log.string(), to.string()));
    return lock;
}

}  // namespace

Result<void> back_up(const std::filesystem::path& file, const std::filesystem::path& to) {
    const auto place = take_place(file, to);
    if (!place) return fail(place.error());
    auto source = Database::open_read_only(file);
    if (!source) return fail(std::move(source.error()));
    std::filesystem::path unfinished = to;
    unfinished += ".unfinished";
    std::error_code failed;
    std::filesystem::remove(unfinished, failed);
    if (auto made = make_file(unfinished); !made) return made;
    auto copied = copy(source->database_.get(), unfinished);
    if (copied) {
        std::filesystem::rename(unfinished, to, failed);
        if (!failed) return sync_folder(to.parent_path());
        copied = fail("store_unavailable", fmt::format("cannot rename {} to {}: {}", unfinished.string(),
                                                       to.string(), failed.message()));
    }
    std::filesystem::remove(unfinished, failed);
    return copied;
}

}  // namespace ee::sqlite
