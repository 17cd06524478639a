#pragma once
// The agent's settings, checked and typed. Every field says the setting it comes from.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/secret.h"
#include "config/exit_request.h"
#include "config/inspection.h"

namespace ee::config {

// `automatic` means configfs-tsm when present, else a refusal that says what to do: never simulated.
enum class QuoteProviderKind { automatic, tsm, simulated };

struct AgentConfig {
    std::string control_ws;                              // EE_CONTROL_WS: ws:// or wss:// URL
    std::string repo;                                    // EE_REPO: owner/name
    std::string release_tag;                             // EE_RELEASE_TAG
    std::string app_name;                                // EE_APP_NAME: a DNS label
    std::string network;                                 // EE_NETWORK
    std::optional<std::string> agent_id;                 // EE_AGENT_ID; unset: a UUID kept in state_dir
    std::filesystem::path state_dir;                     // EE_STATE_DIR
    std::string backend_url;                             // EE_BACKEND_URL, as it was written
    std::optional<std::string> health_url;               // EE_HEALTH_URL; unset: TCP connect to the backend
    std::chrono::seconds health_interval{};              // EE_HEALTH_INTERVAL_SEC
    std::chrono::seconds reconnect_min{};                // EE_RECONNECT_MIN_SEC
    std::chrono::seconds reconnect_max{};                // EE_RECONNECT_MAX_SEC, at least the minimum
    QuoteProviderKind quote_provider{};                  // EE_QUOTE_PROVIDER
    std::optional<std::filesystem::path> simulated_dir;  // EE_SIMULATED_TDX_DIR; set when simulated
    std::optional<std::filesystem::path> tls_ca;         // EE_TLS_CA, PEM; unset: the system's roots
    std::optional<bool> sealed;  // EE_SEALED: false lowers the claim, true raises nothing
    std::optional<std::filesystem::path> measurements_file;  // EE_MEASUREMENTS_FILE
    std::optional<std::string> node_id;                      // EE_NODE_ID; set: so is node_token
    std::optional<Secret> node_token;         // EE_NODE_TOKEN; set: so is node_id, and control_ws is wss://
    std::chrono::seconds proxy_timeout{};     // EE_PROXY_TIMEOUT_SEC: a backend's whole answer, v1
    std::chrono::seconds stream_idle_time{};  // EE_STREAM_IDLE_SEC, v2
    std::size_t body_bytes_max = 0;           // EE_MAX_BODY_BYTES: a larger answer becomes 502
    std::chrono::seconds drain_timeout{};     // EE_DRAIN_SEC
    std::string log_level;                    // EE_LOG_LEVEL: debug, info, warn, error
    std::string log_format;                   // EE_LOG_FORMAT: json, text, auto (text on a terminal)
    std::vector<std::string> warnings;        // Sentences to log at start; no secrets.
};

// As load_control_plane_config, for the agent.
std::variant<AgentConfig, ExitRequest> load_agent_config(int argc, const char* const* argv,
                                                         const Environment& environment,
                                                         const Inspections<AgentConfig>& inspections = {});

}  // namespace ee::config
