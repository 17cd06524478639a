#pragma once
// Random bytes in small pieces: OpenSSL's generator costs more a call than a byte.

#include <cstdint>

#include "base/bytes.h"
#include "crypto/digest.h"

namespace ee::crypto {

// Belongs to one thread. For ids and choices; keys and nonces come from random_bytes().
class RandomPool {
public:
    template <std::size_t N>
    ByteArray<N> take() {
        static_assert(N <= size);
        if (N > size - used_) refill();
        ByteArray<N> out;
        std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(used_), N, out.begin());
        used_ += N;
        return out;
    }
    // Uniform in [0, 1).
    double unit() {
        const ByteArray<8> bytes = take<8>();
        std::uint64_t bits;
        std::memcpy(&bits, bytes.data(), sizeof bits);
        return static_cast<double>(bits >> 11) * 0x1.0p-53;
    }

private:
    static constexpr std::size_t size = 4096;
    void refill() {
        fill_random(bytes_);
        used_ = 0;
    }
    ByteArray<size> bytes_;
    std::size_t used_ = size;
};

}  // namespace ee::crypto
