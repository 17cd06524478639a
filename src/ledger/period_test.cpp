#include "ledger/period.h"

#include <chrono>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace ee::ledger {
namespace {

// Defect 13: periods are compared as times, so that it does not matter how they were spelled.
TEST(Period, EverySpellingOfAnIntervalGivesTheShortest) {
    struct Row {
        std::string_view text, shortest;
    };
    for (const Row& row : std::initializer_list<Row>{
             {"2026", "2026"},
             {"2026-01-01T00:00:00Z--2027-01-01T00:00:00Z", "2026"},
             {"2026-01", "2026-01"},
             {"2026-12-01T00:00:00Z--2027-01-01T00:00:00Z", "2026-12"},
             {"2026-W03", "2026-W03"},
             {"2026-01-12T00:00:00Z--2026-01-19T00:00:00Z", "2026-W03"},
             {"2026-W53", "2026-W53"},
             {"2024-12-30T00:00:00Z--2025-01-06T00:00:00Z", "2025-W01"},
             {"2028-02-29", "2028-02-29"},
             {"2026-01-09T13", "2026-01-09T13"},
             {"2026-01-09T13:00:00Z--2026-01-09T14:00:00Z", "2026-01-09T13"},
             {"2026-01-09T23:00:00Z--2026-01-10T00:00:00Z", "2026-01-09T23"},
             {"2026-01-09T13:00:00Z--2026-01-09T15:00:00Z", "2026-01-09T13:00:00Z--2026-01-09T15:00:00Z"},
             {"2026-01-09T13:00:01Z--2026-01-09T13:00:02Z", "2026-01-09T13:00:01Z--2026-01-09T13:00:02Z"},
             {"2024-01-01T00:00:00Z--2025-01-01T00:00:00Z", "2024"}}) {
        const auto period = parse_period(row.text);
        ASSERT_TRUE(period) << row.text << ": " << period.error().detail;
        EXPECT_EQ(to_text(*period), row.shortest);
        EXPECT_EQ(parse_period(to_text(*period)), *period);
    }
}

TEST(Period, SaysOfWhichYearsThereAreSome) {
    for (const std::string_view text : {"2019", "2200", "2019-12-31"})
        EXPECT_TRUE(parse_period(text).error().detail.ends_with("of the years 2020 to 2199")) << text;
}

// Defect 13: a time has one spelling, with "Z"; one with "+00:00" would sort elsewhere.
TEST(Period, RefusesWhatIsNoInterval) {
    // Read with less care, each of these would be one: '/' and ':' stand beside the digits.
    for (const std::string_view text :
         {"203/", "2026-02-30T13", "202:", "2026-0:", "2026-1/", "2019-12-31T23:00:00Z--2020-01-01T01:00:00Z",
          "2199-12-31T23:00:00Z--2200-01-01T01:00:00Z", "2026-02-30T00:00:00Z--2026-03-05T00:00:00Z",
          "2026-01-09T24:00:00Z--2026-01-11T00:00:00Z", "2026-01-09T13:60:00Z--2026-01-11T00:00:00Z",
          "2026-01-09T13:00:60Z--2026-01-11T00:00:00Z"})
        EXPECT_EQ(parse_period(text).error().code, "invalid_period") << text;
    for (const std::string_view text : {"",
                                        "zz",
                                        "zz..zzz",
                                        "26",
                                        "2019",
                                        "2200",
                                        "2026-00",
                                        "2026-13",
                                        "2026-1",
                                        "2026-02-29",
                                        "2026-01-32",
                                        "2026-W00",
                                        "2026-W54",
                                        "2025-W53",
                                        "2026-w03",
                                        "2026-01-09T24",
                                        "2026-01-09t13",
                                        "2026-01-09T13:00",
                                        "2026-01-09T13:00:00Z",
                                        "2026-01-09T13:00:00Z--2026-01-09T13:00:00Z",
                                        "2026-01-09T14:00:00Z--2026-01-09T13:00:00Z",
                                        "2026-01-09T13:00:60Z--2026-01-09T14:00:00Z",
                                        "2026-01-09T13:00:00+00:00--2026-01-09T14:00:00Z",
                                        "2026-01-09T13:00:00.0Z--2026-01-09T14:00:00Z",
                                        "2026-01-09 13:00:00Z--2026-01-09T14:00:00Z",
                                        "2026-01-01T00:00:00Z--2027-01-02T00:00:01Z",
                                        "2026-01-01T00:00:00Z---2026-01-02T00:00:00Z",
                                        "2026--2027",
                                        "\xd9\xa2\xd9\xa0\xd9\xa2\xd9\xa6",
                                        " 2026",
                                        "2026 "})
        EXPECT_EQ(parse_period(text).error().code, "invalid_period") << text;
}

// P1: half-open, aligned, no gap, no overlap: each moment lies in one cell, whatever clocks on walls did
// then.
TEST(Period, CellsTileTime) {
    const LedgerTime time = from_us(1'767'963'600'000'000);  // 2026-01-09T13:00:00Z
    EXPECT_EQ(to_text(cell_at(Grid::hour, time)), "2026-01-09T13");
    EXPECT_EQ(to_text(cell_at(Grid::hour, time - std::chrono::microseconds{1})), "2026-01-09T12");
    EXPECT_EQ(to_text(cell_at(Grid::day, time)), "2026-01-09");
    EXPECT_EQ(to_text(cell_at(Grid::hour, from_us(-1)).start), "1969-12-31T23:00:00Z");
}

TEST(Period, EveryMomentIsOfOneCell) {  // P1
    constexpr std::chrono::microseconds instant{1};
    std::mt19937_64 random(1);
    std::vector<LedgerTime> times{
        std::chrono::sys_days{std::chrono::year{2017} / 1 / 1},  // after a leap second
        std::chrono::sys_days{std::chrono::year{2026} / 3 / 29} +
            std::chrono::hours{1},  // summer time in Europe
        std::chrono::sys_days{std::chrono::year{2028} / 2 / 29},
        std::chrono::sys_days{std::chrono::year{2038} / 1 / 19} + std::chrono::seconds{11'648},  // 2^31
        from_us(0)};
    // From 1900 to 2199.
    std::uniform_int_distribution<std::int64_t> any(-2'208'988'800'000'000, 7'258'118'399'999'999);
    for (int i = 0; i < 10'000; ++i) times.push_back(from_us(any(random)));
    for (const Grid grid : {Grid::hour, Grid::day}) {
        for (const LedgerTime time : times) {
            const Period cell = cell_at(grid, time);
            ASSERT_EQ(cell.length(), step_of(grid)) << to_us(time);
            ASSERT_EQ(cell.start.time_since_epoch() % step_of(grid), std::chrono::seconds{0}) << to_us(time);
            ASSERT_TRUE(cell.start <= time && time < cell.end) << to_us(time);
            ASSERT_EQ(cell_at(grid, cell.start), cell) << to_us(time);
            ASSERT_EQ(cell_at(grid, cell.end - instant), cell) << to_us(time);
            ASSERT_EQ(cell_at(grid, cell.end).start, cell.end) << to_us(time);
            ASSERT_EQ(cell_at(grid, cell.start - instant).end, cell.start) << to_us(time);
        }
    }
}

TEST(Period, EdgesOffTheGridAreRefused) {
    EXPECT_EQ(count_cells(Grid::hour, parse_period("2026-01-09").value()).value(), 24);
    EXPECT_EQ(count_cells(Grid::day, parse_period("2026-01").value()).value(), 31);
    EXPECT_EQ(count_cells(Grid::day, parse_period("2026-01-09T13").value()).error().code,
              "period_not_on_grid");
    EXPECT_EQ(count_cells(Grid::hour, parse_period("2026-01-09T13:00:00Z", "2026-01-09T13:30:00Z").value())
                  .error()
                  .code,
              "period_not_on_grid");
    EXPECT_EQ(as_cell(Grid::hour, parse_period("2026-01-09").value()).error().code, "period_not_on_grid");
    EXPECT_TRUE(as_cell(Grid::hour, parse_period("2026-01-09T13").value()));
}

TEST(Period, TimesShowMicrosecondsWhereThereAreAny) {
    EXPECT_EQ(to_text(from_us(1'767'963'600'000'000)), "2026-01-09T13:00:00Z");
    EXPECT_EQ(to_text(from_us(1'767'963'600'000'001)), "2026-01-09T13:00:00.000001Z");
}

}  // namespace
}  // namespace ee::ledger
