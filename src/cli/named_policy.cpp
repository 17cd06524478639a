#include "cli/named_policy.h"

#include <fmt/format.h>

#include "attestation/policy_file.h"

namespace ee::cli {
namespace {

namespace att = ee::attestation;

Result<NamedPolicy> find_policy(const std::string& name, bool simulated_root) {
    const auto policies = att::NetworkPolicies::built_in(simulated_root);
    if (const att::NetworkPolicy* policy = policies.find(name)) return NamedPolicy{*policy};
    std::string known;
    for (const att::NetworkPolicy& policy : policies.all()) known += " " + policy.name;
    return fail("usage", fmt::format("--network: \"{}\" is not one of:{}", name, known));
}

// The only network of a file, or the one that was named.
Result<NamedPolicy> read_policy(const std::string& file, const std::string& name) {
    const auto read = att::read_policy_file(file);
    if (!read) {
        std::string text = "--policy:";
        for (const std::string& problem : read.error()) text += "\n  " + problem;
        return fail("usage", text);
    }
    std::string known;
    for (const auto& [policy, served] : read->networks) {
        if (policy.name == name || (name.empty() && read->networks.size() == 1))
            return NamedPolicy{policy, served};
        known += " " + policy.name;
    }
    if (read->networks.empty()) return fail("usage", fmt::format("--policy: {} names no network", file));
    return fail("usage", name.empty()
                             ? fmt::format("--policy: {} has several networks, pick one with --network:{}",
                                           file, known)
                             : fmt::format("--network: \"{}\" is not one of {}:{}", name, file, known));
}

}  // namespace

Result<NamedPolicy> named_policy(const std::string& network, const std::string& file, bool simulated_root) {
    return file.empty() ? find_policy(network, simulated_root) : read_policy(file, network);
}

}  // namespace ee::cli
