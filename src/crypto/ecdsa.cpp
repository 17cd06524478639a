// Verifying is what this product spends its time on. OpenSSL 3's provider layer adds 7 % to a verification
// and takes a quarter of one to build a key; the functions beneath it are deprecated, and do the same
// arithmetic.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto/ecdsa.h"

#include <algorithm>

#include <openssl/err.h>

#include "base/check.h"
#include "crypto/digest.h"

namespace ee::crypto {
namespace {

// SubjectPublicKeyInfo up to the point: id-ecPublicKey, prime256v1 by name, BIT STRING of an uncompressed
// point. DER has one spelling for this, so comparing it is the whole parser.
constexpr ByteArray<27> p256_spki_prefix = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                            0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                            0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};

// The DER INTEGER of a positive big-endian number.
std::uint8_t* append_integer(std::uint8_t* out, ByteSpan number) {
    while (number.front() == 0) number = number.subspan(1);
    const bool sign_byte = (number.front() & 0x80) != 0;
    *out++ = 0x02;
    *out++ = static_cast<std::uint8_t>(number.size() + (sign_byte ? 1 : 0));
    if (sign_byte) *out++ = 0;
    return std::copy(number.begin(), number.end(), out);
}

using EcGroupPtr = std::unique_ptr<EC_GROUP, FreeWith<EC_GROUP_free>>;
using EcPointPtr = std::unique_ptr<EC_POINT, FreeWith<EC_POINT_free>>;
using EcKeyPtr = std::unique_ptr<EC_KEY, FreeWith<EC_KEY_free>>;

const EC_GROUP* p256_group() {
    static const EcGroupPtr group(EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1));
    EE_CHECK(group != nullptr);
    return group.get();
}

}  // namespace

Result<P256PublicKey> P256PublicKey::from_point(const ByteArray<64>& point) {
    ByteArray<65> encoded{0x04};
    std::copy(point.begin(), point.end(), encoded.begin() + 1);
    const EcPointPtr decoded(EC_POINT_new(p256_group()));
    EcKeyPtr key(EC_KEY_new());
    PkeyPtr owner(EVP_PKEY_new());
    EE_CHECK(decoded && key && owner && EC_KEY_set_group(key.get(), p256_group()) == 1);
    // Decoding the point refuses one off the curve, and P-256 has no other subgroup to fall into.
    if (EC_POINT_oct2point(p256_group(), decoded.get(), encoded.data(), encoded.size(), nullptr) != 1)
        return fail("key_invalid", "not a point on P-256: " + take_openssl_errors());
    EE_CHECK(EC_KEY_set_public_key(key.get(), decoded.get()) == 1 &&
             EVP_PKEY_assign_EC_KEY(owner.get(), key.get()) == 1);
    static_cast<void>(key.release());  // The other owns it now.
    return P256PublicKey(point, std::move(owner));
}

Result<P256PublicKey> P256PublicKey::from_spki(ByteSpan der) {
    ByteArray<64> point;
    if (der.size() != p256_spki_prefix.size() + point.size() ||
        !std::equal(p256_spki_prefix.begin(), p256_spki_prefix.end(), der.begin())) {
        return fail("key_invalid",
                    "not the public key info of an uncompressed point on the named curve P-256");
    }
    std::copy(der.begin() + p256_spki_prefix.size(), der.end(), point.begin());
    return from_point(point);
}

bool P256PublicKey::verifies(ByteSpan message, const ByteArray<64>& signature) const {
    const ByteSpan pair(signature);
    // No INTEGER is made of zero; one of the order or above is refused with the signature.
    if (all_zero(pair.first(32)) || all_zero(pair.last(32))) return false;
    // At most 2 + 2 * (2 + 33) bytes.
    ByteArray<80> der;
    const std::uint8_t* end = append_integer(append_integer(der.data() + 2, pair.first(32)), pair.last(32));
    const auto size = static_cast<std::size_t>(end - der.data());
    der[0] = 0x30;
    der[1] = static_cast<std::uint8_t>(size - 2);
    return verifies_der(message, ByteSpan(der).first(size));
}

bool P256PublicKey::verifies_der(ByteSpan message, ByteSpan signature) const {
    const Sha256 digest = sha256(message);
    // ECDSA_verify decodes the signature and takes it in its one spelling only.
    const EC_KEY* key = EVP_PKEY_get0_EC_KEY(key_.get());
    const bool held =
        key != nullptr && ECDSA_verify(0, digest.data(), static_cast<int>(digest.size()), signature.data(),
                                       static_cast<int>(signature.size()), const_cast<EC_KEY*>(key)) == 1;
    if (!held) ERR_clear_error();
    return held;
}

}  // namespace ee::crypto
