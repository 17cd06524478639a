#pragma once
// Looking at header fields: names without regard to case, comma-separated lists, and what a proxy must
// not pass on. Nothing here copies.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"

namespace ee::http {

bool iequals_same_size(std::string_view a, std::string_view b);
// ASCII without regard to case, as field names, connection options and codings are compared.
inline bool iequals(std::string_view a, std::string_view b) {
    return a.size() == b.size() && iequals_same_size(a, b);
}

// Whether it begins so, without regard to case.
bool istarts_with(std::string_view text, std::string_view prefix);

// RFC 9110 section 5.6.2.
bool is_token(std::string_view text);
// No control character but HTAB, no space or HTAB at either end (RFC 9110 section 5.5).
bool is_valid_field_value(std::string_view value);
// Whether each may be written, whichever version of HTTP does it.
bool are_valid_fields(std::span<const Field> fields);
inline bool is_control(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
}
// First control character at or after `from`; text.size() when there is none.
std::size_t find_control(std::string_view text, std::size_t from = 0);
// Without spaces and HTABs at the ends.
std::string_view trim_whitespace(std::string_view text);

// The value of the first field so named.
std::optional<std::string_view> find(std::span<const Field> fields, std::string_view name);
std::size_t count(std::span<const Field> fields, std::string_view name);
// What the first Content-Length says; nullopt without one, or when it is no number.
std::optional<std::uint64_t> content_length(std::span<const Field> fields);

// Calls `visit(element)` for each element of a comma-separated list that is not empty, without the
// white space around it (RFC 9110 section 5.6.1). Not for lists with quoted strings.
template <class Visit>
void for_each_token(std::string_view list, Visit&& visit) {
    while (!list.empty()) {
        const std::size_t comma = list.find(',');
        const std::string_view element = trim_whitespace(list.substr(0, comma));
        if (!element.empty()) visit(element);
        if (comma == std::string_view::npos) return;
        list.remove_prefix(comma + 1);
    }
}

// Whether a list, which may span several fields of that name, has the element.
bool has_token(std::span<const Field> fields, std::string_view name, std::string_view token);

// Connection, Keep-Alive, Proxy-*, TE, Transfer-Encoding, Upgrade (RFC 9110 section 7.6.1).
bool is_hop_by_hop(std::string_view name);

// Replaces `out` with the fields a proxy passes on: without the hop-by-hop ones and without those that
// Connection names (Host and Content-Length cannot be named away). "TE: trailers" stays, alone. False,
// with `out` unspecified, when Connection names more than 64 options: refuse the message.
[[nodiscard]] bool copy_end_to_end(std::span<const Field> fields, std::vector<Field>& out);

}  // namespace ee::http
