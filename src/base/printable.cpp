#include "base/printable.h"

#include <algorithm>
#include <cstddef>

#include "base/utf8.h"

namespace ee {
namespace {

using namespace std::string_view_literals;

// From the first to the last; UTF-8 orders characters as their numbers do.
struct Characters {
    std::string_view first;
    std::string_view last;
};
constexpr Characters not_shown[] = {
    {"\0"sv, "\x1f"sv},        // C0
    {"\x7f"sv, "\xc2\x9f"sv},  // DEL and C1, to U+009F
    {"\u061c"sv, "\u061c"sv},  // the Arabic letter mark
    {"\u200e"sv, "\u200f"sv},  // left-to-right and right-to-left mark
    {"\u202a"sv, "\u202e"sv},  // embeddings and overrides
    {"\u2066"sv, "\u2069"sv},  // isolates
};

bool is_shown(std::string_view character) {
    return std::ranges::none_of(not_shown, [character](const Characters& range) {
        return range.first <= character && character <= range.last;
    });
}

}  // namespace

std::string printable(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const std::size_t length = utf8_sequence_length(text);
        const std::string_view character = text.substr(0, std::max<std::size_t>(length, 1));
        if (length != 0 && is_shown(character))
            out += character;
        else
            out += '?';
        text.remove_prefix(character.size());
    }
    return out;
}

}  // namespace ee
