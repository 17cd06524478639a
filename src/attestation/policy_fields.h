#pragma once
// The keys of a network's table in a policy file: what each may be, and the field of the policy it sets.

// A broken file is a refusal here, not an exception.
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#define TOML_ENABLE_WINDOWS_COMPAT 0
#include <span>
#include <string_view>

// What a bad file gets is toml++'s own error, in builds with assertions too.
#define TOML_ASSERT(expr) static_cast<void>(0)
#include <toml++/toml.h>

#include "attestation/policy.h"

namespace ee::attestation {

struct PolicyField {
    // Sets the field; answers the node that is not allowed (an element of a list, for one), or nullptr.
    using Read = const toml::node* (*)(const toml::node& value, NetworkPolicy& policy);

    std::string_view name;
    std::string_view allowed;  // completes "must be ..."
    Read read = nullptr;
    std::span<const PolicyField> members{};  // instead of `read`: the keys of a table within the table
};

std::span<const PolicyField> policy_fields();

}  // namespace ee::attestation
