#include "base/time.h"

#include <fmt/format.h>

namespace ee {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

struct Civil {
    int year;
    unsigned month, day;
    long hour, minute, second, millisecond;
};

Civil civil(WallTime time) {
    const auto day = std::chrono::floor<days>(time);
    const std::chrono::year_month_day date{day};
    const auto clock = std::chrono::hh_mm_ss<milliseconds>{time - day};
    return {static_cast<int>(date.year()),     static_cast<unsigned>(date.month()),
            static_cast<unsigned>(date.day()), clock.hours().count(),
            clock.minutes().count(),           clock.seconds().count(),
            clock.subseconds().count()};
}

std::optional<int> number(std::string_view text, std::size_t at, std::size_t digits) {
    int value = 0;
    for (std::size_t i = at; i < at + digits; ++i) {
        if (i >= text.size() || text[i] < '0' || text[i] > '9') return std::nullopt;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

}  // namespace

std::string to_rfc3339(WallTime time) {
    const Civil c = civil(time);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", c.year, c.month, c.day, c.hour, c.minute,
                       c.second);
}

std::string to_rfc3339_millis(WallTime time) {
    const Civil c = civil(time);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", c.year, c.month, c.day, c.hour, c.minute,
                       c.second, c.millisecond);
}

std::optional<WallTime> from_rfc3339(std::string_view text) {
    if (text.size() < 20) return std::nullopt;
    const auto year = number(text, 0, 4), month = number(text, 5, 2), day = number(text, 8, 2);
    const auto hour = number(text, 11, 2), minute = number(text, 14, 2), second = number(text, 17, 2);
    if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
    if (text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't') || text[13] != ':' ||
        text[16] != ':')
        return std::nullopt;
    if (*hour > 23 || *minute > 59 || *second > 59 || *year < 1970) return std::nullopt;

    std::size_t at = 19;
    long fraction = 0;
    if (text[at] == '.') {
        long scale = 100;
        const std::size_t first = ++at;
        for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, scale /= 10)
            fraction += (text[at] - '0') * scale;
        if (at == first) return std::nullopt;
    }
    if (at + 1 != text.size() || (text[at] != 'Z' && text[at] != 'z')) return std::nullopt;

    const std::chrono::year_month_day date{std::chrono::year{*year},
                                           std::chrono::month{static_cast<unsigned>(*month)},
                                           std::chrono::day{static_cast<unsigned>(*day)}};
    if (!date.ok()) return std::nullopt;
    return std::chrono::sys_days{date} + hours{*hour} + minutes{*minute} + seconds{*second} +
           milliseconds{fraction};
}

WallTime wall_now() {
    return std::chrono::floor<milliseconds>(std::chrono::system_clock::now());
}

}  // namespace ee
