#pragma once
// A TLS 1.3 connection to a sealed app: who is at its other end is for the owner to judge before it sends.

#include <optional>
#include <string>

#include "base/bytes.h"
#include "cli/tcp_socket.h"
#include "net/tls.h"

namespace ee::cli {

class SealedConnection {
public:
    // Connects to `via` and shakes hands for `server_name`, offering easyenclave-connect/1. Refusals:
    // `unreachable`, `tls_failed` (the alert is named), `connect_unsupported`: what is there is no sealed
    // agent.
    static Result<std::unique_ptr<SealedConnection>> open(const net::Url& via,
                                                          const std::string& server_name);

    // What the other end has shown, its key proven, and what tells this connection from all others (RFC
    // 9266).
    const Bytes& certificate() const { return certificate_; }
    const Bytes& exporter() const { return exporter_; }

    // Refusal `connection_lost`.
    Result<void> send(std::string_view bytes);
    // So many bytes; `connection_lost` when it ends before.
    Result<Bytes> receive(std::size_t size);

    // For who relays.
    int fd() const { return socket_.fd(); }
    net::TlsSession& tls() { return tls_; }
    // Plaintext that came with what was received last.
    std::string take_received() { return std::exchange(received_, {}); }

private:
    SealedConnection(Socket socket, std::shared_ptr<const net::TlsContext> context, const std::string& name)
        : socket_(std::move(socket)), tls_(std::move(context), name) {}
    Result<void> shake_hands();
    Result<void> read_more();
    Result<void> flush();

    Socket socket_;
    net::TlsSession tls_;
    std::string received_;
    bool is_closed_ = false;  // By close_notify.
    Bytes certificate_, exporter_;
};

}  // namespace ee::cli
