#include "control_plane/sources.h"

#include "attestation/directory_source.h"
#include "attestation/remote/collateral_verifier.h"
#include "attestation/remote/preferred_collateral.h"
#include "base/hex.h"
#include "config/dangerous_settings.h"

namespace ee::control_plane {

Result<attestation::TrustAnchors> read_trust_anchors(const config::ControlPlaneConfig& config) {
    if (!config.tdx_root_ca) return attestation::TrustAnchors();
    return attestation::TrustAnchors::with_simulated_root_file(*config.tdx_root_ca);
}

attestation::CollateralSource& CollateralSources::source() const {
    if (both) return *both;
    return *service;
}

CollateralSources make_collateral_sources(const config::ControlPlaneConfig& config,
                                          const std::optional<net::Url>& pccs_url,
                                          const attestation::TrustAnchors& anchors,
                                          std::shared_ptr<const net::TlsContext> tls,
                                          const telemetry::Log& log, telemetry::Metrics& metrics) {
    attestation::ServiceSettings settings;
    settings.url = pccs_url;
    if (config.collateral_dir) settings.folder = *config.collateral_dir / "fetched";
    CollateralSources sources;
    sources.service = std::make_unique<attestation::CollateralService>(
        std::move(settings), attestation::make_collateral_verifier(anchors), std::move(tls), log, metrics);
    if (!config.collateral_dir) return sources;
    sources.directory = attestation::make_collateral_directory(
        *config.collateral_dir, [&log](const std::filesystem::path& file, const Error& why) {
            log.warn("collateral.skipped",
                     {{"file", file.string()}, {"code", why.code}, {"detail", why.detail}});
        });
    sources.both = std::make_unique<attestation::PreferredCollateral>(*sources.directory, *sources.service);
    return sources;
}

std::function<api::ReadinessDetail()> readiness_detail(const CollateralSources& sources,
                                                       const config::ControlPlaneConfig& config) {
    return [&sources, dangerous = config::dangerous_settings(config)] {
        api::ReadinessDetail detail{.dangerous_settings = dangerous};
        for (attestation::CollateralCache::State& state : sources.service->states())
            detail.collateral.push_back(
                {.is_intels = state.key.anchor_spki_sha256 == attestation::intel_root_spki_sha256,
                 .fmspc = to_hex(state.key.fmspc),
                 .ca = to_string(state.key.ca),
                 .next_update = state.next_update,
                 .failure = std::move(state.failure)});
        return detail;
    };
}

}  // namespace ee::control_plane
