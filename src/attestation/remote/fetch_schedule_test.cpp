#include "attestation/remote/fetch_schedule.h"

#include <gtest/gtest.h>

namespace ee::attestation {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using std::chrono::sys_days;

const WallTime issued = sys_days(2026y / 6 / 1);
const WallTime next_update = issued + 30 * 24h;

// The same time on both clocks.
Moment at(WallTime wall) {
    return {MonoTime(wall - issued), wall};
}
WallTime due(const FetchSchedule& schedule) {
    return issued + std::chrono::duration_cast<milliseconds>(schedule.due().value().time_since_epoch());
}

TEST(FetchSchedule, IsDueAtOnceAndNotWhileAFetchIsUnderWay) {
    FetchSchedule schedule({}, at(issued).mono);
    EXPECT_EQ(due(schedule), issued);
    EXPECT_FALSE(schedule.under_way());
    schedule.start();
    EXPECT_TRUE(schedule.under_way());
    EXPECT_EQ(schedule.due(), std::nullopt);
}

TEST(FetchSchedule, RefreshesAtHalfOfTheLifeAndThenAtHalfOfWhatIsLeft) {
    const struct {
        milliseconds age;
        double random;
        milliseconds wait;
    } rows[] = {
        {0h, 0.0, 15 * 24h},
        {0h, 0.5, 15 * 24h - 18h},  // Up to a tenth earlier, so that not all come
                                    // at once.
        {10 * 24h, 0.0, 5 * 24h},
        {15 * 24h, 0.0, 7 * 24h + 12h},
        {29 * 24h, 0.0, 12h},
        {30 * 24h - 20s, 0.0, 10s},
        {30 * 24h - 4s, 0.0, 5s},  // No faster than that, however little is left.
    };
    for (const auto& row : rows) {
        FetchSchedule schedule({}, at(issued).mono);
        schedule.start();
        schedule.succeed(issued, next_update, at(issued + row.age), row.random);
        EXPECT_FALSE(schedule.under_way());
        EXPECT_EQ(due(schedule), issued + row.age + row.wait) << row.age.count();
    }
}

TEST(FetchSchedule, IsBroughtForwardOnceAndNotRightAfterASuccess) {
    FetchSchedule schedule({}, at(issued).mono);
    EXPECT_FALSE(schedule.bring_forward(at(issued).mono)) << "due already";
    schedule.start();
    EXPECT_FALSE(schedule.bring_forward(at(issued + 1h).mono)) << "under way";
    schedule.succeed(issued, next_update, at(issued), 0.0);
    EXPECT_FALSE(schedule.bring_forward(at(issued + 5s - 1ms).mono));
    EXPECT_EQ(due(schedule), issued + 15 * 24h);
    EXPECT_TRUE(schedule.bring_forward(at(issued + 5s).mono));
    EXPECT_EQ(due(schedule), issued + 5s);
    EXPECT_FALSE(schedule.bring_forward(at(issued + 6s).mono));
}

// Half of a ceiling that begins at `min` and grows by what was waited, until it is at `max` for the second
// time.
std::vector<milliseconds> waits(milliseconds min, milliseconds max) {
    std::vector<milliseconds> out;
    for (milliseconds ceiling = min; ceiling < max; ceiling = std::min(max, ceiling + out.back()))
        out.push_back(ceiling / 2);
    out.insert(out.end(), 2, max / 2);
    return out;
}

TEST(FetchSchedule, WaitsLongerAfterEachFailureAndRandomly) {
    FetchSchedule schedule({}, at(issued).mono);
    for (const milliseconds wait : waits(1s, 60s)) {
        schedule.start();
        schedule.fail(std::nullopt, at(issued), 0.5);
        EXPECT_EQ(due(schedule), issued + wait);
    }
    schedule.start();
    schedule.succeed(issued, next_update, at(issued), 0);
    schedule.start();
    schedule.fail(std::nullopt, at(issued), 0.5);
    EXPECT_EQ(due(schedule), issued + 500ms);
}

TEST(FetchSchedule, IsCalmWhileWhatIsKeptStillAnswersAndUrgentAfterwards) {
    FetchSchedule schedule({}, at(issued).mono);
    for (const milliseconds wait : waits(30s, 600s)) {
        schedule.start();
        schedule.fail(next_update, at(issued), 0.5);
        EXPECT_EQ(due(schedule), issued + wait);
    }
    // Not later than soon after the end.
    schedule.start();
    schedule.fail(next_update, at(next_update - 10s), 0.5);
    EXPECT_EQ(due(schedule), next_update + 1s);
    schedule.start();
    schedule.fail(next_update, at(next_update + 1ms), 0.5);
    EXPECT_EQ(due(schedule), next_update + 1ms + 500ms);
}

}  // namespace
}  // namespace ee::attestation
