#include "http/http1_request_parser.h"

#include "http/fields.h"
#include "http/target.h"

namespace ee::http {
namespace {

constexpr std::string_view malformed = "bad_request";

tl::unexpected<Error> refuse(std::string_view detail) {
    return fail(std::string(malformed), std::string(detail));
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// RFC 9112 section 3: method SP target SP version, one space each.
Result<void> parse_request_line(std::string_view line, RequestHead& out) {
    const std::size_t method_end = line.find(' ');
    if (method_end == std::string_view::npos) return refuse("the request line has no target");
    const std::size_t target_end = line.find(' ', method_end + 1);
    if (target_end == std::string_view::npos) return refuse("the request line has no version");
    out.method = line.substr(0, method_end);
    out.target = line.substr(method_end + 1, target_end - method_end - 1);
    if (!is_token(out.method)) return refuse("the method is no token");
    if (!is_target_text(out.target))
        return refuse("the target is empty or has a character that is not allowed");

    const std::string_view version = line.substr(target_end + 1);
    if (version.size() != 8 || !version.starts_with("HTTP/") || !is_digit(version[5]) || version[6] != '.' ||
        !is_digit(version[7])) {
        return refuse("the version is not HTTP/DIGIT.DIGIT");
    }
    if (version[5] != '1' || version[7] > '1') {
        return fail("unsupported_version", "neither HTTP/1.1 nor HTTP/1.0: " + std::string(version));
    }
    out.minor_version = version[7] - '0';
    return {};
}

// "http://authority/path": the authority within, and the path and query to forward.
Result<std::string_view> split_absolute_form(RequestHead& out) {
    std::string_view rest = out.target;
    for (const std::string_view scheme : {"http://", "https://"}) {
        if (rest.size() < scheme.size() || !iequals(rest.substr(0, scheme.size()), scheme)) continue;
        rest.remove_prefix(scheme.size());
        const std::size_t end = rest.find_first_of("/?");
        const std::string_view authority = rest.substr(0, end);
        if (end == std::string_view::npos) {
            out.origin_form = "/";
        } else if (rest[end] == '?') {
            return refuse("an absolute target with a query and no path");
        } else {
            out.origin_form = rest.substr(end);
        }
        if (!parse_authority(authority)) return refuse("the target's authority is not host[:port]");
        return authority;
    }
    return refuse("the target is neither a path nor an http or https URI");
}

// RFC 9112 section 3.2. Where the target names a host too, Host must be the same, or the next server
// could route by the other one.
Result<void> judge_target(const ControlFields& control, RequestHead& out) {
    if (out.method == "CONNECT") return fail("unsupported_method", "CONNECT is not served");
    if (control.host && !parse_authority(*control.host)) return refuse("Host is not host[:port]");
    if (!control.host && out.minor_version >= 1) return refuse("no Host in an HTTP/1.1 request");
    out.authority = control.host.value_or(std::string_view());
    if (out.target.front() == '/') {
        out.origin_form = out.target;
        return {};
    }
    if (out.target == "*") {
        if (out.method != "OPTIONS") return refuse("the target * with a method other than OPTIONS");
        out.origin_form = out.target;
        return {};
    }
    const auto authority = split_absolute_form(out);
    if (!authority) return fail(authority.error());
    if (control.host && !iequals(*control.host, *authority))
        return refuse("Host differs from the target's authority");
    out.authority = *authority;
    return {};
}

Result<void> judge_framing(const ControlFields& control, RequestHead& out) {
    using TransferEncoding = ControlFields::TransferEncoding;
    out.framing = Framing::none;
    out.content_length = 0;
    if (control.transfer_encoding != TransferEncoding::absent) {
        // RFC 9112 section 6.1: a 1.0 peer does not know it; its framing cannot be trusted.
        if (out.minor_version == 0) return refuse("Transfer-Encoding in an HTTP/1.0 request");
        if (control.transfer_encoding == TransferEncoding::unsupported) {
            return fail("unsupported_transfer_encoding", "a transfer coding other than chunked");
        }
        out.framing = Framing::chunked;
    } else if (control.content_length) {
        out.framing = Framing::length;
        out.content_length = *control.content_length;
    }
    return {};
}

}  // namespace

RequestParser::RequestParser(const HeadLimits& limits)
    : scanner_({.bytes_max = limits.bytes_max,
                .lines_max = limits.fields_max + 1,
                .may_begin_with_empty_line = true,
                .may_be_empty = false,
                .malformed_code = malformed}) {}

Result<std::size_t> RequestParser::parse(std::string_view buffer, RequestHead& out) {
    auto size = scanner_.scan(buffer);
    if (!size || *size == 0) return size;
    if (auto done = interpret(buffer, out); !done) return fail(std::move(done.error()));
    scanner_.reset();
    return size;
}

Result<void> RequestParser::interpret(std::string_view buffer, RequestHead& out) const {
    if (auto line = parse_request_line(scanner_.line(buffer, 0), out); !line) return line;
    ControlFields control;
    out.fields.clear();
    for (std::size_t i = 1; i < scanner_.line_count(); ++i) {
        Field& field = out.fields.emplace_back();
        std::string_view problem = parse_field_line(scanner_.line(buffer, i), field);
        if (problem.empty()) problem = control.note(field);
        if (!problem.empty()) return refuse(problem);
    }
    if (auto target = judge_target(control, out); !target) return target;
    if (auto framing = judge_framing(control, out); !framing) return framing;
    out.keep_alive = control.keep_alive(out.minor_version);
    out.upgrade = control.connection_upgrade && control.has_upgrade && out.minor_version >= 1;
    out.accepts_trailers = control.accepts_trailers;
    out.expect_continue = false;
    if (control.expect && out.minor_version >= 1) {  // RFC 9110 section 10.1.1: ignored in HTTP/1.0.
        if (!iequals(*control.expect, "100-continue")) {
            return fail("unsupported_expectation", "an expectation other than 100-continue");
        }
        out.expect_continue = true;
    }
    return {};
}

}  // namespace ee::http
