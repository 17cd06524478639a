#include "net/address.h"

#include <algorithm>
#include <cstring>

#include <netinet/in.h>

namespace ee::net {

IpAddress ip_of(const sockaddr_storage& storage) {
    constexpr ByteArray<12> v4_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    ByteArray<16> bytes{};
    if (storage.ss_family == AF_INET6) {
        sockaddr_in6 address;
        std::memcpy(&address, &storage, sizeof address);
        std::memcpy(bytes.data(), &address.sin6_addr, 16);
    } else if (storage.ss_family == AF_INET) {
        sockaddr_in address;
        std::memcpy(&address, &storage, sizeof address);
        std::copy(v4_prefix.begin(), v4_prefix.end(), bytes.begin());
        std::memcpy(bytes.data() + 12, &address.sin_addr, 4);
    }
    return IpAddress(bytes);
}

std::string Endpoint::to_string() const {
    return ip.is_v4() ? ip.to_string() + ":" + std::to_string(port)
                      : "[" + ip.to_string() + "]:" + std::to_string(port);
}

}  // namespace ee::net
