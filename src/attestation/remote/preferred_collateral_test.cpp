#include "attestation/remote/preferred_collateral.h"

#include <gtest/gtest.h>

#include "attestation/simulated_platform.h"

namespace ee::attestation {
namespace {

using namespace std::chrono_literals;
using std::chrono::sys_days;

const WallTime now = sys_days(2026y / 6 / 1);

struct Scripted final : CollateralSource {
    Result<std::shared_ptr<const Collateral>> answer = fail("collateral_unavailable", "nothing");
    int asked = 0;

    Result<std::shared_ptr<const Collateral>> find(const CollateralKey&, WallTime) override {
        ++asked;
        return answer;
    }
    void when_settled(const CollateralKey&, std::function<void()> on_settled) override {
        waiting.push_back(std::move(on_settled));
    }
    std::vector<std::function<void()>> waiting;
};

struct PreferredCollateralTest : testing::Test {
    SimulatedPlatform platform = make_simulated_platform(now - 200 * 24h);
    Scripted first, second;
    PreferredCollateral preferred{first, second};

    std::shared_ptr<const Collateral> issued(WallTime at) {
        return std::make_shared<const Collateral>(
            parse_collateral(make_simulated_collateral(platform, at)).value());
    }
};

TEST_F(PreferredCollateralTest, TheFirstAnswersAloneWhileItIsValid) {
    first.answer = issued(now - 24h);
    second.answer = issued(now);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(preferred.find({}, now), first.answer);
    EXPECT_EQ(second.asked, 0);
    first.answer = issued(now - 31 * 24h);  // Replaced by an expired file: noticed.
    EXPECT_EQ(preferred.find({}, now), second.answer);
}

TEST_F(PreferredCollateralTest, OfTwoThatHaveExpiredTheLessStaleAnswers) {
    const auto older = issued(now - 60 * 24h), newer = issued(now - 40 * 24h);
    first.answer = older;
    second.answer = newer;
    EXPECT_EQ(preferred.find({}, now).value(), newer);
    first.answer = newer;
    second.answer = older;
    EXPECT_EQ(preferred.find({}, now).value(), newer);
}

TEST_F(PreferredCollateralTest, AnExpiredFirstAnswersWhenTheSecondHasNothing) {
    first.answer = issued(now - 40 * 24h);
    EXPECT_EQ(preferred.find({}, now), first.answer);
    second.answer = fail("collateral_pending", "");
    EXPECT_EQ(preferred.find({}, now).error().code, "collateral_pending");
}

TEST_F(PreferredCollateralTest, OneThatCannotBeReadOrIsNotValidYetGivesWay) {
    second.answer = issued(now);
    first.answer = issued(now + 24h);
    EXPECT_EQ(preferred.find({}, now - 1h).value(), *first.answer);  // Neither is valid: the later end.
    EXPECT_EQ(preferred.find({}, now), second.answer);
    first.answer = std::make_shared<const Collateral>();
    EXPECT_EQ(preferred.find({}, now), second.answer);
    second.answer = fail("collateral_unavailable", "nothing");
    EXPECT_EQ(preferred.find({}, now), first.answer);
}

TEST_F(PreferredCollateralTest, HasSettledWhenBothHave) {
    int called = 0;
    preferred.when_settled({}, [&] { ++called; });
    EXPECT_EQ(called, 0);
    ASSERT_EQ(second.waiting.size(), 0u);
    first.waiting.at(0)();
    EXPECT_EQ(called, 0);
    second.waiting.at(0)();
    EXPECT_EQ(called, 1);
}

TEST_F(PreferredCollateralTest, WhenBothHaveNothingBothSaySo) {
    second.answer = fail("collateral_unavailable", "answered 500");
    const auto found = preferred.find({}, now);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error(), (Error{"collateral_unavailable", "nothing; answered 500"}));
    second.answer = fail("collateral_pending", "");
    EXPECT_EQ(preferred.find({}, now).error().code, "collateral_pending");
}

}  // namespace
}  // namespace ee::attestation
