#pragma once
// The body of POST /v1/apps/{app}/allowlist: {"release_tag": "...", "sha256": "<64 hex digits>"}.

#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/digest.h"

namespace ee::api {

struct AllowlistAcceptance {
    std::string release_tag;
    crypto::Sha256 sha256{};
};

// Refusals: `invalid_json`, `unknown_field:<name>`, `invalid_field:<name>`, `missing_fields`.
Result<AllowlistAcceptance> parse_allowlist_acceptance(std::string_view json);

}  // namespace ee::api
