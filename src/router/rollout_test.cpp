#include "router/rollout.h"

#include <vector>

#include <gtest/gtest.h>

namespace ee::router {
namespace {

using Weights = std::vector<std::uint32_t>;

Candidate of_release(std::uint8_t release, std::size_t open_streams = 0) {
    return {.tunnel = 1, .open_streams = open_streams, .stream_limit = 8, .release = release};
}

// How often each is picked, of a grid of `steps` numbers.
std::vector<int> shares(const Weights& weights, const std::vector<Candidate>& candidates, int steps) {
    std::vector<int> out(weights.size());
    for (int i = 0; i < steps; ++i)
        if (const auto place = pick_release(weights, candidates, (i + 0.5) / steps)) ++out[*place];
    return out;
}

TEST(Rollout, SharesAreByWeightAmongReleasesWithRoom) {
    const struct {
        const char* what;
        Weights weights;
        std::vector<Candidate> candidates;
        std::vector<int> shares;  // of 1000
    } rows[] = {
        {"90 to 10", {90, 10}, {of_release(0), of_release(1)}, {900, 100}},
        {"whatever the number of agents",
         {90, 10},
         {of_release(1), of_release(1), of_release(0)},
         {900, 100}},
        {"weights need not be percents",
         {1, 2, 5},
         {of_release(0), of_release(1), of_release(2)},
         {125, 250, 625}},
        {"0 is none", {0, 10}, {of_release(0), of_release(1)}, {0, 1000}},
        {"0 is none, at the end", {10, 0}, {of_release(0), of_release(1)}, {1000, 0}},
        {"pinned", {100}, {of_release(0)}, {1000}},
        {"the share of a release without agents goes to the rest",
         {50, 25, 25},
         {of_release(1), of_release(2)},
         {0, 500, 500}},
        {"and of one whose agents are full", {90, 10}, {of_release(0, 8), of_release(1)}, {0, 1000}},
        {"one with room is enough", {90, 10}, {of_release(0, 8), of_release(0), of_release(1)}, {900, 100}},
        {"no release that is not named", {100}, {of_release(255), of_release(1)}, {0}},
        {"nobody is there", {100}, {}, {0}},
        {"nobody has room", {50, 50}, {of_release(0, 8), of_release(1, 9)}, {0, 0}},
        {"nobody has a weight", {0, 0}, {of_release(0), of_release(1)}, {0, 0}},
        {"the largest weights",
         Weights(16, rollout_weight_max),
         {of_release(0), of_release(15)},
         {500, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 500}},
    };
    for (const auto& row : rows) EXPECT_EQ(shares(row.weights, row.candidates, 1000), row.shares) << row.what;
}

TEST(Rollout, NumbersAtTheEdgePickAReleaseWithAWeight) {
    const std::vector<Candidate> candidates{of_release(0), of_release(1), of_release(2)};
    EXPECT_EQ(pick_release(Weights{0, 3, 0}, candidates, 0.0), 1u);
    EXPECT_EQ(pick_release(Weights{0, 3, 0}, candidates, 0x1.fffffffffffffp-1), 1u);
    EXPECT_EQ(pick_release(Weights{1, 1, 0}, candidates, 1.0), 1u);
}

}  // namespace
}  // namespace ee::router
