#pragma once
// SHA-2 over one or several pieces, HMAC, and random bytes.

#include <initializer_list>

#include "base/bytes.h"

namespace ee::crypto {

using Sha256 = ByteArray<32>;
using Sha384 = ByteArray<48>;
using Sha512 = ByteArray<64>;

// The digest of the pieces joined.
Sha256 sha256(std::initializer_list<ByteSpan> pieces);
Sha384 sha384(std::initializer_list<ByteSpan> pieces);
Sha512 sha512(std::initializer_list<ByteSpan> pieces);
inline Sha256 sha256(ByteSpan bytes) {
    return sha256({bytes});
}

// RFC 2104.
Sha256 hmac_sha256(ByteSpan key, ByteSpan text);

// Fills from OpenSSL's generator; the process ends when there is no entropy (nothing safe can follow).
void fill_random(std::span<std::uint8_t> out);
template <std::size_t N>
ByteArray<N> random_bytes() {
    ByteArray<N> out;
    fill_random(out);
    return out;
}

}  // namespace ee::crypto
