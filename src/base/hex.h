#pragma once
// Hexadecimal, lower case out, either case in.

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace ee {

std::string to_hex(ByteSpan bytes);
void append_hex(std::string& out, ByteSpan bytes);

// nullopt for an odd length or a character outside [0-9a-fA-F].
std::optional<Bytes> from_hex(std::string_view text);

// Exactly N bytes, or nullopt.
template <std::size_t N>
std::optional<ByteArray<N>> from_hex_exact(std::string_view text) {
    const auto bytes = from_hex(text);
    if (!bytes || bytes->size() != N) return std::nullopt;
    ByteArray<N> out;
    std::copy(bytes->begin(), bytes->end(), out.begin());
    return out;
}

}  // namespace ee
