#include "control_plane/ledger_clock.h"

#include <gtest/gtest.h>

namespace ee::control_plane {
namespace {

using namespace std::chrono_literals;
using ledger::LedgerTime;

struct LedgerClockTest : testing::Test {
    // Time passes; the wall clock is set besides.
    LedgerTime after(std::chrono::seconds passed, std::chrono::seconds step = 0s) {
        clocks.mono += passed;
        clocks.wall += passed + step;
        return clock.now();
    }

    const LedgerTime begin{std::chrono::seconds{1'800'000'000}};
    LedgerClock::Reading clocks{.mono = MonoTime{1h}, .wall = begin};
    std::vector<std::chrono::seconds> doubts;
    LedgerClock clock{[this](std::chrono::seconds ahead) { doubts.push_back(ahead); },
                      [this] { return clocks; }};
};

TEST_F(LedgerClockTest, FollowsTheWallClockWhereItIsSetByLittleOrBack) {
    EXPECT_EQ(after(5s), begin + 5s);
    EXPECT_EQ(after(0s, 48h), begin + 5s + 48h);
    EXPECT_EQ(after(1s, -72h), begin + 6s - 24h);
    EXPECT_EQ(after(100h), begin + 6s + 76h);  // This process stood still.
    EXPECT_TRUE(doubts.empty());
}

TEST_F(LedgerClockTest, ALeapThatIsTakenBackIsPassedOver) {
    after(5s);
    EXPECT_EQ(after(1s, 60 * 24h), begin + 6s);
    EXPECT_EQ(after(2s), begin + 8s);
    EXPECT_EQ(after(1s, -60 * 24h), begin + 9s);
    EXPECT_EQ(doubts, std::vector<std::chrono::seconds>{60 * 24h});
}

TEST_F(LedgerClockTest, ALeapThatStaysIsBelieved) {
    EXPECT_EQ(after(1s, 48h + 1s), begin + 1s);
    EXPECT_EQ(after(15min - 1s), begin + 15min);
    EXPECT_EQ(after(1s), begin + 15min + 1s + 48h + 1s);
    EXPECT_EQ(after(1s), begin + 15min + 2s + 48h + 1s);
    EXPECT_EQ(doubts.size(), 1u);
}

// Its time in doubt begins anew.
TEST_F(LedgerClockTest, EachLeapIsDoubtedByItself) {
    after(1s, 72h);
    after(14min);
    after(0s, -72h);
    EXPECT_EQ(after(0s, 72h), begin + 14min + 1s);
    EXPECT_EQ(after(14min), begin + 28min + 1s);
    EXPECT_EQ(doubts.size(), 2u);
}

}  // namespace
}  // namespace ee::control_plane
