#pragma once
// Where collateral comes from, according to the settings.

#include <memory>

#include "api/services.h"
#include "attestation/collateral_source.h"
#include "attestation/remote/collateral_service.h"
#include "attestation/trust_anchor.h"
#include "config/control_plane_config.h"
#include "telemetry/log.h"

namespace ee::control_plane {

// Intel's root, or the one in EE_TDX_ROOT_CA beside it.
Result<attestation::TrustAnchors> read_trust_anchors(const config::ControlPlaneConfig& config);

// The files of EE_COLLATERAL_DIR first, then what the service at EE_PCCS_URL has published.
struct CollateralSources {
    std::unique_ptr<attestation::CollateralSource> directory;  // null without EE_COLLATERAL_DIR
    std::unique_ptr<attestation::CollateralService> service;
    std::unique_ptr<attestation::CollateralSource> both;  // null without the directory

    attestation::CollateralSource& source() const;
};

// `tls` checks the service's certificate. `log` and `metrics` outlive the sources. EE_PCCS_URL has been
// parsed: `pccs_url`.
CollateralSources make_collateral_sources(const config::ControlPlaneConfig& config,
                                          const std::optional<net::Url>& pccs_url,
                                          const attestation::TrustAnchors& anchors,
                                          std::shared_ptr<const net::TlsContext> tls,
                                          const telemetry::Log& log, telemetry::Metrics& metrics);

// What only the operator is shown: the service's collateral, as it is when asked, and what is dangerous of
// the settings. `sources` outlives it.
std::function<api::ReadinessDetail()> readiness_detail(const CollateralSources& sources,
                                                       const config::ControlPlaneConfig& config);

}  // namespace ee::control_plane
