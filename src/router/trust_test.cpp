#include "router/trust.h"

#include <gtest/gtest.h>

namespace ee::router {
namespace {

// Up to date, bound, on a node that has passed 720 of 720 windows.
Trust of(std::uint64_t windows, std::uint64_t passed, std::uint32_t reports = 0,
         std::string_view tcb = "UpToDate", bool inconclusive = false) {
    const NodeRecord node{.windows = windows, .windows_passed = passed, .abuse_reports = reports};
    return trust({.tcb_status = tcb, .inconclusive = inconclusive, .node = &node});
}

TEST(Trust, AttestationCountsByTheWordOfTheTcb) {
    const struct {
        std::string_view tcb;
        bool unbound, simulated, inconclusive;
        Millionths factor;
    } rows[] = {
        {"UpToDate", false, false, false, 1'000'000},
        {"SWHardeningNeeded", false, false, false, 900'000},
        {"ConfigurationNeeded", false, false, false, 900'000},
        {"ConfigurationAndSWHardeningNeeded", false, false, false, 900'000},
        {"OutOfDate", false, false, false, 800'000},
        {"OutOfDateConfigurationNeeded", false, false, false, 800'000},
        {"TDRelaunchAdvised", false, false, false, 800'000},
        {"TDRelaunchAdvisedConfigurationNeeded", false, false, false, 800'000},
        {"Revoked", false, false, false, 500'000},
        {"NotEvaluated", false, false, false, 500'000},
        {"", false, false, false, 500'000},
        {"UpToDate", true, false, false, 500'000},
        {"UpToDate", false, true, false, 500'000},
        {"OutOfDate", true, true, false, 500'000},
        {"UpToDate", false, false, true, 900'000},
        {"SWHardeningNeeded", false, false, true, 810'000},
        {"OutOfDate", false, false, true, 720'000},
        {"UpToDate", true, false, true, 450'000},
    };
    for (const auto& row : rows) {
        const Trust found = trust({.tcb_status = row.tcb,
                                   .unbound = row.unbound,
                                   .simulated = row.simulated,
                                   .inconclusive = row.inconclusive});
        EXPECT_EQ(found.attestation, row.factor) << row.tcb;
        EXPECT_EQ(found.health, 500'000u);  // Without a node.
        EXPECT_EQ(found.behaviour, 1'000'000u);
        EXPECT_EQ(found.trust, row.factor / 2) << row.tcb;
    }
}

TEST(Trust, HealthIsTheShareOfWindowsPassedWithSomeBeforeThem) {
    const struct {
        std::uint64_t windows, passed;
        Millionths factor;
    } rows[] = {
        {0, 0, 900'000},          // new
        {1, 1, 900'138},          // 649/721, rounded down
        {1, 0, 898'751},          //
        {720, 720, 950'000},      //
        {720, 0, 450'000},        //
        {21600, 21600, 996'774},  // 30 days of 120 s, all passed: 22248/22320
        {21600, 21599, 996'729},  // one missed
        {21600, 0, 29'032},       //
        {2'592'000, 0, 249},      // 30 days of 1 s, all missed
        {2'592'000, 2'592'000, 999'972},
        {10, 11, 901'369},  // No more pass than are expected: 658/730.
    };
    for (const auto& row : rows)
        EXPECT_EQ(of(row.windows, row.passed).health, row.factor) << row.windows << " " << row.passed;
}

TEST(Trust, EachAuthorizedReportHalvesIt) {
    const Millionths expected[] = {1'000'000, 500'000, 250'000, 125'000, 62'500,
                                   31'250,    15'625,  7'812,   3'906};
    for (std::uint32_t k = 0; k < std::size(expected); ++k)
        EXPECT_EQ(of(0, 0, k).behaviour, expected[k]) << k;
    EXPECT_EQ(of(0, 0, 19).behaviour, 1u);
    EXPECT_EQ(of(0, 0, 20).behaviour, 1u);
    EXPECT_EQ(of(0, 0, 64).behaviour, 1u);
    EXPECT_EQ(of(0, 0, 4'000'000'000).behaviour, 1u);
}

TEST(Trust, ProductsAreRoundedDownOneByOneAndNeverBelowOneMillionth) {
    // 810000 * 900138 = 729111.78 -> 729111; * 250000 = 182277.75 -> 182277.
    EXPECT_EQ(of(1, 1, 2, "SWHardeningNeeded", true),
              (Trust{.attestation = 810'000, .health = 900'138, .behaviour = 250'000, .trust = 182'277}));
    EXPECT_EQ(of(2'592'000, 0, 30).trust, 1u);
    EXPECT_EQ(of(2'592'000, 0, 0, "Revoked", true).trust, 112u);
}

// R3: in (0, 1], and nobody, however good or bad, leaves it.
TEST(Trust, R3StaysAboveZeroAndAtMostOneForAnyRecord) {
    for (const std::uint64_t windows : {0ull, 1ull, 719ull, 21'600ull, 1'000'000'000ull})
        for (const std::uint64_t passed : {0ull, 1ull, 21'600ull, ~0ull})
            for (const std::uint32_t reports : {0u, 1u, 31u, 32u, ~0u}) {
                const Trust found = of(windows, passed, reports);
                EXPECT_GE(found.trust, 1u);
                EXPECT_LE(found.trust, one);
            }
}

// R3: what a node could do to look better than it is, as far as numbers go.
TEST(Trust, R3ANewNodeStartsBelowOneThatHasServedAndAboveOneThatHasFailed) {
    const Millionths fresh = of(0, 0).trust;
    EXPECT_LT(fresh, of(720, 720).trust);
    EXPECT_GT(fresh, of(720, 600).trust);
    for (std::uint64_t passed = 0; passed < 720; ++passed)
        ASSERT_LE(of(720, passed).trust, of(720, passed + 1).trust);
    for (std::uint32_t reports = 0; reports < 40; ++reports)
        ASSERT_GE(of(720, 720, reports).trust, of(720, 720, reports + 1).trust);
}

}  // namespace
}  // namespace ee::router
