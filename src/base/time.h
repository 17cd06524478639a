#pragma once
// Two clocks, two types: wall time for what is recorded and judged, monotonic time for waits.
// Core folders never read a clock; both arrive as arguments.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ee {

using WallTime = std::chrono::sys_time<std::chrono::milliseconds>;
using MonoTime = std::chrono::steady_clock::time_point;

// One instant on both clocks: what happens is timed by one and recorded by the other.
struct Moment {
    MonoTime mono;
    WallTime wall;
};

// RFC 3339 in UTC with "Z", whole seconds: "2026-01-15T10:30:00Z".
std::string to_rfc3339(WallTime time);
// With milliseconds, for logs: "2026-01-15T10:30:00.123Z".
std::string to_rfc3339_millis(WallTime time);
// Accepts exactly YYYY-MM-DDTHH:MM:SS[.fraction]Z (or lower-case t, z); years 1970-9999.
std::optional<WallTime> from_rfc3339(std::string_view text);

// Since 1970, as databases keep it.
constexpr std::int64_t to_ms(WallTime time) {
    return time.time_since_epoch().count();
}
constexpr WallTime from_ms(std::int64_t ms) {
    return WallTime{std::chrono::milliseconds{ms}};
}

// The edges' clock.
WallTime wall_now();

}  // namespace ee
