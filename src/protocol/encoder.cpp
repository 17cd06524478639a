#include "protocol/encoder.h"

#include <array>

#include "base/base64.h"
#include "base/hex.h"
#include "base/json_writer.h"

namespace ee::protocol {
namespace {

JsonWriter begin(std::string& out, std::string_view type) {
    JsonWriter json(out);
    json.begin_object().field("type", type);
    return json;
}

template <class T>
void optional_field(JsonWriter& json, std::string_view name, const std::optional<T>& content) {
    if (content) json.field(name, *content);
}

void base64_field(std::string& out, JsonWriter& json, std::string_view name, ByteSpan bytes) {
    json.key(name).raw("\"");
    append_base64(out, bytes);
    out.push_back('"');
}

// Is there a field of that name before, or after?
bool named_before(std::span<const HeaderView> headers, std::size_t index) {
    for (std::size_t i = 0; i < index; ++i)
        if (same_field_name(headers[i].name, headers[index].name)) return true;
    return false;
}

std::size_t next_of_name(std::span<const HeaderView> headers, std::size_t index) {
    std::size_t next = index + 1;
    while (next < headers.size() && !same_field_name(headers[next].name, headers[index].name)) ++next;
    return next;
}

void joined_headers(JsonWriter& json, std::span<const HeaderView> headers) {
    std::string joined;
    for (std::size_t i = 0; i < headers.size(); ++i) {
        if (named_before(headers, i)) continue;
        json.key(headers[i].name);
        std::size_t next = next_of_name(headers, i);
        if (next == headers.size()) {
            json.value(headers[i].value);
            continue;
        }
        const std::string_view separator = same_field_name(headers[i].name, "cookie") ? "; " : ", ";
        joined = headers[i].value;
        for (; next < headers.size(); next = next_of_name(headers, next))
            joined.append(separator).append(headers[next].value);
        json.value(joined);
    }
}

void listed_headers(JsonWriter& json, std::span<const HeaderView> headers) {
    for (std::size_t i = 0; i < headers.size(); ++i) {
        if (named_before(headers, i)) continue;
        json.key(headers[i].name);
        if (next_of_name(headers, i) == headers.size()) {
            json.value(headers[i].value);
            continue;
        }
        json.begin_array();
        for (std::size_t j = i; j < headers.size(); j = next_of_name(headers, j))
            json.value(headers[j].value);
        json.end_array();
    }
}

void reserve_for(std::string& out, std::span<const HeaderView> headers, std::string_view body) {
    std::size_t size = out.size() + base64_size(body.size()) + 512;
    for (const HeaderView& field : headers) size += field.name.size() + field.value.size() + 6;
    out.reserve(size);
}

}  // namespace

void append(std::string& out, const Register& message) {
    JsonWriter json = begin(out, "register");
    json.field("repo", message.repo)
        .field("release_tag", message.release_tag)
        .field("app_name", message.app_name);
    json.field("network", message.network).field("agent_id", message.agent_id);
    optional_field(json, "node_id", message.node_id);
    optional_field(json, "tunnel_version", message.tunnel_version);
    optional_field(json, "checkpoint", message.checkpoint);
    json.field("max_requests", message.max_requests).end_object();
}

void append(std::string& out, const AttestResponse& message) {
    JsonWriter json = begin(out, "attest_response");
    json.field("nonce", to_hex(message.nonce));
    base64_field(out, json, "quote", message.quote);
    json.field("report_data", to_hex(message.report_data));
    json.key("measurements").raw(canonical_json(message.measurements));
    if (message.layout2) json.field("layout", 2);
    if (!message.agent_key.empty()) base64_field(out, json, "agent_key", message.agent_key);
    if (!message.signature.empty()) base64_field(out, json, "signature", message.signature);
    if (message.node_token) json.field("node_token", message.node_token->reveal());
    json.end_object();
}

void append(std::string& out, const Health& message) {
    JsonWriter json = begin(out, "health");
    json.field("status", message.pass ? "pass" : "fail");
    if (!message.detail.empty()) json.field("detail", message.detail);
    optional_field(json, "checkpoint", message.checkpoint);
    json.end_object();
}

void append(std::string& out, const AttestRequest& message) {
    JsonWriter json = begin(out, "attest_request");
    json.field("nonce", to_hex(message.nonce)).field("deadline_s", message.deadline_s);
    json.field("reason", to_word(message.reason));
    if (message.layout2) json.field("layout", 2);
    json.field("binding", message.binding).end_object();
}

void append(std::string& out, const Status& message) {
    JsonWriter json = begin(out, "status");
    json.field("state", to_word(message.state)).field("reason", message.reason);
    if (!message.detail.empty()) json.field("detail", message.detail);
    optional_field(json, "retry_after_s", message.retry_after_s);
    optional_field(json, "reconnect_after_ms", message.reconnect_after_ms);
    optional_field(json, "checkpoint", message.checkpoint);
    optional_field(json, "consistency_proof", message.consistency_proof);
    json.end_object();
}

void append_proxy_request(std::string& out, const ProxyRequestView& request) {
    reserve_for(out, request.headers, request.body);
    JsonWriter json = begin(out, "proxy_request");
    json.field("request_id", request.request_id).field("method", request.method).field("path", request.path);
    json.key("headers").begin_object();
    joined_headers(json, request.headers);
    json.end_object();
    base64_field(out, json, "body_b64", as_bytes(request.body));
    json.end_object();
}

void append_proxy_response(std::string& out, const ProxyResponseView& response) {
    reserve_for(out, response.headers, response.body);
    JsonWriter json = begin(out, "proxy_response");
    json.field("request_id", response.request_id).field("status", response.status);
    json.key("headers").begin_object();
    listed_headers(json, response.headers);
    json.end_object();
    base64_field(out, json, "body_b64", as_bytes(response.body));
    if (!response.error.empty()) json.field("error", response.error);
    json.end_object();
}

}  // namespace ee::protocol
