#pragma once
// IP addresses and networks in CIDR notation (RFC 4632, RFC 4291), as values.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace ee {

// An IPv4 address is held in its IPv6 form (::ffff:a.b.c.d), so that both compare alike.
class IpAddress {
public:
    IpAddress() = default;
    // The 16 bytes of the IPv6 form, in network order.
    explicit IpAddress(const ByteArray<16>& bytes) : bytes_(bytes) {}
    static std::optional<IpAddress> parse(std::string_view text);

    bool is_v4() const;
    bool is_loopback() const;  // of 127.0.0.0/8, or ::1
    // Dotted for IPv4, RFC 5952 for IPv6.
    std::string to_string() const;
    const ByteArray<16>& bytes() const { return bytes_; }

    friend bool operator==(const IpAddress&, const IpAddress&) = default;
    friend auto operator<=>(const IpAddress&, const IpAddress&) = default;

private:
    ByteArray<16> bytes_{};
};

class Cidr {
public:
    // "10.0.0.0/8", "::1/128", or an address alone.
    static std::optional<Cidr> parse(std::string_view text);
    bool contains(const IpAddress& ip) const;
    // With the length of its prefix, as parse() reads it.
    std::string to_string() const;

    friend bool operator==(const Cidr&, const Cidr&) = default;

private:
    IpAddress network_;
    unsigned prefix_bits_ = 128;
};

inline bool contains(const std::vector<Cidr>& networks, const IpAddress& ip) {
    for (const Cidr& network : networks)
        if (network.contains(ip)) return true;
    return false;
}

}  // namespace ee

template <>
struct std::hash<ee::IpAddress> {
    std::size_t operator()(const ee::IpAddress& ip) const noexcept {
        return std::hash<std::string_view>{}(ee::as_text(ip.bytes()));
    }
};
