#pragma once
// Network policies from a file (EE_NETWORKS_FILE): TOML, one table a network, read strictly.

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "attestation/policy.h"

namespace ee::attestation {

inline constexpr std::size_t policy_file_size_max = 256 * 1024;

struct PolicyFile {
    struct Network {
        NetworkPolicy policy;
        bool served = true;
    };
    std::vector<Network> networks;      // those the file names, by name
    std::vector<std::string> warnings;  // sentences: what is accepted but has no effect yet, or is unwise

    // What a control plane with this file serves: the built-in networks, as the file changes them, and its
    // own, without those it does not serve. `simulated_root_configured` says whether EE_TDX_ROOT_CA is set;
    // without it no network admits a simulated root.
    NetworkPolicies in_force(bool simulated_root_configured) const;
};

// Sentences, in the order of the file: each names the file and line, the network, the key, its value and what
// is allowed.
using PolicyProblems = std::vector<std::string>;

// A network starts from its `base`, `forge-1` or `sandbox-1` (without one: itself when it is built in, else
// `forge-1`), and the other keys, those of docs/networks.md, change it. A sealed network cannot be made
// weaker than the floor, and `forge-1` cannot be unsealed. One problem refuses the whole file, and all of
// them are told. `file_name` is for the sentences.
tl::expected<PolicyFile, PolicyProblems> parse_policies(std::string_view text, std::string_view file_name);

// The same of a file of at most policy_file_size_max bytes.
tl::expected<PolicyFile, PolicyProblems> read_policy_file(const std::filesystem::path& file);

}  // namespace ee::attestation
