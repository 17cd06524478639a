#pragma once
// The agent as a program: builds its parts, runs until a signal.

#include "config/agent_config.h"

namespace ee::agent {

// The exit code: 0 after a clean stop, 1 when it could not start, 78 for a bad setting.
int run_agent(const config::AgentConfig& config);

}  // namespace ee::agent
