#include "base/utf8.h"

#include <cstdint>
#include <cstring>

namespace ee {

std::size_t utf8_sequence_length(std::string_view text) {
    const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const auto continues = [&](std::size_t i) { return i < text.size() && (at(i) & 0xc0) == 0x80; };
    if (text.empty()) return 0;
    const unsigned char first = at(0);
    if (first < 0x80) return 1;
    if (first < 0xc2) return 0;  // A continuation byte, or an overlong two-byte form.
    if (first < 0xe0) return continues(1) ? 2 : 0;
    if (first < 0xf0) {
        if (!continues(1) || !continues(2)) return 0;
        if (first == 0xe0 && at(1) < 0xa0) return 0;   // Overlong.
        if (first == 0xed && at(1) >= 0xa0) return 0;  // Surrogate.
        return 3;
    }
    if (first > 0xf4 || !continues(1) || !continues(2) || !continues(3)) return 0;
    if (first == 0xf0 && at(1) < 0x90) return 0;   // Overlong.
    if (first == 0xf4 && at(1) >= 0x90) return 0;  // Past U+10FFFF.
    return 4;
}

bool is_utf8(std::string_view text) {
    std::size_t i = 0;
    while (i < text.size()) {
        // Eight ASCII bytes at a time: most text is.
        std::uint64_t word;
        if (i + sizeof word <= text.size()) {
            std::memcpy(&word, text.data() + i, sizeof word);
            if ((word & 0x8080808080808080ULL) == 0) {
                i += sizeof word;
                continue;
            }
        }
        const std::size_t length = utf8_sequence_length(text.substr(i));
        if (length == 0) return false;
        i += length;
    }
    return true;
}

}  // namespace ee
