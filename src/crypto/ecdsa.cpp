#include "crypto/ecdsa.h"

#include <algorithm>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>

#include "base/check.h"
#include "crypto/digest.h"

namespace ee::crypto {
namespace {

// The order of P-256's group (FIPS 186-4, D.1.2.3), big-endian.
constexpr ByteArray<32> p256_order = {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
                                      0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
                                      0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};

// SubjectPublicKeyInfo up to the point: id-ecPublicKey, prime256v1 by name, BIT STRING of an uncompressed
// point. DER has one spelling for this, so comparing it is the whole parser.
constexpr ByteArray<27> p256_spki_prefix = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                            0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                            0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};

bool is_scalar_in_range(ByteSpan big_endian) {
    return !all_zero(big_endian) && std::lexicographical_compare(big_endian.begin(), big_endian.end(),
                                                                 p256_order.begin(), p256_order.end());
}

// The DER INTEGER of a positive big-endian number.
std::uint8_t* append_integer(std::uint8_t* out, ByteSpan number) {
    while (number.front() == 0) number = number.subspan(1);
    const bool sign_byte = (number.front() & 0x80) != 0;
    *out++ = 0x02;
    *out++ = static_cast<std::uint8_t>(number.size() + (sign_byte ? 1 : 0));
    if (sign_byte) *out++ = 0;
    return std::copy(number.begin(), number.end(), out);
}

// Building a key by its parameters takes OpenSSL a quarter of a verification. This one is built once, from
// the curve's base point (FIPS 186-4, D.1.2.3); others are copies of it with another point.
EVP_PKEY* template_key() {
    static const PkeyPtr key = [] {
        ByteArray<65> base = {0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5,
                              0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4,
                              0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a,
                              0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33,
                              0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5};
        char group[] = SN_X9_62_prime256v1;
        const OSSL_PARAM parameters[] = {
            OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
            OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, base.data(), base.size()),
            OSSL_PARAM_construct_end()};
        const PkeyCtxPtr context(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
        EVP_PKEY* made = nullptr;
        EE_CHECK(context && EVP_PKEY_fromdata_init(context.get()) == 1 &&
                 EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY,
                                   const_cast<OSSL_PARAM*>(parameters)) == 1);
        return PkeyPtr(made);
    }();
    return key.get();
}

}  // namespace

Result<P256PublicKey> P256PublicKey::from_point(const ByteArray<64>& point) {
    ByteArray<65> encoded{0x04};
    std::copy(point.begin(), point.end(), encoded.begin() + 1);
    PkeyPtr owner(EVP_PKEY_dup(template_key()));
    // Decoding the point refuses one off the curve, and P-256 has no other subgroup to fall into.
    const bool held =
        owner && EVP_PKEY_set1_encoded_public_key(owner.get(), encoded.data(), encoded.size()) == 1;
    if (!held) return fail("key_invalid", "not a point on P-256: " + take_openssl_errors());
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
    if (!is_scalar_in_range(pair.first(32)) || !is_scalar_in_range(pair.last(32))) return false;
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
    const PkeyCtxPtr context(EVP_PKEY_CTX_new_from_pkey(nullptr, key_.get(), nullptr));
    const bool held =
        context && EVP_PKEY_verify_init(context.get()) == 1 &&
        EVP_PKEY_verify(context.get(), signature.data(), signature.size(), digest.data(), digest.size()) == 1;
    if (!held) ERR_clear_error();
    return held;
}

}  // namespace ee::crypto
