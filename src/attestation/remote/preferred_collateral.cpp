#include "attestation/remote/preferred_collateral.h"

#include "attestation/remote/collateral_terms.h"

namespace ee::attestation {

Result<std::shared_ptr<const Collateral>> PreferredCollateral::find(const CollateralKey& key, WallTime now) {
    auto first = first_.find(key, now);
    const Life first_life = first ? life_of(key, *first) : Life{};
    if (first && first_life.holds_at(now)) return first;
    auto second = second_.find(key, now);
    if (!first && !second && second.error().code != "collateral_pending")
        return fail(second.error().code, first.error().detail + "; " + second.error().detail);
    if (!first || (!second && second.error().code == "collateral_pending")) return second;
    if (!second) return first;
    const Life second_life = read_life(**second);
    if (second_life.holds_at(now)) return second;
    return second_life.next_update >= first_life.next_update ? second : first;
}

void PreferredCollateral::when_settled(const CollateralKey& key, std::function<void()> on_settled) {
    first_.when_settled(key, [&second = second_, key, on_settled = std::move(on_settled)] {
        second.when_settled(key, on_settled);
    });
}

PreferredCollateral::Life PreferredCollateral::read_life(const Collateral& collateral) {
    const auto terms = read_collateral_terms(collateral);
    return terms ? Life{terms->issued_at, terms->next_update} : Life{};
}

PreferredCollateral::Life PreferredCollateral::life_of(const CollateralKey& key,
                                                       const std::shared_ptr<const Collateral>& collateral) {
    const std::lock_guard lock(mutex_);
    if (const auto at = known_.find(key); at != known_.end() && at->second.collateral == collateral)
        return at->second.life;
    if (known_.size() >= known_max) known_.clear();
    const Life life = read_life(*collateral);
    known_.insert_or_assign(key, Known{collateral, life});
    return life;
}

}  // namespace ee::attestation
