#pragma once
// A server that says what a test tells it to, byte by byte.

#include <memory>
#include <string>
#include <vector>

#include "net/listener.h"
#include "net/test_peer.h"
#include "net/url.h"

namespace ee::http {

struct TestServer {
    // `tls`: the server's context, or null for clear text.
    explicit TestServer(net::Loop& loop, std::shared_ptr<const net::TlsContext> tls = nullptr)
        : scheme(tls ? "https" : "http"),
          listener(std::move(net::Listener::open(loop, "127.0.0.1", 0,
                                                 [this, &loop, tls](net::Fd socket, const net::Endpoint&) {
                                                     auto session =
                                                         tls ? std::make_unique<net::TlsSession>(tls, "")
                                                             : nullptr;
                                                     peers.push_back(std::make_unique<net::Peer>(
                                                         loop, std::move(socket), std::move(session)));
                                                 })
                                 .value())) {}

    net::Url url(std::string path = "") const {
        return {scheme, "127.0.0.1", listener->port(), std::move(path)};
    }
    bool has_request(std::size_t peer) const {
        return peers.size() > peer && peers[peer]->received.find("\r\n\r\n") != std::string::npos;
    }

    std::string scheme;
    std::unique_ptr<net::Listener> listener;
    std::vector<std::unique_ptr<net::Peer>> peers;  // In the order in which they came.
};

}  // namespace ee::http
