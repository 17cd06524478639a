#pragma once
// A blocking connection to whoever a URL names.

#include <cerrno>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "net/url.h"

namespace ee::cli {

// Owns a socket.
class Socket {
public:
    explicit Socket(int fd) : fd_(fd) {}
    ~Socket();
    Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    Socket& operator=(Socket&&) = delete;
    int fd() const { return fd_; }
    void stop_blocking() const;

private:
    int fd_;
};

// Calls again what a signal has interrupted: where a socket has a timeout, that is also SIGSTOP (signal(7)).
// On Linux a connect(2) that is called again waits for the first.
template <class Call>
auto uninterrupted(const Call& call) {
    auto result = call();
    while (result < 0 && errno == EINTR) result = call();
    return result;
}

// `timeout_s` bounds connecting, and each read and write after it. Refusal `unreachable`.
Result<Socket> connect_to(const net::Url& url, int timeout_s);

// That refusal, for what goes wrong later; where `what` is given, as `unreachable:<what>`.
tl::unexpected<Error> unreachable(const net::Url& url, std::string_view why, std::string_view what = "");

}  // namespace ee::cli
