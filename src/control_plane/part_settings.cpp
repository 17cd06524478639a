#include "control_plane/part_settings.h"

namespace ee::control_plane {

registry::NetworkTable network_table(const attestation::NetworkPolicies& policies) {
    registry::NetworkTable table;
    for (const attestation::NetworkPolicy& policy : policies.all())
        table[policy.name] = {std::string(to_string(policy.binding_min)), policy.evidence_grace};
    return table;
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

tunnel::TunnelLimits tunnel_limits(const config::ControlPlaneConfig& config) {
    return {.tunnels_max = config.tunnels_max,
            .unattested_max = config.unregistered_max,
            .unattested_per_address_max = config.unregistered_per_address_max};
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

AdmissionSettings admission_settings(const config::ControlPlaneConfig& config) {
    AdmissionSettings settings;
    settings.admissions_per_second_max = config.admissions_per_second_max;
    return settings;
}

std::string public_url(const config::ControlPlaneConfig& config, std::uint16_t port) {
    if (config.public_url) return *config.public_url;
    const std::string& bound = config.control.host;
    const std::string host = bound == "0.0.0.0" || bound == "::" ? "localhost" : bound;
    const std::string authority = host.find(':') == std::string::npos ? host : "[" + host + "]";
    return (config.control_tls ? "https://" : "http://") + authority + ":" + std::to_string(port);
}

}  // namespace ee::control_plane
