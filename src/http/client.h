#pragma once
// An HTTP/1.1 client (RFC 9112) over the loop: one request a connection, its answer whole and bounded.
// For what the control plane asks of others: collateral, releases. Redirects are the caller's to judge.

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/url.h"

namespace ee::http {

struct ClientField {
    std::string name;
    std::string value;
};

struct ClientRequest {
    net::Url url;                     // http or https; its path with the query
    std::vector<ClientField> fields;  // besides Host, Connection and User-Agent, which the client writes
    std::size_t body_bytes_max = 1024 * 1024;
    std::chrono::milliseconds timeout{10'000};  // from the name look-up to the last byte
};

struct ClientAnswer {
    int status = 0;
    std::vector<ClientField> fields;
    std::string body;

    // The first field of this name, in any case.
    std::optional<std::string_view> field(std::string_view name) const;
};

// Exactly one call. Refusals: `unreachable` (name, connection or TLS), `timed_out`, `bad_response` (not HTTP,
// cut short, or over a limit); the detail names host and path, and no field of the request.
using OnClientAnswer = std::function<void(Result<ClientAnswer>)>;

// How a request is made: http::Client in production, a script in tests. Never calls back from within the
// call.
using Fetch = std::function<void(ClientRequest request, OnClientAnswer on_answer)>;

}  // namespace ee::http
