#include "events/webhooks/retry_schedule.h"

#include <gtest/gtest.h>

namespace ee::events {
namespace {

using namespace std::chrono_literals;

TEST(RetrySchedule, DoublesFromFiveSecondsToAnHour) {
    RetrySchedule schedule;
    for (const auto expected : {5s, 10s, 20s, 40s, 80s, 160s, 320s, 640s, 1280s, 2560s, 3600s, 3600s})
        EXPECT_EQ(schedule.next(1s, 0.5, std::nullopt), expected);
    schedule.reset();
    EXPECT_EQ(schedule.next(1s, 0.5, std::nullopt), 5s);
}

TEST(RetrySchedule, VariesByAFifth) {
    EXPECT_EQ(RetrySchedule().next(0s, 0.0, std::nullopt), 4s);
    EXPECT_EQ(RetrySchedule().next(0s, 1.0, std::nullopt), 6s);
}

TEST(RetrySchedule, WaitsAsLongAsItIsAskedToWithinAnHour) {
    EXPECT_EQ(RetrySchedule().next(0s, 0.5, 60s), 60s);
    EXPECT_EQ(RetrySchedule().next(0s, 0.5, 1s), 5s);
    EXPECT_EQ(RetrySchedule().next(0s, 0.5, 1'000'000s), 3600s);
}

TEST(RetrySchedule, GivesUpAfterThreeDays) {
    RetrySchedule schedule;
    EXPECT_TRUE(schedule.next(RetrySchedule::given_up_after - 1s, 0.5, std::nullopt));
    EXPECT_FALSE(schedule.next(RetrySchedule::given_up_after, 0.5, std::nullopt));
}

}  // namespace
}  // namespace ee::events
