#pragma once
// The control plane as a program: builds its parts, runs until a signal.

#include "config/control_plane_config.h"

namespace ee::control_plane {

// The exit code: 0 after a clean stop, 1 when it could not start, 78 for a bad setting.
int run_control_plane(const config::ControlPlaneConfig& config);

}  // namespace ee::control_plane
