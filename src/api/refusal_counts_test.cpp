#include "api/refusal_counts.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace ee::api {
namespace {

using namespace std::chrono_literals;

constexpr WallTime start{std::chrono::sys_days{std::chrono::year{2026} / 1 / 9}};

net::IpAddress ip(std::string_view text) {
    return net::IpAddress::parse(text).value();
}

std::string told(const RefusalCounts& counts) {
    std::string out;
    for (const RefusalCounts::Row& row : counts.rows())
        out += fmt::format("{} {} {} {} {}\n", to_rfc3339(row.minute), row.code, row.route, row.network,
                           row.count);
    return out;
}

TEST(RefusalCounts, AreByCodeRouteNetworkAndMinute) {
    RefusalCounts counts;
    counts.count("unauthorized", "/v1/apps", ip("192.0.2.1"), start);
    counts.count("invalid_field:name", "/v1/locks", ip("192.0.2.1"), start + 1s);
    counts.count("invalid_field:other_name", "/v1/locks", ip("192.0.2.200"), start + 59s);
    counts.count("invalid_field:name", "/v1/locks", ip("192.0.3.1"), start + 59s);
    counts.count("unauthorized", "/v1/apps", ip("2001:db8:1:2ff::9"), start + 60s);
    counts.count("unauthorized", "/v1/apps", ip("2001:db8:1:200::1"), start + 61s);
    counts.count("not_found", "", ip("2001:db8:1:300::1"), start + 30s);  // the clock stepped back
    EXPECT_EQ(told(counts),
              "2026-01-09T00:01:00Z unauthorized /v1/apps 2001:db8:1:200::/56 2\n"
              "2026-01-09T00:01:00Z not_found  2001:db8:1:300::/56 1\n"
              "2026-01-09T00:00:00Z invalid_field /v1/locks 192.0.2.0/24 2\n"
              "2026-01-09T00:00:00Z invalid_field /v1/locks 192.0.3.0/24 1\n"
              "2026-01-09T00:00:00Z unauthorized /v1/apps 192.0.2.0/24 1\n");
}

TEST(RefusalCounts, AFloodTakesNoMoreRoomAndDrivesNothingOut) {
    RefusalCounts counts;
    counts.count("insufficient_credit", "/v1/locks", ip("198.51.100.7"), start);
    for (int minute = 1; minute < 60; ++minute)
        for (int i = 0; i < 300; ++i)
            counts.count("unauthorized", "/v1/apps", ip(fmt::format("10.{}.{}.1", minute, i % 250)),
                         start + minute * 1min);
    EXPECT_EQ(counts.rows().size(), 1 + 59 * (RefusalCounts::rows_of_minute_max + 1));
    EXPECT_NE(told(counts).find("00:00:00Z insufficient_credit /v1/locks 198.51.100.0/24 1\n"),
              std::string::npos);
    EXPECT_NE(told(counts).find("2026-01-09T00:59:00Z other other other "), std::string::npos);
    std::uint64_t sum = 0;
    for (const RefusalCounts::Row& row : counts.rows()) sum += row.count;
    EXPECT_EQ(sum, 1 + 59 * 300U);
    // An hour later the first minute is gone.
    counts.count("unauthorized", "/v1/apps", ip("192.0.2.1"), start + 60min);
    EXPECT_EQ(told(counts).find("insufficient_credit"), std::string::npos);
}

}  // namespace
}  // namespace ee::api
