#include "api/refusal_counts.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

namespace ee::api {

std::string network_of(const net::IpAddress& address) {
    ByteArray<16> bytes = address.bytes();
    const std::size_t kept = address.is_v4() ? 15 : 7;  // of 16: an IPv4 address is the last 4
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(kept), bytes.end(), std::uint8_t{0});
    return fmt::format("{}/{}", net::IpAddress(bytes).to_string(), address.is_v4() ? 24 : 56);
}

void RefusalCounts::count(std::string_view code, std::string_view route, const net::IpAddress& client,
                          WallTime now) {
    // A clock that steps back counts on where it was.
    const WallTime start = std::chrono::floor<std::chrono::minutes>(now);
    if (minutes_.empty() || minutes_.back().start < start) minutes_.push_back({.start = start, .counts = {}});
    if (minutes_.size() > minutes_max) minutes_.pop_front();
    auto& counts = minutes_.back().counts;
    What what{.code = std::string(code.substr(0, code.find(':'))),
              .route = std::string(route),
              .network = network_of(client)};
    auto known = counts.find(what);
    if (known == counts.end() && counts.size() >= rows_of_minute_max) {
        // Nobody's flood hides what others are refused with, and none needs more room.
        what = {.code = std::string(other), .route = std::string(other), .network = std::string(other)};
        known = counts.find(what);
    }
    if (known == counts.end()) known = counts.emplace(std::move(what), 0).first;
    ++known->second;
}

std::vector<RefusalCounts::Row> RefusalCounts::rows() const {
    std::vector<Row> out;
    for (auto minute = minutes_.rbegin(); minute != minutes_.rend(); ++minute) {
        const auto first = static_cast<std::ptrdiff_t>(out.size());
        for (const auto& [what, count] : minute->counts)
            out.push_back({.minute = minute->start,
                           .code = what.code,
                           .route = what.route,
                           .network = what.network,
                           .count = count});
        // The same count: as they are kept, in the order of what they are of.
        std::sort(out.begin() + first, out.end(), [](const Row& a, const Row& b) {
            return std::tie(b.count, a.code, a.route, a.network) <
                   std::tie(a.count, b.code, b.route, b.network);
        });
    }
    return out;
}

}  // namespace ee::api
