#include "base/base64.h"

namespace ee {
namespace {

constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t invalid = 0xff;

constexpr auto values = [] {
    std::array<std::uint8_t, 256> table{};
    table.fill(invalid);
    for (std::uint8_t i = 0; i < 64; ++i) table[static_cast<std::uint8_t>(alphabet[i])] = i;
    return table;
}();

// Two characters for each 12-bit group: half the look-ups of a table of 64.
constexpr auto pairs = [] {
    std::array<std::array<char, 2>, 4096> table{};
    for (std::size_t i = 0; i < 4096; ++i) table[i] = {alphabet[i >> 6], alphabet[i & 63]};
    return table;
}();

void encode(char* out, ByteSpan bytes) {
    std::size_t i = 0;
    for (; i + 3 <= bytes.size(); i += 3, out += 4) {
        const std::uint32_t group =
            std::uint32_t{bytes[i]} << 16 | std::uint32_t{bytes[i + 1]} << 8 | bytes[i + 2];
        std::memcpy(out, pairs[group >> 12].data(), 2);
        std::memcpy(out + 2, pairs[group & 4095].data(), 2);
    }
    const std::size_t rest = bytes.size() - i;
    if (rest == 0) return;
    const std::uint32_t group =
        std::uint32_t{bytes[i]} << 16 | (rest == 2 ? std::uint32_t{bytes[i + 1]} << 8 : 0);
    out[0] = alphabet[group >> 18];
    out[1] = alphabet[group >> 12 & 63];
    out[2] = rest == 2 ? alphabet[group >> 6 & 63] : '=';
    out[3] = '=';
}

// Bytes that `text` decodes to, or nullopt when its length or padding cannot be right.
std::optional<std::size_t> decoded_size(std::string_view text) {
    if (text.size() % 4 != 0) return std::nullopt;
    if (text.empty()) return 0;
    std::size_t padding = 0;
    if (text[text.size() - 1] == '=') padding = text[text.size() - 2] == '=' ? 2 : 1;
    return text.size() / 4 * 3 - padding;
}

bool decode(std::uint8_t* out, std::string_view text, std::size_t size) {
    const std::size_t whole = size / 3;
    const auto value = [&](std::size_t i) { return values[static_cast<std::uint8_t>(text[i])]; };
    std::uint8_t seen = 0;
    for (std::size_t group = 0; group < whole; ++group) {
        const std::size_t i = group * 4;
        const std::uint8_t a = value(i), b = value(i + 1), c = value(i + 2), d = value(i + 3);
        seen = static_cast<std::uint8_t>(seen | a | b | c | d);
        out[0] = static_cast<std::uint8_t>(a << 2 | b >> 4);
        out[1] = static_cast<std::uint8_t>(b << 4 | c >> 2);
        out[2] = static_cast<std::uint8_t>(c << 6 | d);
        out += 3;
    }
    if (seen & 0xc0) return false;
    const std::size_t rest = size - whole * 3;
    if (rest == 0) return true;
    const std::size_t i = whole * 4;
    const std::uint8_t a = value(i), b = value(i + 1);
    const std::uint8_t c = rest == 2 ? value(i + 2) : std::uint8_t{0};
    if ((a | b | c) & 0xc0) return false;
    const std::uint8_t spare =
        rest == 2 ? static_cast<std::uint8_t>(c & 3) : static_cast<std::uint8_t>(b & 15);
    if (spare != 0) return false;
    out[0] = static_cast<std::uint8_t>(a << 2 | b >> 4);
    if (rest == 2) out[1] = static_cast<std::uint8_t>(b << 4 | c >> 2);
    return true;
}

}  // namespace

void append_base64(std::string& out, ByteSpan bytes) {
    const std::size_t start = out.size();
    out.resize(start + base64_size(bytes.size()));
    encode(out.data() + start, bytes);
}

std::string to_base64(ByteSpan bytes) {
    std::string out;
    append_base64(out, bytes);
    return out;
}

bool append_from_base64(std::string& out, std::string_view text) {
    const auto size = decoded_size(text);
    if (!size) return false;
    const std::size_t start = out.size();
    out.resize(start + *size);
    if (decode(reinterpret_cast<std::uint8_t*>(out.data()) + start, text, *size)) return true;
    out.resize(start);
    return false;
}

std::optional<Bytes> from_base64(std::string_view text) {
    const auto size = decoded_size(text);
    if (!size) return std::nullopt;
    Bytes out(*size);
    if (!decode(out.data(), text, *size)) return std::nullopt;
    return out;
}

}  // namespace ee
