#include "http/head_scanner.h"

#include <limits>

#include "base/check.h"
#include "http/fields.h"

namespace ee::http {
namespace {

// Content-Length = 1*DIGIT, at most 2^63-1 so that sums of two lengths cannot overflow.
std::optional<std::uint64_t> parse_length(std::string_view text) {
    constexpr std::uint64_t length_max = std::numeric_limits<std::int64_t>::max();
    if (text.empty()) return std::nullopt;
    std::uint64_t value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        const auto digit = static_cast<std::uint64_t>(c - '0');
        if (value > (length_max - digit) / 10) return std::nullopt;
        value = value * 10 + digit;
    }
    return value;
}

// Empty when the value is well-formed: codings that end in the one "chunked".
std::string_view judge_transfer_encoding(std::string_view value, ControlFields::TransferEncoding& out) {
    constexpr std::string_view malformed = "Transfer-Encoding is not a list that ends in the one chunked";
    if (iequals(value, "chunked")) {
        out = ControlFields::TransferEncoding::chunked;
        return {};
    }
    const std::size_t comma = value.rfind(',');
    if (comma == std::string_view::npos) return malformed;
    if (!iequals(trim_whitespace(value.substr(comma + 1)), "chunked")) return malformed;
    bool wrong = false;
    std::size_t codings = 0;
    for_each_token(value.substr(0, comma), [&](std::string_view coding) {
        wrong = wrong || !is_token(coding) || iequals(coding, "chunked") || iequals(coding, "identity");
        ++codings;
    });
    if (wrong || codings == 0) return malformed;
    out = ControlFields::TransferEncoding::unsupported;
    return {};
}

}  // namespace

void HeadScanner::reset() {
    lines_.clear();
    scanned_ = 0;
    line_begin_ = 0;
    skipped_empty_line_ = false;
}

Result<void> HeadScanner::end_line(std::size_t end, bool& complete) {
    if (end == line_begin_) {
        if (!lines_.empty() || rules_.may_be_empty) {
            complete = true;
        } else if (rules_.may_begin_with_empty_line && !skipped_empty_line_) {
            skipped_empty_line_ = true;
        } else {
            return fail(std::string(rules_.malformed_code), "the start line is empty");
        }
        return {};
    }
    if (lines_.size() == rules_.lines_max) {
        return fail("too_many_fields", "more fields than the limit allows");
    }
    lines_.push_back({static_cast<std::uint32_t>(line_begin_), static_cast<std::uint32_t>(end)});
    return {};
}

Result<std::size_t> HeadScanner::scan(std::string_view buffer) {
    EE_CHECK(buffer.size() >= scanned_);
    const std::string_view text = buffer.substr(0, rules_.bytes_max);
    const auto malformed = [&](const char* detail) {
        return fail(std::string(rules_.malformed_code), detail);
    };
    std::size_t i = scanned_;
    while (true) {
        i = find_control(text, i);
        if (i == text.size()) break;
        const char c = text[i];
        if (c == '\t') {
            ++i;
            continue;
        }
        if (c == '\n') return malformed("a line ends in LF without CR");
        if (c != '\r') return malformed("a control character in the head");
        if (i + 1 == text.size()) break;  // Its LF is still to come.
        if (text[i + 1] != '\n') return malformed("CR without LF in the head");
        bool complete = false;
        if (auto ended = end_line(i, complete); !ended) return fail(std::move(ended.error()));
        i += 2;
        line_begin_ = i;
        if (complete) return i;
    }
    scanned_ = i;
    if (buffer.size() >= rules_.bytes_max) {
        return fail("head_too_large",
                    "the head does not end within " + std::to_string(rules_.bytes_max) + " bytes");
    }
    return std::size_t{0};
}

std::string_view parse_field_line(std::string_view line, Field& out) {
    if (line.front() == ' ' || line.front() == '\t') return "a folded field line (obs-fold)";
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return "a field line without a colon";
    const std::string_view name = line.substr(0, colon);
    if (name.empty()) return "an empty field name";
    if (name.back() == ' ' || name.back() == '\t') return "white space before the colon of a field line";
    if (!is_token(name)) return "a field name that is no token";
    out.name = name;
    out.value = trim_whitespace(line.substr(colon + 1));
    return {};
}

std::string_view ControlFields::note(const Field& field) {
    switch (field.name.size()) {
        case 2:
            if (!iequals(field.name, "te")) break;
            for_each_token(field.value, [&](std::string_view coding) {
                accepts_trailers = accepts_trailers || iequals(coding, "trailers");
            });
            break;
        case 4:
            if (!iequals(field.name, "host")) break;
            if (host) return "more than one Host";
            host = field.value;
            break;
        case 6:
            if (!iequals(field.name, "expect")) break;
            if (expect) return "more than one Expect";
            expect = field.value;
            break;
        case 7:
            if (iequals(field.name, "upgrade")) has_upgrade = true;
            break;
        case 10:
            if (!iequals(field.name, "connection")) break;
            for_each_token(field.value, [&](std::string_view option) {
                connection_close = connection_close || iequals(option, "close");
                connection_keep_alive = connection_keep_alive || iequals(option, "keep-alive");
                connection_upgrade = connection_upgrade || iequals(option, "upgrade");
            });
            break;
        case 14:
            if (!iequals(field.name, "content-length")) break;
            if (content_length) return "more than one Content-Length";
            content_length = parse_length(field.value);
            if (!content_length) return "Content-Length is not a number of digits up to 2^63-1";
            break;
        case 17:
            if (!iequals(field.name, "transfer-encoding")) break;
            if (transfer_encoding != TransferEncoding::absent) return "more than one Transfer-Encoding";
            if (const auto problem = judge_transfer_encoding(field.value, transfer_encoding);
                !problem.empty()) {
                return problem;
            }
            break;
        default: break;
    }
    if (content_length && transfer_encoding != TransferEncoding::absent) {
        return "both Content-Length and Transfer-Encoding";
    }
    return {};
}

}  // namespace ee::http
