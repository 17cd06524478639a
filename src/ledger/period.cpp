#include "ledger/period.h"

#include <charconv>
#include <optional>

#include <fmt/format.h>

namespace ee::ledger {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::sys_days;
using std::chrono::year_month_day;

constexpr int year_min = 2020;
constexpr int year_max = 2199;
constexpr days length_max{366};

tl::unexpected<Error> invalid(std::string detail) {
    return fail("invalid_period", std::move(detail));
}

tl::unexpected<Error> unreadable(std::string_view text) {
    return invalid(fmt::format(
        "\"{}\" is none of YYYY, YYYY-MM, YYYY-Www, YYYY-MM-DD, YYYY-MM-DDTHH, <start>--<end> with both "
        "YYYY-MM-DDTHH:MM:SSZ, of the years {} to {}",
        text.substr(0, 64), year_min, year_max));
}

// Takes exactly the digits that 'd' stands for in `pattern`; every other character stands for itself.
// numbers: one for each run of 'd'. nullopt where the text is of another form.
struct Numbers {
    int at[6] = {};
};
std::optional<Numbers> match(std::string_view text, std::string_view pattern) {
    if (text.size() != pattern.size()) return std::nullopt;
    Numbers numbers;
    std::size_t run = 0;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (pattern[i] != 'd') {
            if (text[i] != pattern[i]) return std::nullopt;
            continue;
        }
        if (text[i] < '0' || text[i] > '9') return std::nullopt;
        numbers.at[run] = numbers.at[run] * 10 + (text[i] - '0');
        if (i + 1 == pattern.size() || pattern[i + 1] != 'd') ++run;
    }
    return numbers;
}

bool is_year(int year) {
    return year >= year_min && year <= year_max;
}

year_month_day date_of(int year, int month, int day) {
    return year_month_day{std::chrono::year{year}, std::chrono::month{static_cast<unsigned>(month)},
                          std::chrono::day{static_cast<unsigned>(day)}};
}

// The Monday of an ISO 8601 week; week 1 is the one with January 4th.
sys_days monday_of_week(int year, int week) {
    const sys_days fourth{date_of(year, 1, 4)};
    const sys_days first_monday = fourth - (std::chrono::weekday{fourth} - std::chrono::Monday);
    return first_monday + days{7 * (week - 1)};
}

int weeks_in(int year) {
    return static_cast<int>((monday_of_week(year + 1, 1) - monday_of_week(year, 1)).count() / 7);
}

std::optional<Seconds> parse_instant(std::string_view text) {
    const auto numbers = match(text, "dddd-dd-ddTdd:dd:ddZ");
    if (!numbers) return std::nullopt;
    const auto& [year, month, day, hour, minute, second] = numbers->at;
    const year_month_day date = date_of(year, month, day);
    if (!is_year(year) || !date.ok() || hour > 23 || minute > 59 || second > 59) return std::nullopt;
    return Seconds{sys_days{date}} + hours{hour} + std::chrono::minutes{minute} +
           std::chrono::seconds{second};
}

std::string format_instant(Seconds time) {
    const sys_days day = std::chrono::floor<days>(time);
    const year_month_day date{day};
    const std::chrono::hh_mm_ss clock{time - day};
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                       clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

Period from_days(sys_days start, sys_days end) {
    return {Seconds{start}, Seconds{end}};
}

// The forms of one date; nullopt where the text has another form, or no such date is.
std::optional<Period> parse_calendar(std::string_view text) {
    if (const auto n = match(text, "dddd"); n && is_year(n->at[0]))
        return from_days(date_of(n->at[0], 1, 1), date_of(n->at[0] + 1, 1, 1));
    if (const auto n = match(text, "dddd-Wdd"); n && is_year(n->at[0])) {
        if (n->at[1] < 1 || n->at[1] > weeks_in(n->at[0])) return std::nullopt;
        const sys_days monday = monday_of_week(n->at[0], n->at[1]);
        return from_days(monday, monday + days{7});
    }
    if (const auto n = match(text, "dddd-dd"); n && is_year(n->at[0])) {
        const year_month_day first = date_of(n->at[0], n->at[1], 1);
        if (!first.ok()) return std::nullopt;
        return from_days(first, first + std::chrono::months{1});
    }
    if (const auto n = match(text, "dddd-dd-dd"); n && is_year(n->at[0])) {
        const year_month_day date = date_of(n->at[0], n->at[1], n->at[2]);
        if (!date.ok()) return std::nullopt;
        return from_days(date, sys_days{date} + days{1});
    }
    if (const auto n = match(text, "dddd-dd-ddTdd"); n && is_year(n->at[0])) {
        const year_month_day date = date_of(n->at[0], n->at[1], n->at[2]);
        if (!date.ok() || n->at[3] > 23) return std::nullopt;
        const Seconds start = Seconds{sys_days{date}} + hours{n->at[3]};
        return Period{start, start + hours{1}};
    }
    return std::nullopt;
}

}  // namespace

std::string to_text(LedgerTime time) {
    const Seconds whole = std::chrono::floor<std::chrono::seconds>(time);
    std::string text = format_instant(whole);
    const auto fraction = (time - whole).count();
    if (fraction == 0) return text;
    text.pop_back();
    return fmt::format("{}.{:06}Z", text, fraction);
}

Result<Period> parse_period(std::string_view text) {
    if (const auto period = parse_calendar(text)) return *period;
    const std::size_t middle = text.find("--");
    if (middle == std::string_view::npos) return unreadable(text);
    return parse_period(text.substr(0, middle), text.substr(middle + 2));
}

Result<Period> parse_period(std::string_view start, std::string_view end) {
    const auto first = parse_instant(start), last = parse_instant(end);
    if (!first || !last)
        return invalid(fmt::format("\"{}\" is no instant YYYY-MM-DDTHH:MM:SSZ of the years {} to {}",
                                   (first ? end : start).substr(0, 64), year_min, year_max));
    if (*first >= *last) return invalid(fmt::format("it starts at {} and ends at {}", start, end));
    if (*last - *first > length_max)
        return invalid(fmt::format("it is longer than {} days", length_max.count()));
    return Period{*first, *last};
}

std::string to_text(const Period& period) {
    const sys_days day = std::chrono::floor<days>(period.start);
    const year_month_day date{day};
    const std::string text = format_instant(period.start);
    // From the shortest on. A year is a period of its own although it may be a month's name with more.
    for (const std::string& candidate :
         {text.substr(0, 4), text.substr(0, 7), text.substr(0, 10), text.substr(0, 13)})
        if (parse_calendar(candidate) == period) return candidate;
    if (std::chrono::weekday{day} == std::chrono::Monday) {
        // The week's year is that of its Thursday.
        const int year = static_cast<int>(year_month_day{day + days{3}}.year());
        const int week = static_cast<int>((day - monday_of_week(year, 1)).count() / 7) + 1;
        const std::string candidate = fmt::format("{:04}-W{:02}", year, week);
        if (parse_calendar(candidate) == period) return candidate;
    }
    return text + "--" + format_instant(period.end);
}

std::string_view to_word(Grid grid) {
    return grid == Grid::hour ? "hour" : "day";
}

std::chrono::seconds step_of(Grid grid) {
    return grid == Grid::hour ? hours{1} : hours{24};
}

Period cell_at(Grid grid, LedgerTime time) {
    const auto step = step_of(grid);
    const Seconds second = std::chrono::floor<std::chrono::seconds>(time);
    const auto into = second.time_since_epoch() % step;
    const Seconds start = second - (into.count() < 0 ? into + step : into);
    return {start, start + step};
}

Result<std::int64_t> count_cells(Grid grid, const Period& period) {
    const auto step = step_of(grid);
    if (period.start.time_since_epoch() % step != std::chrono::seconds{0} ||
        period.end.time_since_epoch() % step != std::chrono::seconds{0})
        return fail("period_not_on_grid", fmt::format("{} does not start and end at a full {} UTC",
                                                      to_text(period), to_word(grid)));
    return period.length() / step;
}

Result<Period> as_cell(Grid grid, const Period& period) {
    const auto cells = count_cells(grid, period);
    if (!cells) return fail(cells.error());
    if (*cells != 1)
        return fail("period_not_on_grid", fmt::format("{} is {} times the settlement's {}, one is allowed",
                                                      to_text(period), *cells, to_word(grid)));
    return period;
}

}  // namespace ee::ledger
