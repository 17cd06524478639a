#include "cli/relay.h"

#include <cerrno>
#include <cstring>
#include <poll.h>
#include <unistd.h>

#include <climits>
#include <sys/socket.h>

namespace ee::cli {
namespace {

constexpr std::size_t waiting_max = 256 * 1024;
constexpr std::size_t piece = 16 * 1024;

// Both directions of one connection.
class Relay {
public:
    Relay(SealedConnection& connection, const LocalEnd& local)
        : connection_(connection),
          tls_(connection.tls()),
          local_(local),
          to_local_(connection.take_received()) {}

    Result<void> run() {
        if (auto taken = take_plaintext(); !taken) return taken;  // Its end may have come already.
        while (!is_over()) {
            pollfd polled[3] = {{connection_.fd(), 0, 0}, {-1, POLLIN, 0}, {-1, POLLOUT, 0}};
            if (!remote_ended_ && to_local_.size() < waiting_max) polled[0].events |= POLLIN;
            if (!tls_.output().empty()) polled[0].events |= POLLOUT;
            if (!local_ended_ && tls_.output().size() < waiting_max) polled[1].fd = local_.in;
            if (!to_local_.empty()) polled[2].fd = local_.out;
            if (::poll(polled, 3, -1) < 0 && errno != EINTR)
                return fail("local_failed", std::strerror(errno));
            if (auto held = step(polled[0].revents, polled[1].revents, polled[2].revents); !held) return held;
        }
        return {};
    }

private:
    bool is_over() const {
        if (!remote_ended_ || !to_local_.empty()) return false;
        return !local_.is_socket || (local_ended_ && tls_.output().empty());
    }

    Result<void> step(int remote, int in, int out) {
        if ((remote & POLLOUT) != 0)
            if (auto sent = send_some(); !sent) return sent;
        if ((remote & (POLLIN | POLLHUP | POLLERR)) != 0 && !remote_ended_)
            if (auto read = read_remote(); !read) return read;
        if (in != 0)
            if (auto read = read_local(); !read) return read;
        if (out != 0)
            if (auto written = write_local(); !written) return written;
        return {};
    }

    Result<void> send_some() {
        const ssize_t count =
            ::send(connection_.fd(), tls_.output().data(), tls_.output().size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0 && errno != EAGAIN && errno != EINTR)
            return fail("connection_lost", std::strerror(errno));
        if (count > 0) tls_.output().erase(0, static_cast<std::size_t>(count));
        if (local_ended_ && tls_.output().empty()) ::shutdown(connection_.fd(), SHUT_WR);
        return {};
    }

    Result<void> read_remote() {
        char ciphertext[piece];
        const ssize_t count = ::recv(connection_.fd(), ciphertext, sizeof ciphertext, MSG_DONTWAIT);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) return {};
        if (count < 0) return fail("connection_lost", std::strerror(errno));
        if (count == 0)
            return fail("connection_lost", "it ended without close_notify: something may be missing");
        tls_.feed({ciphertext, static_cast<std::size_t>(count)});
        return take_plaintext();
    }

    Result<void> take_plaintext() {
        char plaintext[piece];
        for (;;) {
            const auto size = tls_.read(plaintext);
            if (!size && size.error().code == "tls_closed") {
                remote_ended_ = true;
                if (to_local_.empty()) end_local();
                break;
            }
            if (!size) return fail(size.error());
            if (*size == 0) break;
            to_local_.append(plaintext, *size);
        }
        tls_.feed({});
        return {};
    }

    Result<void> read_local() {
        char plaintext[piece];
        const ssize_t count = ::read(local_.in, plaintext, sizeof plaintext);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) return {};
        if (count < 0) return fail("local_failed", std::strerror(errno));
        if (count == 0) {
            local_ended_ = true;
            tls_.close();
            return {};
        }
        const auto taken = tls_.write({plaintext, static_cast<std::size_t>(count)});
        if (!taken) return fail(taken.error());
        return {};
    }

    // poll(2) says that so much does not block a pipe (pipe(7): PIPE_BUF).
    Result<void> write_local() {
        const std::size_t size =
            local_.is_socket ? to_local_.size() : std::min<std::size_t>(to_local_.size(), PIPE_BUF);
        const ssize_t count = local_.is_socket
                                  ? ::send(local_.out, to_local_.data(), size, MSG_NOSIGNAL | MSG_DONTWAIT)
                                  : ::write(local_.out, to_local_.data(), size);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) return {};
        if (count < 0) return fail("local_failed", std::strerror(errno));
        to_local_.erase(0, static_cast<std::size_t>(count));
        if (remote_ended_ && to_local_.empty()) end_local();
        return {};
    }

    void end_local() {
        if (local_.is_socket) ::shutdown(local_.out, SHUT_WR);
    }

    SealedConnection& connection_;
    net::TlsSession& tls_;
    const LocalEnd local_;
    std::string to_local_;
    bool local_ended_ = false;
    bool remote_ended_ = false;
};

}  // namespace

Result<void> relay(SealedConnection& connection, const LocalEnd& local) {
    return Relay(connection, local).run();
}

}  // namespace ee::cli
