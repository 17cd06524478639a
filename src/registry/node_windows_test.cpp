#include "registry/node_windows.h"

#include <map>
#include <random>

#include <gtest/gtest.h>

namespace ee::registry {
namespace {

using namespace std::chrono_literals;
constexpr WallTime start{std::chrono::sys_days{std::chrono::year{2026} / 1 / 15}};

std::pair<std::uint64_t, std::uint64_t> sum(const NodeWindows& windows, WallTime at) {
    const auto found = windows.sum_at(at);
    return {found.expected, found.passed};
}
using Sum = std::pair<std::uint64_t, std::uint64_t>;

TEST(NodeWindows, ACellCountsForThirtyDaysFromItsStart) {
    NodeWindows windows;
    windows.set(start, 30, 29, start + 1h);
    windows.set(start + 1h, 30, 30, start + 2h);
    EXPECT_EQ(sum(windows, start + 2h), (Sum{60, 59}));
    EXPECT_EQ(sum(windows, start + 720h), (Sum{60, 59}));
    EXPECT_EQ(sum(windows, start + 720h + 1ms), (Sum{30, 30}));
    EXPECT_EQ(sum(windows, start + 721h + 1ms), (Sum{0, 0}));
    // Asking forgets nothing: a clock that was wrong may be set right.
    EXPECT_EQ(sum(windows, start + 2h), (Sum{60, 59}));
}

TEST(NodeWindows, WhatIsKnownOfACellIsReplaced) {
    NodeWindows windows;
    windows.set(start, 3, 3, start);
    windows.set(start, 4, 3, start);
    windows.set(start, 2, 1, start);  // Two have become holes.
    EXPECT_EQ(sum(windows, start), (Sum{2, 1}));
}

TEST(NodeWindows, WhatCountsForAnotherMillisecondIsKeptAndSaysSo) {
    NodeWindows windows;
    EXPECT_EQ(windows.holds_until(start), WallTime::max());
    windows.set(start, 30, 0, start + 720h);
    EXPECT_EQ(sum(windows, start + 720h), (Sum{30, 0}));
    EXPECT_EQ(windows.holds_until(start), start + 720h + 1ms);
    EXPECT_EQ(windows.holds_until(start + 720h), start + 720h + 1ms);
    EXPECT_EQ(windows.holds_until(start + 720h + 1ms), WallTime::max());
}

TEST(NodeWindows, WhatIsTooOldAlreadyIsNotKept) {
    NodeWindows windows;
    windows.set(start, 30, 0, start + 720h + 1ms);
    EXPECT_EQ(sum(windows, start), (Sum{0, 0}));
}

TEST(NodeWindows, AgreesWithAddingUpWhateverComesInWhateverOrder) {
    for (unsigned seed = 1; seed <= 50; ++seed) {
        std::mt19937_64 random(seed);
        NodeWindows windows;
        std::map<WallTime, Sum> model;
        WallTime now = start;
        for (int step = 0; step < 300; ++step) {
            now += std::chrono::minutes(random() % 600);
            const WallTime cell =
                start + std::chrono::hours(std::chrono::floor<std::chrono::hours>(now - start).count() -
                                           static_cast<std::int64_t>(random() % 800));
            const auto expected = static_cast<std::uint32_t>(random() % 31);
            const auto passed = static_cast<std::uint32_t>(random() % (expected + 1));
            windows.set(cell, expected, passed, now);
            if (cell >= now - 720h) model[cell] = {expected, passed};
            const WallTime asked = now + std::chrono::hours(random() % 100);
            Sum naive{0, 0};
            for (const auto& [at, one] : model)
                if (at >= asked - 720h) naive = {naive.first + one.first, naive.second + one.second};
            ASSERT_EQ(sum(windows, asked), naive) << "seed " << seed << " step " << step;
        }
    }
}

}  // namespace
}  // namespace ee::registry
