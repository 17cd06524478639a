#pragma once
// The passthrough listener: visitors' TLS connections go to the agents as they are. Which app is asked for is
// read from the server name in the ClientHello; the rest is bytes that only the agent can open.

#include <memory>
#include <string>
#include <unordered_map>

#include "crypto/random_pool.h"
#include "net/listener.h"
#include "proxy/forwarder.h"
#include "proxy/visit_log.h"
#include "telemetry/access_log.h"
#include "telemetry/metrics.h"
#include "tunnel/tunnels.h"

namespace ee::proxy {

struct PassthroughSettings {
    std::string app_domain{};  // Lower case, not empty: apps are <app>.<domain>.
    // From the connection to the last byte of its ClientHello.
    std::chrono::milliseconds hello_time = std::chrono::seconds(10);
    // How long a visitor may take nothing of what is left for it once the agent is done.
    std::chrono::milliseconds idle_time = std::chrono::seconds(300);
    std::size_t connections_max = 16384;
    // Connections whose ClientHello is not complete: in all, and of one client's address.
    std::size_t hellos_max = 2048;
    std::size_t hellos_per_client_max = 64;
    BodyMemory* memory = nullptr;  // Where what visitors have not taken is counted. May be null.
};

class PassthroughCall;

class Passthrough {
public:
    Passthrough(net::Loop& loop, Forwarder& forwarder, tunnel::Tunnels& tunnels,
                telemetry::AccessLog& access_log, telemetry::Metrics& metrics, PassthroughSettings settings);
    ~Passthrough();

    // Refusal `bind_failed`.
    Result<void> listen(const std::string& address, std::uint16_t port);
    std::uint16_t port() const { return listener_ ? listener_->port() : 0; }
    // Takes no more connections; those that have reached an agent go on.
    void drain();
    // Ends all of them now.
    void close();
    std::size_t open_connections() const { return calls_.size(); }

private:
    friend class PassthroughCall;
    void accept(net::Fd socket, const net::Endpoint& peer);
    // The app a server name asks for; `unknown_app` when it is not <app>.<domain>.
    Result<std::string> app_of(std::string_view server_name) const;
    bool has_room_for(const net::Endpoint& peer) const;
    void hello_begins(const net::Endpoint& peer);
    void hello_ends(const net::Endpoint& peer);
    void remove(PassthroughCall& call);

    net::Loop& loop_;
    Forwarder& forwarder_;
    tunnel::Tunnels& tunnels_;
    VisitLog visit_log_;
    const PassthroughSettings settings_;
    telemetry::Counter& connections_;
    telemetry::Gauge& open_;
    telemetry::CounterFamily& refused_;
    telemetry::Counter& bytes_in_;
    telemetry::Counter& bytes_out_;
    crypto::RandomPool random_;
    std::unique_ptr<net::Listener> listener_;
    std::unordered_map<PassthroughCall*, std::shared_ptr<PassthroughCall>> calls_;
    std::size_t hellos_ = 0;
    std::unordered_map<net::IpAddress, std::size_t> hellos_of_client_;
};

}  // namespace ee::proxy
