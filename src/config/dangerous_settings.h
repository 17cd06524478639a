#pragma once

#include <string>
#include <vector>

#include "config/control_plane_config.h"

namespace ee::config {

// Settings that somebody has reason to ask for and that give up something others rely on: a sentence each,
// which begins with the setting's name. No secrets.
std::vector<std::string> dangerous_settings(const ControlPlaneConfig& config);

}  // namespace ee::config
