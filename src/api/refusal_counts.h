#pragma once
// How often what was refused to whom: counts by code, route and network of the client in each minute, in
// bounded room. They are kept in memory only, never in the log: strangers cause them.

#include <compare>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "net/address.h"

namespace ee::api {

class RefusalCounts {
public:
    static constexpr std::size_t minutes_max = 60;
    static constexpr std::size_t rows_of_minute_max = 64;  // what is beyond them is counted as of `other`
    static constexpr std::string_view other = "other";

    struct Row {
        WallTime minute;
        std::string code;     // without what follows a ':'
        std::string route;    // its pattern; empty: none
        std::string network;  // such as 192.0.2.0/24 or 2001:db8:0:100::/56, or `other`
        std::uint64_t count = 0;
    };

    void count(std::string_view code, std::string_view route, const net::IpAddress& client, WallTime now);

    // The newest minute first, in a minute the most frequent first.
    std::vector<Row> rows() const;

private:
    struct What {
        std::string code;
        std::string route;
        std::string network;
        auto operator<=>(const What&) const = default;
    };
    struct Minute {
        WallTime start;
        std::map<What, std::uint64_t> counts;
    };
    std::deque<Minute> minutes_;  // the newest last
};

// Of 24 bits for IPv4, of 56 for IPv6; an IPv4 address within IPv6 is one of IPv4.
std::string network_of(const net::IpAddress& address);

}  // namespace ee::api
