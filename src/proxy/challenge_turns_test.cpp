#include "proxy/challenge_turns.h"

#include <gtest/gtest.h>

namespace ee::proxy {
namespace {

using namespace std::chrono_literals;
using Ids = std::vector<ChallengeTurns::Id>;

constexpr MonoTime start{1000h};

TEST(ChallengeTurns, ManyWhoAskAreOneChallenge) {
    ChallengeTurns turns(10s, 100);
    EXPECT_EQ(turns.next(start), std::nullopt);
    for (int i = 0; i < 50; ++i) turns.want(7);
    EXPECT_EQ(turns.next(start), start);
    EXPECT_EQ(turns.take_due(start), Ids{7});
    EXPECT_EQ(turns.next(start), std::nullopt);
}

TEST(ChallengeTurns, AnAgentRestsTenSecondsBetweenTwo) {
    ChallengeTurns turns(10s, 100);
    turns.want(7);
    ASSERT_EQ(turns.take_due(start), Ids{7});
    turns.want(7);
    turns.want(8);
    EXPECT_EQ(turns.take_due(start + 1s), Ids{8});  // Whoever stands before it.
    EXPECT_EQ(turns.next(start + 1s), start + 10s);
    EXPECT_EQ(turns.take_due(start + 9999ms), Ids{});
    EXPECT_EQ(turns.take_due(start + 10s), Ids{7});
    EXPECT_EQ(turns.waiting(), 0u);
}

TEST(ChallengeTurns, NoSecondHasMoreThanItsShare) {
    ChallengeTurns turns(10s, 3);
    for (ChallengeTurns::Id id = 1; id <= 7; ++id) turns.want(id);
    EXPECT_EQ(turns.take_due(start), (Ids{1, 2, 3}));
    EXPECT_EQ(turns.next(start), start + 1s);
    EXPECT_EQ(turns.take_due(start + 999ms), Ids{});
    EXPECT_EQ(turns.take_due(start + 1s), (Ids{4, 5, 6}));
    EXPECT_EQ(turns.next(start + 1s), start + 2s);
    EXPECT_EQ(turns.take_due(start + 2s), Ids{7});
}

TEST(ChallengeTurns, WhoIsWantedNoMoreHasNotHadItsTurn) {
    ChallengeTurns turns(10s, 100);
    turns.want(7);
    turns.unwant_all();
    EXPECT_EQ(turns.take_due(start), Ids{});
    turns.want(7);
    EXPECT_EQ(turns.take_due(start), Ids{7});
}

TEST(ChallengeTurns, WhoHasRestedIsForgotten) {
    ChallengeTurns turns(10s, 2);
    for (int second = 0; second < 100; ++second) {
        turns.want(7);
        const Ids due = turns.take_due(start + std::chrono::seconds(second));
        EXPECT_EQ(due.size(), second % 10 == 0 ? 1u : 0u) << second;
    }
}

}  // namespace
}  // namespace ee::proxy
