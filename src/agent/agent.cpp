#include "agent/agent.h"

#include <csignal>

#include "agent/health_prober.h"
#include "agent/identity.h"
#include "agent/sealed.h"
#include "agent/tunnel_client.h"
#include "agent/witness.h"
#include "attestation/provider/quote_providers.h"
#include "net/signals.h"

namespace ee::agent {
namespace {

attestation::QuoteProviderKind kind_of(config::QuoteProviderKind kind) {
    switch (kind) {
        case config::QuoteProviderKind::tsm: return attestation::QuoteProviderKind::tsm;
        case config::QuoteProviderKind::simulated: return attestation::QuoteProviderKind::simulated;
        default: return attestation::QuoteProviderKind::automatic;
    }
}

int refuse(const telemetry::Log& log, const Error& error) {
    log.error("agent.cannot_start", {{"code", error.code}, {"detail", error.detail}});
    return 1;
}

Result<std::shared_ptr<const net::TlsContext>> client_tls(const config::AgentConfig& config,
                                                          const net::Url& url) {
    if (url.scheme != "wss" && url.scheme != "https") return std::shared_ptr<const net::TlsContext>();
    return net::TlsContext::client(config.tls_ca.value_or(""));
}

SealedSettings sealed_settings(const config::AgentConfig& config, const net::Url& backend,
                               std::shared_ptr<const net::TlsContext> backend_tls) {
    return {.identity = {.role = std::string(attestation::agent_role),
                         .app_name = config.app_name,
                         .repo = config.repo,
                         .release_tag = config.release_tag,
                         .network = config.network},
            .backend = backend,
            .backend_tls = std::move(backend_tls)};
}

attestation::AgentIdentity identity_of(const config::AgentConfig& config, const std::string& agent_id) {
    return {.agent_id = agent_id,
            .node_id = config.node_id.value_or(""),
            .app_name = config.app_name,
            .repo = config.repo,
            .release_tag = config.release_tag,
            .network = config.network};
}

}  // namespace

int run_agent(const config::AgentConfig& config) {
    const telemetry::Log log(*telemetry::parse_log_level(config.log_level),
                             *telemetry::parse_log_format(config.log_format));
    for (const std::string& warning : config.warnings) log.warn("config.warning", {{"detail", warning}});

    const auto control = net::parse_url(config.control_ws);
    const auto backend_url = net::parse_url(config.backend_url);
    const auto health_url = net::parse_url(config.health_url.value_or(config.backend_url));
    for (const auto* url : {&control, &backend_url, &health_url})
        if (!*url) return refuse(log, url->error());
    const auto agent_id = agent_id_of(config);
    if (!agent_id) return refuse(log, agent_id.error());
    auto claims = claims_of(config);
    if (!claims) return refuse(log, claims.error());
    auto provider =
        attestation::make_quote_provider(kind_of(config.quote_provider), config.simulated_dir.value_or(""));
    if (!provider) return refuse(log, provider.error());
    const auto tls = client_tls(config, *control), backend_tls = client_tls(config, *backend_url),
               health_tls = client_tls(config, *health_url);
    for (const auto* context : {&tls, &backend_tls, &health_tls})
        if (!*context) return refuse(log, context->error());

    net::raise_descriptor_limit();
    net::Loop loop;
    std::function<void(int)> on_signal;
    net::Signals signals(loop, {SIGTERM, SIGINT}, [&](int signal) { on_signal(signal); });
    std::signal(SIGPIPE, SIG_IGN);
    net::WorkerPool workers(2, 64);
    const std::unique_ptr<Backend> backend = make_backend(loop, workers,
                                                          {.url = *backend_url,
                                                           .tls = *backend_tls,
                                                           .timeout = config.proxy_timeout,
                                                           .idle_time = config.stream_idle_time,
                                                           .body_bytes_max = config.body_bytes_max});
    Sealed sealed(loop, workers, **provider, log, sealed_settings(config, *backend_url, *backend_tls));
    Witness witness(loop, workers, log, config.state_dir);
    TunnelClient client(loop, workers, **provider, *backend, log,
                        {.control = *control,
                         .tls = *tls,
                         .identity = identity_of(config, *agent_id),
                         .node_token = config.node_token,
                         .measurements = std::move(*claims),
                         .reconnect_min = config.reconnect_min,
                         .reconnect_max = config.reconnect_max,
                         .drain_timeout = config.drain_timeout,
                         .body_bytes_max = config.body_bytes_max,
                         .sealed = &sealed,
                         .witness = &witness});
    HealthProber prober(loop, workers, *health_url, !config.health_url, *health_tls, config.health_interval,
                        [&](bool pass, const std::string& detail) { client.report_health(pass, detail); });
    bool stopping = false;
    on_signal = [&](int signal) {
        if (std::exchange(stopping, true)) return loop.stop();  // A second signal: now.
        log.info("agent.stopping", {{"signal", signal}, {"open_requests", backend->requests_open()}});
        client.stop([&loop] { loop.stop(); });
    };
    log.info("agent.started", {{"app", config.app_name},
                               {"agent", *agent_id},
                               {"control", config.control_ws},
                               {"backend", config.backend_url}});
    prober.start();
    client.start();
    loop.run();
    log.info("agent.stopped");
    return 0;
}

}  // namespace ee::agent
