#include "ledger/money.h"

#include <limits>

#include <gtest/gtest.h>

namespace ee::ledger {
namespace {

constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();

TEST(Money, ReadsAmountsAndWritesThemCanonically) {
    struct Row {
        std::string_view text;
        std::int64_t micro;
        std::string_view canonical;
    };
    for (const Row& row :
         std::initializer_list<Row>{{"12.5", 12'500'000, "12.5"},
                                    {"0.000001", 1, "0.000001"},
                                    {"100.500000", 100'500'000, "100.5"},
                                    {"1000000000", 1'000'000'000'000'000, "1000000000"},
                                    {"999999999.999999", 999'999'999'999'999, "999999999.999999"}}) {
        const auto amount = parse_amount(row.text);
        ASSERT_TRUE(amount) << row.text;
        EXPECT_EQ(amount->micro(), row.micro);
        EXPECT_EQ(to_usd(*amount), row.canonical);
    }
}

// L8, defect 11: what is no amount is refused, however a number could be read out of it.
TEST(Money, L8RefusesWhatIsNoAmount) {
    for (const std::string_view text :
         {"",           "0",           "0.0",       "0.000000", "-1",
          "-0",         "+1",          " 1",        "1 ",       "1.",
          ".5",         "01",          "00.1",      "1_0",      "1,5",
          "1e3",        "1E3",         "NaN",       "Infinity", "1e30",
          "0x10",       "12345678901", "0.0000001", "1.2.3",    "1000000000.000001",
          "9999999999", "\xd9\xa1",    "1\xd9\xa1", "1\n",      "99999999999999999999"})
        EXPECT_EQ(parse_amount(text).error().code, "invalid_amount") << text;
    // Cut off or wrapped, these would be 1.
    for (const std::string_view text : {"1.0000001", "1.0000000", "18446744073709551617", "00000000001"})
        EXPECT_EQ(parse_amount(text).error().code, "invalid_amount") << text;
    EXPECT_EQ(parse_hours("10000000000").error().code, "invalid_hours");
    EXPECT_TRUE(parse_hours("9999999999.999999"));
    EXPECT_EQ(parse_amount(std::string_view("1\0", 2)).error().code, "invalid_amount");
    EXPECT_TRUE(parse_amount_or_zero("0"));
}

TEST(Money, L8SumsAreChecked) {
    EXPECT_EQ(checked_add(Money(most - 1), Money(1)), Money(most));
    EXPECT_EQ(checked_add(Money(most), Money(1)), std::nullopt);
    EXPECT_EQ(checked_subtract(Money(-most), Money(1)), Money(-most - 1));
    EXPECT_EQ(checked_subtract(Money(-most), Money(2)), std::nullopt);
    EXPECT_EQ(checked_negate(Money(-most - 1)), std::nullopt);
    EXPECT_EQ(checked_negate(Money(most)), Money(-most));
}

TEST(Money, WritesNegativeBalances) {
    EXPECT_EQ(to_usd(Money(-1)), "-0.000001");
    EXPECT_EQ(to_usd(Money(-most - 1)), "-9223372036854.775808");
}

TEST(Money, RoundsCostsHalfUp) {
    struct Row {
        std::int64_t price, hours, rounded;
    };
    for (const Row& row : std::initializer_list<Row>{{50'000, 4'000'000, 200'000},
                                                     {1, 499'999, 0},
                                                     {1, 500'000, 1},
                                                     {1, 1'499'999, 1},
                                                     {1, 1'500'000, 2},
                                                     {0, 5, 0}})
        EXPECT_EQ(round_half_up(exact_cost(Money(row.price), Hours(row.hours))), Money(row.rounded));
    // The dearest hours there are: 10^9 USD times 10^10 hours.
    EXPECT_EQ(round_half_up(exact_cost(amount_max, Hours(9'999'999'999'999'999))), std::nullopt);
}

TEST(Money, TheSameHoursAtAnotherPrice) {
    EXPECT_EQ(at_other_price(exact_cost(Money(3), Hours(7)), Money(3), Money(5)),
              exact_cost(Money(5), Hours(7)));
    const ExactCost most_cost = exact_cost(amount_max, Hours(9'999'999'999'999'999));
    EXPECT_EQ(at_other_price(most_cost, amount_max, amount_max), most_cost);
    EXPECT_EQ(at_other_price(exact_cost(Money(7), Hours(3)), Money(7), Money(0)), 0);
}

TEST(Money, ReadsHours) {
    EXPECT_EQ(parse_hours("0.25").value().micro(), 250'000);
    EXPECT_EQ(to_text(Hours(4'000'000)), "4");
    EXPECT_EQ(parse_hours("0").error().code, "invalid_hours");
    EXPECT_EQ(parse_hours("-1").error().code, "invalid_hours");
}

}  // namespace
}  // namespace ee::ledger
