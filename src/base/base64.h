#pragma once
// Base64 (RFC 4648 section 4), strict: standard alphabet, padding required, no line breaks, zero spare bits.

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace ee {

constexpr std::size_t base64_size(std::size_t bytes) {
    return (bytes + 2) / 3 * 4;
}

std::string to_base64(ByteSpan bytes);
// Appends without an intermediate string: the hot path of tunnel v1.
void append_base64(std::string& out, ByteSpan bytes);

std::optional<Bytes> from_base64(std::string_view text);
// Appends the decoded bytes; on bad input `out` is left as it was and the answer is false.
bool append_from_base64(std::string& out, std::string_view text);

}  // namespace ee
