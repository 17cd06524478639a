#pragma once
// Where collateral and allowlists come from, according to the settings.

#include <memory>

#include "attestation/collateral_source.h"
#include "attestation/release_source.h"
#include "config/control_plane_config.h"
#include "telemetry/log.h"

namespace ee::control_plane {

// EE_COLLATERAL_DIR; without it nothing is found. `log` must outlive the source.
std::unique_ptr<attestation::CollateralSource> make_collateral_source(
    const config::ControlPlaneConfig& config, const telemetry::Log& log);
// EE_ALLOWLIST_DIR; without it nothing is found.
std::unique_ptr<attestation::ReleaseSource> make_release_source(const config::ControlPlaneConfig& config);

}  // namespace ee::control_plane
