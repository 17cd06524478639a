#include "router/choice.h"

#include <vector>

#include <gtest/gtest.h>

namespace ee::router {
namespace {

TEST(Choice, NobodyIsOfflineAndAllBusyIsOverloaded) {
    EXPECT_EQ(choose({}, {}).error().code, "offline");
    const std::vector<Candidate> busy{{1, 4, 4}, {2, 9, 8}, {3, 0, 0}};
    EXPECT_EQ(choose(busy, {}).error().code, "overloaded");
}

TEST(Choice, OfTwoTheOneWithFewerOpenStreamsIsTaken) {
    const std::vector<Candidate> candidates{{1, 3, 8}, {2, 1, 8}};
    for (const double first : {0.0, 0.5, 0.999})
        for (const double second : {0.0, 0.999}) EXPECT_EQ(choose(candidates, {first, second}).value(), 1u);
}

TEST(Choice, AFullAgentIsNeverTaken) {
    const std::vector<Candidate> candidates{{1, 8, 8}, {2, 7, 8}, {3, 2, 2}, {4, 100, 256}, {5, 0, 0}};
    for (double first = 0; first < 1; first += 0.05)
        for (double second = 0; second < 1; second += 0.05)
            EXPECT_EQ(choose(candidates, {first, second}).value(), 1u);
    EXPECT_EQ(choose(std::vector<Candidate>{{1, 8, 8}, {2, 7, 8}}, {0.9, 0.9}).value(), 1u);
}

TEST(Choice, EveryIdleAgentIsReached) {
    const std::vector<Candidate> candidates{{1, 0, 8}, {2, 0, 8}, {3, 0, 8}, {4, 0, 8}};
    std::vector<int> taken(4);
    for (double first = 0; first < 1; first += 0.125)
        for (double second = 0; second < 1; second += 0.125)
            ++taken[choose(candidates, {first, second}).value()];
    for (const int times : taken) EXPECT_EQ(times, 16);
}

TEST(Choice, NumbersAtTheEdgeStayWithinTheList) {
    const std::vector<Candidate> candidates{{1, 0, 8}, {2, 0, 8}};
    EXPECT_LT(choose(candidates, {1.0, 1.0}).value(), 2u);
}

}  // namespace
}  // namespace ee::router
