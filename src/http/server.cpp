#include "http/server.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "http/server_connection.h"

namespace ee::http {

Server::Server(net::Loop& loop, RequestHandler& handler, const ServerLimits& limits)
    : loop_(loop), handler_(handler), limits_(limits) {}

Server::~Server() {
    close();
}

Result<void> Server::listen(const std::string& address, std::uint16_t port,
                            std::shared_ptr<const net::TlsContext> tls) {
    tls_ = std::move(tls);
    auto listener = net::Listener::open(
        loop_, address, port,
        [this](net::Fd socket, const net::Endpoint& peer) { accept(std::move(socket), peer); });
    if (!listener) return fail(std::move(listener.error()));
    listener_ = std::move(*listener);
    return {};
}

void Server::accept(net::Fd socket, const net::Endpoint& peer) {
    if (connections_.size() >= limits_.connections_max) return;  // Closed by its owner, here.
    add(std::make_shared<ServerConnection>(*this, std::move(socket), peer));
}

void Server::add(std::shared_ptr<Connection> connection) {
    Connection& added = *connection;
    connections_.emplace(&added, std::move(connection));
    added.start();
}

void Server::remove(Connection& connection) {
    const auto found = connections_.find(&connection);
    if (found == connections_.end()) return;
    loop_.dispose(std::move(found->second));
    connections_.erase(found);
}

std::size_t Server::busy() const {
    std::size_t count = 0;
    for (const auto& [connection, owner] : connections_) count += connection->busy() ? 1 : 0;
    return count;
}

void Server::drain() {
    draining_ = true;
    if (listener_) listener_->close();
    std::vector<Connection*> all;
    for (const auto& [connection, owner] : connections_) all.push_back(connection);
    for (Connection* connection : all) connection->drain();
}

Freed Server::shed(std::size_t bytes, MonoTime stalled_since) {
    std::vector<std::pair<std::size_t, Connection*>> waiting;
    for (const auto& [connection, owner] : connections_)
        if (const std::size_t held = connection->answered_bytes(stalled_since))
            waiting.emplace_back(held, connection);
    std::ranges::sort(waiting, std::greater());
    Freed freed;
    for (const auto& [held, connection] : waiting) {
        if (freed.bytes >= bytes) break;
        connection->end();
        ++freed.count;
        freed.bytes += held;
    }
    return freed;
}

Freed Server::shed_gathered(std::size_t bytes) {
    std::vector<Gathering> gathering;
    for (const auto& [connection, owner] : connections_) connection->list_gathering(gathering);
    const MonoTime now = loop_.now();
    std::ranges::sort(gathering, std::greater(), [&](const Gathering& request) {
        return static_cast<double>(request.bytes) *
               std::chrono::duration<double>(now - request.since).count();
    });
    Freed freed;
    for (const Gathering& request : gathering) {
        if (freed.bytes >= bytes) break;
        request.connection->refuse_gathering(request.stream, 503, no_room_for_body());
        ++freed.count;
        freed.bytes += request.bytes;
    }
    return freed;
}

void Server::close() {
    if (listener_) listener_->close();
    for (auto& [connection, owner] : std::exchange(connections_, {})) {
        connection->end();
        loop_.dispose(std::move(owner));
    }
}

}  // namespace ee::http
