#pragma once
// The networks' policies that judge now. They are replaced as a whole; who judges keeps those it began with.

#include <memory>

#include "attestation/policy.h"

namespace ee::attestation {

// Thread-safe.
class PoliciesInForce {
public:
    explicit PoliciesInForce(NetworkPolicies policies);
    ~PoliciesInForce();

    std::shared_ptr<const NetworkPolicies> get() const;
    void replace(NetworkPolicies policies);

private:
    struct Guarded;
    std::unique_ptr<Guarded> guarded_;
};

}  // namespace ee::attestation
