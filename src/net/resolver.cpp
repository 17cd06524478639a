#include "net/resolver.h"

#include <netdb.h>
#include <string_view>

#include <sys/socket.h>

#include "base/ip_address.h"

namespace ee::net {
namespace {

constexpr std::string_view localhost = "localhost";

// An address needs no look-up and so no worker. Nor does localhost, which is this machine whatever a hosts
// file or a name server says (RFC 6761 section 6.3): Url::is_loopback() relies on it.
bool is_literal(const std::string& host) {
    return host == localhost || IpAddress::parse(host).has_value();
}

}  // namespace

Result<SocketAddresses> system_look_up(const std::string& host, std::uint16_t port) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV | (is_literal(host) ? AI_NUMERICHOST : 0);
    addrinfo* found = nullptr;
    // Without a host getaddrinfo(3) answers the loopback addresses.
    const int failure = ::getaddrinfo(host == localhost ? nullptr : host.c_str(),
                                      std::to_string(port).c_str(), &hints, &found);
    if (failure != 0) return fail("no_address", ::gai_strerror(failure));
    SocketAddresses out;
    for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
        const auto* bytes = reinterpret_cast<const std::uint8_t*>(at->ai_addr);
        out.push_back({Bytes(bytes, bytes + at->ai_addrlen), at->ai_family});
    }
    ::freeaddrinfo(found);
    return out;
}

Resolver::Resolver(Loop& loop, WorkerPool& workers, std::chrono::milliseconds kept_time, LookUp look_up)
    : loop_(loop), workers_(workers), kept_time_(kept_time), look_up_(std::move(look_up)) {}

Resolver::~Resolver() {
    *alive_ = false;
}

void Resolver::find(const std::string& host, std::uint16_t port, Waiter& waiter) {
    const Name name(host, port);
    Known& known = known_[name];
    known.waiting.push_back(waiter);
    if (std::exchange(known.is_sought, true)) return;
    if (loop_.now() >= known.useless_at) return look_up(name);
    loop_.post([this, alive = alive_, name] {
        if (*alive) answer(name, known_[name].addresses);
    });
}

void Resolver::look_up(const Name& name) {
    std::erase_if(known_, [now = loop_.now()](const auto& entry) {
        return !entry.second.is_sought && now >= entry.second.useless_at;
    });
    // It may take longer than this object lives: only the posted task may touch it.
    auto job = [this, &loop = loop_, alive = alive_, name, find_out = look_up_] {
        loop.post([this, alive, name, found = find_out(name.first, name.second)] {
            if (*alive) looked_up(name, found);
        });
    };
    if (is_literal(name.first)) return job();
    if (workers_.run(std::move(job))) return;
    loop_.post([this, alive = alive_, name] {
        if (*alive) looked_up(name, fail("too_many_look_ups", "too many look-ups are waiting"));
    });
}

void Resolver::looked_up(const Name& name, Result<SocketAddresses> found) {
    Known& known = known_[name];
    if (found) {
        known.addresses = *found;
        known.useless_at = loop_.now() + kept_time_;
    }
    answer(name, found);
}

// Whoever is called may ask again at once.
void Resolver::answer(const Name& name, const Result<SocketAddresses>& found) {
    Known& known = known_[name];
    known.is_sought = false;
    List<Waiter> waiting;
    waiting.splice(known.waiting);
    while (!waiting.empty()) {
        Waiter& next = waiting.front();
        next.unlink();
        next.on_addresses(found);
    }
}

}  // namespace ee::net
