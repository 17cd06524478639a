#include "http/fields.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace ee::http {
namespace {

constexpr auto token_characters = [] {
    std::array<bool, 256> table{};
    for (const char c : std::string_view("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                         "ABCDEFGHIJKLMNOPQRSTUVWXYZ")) {
        table[static_cast<unsigned char>(c)] = true;
    }
    return table;
}();

constexpr unsigned char lower(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 'A' && byte <= 'Z' ? static_cast<unsigned char>(byte | 0x20) : byte;
}

bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

constexpr std::uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;

std::uint64_t eight_at(const char* text) {
    std::uint64_t bytes;
    std::memcpy(&bytes, text, sizeof bytes);
    return bytes;
}

// lower() of eight characters. Each sum sets the top bit of a byte that is at least 'A', or beyond 'Z'.
std::uint64_t lower_eight(std::uint64_t bytes) {
    const std::uint64_t low = bytes & ~tops;
    const std::uint64_t capitals = (low + ones * (0x80 - 'A')) & ~(low + ones * (0x7f - 'Z')) & ~bytes & tops;
    return bytes | capitals >> 2;
}

// Whether eight characters are letters or '-', as those of most names are: each test sets the top bit of a
// byte that passes it. A character beyond ASCII has that bit, and none passes.
bool eight_are_letters(const char* text) {
    const std::uint64_t bytes = eight_at(text);
    const std::uint64_t folded = (bytes | (ones * 0x20)) & ~tops, dashes = (bytes ^ (ones * '-')) & ~tops;
    const std::uint64_t letters = (folded + ones * (0x80 - 'a')) & ~(folded + ones * (0x7f - 'z'));
    return ((letters | ~(dashes + ones * 0x7f)) & ~bytes & tops) == tops;
}

// The options of all Connection fields. Few, so that a head cannot make the look-up costly.
struct ConnectionOptions {
    std::array<std::string_view, 64> names;
    std::size_t size = 0;
    bool overflow = false;

    void add(std::string_view option) {
        if (size == names.size()) {
            overflow = true;
            return;
        }
        names[size++] = option;
    }
    bool has(std::string_view name) const {
        for (std::size_t i = 0; i < size; ++i) {
            if (iequals(names[i], name)) return true;
        }
        return false;
    }
};

}  // namespace

bool iequals_same_size(std::string_view a, std::string_view b) {
    constexpr std::size_t step = sizeof(std::uint64_t);
    if (a.size() < step) {
        for (std::size_t i = 0; i < a.size(); ++i)
            if (a[i] != b[i] && lower(a[i]) != lower(b[i])) return false;
        return true;
    }
    for (std::size_t i = 0;; i = std::min(i + step, a.size() - step)) {  // The last eight may overlap.
        const std::uint64_t x = eight_at(a.data() + i), y = eight_at(b.data() + i);
        if (x != y && lower_eight(x) != lower_eight(y)) return false;
        if (i + step == a.size()) return true;
    }
}

bool istarts_with(std::string_view text, std::string_view prefix) {
    return iequals(text.substr(0, prefix.size()), prefix);
}

bool is_token(std::string_view text) {
    while (text.size() >= 8 && eight_are_letters(text.data())) {
        if (text.size() == 8) return true;
        text.remove_prefix(std::min<std::size_t>(8, text.size() - 8));  // The last eight may overlap.
    }
    for (const char c : text) {
        if (!token_characters[static_cast<unsigned char>(c)]) return false;
    }
    return !text.empty();
}

std::size_t find_control(std::string_view text, std::size_t from) {
    std::size_t i = from;
#if defined(__SSE2__)
    const __m128i highest_control = _mm_set1_epi8(0x1f);
    const __m128i del = _mm_set1_epi8(0x7f);
    while (i + 16 <= text.size()) {
        __m128i bytes;
        __builtin_memcpy(&bytes, text.data() + i, sizeof bytes);
        const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, highest_control), bytes);
        const int found = _mm_movemask_epi8(_mm_or_si128(low, _mm_cmpeq_epi8(bytes, del)));
        if (found != 0) return i + static_cast<std::size_t>(std::countr_zero(static_cast<unsigned>(found)));
        if (i + 16 == text.size()) return text.size();
        i = std::min(i + 16, text.size() - 16);  // The last sixteen overlap those before.
    }
#endif
    while (i < text.size() && !is_control(text[i])) ++i;
    return i;
}

bool is_valid_field_value(std::string_view value) {
    if (value.empty()) return true;
    if (is_blank(value.front()) || is_blank(value.back())) return false;
    for (std::size_t i = find_control(value); i < value.size(); i = find_control(value, i + 1)) {
        if (value[i] != '\t') return false;
    }
    return true;
}

bool are_valid_fields(std::span<const Field> fields) {
    for (const Field& field : fields)
        if (!is_token(field.name) || !is_valid_field_value(field.value)) return false;
    return true;
}

std::string_view trim_whitespace(std::string_view text) {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

std::optional<std::string_view> find(std::span<const Field> fields, std::string_view name) {
    for (const Field& field : fields) {
        if (iequals(field.name, name)) return field.value;
    }
    return std::nullopt;
}

std::size_t count(std::span<const Field> fields, std::string_view name) {
    std::size_t found = 0;
    for (const Field& field : fields) found += iequals(field.name, name) ? 1 : 0;
    return found;
}

std::optional<std::uint64_t> content_length(std::span<const Field> fields) {
    const auto text = find(fields, "content-length");
    if (!text) return std::nullopt;
    std::uint64_t length = 0;
    const char* end = text->data() + text->size();
    const auto [stop, error] = std::from_chars(text->data(), end, length);
    return error == std::errc{} && stop == end ? std::optional(length) : std::nullopt;
}

bool has_token(std::span<const Field> fields, std::string_view name, std::string_view token) {
    bool found = false;
    for (const Field& field : fields) {
        if (!iequals(field.name, name)) continue;
        for_each_token(field.value,
                       [&](std::string_view element) { found = found || iequals(element, token); });
    }
    return found;
}

bool is_hop_by_hop(std::string_view name) {
    switch (name.size()) {
        case 2: return iequals(name, "te");
        case 7:
            if (iequals(name, "upgrade")) return true;
            break;
        case 10:
            if (iequals(name, "connection") || iequals(name, "keep-alive")) return true;
            break;
        case 17:
            if (iequals(name, "transfer-encoding")) return true;
            break;
        default: break;
    }
    constexpr std::string_view proxy_prefix = "proxy-";
    return name.size() > proxy_prefix.size() && iequals(name.substr(0, proxy_prefix.size()), proxy_prefix);
}

bool copy_end_to_end(std::span<const Field> fields, std::vector<Field>& out) {
    out.clear();
    std::optional<ConnectionOptions> options;  // Few heads have any.
    for (const Field& field : fields) {
        if (!iequals(field.name, "connection")) continue;
        if (!options) options.emplace();
        for_each_token(field.value, [&](std::string_view option) { options->add(option); });
    }
    if (options && options->overflow) return false;

    for (const Field& field : fields) {
        if (is_hop_by_hop(field.name)) continue;
        // Connection must not name end-to-end fields (RFC 9110 section 7.6.1); taking these two away
        // would change where the message goes or ends.
        const bool is_named = options && options->has(field.name);
        if (is_named && !iequals(field.name, "host") && !iequals(field.name, "content-length")) continue;
        out.push_back(field);
    }
    if (has_token(fields, "te", "trailers")) out.push_back({"TE", "trailers"});
    return true;
}

}  // namespace ee::http
