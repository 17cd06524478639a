#pragma once
// Serves HTTP/1.1, and HTTP/2 where it is told to, on a listener: keep-alive, pipelining, limits and
// deadlines.

#include <algorithm>
#include <functional>
#include <memory>
#include <unordered_map>

#include "base/body_memory.h"
#include "http/connection.h"
#include "http/exchange.h"
#include "http/message.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/tls.h"

namespace ee::http {

struct ServerLimits {
    HeadLimits head;
    // From the first byte (or the connection) to the whole head.
    std::chrono::milliseconds head_time = std::chrono::seconds(10);
    // Without a byte of an announced body; and for all of one that is gathered, apart from the time that it
    // may take at this rate.
    std::chrono::milliseconds body_idle_time = std::chrono::seconds(30);
    std::size_t body_bytes_per_second_min = 4096;
    // Between requests.
    std::chrono::milliseconds keep_alive_time = std::chrono::seconds(75);
    // The visitor takes no byte of its answer.
    std::chrono::milliseconds write_idle_time = std::chrono::seconds(60);
    std::size_t pipelined_bytes_max = 64 * 1024;
    // Of a body that is streamed, handed out and not consumed yet: beyond this its connection is not read.
    // One read may go over it by Loop::read_buffer_size.
    std::size_t unconsumed_bytes_max = 256 * 1024;
    // A body that is streamed comes whole, with its head, when it is there and no larger.
    std::size_t whole_body_bytes_max = 64 * 1024;
    // Read and thrown away of a body whose request is answered; more than that ends the connection.
    std::size_t discarded_bytes_max = 256 * 1024;
    std::size_t connections_max = 100000;
    // Where answers that wait, and bodies that are gathered with their heads, are counted: under its pressure
    // no body beyond `whole_body_bytes_max` is gathered, nor so much left unconsumed, and when it is full
    // none is gathered (503 `overloaded`). May be null.
    BodyMemory* memory = nullptr;
    // Of a connection until its first request has been answered.
    net::Urgency newcomers = net::Urgency::normal;
    // What is refused before anybody is asked to serve it says by Server-Timing how long it was there.
    bool times_refusals = false;

    // ---- HTTP/2 ----
    // In clear to who begins with its preface, under TLS to whom ALPN gave it: `server_protocols` is what
    // the listener's TlsContext is made with then.
    bool http2 = false;
    std::uint32_t streams_max = 128;  // At once, of a connection.
    // Of all bodies of a connection, handed out and not consumed yet.
    std::size_t http2_unconsumed_bytes_max = 16 * 1024 * 1024;

    // Whether so many bytes of a body may be gathered now.
    bool has_room(std::size_t bytes) const {
        if (memory == nullptr || !memory->is_pressed()) return true;
        return !memory->is_full() && bytes <= whole_body_bytes_max;
    }
    // When more of a gathered body is due, of which so many bytes have come by `now`.
    MonoTime body_due(MonoTime begun_at, std::size_t bytes, MonoTime now) const {
        const std::chrono::milliseconds at_least(1000 * bytes / body_bytes_per_second_min);
        return std::min(now, begun_at + at_least) + body_idle_time;
    }
};

constexpr std::string_view server_protocols[] = {"h2", "http/1.1"};

class Server {
public:
    Server(net::Loop& loop, RequestHandler& handler, const ServerLimits& limits);
    ~Server();

    // `tls` may be null. Refusal: bind_failed.
    Result<void> listen(const std::string& address, std::uint16_t port,
                        std::shared_ptr<const net::TlsContext> tls);
    // Of peers that have sent something, and with which no TLS session came about.
    using OnHandshakeFailed =
        std::function<void(const net::Endpoint& peer, net::HandshakeFailure why, const std::string& detail)>;
    void on_handshake_failed(OnHandshakeFailed tell) { handshake_failed_ = std::move(tell); }
    // For connections accepted from here on: a renewed certificate.
    void set_tls(std::shared_ptr<const net::TlsContext> tls) { tls_ = std::move(tls); }
    std::uint16_t port() const { return listener_ ? listener_->port() : std::uint16_t{0}; }

    // Stops accepting, closes connections between requests, and lets the others finish theirs.
    void drain();
    std::size_t connections() const { return connections_.size(); }
    // Connections with a request that has begun, or an answer that is not sent yet.
    std::size_t busy() const;
    // Ends connections whose answers are complete and wait to be taken, of which nothing has been taken since
    // `stalled_since`: those that hold most, until they have held `bytes` in all.
    Freed shed(std::size_t bytes, MonoTime stalled_since);
    // Refuses requests whose bodies are being gathered (503 `overloaded`): those that have held most for
    // longest, until they have held `bytes` in all.
    Freed shed_gathered(std::size_t bytes);
    // Ends every connection; who serves a request on one is told that the visitor has gone.
    void close();

private:
    friend class ServerConnection;
    friend class Http2ServerConnection;
    friend class Http2Exchange;
    void accept(net::Fd socket, const net::Endpoint& peer);
    void add(std::shared_ptr<Connection> connection);
    void remove(Connection& connection);

    net::Loop& loop_;
    RequestHandler& handler_;
    ServerLimits limits_;
    std::shared_ptr<const net::TlsContext> tls_;
    OnHandshakeFailed handshake_failed_;
    std::unique_ptr<net::Listener> listener_;
    std::unordered_map<Connection*, std::shared_ptr<Connection>> connections_;
    bool draining_ = false;
};

}  // namespace ee::http
