#pragma once
// The collateral that was fetched, by platform: what is kept, what may replace it, what is to be fetched and
// when. Does no I/O and reads no clock; not thread-safe.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "attestation/collateral.h"
#include "attestation/remote/collateral_terms.h"
#include "attestation/remote/fetch_schedule.h"

namespace ee::attestation {

// Whether every signature, chain and date of the collateral holds at a time, under the anchor of the key and
// for its FMSPC and CA. Thread-safe.
using VerifyCollateral =
    std::function<Result<void>(const CollateralKey& key, const Collateral& collateral, WallTime at)>;

// Collateral that has been verified. Only the two functions below make one.
class JudgedCollateral {
public:
    const std::shared_ptr<const Collateral>& collateral() const { return collateral_; }
    const CollateralTerms& terms() const { return terms_; }

private:
    friend Result<JudgedCollateral> judge_at(const CollateralKey&, Collateral, const VerifyCollateral&,
                                             std::optional<WallTime>);
    JudgedCollateral(Collateral collateral, const CollateralTerms& terms)
        : collateral_(std::make_shared<const Collateral>(std::move(collateral))), terms_(terms) {}

    std::shared_ptr<const Collateral> collateral_;
    CollateralTerms terms_;
};

// What was fetched must be valid now. Refuses with the verifier's codes, or `collateral_malformed:<part>`.
Result<JudgedCollateral> judge_fetched(const CollateralKey& key, Collateral collateral,
                                       const VerifyCollateral& verify, WallTime now);
// What was kept must have been valid when it was issued: expired, it still guards against older ones.
Result<JudgedCollateral> judge_kept(const CollateralKey& key, Collateral collateral,
                                    const VerifyCollateral& verify);

struct CacheSettings {
    std::size_t keys_max = 1024;  // above that one goes, see make_room()
    FetchTimes times;
};

class CollateralCache {
public:
    explicit CollateralCache(const CacheSettings& settings) : settings_(settings) {}

    struct Found {
        Result<std::shared_ptr<const Collateral>> answer;
        bool is_due = false;                     // now, since this question
        std::optional<CollateralKey> dropped{};  // had to make room
    };
    // What is valid at `now`. Otherwise `collateral_pending` until the first fetch has ended, and from then
    // on what has expired, or `collateral_unavailable` with the last failure. What the wall clock has left
    // behind although no fetch has failed is fetched anew, and pending until that has ended.
    Found find(const CollateralKey& key, const Moment& now);

    // The keys whose time has come; each counts as being fetched from here on.
    std::vector<CollateralKey> take_due(MonoTime now);
    // When take_due() will have something; nullopt: not before something happens.
    std::optional<MonoTime> next_due() const;

    // The fetch ended with collateral: kept unless it is older (`collateral_rolled_back:<part>`), which
    // counts as a failure.
    Result<void> accept(const CollateralKey& key, const JudgedCollateral& fetched, const Moment& now,
                        double random);
    // The fetch ended without.
    void fail(const CollateralKey& key, const Error& why, const Moment& now, double random);
    // What an earlier process kept; due at half of its life, which may have passed. False when there is no
    // room, or something newer.
    bool restore(const CollateralKey& key, const JudgedCollateral& kept, const Moment& now, double random);

    // Whether a fetch is under way, or due and about to be.
    bool is_under_way(const CollateralKey& key, MonoTime now) const;
    std::size_t size() const { return entries_.size(); }
    // The earliest nextUpdate of all that is kept.
    std::optional<WallTime> earliest_next_update() const;

    // How it stands with each platform that was asked for.
    struct State {
        CollateralKey key;
        std::optional<WallTime> next_update{};  // nullopt: there is none
        std::optional<Error> failure{};         // of the last fetch
    };
    std::vector<State> states() const;

private:
    struct Entry {
        FetchSchedule schedule;
        std::optional<JudgedCollateral> kept{};
        std::optional<Error> failure{};  // of the last fetch
        bool settled = false;            // a fetch has ended since the start, and the clock went on evenly
        std::uint64_t asked = 0;         // ordinal of the last question
    };
    std::optional<CollateralKey> make_room(const CollateralKey& wanted);

    CacheSettings settings_;
    std::map<CollateralKey, Entry> entries_;
    std::uint64_t questions_ = 0;
};

}  // namespace ee::attestation
