#include "attestation/policies_in_force.h"

#include <mutex>

namespace ee::attestation {

struct PoliciesInForce::Guarded {
    std::mutex mutex;
    std::shared_ptr<const NetworkPolicies> current;
};

PoliciesInForce::PoliciesInForce(NetworkPolicies policies) : guarded_(std::make_unique<Guarded>()) {
    replace(std::move(policies));
}

PoliciesInForce::~PoliciesInForce() = default;

std::shared_ptr<const NetworkPolicies> PoliciesInForce::get() const {
    const std::lock_guard lock(guarded_->mutex);
    return guarded_->current;
}

void PoliciesInForce::replace(NetworkPolicies policies) {
    // What was in force ends after the lock, not under it.
    auto other = std::make_shared<const NetworkPolicies>(std::move(policies));
    const std::lock_guard lock(guarded_->mutex);
    guarded_->current.swap(other);
}

}  // namespace ee::attestation
