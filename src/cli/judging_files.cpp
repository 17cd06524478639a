#include "cli/judging_files.h"

#include <filesystem>

#include "attestation/directory_source.h"

namespace ee::cli {

namespace att = ee::attestation;

Result<std::unique_ptr<att::CollateralSource>> open_collateral(const std::string& where) {
    std::error_code ignored;
    if (std::filesystem::is_directory(where, ignored)) return att::make_collateral_directory(where);
    const auto text = att::read_whole_file(where, att::collateral_file_size_max);
    if (!text) return fail("usage", "--collateral: " + text.error().detail);
    auto collateral = att::parse_collateral(*text);
    if (!collateral) return fail(collateral.error());
    return std::make_unique<att::FixedCollateral>(std::move(*collateral));
}

Result<att::Allowlist> read_allowlist(const std::string& file) {
    const auto text = att::read_whole_file(file, att::allowlist_size_max);
    if (!text) return fail("usage", "--allowlist: " + text.error().detail);
    return att::parse_allowlist(*text);
}

}  // namespace ee::cli
