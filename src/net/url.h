#pragma once
// The few URL forms the settings use (RFC 3986): scheme://host[:port][/path], and unix:/path.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ee::net {

struct Url {
    std::string scheme;  // Lower case.
    std::string host;    // Without brackets; for unix: the socket's path.
    std::uint16_t port = 0;
    std::string path;  // Begins with "/"; with the query. Empty when the URL has none.

    // "host:port", the port left out when it is the scheme's own; brackets around IPv6.
    std::string authority() const;
    bool is_loopback() const;
};

// Refusal `invalid_url` says what is allowed. Schemes: ws, wss, http, https, h2c, unix. No user info, no
// fragment.
Result<Url> parse_url(std::string_view text);

}  // namespace ee::net
