#pragma once
// Who is asking, behind how many proxies, and for which app.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/random_pool.h"
#include "http/exchange.h"
#include "net/address.h"

namespace ee::proxy {

struct TrustSettings {
    std::vector<net::Cidr> trusted_proxies;
    // Its edge: where that is among the trusted, CF-Connecting-IP is believed of it.
    std::vector<net::Cidr> cloudflare;
    std::string app_domain;  // Lower case; empty: none.
};

struct Visitor {
    net::IpAddress client;      // The right-most address that is not a trusted proxy's, or Cloudflare's word.
    bool peer_trusted = false;  // The connection itself comes from a trusted proxy.
    bool is_cloudflares_word = false;
};

// The request's X-Request-Id when it is sane, else a new id, which is kept in `made`.
std::string_view request_id_of(const http::RequestHead& head, crypto::RandomPool& random, std::string& made);

Visitor identify_visitor(const http::RequestHead& head, const net::Endpoint& peer,
                         const TrustSettings& settings);

// The app's name. From the first label of a Host under the app domain; a trusted peer may name it by
// X-EE-App, or, without an app domain, by the first label of any Host that is no IP address. Refusal:
// `missing_app`, which says what was missing.
Result<std::string> select_app(const http::RequestHead& head, bool peer_trusted,
                               const TrustSettings& settings);

}  // namespace ee::proxy
