#pragma once
// The few URL forms the settings use (RFC 3986): scheme://host[:port][/path], unix:/path, h2c+unix:/path.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ee::net {

struct Url {
    std::string scheme;  // Lower case.
    std::string host;    // Without brackets; of a Unix socket its path.
    std::uint16_t port = 0;
    std::string path;  // Begins with "/"; with the query. Empty when the URL has none.

    // "host:port", the port left out when it is the scheme's own; brackets around IPv6.
    std::string authority() const;
    bool is_loopback() const;
    bool is_unix() const { return scheme == "unix" || scheme == "h2c+unix"; }
    // With prior knowledge (RFC 9113 section 3.3).
    bool is_http2() const { return scheme == "h2c" || scheme == "h2c+unix"; }
};

// Refusal `invalid_url` says what is allowed. Schemes: ws, wss, http, https, h2c, unix, h2c+unix. No user
// info, no fragment.
Result<Url> parse_url(std::string_view text);

}  // namespace ee::net
