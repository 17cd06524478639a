#include "agent/http2_request.h"

#include <algorithm>

#include "base/check.h"
#include "http/fields.h"

namespace ee::agent {
namespace {

using http::Field;

bool is_path(const BackendRequest& request) {
    const bool is_visible = std::ranges::all_of(request.path, [](char c) { return c > ' ' && c <= '~'; });
    return is_visible &&
           (request.path.starts_with('/') || (request.method == "OPTIONS" && request.path == "*"));
}

}  // namespace

Result<void> Http2Request::take(const BackendRequest& request, const net::Url& backend) {
    const auto refuse = [] { return fail("bad_request", "the request cannot be written as HTTP/2"); };
    if (!http::is_token(request.method) || !is_path(request) || !http::are_valid_fields(request.fields))
        return refuse();
    if (request.websocket && (request.method != "GET" || request.body_follows)) return refuse();
    is_websocket_ = request.websocket;

    const std::string own_authority = backend.authority();
    const auto told = length_to_tell(request);
    const std::string length = told ? std::to_string(*told) : std::string();
    const std::string_view method = is_websocket_ ? "CONNECT" : request.method;
    const std::string_view authority = http::find(request.fields, "host").value_or(own_authority);
    std::vector<Field> fields;
    fields.reserve(request.fields.size() + 2);
    for (const Field& field : request.fields)  // Host is `:authority` here.
        if (!is_written_anew(field.name, is_websocket_) && !http::iequals(field.name, "host"))
            fields.push_back(field);
    if (is_websocket_) {
        fields.push_back({"sec-websocket-version", "13"});
    } else {
        if (!length.empty()) fields.push_back({"content-length", length});
        if (request.accepts_trailers) fields.push_back({"te", "trailers"});
    }

    std::size_t size = method.size() + authority.size() + request.path.size();
    for (const Field& field : fields) size += field.name.size() + field.value.size();
    text_.reserve(size);
    const auto keep = [this](std::string_view part) {
        text_.append(part);
        return std::string_view(text_).substr(text_.size() - part.size());
    };
    const char* const begin = text_.data();
    method_ = keep(method);
    authority_ = keep(authority);
    path_ = keep(request.path);
    for (Field& field : fields) {
        const std::string_view name = keep(field.name);
        field = {name, keep(field.value)};
    }
    EE_CHECK(text_.data() == begin);  // The views point into it.
    fields_ = std::move(fields);
    return {};
}

http::Http2Head Http2Request::head() const {
    return {.method = method_,
            .scheme = "http",
            .authority = authority_,
            .path = path_,
            .protocol = is_websocket_ ? std::string_view("websocket") : std::string_view(),
            .fields = fields_};
}

}  // namespace ee::agent
