#include "http/http2_request.h"

#include "base/check.h"
#include "http/fields.h"
#include "http/head_scanner.h"
#include "http/target.h"

namespace ee::http {
namespace {

tl::unexpected<Error> refuse(std::string_view detail) {
    return fail("bad_request", std::string(detail));
}

Result<void> judge_target(const Http2Head& in, RequestHead& out) {
    if (!is_token(in.method)) return refuse("the method is no token");
    const bool is_connect = in.method == "CONNECT";
    if (is_connect && in.protocol.empty()) return fail("unsupported_method", "CONNECT is not served");
    if (in.scheme != "http" && in.scheme != "https") return refuse("the scheme is neither http nor https");
    if (!is_target_text(in.path)) return refuse(":path is empty or has a character that is not allowed");
    const bool is_server_wide = in.path == "*" && in.method == "OPTIONS";
    if (in.path.front() != '/' && !is_server_wide) return refuse(":path does not begin with /");
    out.method = in.method;
    out.target = out.origin_form = in.path;
    out.protocol = in.protocol;
    return {};
}

// RFC 9113 section 8.3.1: the next server must not be able to route by another name than we do.
Result<void> judge_authority(const Http2Head& in, const ControlFields& control, RequestHead& out) {
    if (!in.authority.empty() && control.host && !iequals(in.authority, *control.host))
        return refuse("Host differs from :authority");
    out.authority = in.authority.empty() ? control.host.value_or(std::string_view()) : in.authority;
    if (out.authority.empty()) return refuse("neither :authority nor Host");
    if (!parse_authority(out.authority)) return refuse(":authority is not host[:port]");
    return {};
}

void judge_framing(const ControlFields& control, bool end, RequestHead& out) {
    out.framing = Framing::none;
    out.content_length = 0;
    if (end) return;
    out.framing = control.content_length ? Framing::length : Framing::chunked;
    out.content_length = control.content_length.value_or(0);
}

}  // namespace

Result<void> read_request(const Http2Head& in, bool end, RequestHead& out) {
    std::vector<Field> fields = std::move(out.fields);
    fields.clear();
    out = {};
    out.major_version = 2;
    out.fields = std::move(fields);
    if (in.is_too_large) return fail("head_too_large", "the head has more bytes or fields than are allowed");
    if (auto target = judge_target(in, out); !target) return target;
    if (!are_valid_fields(in.fields))
        return refuse("a field's name or value has a character that is not allowed");
    ControlFields control;
    out.fields.push_back({"Host", {}});
    for (const Field& field : in.fields) {
        if (const std::string_view problem = control.note(field); !problem.empty()) return refuse(problem);
        if (field.name != "host") out.fields.push_back(field);
    }
    if (auto authority = judge_authority(in, control, out); !authority) return authority;
    out.fields.front().value = out.authority;
    judge_framing(control, end, out);
    out.accepts_trailers = control.accepts_trailers;
    if (!control.expect) return {};
    if (!iequals(*control.expect, "100-continue"))
        return fail("unsupported_expectation", "an expectation other than 100-continue");
    out.expect_continue = true;
    return {};
}

void take_over(RequestHead& head, std::string& text) {
    text.clear();
    std::size_t size = head.method.size() + head.target.size() + head.protocol.size() + head.authority.size();
    for (const Field& field : head.fields) size += field.name.size() + field.value.size();
    text.reserve(size);
    const auto move = [&text](std::string_view& view) {
        const std::size_t at = text.size();
        text.append(view);
        view = std::string_view(text).substr(at);
    };
    move(head.method);
    move(head.target);
    head.origin_form = head.target;
    move(head.protocol);
    move(head.authority);
    for (Field& field : head.fields) {
        move(field.name);
        move(field.value);
    }
    EE_CHECK(text.size() == size);
}

}  // namespace ee::http
