#include "control_plane/control_plane.h"

#include <algorithm>
#include <csignal>
#include <thread>
#include <unistd.h>

#include "api/api_handler.h"
#include "attestation/directory_source.h"
#include "control_plane/admission.h"
#include "http/server.h"
#include "net/signals.h"
#include "protocol/limits.h"
#include "proxy/proxy_handler.h"

namespace ee::control_plane {
namespace {

namespace att = attestation;

// Without a folder there is nothing to be found in it.
class NoCollateral final : public att::CollateralSource {
    Result<std::shared_ptr<const att::Collateral>> find(const att::CollateralKey&) override {
        return fail("collateral_unavailable",
                    "EE_COLLATERAL_DIR is not set, and this version fetches no collateral");
    }
};
class NoReleases final : public att::ReleaseSource {
    Result<std::shared_ptr<const att::Allowlist>> find(const att::ReleaseId& release) override {
        return fail("allowlist_missing", "EE_ALLOWLIST_DIR is not set, so nothing vouches for " +
                                             release.repo + " " + release.tag);
    }
};

std::unique_ptr<att::CollateralSource> collateral_source(const config::ControlPlaneConfig& config,
                                                         const telemetry::Log& log) {
    if (!config.collateral_dir) return std::make_unique<NoCollateral>();
    return att::make_collateral_directory(*config.collateral_dir, [&log](const std::filesystem::path& file,
                                                                         const Error& why) {
        log.warn("collateral.skipped", {{"file", file.string()}, {"code", why.code}, {"detail", why.detail}});
    });
}

std::unique_ptr<att::ReleaseSource> release_source(const config::ControlPlaneConfig& config) {
    if (!config.allowlist_dir) return std::make_unique<NoReleases>();
    return att::make_allowlist_directory(*config.allowlist_dir);
}

registry::NetworkTable network_table(const att::NetworkPolicies& policies) {
    registry::NetworkTable table;
    for (const att::NetworkPolicy& policy : policies.all())
        table[policy.name] = {std::string(to_string(policy.binding_min)), policy.evidence_grace};
    return table;
}

std::vector<std::string> network_names(const registry::NetworkTable& table) {
    std::vector<std::string> names;
    for (const auto& [name, terms] : table) names.push_back(name);
    return names;
}

registry::RegistrySettings registry_settings(const config::ControlPlaneConfig& config) {
    registry::RegistrySettings settings;
    settings.eligibility = {config.attest_interval, config.attest_deadline, config.health_timeout};
    settings.registration_ttl = config.registration_ttl;
    settings.registration_warn = config.registration_warn;
    settings.name_reserve = config.name_reserve;
    return settings;
}

tunnel::TunnelSettings tunnel_settings(const config::ControlPlaneConfig& config) {
    tunnel::TunnelSettings settings;
    settings.session.attestation.interval = config.attest_interval;
    settings.session.attestation.deadline = config.attest_deadline;
    settings.session.drain_timeout = config.drain_timeout;
    settings.session.body_bytes_max = config.body_bytes_max;
    settings.streams_per_agent_max = config.streams_per_agent_max;
    return settings;
}

proxy::ForwardSettings forward_settings(const config::ControlPlaneConfig& config) {
    proxy::ForwardSettings settings;
    for (const std::string& text : config.trusted_proxies)
        if (const auto network = net::Cidr::parse(text)) settings.trust.trusted_proxies.push_back(*network);
    settings.trust.app_domain = config.app_domain.value_or("");
    settings.timeout = config.proxy_timeout;
    settings.names.app_domain = settings.trust.app_domain;
    return settings;
}

std::string public_url(const config::ControlPlaneConfig& config, std::uint16_t port) {
    if (config.public_url) return *config.public_url;
    const std::string host =
        config.control.host == "0.0.0.0" || config.control.host == "::" ? "localhost" : config.control.host;
    return (config.control_tls ? "https://" : "http://") +
           (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(port);
}

Result<std::shared_ptr<const net::TlsContext>> server_tls(const std::optional<config::TlsFiles>& files) {
    if (!files) return std::shared_ptr<const net::TlsContext>();
    return net::TlsContext::server(files->certificate, files->key);
}

int refuse(const telemetry::Log& log, const Error& error) {
    log.error("control.cannot_start", {{"code", error.code}, {"detail", error.detail}});
    return 1;
}

// A request to the proxy listener may be as large as the largest v1 frame allows; v1 has nothing larger.
constexpr std::size_t proxy_body_bytes_max = protocol::request_text_bytes_max;

}  // namespace

int run_control_plane(const config::ControlPlaneConfig& config) {
    const telemetry::Log log(*telemetry::parse_log_level(config.log_level),
                             *telemetry::parse_log_format(config.log_format));
    for (const std::string& warning : config.warnings) log.warn("config.warning", {{"detail", warning}});

    auto anchors = config.tdx_root_ca ? att::TrustAnchors::with_simulated_root_file(*config.tdx_root_ca)
                                      : Result<att::TrustAnchors>(att::TrustAnchors());
    if (!anchors) return refuse(log, anchors.error());
    if (anchors->has_simulated())
        log.warn("attestation.simulated_root",
                 {{"detail", "EE_TDX_ROOT_CA is set: sandbox-1 accepts quotes of a simulated platform"}});
    const auto control_tls = server_tls(config.control_tls), proxy_tls = server_tls(config.proxy_tls);
    for (const auto* context : {&control_tls, &proxy_tls})
        if (!*context) return refuse(log, context->error());

    net::raise_descriptor_limit();
    net::Loop loop;
    std::function<void(int)> on_signal;
    net::Signals signals(loop, {SIGTERM, SIGINT, SIGHUP}, [&](int signal) { on_signal(signal); });
    std::signal(SIGPIPE, SIG_IGN);

    auto store = registry::RegistrationStore::open(config.db_path);
    if (!store) return refuse(log, store.error());
    const auto records = (*store)->load_all();
    if (!records) return refuse(log, records.error());

    const auto collateral = collateral_source(config, log);
    const auto releases = release_source(config);
    const att::Appraiser appraiser(att::NetworkPolicies::built_in(anchors->has_simulated()), *anchors,
                                   *collateral, *releases);
    const registry::NetworkTable networks = network_table(appraiser.policies());
    registry::Registry registry(registry_settings(config), networks);
    registry.load(*records);

    telemetry::Metrics metrics;
    telemetry::AccessLog access_log(STDOUT_FILENO);
    // One core is the data plane's; verification takes the others, and at least one thread.
    net::WorkerPool workers(std::max(1u, std::thread::hardware_concurrency() - 1), 4096);
    Admission admission(loop, workers, registry, **store, appraiser, log, metrics,
                        {.admissions_per_second_max = config.admissions_per_second_max,
                         .allowlist_ttl = config.allowlist_ttl});
    tunnel::Tunnels tunnels(
        loop, admission, tunnel_settings(config),
        {config.tunnels_max, config.unregistered_max, config.unregistered_per_address_max},
        [] { return crypto::random_bytes<32>(); });
    admission.serve(tunnels);

    api::AccessControl access(config.admin_tokens, config.metrics_tokens);
    bool draining = false;

    proxy::Forwarder forwarder(loop, registry, tunnels, access_log, metrics, forward_settings(config));
    proxy::ProxyHandler proxy_handler(forwarder, proxy_body_bytes_max, metrics);
    api::Services services{.loop = loop,
                           .registry = registry,
                           .tunnels = tunnels,
                           .forwarder = forwarder,
                           .metrics = metrics,
                           .access = access,
                           .readiness = [&] { return api::Readiness{draining, !admission.store_failed()}; },
                           .networks = network_names(networks),
                           .started_at = loop.now(),
                           .body_bytes_max = config.body_bytes_max};
    api::ApiHandler api_handler(services);

    // The listeners come last: whoever connects finds everything in place.
    http::Server control(loop, api_handler, {}), proxy_server(loop, proxy_handler, {});
    if (auto opened = control.listen(config.control.host, config.control.port, *control_tls); !opened)
        return refuse(log, opened.error());
    if (auto opened = proxy_server.listen(config.proxy.host, config.proxy.port, *proxy_tls); !opened)
        return refuse(log, opened.error());
    forwarder.set_public_url(public_url(config, control.port()));

    net::Timer flush_access_log(loop, [&] {
        access_log.flush();
        flush_access_log.arm_after(std::chrono::milliseconds(200));
    });
    flush_access_log.arm_after(std::chrono::milliseconds(200));
    MonoTime drain_until{};
    net::Timer drained(loop, [&] {
        if (tunnels.size() + control.busy() + proxy_server.busy() == 0 || loop.now() >= drain_until)
            return loop.stop();
        drained.arm_after(std::chrono::milliseconds(20));
    });
    on_signal = [&](int signal) {
        if (signal == SIGHUP)
            return log.info(
                "control.reload",
                {{"detail", "log level, tokens and certificates are read at start in this version"}});
        if (std::exchange(draining, true)) return loop.stop();  // A second signal: now.
        log.info(
            "control.draining",
            {{"signal", signal}, {"tunnels", tunnels.size()}, {"open_requests", forwarder.open_calls()}});
        admission.drain_all();
        proxy_server.drain();
        control.drain();
        drain_until = loop.now() + config.drain_timeout;
        drained.arm_after(std::chrono::milliseconds(20));
    };
    log.info("control.started", {{"control", config.control.host + ":" + std::to_string(control.port())},
                                 {"proxy", config.proxy.host + ":" + std::to_string(proxy_server.port())},
                                 {"apps", records->size()},
                                 {"db", config.db_path.string()}});
    loop.run();
    tunnels.close_all({"draining", "the control plane has stopped"});
    control.close();
    proxy_server.close();
    loop.collect();
    access_log.flush();
    log.info("control.stopped");
    return 0;
}

}  // namespace ee::control_plane
