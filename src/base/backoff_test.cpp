#include "base/backoff.h"

#include <gtest/gtest.h>

namespace ee {
namespace {

using namespace std::chrono_literals;

TEST(Backoff, IsUniformBelowACeilingThatGrowsByWhatWasWaitedUpToItsLimit) {
    Backoff backoff(1s, 4s);
    std::vector<std::chrono::milliseconds> waits;
    for (int i = 0; i < 6; ++i) waits.push_back(backoff.next(0.5));
    EXPECT_EQ(waits, (std::vector<std::chrono::milliseconds>{500ms, 750ms, 1125ms, 1687ms, 2s, 2s}));
    EXPECT_EQ(backoff.next(0.0), 0ms);
    EXPECT_LT(backoff.next(0x1.fffffffffffffp-1), 4s);
}

TEST(Backoff, NeverWaitsLongerThanItsMinimumAndWhatItHasWaitedInAll) {
    Backoff backoff(1s, 60s);
    std::chrono::milliseconds waited{0};
    for (const double random : {0.9, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 0.99, 0.99, 0.5}) {
        const auto wait = backoff.next(random);
        EXPECT_LE(wait, waited + 1s);
        waited += wait;
    }
}

TEST(Backoff, BeginsAgainAfterAConnectionThatServed) {
    Backoff backoff(1s, 60s);
    for (int i = 0; i < 100; ++i) EXPECT_LE(backoff.next(0.999), 60s);
    backoff.reset();
    EXPECT_EQ(backoff.next(0.5), 500ms);
}

}  // namespace
}  // namespace ee
