#include "net/connector.h"

#include <cerrno>
#include <cstring>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace ee::net {
namespace {

// Before a Unix socket is tried again whose queue of connections is full.
constexpr std::chrono::milliseconds full_queue_pause{10};

}  // namespace

Connector::Connector(Loop& loop, Resolver& resolver)
    : loop_(loop),
      resolver_(resolver),
      deadline_(loop,
                [this] {
                    finish(fail(std::string(connect_timed_out),
                                target_ + ": no connection in time" +
                                    (last_error_.empty() ? "" : "; last: " + last_error_)));
                }),
      again_(loop, [this] { try_next(); }) {}

Connector::~Connector() {
    cancel();
}

void Connector::cancel() {
    if (alive_) *alive_ = false;
    alive_.reset();
    unlink();  // From those who wait for a name.
    deadline_.cancel();
    again_.cancel();
    drop_socket();
    on_done_ = nullptr;
}

void Connector::connect(const Url& url, std::chrono::nanoseconds timeout, OnDone on_done) {
    cancel();
    on_done_ = std::move(on_done);
    target_ = url.is_unix() ? "unix:" + url.host : url.host + ":" + std::to_string(url.port);
    targets_.clear();
    next_ = 0;
    last_error_.clear();
    deadline_.arm_after(timeout);
    if (!url.is_unix()) return resolver_.find(url.host, url.port, *this);

    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, url.host.c_str(), url.host.size() + 1);
    SocketAddress& target = targets_.emplace_back(SocketAddress{Bytes(sizeof address), AF_UNIX});
    std::memcpy(target.sockaddr.data(), &address, sizeof address);
    alive_ = std::make_shared<bool>(true);
    loop_.post([this, alive = alive_] {
        if (*alive) try_next();
    });
}

void Connector::on_addresses(const Result<SocketAddresses>& found) {
    if (found)
        targets_ = *found;
    else
        last_error_ = found.error().detail;
    try_next();
}

void Connector::try_next() {
    while (next_ < targets_.size()) {
        const SocketAddress& target = targets_[next_++];
        socket_ = Fd(::socket(target.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        if (!socket_) {
            last_error_ = std::strerror(errno);
            continue;
        }
        const auto* address = reinterpret_cast<const sockaddr*>(target.sockaddr.data());
        if (::connect(socket_.get(), address, static_cast<socklen_t>(target.sockaddr.size())) == 0)
            return finish(std::move(socket_));
        if (errno == EINPROGRESS) return loop_.watch(socket_.get(), *this);
        const int error = errno;
        socket_.reset();
        // Nobody says when there is room: where TCP sends its SYN again, AF_UNIX leaves that to us.
        if (error == EAGAIN && target.family == AF_UNIX) {
            last_error_ = "its queue of connections is full";
            --next_;
            return again_.arm_after(full_queue_pause);
        }
        last_error_ = std::strerror(error);
    }
    finish(fail("connect_failed", target_ + ": " + (last_error_.empty() ? "no address" : last_error_)));
}

void Connector::on_ready(std::uint32_t) {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error == 0) {
        loop_.unwatch(socket_.get(), *this);
        return finish(std::move(socket_));
    }
    last_error_ = std::strerror(error);
    drop_socket();
    try_next();
}

void Connector::drop_socket() {
    if (!socket_) return;
    loop_.unwatch(socket_.get(), *this);
    socket_.reset();
}

void Connector::finish(Result<Fd> result) {
    OnDone done = std::move(on_done_);
    cancel();
    if (done) done(std::move(result));
}

}  // namespace ee::net
