#pragma once
// A request as it is written to the backend over HTTP/1.1.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/client_connection.h"
#include "net/url.h"

namespace ee::agent {

struct BackendRequest {
    std::string_view method;
    std::string_view path;  // With the query; "*" for OPTIONS.
    // What frames the body or belongs to one hop is left out; Host is added where there is none.
    std::span<const http::Field> fields;
    std::string_view body{};                        // When it is there whole.
    bool body_follows = false;                      // It comes with send_body() and end_body() instead.
    std::optional<std::uint64_t> content_length{};  // Of a body that follows; chunked without.
    bool expect_continue = false;                   // The body waits for on_interim() with 100.
    bool accepts_trailers = false;
    // A GET that opens a WebSocket (RFC 6455): the backend is asked to upgrade, with a key of our own, or
    // over HTTP/2 by an extended CONNECT (RFC 8441). Answers that refuse are answers too.
    bool websocket = false;
};

// Fields that are not passed on as they came: of the hop, of the framing, of our own WebSocket handshake.
bool is_written_anew(std::string_view name, bool websocket);
// What Content-Length is to say, if it is there: an empty body has a length where one is expected.
std::optional<std::uint64_t> length_to_tell(const BackendRequest& request);

// RFC 9110 section 9.2.2: may be sent again when the first sending's fate is unknown.
bool is_idempotent(std::string_view method);

// `websocket_key`: what Sec-WebSocket-Key says, where it is a WebSocket. Refusal `bad_request`.
Result<http::OutgoingRequest> write_request(const BackendRequest& request, const net::Url& backend,
                                            std::string_view websocket_key);

// Whether a 101 answers the upgrade that was asked for. Subprotocol and extensions are the visitor's to
// judge.
bool is_websocket_answer(const http::ResponseHead& head, std::string_view websocket_key);

}  // namespace ee::agent
