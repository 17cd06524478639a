#include "router/choice.h"

#include <vector>

#include <gtest/gtest.h>

namespace ee::router {
namespace {

using Candidates = std::vector<Candidate>;
constexpr std::int64_t usd = 1'000'000;

Candidate offer(std::optional<std::int64_t> price, Millionths trust = one) {
    return {.tunnel = 1, .open_streams = 0, .stream_limit = 8, .price = price, .trust = trust};
}

// Which are ever taken, each with its share of a grid of random pairs.
std::vector<int> taken_of(const Candidates& candidates, int steps = 60) {
    std::vector<int> taken(candidates.size());
    for (int i = 0; i < steps; ++i)
        for (int j = 0; j < steps; ++j)
            ++taken[choose(candidates, {(i + 0.5) / steps, (j + 0.5) / steps}).value()];
    return taken;
}
std::vector<std::size_t> ever_taken(const Candidates& candidates) {
    const std::vector<int> taken = taken_of(candidates);
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < taken.size(); ++i)
        if (taken[i] > 0) out.push_back(i);
    return out;
}
using Indices = std::vector<std::size_t>;

TEST(Choice, NobodyIsOfflineAndAllBusyIsOverloaded) {
    EXPECT_EQ(choose({}, {}).error().code, "offline");
    const Candidates busy{{1, 4, 4}, {2, 9, 8}, {3, 0, 0}};
    EXPECT_EQ(choose(busy, {}).error().code, "overloaded");
}

TEST(Choice, OfTwoTheOneWithFewerOpenStreamsIsTaken) {
    const Candidates candidates{{1, 3, 8}, {2, 1, 8}};
    for (const double first : {0.0, 0.5, 0.999})
        for (const double second : {0.0, 0.999}) EXPECT_EQ(choose(candidates, {first, second}).value(), 1u);
}

TEST(Choice, OfTwoThatAreAsBusyTheFirstOfThePairIsTaken) {
    const Candidates candidates{offer(usd), offer(usd), offer(usd)};
    EXPECT_EQ(choose(candidates, {0.0, 0.9}).value(), 0u);
    EXPECT_EQ(choose(candidates, {0.9, 0.0}).value(), 2u);
}

TEST(Choice, AFullAgentIsNeverTaken) {
    const Candidates candidates{{1, 8, 8}, {2, 7, 8}, {3, 2, 2}, {4, 100, 256}, {5, 0, 0}};
    for (double first = 0; first < 1; first += 0.05)
        for (double second = 0; second < 1; second += 0.05)
            EXPECT_EQ(choose(candidates, {first, second}).value(), 1u);
    EXPECT_EQ(choose(Candidates{{1, 8, 8}, {2, 7, 8}}, {0.9, 0.9}).value(), 1u);
}

TEST(Choice, NumbersAtTheEdgeStayWithinTheList) {
    const Candidates candidates{{1, 0, 8}, {2, 0, 8}};
    EXPECT_LT(choose(candidates, {1.0, 1.0}).value(), 2u);
}

TEST(Choice, TheLowestPriceByTrustIsTakenAndAllWithinOnePercentOfItAreEqual) {
    const struct {
        const char* what;
        Candidates candidates;
        Indices taken;
    } rows[] = {
        {"the lower price", {offer(2 * usd), offer(usd), offer(3 * usd)}, {1}},
        {"a price before none", {offer({}), offer(1000 * usd), offer({})}, {1}},
        {"even a dear one of little trust", {offer({}), offer(usd, 1)}, {1}},
        {"trust makes up for price", {offer(usd, 500'000), offer(1'500'000)}, {1}},
        {"and the other way", {offer(usd, 900'000), offer(1'500'000)}, {0}},
        {"within 1 %", {offer(1'000'000), offer(1'010'000), offer(1'010'001)}, {0, 1}},
        {"by trust, too", {offer(usd, 1'000'000), offer(usd, 990'100), offer(usd, 990'099)}, {0, 1}},
        {"the band is of the lowest, no chain",
         {offer(1'000'000), offer(1'009'000), offer(1'018'000)},
         {0, 1}},
        {"the highest prices there are",
         {offer(1'000'000'000 * usd, 1), offer(1'000'000'000 * usd, 2), offer(1'000'000'000 * usd, 3)},
         {2}},
        {"one micro-USD", {offer(1), offer(2)}, {0}},
        {"one micro-USD at the least trust", {offer(1, 1), offer(1, 2)}, {1}},
        {"the full one is left out first", {{1, 8, 8, usd}, offer(2 * usd), offer(2 * usd)}, {1, 2}},
        {"the priced one is full: the rest", {{1, 8, 8, usd}, offer({}), offer({}, 989'000)}, {1}},
    };
    for (const auto& row : rows) EXPECT_EQ(ever_taken(row.candidates), row.taken) << row.what;
}

TEST(Choice, WithoutAPriceOrForNothingTheHighestTrustIsTaken) {
    const struct {
        const char* what;
        Candidates candidates;
        Indices taken;
    } rows[] = {
        {"none has a price", {offer({}, 500'000), offer({}, 900'000)}, {1}},
        {"within 1 %", {offer({}, 1'000'000), offer({}, 990'000), offer({}, 989'999)}, {0, 1}},
        {"free", {offer(0, 500'000), offer(0, 900'000), offer(1), offer({})}, {1}},
        {"free comes first whatever its trust", {offer(0, 1), offer(1), offer({})}, {0}},
        {"free, within 1 %", {offer(0, 900'000), offer(0, 891'000), offer(0, 890'999)}, {0, 1}},
    };
    for (const auto& row : rows) EXPECT_EQ(ever_taken(row.candidates), row.taken) << row.what;
}

// R2: whatever the numbers, nobody whose effective price is strictly lower outside the band is passed over.
TEST(Choice, R2NobodyCheaperBeyondTheBandIsPassedOver) {
    const Millionths trusts[] = {1, 2, 449'999, 500'000, 990'099, 999'999, one};
    const std::int64_t prices[] = {1, 99, 100, 101, 49'999, 50'000, 50'500, 50'501, 1'000'000'000 * usd};
    Candidates candidates;
    for (const Millionths trust : trusts)
        for (const std::int64_t price : prices) candidates.push_back(offer(price, trust));
    for (const Candidate& a : candidates)
        for (const Candidate& b : candidates) {
            const Candidates both{a, b};
            const long double of_a = static_cast<long double>(*a.price) / a.trust,
                              of_b = static_cast<long double>(*b.price) / b.trust;
            const std::size_t chosen = choose(both, {0.9, 0.9}).value();
            const long double mine = chosen == 0 ? of_a : of_b, other = chosen == 0 ? of_b : of_a;
            EXPECT_LE(mine, other * 1.01L * (1 + 1e-15L)) << *a.price << "/" << a.trust << " " << *b.price;
        }
}

// R5: equals share, and nobody is left out for good.
TEST(Choice, R5EqualsShareAlike) {
    const Candidates candidates{offer(usd), offer(usd), offer(1'009'000), offer(usd), offer(2 * usd)};
    const std::vector<int> taken = taken_of(candidates);
    for (const std::size_t i : {0u, 1u, 2u, 3u}) EXPECT_EQ(taken[i], 900) << i;
    EXPECT_EQ(taken[4], 0);
}

// R5: whoever has fewest streams is not where all of a burst goes: one of two picked at random is.
TEST(Choice, R5NoHerdGoesToTheIdlest) {
    Candidates candidates(10, offer(usd));
    for (Candidate& candidate : candidates) candidate.open_streams = 1;
    candidates[3].open_streams = 0;
    const std::vector<int> taken = taken_of(candidates, 90);
    const double share = taken[3] / (90.0 * 90.0);
    EXPECT_GT(share, 0.15);
    EXPECT_LT(share, 0.25);  // Two of ten.
}

TEST(Choice, TheEffectivePriceIsShownRoundedDownAndBounded) {
    EXPECT_EQ(effective_price(50'000, one), 50'000);
    EXPECT_EQ(effective_price(50'000, 900'000), 55'555);
    EXPECT_EQ(effective_price(0, 1), 0);
    EXPECT_EQ(effective_price(1'000'000'000 * usd, 1), INT64_MAX);
    EXPECT_EQ(effective_price(usd, 0), usd * usd);  // Nobody has none.
}

}  // namespace
}  // namespace ee::router
