#include "attestation/remote/release_cache.h"

#include <gtest/gtest.h>

#include "base/hex.h"

namespace ee::attestation {
namespace {

using namespace std::chrono_literals;

const WallTime now = std::chrono::sys_days(2026y / 6 / 1);
const ReleaseId release{"org/repo", "v1"};

// Allowlists that are told apart by their date.
std::string asset(const std::string& name) {
    return R"({"version":"1.0","created_at":")" + name + "\"}";
}
crypto::Sha256 digest(const std::string& text) {
    return crypto::sha256(as_bytes(text));
}

struct Caching : testing::Test {
    ReleaseCacheLimits limits;
    std::optional<ReleaseCache> cache{ReleaseCache(limits)};
    ReleaseCache::Recorded recorded;

    void use(const ReleaseCacheLimits& changed) {
        limits = changed;
        cache.emplace(limits);
    }
    // "a" (the name of the allowlist found) or the code of the refusal; " stale" when not fresh, " fetch"
    // when a look-up is to begin.
    std::string find(WallTime at, bool sealed = false, const ReleaseId& which = release,
                     const std::string& requester = "") {
        const auto lookup = cache->find({which, sealed, requester}, at);
        std::string out = lookup.answer ? lookup.answer->allowlist->created_at : lookup.answer.error().code;
        if (lookup.answer && !lookup.answer->fresh) out += " stale";
        return out + (lookup.fetch ? " fetch" : "");
    }
    std::string reason(WallTime at, const ReleaseId& which = release, const std::string& requester = "") {
        const auto lookup = cache->find({which, false, requester}, at);
        return lookup.answer ? "" : lookup.answer.error().detail;
    }
    void record(WallTime at, decltype(FetchOutcome::what) what, const ReleaseId& which = release,
                std::optional<WallTime> wait_until = {}) {
        recorded = cache->record(which, {std::move(what), {"\"r\"", "\"a\"", "u", {}}, wait_until}, at);
    }
    void publish(WallTime at, const std::string& name, const ReleaseId& which = release) {
        record(at, AssetPublished{asset(name)}, which);
    }
};

TEST_F(Caching, FetchesOnceAndServesTheCopyForItsTime) {
    EXPECT_EQ(find(now), "allowlist_pending fetch");
    EXPECT_EQ(find(now), "allowlist_pending");  // One look-up at a time.
    EXPECT_TRUE(cache->is_fetching(release));
    EXPECT_FALSE(cache->known(release));
    publish(now + 1s, "a");
    EXPECT_FALSE(cache->is_fetching(release));
    EXPECT_EQ(find(now + 1s), "a");
    EXPECT_EQ(find(now), "a");  // Judged by a clock that was read before.
    EXPECT_EQ(find(now + 301s), "a");
    // Past its time: it goes on judging while it is looked up again.
    EXPECT_EQ(find(now + 302s), "a stale fetch");
    EXPECT_EQ(find(now + 303s), "a stale");
    EXPECT_EQ(cache->known(release), (KnownAsset{"\"r\"", "\"a\"", "u", {}}));
    record(now + 304s, AssetUnchanged{});
    EXPECT_EQ(find(now + 604s), "a");
    EXPECT_FALSE(recorded.change);
}

TEST_F(Caching, ServesACopyForADayWhileNobodyCanBeAsked) {
    find(now);
    publish(now, "a");
    EXPECT_EQ(find(now + 1h), "a stale fetch");
    record(now + 1h, AskingFailed{"down"});
    EXPECT_EQ(find(now + 24h), "a stale fetch");
    record(now + 24h, AskingFailed{"still down"});
    EXPECT_EQ(find(now + 24h + 1s), "allowlist_unavailable");
    EXPECT_EQ(reason(now + 24h + 1s), "still down");
    EXPECT_EQ(find(now + 25h), "allowlist_pending fetch");
    publish(now + 25h, "a");
    EXPECT_EQ(find(now + 25h), "a");
}

TEST_F(Caching, TriesAgainLaterAndLater) {
    WallTime at = now;
    for (const auto wait : {5s, 10s, 20s, 40s, 80s, 160s, 300s, 300s}) {
        EXPECT_EQ(find(at), "allowlist_pending fetch");
        record(at, AskingFailed{"https://api.github.com/x answers 500"});
        EXPECT_EQ(find(at + wait - 1ms), "allowlist_unavailable") << wait.count();
        EXPECT_EQ(reason(at), "https://api.github.com/x answers 500");
        at += wait;
    }
    find(at);
    publish(at, "a");
    EXPECT_EQ(find(at + 301s), "a stale fetch");
    record(at + 301s, AskingFailed{""});
    EXPECT_EQ(find(at + 306s), "a stale fetch");  // From the beginning after a success.
}

TEST_F(Caching, RemembersForAMinuteThatThereIsNone) {
    find(now);
    record(now, AssetMissing{"404"});
    EXPECT_EQ(find(now + 60s), "allowlist_missing");
    EXPECT_EQ(reason(now), "404");
    EXPECT_EQ(find(now + 61s), "allowlist_pending fetch");
    record(now + 61s, AskingFailed{"down"});
    // That there was none a while ago is no answer.
    EXPECT_EQ(find(now + 62s), "allowlist_unavailable");
}

TEST_F(Caching, AnAssetThatIsTakenBackIsMissing) {
    find(now);
    publish(now, "a");
    find(now + 301s);
    record(now + 301s, AssetMissing{"404"});
    EXPECT_EQ(find(now + 302s), "allowlist_missing");
    EXPECT_EQ(find(now + 302s, true), "allowlist_missing");
    EXPECT_FALSE(cache->known(release));  // "Not modified" would say nothing.
}

TEST_F(Caching, KeepsAnInvalidAssetLikeACopy) {
    find(now);
    record(now, AssetPublished{"{}"});
    EXPECT_EQ(find(now + 300s), "allowlist_invalid:/version");
    EXPECT_FALSE(recorded.save);
    EXPECT_EQ(find(now + 301s), "allowlist_invalid:/version fetch");
    record(now + 301s, AssetRefused{{"allowlist_invalid:/", "too large"}});
    EXPECT_EQ(find(now + 302s), "allowlist_invalid:/");
    find(now + 700s);
    publish(now + 700s, "a");
    EXPECT_EQ(find(now + 701s), "a");
    EXPECT_EQ(find(now + 701s, true), "a");  // The first valid one.
}

struct ChangedAsset : Caching {
    ChangedAsset() {
        find(now);
        publish(now, "a");
        EXPECT_TRUE(recorded.save && !recorded.change);
        find(now + 301s);
        publish(now + 301s, "b");
    }
    const WallTime later = now + 302s;
};

TEST_F(ChangedAsset, IsSaidWithBothDigests) {
    ASSERT_TRUE(recorded.change);
    EXPECT_EQ(recorded.change->release, release);
    EXPECT_EQ(recorded.change->before, to_hex(digest(asset("a"))));
    EXPECT_EQ(recorded.change->now_published, to_hex(digest(asset("b"))));
    // Once.
    find(now + 700s);
    publish(now + 700s, "b");
    EXPECT_FALSE(recorded.change);
}

TEST_F(ChangedAsset, JudgesASealedNetworkOnlyOnceItIsAccepted) {
    EXPECT_EQ(find(later), "b");
    EXPECT_EQ(find(later, true), "a");
    EXPECT_EQ(find(later + 1h, true), "a stale fetch");
    record(later + 1h, AssetUnchanged{});
    EXPECT_EQ(find(later + 1h, true), "a");
    EXPECT_TRUE(cache->accept(release, digest(asset("b"))));
    EXPECT_EQ(find(later + 1h, true), "b");
    EXPECT_TRUE(cache->accept(release, digest(asset("b"))));  // Again: as it is.
}

TEST_F(ChangedAsset, IsAcceptedByItsDigestOnly) {
    for (const std::string& wrong : {asset("a"), asset("c"), std::string()}) {
        const auto accepted = cache->accept(release, digest(wrong));
        ASSERT_FALSE(accepted);
        EXPECT_EQ(accepted.error().code, "allowlist_differs");
        EXPECT_NE(accepted.error().detail.find(to_hex(digest(asset("b")))), std::string::npos);
        EXPECT_NE(accepted.error().detail.find(to_hex(digest(wrong))), std::string::npos);
    }
    EXPECT_EQ(cache->accept({"org/other", "v1"}, digest(asset("b"))).error().code, "allowlist_not_seen");
    EXPECT_EQ(find(later, true), "a");
}

TEST_F(ChangedAsset, ThatIsInvalidIsNeverAccepted) {
    find(now + 700s);
    record(now + 700s, AssetPublished{"{}"});
    EXPECT_TRUE(recorded.change);
    EXPECT_EQ(find(now + 701s), "allowlist_invalid:/version");
    EXPECT_EQ(find(now + 701s, true), "a");
    EXPECT_EQ(cache->accept(release, digest("{}")).error().code, "allowlist_invalid:/version");
    find(now + 1100s);
    record(now + 1100s, AssetRefused{{"allowlist_invalid:/", "too large"}});
    EXPECT_EQ(recorded.change->now_published, "");
    EXPECT_EQ(find(now + 1101s, true), "a");
    EXPECT_EQ(cache->accept(release, digest("")).error().code, "allowlist_differs");
}

TEST_F(ChangedAsset, MayChangeBack) {
    find(now + 700s);
    publish(now + 700s, "a");
    EXPECT_TRUE(recorded.change);
    EXPECT_EQ(find(now + 701s), "a");
    EXPECT_FALSE(cache->stored(release)->published_asset);
}

// Taken back and published anew, or forgotten in between, it is still another one than was accepted.
TEST_F(ChangedAsset, CannotComeInThroughAGap) {
    find(now + 700s);
    record(now + 700s, AssetMissing{"404"});
    find(now + 800s);
    publish(now + 800s, "c");
    EXPECT_TRUE(recorded.change);
    EXPECT_EQ(find(now + 801s, true), "a");

    const auto stored = cache->stored(release);
    ASSERT_TRUE(stored);
    EXPECT_EQ(stored->accepted_asset, asset("a"));
    EXPECT_EQ(stored->published_asset, asset("c"));
    ReleaseCache restarted(limits);
    EXPECT_TRUE(restarted.restore(*stored));
    cache.emplace(std::move(restarted));
    EXPECT_EQ(find(now + 801s, true), "a");
    EXPECT_EQ(find(now + 801s), "c");
    EXPECT_EQ(cache->known(release)->sha256, digest(asset("c")));
    EXPECT_EQ(cache->stored(release)->published_asset, asset("c"));
}

// Its bytes were forgotten, its digest was not.
struct ForgottenAsset : Caching {
    ForgottenAsset() {
        EXPECT_EQ(find(now), "allowlist_pending fetch");
        EXPECT_FALSE(cache->has_accepted(release));
        cache->remember_accepted(release, to_hex(digest(asset("a"))));
        EXPECT_TRUE(cache->has_accepted(release));
    }
};

TEST_F(ForgottenAsset, ThatIsPublishedAgainIsTheAcceptedOne) {
    publish(now, "a");
    EXPECT_FALSE(recorded.change);
    EXPECT_TRUE(recorded.save);
    EXPECT_EQ(find(now, true), "a");
    EXPECT_EQ(cache->stored(release)->accepted_asset, asset("a"));
}

TEST_F(ForgottenAsset, IsNotReplacedByWhatIsPublishedByNow) {
    publish(now, "b");
    ASSERT_TRUE(recorded.change);
    EXPECT_EQ(recorded.change->before, to_hex(digest(asset("a"))));
    EXPECT_EQ(find(now, true), "allowlist_unavailable");
    const auto refused = cache->find({release, true, ""}, now).answer;
    EXPECT_NE(refused.error().detail.find(to_hex(digest(asset("a")))), std::string::npos);
    EXPECT_EQ(find(now), "b");  // A network that is not sealed goes by what is published.
    EXPECT_FALSE(cache->stored(release)) << "its digest is on disk, and must stay there";

    // The admin accepts it.
    EXPECT_TRUE(cache->accept(release, digest(asset("b"))));
    EXPECT_EQ(find(now, true), "b");
    EXPECT_EQ(cache->stored(release)->accepted_asset, asset("b"));
}

TEST_F(ForgottenAsset, IsForgottenAgainWithoutALoss) {
    limits.releases_max = 1;
    use(limits);
    find(now);
    cache->remember_accepted(release, "5a");
    publish(now, "b");
    const auto lookup = cache->find({{"o/r", "1"}, false, ""}, now + 25h);
    EXPECT_TRUE(lookup.fetch);
    EXPECT_TRUE(lookup.forgotten.empty()) << "what is on disk is the digest of the accepted one";
}

TEST_F(ChangedAsset, ThatWasNotTakenIsLookedUpAfterARestart) {
    find(now + 700s);
    record(now + 700s, AssetRefused{{"allowlist_invalid:/", "too large"}});
    const auto stored = cache->stored(release);
    ReleaseCache restarted(limits);
    EXPECT_TRUE(restarted.restore(*stored));
    cache.emplace(std::move(restarted));
    EXPECT_EQ(find(now + 701s), "allowlist_pending fetch");
    record(now + 702s, AskingFailed{"down"});
    EXPECT_EQ(find(now + 703s), "allowlist_unavailable");
}

TEST_F(Caching, ARestartKeepsWhatWasAcceptedAndWhen) {
    find(now);
    publish(now, "a");
    const auto stored = cache->stored(release);
    cache.emplace(limits);
    EXPECT_TRUE(cache->restore(*stored));
    EXPECT_FALSE(cache->restore(*stored));
    EXPECT_EQ(find(now + 300s), "a");
    EXPECT_EQ(find(now + 301s), "a stale fetch");
    EXPECT_EQ(cache->known(release)->release_etag, "\"r\"");
    EXPECT_EQ(cache->known(release)->sha256, digest(asset("a")));
    StoredRelease broken = *stored;
    broken.release.tag = "v2";
    broken.accepted_asset = "{}";
    EXPECT_FALSE(cache->restore(broken));
    // An old one says nothing, but for what was accepted.
    cache.emplace(limits);
    EXPECT_TRUE(cache->restore(*stored));
    EXPECT_EQ(find(now + 48h, true), "allowlist_pending fetch");
    publish(now + 48h, "b");
    EXPECT_TRUE(recorded.change);
    EXPECT_EQ(find(now + 48h, true), "a");
}

TEST_F(Caching, AsksNothingWhileGitHubSaysWait) {
    find(now);
    publish(now, "a");
    find(now + 301s);
    record(now + 301s, AskingFailed{"403"}, release, now + 1000s);
    const ReleaseId other{"org/other", "v1"};
    EXPECT_EQ(find(now + 999s), "a stale");
    EXPECT_EQ(find(now + 999s, false, other), "allowlist_unavailable");
    EXPECT_NE(reason(now + 999s, other).find(to_rfc3339(now + 1000s)), std::string::npos);
    EXPECT_EQ(find(now + 1000s), "a stale fetch");
    EXPECT_EQ(find(now + 1000s, false, other), "allowlist_pending fetch");
}

TEST_F(Caching, EachAddressBlockCausesSoManyLookUpsAMinute) {
    const auto nth = [](int i) { return ReleaseId{"org/repo", std::to_string(i)}; };
    for (int i = 0; i < 30; ++i) {
        EXPECT_EQ(find(now, false, nth(i), "192.0.2." + std::to_string(i)), "allowlist_pending fetch");
        record(now, AssetMissing{""}, nth(i));
    }
    EXPECT_EQ(find(now, false, nth(30), "192.0.2.200"), "allowlist_unavailable");
    EXPECT_NE(reason(now, nth(30), "192.0.2.200").find("192.0.2.0/24 has caused 30"), std::string::npos);
    // What needs no look-up, and what others ask, is served.
    EXPECT_EQ(find(now, false, nth(3), "192.0.2.200"), "allowlist_missing");
    EXPECT_EQ(find(now, false, nth(30), "198.51.100.1"), "allowlist_pending fetch");
    EXPECT_EQ(find(now, false, nth(31)), "allowlist_pending fetch");
    EXPECT_EQ(find(now + 60s, false, nth(32), "192.0.2.200"), "allowlist_pending fetch");
}

TEST_F(Caching, ACopyServesWhoeverMayCauseNoLookUp) {
    limits.requester_fetches_max = 0;
    use(limits);
    find(now);
    publish(now, "a");
    EXPECT_EQ(find(now + 301s, false, release, "192.0.2.1"), "a stale");
    EXPECT_EQ(find(now + 301s), "a stale fetch");
}

TEST_F(Caching, OnlySoManyLookUpsAreUnderWay) {
    limits.fetches_max = 2;
    use(limits);
    EXPECT_EQ(find(now, false, {"o/r", "1"}), "allowlist_pending fetch");
    EXPECT_EQ(find(now, false, {"o/r", "2"}), "allowlist_pending fetch");
    EXPECT_EQ(find(now, false, {"o/r", "3"}), "allowlist_unavailable");
    record(now, AskingFailed{""}, {"o/r", "1"});
    EXPECT_EQ(find(now, false, {"o/r", "3"}), "allowlist_pending fetch");
    // An outcome that nobody asked for changes nothing.
    record(now, AssetPublished{asset("x")}, {"o/r", "1"});
    EXPECT_EQ(find(now, false, {"o/r", "1"}), "allowlist_unavailable");
}

TEST_F(Caching, ForgetsTheLongestUnusedButNoneInUse) {
    limits.releases_max = 3;
    use(limits);
    for (const char* tag : {"1", "2"}) {
        find(now, false, {"o/r", tag});
        publish(now, tag, {"o/r", tag});
    }
    find(now, false, {"o/r", "none"});
    record(now, AssetMissing{""}, {"o/r", "none"});
    // What has no copy goes first, whoever asks for how many.
    for (int i = 0; i < 20; ++i) {
        const ReleaseId junk{"o/junk", std::to_string(i)};
        EXPECT_EQ(find(now + 1s, false, junk), "allowlist_pending fetch");
        record(now + 1s, AssetMissing{""}, junk);
    }
    EXPECT_EQ(find(now + 2s, true, {"o/r", "1"}), "1");
    EXPECT_EQ(find(now + 2s, false, {"o/r", "3"}), "allowlist_pending fetch");
    publish(now + 2s, "3", {"o/r", "3"});
    cache->admitted({"o/r", "2"}, now + 2s);  // has not been asked for since the beginning
    const auto forgets = [&](const char* newer, WallTime at) {
        const auto lookup = cache->find({{"o/r", newer}, false, ""}, at);
        EXPECT_TRUE(lookup.fetch);
        record(at, AssetMissing{""}, {"o/r", newer});
        return lookup.forgotten;
    };
    const auto just = [](const char* tag) {
        return std::vector<ForgottenRelease>{{{"o/r", tag}, to_hex(digest(asset(tag)))}};
    };
    EXPECT_EQ(forgets("4", now + 3s), just("1"));
    EXPECT_EQ(forgets("5", now + 3s), (std::vector<ForgottenRelease>{}));  // "4"
    // A day after an agent was let in it is in use no longer.
    find(now + 24h, false, {"o/r", "3"});
    publish(now + 24h, "3", {"o/r", "3"});
    find(now + 24h + 2s, false, {"o/r", "6"});  // in place of "5"
    publish(now + 24h + 2s, "6", {"o/r", "6"});
    EXPECT_EQ(forgets("7", now + 24h + 2s), just("2"));
    EXPECT_EQ(cache->size(), 3u);
}

TEST_F(Caching, WhoeverFillsItLosesHisOwnOnceAllAreInUse) {
    limits.asset_bytes_max = 4 * asset("a").size();
    use(limits);
    const auto serve = [&](const ReleaseId& which, WallTime at) {
        EXPECT_EQ(find(at, false, which), "allowlist_pending fetch");
        publish(at, which.tag, which);
        EXPECT_EQ(find(at, false, which), which.tag);
        cache->admitted(which, at);
    };
    serve({"victim/app", "a"}, now);
    for (const char* tag : {"b", "c", "d"}) serve({"flood/" + std::string(tag), tag}, now + 1s);
    for (const char* tag : {"e", "f", "g", "h"}) serve({"flood/" + std::string(tag), tag}, now + 2s);
    EXPECT_EQ(find(now + 2s, false, {"victim/app", "a"}), "a");
    serve({"newcomer/app", "i"}, now + 3s);
    EXPECT_EQ(find(now + 3s, false, {"victim/app", "a"}), "a");
}

TEST_F(Caching, HalfOfTheRateLimitIsForReleasesThatHaveLetAgentsIn) {
    const auto record_with = [&](const ReleaseId& which, std::int64_t remaining, WallTime resets_at) {
        FetchOutcome outcome{AssetPublished{asset("a")}, {}, {}, RateBudget{60, remaining, resets_at}};
        cache->record(which, std::move(outcome), now);
    };
    find(now);
    record_with(release, 30, now + 1h);
    cache->admitted(release, now);
    const ReleaseId stranger{"org/stranger", "v1"};
    EXPECT_EQ(find(now, false, stranger), "allowlist_pending fetch");
    record_with(stranger, 29, now + 1h);
    EXPECT_EQ(find(now, false, {"org/stranger", "v2"}), "allowlist_unavailable");
    EXPECT_NE(reason(now, {"org/stranger", "v2"}).find("29 of 60"), std::string::npos);
    EXPECT_EQ(find(now + 301s, false, stranger), "a stale");
    EXPECT_EQ(find(now + 301s), "a stale fetch");
    // Nor does the next release of the same repository wait.
    EXPECT_EQ(find(now + 301s, false, {release.repo, "v2"}), "allowlist_pending fetch");
    EXPECT_EQ(find(now + 1h, false, {"org/stranger", "v2"}), "allowlist_pending fetch");
}

TEST_F(Caching, StrangersLeaveLookUpsToReleasesThatHaveLetAgentsIn) {
    limits.strangers_fetches_max = 2;
    use(limits);
    find(now);
    publish(now, "a");
    cache->admitted(release, now);
    EXPECT_EQ(find(now + 301s, false, {"o/r", "1"}), "allowlist_pending fetch");
    EXPECT_EQ(find(now + 301s, false, {"o/r", "2"}), "allowlist_pending fetch");
    EXPECT_EQ(find(now + 301s, false, {"o/r", "3"}), "allowlist_unavailable");
    EXPECT_EQ(find(now + 301s), "a stale fetch");
    record(now + 301s, AssetMissing{""}, {"o/r", "1"});
    EXPECT_EQ(find(now + 301s, false, {"o/r", "3"}), "allowlist_pending fetch");
}

TEST_F(Caching, WhatWasWithdrawnDoesNotComeBackWithARestart) {
    find(now);
    publish(now, "a");
    find(now + 301s);
    record(now + 301s, AssetMissing{"gone"});
    EXPECT_TRUE(recorded.save);
    const auto stored = cache->stored(release);
    ASSERT_TRUE(stored);
    cache.emplace(limits);
    EXPECT_TRUE(cache->restore(*stored));
    EXPECT_EQ(find(now + 302s), "allowlist_pending fetch");
    record(now + 302s, AskingFailed{"down"});
    EXPECT_EQ(find(now + 303s), "allowlist_unavailable");
    // The same again: it was published once more.
    find(now + 400s);
    record(now + 400s, AssetUnchanged{});
    EXPECT_EQ(find(now + 400s), "a");
}

TEST_F(Caching, KeepsSoManyBytes) {
    limits.asset_bytes_max = 2 * asset("a").size();
    use(limits);
    for (const char* tag : {"a", "b"}) {
        find(now, false, {"o/r", tag});
        publish(now, tag, {"o/r", tag});
    }
    find(now + 1s, false, {"o/r", "b"});
    find(now + 1s, false, {"o/r", "c"});
    publish(now + 1s, "c", {"o/r", "c"});
    EXPECT_EQ(recorded.forgotten,
              (std::vector<ForgottenRelease>{{{"o/r", "a"}, to_hex(digest(asset("a")))}}));
    EXPECT_EQ(find(now + 1s, false, {"o/r", "c"}), "c");
    EXPECT_EQ(find(now + 1s, false, {"o/r", "b"}), "b");
    // All that is left is being looked up.
    for (const char* tag : {"b", "c"}) find(now + 302s, false, {"o/r", tag});
    find(now + 302s, false, {"o/r", "d"});
    publish(now + 302s, "d", {"o/r", "d"});
    EXPECT_EQ(find(now + 302s, false, {"o/r", "d"}), "allowlist_unavailable");
    EXPECT_NE(reason(now + 302s, {"o/r", "d"}).find("bytes"), std::string::npos);
}

TEST_F(Caching, AClockThatWasSetBackMakesNothingFresh) {
    find(now);
    publish(now, "a");
    EXPECT_EQ(find(now - 1h), "allowlist_pending fetch");
    record(now - 1h, AskingFailed{"down"});
    find(now - 48h);  // Not held up by what was to be waited for.
    publish(now - 48h, "a");
    EXPECT_EQ(find(now - 48h), "a");
}

}  // namespace
}  // namespace ee::attestation
