#pragma once
// Collateral and allowlists from folders: air-gapped operation, the simulated platform, tests.

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "attestation/collateral_source.h"
#include "attestation/release_source.h"

namespace ee::attestation {

// Hears of a file that was skipped, and why; called on the thread that looked, each time the file has
// changed.
using SkippedFile = std::function<void(const std::filesystem::path& file, const Error& why)>;

// Every *.json directly in `folder` that is a collateral file (EE_COLLATERAL_DIR). A file that appears,
// changes or goes is noticed at the next look-up. Of several for one platform the newest TCB info answers.
std::unique_ptr<CollateralSource> make_collateral_directory(std::filesystem::path folder,
                                                            SkippedFile on_skipped = {});

// <folder>/<owner>/<repo>/<tag>.json (EE_ALLOWLIST_DIR), read anew whenever it has changed.
std::unique_ptr<ReleaseSource> make_allowlist_directory(std::filesystem::path folder);

// `text` as one URL or file name segment: all but RFC 3986's unreserved characters as %XX, and "." and ".."
// too.
std::string percent_encoded_segment(std::string_view text);

// A whole file of at most `size_max` bytes: `file_unreadable`, `file_too_large`.
Result<std::string> read_whole_file(const std::filesystem::path& file, std::size_t size_max);

}  // namespace ee::attestation
