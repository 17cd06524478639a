#pragma once
// What an agent claims about itself: an object of strings, booleans and nulls, ordered and written as
// RFC 8785 (JSON Canonicalization Scheme) asks, so that both ends hash the same bytes.

#include <map>
#include <string>
#include <string_view>
#include <variant>

namespace ee {

// RFC 8785 section 3.2.3: keys are compared as UTF-16 code units.
struct Utf16Less {
    using is_transparent = void;
    bool operator()(std::string_view a, std::string_view b) const;
};

using Claim = std::variant<std::nullptr_t, bool, std::string>;
using Claims = std::map<std::string, Claim, Utf16Less>;

// Keys and strings must be valid UTF-8 (parsers guarantee it).
std::string canonical_json(const Claims& claims);

}  // namespace ee
