#pragma once
// What the agent says it is, and what it claims about itself.

#include <filesystem>
#include <optional>
#include <string>

#include "base/claims.h"
#include "base/result.h"
#include "config/agent_config.h"

namespace ee::agent {

// EE_AGENT_ID, or the id kept in EE_STATE_DIR, made on the first start (folder 0700). Refusal
// `state_dir_unusable` says what failed.
Result<std::string> agent_id_of(const config::AgentConfig& config);

// Whether agent_id_of() can do so; makes and changes nothing.
Result<void> check_state_folder(const config::AgentConfig& config);

// The folder whose `sealed` and `measurements.json` are part of the measured root. With the simulated
// provider its folder stands for that.
std::filesystem::path sealed_folder(const config::AgentConfig& config);

// The measured root says that nobody can log in to it; EE_SEALED=false takes the claim away, not the image's
// hash.
bool is_built_sealed(const config::AgentConfig& config);

// The claims of `measurements`. A sealed agent takes them from the measured root, binds its configuration
// (config_sha256) and refuses to send plaintext anywhere but to itself. Refusals: `measurements_invalid`,
// `sealed_backend_not_local`, `sealed_measurements_file`.
Result<Claims> claims_of(const config::AgentConfig& config);

// SHA-256 (hex) of the RFC 8785 object of exactly the six settings that say where plaintext goes.
std::string config_sha256(const config::AgentConfig& config);

}  // namespace ee::agent
