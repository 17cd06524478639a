#include "net/listener.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>

#include <netinet/in.h>
#include <sys/socket.h>

namespace ee::net {
namespace {

// Accepted in one turn before others run.
constexpr int accepts_per_turn = 16;
constexpr int backlog = 4096;

socklen_t fill_sockaddr(sockaddr_storage& storage, const IpAddress& ip, std::uint16_t port) {
    storage = {};
    if (ip.is_v4()) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        std::memcpy(&address.sin_addr, ip.bytes().data() + 12, 4);
        std::memcpy(&storage, &address, sizeof address);
        return sizeof address;
    }
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port);
    std::memcpy(&address.sin6_addr, ip.bytes().data(), 16);
    std::memcpy(&storage, &address, sizeof address);
    return sizeof address;
}

std::uint16_t port_of(const sockaddr_storage& storage) {
    if (storage.ss_family == AF_INET6) {
        sockaddr_in6 address;
        std::memcpy(&address, &storage, sizeof address);
        return ntohs(address.sin6_port);
    }
    sockaddr_in address;
    std::memcpy(&address, &storage, sizeof address);
    return ntohs(address.sin_port);
}

// A sockaddr_storage is what the sockets interface means by a sockaddr.
sockaddr* generic(sockaddr_storage& storage) {
    return reinterpret_cast<sockaddr*>(&storage);
}

// The socket, or what errno says of it.
tl::expected<Fd, int> bind_socket(const IpAddress& ip, std::uint16_t port) {
    sockaddr_storage storage;
    const socklen_t size = fill_sockaddr(storage, ip, port);
    Fd socket(::socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket) return tl::unexpected(errno);
    const int on = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(socket.get(), generic(storage), size) != 0) return tl::unexpected(errno);
    return socket;
}

tl::unexpected<Error> cannot_listen(const std::string& address, std::uint16_t port, const char* why) {
    return fail("bind_failed", "cannot listen on " + address + " port " + std::to_string(port) + ": " + why);
}

}  // namespace

Result<void> Listener::check(const std::string& address, std::uint16_t port) {
    const auto ip = IpAddress::parse(address);
    if (!ip) return cannot_listen(address, port, "not an IP address");
    const auto bound = bind_socket(*ip, port);
    if (bound || bound.error() == EADDRINUSE) return {};
    return cannot_listen(address, port, std::strerror(bound.error()));
}

Result<std::unique_ptr<Listener>> Listener::open(Loop& loop, const std::string& address, std::uint16_t port,
                                                 OnAccept on_accept) {
    const auto ip = IpAddress::parse(address);
    if (!ip) return cannot_listen(address, port, "not an IP address");
    auto made = bind_socket(*ip, port);
    if (!made) return cannot_listen(address, port, std::strerror(made.error()));
    Fd socket = *std::move(made);
    if (::listen(socket.get(), backlog) != 0) return cannot_listen(address, port, std::strerror(errno));
    sockaddr_storage storage;
    socklen_t bound = sizeof storage;
    ::getsockname(socket.get(), generic(storage), &bound);
    return std::unique_ptr<Listener>(
        new Listener(loop, std::move(socket), port_of(storage), std::move(on_accept)));
}

Listener::Listener(Loop& loop, Fd socket, std::uint16_t port, OnAccept on_accept)
    : loop_(loop),
      socket_(std::move(socket)),
      reserve_(::open("/dev/null", O_RDONLY | O_CLOEXEC)),
      port_(port),
      on_accept_(std::move(on_accept)),
      retry_(loop, [this] { accept_some(); }) {
    loop_.watch(socket_.get(), *this);
}

Listener::~Listener() {
    close();
}

void Listener::close() {
    unlink();
    retry_.cancel();
    if (!socket_) return;
    loop_.unwatch(socket_.get(), *this);
    socket_.reset();
}

void Listener::on_ready(std::uint32_t) {
    accept_some();
}
void Listener::on_deferred() {
    accept_some();
}

void Listener::accept_some() {
    for (int i = 0; i < accepts_per_turn && socket_; ++i) {
        sockaddr_storage storage{};
        socklen_t size = sizeof storage;
        Fd accepted(::accept4(socket_.get(), generic(storage), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (accepted) {
            on_accept_(std::move(accepted), {ip_of(storage), port_of(storage)});
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) return;
        if (errno == EINTR || errno == ECONNABORTED) continue;
        ++accept_failures_;
        drop_one();
        retry_.arm_after(std::chrono::milliseconds(100));
        return;
    }
    if (socket_) loop_.resume(*this);
}

// Out of descriptors: turn one visitor away rather than let it hang in the backlog.
void Listener::drop_one() {
    if (!reserve_) return;
    reserve_.reset();
    {
        const Fd turned_away(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    }
    reserve_ = Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

}  // namespace ee::net
