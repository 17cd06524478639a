#include "tunnel/shedding.h"

#include <gtest/gtest.h>

namespace ee::tunnel {
namespace {

using namespace std::chrono_literals;

TEST(Shedding, EndsTheStalledThenThePausedThenWhoeverHoldsMostUntilItIsEnough) {
    const MonoTime now{1000h};
    const std::vector<Holder> holders = {
        {.tunnel = 1, .stream = 1, .bytes = 100, .last_active = now},
        {.tunnel = 1, .stream = 3, .bytes = 900, .last_active = now - 99ms},
        {.tunnel = 3, .stream = 3, .bytes = 200, .last_active = now - 999ms},
        {.tunnel = 3, .stream = 5, .bytes = 10, .last_active = now - 100ms},
        {.tunnel = 2, .stream = 1, .bytes = 50, .last_active = now - 1s},
        {.tunnel = 2, .stream = 5, .bytes = 70, .last_active = now - 1h},
        {.tunnel = 3, .stream = 1, .bytes = 0, .last_active = now},
    };
    struct Row {
        std::size_t bytes;
        std::vector<std::pair<std::uint64_t, StreamId>> expected;
    };
    const Row rows[] = {
        {0, {}},
        {1, {{2, 5}}},
        {70, {{2, 5}}},
        {71, {{2, 5}, {2, 1}}},
        {121, {{2, 5}, {2, 1}, {3, 3}}},
        {321, {{2, 5}, {2, 1}, {3, 3}, {3, 5}}},
        {331, {{2, 5}, {2, 1}, {3, 3}, {3, 5}, {1, 3}}},
        {1230, {{2, 5}, {2, 1}, {3, 3}, {3, 5}, {1, 3}}},
        {1231, {{2, 5}, {2, 1}, {3, 3}, {3, 5}, {1, 3}, {1, 1}}},
        {1'000'000, {{2, 5}, {2, 1}, {3, 3}, {3, 5}, {1, 3}, {1, 1}}},  // Who holds nothing is let be.
    };
    for (const Row& row : rows) {
        std::vector<std::pair<std::uint64_t, StreamId>> chosen;
        for (const Holder& holder : first_to_go(holders, row.bytes, now))
            chosen.emplace_back(holder.tunnel, holder.stream);
        EXPECT_EQ(chosen, row.expected) << row.bytes;
    }
    // A stalled one that holds nothing does not end the search.
    const std::vector<Holder> idle = {{.bytes = 0, .last_active = now - 1h},
                                      {.stream = 7, .bytes = 10, .last_active = now}};
    ASSERT_EQ(first_to_go(idle, 5, now).size(), 1u);
    EXPECT_EQ(first_to_go(idle, 5, now)[0].stream, 7u);
}

}  // namespace
}  // namespace ee::tunnel
