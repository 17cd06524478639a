#include "base/json_writer.h"

#include <array>
#include <cstring>

#include "base/utf8.h"

namespace ee {
namespace {

// 0: copy as is; 'u': \u00XX; 1: start of a multi-byte sequence; else the letter after the backslash.
constexpr auto escapes = [] {
    std::array<char, 256> table{};
    for (int i = 0; i < 0x20; ++i) table[static_cast<std::size_t>(i)] = 'u';
    table['"'] = '"';
    table['\\'] = '\\';
    table['\b'] = 'b';
    table['\f'] = 'f';
    table['\n'] = 'n';
    table['\r'] = 'r';
    table['\t'] = 't';
    for (std::size_t i = 0x80; i < 256; ++i) table[i] = 1;
    return table;
}();

// Whether none of eight characters has an entry above: each test leaves the top bit of a byte that has one.
bool eight_are_plain(const char* text) {
    constexpr std::uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;
    std::uint64_t bytes;
    std::memcpy(&bytes, text, sizeof bytes);
    const std::uint64_t quotes = bytes ^ (ones * '"'), backslashes = bytes ^ (ones * '\\');
    return ((bytes | (bytes - ones * 0x20) | (quotes - ones) | (backslashes - ones)) & tops) == 0;
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
    constexpr char digits[] = "0123456789abcdef";
    std::size_t i = 0;
    while (i + 8 <= text.size() && eight_are_plain(text.data() + i)) i += 8;
    while (i < text.size() && escapes[static_cast<unsigned char>(text[i])] == 0) ++i;
    if (i == text.size()) {  // Most.
        const std::size_t at = out.size();
        out.resize(at + text.size() + 2);
        out[at] = '"';
        text.copy(out.data() + at + 1, text.size());
        out.back() = '"';
        return;
    }
    out.push_back('"');
    std::size_t start = 0;
    while (i < text.size()) {
        const auto byte = static_cast<unsigned char>(text[i]);
        const char escape = escapes[byte];
        if (escape == 0) {
            ++i;
            continue;
        }
        if (escape == 1) {
            const std::size_t length = utf8_sequence_length(text.substr(i));
            if (length != 0) {
                i += length;
                continue;
            }
        }
        out.append(text, start, i - start);
        if (escape == 1) {
            out.append("\xef\xbf\xbd");
        } else if (escape == 'u') {
            const char code[] = {'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15]};
            out.append(code, sizeof code);
        } else {
            out.push_back('\\');
            out.push_back(escape);
        }
        start = ++i;
    }
    out.append(text, start, i - start);
    out.push_back('"');
}

}  // namespace ee
