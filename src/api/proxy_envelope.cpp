#include "api/proxy_envelope.h"

#include <algorithm>

#include <simdjson.h>

#include "base/base64.h"
#include "http/fields.h"
#include "http/target.h"

namespace ee::api {
namespace {

constexpr std::size_t depth_max = 32;
// What the proxy listener takes too: agents refuse more.
constexpr http::HeadLimits head_limits;

// Origin form (RFC 9112 section 3.2.1): an absolute URL here would let a caller choose another host.
bool is_origin_form(std::string_view path) {
    if (!path.starts_with('/')) return false;
    for (const char c : path)
        if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f || c == '#')
            return false;
    return true;
}

Result<std::string_view> text_of(simdjson::dom::element element, std::string_view name) {
    std::string_view text;
    if (element.get_string().get(text) != simdjson::SUCCESS)
        return fail("invalid_field:" + std::string(name), std::string(name) + " must be a string");
    return text;
}

Result<void> add_header(ProxyEnvelope& out, std::string_view name, simdjson::dom::element element) {
    std::string_view value;
    if (element.get_string().get(value) != simdjson::SUCCESS)
        return fail("invalid_field:headers", "a header must be a string, or a list of strings");
    if (!http::is_token(name) || !http::is_valid_field_value(value))
        return fail("invalid_field:headers",
                    "a header has a name that is no token, or a control character in its value");
    if (http::iequals(name, "host")) {
        const bool repeated = std::any_of(out.headers.begin(), out.headers.end(), [](const auto& field) {
            return http::iequals(field.name, "host");
        });
        if (repeated || !http::parse_authority(value))
            return fail("invalid_field:headers", "Host must be one host[:port]");
    }
    out.headers.push_back({std::string(name), std::string(value)});
    return {};
}

Result<void> take_headers(ProxyEnvelope& out, simdjson::dom::element element) {
    simdjson::dom::object object;
    if (element.get_object().get(object) != simdjson::SUCCESS)
        return fail("invalid_field:headers", "headers must be an object of strings");
    for (const auto& [name, value] : object) {
        simdjson::dom::array list;
        if (value.get_array().get(list) != simdjson::SUCCESS) {
            if (auto added = add_header(out, name, value); !added) return added;
            continue;
        }
        for (const simdjson::dom::element item : list)
            if (auto added = add_header(out, name, item); !added) return added;
    }
    return {};
}

Result<void> take_member(ProxyEnvelope& out, std::string_view name, simdjson::dom::element element,
                         std::size_t body_bytes_max) {
    if (name == "headers") return take_headers(out, element);
    if (name != "method" && name != "path" && name != "body_b64")
        return fail("unknown_field:" + std::string(name.substr(0, 64)),
                    "the body may have method, path, headers and body_b64");
    const auto text = text_of(element, name);
    if (!text) return fail(text.error());
    if (name == "method") {
        if (!http::is_token(*text) || *text == "CONNECT")
            return fail("invalid_field:method", "method must be an HTTP method other than CONNECT");
        out.method = *text;
    } else if (name == "path") {
        if (!is_origin_form(*text))
            return fail("invalid_field:path",
                        "path must begin with / and hold no space, control character or fragment");
        out.path = *text;
    } else {
        const auto too_large = [&] {
            return fail("body_too_large", "body_b64 may hold " + std::to_string(body_bytes_max) + " bytes");
        };
        if (text->size() > base64_size(body_bytes_max)) return too_large();
        if (!append_from_base64(out.body, *text))
            return fail("invalid_field:body_b64", "body_b64 must be base64 (RFC 4648)");
        if (out.body.size() > body_bytes_max) return too_large();
    }
    return {};
}

}  // namespace

Result<ProxyEnvelope> parse_proxy_envelope(std::string_view json, std::size_t body_bytes_max) {
    if (json.empty()) return fail("invalid_json", "the body is empty; it must be a JSON object");
    simdjson::dom::parser parser;
    if (parser.allocate(std::max<std::size_t>(json.size(), 64), depth_max) != simdjson::SUCCESS)
        return fail("invalid_json", "the body is too large to parse");
    simdjson::dom::element root;
    const simdjson::error_code error = parser.parse(json.data(), json.size()).get(root);
    if (error != simdjson::SUCCESS)
        return fail("invalid_json", std::string("the body is not JSON: ") + simdjson::error_message(error));
    simdjson::dom::object object;
    if (root.get_object().get(object) != simdjson::SUCCESS)
        return fail("invalid_json", "the body must be a JSON object");
    ProxyEnvelope out;
    std::vector<std::string_view> seen;
    for (const auto& [name, value] : object) {
        // Two parties could each go by another one of them.
        if (std::find(seen.begin(), seen.end(), name) != seen.end())
            return fail("invalid_field:" + std::string(name), std::string(name) + " is there twice");
        seen.push_back(name);
        if (auto taken = take_member(out, name, value, body_bytes_max); !taken) return fail(taken.error());
    }
    std::size_t head_bytes = out.method.size() + out.path.size();
    for (const http::OwnedField& field : out.headers)
        head_bytes += field.name.size() + field.value.size() + 4;
    if (out.headers.size() > head_limits.fields_max || head_bytes > head_limits.bytes_max)
        return fail("invalid_field:headers", "more than " + std::to_string(head_limits.fields_max) +
                                                 " headers, or more than " +
                                                 std::to_string(head_limits.bytes_max) + " bytes of them");
    return out;
}

}  // namespace ee::api
