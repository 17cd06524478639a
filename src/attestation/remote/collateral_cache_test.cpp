#include "attestation/remote/collateral_cache.h"

#include <gtest/gtest.h>

#include "attestation/simulated_platform.h"
#include "attestation/trust_anchor.h"

namespace ee::attestation {
namespace {

using namespace std::chrono_literals;
using std::chrono::sys_days;

const WallTime start = sys_days(2026y / 6 / 1);
constexpr double no_jitter = 0;

class CollateralCacheTest : public testing::Test {
protected:
    Moment at(std::chrono::milliseconds after) const { return {MonoTime(after), start + after}; }
    static CollateralKey key(std::uint8_t number) {
        CollateralKey key;
        key.fmspc[5] = number;
        return key;
    }
    Collateral issued(WallTime when) const {
        return parse_collateral(make_simulated_collateral(platform, when)).value();
    }
    JudgedCollateral judged(WallTime when) const {
        return judge_kept(key(1), issued(when), [](auto&&...) { return Result<void>(); }).value();
    }
    std::string code(const CollateralKey& of, std::chrono::milliseconds after) {
        const auto found = cache.find(of, at(after));
        return found.answer ? "ok" : found.answer.error().code;
    }
    WallTime found_issue_date(std::chrono::milliseconds after) {
        const auto found = cache.find(key(1), at(after));
        return found.answer ? read_collateral_label(**found.answer)->issued_at : WallTime();
    }
    // Asked for, taken, and answered with what was issued then.
    Result<void> fetch(WallTime when, std::chrono::milliseconds after) {
        cache.take_due(at(after).mono);
        return cache.accept(key(1), judged(when), at(after), no_jitter);
    }

    SimulatedPlatform platform = make_simulated_platform(start - 200 * 24h);
    CollateralCache cache{{.keys_max = 3, .times = {}}};
};

TEST_F(CollateralCacheTest, IsPendingUntilTheFirstFetchHasEndedAndIsFetchedOnce) {
    EXPECT_TRUE(cache.find(key(1), at(0s)).is_due);
    EXPECT_FALSE(cache.find(key(1), at(0s)).is_due);
    EXPECT_EQ(code(key(1), 0s), "collateral_pending");
    EXPECT_TRUE(cache.is_under_way(key(1), at(0s).mono));
    EXPECT_EQ(cache.take_due(at(0s).mono), std::vector{key(1)});
    EXPECT_TRUE(cache.take_due(at(10s).mono).empty());
    EXPECT_EQ(cache.next_due(), std::nullopt);
    EXPECT_EQ(code(key(1), 1s), "collateral_pending");
    ASSERT_TRUE(cache.accept(key(1), judged(start), at(1s), no_jitter));
    EXPECT_EQ(code(key(1), 1s), "ok");
    EXPECT_FALSE(cache.is_under_way(key(1), at(1s).mono));
}

TEST_F(CollateralCacheTest, KeysDifferByAnchorFmspcAndCa) {
    CollateralKey others[] = {key(1), key(1), key(1)};
    others[0].anchor_spki_sha256 = intel_root_spki_sha256;
    others[1].fmspc[0] = 7;
    others[2].ca = PckCa::processor;
    for (const CollateralKey& other : others) {
        CollateralCache one({});
        one.find(key(1), at(0s));
        one.take_due(at(0s).mono);
        ASSERT_TRUE(one.accept(key(1), judged(start), at(0s), no_jitter));
        EXPECT_TRUE(one.find(other, at(0s)).is_due);
    }
}

TEST_F(CollateralCacheTest, ShowsHowItStandsWithEachPlatform) {
    cache.find(key(1), at(0s));
    cache.find(key(2), at(0s));
    cache.take_due(at(0s).mono);
    ASSERT_TRUE(cache.accept(key(1), judged(start), at(1s), no_jitter));
    cache.fail(key(2), {"collateral_unavailable", "answered 500"}, at(1s), no_jitter);
    cache.find(key(3), at(2s));
    const auto states = cache.states();
    ASSERT_EQ(states.size(), 3u);
    EXPECT_EQ(states[0].key, key(1));
    EXPECT_EQ(states[0].next_update, judged(start).terms().next_update);
    EXPECT_FALSE(states[0].failure);
    EXPECT_FALSE(states[1].next_update);
    ASSERT_TRUE(states[1].failure);
    EXPECT_EQ(states[1].failure->detail, "answered 500");
    EXPECT_FALSE(states[2].next_update || states[2].failure);
}

TEST_F(CollateralCacheTest, RemembersWhyAFetchFailedAlsoDuringTheNextOne) {
    cache.find(key(1), at(0s));
    cache.take_due(at(0s).mono);
    cache.fail(key(1), {"collateral_unavailable", "answered 500"}, at(1s), 0.5);
    for (const auto after : {1s, 2s}) {
        const auto found = cache.find(key(1), at(after));
        ASSERT_FALSE(found.answer);
        EXPECT_EQ(found.answer.error(), (Error{"collateral_unavailable", "answered 500"}));
        cache.take_due(at(2s).mono);
    }
    EXPECT_TRUE(cache.is_under_way(key(1), at(2s).mono));
    ASSERT_TRUE(cache.accept(key(1), judged(start), at(3s), no_jitter));
    EXPECT_EQ(code(key(1), 3s), "ok");
}

TEST_F(CollateralCacheTest, RefreshesWhatIsKeptWhileItGoesOnAnswering) {
    cache.find(key(1), at(0s));
    ASSERT_TRUE(fetch(start, 0s));
    EXPECT_EQ(cache.next_due(), at(15 * 24h).mono);
    EXPECT_TRUE(cache.take_due(at(15 * 24h - 1ms).mono).empty());
    EXPECT_EQ(cache.take_due(at(15 * 24h).mono).size(), 1u);
    EXPECT_EQ(code(key(1), 15 * 24h), "ok");
    cache.fail(key(1), {"collateral_unavailable", "answered 500"}, at(15 * 24h), 0.5);
    EXPECT_EQ(code(key(1), 20 * 24h), "ok");
    ASSERT_TRUE(fetch(start + 20 * 24h, 20 * 24h));
    EXPECT_EQ(found_issue_date(20 * 24h), start + 20 * 24h);
}

TEST_F(CollateralCacheTest, HandsOutWhatHasExpiredDuringAnOutage) {
    cache.find(key(1), at(0s));
    ASSERT_TRUE(fetch(start, 0s));
    cache.take_due(at(40 * 24h).mono);
    EXPECT_EQ(found_issue_date(40 * 24h), start);
    cache.fail(key(1), {"collateral_unavailable", "answered 500"}, at(40 * 24h), 0.5);
    EXPECT_EQ(found_issue_date(40 * 24h), start);
    EXPECT_EQ(cache.next_due(), at(40 * 24h + 500ms).mono);
}

// A machine that was suspended: its wall clock goes on, its timers do not.
TEST_F(CollateralCacheTest, WhatTheWallClockHasLeftBehindIsFetchedAnewAndPendingUntilThen) {
    for (const auto stepped : {start + 40 * 24h, start - 24h}) {
        cache = CollateralCache({.keys_max = 3, .times = {}});
        cache.find(key(1), at(0s));
        ASSERT_TRUE(fetch(start, 0s));
        const auto soon = cache.find(key(1), {at(4s).mono, stepped});
        EXPECT_FALSE(soon.is_due) << "not sooner than the service is asked otherwise";
        EXPECT_TRUE(soon.answer);

        const Moment later{at(5s).mono, stepped};
        const auto asked = cache.find(key(1), later);
        EXPECT_TRUE(asked.is_due);
        EXPECT_EQ(asked.answer.error().code, "collateral_pending");
        EXPECT_TRUE(cache.is_under_way(key(1), later.mono));
        EXPECT_EQ(cache.next_due(), later.mono);
        EXPECT_FALSE(cache.find(key(1), later).is_due) << "once";
        EXPECT_EQ(cache.take_due(later.mono), std::vector{key(1)});
        EXPECT_EQ(cache.find(key(1), later).answer.error().code, "collateral_pending");
        if (stepped > start) {
            ASSERT_TRUE(cache.accept(key(1), judged(stepped), later, no_jitter));
            EXPECT_EQ(read_collateral_label(**cache.find(key(1), later).answer)->issued_at, stepped);
        } else {
            // Nothing of that time is published: what is kept is handed out as it is, and asked for calmly.
            cache.fail(key(1), {"collateral_not_yet_valid:tcb_info", ""}, later, 0.5);
            const auto kept = cache.find(key(1), later);
            EXPECT_TRUE(kept.answer && !kept.is_due);
            EXPECT_EQ(cache.next_due(), later.mono + 15s);
        }
    }
}

TEST_F(CollateralCacheTest, NeverGoesBackToAnOlderOne) {
    cache.find(key(1), at(0s));
    ASSERT_TRUE(fetch(start, 0s));
    const auto refused = fetch(start - 1s, 16 * 24h);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "collateral_rolled_back:tcb_info");
    EXPECT_NE(refused.error().detail.find(to_rfc3339(start - 1s)), std::string::npos);
    EXPECT_NE(refused.error().detail.find(to_rfc3339(start)), std::string::npos);
    EXPECT_EQ(found_issue_date(16 * 24h), start);
    EXPECT_EQ(cache.next_due(), at(16 * 24h).mono);  // A failure: with no jitter it is tried again at once.
    EXPECT_TRUE(fetch(start, 16 * 24h));             // The same once more is no step back.
}

TEST_F(CollateralCacheTest, EveryPartIsGuardedAgainstRollback) {
    const CollateralTerms kept = judged(start).terms();
    const std::pair<const char*, std::function<void(CollateralTerms&)>> rows[] = {
        {"tcb_info", [](auto& terms) { terms.tcb_info_issued_at -= 1s; }},
        {"tcb_info", [](auto& terms) { terms.tcb_info_evaluation -= 1; }},
        {"qe_identity", [](auto& terms) { terms.qe_identity_issued_at -= 1s; }},
        {"qe_identity", [](auto& terms) { terms.qe_identity_evaluation -= 1; }},
        {"root_crl", [](auto& terms) { terms.root_crl_issued_at -= 1s; }},
        {"pck_crl", [](auto& terms) { terms.pck_crl_issued_at -= 1s; }},
    };
    EXPECT_TRUE(judge_rollback(kept, kept));
    for (const auto& [part, change] : rows) {
        CollateralTerms fresh = kept;
        change(fresh);
        const auto held = judge_rollback(kept, fresh);
        ASSERT_FALSE(held) << part;
        EXPECT_EQ(held.error().code, std::string("collateral_rolled_back:") + part);
        EXPECT_TRUE(judge_rollback(fresh, kept)) << part;
    }
}

TEST_F(CollateralCacheTest, WhatWasKeptBeforeAnswersAndGuards) {
    ASSERT_TRUE(cache.restore(key(1), judged(start - 24h), at(0s), no_jitter));
    EXPECT_EQ(code(key(1), 0s), "ok");
    EXPECT_EQ(cache.next_due(), at(14 * 24h).mono);
    cache.take_due(at(14 * 24h).mono);
    EXPECT_FALSE(cache.accept(key(1), judged(start - 48h), at(14 * 24h), no_jitter));
    EXPECT_EQ(found_issue_date(14 * 24h), start - 24h);
}

TEST_F(CollateralCacheTest, WhatHasExpiredMeanwhileIsHandedOutOnceNothingBetterCame) {
    ASSERT_TRUE(cache.restore(key(1), judged(start - 40 * 24h), at(0s), no_jitter));
    EXPECT_EQ(code(key(1), 0s), "collateral_pending");
    EXPECT_EQ(cache.take_due(at(0s).mono).size(), 1u);
    cache.fail(key(1), {"collateral_unavailable", "answered 500"}, at(1s), 0.5);
    EXPECT_EQ(found_issue_date(1s), start - 40 * 24h);
}

TEST_F(CollateralCacheTest, TheOneAskedForLeastRecentlyMakesRoomUnlessItIsBeingFetched) {
    for (const std::uint8_t number : {1, 2, 3}) {
        cache.find(key(number), at(0s));
        cache.take_due(at(0s).mono);
        if (number != 1) cache.fail(key(number), {"x", ""}, at(0s), 0.5);
    }
    cache.find(key(2), at(1ms));
    const auto fourth = cache.find(key(4), at(1ms));  // 1 is older than 3 but under way.
    EXPECT_TRUE(fourth.is_due);
    EXPECT_EQ(fourth.dropped, key(3));
    EXPECT_EQ(cache.size(), 3u);
    cache.take_due(at(10s).mono);
    const auto fifth = cache.find(key(5), at(10s));  // All are under way.
    EXPECT_FALSE(fifth.is_due);
    EXPECT_EQ(fifth.answer.error().code, "collateral_unavailable");
    EXPECT_EQ(cache.size(), 3u);
}

// With the collateral goes the guard against older collateral: nobody gets rid of it for nothing.
TEST_F(CollateralCacheTest, CollateralMakesRoomLastAndOnlyForItsOwnAnchor) {
    cache.find(key(1), at(0s));
    ASSERT_TRUE(fetch(start, 0s));
    cache.find(key(2), at(1ms));
    cache.find(key(3), at(1ms));
    cache.take_due(at(1ms).mono);
    cache.fail(key(2), {"x", ""}, at(1ms), 0.5);
    ASSERT_TRUE(cache.accept(key(3), judged(start), at(1ms), no_jitter));

    CollateralKey stranger = key(9);
    stranger.anchor_spki_sha256 = intel_root_spki_sha256;
    EXPECT_EQ(cache.find(stranger, at(1ms)).dropped, key(2)) << "1 is older, but has collateral";
    cache.take_due(at(1ms).mono);
    cache.fail(stranger, {"x", ""}, at(1ms), 0.5);
    EXPECT_EQ(cache.find(key(4), at(1ms)).dropped, stranger);
    cache.take_due(at(1ms).mono);
    ASSERT_TRUE(cache.accept(key(4), judged(start), at(1ms), no_jitter));

    const auto refused = cache.find(stranger, at(2ms));
    EXPECT_FALSE(refused.is_due);
    EXPECT_EQ(refused.answer.error().code, "collateral_unavailable");
    EXPECT_EQ(cache.find(key(5), at(2ms)).dropped, key(1)) << "the same anchor";
}

TEST_F(CollateralCacheTest, FetchedIsJudgedNowAndKeptAsOfItsIssue) {
    std::vector<WallTime> judged_at;
    const VerifyCollateral verify = [&](const CollateralKey&, const Collateral&, WallTime when) {
        judged_at.push_back(when);
        return Result<void>();
    };
    EXPECT_TRUE(judge_fetched(key(1), issued(start), verify, start + 5h));
    EXPECT_TRUE(judge_kept(key(1), issued(start), verify));
    EXPECT_EQ(judged_at, (std::vector<WallTime>{start + 5h, start}));
    const VerifyCollateral refuse = [](auto&&...) {
        return Result<void>(fail("collateral_signature_invalid:tcb_info", "x"));
    };
    EXPECT_EQ(judge_fetched(key(1), issued(start), refuse, start).error().code,
              "collateral_signature_invalid:tcb_info");
    Collateral without = issued(start);
    without.pck_crl.clear();
    EXPECT_EQ(judge_fetched(key(1), without, verify, start).error().code, "collateral_malformed:pck_crl");
    without = issued(start);
    without.tcb_info = "{}";
    EXPECT_EQ(judge_fetched(key(1), without, verify, start).error().code, "collateral_malformed:tcb_info");
}

TEST_F(CollateralCacheTest, TermsSayFromWhenToWhenAllPartsAreValid) {
    const CollateralTerms terms = judged(start).terms();
    EXPECT_EQ(terms.issued_at, start);
    EXPECT_EQ(terms.next_update, start + 30 * 24h);
    EXPECT_FALSE(terms.valid_at(start - 1ms));
    EXPECT_TRUE(terms.valid_at(start));
    EXPECT_TRUE(terms.valid_at(terms.next_update));
    EXPECT_FALSE(terms.valid_at(terms.next_update + 1ms));
}

}  // namespace
}  // namespace ee::attestation
