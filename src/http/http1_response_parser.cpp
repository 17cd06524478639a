#include "http/http1_response_parser.h"

#include "http/fields.h"

namespace ee::http {
namespace {

constexpr std::string_view malformed = "bad_response";

tl::unexpected<Error> refuse(std::string_view detail) {
    return fail(std::string(malformed), std::string(detail));
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// RFC 9112 section 4: "HTTP/1.1 200 OK". Servers that have no phrase often leave out the space too.
Result<void> parse_status_line(std::string_view line, ResponseHead& out) {
    constexpr std::size_t code_begin = 9;
    constexpr std::size_t code_end = 12;
    if (line.size() < code_end || !line.starts_with("HTTP/1.") || line[8] != ' ') {
        return refuse("the status line does not begin with HTTP/1.x and a space");
    }
    if (line[7] != '0' && line[7] != '1') return refuse("neither HTTP/1.1 nor HTTP/1.0");
    const std::string_view code = line.substr(code_begin, 3);
    if (!is_digit(code[0]) || !is_digit(code[1]) || !is_digit(code[2]))
        return refuse("the status is not three digits");
    out.status = (code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0');
    if (out.status < 100 || out.status > 599) return refuse("the status is not within 100-599");
    if (line.size() > code_end && line[code_end] != ' ') return refuse("no space behind the status");
    out.minor_version = line[7] - '0';
    out.reason = line.size() > code_end ? line.substr(code_end + 1) : std::string_view();
    return {};
}

// RFC 9112 section 6.3, and refusals where it leaves the end of the body to guesses.
Result<void> judge_framing(const ControlFields& control, AskedMethod asked, ResponseHead& out) {
    using TransferEncoding = ControlFields::TransferEncoding;
    const bool coded = control.transfer_encoding != TransferEncoding::absent;
    out.framing = Framing::none;
    out.content_length = 0;
    if (coded && out.minor_version == 0) return refuse("Transfer-Encoding in an HTTP/1.0 response");
    if (control.transfer_encoding == TransferEncoding::unsupported) {
        return refuse("a transfer coding other than chunked");
    }
    // Their bytes would be taken for the next response by one reader and for a body by another.
    const bool never_has_body = out.status < 200 || out.status == 204;
    if (never_has_body && (coded || control.content_length.value_or(0) > 0)) {
        return refuse("a body announced with a status that has none");
    }
    if (never_has_body || out.status == 304 || asked == AskedMethod::head) return {};
    if (asked == AskedMethod::connect && out.status < 300) return {};
    if (coded) {
        out.framing = Framing::chunked;
    } else if (control.content_length) {
        out.framing = Framing::length;
        out.content_length = *control.content_length;
    } else {
        out.framing = Framing::until_close;
    }
    return {};
}

}  // namespace

AskedMethod asked_method(std::string_view method) {
    if (method == "HEAD") return AskedMethod::head;
    if (method == "CONNECT") return AskedMethod::connect;
    return AskedMethod::other;
}

ResponseParser::ResponseParser(const HeadLimits& limits)
    : scanner_({.bytes_max = limits.bytes_max,
                .lines_max = limits.fields_max + 1,
                .may_begin_with_empty_line = false,
                .may_be_empty = false,
                .malformed_code = malformed}) {}

Result<std::size_t> ResponseParser::parse(std::string_view buffer, AskedMethod asked, ResponseHead& out) {
    auto size = scanner_.scan(buffer);
    if (!size || *size == 0) return size;
    if (auto done = interpret(buffer, asked, out); !done) return fail(std::move(done.error()));
    scanner_.reset();
    return size;
}

Result<void> ResponseParser::interpret(std::string_view buffer, AskedMethod asked, ResponseHead& out) const {
    if (auto line = parse_status_line(scanner_.line(buffer, 0), out); !line) return line;
    ControlFields control;
    out.fields.clear();
    for (std::size_t i = 1; i < scanner_.line_count(); ++i) {
        Field& field = out.fields.emplace_back();
        std::string_view problem = parse_field_line(scanner_.line(buffer, i), field);
        if (problem.empty()) problem = control.note(field);
        if (!problem.empty()) return refuse(problem);
    }
    if (auto framing = judge_framing(control, asked, out); !framing) return framing;
    out.keep_alive = control.keep_alive(out.minor_version) && out.framing != Framing::until_close;
    out.upgrade = control.connection_upgrade && control.has_upgrade;
    return {};
}

}  // namespace ee::http
