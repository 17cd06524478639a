#include "sqlite/folder.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>
#include <sys/stat.h>

namespace ee::sqlite {
namespace {

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

}  // namespace ee::sqlite
