#include "agent/agent.h"

#include <csignal>

#include "agent/identity.h"
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

Result<std::shared_ptr<const net::TlsContext>> client_tls(const config::AgentConfig& config,
                                                          const net::Url& url) {
    if (url.scheme != "wss" && url.scheme != "https") return std::shared_ptr<const net::TlsContext>();
    return net::TlsContext::client(config.tls_ca.value_or(""));
}

Result<std::unique_ptr<attestation::QuoteProvider>> quote_provider(const config::AgentConfig& config) {
    return attestation::make_quote_provider(kind_of(config.quote_provider),
                                            config.simulated_dir.value_or(""));
}

config::Findings findings(std::string_view prefix, const Error& why) {
    return {.problems = {std::string(prefix) + why.detail}, .warnings = {}};
}

// A simulated platform without its folder is refused by the settings' own rules.
config::Findings inspect_quote_provider(const config::AgentConfig& config) {
    if (config.quote_provider == config::QuoteProviderKind::simulated && !config.simulated_dir) return {};
    const auto provider = quote_provider(config);
    return provider ? config::Findings() : findings("EE_QUOTE_PROVIDER: ", provider.error());
}

config::Findings inspect_roots(const config::AgentConfig& config) {
    for (const std::string& text :
         {config.control_ws, config.backend_url, config.health_url.value_or(config.backend_url)}) {
        const auto url = net::parse_url(text);
        if (!url) return findings("", url.error());
        if (const auto tls = client_tls(config, *url); !tls) return findings("EE_TLS_CA: ", tls.error());
    }
    return {};
}

config::Findings inspect_claims(const config::AgentConfig& config) {
    const auto claims = claims_of(config);
    return claims ? config::Findings() : findings("", claims.error());
}

config::Findings inspect_state_folder(const config::AgentConfig& config) {
    const auto usable = check_state_folder(config);
    return usable ? config::Findings() : findings("", usable.error());
}

// No quote shows claims: to who goes by its registers, a sealed image is sealed however it was started.
std::optional<Error> why_no_certificate(const config::AgentConfig& config) {
    if (config.sealed.value_or(true) || !is_built_sealed(config)) return std::nullopt;
    return Error{"sealed_unavailable",
                 "the image is sealed, and EE_SEALED=false lets its plaintext go anywhere"};
}

SealedSettings sealed_settings(const AgentParts& parts) {
    const config::AgentConfig& config = parts.config;
    return {.refusal = why_no_certificate(config),
            .identity = {.role = std::string(attestation::agent_role),
                         .app_name = config.app_name,
                         .repo = config.repo,
                         .release_tag = config.release_tag,
                         .network = config.network},
            .backend = parts.backend,
            .backend_tls = parts.backend_tls};
}

BackendSettings backend_settings(const AgentParts& parts) {
    return {.url = parts.backend,
            .tls = parts.backend_tls,
            .timeout = parts.config.proxy_timeout,
            .idle_time = parts.config.stream_idle_time,
            .body_bytes_max = parts.config.body_bytes_max};
}

TunnelClientSettings tunnel_settings(const AgentParts& parts, Sealed& sealed, Witness& witness) {
    const config::AgentConfig& config = parts.config;
    return {.control = parts.control,
            .tls = parts.control_tls,
            .identity = {.agent_id = parts.agent_id,
                         .node_id = config.node_id.value_or(""),
                         .app_name = config.app_name,
                         .repo = config.repo,
                         .release_tag = config.release_tag,
                         .network = config.network},
            .node_token = config.node_token,
            .measurements = parts.claims,
            .reconnect_min = config.reconnect_min,
            .reconnect_max = config.reconnect_max,
            .drain_timeout = config.drain_timeout,
            .body_bytes_max = config.body_bytes_max,
            .sealed = &sealed,
            .witness = &witness};
}

}  // namespace

config::Inspections<config::AgentConfig> start_inspections() {
    return {{{"EE_QUOTE_PROVIDER", "EE_SIMULATED_TDX_DIR"}, inspect_quote_provider},
            {{"EE_TLS_CA", "EE_CONTROL_WS", "EE_BACKEND_URL", "EE_HEALTH_URL"}, inspect_roots},
            {{"EE_MEASUREMENTS_FILE", "EE_QUOTE_PROVIDER", "EE_SIMULATED_TDX_DIR", "EE_BACKEND_URL",
              "EE_HEALTH_URL"},
             inspect_claims},
            {{"EE_STATE_DIR", "EE_AGENT_ID"}, inspect_state_folder}};
}

Result<AgentParts> prepare_agent(const config::AgentConfig& config) {
    auto control = net::parse_url(config.control_ws);
    auto backend = net::parse_url(config.backend_url);
    auto health = net::parse_url(config.health_url.value_or(config.backend_url));
    for (const auto* url : {&control, &backend, &health})
        if (!*url) return fail(url->error());
    auto agent_id = agent_id_of(config);
    if (!agent_id) return fail(agent_id.error());
    auto claims = claims_of(config);
    if (!claims) return fail(claims.error());
    auto provider = quote_provider(config);
    if (!provider) return fail(provider.error());
    auto tls = client_tls(config, *control), backend_tls = client_tls(config, *backend),
         health_tls = client_tls(config, *health);
    for (const auto* context : {&tls, &backend_tls, &health_tls})
        if (!*context) return fail(context->error());
    return AgentParts{.config = config,
                      .control = std::move(*control),
                      .backend = std::move(*backend),
                      .health = std::move(*health),
                      .control_tls = std::move(*tls),
                      .backend_tls = std::move(*backend_tls),
                      .health_tls = std::move(*health_tls),
                      .agent_id = std::move(*agent_id),
                      .claims = std::move(*claims),
                      .provider = std::move(*provider)};
}

Agent::Agent(net::Loop& loop, AgentWorkers& workers, const telemetry::Log& log, const AgentParts& parts)
    : resolver_(loop, workers.others),
      backend_(make_backend(loop, resolver_, backend_settings(parts))),
      sealed_(loop, workers.quotes, resolver_, *parts.provider, log, sealed_settings(parts)),
      witness_(loop, workers.others, log, parts.config.state_dir),
      client_(loop, workers.quotes, resolver_, *parts.provider, *backend_, log,
              tunnel_settings(parts, sealed_, witness_)),
      prober_(loop, resolver_, parts.health, !parts.config.health_url, parts.health_tls,
              parts.config.health_interval,
              [this](bool pass, const std::string& detail) { client_.report_health(pass, detail); }) {}

void Agent::start() {
    prober_.start();
    client_.start();
}

int run_agent(const config::AgentConfig& config) {
    const telemetry::Log log(*telemetry::parse_log_level(config.log_level),
                             *telemetry::parse_log_format(config.log_format));
    for (const std::string& warning : config.warnings) log.warn("config.warning", {{"detail", warning}});
    const Result<AgentParts> parts = prepare_agent(config);
    if (!parts) {
        log.error("agent.cannot_start", {{"code", parts.error().code}, {"detail", parts.error().detail}});
        return 1;
    }

    net::raise_descriptor_limit();
    net::Loop loop;
    std::function<void(int)> on_signal;
    net::Signals signals(loop, {SIGTERM, SIGINT}, [&](int signal) { on_signal(signal); });
    net::let_writes_fail();
    AgentWorkers workers;
    Agent agent(loop, workers, log, *parts);
    bool stopping = false;
    on_signal = [&](int signal) {
        if (std::exchange(stopping, true)) return loop.stop();  // A second signal: now.
        log.info("agent.stopping", {{"signal", signal}, {"open_requests", agent.requests_open()}});
        agent.stop([&loop] { loop.stop(); });
    };
    log.info("agent.started", {{"app", config.app_name},
                               {"agent", parts->agent_id},
                               {"control", config.control_ws},
                               {"backend", config.backend_url}});
    agent.start();
    loop.run();
    log.info("agent.stopped");
    return 0;
}

}  // namespace ee::agent
