#pragma once
// A request described as JSON: {"method","path","headers","body_b64"}.

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/message.h"

namespace ee::api {

struct ProxyEnvelope {
    std::string method = "GET";
    std::string path = "/";
    std::vector<http::OwnedField> headers;
    std::string body;
};

// Every member may be absent. Refusals: invalid_json, unknown_field:<name>, invalid_field:<name>,
// body_too_large.
Result<ProxyEnvelope> parse_proxy_envelope(std::string_view json, std::size_t body_bytes_max);

}  // namespace ee::api
