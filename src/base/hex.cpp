#include "base/hex.h"

#include <array>
#include <cstring>

namespace ee {
namespace {

constexpr std::uint8_t invalid = 0xff;

// A table, not comparisons: which kind of digit comes next cannot be guessed.
constexpr auto digit_values = [] {
    std::array<std::uint8_t, 256> table{};
    table.fill(invalid);
    for (std::uint8_t i = 0; i < 10; ++i) table[static_cast<std::uint8_t>('0' + i)] = i;
    for (std::uint8_t i = 0; i < 6; ++i) {
        table[static_cast<std::uint8_t>('a' + i)] = static_cast<std::uint8_t>(10 + i);
        table[static_cast<std::uint8_t>('A' + i)] = static_cast<std::uint8_t>(10 + i);
    }
    return table;
}();

constexpr auto digit_pairs = [] {
    constexpr char digits[] = "0123456789abcdef";
    std::array<std::array<char, 2>, 256> table{};
    for (std::size_t i = 0; i < table.size(); ++i) table[i] = {digits[i >> 4], digits[i & 15]};
    return table;
}();

std::uint8_t digit(char c) {
    return digit_values[static_cast<std::uint8_t>(c)];
}

}  // namespace

void append_hex(std::string& out, ByteSpan bytes) {
    const std::size_t at = out.size();
    out.resize(at + bytes.size() * 2);
    char* to = out.data() + at;
    for (const std::uint8_t byte : bytes) {
        std::memcpy(to, digit_pairs[byte].data(), 2);
        to += 2;
    }
}

std::string to_hex(ByteSpan bytes) {
    std::string out;
    append_hex(out, bytes);
    return out;
}

std::optional<Bytes> from_hex(std::string_view text) {
    if (text.size() % 2 != 0) return std::nullopt;
    Bytes out(text.size() / 2);
    std::uint8_t seen = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
        const std::uint8_t high = digit(text[2 * i]);
        const std::uint8_t low = digit(text[2 * i + 1]);
        seen = static_cast<std::uint8_t>(seen | high | low);
        out[i] = static_cast<std::uint8_t>(high << 4 | (low & 15));
    }
    if ((seen & 0xf0) != 0) return std::nullopt;
    return out;
}

}  // namespace ee
