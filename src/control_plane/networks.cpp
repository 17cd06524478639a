#include "control_plane/networks.h"

#include <algorithm>

#include "attestation/policy_file.h"

namespace ee::control_plane {

config::Findings inspect_networks(const config::ControlPlaneConfig& config) {
    if (!config.networks_file) return {};
    const auto read = attestation::read_policy_file(*config.networks_file);
    config::Findings findings{.problems = read ? std::vector<std::string>() : read.error(),
                              .warnings = read ? read->warnings : std::vector<std::string>()};
    for (auto* sentences : {&findings.problems, &findings.warnings})
        for (std::string& sentence : *sentences) sentence.insert(0, "EE_NETWORKS_FILE: ");
    return findings;
}

Result<attestation::NetworkPolicies> read_networks(const config::ControlPlaneConfig& config,
                                                   bool simulated_root_configured) {
    if (!config.networks_file) return attestation::NetworkPolicies::built_in(simulated_root_configured);
    const auto file = attestation::read_policy_file(*config.networks_file);
    if (file) return file->in_force(simulated_root_configured);
    std::string detail;
    for (const std::string& problem : file.error()) detail.append(detail.empty() ? "" : "\n").append(problem);
    return fail("networks_file_invalid", std::move(detail));
}

std::vector<std::string> names_of(const attestation::NetworkPolicies& policies) {
    std::vector<std::string> names;
    for (const attestation::NetworkPolicy& policy : policies.all()) names.push_back(policy.name);
    return names;
}

bool NetworkChanges::concern(std::string_view network) const {
    return std::find(changed.begin(), changed.end(), network) != changed.end() ||
           std::find(removed.begin(), removed.end(), network) != removed.end();
}

NetworkChanges changes_between(const attestation::NetworkPolicies& before,
                               const attestation::NetworkPolicies& after) {
    NetworkChanges changes;
    for (const attestation::NetworkPolicy& policy : after.all()) {
        const attestation::NetworkPolicy* old = before.find(policy.name);
        if (old == nullptr)
            changes.added.push_back(policy.name);
        else if (*old != policy)
            changes.changed.push_back(policy.name);
    }
    for (const attestation::NetworkPolicy& policy : before.all())
        if (after.find(policy.name) == nullptr) changes.removed.push_back(policy.name);
    return changes;
}

}  // namespace ee::control_plane
