#pragma once
// The control plane's own quote: what binds its keys to the machine it runs on.

#include <memory>
#include <optional>
#include <string>

#include "attestation/collateral_source.h"
#include "attestation/quote_provider.h"
#include "attestation/report_data.h"
#include "attestation/trust_anchor.h"
#include "config/control_plane_config.h"
#include "telemetry/log.h"

namespace ee::control_plane {

// Null where the settings name none and the machine has none: the control plane runs outside a TEE.
// `quote_provider_unavailable` where they name one that is not there.
Result<std::unique_ptr<attestation::QuoteProvider>> own_quote_provider(
    const config::ControlPlaneConfig& config);

struct OwnQuote {
    Bytes quote{};
    std::string collateral{};  // JSON; empty where there was none in time
};

// Waits for the machine and, at most `wait_max`, for collateral; not for the loop's thread. What a verifier
// says of the quote is logged: a control plane that nobody believes still serves.
Result<OwnQuote> make_own_quote(attestation::QuoteProvider& provider,
                                const attestation::ReportData& report_data,
                                const attestation::TrustAnchors& anchors,
                                attestation::CollateralSource& source, std::chrono::seconds wait_max,
                                const telemetry::Log& log);

}  // namespace ee::control_plane
