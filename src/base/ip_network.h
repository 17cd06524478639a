#pragma once
// IP addresses and networks (CIDR), IPv4 kept as IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2).

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace ee {

struct IpAddress {
    ByteArray<16> octets{};

    bool is_v4() const;
    friend auto operator<=>(const IpAddress&, const IpAddress&) = default;
};

// Dotted IPv4 or textual IPv6 without brackets or zone. "::ffff:1.2.3.4" equals "1.2.3.4".
std::optional<IpAddress> parse_ip_address(std::string_view text);
std::string to_string(const IpAddress& address);

struct IpNetwork {
    IpAddress base;
    int prefix_bits = 128;  // Of the 16 octets: an IPv4 /8 is 104.

    bool contains(const IpAddress& address) const;
    friend bool operator==(const IpNetwork&, const IpNetwork&) = default;
};

// "10.0.0.0/8", "2001:db8::/32", or one address. Host bits set beyond the prefix are refused: they are
// more often a mistyped prefix than an intention.
std::optional<IpNetwork> parse_ip_network(std::string_view text);

bool any_contains(const std::vector<IpNetwork>& networks, const IpAddress& address);

}  // namespace ee
