#include "base/replace_file.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <unistd.h>

namespace ee {
namespace {

bool write_all(int file, std::string_view text) {
    while (!text.empty()) {
        const ssize_t count = ::write(file, text.data(), text.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        text.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
}

}  // namespace

Result<void> replace_file(const std::filesystem::path& file, std::string_view text, mode_t mode) {
    const std::string fresh = file.string() + ".new";
    const auto refuse = [&] {
        const std::string why = std::strerror(errno);
        ::unlink(fresh.c_str());
        return fail("file_unwritable", file.string() + ": " + why);
    };
    ::unlink(fresh.c_str());
    const int made = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (made < 0) return refuse();
    const bool synced = write_all(made, text) && ::fsync(made) == 0;
    const int why = errno;
    const bool closed = ::close(made) == 0;
    if (!synced) errno = why;
    if (!synced || !closed || ::rename(fresh.c_str(), file.c_str()) != 0) return refuse();
    return {};
}

}  // namespace ee
