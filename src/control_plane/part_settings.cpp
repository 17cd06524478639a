#include "control_plane/part_settings.h"

#include "base/check.h"
#include "config/value.h"
#include "control_plane/machine_memory.h"

namespace ee::control_plane {

namespace {

registry::NodeRules node_rules(const attestation::NetworkPolicy& policy) {
    registry::NodeRules rules{.stake_required = policy.stake_required,
                              .price_required = policy.price_required,
                              .funded_required = policy.funded_required};
    for (std::size_t tier = 0; tier < registry::node_tiers; ++tier)
        if (const auto least =
                policy.stake_min_usd.find(std::string(to_word(static_cast<registry::NodeTier>(tier))));
            least != policy.stake_min_usd.end())
            rules.stake_min[tier] = least->second * 1'000'000;
    return rules;
}

registry::Join join_of(const attestation::NetworkPolicy& policy) {
    switch (policy.join) {
        case attestation::Join::open: return registry::Join::open;
        case attestation::Join::node: return registry::Join::node;
        case attestation::Join::listed: return registry::Join::listed;
    }
    EE_CHECK(false);
}

}  // namespace

registry::NetworkTable network_table(const attestation::NetworkPolicies& policies) {
    registry::NetworkTable table;
    for (const attestation::NetworkPolicy& policy : policies.all())
        table[policy.name] = {std::string(to_string(attestation::least_binding(policy))),
                              policy.evidence_grace, node_rules(policy), join_of(policy)};
    return table;
}

registry::RegistrySettings registry_settings(const config::ControlPlaneConfig& config) {
    registry::RegistrySettings settings;
    settings.eligibility = {config.attest_interval, config.attest_deadline, config.health_timeout};
    settings.cell = ledger::step_of(config.settles_by_day ? ledger::Grid::day : ledger::Grid::hour);
    settings.registration_ttl = config.registration_ttl;
    settings.registration_warn = config.registration_warn;
    settings.name_reserve = config.name_reserve;
    settings.apps_max = config.apps_max;
    settings.new_apps_per_address_max = config.new_apps_per_address_max;
    return settings;
}

tunnel::TunnelSettings tunnel_settings(const config::ControlPlaneConfig& config, BodyMemory& memory) {
    tunnel::TunnelSettings settings;
    settings.memory = &memory;
    settings.session.attestation.interval = config.attest_interval;
    settings.session.attestation.deadline = config.attest_deadline;
    settings.session.drain_timeout = config.drain_timeout;
    settings.session.body_bytes_max = config.body_bytes_max;
    settings.streams_per_agent_max = config.streams_per_agent_max;
    settings.answer_time = config.proxy_timeout;
    settings.stream_idle_time = config.stream_idle_time;
    settings.client_certificate_required = config.ratls == config::RatlsMode::require;
    return settings;
}

net::CertificateRequest certificate_request(const config::ControlPlaneConfig& config) {
    if (config.ratls == config::RatlsMode::off) return {};
    return {net::CertificateRequest::When::by_name, config.direct_host_label};
}

tunnel::TunnelLimits tunnel_limits(const config::ControlPlaneConfig& config) {
    return {.tunnels_max = config.tunnels_max,
            .unattested_max = config.unregistered_max,
            .unattested_per_address_max = config.unregistered_per_address_max};
}

proxy::RateLimitSettings rate_limits(const config::ControlPlaneConfig& config) {
    return {.client_rps = config.rate_limit_client_rps, .app_rps = config.rate_limit_app_rps};
}

std::size_t body_memory_max(const config::ControlPlaneConfig& config) {
    return config.buffered_bytes_max.value_or(machine_memory() / 4);
}

proxy::PassthroughSettings passthrough_settings(const config::ControlPlaneConfig& config,
                                                BodyMemory& memory) {
    proxy::PassthroughSettings settings;
    settings.memory = &memory;
    settings.app_domain = config.app_domain.value_or("");
    settings.idle_time = config.stream_idle_time;
    return settings;
}

proxy::ForwardSettings forward_settings(const config::ControlPlaneConfig& config, BodyMemory& memory) {
    proxy::ForwardSettings settings;
    for (const std::string& text : config.trusted_proxies)
        if (const auto network = net::Cidr::parse(text)) settings.trust.trusted_proxies.push_back(*network);
    const std::vector<std::string> edge = config::parse_networks("cloudflare").value();
    for (const std::string& text : edge) settings.trust.cloudflare.push_back(net::Cidr::parse(text).value());
    settings.trust.app_domain = config.app_domain.value_or("");
    settings.rate_limits = rate_limits(config);
    settings.memory = &memory;
    settings.waiting.wait_max = config.attest_deadline;
    // Newcomers keep half of what is admitted a second.
    settings.waiting.challenges_per_second_max = config.admissions_per_second_max / 2;
    return settings;
}

api::RoleTokens role_tokens(const config::ControlPlaneConfig& config) {
    return {.admin = config.admin_tokens,
            .metrics = config.metrics_tokens,
            .launcher = config.launcher_tokens,
            .uptime = config.uptime_tokens,
            .auditor = config.auditor_tokens};
}

// Agents come to these listeners, by thousands when something has gone wrong: visitors go first.
http::ServerLimits control_limits(const config::ControlPlaneConfig& config, BodyMemory& memory) {
    http::ServerLimits limits;
    limits.memory = &memory;
    limits.write_idle_time = config.stream_idle_time;
    limits.newcomers = net::Urgency::background;
    limits.times_refusals = true;
    return limits;
}

http::ServerLimits proxy_limits(const config::ControlPlaneConfig& config, BodyMemory& memory) {
    http::ServerLimits limits;
    limits.memory = &memory;
    limits.write_idle_time = config.stream_idle_time;
    limits.http2 = true;
    return limits;
}

AdmissionSettings admission_settings(const config::ControlPlaneConfig& config) {
    AdmissionSettings settings;
    settings.admissions_per_second_max = config.admissions_per_second_max;
    settings.attest_deadline = config.attest_deadline;
    return settings;
}

SlotRecorder::Settings slot_settings(const config::ControlPlaneConfig& config,
                                     std::function<ledger::LedgerTime()> clock) {
    return {.grid = config.settles_by_day ? ledger::Grid::day : ledger::Grid::hour,
            .window = config.health_timeout,
            .clock = std::move(clock)};
}

registry::PublicNames public_names(const config::ControlPlaneConfig& config, std::uint16_t control_port,
                                   std::uint16_t proxy_port) {
    registry::PublicNames names;
    names.app_domain = config.app_domain.value_or("");
    if (config.public_url) {
        names.public_url = *config.public_url;
        names.apps_use_tls = !config.public_url->starts_with("http://");
        return names;
    }
    const std::string& bound = config.control.host;
    const std::string host = bound == "0.0.0.0" || bound == "::" ? "localhost" : bound;
    const std::string authority = host.find(':') == std::string::npos ? host : "[" + host + "]";
    names.public_url =
        (config.control_tls ? "https://" : "http://") + authority + ":" + std::to_string(control_port);
    names.apps_use_tls = config.proxy_tls.has_value();
    if (proxy_port != (names.apps_use_tls ? 443 : 80)) names.app_port = ":" + std::to_string(proxy_port);
    return names;
}

}  // namespace ee::control_plane
