#include "proxy/retry_budget.h"

#include <gtest/gtest.h>

namespace ee::proxy {
namespace {

using namespace std::chrono_literals;

constexpr MonoTime start{1000h};

int take_all(RetryBudget& budget, MonoTime now) {
    int taken = 0;
    while (budget.take(now)) ++taken;
    return taken;
}

TEST(RetryBudget, IsATenthOfTheRequestsOfTheLastSecondOrTwenty) {
    const struct {
        int requests;
        int retries;
    } rows[] = {{0, 20}, {1, 20}, {200, 20}, {209, 20}, {210, 21}, {500, 50}, {10000, 1000}};
    for (const auto& row : rows) {
        RetryBudget budget;
        // Spread over the second.
        for (int i = 0; i < row.requests; ++i) budget.requested(start + i * 900ms / row.requests);
        EXPECT_EQ(take_all(budget, start + 900ms), row.retries) << row.requests;
    }
}

TEST(RetryBudget, WhatIsTakenIsGoneForASecond) {
    RetryBudget budget;
    EXPECT_EQ(take_all(budget, start), 20);
    EXPECT_EQ(take_all(budget, start + 999ms), 0);
    EXPECT_EQ(take_all(budget, start + 1000ms), 20);
    // Half of them early, half late: each half comes back by itself.
    RetryBudget halves;
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(halves.take(start));
    EXPECT_EQ(take_all(halves, start + 500ms), 10);
    EXPECT_EQ(take_all(halves, start + 1000ms), 10);
    EXPECT_EQ(take_all(halves, start + 1400ms), 0);
    EXPECT_EQ(take_all(halves, start + 1500ms), 10);
}

TEST(RetryBudget, RequestsOfLongAgoDoNotCount) {
    for (const auto& [later, retries] :
         {std::pair<std::chrono::milliseconds, int>{999ms, 100}, {1000ms, 100}, {1100ms, 20}, {1h, 20}}) {
        RetryBudget budget;
        for (int i = 0; i < 1000; ++i) budget.requested(start);
        EXPECT_EQ(take_all(budget, start + later), retries) << later.count();
    }
}

TEST(RetryBudget, AWholeSecondOfRequestsCountsWhereverInAStepItEnds) {
    // 500 a second, lost within a step, at its end and at its beginning.
    for (const auto lost : {1500ms, 1599ms, 1600ms}) {
        RetryBudget budget;
        for (std::chrono::milliseconds at{0}; at <= lost; at += 2ms) budget.requested(start + at);
        EXPECT_GE(take_all(budget, start + lost), 50) << lost.count();
    }
}

}  // namespace
}  // namespace ee::proxy
