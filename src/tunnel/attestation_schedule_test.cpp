#include "tunnel/attestation_schedule.h"

#include <gtest/gtest.h>

namespace ee::tunnel {
namespace {

using namespace std::chrono_literals;
using Due = AttestationSchedule::Due;

const MonoTime start{1000h};

TEST(AttestationSchedule, TheNextChallengeFallsBetween80And95PercentOfTheInterval) {
    AttestationSchedule schedule({.interval = 1000s});
    EXPECT_FALSE(schedule.next());
    for (int i = 0; i < 100; ++i) {
        schedule.succeeded(start, i / 100.0);
        const MonoTime when = schedule.next().value();
        EXPECT_GE(when, start + 800s);
        EXPECT_LT(when, start + 950s);
        EXPECT_EQ(schedule.due(when - 1ns), Due::nothing);
        EXPECT_EQ(schedule.due(when), Due::challenge);
    }
    schedule.succeeded(start, 0.0);
    EXPECT_EQ(schedule.next(), start + 800s);
    schedule.succeeded(start, 0.5);
    EXPECT_NEAR(static_cast<double>((schedule.next().value() - start) / 1ms), 875000.0, 1.0);
}

TEST(AttestationSchedule, AChallengeIsMissedAtItsDeadline) {
    AttestationSchedule schedule({.deadline = 30s});
    schedule.challenged(start);
    EXPECT_EQ(schedule.due(start + 30s - 1ns), Due::nothing);
    EXPECT_EQ(schedule.due(start + 30s), Due::missed_deadline);
}

TEST(AttestationSchedule, NothingIsDueWhileAnAnswerIsJudged) {
    AttestationSchedule schedule({});
    schedule.challenged(start);
    schedule.answered();
    EXPECT_EQ(schedule.due(start + 1000h), Due::nothing);
    EXPECT_FALSE(schedule.next());
}

TEST(AttestationSchedule, ThirteenIntervalsMeanThirteenChallenges) {
    AttestationSchedule schedule({.interval = 100s, .deadline = 10s});
    schedule.succeeded(start, 0.5);
    int challenges = 0;
    for (MonoTime now = start; now < start + 13 * 87s + 87s; now += 1s) {
        if (schedule.due(now) != Due::challenge) continue;
        ++challenges;
        schedule.challenged(now);
        schedule.answered();
        schedule.succeeded(now, 0.5);
    }
    EXPECT_EQ(challenges, 13);
}

TEST(AttestationSchedule, AnInconclusiveAnswerIsJudgedAgainAfterAMinute) {
    AttestationSchedule schedule({});
    schedule.inconclusive(start);
    EXPECT_EQ(schedule.due(start + 59s), Due::nothing);
    EXPECT_EQ(schedule.due(start + 60s), Due::judge_again);
}

TEST(AttestationSchedule, EvidenceThatWaitedTooLongForItsVerdictIsAskedForAgainAtOnce) {
    AttestationSchedule schedule({.interval = 100s});
    schedule.succeeded(start, 0.5);
    EXPECT_EQ(schedule.due(start + 500s), Due::challenge);
}

TEST(AttestationSchedule, AStoppedScheduleAsksForNothing) {
    AttestationSchedule schedule({});
    schedule.challenged(start);
    schedule.stop();
    EXPECT_EQ(schedule.due(start + 1000h), Due::nothing);
}

}  // namespace
}  // namespace ee::tunnel
