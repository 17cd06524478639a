#pragma once
// Intervals of time and the grid they settle on (spec: ledger, "Cells and periods").

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace ee::ledger {

// The ledger's clock: microseconds since the epoch, UTC, never going back.
using LedgerTime = std::chrono::sys_time<std::chrono::microseconds>;
using Seconds = std::chrono::sys_seconds;

constexpr std::int64_t to_us(LedgerTime time) {
    return time.time_since_epoch().count();
}
constexpr LedgerTime from_us(std::int64_t us) {
    return LedgerTime{std::chrono::microseconds{us}};
}
// The millisecond it lies in: what was done at a moment is in force from there on for who sees only those.
constexpr WallTime to_wall(LedgerTime time) {
    return std::chrono::floor<WallTime::duration>(time);
}
// RFC 3339 with microseconds where there are any.
std::string to_text(LedgerTime time);

// [start, end).
struct Period {
    Seconds start{};
    Seconds end{};

    std::chrono::seconds length() const { return end - start; }
    friend auto operator<=>(const Period&, const Period&) = default;
};

// "2026", "2026-01", "2026-W03", "2026-01-09", "2026-01-09T13" or "<start>--<end>", both exactly
// YYYY-MM-DDTHH:MM:SSZ, start < end <= start + 366 days; years 2020 to 2199. Else `invalid_period`.
Result<Period> parse_period(std::string_view text);
// Both exactly YYYY-MM-DDTHH:MM:SSZ. Refusals as above.
Result<Period> parse_period(std::string_view start, std::string_view end);
// The shortest spelling.
std::string to_text(const Period& period);

enum class Grid : std::uint8_t { hour = 1, day = 2 };
std::string_view to_word(Grid grid);
std::chrono::seconds step_of(Grid grid);

// The step of the grid that `time` lies in.
Period cell_at(Grid grid, LedgerTime time);
// How many cells the period is; `period_not_on_grid` where an edge of it is not one of the grid.
Result<std::int64_t> count_cells(Grid grid, const Period& period);
// The same for a period that must be one cell.
Result<Period> as_cell(Grid grid, const Period& period);

}  // namespace ee::ledger
