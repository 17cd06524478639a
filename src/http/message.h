#pragma once
// Heads of HTTP messages (RFC 9110, RFC 9112) as views into the buffer that was parsed. Owners of that
// buffer keep it alive and in place for as long as they use the head.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ee::http {

struct Field {
    std::string_view name;  // As sent: compare with iequals().
    std::string_view value;

    friend bool operator==(const Field&, const Field&) = default;
};

struct OwnedField {
    std::string name;
    std::string value;

    friend bool operator==(const OwnedField&, const OwnedField&) = default;
    operator Field() const { return {name, value}; }
};

// How the end of a body is found (RFC 9112 section 6.3).
enum class Framing { none, length, chunked, until_close };

struct HeadLimits {
    std::size_t bytes_max = 64 * 1024;  // Start line, fields and the empty line.
    std::size_t fields_max = 200;
};

struct RequestHead {
    int major_version = 1;  // 1 or 2.
    std::string_view method;
    std::string_view target;       // As sent.
    std::string_view origin_form;  // Path and query, also of an absolute-form target; "*" for OPTIONS *.
    std::string_view authority;    // The valid Host; empty only for HTTP/1.0 without one.
    int minor_version = 1;         // 0 or 1; of HTTP/2 it means nothing.
    std::vector<Field> fields;
    std::string_view protocol;         // Of an extended CONNECT (RFC 8441).
    Framing framing = Framing::none;   // HTTP/2: `chunked` stands for a body of unknown length.
    std::uint64_t content_length = 0;  // When framing is length.
    bool keep_alive = true;
    bool expect_continue = false;
    bool upgrade = false;           // An Upgrade field that Connection names.
    bool accepts_trailers = false;  // TE: trailers

    bool has_body() const { return framing == Framing::chunked || content_length > 0; }
    // Of memory, with a copy of its text.
    std::size_t held_with(const std::string& text) const {
        return text.size() + fields.size() * sizeof(Field);
    }

    friend bool operator==(const RequestHead&, const RequestHead&) = default;
};

struct ResponseHead {
    int status = 0;
    std::string_view reason;
    int minor_version = 1;
    std::vector<Field> fields;
    Framing framing = Framing::none;
    std::uint64_t content_length = 0;  // When framing is length.
    bool keep_alive = true;
    bool upgrade = false;  // An Upgrade field that Connection names.

    // 1xx but 101: another head of the same exchange follows.
    bool interim() const { return status >= 100 && status < 200 && status != 101; }

    friend bool operator==(const ResponseHead&, const ResponseHead&) = default;
};

// RFC 9110 section 6.4.1: some answers never have a body.
constexpr bool status_has_body(int status) {
    return status >= 200 && status != 204 && status != 304;
}

// body_too_large; `bytes` when the size is known.
Error body_too_large(std::optional<std::uint64_t> bytes, std::uint64_t bytes_max);

// overloaded: what waits holds all the memory there is for bodies.
Error no_room_for_body();

// The status that answers a request refused by a codec of this folder: 400, 413, 417, 426, 431, 501 or
// 505; 400 for a code it does not know.
int refusal_status(std::string_view code);

}  // namespace ee::http
