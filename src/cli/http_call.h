#pragma once
// One blocking request (RFC 9112) over http or https, for a command line that has nothing else to do
// meanwhile.

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/secret.h"

namespace ee::cli {

struct HttpAnswer {
    int status = 0;
    std::string body;
};

struct HttpCall {
    std::string url;     // base, e.g. "http://127.0.0.1:8088"
    std::string target;  // "/v1/apps?limit=500"
    std::string method = "GET";
    std::string body{};                                         // JSON, unless `is_bare`
    std::vector<std::pair<std::string, std::string>> fields{};  // further ones, without CR and LF
    Secret bearer;                                              // empty: no Authorization
    std::filesystem::path tls_ca;                               // trusted roots in PEM; empty: the system's
    int timeout_s = 10;                                         // each wait for the peer
    // Who is asked for and must be named by the certificate, when that is not the URL's host: "host[:port]".
    std::string host{};
    bool is_bare = false;  // No fields but Host, framing and the given ones.

    bool has_body() const {
        return !body.empty() ||
               (is_bare ? method == "POST" || method == "PUT" || method == "PATCH" : method != "GET");
    }
};

// Refuses with `invalid_url`, `tls_config_invalid`, or `unreachable`: with ":certificate" where the peer's is
// not trusted or names another host, with ":scheme" where https is asked for and no TLS spoken, with
// ":closed" where the connection ended before any answer. Redirects are not followed: the token is for the
// host it was given for.
Result<HttpAnswer> http_call(const HttpCall& options);

// The same for an answer whose body comes for as long as both sides like: `on_piece` gets what of a 200 has
// come, until it says false or the peer ends it. The body of another status comes whole.
using OnPiece = std::function<bool(std::string_view bytes)>;
Result<HttpAnswer> http_stream(const HttpCall& options, const OnPiece& on_piece);

// Hands out the response as it comes on the wire, head and all, until the peer closes or `on_bytes` says
// false.
Result<void> http_raw(const HttpCall& options, const OnPiece& on_bytes);

// The answer in a whole response as it came until the peer closed; split off for tests.
Result<HttpAnswer> parse_http_response(std::string_view response);

}  // namespace ee::cli
