#pragma once
// Two sources of collateral, one preferred: files that the operator placed before what was fetched.

#include <map>
#include <mutex>

#include "attestation/collateral_source.h"

namespace ee::attestation {

class PreferredCollateral final : public CollateralSource {
public:
    // Both outlive this object.
    PreferredCollateral(CollateralSource& first, CollateralSource& second) : first_(first), second_(second) {}

    // The first source's while it is valid, and the second is not even asked. Else the second's; of two that
    // are both not valid the one that ends last. `collateral_pending` of the second counts for more than what
    // is not valid: something better is on its way.
    Result<std::shared_ptr<const Collateral>> find(const CollateralKey& key, WallTime now) override;
    // When both have ended what they fetch.
    void when_settled(const CollateralKey& key, std::function<void()> on_settled) override;

private:
    struct Life {
        WallTime issued_at{};
        WallTime next_update{};

        bool holds_at(WallTime now) const { return issued_at <= now && now <= next_update; }
    };
    // Both zero when it cannot be read.
    Life life_of(const CollateralKey& key, const std::shared_ptr<const Collateral>& collateral);
    static Life read_life(const Collateral& collateral);

    struct Known {
        std::shared_ptr<const Collateral> collateral;
        Life life;
    };
    static constexpr std::size_t known_max = 1024;

    CollateralSource& first_;
    CollateralSource& second_;
    std::mutex mutex_;
    std::map<CollateralKey, Known> known_;  // of the first source: reading it costs more than finding it
};

}  // namespace ee::attestation
