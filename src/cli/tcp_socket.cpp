#include "cli/tcp_socket.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <netdb.h>
#include <unistd.h>

#include <fmt/format.h>
#include <sys/socket.h>

#include "crypto/openssl.h"

namespace ee::cli {

Socket::~Socket() {
    if (fd_ >= 0) ::close(fd_);
}

void Socket::stop_blocking() const {
    ::fcntl(fd_, F_SETFL, ::fcntl(fd_, F_GETFL) | O_NONBLOCK);
}

tl::unexpected<Error> unreachable(const net::Url& url, std::string_view why, std::string_view what) {
    return fail(fmt::format("unreachable{}{}", what.empty() ? "" : ":", what),
                fmt::format("{}://{}: {}", url.scheme, url.authority(), why));
}

Result<Socket> connect_to(const net::Url& url, int timeout_s) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int looked_up = ::getaddrinfo(url.host.c_str(), std::to_string(url.port).c_str(), &hints, &found);
    if (looked_up != 0) return unreachable(url, ::gai_strerror(looked_up));
    const std::unique_ptr<addrinfo, crypto::FreeWith<::freeaddrinfo>> owner(found);
    int error = 0;
    for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
        Socket socket(
            ::socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC, address->ai_protocol));
        // The send timeout bounds connect(2) too (socket(7)).
        const timeval timeout{.tv_sec = timeout_s, .tv_usec = 0};
        ::setsockopt(socket.fd(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
        ::setsockopt(socket.fd(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
        const auto connect = [&] { return ::connect(socket.fd(), address->ai_addr, address->ai_addrlen); };
        if (uninterrupted(connect) == 0) return socket;
        error = errno == EINPROGRESS ? ETIMEDOUT : errno;
    }
    return unreachable(url, std::strerror(error));
}

}  // namespace ee::cli
