#pragma once
// Numbers as bytes, the most significant first: so keys sort, and so the ledger's leaves and most of what
// crosses the network are written.

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/check.h"

namespace ee {

// The lowest N bytes of `number`.
template <std::size_t N>
constexpr ByteArray<N> big_endian(std::uint64_t number) {
    static_assert(N <= sizeof(number));
    ByteArray<N> out{};
    for (std::size_t i = 0; i < N; ++i) out[i] = static_cast<std::uint8_t>(number >> 8 * (N - 1 - i));
    return out;
}

template <std::size_t N>
void append_big_endian(std::string& out, std::uint64_t number) {
    static_assert(0 < N && N <= sizeof(number) && std::endian::native == std::endian::little);
    const std::uint64_t swapped = __builtin_bswap64(number << 8 * (sizeof(number) - N));
    out.append(reinterpret_cast<const char*>(&swapped), N);
}

// Of more than 8 bytes the last 8 count.
constexpr std::uint64_t from_big_endian(ByteSpan bytes) {
    std::uint64_t number = 0;
    for (const std::uint8_t byte : bytes) number = number << 8 | byte;
    return number;
}

// The number in the first N of `bytes`, which are at least as many.
template <std::size_t N>
std::uint64_t big_endian_at(std::string_view bytes) {
    static_assert(0 < N && N <= sizeof(std::uint64_t) && std::endian::native == std::endian::little);
    std::uint64_t swapped = 0;
    std::memcpy(&swapped, bytes.data(), N);
    return __builtin_bswap64(swapped) >> 8 * (sizeof(swapped) - N);
}

// `bytes`, and before them how many there are, in 4 bytes.
inline void append_counted(std::string& out, std::string_view bytes) {
    EE_CHECK(bytes.size() <= UINT32_MAX);
    append_big_endian<4>(out, bytes.size());
    out.append(bytes);
}

// What append_counted() has put at the beginning of `rest`; `rest` is what follows it then. nullopt: `rest`
// ends before.
inline std::optional<std::string_view> take_counted(std::string_view& rest) {
    constexpr std::size_t count_bytes = 4;
    if (rest.size() < count_bytes) return std::nullopt;
    const std::uint64_t size = big_endian_at<count_bytes>(rest);
    if (rest.size() - count_bytes < size) return std::nullopt;
    const std::string_view taken = rest.substr(count_bytes, size);
    rest.remove_prefix(count_bytes + size);
    return taken;
}

}  // namespace ee
