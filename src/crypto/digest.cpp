#include "crypto/digest.h"

#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "base/check.h"
#include "crypto/openssl.h"

namespace ee::crypto {
namespace {

using MdPtr = std::unique_ptr<EVP_MD, FreeWith<EVP_MD_free>>;

// EVP_sha256() and its like are looked up by their name at every use.
MdPtr fetch(const char* name) {
    MdPtr algorithm(EVP_MD_fetch(nullptr, name, nullptr));
    EE_CHECK(algorithm != nullptr);
    return algorithm;
}

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
    static const MdPtr algorithm = fetch("SHA256");
    return digest<32>(algorithm.get(), pieces);
}
Sha384 sha384(std::initializer_list<ByteSpan> pieces) {
    static const MdPtr algorithm = fetch("SHA384");
    return digest<48>(algorithm.get(), pieces);
}
Sha512 sha512(std::initializer_list<ByteSpan> pieces) {
    static const MdPtr algorithm = fetch("SHA512");
    return digest<64>(algorithm.get(), pieces);
}

Sha256 hmac_sha256(ByteSpan key, ByteSpan text) {
    Sha256 out;
    unsigned size = 0;
    EE_CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), text.data(), text.size(),
                  out.data(), &size) != nullptr &&
             size == out.size());
    return out;
}

void fill_random(std::span<std::uint8_t> out) {
    EE_CHECK(RAND_bytes(out.data(), static_cast<int>(out.size())) == 1);
}

}  // namespace ee::crypto
