#pragma once
// What GitHub's REST API says about a release (GET /repos/{owner}/{repo}/releases/tags/{tag}).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/digest.h"

namespace ee::attestation {

inline constexpr std::size_t release_answer_size_max = 4 * 1024 * 1024;

struct ReleaseAsset {
    std::string url;                       // of the API, absolute; where it points to is not judged here
    std::optional<std::uint64_t> size;     // in bytes
    std::optional<crypto::Sha256> sha256;  // newer servers say it: "digest": "sha256:<hex>"
};

// The asset of this name. Refusals: `asset_missing` when the release has none that is wholly uploaded;
// `bad_answer` when the text is not such an answer, is about another tag, or names the asset twice.
Result<ReleaseAsset> parse_release_answer(std::string_view json, std::string_view tag,
                                          std::string_view asset_name);

}  // namespace ee::attestation
