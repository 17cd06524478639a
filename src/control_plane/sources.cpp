#include "control_plane/sources.h"

#include "attestation/directory_source.h"

namespace ee::control_plane {
namespace {

class NoCollateral final : public attestation::CollateralSource {
    Result<std::shared_ptr<const attestation::Collateral>> find(const attestation::CollateralKey&,
                                                                WallTime) override {
        return fail("collateral_unavailable",
                    "EE_COLLATERAL_DIR is not set, and this version fetches no collateral");
    }
};

class NoReleases final : public attestation::ReleaseSource {
    Result<attestation::PublishedAllowlist> find(const attestation::ReleaseQuery& query, WallTime) override {
        const attestation::ReleaseId& release = query.release;
        return fail("allowlist_missing", "EE_ALLOWLIST_DIR is not set, so nothing vouches for " +
                                             release.repo + " " + release.tag);
    }
};

}  // namespace

std::unique_ptr<attestation::CollateralSource> make_collateral_source(
    const config::ControlPlaneConfig& config, const telemetry::Log& log) {
    if (!config.collateral_dir) return std::make_unique<NoCollateral>();
    return attestation::make_collateral_directory(
        *config.collateral_dir, [&log](const std::filesystem::path& file, const Error& why) {
            log.warn("collateral.skipped",
                     {{"file", file.string()}, {"code", why.code}, {"detail", why.detail}});
        });
}

std::unique_ptr<attestation::ReleaseSource> make_release_source(const config::ControlPlaneConfig& config) {
    if (!config.allowlist_dir) return std::make_unique<NoReleases>();
    return attestation::make_allowlist_directory(*config.allowlist_dir);
}

}  // namespace ee::control_plane
