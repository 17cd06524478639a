#include "http/body_decoder.h"

#include <algorithm>
#include <limits>

#include "http/fields.h"

namespace ee::http {
namespace {

constexpr std::size_t trailer_bytes_max = 8 * 1024;
constexpr std::size_t trailer_fields_max = 200;
constexpr std::size_t extension_bytes_max = 256;
// A body of one-byte chunks with full extensions would cost 256 times its size to read.
constexpr std::size_t extension_bytes_all_max = 16 * 1024;
constexpr unsigned size_digits_max = 16;
constexpr std::uint64_t chunk_size_max = std::numeric_limits<std::int64_t>::max();

constexpr std::string_view bad_chunk = "bad_chunk";
constexpr std::string_view bad_trailer = "bad_trailer";

tl::unexpected<Error> refuse(std::string_view code, std::string_view detail) {
    return fail(std::string(code), std::string(detail));
}

std::optional<unsigned> hex_digit(char c) {
    if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
    if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
    return std::nullopt;
}

// RFC 9110 section 6.5.1: fields that frame or route a message come too late in its trailers.
bool is_forbidden_trailer(std::string_view name) {
    constexpr std::string_view forbidden[] = {"content-length",   "host",         "trailer",
                                              "content-encoding", "content-type", "content-range"};
    if (is_hop_by_hop(name)) return true;
    return std::any_of(std::begin(forbidden), std::end(forbidden),
                       [&](std::string_view other) { return iequals(name, other); });
}

}  // namespace

BodyDecoder::BodyDecoder(Framing framing, std::uint64_t length)
    : state_(State::done),
      chunked_(framing == Framing::chunked),
      trailer_scanner_({.bytes_max = trailer_bytes_max,
                        .lines_max = trailer_fields_max,
                        .may_begin_with_empty_line = false,
                        .may_be_empty = true,
                        .malformed_code = bad_trailer}) {
    if (chunked_) {
        state_ = State::size;
    } else if (framing == Framing::until_close) {
        state_ = State::until_close;
    } else if (framing == Framing::length && length > 0) {
        state_ = State::data;
        remaining_ = length;
    }
}

Result<BodyDecoder::Step> BodyDecoder::next(std::string_view input) {
    if (state_ == State::done) return Step{.consumed = 0, .data = {}, .done = true};
    if (state_ == State::until_close) return Step{.consumed = input.size(), .data = input};
    std::size_t i = 0;
    while (i < input.size()) {
        if (state_ == State::data) {
            const std::size_t size = std::min<std::uint64_t>(remaining_, input.size() - i);
            Step step{.consumed = i + size, .data = input.substr(i, size)};
            remaining_ -= size;
            if (remaining_ == 0) state_ = chunked_ ? State::data_cr : State::done;
            step.done = state_ == State::done;
            return step;
        }
        if (state_ == State::trailers) return trailer_section(input.substr(i), i);
        if (auto line = chunk_line(input[i]); !line) return fail(std::move(line.error()));
        ++i;
    }
    return Step{.consumed = i, .data = {}};
}

// RFC 9112 section 7.1: chunk-size [ chunk-ext ] CRLF chunk-data CRLF, one byte at a time but the data.
Result<void> BodyDecoder::chunk_line(char c) {
    switch (state_) {
        case State::data_cr:
            if (c != '\r') return refuse(bad_chunk, "the chunk's data is longer than its size");
            state_ = State::data_lf;
            return {};
        case State::data_lf:
            if (c != '\n') return refuse(bad_chunk, "CR without LF behind the chunk's data");
            state_ = State::size;
            size_digits_ = 0;
            remaining_ = 0;
            return {};
        case State::size:
            if (const auto digit = hex_digit(c)) {
                if (++size_digits_ > size_digits_max)
                    return refuse(bad_chunk, "the chunk size has over 16 digits");
                if (remaining_ > (chunk_size_max >> 4))
                    return refuse(bad_chunk, "the chunk size is over 2^63-1");
                remaining_ = remaining_ << 4 | *digit;
                return {};
            }
            if (size_digits_ == 0) return refuse(bad_chunk, "the chunk size is not hexadecimal");
            state_ = State::extension;
            extension_bytes_ = 0;
            extension_named_ = false;
            [[fallthrough]];
        case State::extension:
            if (c == '\r') {
                if (extension_bytes_ > 0 && !extension_named_) {
                    return refuse(bad_chunk, "white space behind the chunk size");
                }
                state_ = State::size_lf;
                return {};
            }
            if (c != '\t' && is_control(c)) return refuse(bad_chunk, "a control character in the chunk line");
            if (c == ';') extension_named_ = true;
            if (!extension_named_ && c != ' ' && c != '\t') {
                return refuse(bad_chunk, "the chunk size is not hexadecimal");
            }
            if (++extension_bytes_ > extension_bytes_max ||
                ++extension_bytes_all_ > extension_bytes_all_max) {
                return refuse(bad_chunk, "the chunk extensions are too long");
            }
            return {};
        default:
            if (c != '\n') return refuse(bad_chunk, "CR without LF behind the chunk size");
            state_ = remaining_ > 0 ? State::data : State::trailers;
            return {};
    }
}

Result<BodyDecoder::Step> BodyDecoder::trailer_section(std::string_view input, std::size_t consumed) {
    // Nearly always there are none: nothing to keep then.
    if (trailer_text_.empty() && input.starts_with("\r\n")) {
        state_ = State::done;
        return Step{.consumed = consumed + 2, .data = {}, .done = true};
    }
    const std::size_t before = trailer_text_.size();
    const std::size_t taken = std::min(input.size(), trailer_bytes_max - before);
    trailer_text_.append(input.substr(0, taken));
    const auto size = trailer_scanner_.scan(trailer_text_);
    if (!size) {
        if (size.error().code == bad_trailer) return fail(size.error());
        return refuse("trailers_too_large", "the trailers are over 8 KiB or over 200 fields");
    }
    if (*size == 0) return Step{.consumed = consumed + taken, .data = {}};

    for (std::size_t i = 0; i < trailer_scanner_.line_count(); ++i) {
        Field& field = trailers_.emplace_back();
        const std::string_view problem = parse_field_line(trailer_scanner_.line(trailer_text_, i), field);
        if (!problem.empty()) return refuse(bad_trailer, problem);
        if (is_forbidden_trailer(field.name))
            return refuse(bad_trailer, "a field that may not be in trailers");
    }
    state_ = State::done;
    return Step{.consumed = consumed + *size - before, .data = {}, .done = true};
}

Result<void> BodyDecoder::finish() {
    if (state_ == State::until_close) state_ = State::done;
    if (state_ == State::done) return {};
    return fail("body_truncated", "the connection closed before the end of the body");
}

}  // namespace ee::http
