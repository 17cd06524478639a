#include "sqlite/folder.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <unistd.h>

#include <fmt/format.h>
#include <sys/stat.h>

#include "base/writable_folder.h"

namespace ee::sqlite {
namespace {

// What each database file begins with, once something was written (SQLite file format, section 1.3.1).
constexpr std::string_view magic("SQLite format 3\0", 16);

tl::unexpected<Error> cannot(std::string_view what, const std::filesystem::path& path) {
    return fail("store_unavailable",
                fmt::format("cannot {} {}: {}", what, path.string(), std::strerror(errno)));
}

}  // namespace

Result<void> sync_folder(const std::filesystem::path& folder) {
    const std::filesystem::path& path = folder.empty() ? "." : folder;
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return cannot("open folder", path);
    const int synced = ::fsync(descriptor);
    const int why = errno;
    ::close(descriptor);
    errno = why;
    if (synced != 0) return cannot("sync folder", path);
    return {};
}

Result<void> make_folders(const std::filesystem::path& folder) {
    if (folder.empty()) return {};
    struct stat status{};
    if (::stat(folder.c_str(), &status) == 0) return {};
    if (auto parent = make_folders(folder.parent_path()); !parent) return parent;
    if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return cannot("make folder", folder);
    return sync_folder(folder.parent_path());
}

Result<void> make_file(const std::filesystem::path& file) {
    const int made = ::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (made >= 0) {
        ::close(made);
        return sync_folder(file.parent_path());
    }
    if (errno != EEXIST || ::access(file.c_str(), R_OK | W_OK) != 0) return cannot("open", file);
    return {};
}

Result<void> check_file(const std::filesystem::path& file) {
    struct stat status{};
    if (::stat(file.c_str(), &status) == 0) {
        if (!S_ISREG(status.st_mode))
            return fail("store_unavailable",
                        file.string() + (S_ISDIR(status.st_mode) ? " is a folder" : " is no regular file"));
        if (::access(file.c_str(), R_OK | W_OK) != 0) return cannot("open", file);
        std::string begin(magic.size(), '\0');
        std::ifstream(file, std::ios::binary).read(begin.data(), std::ssize(begin));
        if (status.st_size > 0 && begin != magic)
            return fail("store_unavailable", file.string() + " is not an SQLite database");
    }
    return check_writable(file.parent_path());
}

}  // namespace ee::sqlite
