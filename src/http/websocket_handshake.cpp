#include "http/websocket_handshake.h"

#include <openssl/sha.h>

#include "base/base64.h"
#include "http/fields.h"
#include "http/http1_writer.h"

namespace ee::http {
namespace {

tl::unexpected<Error> refuse(const char* detail) {
    return fail("bad_request", detail);
}
tl::unexpected<Error> refuse_response(const char* detail) {
    return fail("bad_handshake", detail);
}

bool contains(std::span<const std::string_view> names, std::string_view name) {
    for (const std::string_view other : names) {
        if (other == name) return true;
    }
    return false;
}

// The first of `supported` that the client offers. Subprotocol names are compared with case.
std::string_view choose_protocol(std::span<const Field> fields, std::span<const std::string_view> supported) {
    std::size_t best = supported.size();
    for (const Field& field : fields) {
        if (!iequals(field.name, "sec-websocket-protocol")) continue;
        for_each_token(field.value, [&](std::string_view offered) {
            for (std::size_t i = 0; i < best; ++i) {
                if (supported[i] == offered) best = i;
            }
        });
    }
    return best < supported.size() ? supported[best] : std::string_view();
}

}  // namespace

std::string websocket_accept(std::string_view key) {
    std::string text(key);
    text.append("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");  // RFC 6455 section 1.3.
    ByteArray<SHA_DIGEST_LENGTH> digest;
    SHA1(as_bytes(text).data(), text.size(), digest.data());
    return to_base64(digest);
}

Result<WebSocketAcceptance> accept_websocket(const RequestHead& head,
                                             std::span<const std::string_view> supported) {
    if (!head.upgrade || !has_token(head.fields, "upgrade", "websocket")) {
        return fail("upgrade_required", "the request does not ask to upgrade to websocket");
    }
    if (head.method != "GET") return refuse("a WebSocket handshake with a method other than GET");
    if (head.has_body()) return refuse("a WebSocket handshake with a body");
    if (count(head.fields, "sec-websocket-version") != 1 ||
        find(head.fields, "sec-websocket-version") != "13") {
        return fail("unsupported_websocket_version", "Sec-WebSocket-Version is not the one 13");
    }
    const auto key = find(head.fields, "sec-websocket-key");
    if (!key || count(head.fields, "sec-websocket-key") != 1) return refuse("not one Sec-WebSocket-Key");
    const auto nonce = from_base64(*key);
    if (!nonce || nonce->size() != WebSocketNonce().size())
        return refuse("Sec-WebSocket-Key is not the base64 of 16 bytes");
    return WebSocketAcceptance{.accept = websocket_accept(*key),
                               .protocol = choose_protocol(head.fields, supported)};
}

void append_websocket_acceptance(std::string& out, const WebSocketAcceptance& acceptance) {
    out.append("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
    out.append("Sec-WebSocket-Accept: ").append(acceptance.accept).append("\r\n");
    if (!acceptance.protocol.empty()) {
        out.append("Sec-WebSocket-Protocol: ").append(acceptance.protocol).append("\r\n");
    }
    out.append("\r\n");
}

std::span<const Field> websocket_refusal_fields() {
    static constexpr Field fields[] = {
        {"Upgrade", "websocket"},
        {"Connection", "Upgrade"},
        {"Sec-WebSocket-Version", "13"},
    };
    return fields;
}

bool append_websocket_request(std::string& out, const WebSocketRequest& request,
                              const WebSocketNonce& nonce) {
    const std::string key = to_base64(nonce);
    std::string protocols;
    for (const std::string_view protocol : request.protocols) {
        if (!is_token(protocol)) return false;
        if (!protocols.empty()) protocols.append(", ");
        protocols.append(protocol);
    }
    std::vector<Field> fields = {{"Host", request.host},
                                 {"Upgrade", "websocket"},
                                 {"Connection", "Upgrade"},
                                 {"Sec-WebSocket-Version", "13"},
                                 {"Sec-WebSocket-Key", key}};
    if (!protocols.empty()) fields.push_back({"Sec-WebSocket-Protocol", protocols});
    fields.insert(fields.end(), request.fields.begin(), request.fields.end());
    return append_request_head(out, "GET", request.target, fields);
}

Result<std::string_view> check_websocket_response(const ResponseHead& head, const WebSocketNonce& nonce,
                                                  std::span<const std::string_view> offered) {
    if (head.status != 101) {
        return fail("bad_handshake", "status " + std::to_string(head.status) + " instead of 101");
    }
    if (!head.upgrade || !has_token(head.fields, "upgrade", "websocket")) {
        return refuse_response("the answer does not upgrade to websocket");
    }
    if (count(head.fields, "sec-websocket-accept") != 1 ||
        find(head.fields, "sec-websocket-accept") != websocket_accept(to_base64(nonce))) {
        return refuse_response("Sec-WebSocket-Accept does not answer the key that was sent");
    }
    if (count(head.fields, "sec-websocket-extensions") != 0) {
        return refuse_response("the answer has an extension that was not offered");
    }
    if (count(head.fields, "sec-websocket-protocol") > 1) return refuse_response("more than one subprotocol");
    const std::string_view protocol =
        find(head.fields, "sec-websocket-protocol").value_or(std::string_view());
    if (!protocol.empty() && !contains(offered, protocol)) {
        return refuse_response("the answer has a subprotocol that was not offered");
    }
    return protocol;
}

}  // namespace ee::http
