#pragma once
// Socket addresses.

#include <cstdint>
#include <string>

#include <sys/socket.h>

#include "base/ip_address.h"
#include "base/result.h"

namespace ee::net {

using ee::Cidr;
using ee::contains;
using ee::IpAddress;

// The zero address for a family that is neither of IP's.
IpAddress ip_of(const sockaddr_storage& storage);

struct Endpoint {
    IpAddress ip;
    std::uint16_t port = 0;

    std::string to_string() const;
};

}  // namespace ee::net
