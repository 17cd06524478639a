#include "agent/backend_request.h"

#include "http/fields.h"
#include "http/http1_writer.h"
#include "http/websocket_handshake.h"

namespace ee::agent {
namespace {

using http::iequals;

bool append_fields(std::string& text, const BackendRequest& request, const net::Url& backend) {
    bool has_host = false;
    for (const http::Field& field : request.fields) {
        if (is_written_anew(field.name, request.websocket)) continue;
        has_host = has_host || iequals(field.name, "host");
        if (!http::append_field(text, field.name, field.value)) return false;
    }
    return has_host || http::append_field(text, "Host", backend.authority());
}

void append_framing(std::string& text, const BackendRequest& request, http::OutgoingRequest& out) {
    const auto length = length_to_tell(request);
    if (length) http::append_content_length(text, *length);
    if (!request.body_follows) return;
    if (length) {
        out.body = http::Framing::length;
        out.body_length = *length;
    } else {
        out.body = http::Framing::chunked;
        text.append("Transfer-Encoding: chunked\r\n");
    }
    if (request.expect_continue) text.append("Expect: 100-continue\r\n");
}

}  // namespace

bool is_written_anew(std::string_view name, bool websocket) {
    if (http::is_hop_by_hop(name) || iequals(name, "content-length") || iequals(name, "expect")) return true;
    return websocket && (iequals(name, "sec-websocket-key") || iequals(name, "sec-websocket-version"));
}

std::optional<std::uint64_t> length_to_tell(const BackendRequest& request) {
    if (request.body_follows) return request.content_length;
    const bool expects_body =
        request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
    return expects_body || !request.body.empty() ? std::optional<std::uint64_t>(request.body.size())
                                                 : std::nullopt;
}

bool is_idempotent(std::string_view method) {
    for (const std::string_view name : {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
        if (method == name) return true;
    return false;
}

Result<http::OutgoingRequest> write_request(const BackendRequest& request, const net::Url& backend,
                                            std::string_view websocket_key) {
    const auto refuse = [] { return fail("bad_request", "the request cannot be written as HTTP/1.1"); };
    if (!request.path.starts_with('/') && !(request.method == "OPTIONS" && request.path == "*"))
        return refuse();
    if (request.websocket && (request.method != "GET" || request.body_follows)) return refuse();
    http::OutgoingRequest out;
    out.asked = http::asked_method(request.method);
    out.may_upgrade = request.websocket;
    std::string& text = out.text;
    text.reserve(1024 + request.body.size());
    if (!http::append_request_line(text, request.method, request.path) ||
        !append_fields(text, request, backend))
        return refuse();
    append_framing(text, request, out);
    if (request.websocket) {
        text.append("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
        text.append("Sec-WebSocket-Key: ").append(websocket_key).append("\r\n");
    } else if (request.accepts_trailers) {
        text.append("Connection: TE\r\nTE: trailers\r\n");
    }
    text.append("\r\n").append(request.body);
    return out;
}

bool is_websocket_answer(const http::ResponseHead& head, std::string_view websocket_key) {
    return head.upgrade && http::has_token(head.fields, "upgrade", "websocket") &&
           http::count(head.fields, "sec-websocket-accept") == 1 &&
           http::find(head.fields, "sec-websocket-accept") == http::websocket_accept(websocket_key);
}

}  // namespace ee::agent
