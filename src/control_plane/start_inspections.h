#pragma once
// The check of the configuration: what the settings name, read by the functions that the start reads it with.

#include "config/control_plane_config.h"

namespace ee::control_plane {

config::Inspections<config::ControlPlaneConfig> start_inspections();
// Of what SIGHUP reads again and does not judge by itself.
config::Inspections<config::ControlPlaneConfig> reload_inspections();

}  // namespace ee::control_plane
