#include "base/backoff.h"

#include <gtest/gtest.h>

namespace ee {
namespace {

using namespace std::chrono_literals;

TEST(Backoff, IsUniformBelowACeilingThatDoublesUpToItsLimit) {
    Backoff backoff(1s, 10s);
    std::vector<std::chrono::milliseconds> waits;
    for (int i = 0; i < 6; ++i) waits.push_back(backoff.next(0.5));
    EXPECT_EQ(waits, (std::vector<std::chrono::milliseconds>{500ms, 1s, 2s, 4s, 5s, 5s}));
    EXPECT_EQ(backoff.next(0.0), 0ms);
    EXPECT_LT(backoff.next(0x1.fffffffffffffp-1), 10s);
}

TEST(Backoff, BeginsAgainAfterAConnectionThatServed) {
    Backoff backoff(1s, 60s);
    for (int i = 0; i < 100; ++i) EXPECT_LE(backoff.next(0.999), 60s);
    backoff.reset();
    EXPECT_EQ(backoff.next(0.5), 500ms);
}

}  // namespace
}  // namespace ee
