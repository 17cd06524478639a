#pragma once
// The agent: how its parts are built, and the program that runs them until a signal.

#include <functional>
#include <memory>
#include <string>

#include "agent/backend.h"
#include "agent/health_prober.h"
#include "agent/sealed.h"
#include "agent/tunnel_client.h"
#include "agent/witness.h"
#include "attestation/quote_provider.h"
#include "base/claims.h"
#include "config/agent_config.h"

namespace ee::agent {

// What the settings name, read and checked. Workers may use it until they are joined.
struct AgentParts {
    config::AgentConfig config;
    net::Url control, backend, health;
    std::shared_ptr<const net::TlsContext> control_tls, backend_tls, health_tls;
    std::string agent_id;
    Claims claims;
    std::unique_ptr<attestation::QuoteProvider> provider;
};

// The check of the configuration: what the settings name, read as prepare_agent() reads it.
config::Inspections<config::AgentConfig> start_inspections();

// Refusals: of the URLs, the state folder, the claims, the quote provider and the certificates.
Result<AgentParts> prepare_agent(const config::AgentConfig& config);

// The threads beside the loop. A challenge has its deadline: nothing that takes longer than a quote may come
// before one.
struct AgentWorkers {
    explicit AgentWorkers(std::size_t queue_max = 64) : quotes(1, queue_max), others(4, queue_max) {}

    net::WorkerPool quotes;  // A host makes one at a time.
    net::WorkerPool others;  // Look-ups, of three names at most: each has a thread, and files have one.
};

// One agent, on a loop that others may share. The parts outlive it and the workers.
class Agent {
public:
    Agent(net::Loop& loop, AgentWorkers& workers, const telemetry::Log& log, const AgentParts& parts);

    void start();
    // Finishes the requests under way, within EE_DRAIN_SEC.
    void stop(std::function<void()> on_stopped) { client_.stop(std::move(on_stopped)); }
    std::size_t requests_open() const { return backend_->requests_open(); }

private:
    net::Resolver resolver_;
    const std::unique_ptr<Backend> backend_;
    Sealed sealed_;
    Witness witness_;
    TunnelClient client_;
    HealthProber prober_;
};

// The exit code: 0 after a clean stop, 1 when it could not start.
int run_agent(const config::AgentConfig& config);

}  // namespace ee::agent
