#pragma once
// Header fields of proxied requests and answers.

#include <string>
#include <string_view>
#include <vector>

namespace ee::protocol {

struct HeaderField {
    std::string name;
    std::string value;

    friend bool operator==(const HeaderField&, const HeaderField&) = default;
};
using HeaderFields = std::vector<HeaderField>;

// Borrows both strings.
struct HeaderView {
    std::string_view name;
    std::string_view value;
};

// RFC 9110 section 5.6.2: one or more token characters.
bool is_token(std::string_view text);

// No CR, LF or NUL: the characters that could start another field or end the head.
bool is_field_value(std::string_view text);

// Field names compare without regard to case (RFC 9110 section 5.1).
bool same_field_name(std::string_view a, std::string_view b);

}  // namespace ee::protocol
