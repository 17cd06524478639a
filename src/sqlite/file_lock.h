#pragma once
// A lock on a file that ends with the process, however it ends.

#include <filesystem>
#include <optional>
#include <utility>

#include "base/result.h"

namespace ee::sqlite {

class FileLock {
public:
    // Of the one server that writes this database: on `<database>.lock`, beside the file that its name leads
    // to. `store_locked` when another process holds it; `store_unavailable` when the lock cannot be made, or
    // the file has another name (a hard link), under which SQLite would keep another log.
    static Result<FileLock> take(const std::filesystem::path& database);
    // The same where there is a lock file already; nullopt where not: no server has written the database.
    static Result<std::optional<FileLock>> take_if_there(const std::filesystem::path& database);

    ~FileLock();
    FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
    FileLock& operator=(FileLock&&) = delete;

private:
    explicit FileLock(int descriptor) : descriptor_(descriptor) {}
    static Result<FileLock> take_file(const std::filesystem::path& file);

    int descriptor_;
};

}  // namespace ee::sqlite
