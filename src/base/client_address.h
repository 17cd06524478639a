#pragma once
// Whom limits count: who has one address of an IPv6 network has them all.

#include <algorithm>

#include "base/ip_address.h"

namespace ee {

// An IPv4 address as it is, of an IPv6 address its /64.
inline IpAddress client_address(const IpAddress& ip) {
    if (ip.is_v4()) return ip;
    ByteArray<16> network{};
    std::copy_n(ip.bytes().begin(), 8, network.begin());
    return IpAddress(network);
}

}  // namespace ee
