#pragma once
// Looks names up, on workers: one look-up of a name at a time, for all who ask meanwhile.

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "net/intrusive_list.h"
#include "net/loop.h"
#include "net/worker_pool.h"

namespace ee::net {

// As connect(2) takes it.
struct SocketAddress {
    Bytes sockaddr;
    int family = 0;
};
using SocketAddresses = std::vector<SocketAddress>;

// Blocks, except for an address and for localhost. Refusal `no_address` with getaddrinfo's reason.
using LookUp = std::function<Result<SocketAddresses>(const std::string& host, std::uint16_t port)>;
Result<SocketAddresses> system_look_up(const std::string& host, std::uint16_t port);

// Belongs to the loop's thread. The loop must outlive the workers: what they run posts to it.
class Resolver {
public:
    // Waits until its one call, or until it is unlinked or gone.
    class Waiter : public ListNode {
    public:
        virtual void on_addresses(const Result<SocketAddresses>& found) = 0;

    protected:
        ~Waiter() = default;
    };

    // What was found serves who asks within `kept_time`; a failure serves those alone who wait for it.
    Resolver(Loop& loop, WorkerPool& workers, std::chrono::milliseconds kept_time = std::chrono::seconds(1),
             LookUp look_up = system_look_up);
    ~Resolver();
    Resolver(const Resolver&) = delete;
    Resolver& operator=(const Resolver&) = delete;

    // Never calls from within. How long to wait is the waiter's to bound. Refusals: the look-up's, and
    // `too_many_look_ups`, of other names.
    void find(const std::string& host, std::uint16_t port, Waiter& waiter);

private:
    using Name = std::pair<std::string, std::uint16_t>;
    struct Known {
        List<Waiter> waiting;
        bool is_sought = false;  // The call to those who wait is on its way.
        SocketAddresses addresses;
        MonoTime useless_at{};
    };
    void look_up(const Name& name);
    void looked_up(const Name& name, Result<SocketAddresses> found);
    void answer(const Name& name, const Result<SocketAddresses>& found);

    Loop& loop_;
    WorkerPool& workers_;
    const std::chrono::milliseconds kept_time_;
    const LookUp look_up_;
    std::map<Name, Known> known_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // For what ends late.
};

}  // namespace ee::net
