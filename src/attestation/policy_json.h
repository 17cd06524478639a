#pragma once
// The judging part of a network's policy as JSON: what a verdict was reached by, to be kept and repeated.

#include <string>
#include <string_view>
#include <vector>

#include "attestation/policy.h"
#include "base/result.h"

namespace ee::attestation {

// One object, the same bytes for the same rules. Terms that judge no answer (`join`, stake, `legacy_cidrs`,
// visibility, grace after the last verdict) are not in it.
std::string policy_json(const NetworkPolicy& policy);

// What policy_json() wrote, and nothing else: `policy_malformed:<JSON pointer>`. Fields that are not in the
// text have their defaults.
Result<NetworkPolicy> parse_policy_json(std::string_view json);

// The rules in which two policies differ, each as "binding_min: \"nonce\", not \"channel\"" (first `policy`,
// then `reference`).
std::vector<std::string> policy_differences(const NetworkPolicy& policy, const NetworkPolicy& reference);

}  // namespace ee::attestation
