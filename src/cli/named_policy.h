#pragma once
// What --network and --policy name.

#include <string>

#include "attestation/policy.h"
#include "base/result.h"

namespace ee::cli {

struct NamedPolicy {
    attestation::NetworkPolicy policy;
    bool is_served = true;  // By a control plane with this file.
};

// The built-in network of this name; with `file`, one of its networks, which need not be named when it has
// only one. Refuses with `usage`.
Result<NamedPolicy> named_policy(const std::string& network, const std::string& file, bool simulated_root);

}  // namespace ee::cli
