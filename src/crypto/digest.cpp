#include "crypto/digest.h"

#include <openssl/rand.h>

#include "base/check.h"
#include "crypto/openssl.h"

namespace ee::crypto {
namespace {

template <std::size_t N>
ByteArray<N> digest(const EVP_MD* algorithm, std::initializer_list<ByteSpan> pieces) {
    // One context a thread: creating one costs more than hashing a short message.
    thread_local const MdCtxPtr context{EVP_MD_CTX_new()};
    ByteArray<N> out;
    unsigned size = 0;
    EE_CHECK(context && EVP_DigestInit_ex(context.get(), algorithm, nullptr) == 1);
    for (const ByteSpan piece : pieces)
        EE_CHECK(EVP_DigestUpdate(context.get(), piece.data(), piece.size()) == 1);
    EE_CHECK(EVP_DigestFinal_ex(context.get(), out.data(), &size) == 1 && size == N);
    return out;
}

}  // namespace

Sha256 sha256(std::initializer_list<ByteSpan> pieces) {
    return digest<32>(EVP_sha256(), pieces);
}
Sha384 sha384(std::initializer_list<ByteSpan> pieces) {
    return digest<48>(EVP_sha384(), pieces);
}
Sha512 sha512(std::initializer_list<ByteSpan> pieces) {
    return digest<64>(EVP_sha512(), pieces);
}

void fill_random(std::span<std::uint8_t> out) {
    EE_CHECK(RAND_bytes(out.data(), static_cast<int>(out.size())) == 1);
}

}  // namespace ee::crypto
