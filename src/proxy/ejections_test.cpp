#include "proxy/ejections.h"

#include <gtest/gtest.h>

namespace ee::proxy {
namespace {

using namespace std::chrono_literals;

constexpr MonoTime start{1000h};
constexpr Ejections::AgentName a1{"myapp", "a1"}, a2{"myapp", "a2"}, other_a1{"other", "a1"};

struct EjectionsTest : testing::Test {
    // The fifth puts it out.
    void put_out(Ejections::AgentName agent, MonoTime now) {
        for (int i = 1; i < 5; ++i) {
            EXPECT_FALSE(ejections.failed(agent, 0, false, now));
            EXPECT_FALSE(ejections.is_out(agent, now));
        }
        EXPECT_TRUE(ejections.failed(agent, 0, false, now));
    }
    Ejections ejections;
};

TEST_F(EjectionsTest, CountsWhatAnAgentOrItsBackendIsToBlameFor) {
    const struct {
        const char* code;
        bool counts;
    } rows[] = {{"backend_unreachable", true}, {"tunnel_closed", true},        {"proxy_timeout", true},
                {"bad_agent_answer", false},   {"slow_visitor", false},        {"overloaded", false},
                {"body_too_large", false},     {"upgrade_unsupported", false}, {"stream_refused", true}};
    for (const auto& row : rows) EXPECT_EQ(Ejections::counts(row.code), row.counts) << row.code;
}

TEST_F(EjectionsTest, FiveFailuresInARowPutAnAgentOutForTenSeconds) {
    put_out(a1, start);
    EXPECT_TRUE(ejections.is_out(a1, start));
    EXPECT_EQ(ejections.out_until(a1), start + 10s);
    EXPECT_TRUE(ejections.is_out(a1, start + 9999ms));
    EXPECT_FALSE(ejections.is_out(a1, start + 10s));
    EXPECT_FALSE(ejections.is_out(a2, start));
    EXPECT_FALSE(ejections.is_out(other_a1, start));
    EXPECT_EQ(ejections.out_until(a2), std::nullopt);
}

TEST_F(EjectionsTest, OneAnswerBetweenThemBreaksTheRow) {
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 4; ++i) EXPECT_FALSE(ejections.failed(a1, 0, false, start));
        ejections.succeeded(a1);
        EXPECT_TRUE(ejections.empty());
    }
    put_out(a1, start);
}

TEST_F(EjectionsTest, OneProbeDecidesAndEachThatFailsDoublesTheTime) {
    put_out(a1, start);
    MonoTime now = start;
    std::chrono::seconds length = 10s;
    for (const auto expected : {20s, 40s, 80s, 160s, 300s, 300s}) {
        EXPECT_FALSE(ejections.begins_probe(a1, now + length - 1ms));
        now += length;
        EXPECT_FALSE(ejections.is_out(a1, now));
        EXPECT_TRUE(ejections.begins_probe(a1, now));
        EXPECT_TRUE(ejections.is_out(a1, now));  // For others.
        EXPECT_FALSE(ejections.begins_probe(a1, now));
        EXPECT_TRUE(ejections.failed(a1, 0, true, now));
        length = expected;
        EXPECT_EQ(ejections.out_until(a1), now + length);
    }
    now += length;
    ASSERT_TRUE(ejections.begins_probe(a1, now));
    ejections.succeeded(a1);
    EXPECT_FALSE(ejections.is_out(a1, now));
    put_out(a1, now);  // From the beginning.
    EXPECT_EQ(ejections.out_until(a1), now + 10s);
}

TEST_F(EjectionsTest, AProbeWithoutOutcomeIsFollowedByAnother) {
    put_out(a1, start);
    ASSERT_TRUE(ejections.begins_probe(a1, start + 10s));
    ejections.probe_abandoned(a1);
    EXPECT_FALSE(ejections.is_out(a1, start + 10s));
    EXPECT_TRUE(ejections.begins_probe(a1, start + 10s));
}

TEST_F(EjectionsTest, AProbeThatIsStalledIsFollowedByAnotherAfterTenSeconds) {
    put_out(a1, start);
    ASSERT_TRUE(ejections.begins_probe(a1, start + 10s));
    EXPECT_TRUE(ejections.is_out(a1, start + 19999ms));
    EXPECT_FALSE(ejections.begins_probe(a1, start + 19999ms));
    EXPECT_FALSE(ejections.is_out(a1, start + 20s));
    ASSERT_TRUE(ejections.begins_probe(a1, start + 20s));
    EXPECT_TRUE(ejections.is_out(a1, start + 20s));  // For others.
    EXPECT_TRUE(ejections.succeeded(a1));
    EXPECT_FALSE(ejections.is_out(a1, start + 20s));
}

TEST_F(EjectionsTest, ProbesThatFailTogetherAreOneFailure) {
    put_out(a1, start);
    ASSERT_TRUE(ejections.begins_probe(a1, start + 10s));
    ASSERT_TRUE(ejections.begins_probe(a1, start + 20s));
    EXPECT_TRUE(ejections.failed(a1, 0, true, start + 25s));
    EXPECT_FALSE(ejections.failed(a1, 0, true, start + 26s));
    EXPECT_EQ(ejections.out_until(a1), start + 45s);
}

TEST_F(EjectionsTest, FailuresOfOlderRequestsDoNotLengthenIt) {
    put_out(a1, start);
    EXPECT_FALSE(ejections.failed(a1, 0, false, start + 9s));
    EXPECT_EQ(ejections.out_until(a1), start + 10s);
    ASSERT_TRUE(ejections.begins_probe(a1, start + 10s));
    EXPECT_FALSE(ejections.failed(a1, 0, false, start + 11s));
    EXPECT_TRUE(ejections.is_out(a1, start + 11s));  // Its probe is under way.
}

TEST_F(EjectionsTest, ATunnelThatDiesIsOneFailureHoweverManyRequestsItTakesAlong) {
    for (int request = 0; request < 100; ++request) EXPECT_FALSE(ejections.failed(a1, 1, false, start));
    EXPECT_FALSE(ejections.is_out(a1, start));
    // One that comes back only to die again is out at the fifth.
    for (Ejections::Tunnel tunnel = 2; tunnel < 5; ++tunnel)
        EXPECT_FALSE(ejections.failed(a1, tunnel, false, start + 1s));
    EXPECT_TRUE(ejections.failed(a1, 5, false, start + 2s));
    EXPECT_TRUE(ejections.is_out(a1, start + 2s));
}

TEST_F(EjectionsTest, AnAttemptAtNobodyHasNoOutcome) {
    Attempt none;
    EXPECT_FALSE(none.failed("tunnel_closed", true, start));
    EXPECT_FALSE(none.answered());
}

TEST_F(EjectionsTest, AnAttemptTellsItsOutcomeOnce) {
    const auto attempt = [&](Ejections::Tunnel tunnel, MonoTime now) {
        return Attempt(ejections, a1, tunnel, now);
    };
    for (int i = 0; i < 4; ++i) EXPECT_FALSE(attempt(1, start).failed("proxy_timeout", false, start));
    EXPECT_FALSE(attempt(1, start).failed("bad_agent_answer", false, start));
    EXPECT_TRUE(attempt(1, start).failed("tunnel_closed", true, start));
    ASSERT_TRUE(ejections.is_out(a1, start));
    {
        const Attempt left = attempt(2, start + 10s);
    }  // The visitor left: the next one is the probe.
    {
        Attempt probe;
        probe = attempt(2, start + 10s);
        Attempt other = attempt(2, start + 10s);
        EXPECT_FALSE(other.failed("tunnel_closed", true, start + 11s));
        EXPECT_TRUE(probe.failed("tunnel_closed", true, start + 11s));
    }
    EXPECT_EQ(ejections.out_until(a1), start + 31s);
    EXPECT_TRUE(attempt(3, start + 31s).answered());
    EXPECT_TRUE(ejections.empty());
    EXPECT_FALSE(attempt(3, start + 31s).answered());
    EXPECT_FALSE(attempt(3, start + 31s).failed("proxy_timeout", false, start + 31s));
    EXPECT_FALSE(attempt(3, start + 31s).answered()) << "it was not out";
}

TEST_F(EjectionsTest, WhatIsKnownDoesNotGrowWithoutEnd) {
    std::vector<std::string> names;
    for (int i = 0; i < 5000; ++i) names.push_back("a" + std::to_string(i));
    for (const std::string& name : names) ejections.failed({"myapp", name}, 0, false, start);
    EXPECT_EQ(ejections.size(), 4096u);
    EXPECT_FALSE(ejections.failed({"myapp", "late"}, 0, false, start + 10min));
    EXPECT_EQ(ejections.size(), 4096u);
    EXPECT_FALSE(ejections.failed({"myapp", "later"}, 0, false, start + 11min));
    EXPECT_EQ(ejections.size(), 1u);
}

}  // namespace
}  // namespace ee::proxy
