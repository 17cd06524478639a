#pragma once
// Sends requests to the backend over HTTP/2 with prior knowledge (RFC 9113 section 3.3): many on each of a
// few connections, which are opened on demand. A request waits while no connection takes it.

#include <unordered_map>

#include "agent/backend.h"
#include "http/http2_session.h"
#include "net/intrusive_list.h"
#include "net/loop.h"

namespace ee::agent {

class Http2Backend final : public Backend {
public:
    Http2Backend(net::Loop& loop, net::Resolver& resolver, BackendSettings settings);
    ~Http2Backend() override;

    http::ClientExchange& open(const BackendRequest& request, http::AnswerObserver& observer) override;
    void send(const protocol::ProxyRequest& request, OnDone on_done) override;
    std::size_t requests_open() const override { return open_; }
    std::size_t connections() const { return connections_.size(); }

private:
    class Call;
    class Connection;

    // At the end of those that wait; begins where there is room.
    void enqueue(Call& call);
    // Begins what waits, and opens a connection where none takes it.
    void dispatch();
    Connection* with_room(bool has_body);
    bool is_connecting() const;
    bool may_connect() const;
    // That take requests, or will.
    std::size_t usable_connections() const;
    void connect();
    // The connection ended, or takes no more requests and has none left.
    void release(Connection& connection);
    // A connection ended before it took a request: those that wait for one have none.
    void on_unreachable(const std::string& why, http::RequestFailure failure);

    net::Loop& loop_;
    net::Resolver& resolver_;
    const BackendSettings settings_;
    std::unordered_map<Connection*, std::shared_ptr<Connection>> connections_;
    net::List<Call> waiting_, waiting_with_body_, begun_;
    std::size_t waiting_count_ = 0;
    std::vector<http::Field> fields_;  // Of the request that is being sent.
    std::size_t open_ = 0;
    MonoTime connect_from_{};  // No sooner.
    net::Timer connect_due_;   // Then, for what still waits.
};

}  // namespace ee::agent
