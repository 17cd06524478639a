#pragma once
// Sends requests to the backend over a pool of keep-alive HTTP/1.1 connections.

#include <unordered_map>
#include <vector>

#include "agent/backend.h"
#include "crypto/random_pool.h"
#include "http/client_connection.h"
#include "net/intrusive_list.h"

namespace ee::agent {

class Http1Backend final : public Backend, public http::ClientConnection::Owner {
public:
    Http1Backend(net::Loop& loop, net::Resolver& resolver, BackendSettings settings);
    ~Http1Backend() override;

    http::ClientExchange& open(const BackendRequest& request, http::AnswerObserver& observer) override;
    void send(const protocol::ProxyRequest& request, OnDone on_done) override;
    std::size_t requests_open() const override { return open_; }

private:
    class Call;

    void on_idle_close(http::ClientConnection& connection) override;
    Call& start(const BackendRequest& request, http::AnswerObserver& observer,
                http::OutgoingRequest::Deadline deadline, std::chrono::nanoseconds time);
    http::ClientConnection& take_connection(bool fresh);
    void keep_or_release(http::ClientConnection& connection);
    void release(http::ClientConnection& connection);

    net::Loop& loop_;
    net::Resolver& resolver_;
    BackendSettings settings_;
    crypto::RandomPool random_;
    std::unordered_map<http::ClientConnection*, std::shared_ptr<http::ClientConnection>> connections_;
    std::vector<http::ClientConnection*> idle_;
    net::List<Call> calls_;
    std::vector<http::Field> fields_;  // Of the request that is being sent.
    std::size_t open_ = 0;
};

}  // namespace ee::agent
