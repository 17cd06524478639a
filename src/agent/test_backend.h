#pragma once
// A backend that answers what a test tells it to, byte by byte.

#include <memory>
#include <string>
#include <vector>

#include "net/listener.h"
#include "net/test_peer.h"
#include "net/url.h"

namespace ee::agent {

struct TestBackend {
    explicit TestBackend(net::Loop& loop)
        : listener(std::move(
              net::Listener::open(loop, "127.0.0.1", 0, [this, &loop](net::Fd socket, const net::Endpoint&) {
                  peers.push_back(std::make_unique<net::Peer>(loop, std::move(socket)));
              }).value())) {}

    net::Url url(std::string path = "") const {
        return {"http", "127.0.0.1", listener->port(), std::move(path)};
    }
    bool has_request(std::size_t peer) const {
        return peers.size() > peer && peers[peer]->received.find("\r\n\r\n") != std::string::npos;
    }

    std::unique_ptr<net::Listener> listener;
    std::vector<std::unique_ptr<net::Peer>> peers;  // In the order in which they came.
};

}  // namespace ee::agent
