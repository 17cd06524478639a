#pragma once
// The control plane as a program: builds its parts, runs until a signal.

#include <functional>
#include <variant>

#include "config/control_plane_config.h"

namespace ee::control_plane {

// Reads the settings again (SIGHUP).
using Reload = std::function<std::variant<config::ControlPlaneConfig, config::ExitRequest>()>;

// The exit code: 0 after a clean stop, 1 when it could not start.
int run_control_plane(const config::ControlPlaneConfig& config, const Reload& reload);

}  // namespace ee::control_plane
