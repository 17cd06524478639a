#include "sqlite/file_lock.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>
#include <sys/file.h>

namespace ee::sqlite {
namespace {

// The process id that the holder wrote; for the operator's eyes only.
std::string holder_of(int descriptor) {
    std::array<char, 32> text{};
    const ssize_t size = ::pread(descriptor, text.data(), text.size(), 0);
    return size > 0 ? std::string(text.data(), static_cast<std::size_t>(size)) : "unknown";
}

// SQLite follows symbolic links, too.
Result<std::filesystem::path> lock_of(const std::filesystem::path& database) {
    std::error_code failed;
    std::filesystem::path file = std::filesystem::weakly_canonical(database, failed);
    if (failed)
        return fail("store_unavailable",
                    fmt::format("cannot find {}: {}", database.string(), failed.message()));
    if (const auto names = std::filesystem::hard_link_count(file, failed); !failed && names > 1)
        return fail(
            "store_unavailable",
            fmt::format("{} has {} names (hard links), and SQLite keeps a log for each: take the others "
                        "away, or copy the file",
                        file.string(), names));
    file += ".lock";
    return file;
}

}  // namespace

Result<FileLock> FileLock::take(const std::filesystem::path& database) {
    const auto file = lock_of(database);
    if (!file) return fail(file.error());
    return take_file(*file);
}

Result<std::optional<FileLock>> FileLock::take_if_there(const std::filesystem::path& database) {
    const auto file = lock_of(database);
    if (!file) return fail(file.error());
    std::error_code failed;
    if (!std::filesystem::exists(*file, failed)) return std::nullopt;
    auto lock = take_file(*file);
    if (!lock) return fail(std::move(lock.error()));
    return std::optional<FileLock>(std::move(*lock));
}

Result<FileLock> FileLock::take_file(const std::filesystem::path& file) {
    const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0)
        return fail("store_unavailable",
                    fmt::format("cannot open {}: {}", file.string(), std::strerror(errno)));
    FileLock lock(descriptor);
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0)
        return fail("store_locked", fmt::format("{} is held by another server (process {})", file.string(),
                                                holder_of(descriptor)));
    const std::string self = std::to_string(::getpid());
    if (::ftruncate(descriptor, 0) != 0 || ::pwrite(descriptor, self.data(), self.size(), 0) < 0)
        return fail("store_unavailable",
                    fmt::format("cannot write {}: {}", file.string(), std::strerror(errno)));
    return lock;
}

FileLock::~FileLock() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace ee::sqlite
