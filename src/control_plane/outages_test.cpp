#include "control_plane/outages.h"

#include <gtest/gtest.h>

namespace ee::control_plane {
namespace {

using ledger::LedgerTime;
using ledger::Outage;
using std::chrono::milliseconds;
using std::chrono::seconds;

const LedgerTime start = ledger::from_us(1'767'963'600'000'000);
constexpr seconds window{120};

LedgerTime after(double s) {
    return start + std::chrono::microseconds(static_cast<std::int64_t>(s * 1e6));
}
MonoTime mono(double s) {
    return MonoTime{std::chrono::hours{5}} + std::chrono::microseconds(static_cast<std::int64_t>(s * 1e6));
}
SlotName slot(int number) {
    return {"n" + std::to_string(number % 4), "shop", "a" + std::to_string(number)};
}
// "mass_loss 1.5-61", in seconds after the start; "-" alone behind the first: not over.
std::string text(const std::vector<Outage>& outages) {
    std::string out;
    const auto number = [](LedgerTime time) {
        std::string digits = std::to_string(std::chrono::duration<double>(time - start).count());
        digits.erase(digits.find_last_not_of('0') + 1);
        if (digits.back() == '.') digits.pop_back();
        return digits;
    };
    for (const Outage& outage : outages)
        out += (out.empty() ? "" : ", ") + outage.cause + " " + number(outage.from) + "-" +
               (outage.to ? number(*outage.to) : "");
    return out;
}

TEST(Outages, AGapBeforeTheStartLastsAWindowLonger) {
    struct Case {
        std::optional<double> mark;
        double now;
        std::string_view outages;
    };
    const Case cases[] = {
        {std::nullopt, 0, ""},  // the first start there is
        {0, 10, ""},
        {0, 15, ""},  // not over 15 s
        {0, 15.001, "not_running 0-135.001"},
        {0, 7200, "not_running 0-7320"},
        {5, 0, ""},  // the clock is 5 s behind: no step yet
        {5.001, 0, "clock_step 0-5.001"},
    };
    for (const Case& c : cases) {
        Outages outages(window);
        outages.started(c.mark ? std::optional(after(*c.mark)) : std::nullopt, {}, after(c.now));
        EXPECT_EQ(text(outages.take()), c.outages) << c.now;
    }
}

TEST(Outages, WhatTheRunBeforeLeftOpenEndsWithTheStart) {
    Outages outages(window);
    outages.started(after(95),
                    {{.from = after(10), .to = std::nullopt, .cause = "collateral"},
                     {.from = after(20), .to = std::nullopt, .cause = "mass_loss"},
                     {.from = after(-600), .to = std::nullopt, .cause = "mass_loss"}},
                    after(100));
    EXPECT_EQ(text(outages.take()), "collateral 10-100, mass_loss 20-100, mass_loss -600--360");
}

// Any other record says that this run was there.
TEST(Outages, AStartRecordsItsOwnAbsenceFirst) {
    Outages outages(window);
    outages.started(after(95),
                    {{.from = after(10), .to = std::nullopt, .cause = "collateral"},
                     {.from = after(95), .to = std::nullopt, .cause = "mass_loss"}},
                    after(7200));
    EXPECT_EQ(text(outages.take()), "not_running 95-7320, collateral 10-7200");
}

TEST(Outages, AProcessThatStoodStillOrAClockThatSteppedIsOne) {
    struct Case {
        double mono_passed, wall_passed;
        std::string_view outages;
    };
    const Case cases[] = {
        {1, 1, ""},
        {15, 15, ""},
        {15.001, 15.001, "stood_still 0-135.001"},
        {60, 60, "stood_still 0-180"},
        {1, 6, ""},
        {1, 6.001, "clock_step 0-6.001"},
        {1, -4, ""},
        {1, -4.001, "clock_step -4.001-0"},
        {1, 3601, "clock_step 0-3601"},
        {60, 3660, "stood_still 0-3780"},
    };
    for (const Case& c : cases) {
        Outages outages(window);
        outages.tick(mono(0), after(0));
        outages.tick(mono(c.mono_passed), after(c.wall_passed));
        EXPECT_EQ(text(outages.take()), c.outages) << c.mono_passed << " " << c.wall_passed;
        outages.tick(mono(c.mono_passed + 1), after(c.wall_passed + 1));
        EXPECT_EQ(text(outages.take()), "") << "once";
    }
}

TEST(Outages, LosingHalfOfAllTunnelsAtOnceIsOne) {
    struct Case {
        const char* why;
        int tunnels, lost;
        double each_after;  // seconds between two losses
        bool is_loss;
        int nodes;
        bool is_outage;
    };
    const Case cases[] = {
        {"half", 10, 5, 0.1, true, 4, true},
        {"less than half", 11, 5, 0.1, true, 4, false},
        {"all", 5, 5, 0.1, true, 4, true},
        {"fewer than 5", 4, 4, 0.1, true, 4, false},
        {"on one node", 10, 10, 0.1, true, 1, false},
        {"on two", 10, 5, 0.1, true, 2, true},
        {"within 30 s", 10, 5, 7.5, true, 4, true},
        {"not within 30 s", 10, 5, 7.6, true, 4, false},
        {"told to close", 10, 10, 0.1, false, 4, false},
    };
    for (const Case& c : cases) {
        Outages outages(window);
        const auto name = [&](int i) {
            return SlotName{"n" + std::to_string(i % c.nodes), "shop", "a" + std::to_string(i)};
        };
        for (int i = 0; i < c.tunnels; ++i) outages.tunnel_came(name(i), after(0));
        for (int i = 0; i < c.lost; ++i)
            outages.tunnel_left(name(i), c.is_loss, after(100 + i * c.each_after));
        EXPECT_EQ(text(outages.take()), c.is_outage ? "mass_loss 100-" : "") << c.why;
    }
}

struct MassLoss : testing::Test {
    void SetUp() override {
        for (int i = 0; i < 10; ++i) outages.tunnel_came(slot(i), after(0));
        for (int i = 0; i < 10; ++i) outages.tunnel_left(slot(i), true, after(10));
        ASSERT_EQ(text(outages.take()), "mass_loss 10-");
    }
    Outages outages{window};
};

// 10 were there when the fifth loss showed it; all count that there were.
TEST_F(MassLoss, EndsWhenFourFifthsAreBack) {
    for (int i = 0; i < 7; ++i) outages.tunnel_came(slot(i), after(20 + i));
    EXPECT_EQ(text(outages.take()), "");
    outages.tunnel_came(slot(7), after(30));
    EXPECT_EQ(text(outages.take()), "mass_loss 10-30");
    EXPECT_TRUE(outages.overlaps(after(29), after(40)));
    EXPECT_FALSE(outages.overlaps(after(30), after(40)));
}

TEST_F(MassLoss, EndsAfterTwoWindowsAtTheLatest) {
    outages.tick(mono(0), after(249.999));
    EXPECT_EQ(text(outages.take()), "");
    outages.tick(mono(1), after(253));
    EXPECT_EQ(text(outages.take()), "mass_loss 10-250");
}

TEST_F(MassLoss, ATunnelThatFlapsIsLostOnce) {
    Outages flapping(window);
    for (int i = 0; i < 10; ++i) flapping.tunnel_came(slot(i), after(0));
    for (int i = 0; i < 20; ++i) {
        flapping.tunnel_left(slot(i % 2), true, after(10 + i));
        flapping.tunnel_came(slot(i % 2), after(10.5 + i));
    }
    EXPECT_EQ(text(flapping.take()), "");
}

TEST(Outages, StaleCollateralIsOneUntilItIsFreshAgain) {
    Outages outages(window);
    outages.tunnel_came(slot(1), after(0));
    outages.tunnel_came(slot(2), after(0));
    outages.collateral_fresh(slot(1), after(5));
    EXPECT_EQ(text(outages.take()), "");
    outages.collateral_stale(slot(1), after(10));
    outages.collateral_stale(slot(2), after(20));
    outages.collateral_stale(slot(1), after(70));
    EXPECT_EQ(text(outages.take()), "collateral 10-");
    outages.collateral_fresh(slot(1), after(80));
    EXPECT_EQ(text(outages.take()), "");
    outages.collateral_fresh(slot(2), after(90));
    EXPECT_EQ(text(outages.take()), "collateral 10-90");
}

// Else a node would only have to leave while collateral is stale, and nothing would ever be a miss.
TEST(Outages, WhoLeavesWithStaleCollateralKeepsItOpenForTwoWindows) {
    Outages outages(window);
    outages.tunnel_came(slot(1), after(0));
    outages.collateral_stale(slot(1), after(10));
    outages.tunnel_left(slot(1), true, after(20));
    outages.take();
    outages.tick(mono(0), after(259));
    EXPECT_EQ(text(outages.take()), "");
    outages.tick(mono(1), after(260));
    EXPECT_EQ(text(outages.take()), "collateral 10-260");
}

TEST(Outages, TwoThatBeginTogetherAreTwo) {
    Outages outages(window);
    for (int i = 0; i < 5; ++i) outages.tunnel_came(slot(i), after(0));
    outages.collateral_stale(slot(0), after(10));
    for (int i = 0; i < 5; ++i) outages.tunnel_left(slot(i), true, after(10));
    EXPECT_EQ(text(outages.take()), "collateral 10-, mass_loss 10.000001-");
}

}  // namespace
}  // namespace ee::control_plane
