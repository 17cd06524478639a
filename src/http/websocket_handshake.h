#pragma once
// The opening handshake of WebSocket (RFC 6455 section 4), both sides. Random bytes are arguments.

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/message.h"

namespace ee::http {

// What goes into Sec-WebSocket-Accept for a Sec-WebSocket-Key.
std::string websocket_accept(std::string_view key);

struct WebSocketAcceptance {
    std::string accept;
    std::string_view protocol;  // One of `supported`; empty for none.
};

// Judges an upgrade request. `supported` subprotocols in order of preference; when the client offers none
// of them the connection has none. Codes: upgrade_required and unsupported_websocket_version (both 426,
// with websocket_refusal_fields()), bad_request.
Result<WebSocketAcceptance> accept_websocket(const RequestHead& head,
                                             std::span<const std::string_view> supported);
// The whole 101 response.
void append_websocket_acceptance(std::string& out, const WebSocketAcceptance& acceptance);
// What a 426 answer carries: Upgrade, Connection and Sec-WebSocket-Version.
std::span<const Field> websocket_refusal_fields();

using WebSocketNonce = std::array<std::uint8_t, 16>;

struct WebSocketRequest {
    std::string_view target;                      // Origin form.
    std::string_view host;                        // Value of Host.
    std::span<const std::string_view> protocols;  // Offered; may be empty.
    std::span<const Field> fields;                // Others, such as Authorization.
};

// False, with `out` as it was, when a part of the request is not writable.
[[nodiscard]] bool append_websocket_request(std::string& out, const WebSocketRequest& request,
                                            const WebSocketNonce& nonce);
// The subprotocol the server chose (a view of the head), empty for none. Code: bad_handshake.
Result<std::string_view> check_websocket_response(const ResponseHead& head, const WebSocketNonce& nonce,
                                                  std::span<const std::string_view> offered);

}  // namespace ee::http
