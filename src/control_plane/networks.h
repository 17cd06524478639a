#pragma once
// The networks this control plane serves: read at start and again at SIGHUP.

#include <filesystem>
#include <string>
#include <vector>

#include "attestation/policy.h"
#include "base/result.h"
#include "config/control_plane_config.h"

namespace ee::control_plane {

// For the check of the configuration: everything that is wrong with EE_NETWORKS_FILE.
config::Findings inspect_networks(const config::ControlPlaneConfig& config);

// The policies of EE_NETWORKS_FILE, without one the built-in ones. `networks_file_invalid` names every
// problem.
Result<attestation::NetworkPolicies> read_networks(const config::ControlPlaneConfig& config,
                                                   bool simulated_root_configured);

std::vector<std::string> names_of(const attestation::NetworkPolicies& policies);

// What another set of policies means for agents that serve: by name of network.
struct NetworkChanges {
    std::vector<std::string> added;
    std::vector<std::string> changed;
    std::vector<std::string> removed;

    // Whether agents of this network are to be judged anew.
    bool concern(std::string_view network) const;
};
NetworkChanges changes_between(const attestation::NetworkPolicies& before,
                               const attestation::NetworkPolicies& after);

}  // namespace ee::control_plane
