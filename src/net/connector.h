#pragma once
// Opens an outbound connection: name look-up, then each address in turn, all within one deadline.
// A Unix socket whose queue of connections is full is tried again until then.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "net/url.h"

namespace ee::net {

inline constexpr std::string_view connect_timed_out = "connect_timed_out";

class Connector final : Watcher, Resolver::Waiter {
public:
    // The callback comes once, never from within connect(), and not at all after cancel(). Refusals name the
    // target and the last reason: `connect_failed`, and connect_timed_out at the deadline.
    using OnDone = std::function<void(Result<Fd>)>;

    Connector(Loop& loop, Resolver& resolver);
    ~Connector();

    void connect(const Url& url, std::chrono::nanoseconds timeout, OnDone on_done);
    void cancel();
    bool busy() const { return static_cast<bool>(on_done_); }

private:
    void on_addresses(const Result<SocketAddresses>& found) override;
    void try_next();
    void on_ready(std::uint32_t events) override;
    void drop_socket();
    void finish(Result<Fd> result);

    Loop& loop_;
    Resolver& resolver_;
    Timer deadline_;
    Timer again_;
    std::shared_ptr<bool> alive_;  // For the turn before a Unix socket is tried.
    OnDone on_done_;
    std::string target_;
    SocketAddresses targets_;
    std::size_t next_ = 0;
    Fd socket_;
    std::string last_error_;
};

}  // namespace ee::net
