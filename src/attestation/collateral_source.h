#pragma once
// The seam between the verifier and wherever collateral comes from.

#include <memory>

#include "attestation/collateral.h"

namespace ee::attestation {

// Called on worker threads, several at once; may block.
class CollateralSource {
public:
    virtual ~CollateralSource() = default;

    // What is known for this platform, newest first choice. Refuses with `collateral_unavailable`.
    // The answer is unverified and may be about something else: the verifier judges it.
    virtual Result<std::shared_ptr<const Collateral>> find(const CollateralKey& key) = 0;
};

// One given piece for every question, e.g. a file named on the command line.
class FixedCollateral final : public CollateralSource {
public:
    explicit FixedCollateral(Collateral collateral)
        : collateral_(std::make_shared<const Collateral>(std::move(collateral))) {}

    Result<std::shared_ptr<const Collateral>> find(const CollateralKey&) override { return collateral_; }

private:
    std::shared_ptr<const Collateral> collateral_;
};

}  // namespace ee::attestation
