#pragma once
// The other end of a connection, and a loop that runs until something has happened: for tests.

#include <chrono>
#include <fcntl.h>
#include <functional>
#include <string>
#include <utility>

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/check.h"
#include "net/loop.h"
#include "net/stream.h"

namespace ee::net {

// Runs the loop until `done` or the deadline; the answer is whether it was done.
inline bool run_until(Loop& loop, const std::function<bool()>& done,
                      std::chrono::milliseconds limit = std::chrono::seconds(10)) {
    const MonoTime deadline = std::chrono::steady_clock::now() + limit;
    bool in_time = true;
    std::function<void()> look = [&] {
        in_time = std::chrono::steady_clock::now() <= deadline;
        if (done() || !in_time) return loop.stop();
        loop.post(look);
    };
    loop.post(look);
    loop.run();
    return in_time;
}

// Runs the loop for so long: for what must not happen in that time.
inline void run_for(Loop& loop, std::chrono::milliseconds time) {
    Timer end(loop, [&] { loop.stop(); });
    end.arm_after(time);
    loop.run();
}

// Lets the loop take so many turns: for what must not happen.
inline void run_turns(Loop& loop, int turns) {
    run_until(loop, [&] { return turns-- == 0; });
}

// Two connected sockets of this process.
inline std::pair<Fd, Fd> socket_pair() {
    int fds[2];
    EE_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    return {Fd(fds[0]), Fd(fds[1])};
}

// A connection to a listener on 127.0.0.1: the kernel completes it before it is accepted.
// From a loopback address (127.0.0.0/8), where that matters.
inline Fd connect_to(std::uint16_t port, std::uint32_t from = INADDR_LOOPBACK) {
    Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(from);
    EE_CHECK(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EE_CHECK(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    EE_CHECK(::fcntl(socket.get(), F_SETFL, O_NONBLOCK) == 0);
    return socket;
}

// Writes down what comes.
struct Recorder : Stream::Handler {
    virtual ~Recorder() = default;
    void on_data(std::span<char> data) override { received.append(data.data(), data.size()); }
    void on_drained() override { ++drained; }
    void on_closed(const Error& why) override { closed = why.code; }

    std::string received;
    std::string closed;  // Empty while it is open.
    int drained = 0;
};

// A peer that speaks only when told to.
struct Peer : Recorder {
    Peer(Loop& loop, Fd socket, std::unique_ptr<TlsSession> tls = nullptr)
        : stream(loop, std::move(socket), *this, std::move(tls)) {
        stream.start();
    }
    void say(std::string_view bytes) { stream.write(bytes); }

    Stream stream;
};

// Says again what it hears.
struct Echo final : Recorder {
    void on_data(std::span<char> data) override {
        Recorder::on_data(data);
        if (echo != nullptr) echo->write({data.data(), data.size()});
    }

    Stream* echo = nullptr;
};

}  // namespace ee::net
