#include "telemetry/output.h"

#include <cerrno>
#include <poll.h>
#include <unistd.h>

#include <sys/stat.h>

namespace ee::telemetry {

bool is_pipe_or_socket(int fd) {
    struct stat status;
    return ::fstat(fd, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode));
}

bool is_writable(int fd) {
    pollfd entry{.fd = fd, .events = POLLOUT, .revents = 0};
    return ::poll(&entry, 1, 0) == 1 && (entry.revents & POLLOUT) != 0;
}

std::size_t write_some(int fd, std::string_view text) {
    for (;;) {
        const ssize_t written = ::write(fd, text.data(), text.size());
        if (written >= 0) return static_cast<std::size_t>(written);
        if (errno != EINTR) return 0;
    }
}

}  // namespace ee::telemetry
