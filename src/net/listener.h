#pragma once
// Accepts TCP connections and hands each socket with its peer's address to a callback.

#include <functional>
#include <string>

#include "base/result.h"
#include "net/address.h"
#include "net/loop.h"

namespace ee::net {

class Listener final : Watcher, Deferred {
public:
    using OnAccept = std::function<void(Fd socket, const Endpoint& peer)>;

    // Port 0 lets the kernel choose. Refusal `bind_failed` names the address and the reason.
    static Result<std::unique_ptr<Listener>> open(Loop& loop, const std::string& address, std::uint16_t port,
                                                  OnAccept on_accept);
    // Whether open() could take the address, but for who may have it now: a server that runs already does.
    static Result<void> check(const std::string& address, std::uint16_t port);
    ~Listener();

    std::uint16_t port() const { return port_; }
    // Connections the kernel would not give us, for want of descriptors or memory.
    std::uint64_t accept_failures() const { return accept_failures_; }
    // Stops accepting; sockets already accepted are not touched.
    void close();

private:
    Listener(Loop& loop, Fd socket, std::uint16_t port, OnAccept on_accept);
    void on_ready(std::uint32_t events) override;
    void on_deferred() override;
    void accept_some();
    void drop_one();

    Loop& loop_;
    Fd socket_;
    Fd reserve_;  // Given up for a moment when descriptors run out, to turn a connection away.
    std::uint16_t port_;
    OnAccept on_accept_;
    Timer retry_;
    std::uint64_t accept_failures_ = 0;
};

}  // namespace ee::net
