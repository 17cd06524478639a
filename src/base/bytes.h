#pragma once
// Byte sequences, and a reader over untrusted ones that cannot run past the end.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ee {

using Bytes = std::vector<std::uint8_t>;
using ByteSpan = std::span<const std::uint8_t>;
template <std::size_t N>
using ByteArray = std::array<std::uint8_t, N>;

inline ByteSpan as_bytes(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteSpan bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Bytes to_bytes(ByteSpan bytes) {
    return {bytes.begin(), bytes.end()};
}

inline bool all_zero(ByteSpan bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t b) { return b == 0; });
}

// Compares secrets: the time taken depends on the lengths only.
bool constant_time_equal(ByteSpan a, ByteSpan b);

// Reads little-endian integers and slices from a buffer it does not own. Every take checks what is left
// first; after a failed take the reader is unchanged.
class ByteReader {
public:
    explicit ByteReader(ByteSpan bytes) : bytes_(bytes) {}

    std::size_t remaining() const { return bytes_.size() - offset_; }
    std::size_t offset() const { return offset_; }

    std::optional<ByteSpan> take(std::size_t count) {
        if (count > remaining()) return std::nullopt;
        const ByteSpan slice = bytes_.subspan(offset_, count);
        offset_ += count;
        return slice;
    }

    template <std::size_t N>
    std::optional<ByteArray<N>> take_array() {
        const auto slice = take(N);
        if (!slice) return std::nullopt;
        ByteArray<N> out;
        std::copy(slice->begin(), slice->end(), out.begin());
        return out;
    }

    std::optional<std::uint16_t> take_u16() { return take_little_endian<std::uint16_t>(); }
    std::optional<std::uint32_t> take_u32() { return take_little_endian<std::uint32_t>(); }
    std::optional<std::uint64_t> take_u64() { return take_little_endian<std::uint64_t>(); }

private:
    template <class T>
    std::optional<T> take_little_endian() {
        const auto slice = take(sizeof(T));
        if (!slice) return std::nullopt;
        T value = 0;
        for (std::size_t i = sizeof(T); i-- > 0;) value = static_cast<T>((value << 8) | (*slice)[i]);
        return value;
    }

    ByteSpan bytes_;
    std::size_t offset_ = 0;
};

}  // namespace ee
