#include "attestation/remote/collateral_cache.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "base/hex.h"

namespace ee::attestation {

// Without a time: when the part issued last was issued.
Result<JudgedCollateral> judge_at(const CollateralKey& key, Collateral collateral,
                                  const VerifyCollateral& verify, std::optional<WallTime> at) {
    const auto terms = read_collateral_terms(collateral);
    if (!terms) return fail(terms.error());
    if (auto held = verify(key, collateral, at.value_or(terms->issued_at)); !held)
        return fail(std::move(held.error()));
    return JudgedCollateral(std::move(collateral), *terms);
}

Result<JudgedCollateral> judge_fetched(const CollateralKey& key, Collateral collateral,
                                       const VerifyCollateral& verify, WallTime now) {
    return judge_at(key, std::move(collateral), verify, now);
}

Result<JudgedCollateral> judge_kept(const CollateralKey& key, Collateral collateral,
                                    const VerifyCollateral& verify) {
    return judge_at(key, std::move(collateral), verify, std::nullopt);
}

CollateralCache::Found CollateralCache::find(const CollateralKey& key, const Moment& now) {
    Found found{.answer = ee::fail("collateral_pending", "the platform's collateral is being fetched")};
    auto at = entries_.find(key);
    if (at == entries_.end()) {
        found.dropped = make_room(key);
        if (entries_.size() >= settings_.keys_max) {
            found.answer =
                ee::fail("collateral_unavailable",
                         fmt::format("the collateral of {} platforms is kept or being fetched, which is as "
                                     "many as may be",
                                     entries_.size()));
            return found;
        }
        at = entries_.emplace(key, Entry{.schedule = FetchSchedule(settings_.times, now.mono)}).first;
        found.is_due = true;
    }
    Entry& entry = at->second;
    entry.asked = ++questions_;
    if (entry.kept && !entry.failure && !entry.kept->terms().valid_at(now.wall) &&
        entry.schedule.bring_forward(now.mono)) {
        found.is_due = true;
        entry.settled = false;
    }
    if (entry.kept && (entry.settled || entry.kept->terms().valid_at(now.wall)))
        found.answer = entry.kept->collateral();
    else if (entry.settled && entry.failure)
        found.answer = ee::fail("collateral_unavailable", entry.failure->detail);
    return found;
}

// Whoever is being fetched stays: somebody waits for it. What has no collateral goes first; what has some
// goes only for another platform under the same anchor: with it goes the guard against a roll-back, and a
// simulated platform costs nothing to make.
std::optional<CollateralKey> CollateralCache::make_room(const CollateralKey& wanted) {
    if (entries_.size() < settings_.keys_max) return std::nullopt;
    const auto rank = [](const Entry& entry) { return std::pair(entry.kept.has_value(), entry.asked); };
    auto oldest = entries_.end();
    for (auto at = entries_.begin(); at != entries_.end(); ++at) {
        const Entry& entry = at->second;
        if (entry.schedule.under_way()) continue;
        if (entry.kept && at->first.anchor_spki_sha256 != wanted.anchor_spki_sha256) continue;
        if (oldest == entries_.end() || rank(entry) < rank(oldest->second)) oldest = at;
    }
    if (oldest == entries_.end()) return std::nullopt;
    const CollateralKey key = oldest->first;
    entries_.erase(oldest);
    return key;
}

std::vector<CollateralKey> CollateralCache::take_due(MonoTime now) {
    std::vector<CollateralKey> due;
    for (auto& [key, entry] : entries_) {
        const auto at = entry.schedule.due();
        if (!at || *at > now) continue;
        entry.schedule.start();
        due.push_back(key);
    }
    return due;
}

std::optional<MonoTime> CollateralCache::next_due() const {
    std::optional<MonoTime> next;
    for (const auto& [key, entry] : entries_) {
        const auto due = entry.schedule.due();
        if (due && (!next || *due < *next)) next = due;
    }
    return next;
}

Result<void> CollateralCache::accept(const CollateralKey& key, const JudgedCollateral& fetched,
                                     const Moment& now, double random) {
    const auto at = entries_.find(key);
    EE_CHECK(at != entries_.end());  // What is being fetched is never dropped.
    Entry& entry = at->second;
    if (entry.kept) {
        if (auto held = judge_rollback(entry.kept->terms(), fetched.terms()); !held) {
            fail(key, held.error(), now, random);
            return held;
        }
    }
    entry.kept = fetched;
    entry.failure.reset();
    entry.settled = true;
    entry.schedule.succeed(fetched.terms().issued_at, fetched.terms().next_update, now, random);
    return {};
}

void CollateralCache::fail(const CollateralKey& key, const Error& why, const Moment& now, double random) {
    const auto at = entries_.find(key);
    EE_CHECK(at != entries_.end());
    Entry& entry = at->second;
    entry.failure = why;
    entry.settled = true;
    const auto valid_until = entry.kept ? std::optional(entry.kept->terms().next_update) : std::nullopt;
    entry.schedule.fail(valid_until, now, random);
}

bool CollateralCache::restore(const CollateralKey& key, const JudgedCollateral& kept, const Moment& now,
                              double random) {
    if (entries_.size() >= settings_.keys_max || entries_.contains(key)) return false;
    Entry entry{.schedule = FetchSchedule(settings_.times, now.mono), .kept = kept};
    if (kept.terms().valid_at(now.wall))
        entry.schedule.succeed(kept.terms().issued_at, kept.terms().next_update, now, random);
    entries_.emplace(key, std::move(entry));
    return true;
}

bool CollateralCache::is_under_way(const CollateralKey& key, MonoTime now) const {
    const auto at = entries_.find(key);
    if (at == entries_.end()) return false;
    const auto due = at->second.schedule.due();
    return !due || *due <= now;
}

std::optional<WallTime> CollateralCache::earliest_next_update() const {
    std::optional<WallTime> earliest;
    for (const auto& [key, entry] : entries_) {
        if (!entry.kept) continue;
        const WallTime next = entry.kept->terms().next_update;
        if (!earliest || next < *earliest) earliest = next;
    }
    return earliest;
}

std::vector<CollateralCache::State> CollateralCache::states() const {
    std::vector<State> out;
    out.reserve(entries_.size());
    for (const auto& [key, entry] : entries_) {
        State& state = out.emplace_back(State{.key = key});
        if (entry.kept) state.next_update = entry.kept->terms().next_update;
        state.failure = entry.failure;
    }
    return out;
}

}  // namespace ee::attestation
