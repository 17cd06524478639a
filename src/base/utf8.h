#pragma once
// UTF-8 validity (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF).

#include <cstddef>
#include <string_view>

namespace ee {

// Length of the valid sequence at the start of `text`, 0 when there is none.
std::size_t utf8_sequence_length(std::string_view text);

bool is_utf8(std::string_view text);

}  // namespace ee
