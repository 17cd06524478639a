#pragma once
// Socket addresses and networks in CIDR notation (RFC 4632, RFC 4291).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <sys/socket.h>

#include "base/bytes.h"
#include "base/result.h"

namespace ee::net {

// An IPv4 address is held in its IPv6 form (::ffff:a.b.c.d), so that both compare alike.
class IpAddress {
public:
    IpAddress() = default;
    static std::optional<IpAddress> parse(std::string_view text);
    static IpAddress from_sockaddr(const sockaddr_storage& storage);

    bool is_v4() const;
    // Dotted for IPv4, RFC 5952 for IPv6.
    std::string to_string() const;
    const ByteArray<16>& bytes() const { return bytes_; }

    friend bool operator==(const IpAddress&, const IpAddress&) = default;
    friend auto operator<=>(const IpAddress&, const IpAddress&) = default;

private:
    ByteArray<16> bytes_{};
};

struct Endpoint {
    IpAddress ip;
    std::uint16_t port = 0;

    std::string to_string() const;
};

class Cidr {
public:
    // "10.0.0.0/8", "::1/128", or an address alone.
    static std::optional<Cidr> parse(std::string_view text);
    bool contains(const IpAddress& ip) const;

private:
    IpAddress network_;
    unsigned prefix_bits_ = 128;
};

inline bool contains(const std::vector<Cidr>& networks, const IpAddress& ip) {
    for (const Cidr& network : networks)
        if (network.contains(ip)) return true;
    return false;
}

}  // namespace ee::net

template <>
struct std::hash<ee::net::IpAddress> {
    std::size_t operator()(const ee::net::IpAddress& ip) const noexcept {
        return std::hash<std::string_view>{}(ee::as_text(ip.bytes()));
    }
};
