#include "config/dangerous_settings.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/ip_address.h"

namespace ee::config {
namespace {

// Spec: ledger, "Evidence: windows".
constexpr std::chrono::seconds outage_noticed{15};

bool is_loopback(const ListenAddress& address) {
    const auto ip = IpAddress::parse(address.host);
    return ip && ip->is_loopback();
}

}  // namespace

std::vector<std::string> dangerous_settings(const ControlPlaneConfig& config) {
    std::vector<std::string> found;
    if (!config.control_tls && !is_loopback(config.control))
        found.push_back(fmt::format(
            "EE_TLS_CERT is not set, and EE_CONTROL_BIND is {}: unless something before it ends TLS, "
            "tokens and tunnels are sent in clear",
            config.control.host));
    if (config.tdx_root_ca)
        found.emplace_back(
            "EE_TDX_ROOT_CA: who has the key of that root can attest anything on networks that are not "
            "sealed");
    if (config.quote_provider == "simulated")
        found.emplace_back("EE_QUOTE_PROVIDER is simulated: the control plane's own quotes prove nothing");
    if (config.allowlist_dir)
        found.emplace_back(
            "EE_ALLOWLIST_DIR: who can write there decides what an app may be, whatever its releases say");
    if (config.github_api_url && !config.github_api_url->starts_with("https://"))
        found.emplace_back(
            "EE_GITHUB_API_URL is not https: who is on the way there decides what an app may be");
    for (const std::string& range : config.trusted_proxies)
        if (range.ends_with("/0"))
            found.push_back(fmt::format(
                "EE_TRUSTED_PROXIES has {}: everybody can say where a request comes from", range));
    if (config.health_timeout < outage_noticed)
        found.push_back(fmt::format(
            "EE_HEALTH_TIMEOUT_SEC is {}: the control plane's own pauses count as outages from {} s on, and "
            "shorter ones make nodes miss windows of that length",
            config.health_timeout.count(), outage_noticed.count()));
    return found;
}

}  // namespace ee::config
