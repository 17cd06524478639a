#pragma once
// The control plane's settings, checked and typed. Every field says the setting it comes from.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/secret.h"
#include "config/exit_request.h"
#include "config/inspection.h"

namespace ee::config {

struct ListenAddress {
    std::string host;        // An IP address.
    std::uint16_t port = 0;  // 0: the kernel picks one.
};

struct TlsFiles {
    std::filesystem::path certificate;  // PEM, leaf first.
    std::filesystem::path key;          // PEM.
};

// Whether agents are asked for an RA-TLS client certificate, and refused without one.
enum class RatlsMode { off, on, require };

struct ControlPlaneConfig {
    ListenAddress control;  // EE_CONTROL_BIND, EE_CONTROL_PORT
    ListenAddress proxy;    // EE_PROXY_BIND, EE_PROXY_PORT
    std::optional<ListenAddress>
        passthrough;                      // EE_PASSTHROUGH_BIND, EE_PASSTHROUGH_PORT; set: so is app_domain
    std::optional<TlsFiles> control_tls;  // EE_TLS_CERT, EE_TLS_KEY
    std::optional<TlsFiles> proxy_tls;    // EE_PROXY_TLS_CERT, EE_PROXY_TLS_KEY
    RatlsMode ratls{};                    // EE_RATLS; other than off: control_tls is set
    std::optional<ListenAddress> ratls_listen;  // EE_CONTROL_BIND, EE_RATLS_PORT; unset: only by name, or off
    std::string direct_host_label;              // EE_DNS_CONTROL_DIRECT_HOST, lower case
    std::optional<std::string> public_url;      // EE_PUBLIC_URL, no trailing slash; unset: from the bind
    std::optional<std::string> app_domain;      // EE_APP_DOMAIN, lower case
    std::vector<std::string> trusted_proxies;   // EE_TRUSTED_PROXIES: CIDRs, words expanded
    std::optional<std::filesystem::path> allowlist_dir;  // EE_ALLOWLIST_DIR
    std::string allowlist_asset;                         // EE_ALLOWLIST_ASSET
    std::chrono::seconds allowlist_ttl{};                // EE_ALLOWLIST_TTL_SEC
    std::optional<std::string> github_api_url;  // EE_GITHUB_API_URL, no trailing slash; unset: ask nobody
    Secret github_token;                        // EE_GITHUB_TOKEN; empty: none
    std::optional<std::filesystem::path> collateral_dir;     // EE_COLLATERAL_DIR
    std::optional<std::filesystem::path> networks_file;      // EE_NETWORKS_FILE; unset: the built-in ones
    std::optional<std::string> pccs_url;                     // EE_PCCS_URL; unset: Intel's
    std::optional<std::filesystem::path> tdx_root_ca;        // EE_TDX_ROOT_CA, PEM; unset: Intel's, built in
    std::chrono::seconds attest_interval{};                  // EE_ATTEST_INTERVAL_SEC
    std::chrono::seconds attest_deadline{};                  // EE_ATTEST_DEADLINE_SEC
    std::chrono::days registration_ttl{};                    // EE_REGISTRATION_TTL_DAYS
    std::chrono::days registration_warn{};                   // EE_REGISTRATION_WARN_DAYS, at most the TTL
    std::chrono::days name_reserve{};                        // EE_NAME_RESERVE_DAYS
    std::chrono::seconds health_timeout{};                   // EE_HEALTH_TIMEOUT_SEC
    std::vector<Secret> admin_tokens;                        // EE_ADMIN_TOKEN; empty: the role is closed
    std::vector<Secret> metrics_tokens;                      // EE_METRICS_TOKEN; empty: the role is closed
    std::vector<Secret> launcher_tokens;                     // EE_LAUNCHER_TOKEN; empty: the role is closed
    std::vector<Secret> uptime_tokens;                       // EE_UPTIME_TOKEN; empty: the role is closed
    std::vector<Secret> auditor_tokens;                      // EE_AUDITOR_TOKEN; empty: the role is closed
    std::filesystem::path db_path;                           // EE_DB_PATH
    std::optional<std::string> webhook_url;                  // EE_WEBHOOK_URL
    std::vector<Secret> webhook_secrets;                     // EE_WEBHOOK_SECRET, the newest first
    std::string quote_provider;                              // EE_QUOTE_PROVIDER: auto, tsm, simulated
    std::optional<std::filesystem::path> simulated_tdx_dir;  // EE_SIMULATED_TDX_DIR; set when simulated
    std::string repo;                                        // EE_REPO
    std::string release_tag;                                 // EE_RELEASE_TAG
    bool settles_by_day = false;                             // EE_SETTLE_PERIOD
    bool settles_by_itself = true;                           // EE_SETTLE_AUTO
    std::chrono::seconds settle_delay{};                     // EE_SETTLE_DELAY_SEC
    std::chrono::seconds lock_ahead{};                       // EE_LOCK_AHEAD_SEC
    bool usage_requires_lock = false;                        // EE_USAGE_REQUIRES_LOCK
    bool slashes_by_itself = false;                          // EE_SLASH_AUTO
    std::filesystem::path ledger_key_file;                   // EE_LEDGER_KEY_FILE
    std::chrono::seconds proxy_timeout{};                    // EE_PROXY_TIMEOUT_SEC
    std::chrono::seconds stream_idle_time{};                 // EE_STREAM_IDLE_SEC
    std::size_t body_bytes_max = 0;                          // EE_MAX_BODY_BYTES
    std::optional<std::size_t> buffered_bytes_max;           // EE_MAX_BUFFERED_BYTES; unset: by the machine
    std::uint32_t rate_limit_client_rps = 0;                 // EE_RATE_LIMIT_CLIENT_RPS; 0: off
    std::uint32_t rate_limit_app_rps = 0;                    // EE_RATE_LIMIT_APP_RPS; 0: off
    std::size_t streams_per_agent_max = 0;                   // EE_MAX_STREAMS_PER_AGENT
    std::size_t tunnels_max = 0;                             // EE_MAX_TUNNELS
    std::size_t unregistered_max = 0;                        // EE_MAX_UNREGISTERED
    std::size_t unregistered_per_address_max = 0;            // EE_MAX_UNREGISTERED_PER_ADDRESS
    std::size_t apps_max = 0;                                // EE_MAX_APPS
    std::size_t new_apps_per_address_max = 0;                // EE_MAX_NEW_APPS_PER_ADDRESS
    std::uint32_t admissions_per_second_max = 0;             // EE_ADMIT_RPS
    std::chrono::seconds drain_timeout{};                    // EE_DRAIN_SEC
    std::string log_level;                                   // EE_LOG_LEVEL: debug, info, warn, error
    std::string log_format;             // EE_LOG_FORMAT: json, text, auto (text on a terminal)
    std::vector<std::string> warnings;  // Sentences to log at start; no secrets.
    // Every setting that a start alone reads, and its value as it was written.
    std::vector<std::pair<std::string_view, Secret>> start_only;
};

// Those of them that have another value than at the start: it counts after the next one.
std::vector<std::string_view> waiting_for_restart(const ControlPlaneConfig& at_start,
                                                  const ControlPlaneConfig& now);

// Reads flags, environment, file and defaults, in that order of precedence. Answers an ExitRequest for
// --help, --version, --check-config, --print-config, and when anything is wrong: then it names every bad
// setting at once, with code 78. The problems that `inspections` find are among those; --print-config
// goes without them.
std::variant<ControlPlaneConfig, ExitRequest> load_control_plane_config(
    int argc, const char* const* argv, const Environment& environment,
    const Inspections<ControlPlaneConfig>& inspections = {});

}  // namespace ee::config
