#pragma once
// The seam between the verifier and wherever collateral comes from.

#include <functional>
#include <memory>
#include <utility>

#include "attestation/collateral.h"

namespace ee::attestation {

// Called on worker threads, several at once; never waits for a network.
class CollateralSource {
public:
    virtual ~CollateralSource() = default;

    // What is best for this platform at `now`. The answer is unverified and may be about something else: the
    // verifier judges it. Refuses with `collateral_unavailable`, or with `collateral_pending` while it is
    // being fetched and nothing else is there: the same quote is to be judged again afterwards.
    virtual Result<std::shared_ptr<const Collateral>> find(const CollateralKey& key, WallTime now) = 0;

    // Calls back once nothing is being fetched for `key` any more, however that went: once, on any thread, at
    // once for a source that fetches nothing.
    virtual void when_settled(const CollateralKey& key, std::function<void()> on_settled) {
        static_cast<void>(key);
        std::exchange(on_settled, nullptr)();
    }
};

// One given piece for every question, e.g. a file named on the command line.
class FixedCollateral final : public CollateralSource {
public:
    explicit FixedCollateral(Collateral collateral)
        : collateral_(std::make_shared<const Collateral>(std::move(collateral))) {}

    Result<std::shared_ptr<const Collateral>> find(const CollateralKey&, WallTime) override {
        return collateral_;
    }

private:
    std::shared_ptr<const Collateral> collateral_;
};

}  // namespace ee::attestation
