#pragma once
// Parts of request targets and authorities (RFC 3986, RFC 9110 section 4.2).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ee::http {

// Visible ASCII but '#', at least one: a fragment is never sent. Wider than RFC 3986, which clients do not
// keep to.
bool is_target_text(std::string_view text);

struct PathAndQuery {
    std::string_view path;
    std::string_view query;  // Behind the first '?', empty when there is none.
};
PathAndQuery split_origin_form(std::string_view origin_form);

// Decodes one path segment. nullopt for a '%' without two hexadecimal digits and for what decodes to a
// control character or to invalid UTF-8. "%2F" becomes '/', which no longer separates.
std::optional<std::string> percent_decode_segment(std::string_view segment);

struct QueryParameter {
    std::optional<std::string> name;  // Decoded ('+' is a space); nullopt when it does not decode.
    std::string_view value;           // As it was sent; empty without '='.
};
// Takes the first parameter off `query`; nullopt when there is none left.
std::optional<QueryParameter> take_query_parameter(std::string_view& query);

// The decoded value of a query parameter ('+' is a space), nullopt when it is absent. Refused:
// invalid_parameter:<name> when it is there twice or does not decode.
Result<std::optional<std::string>> query_parameter(std::string_view query, std::string_view name);

struct Authority {
    enum class Kind { name, ipv4, ipv6 };

    std::string_view host;  // Without brackets.
    std::optional<std::uint16_t> port;
    Kind kind = Kind::name;
};

// host[":" port]: a name of letters, digits, '-', '_' and '.' (at most 253), an IPv4 address or an IPv6
// literal in brackets; port 1-65535 or empty. No user information, no percent-encoding, no empty host.
std::optional<Authority> parse_authority(std::string_view text);

// Up to the first dot.
std::string_view first_label(std::string_view host);
// Whether host ends in "." + domain, without regard to case, with something before it.
bool is_under_domain(std::string_view host, std::string_view domain);
// 1-63 of [a-z0-9-], no '-' at either end.
bool is_dns_label(std::string_view label);
std::string to_lower(std::string_view text);

}  // namespace ee::http
