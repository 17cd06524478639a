#include "crypto/ecdsa.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#include "base/hex.h"

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

// DER of ECDSA-Sig-Value, which OpenSSL's verification takes.
int der_signature(const ByteArray<64>& signature, unsigned char** der) {
    EcdsaSignaturePtr pair(ECDSA_SIG_new());
    BignumPtr r(BN_bin2bn(signature.data(), 32, nullptr));
    BignumPtr s(BN_bin2bn(signature.data() + 32, 32, nullptr));
    if (!pair || !r || !s || ECDSA_SIG_set0(pair.get(), r.get(), s.get()) != 1) return -1;
    // set0 took both numbers over.
    static_cast<void>(r.release());
    static_cast<void>(s.release());
    return i2d_ECDSA_SIG(pair.get(), der);
}

}  // namespace

Result<P256PublicKey> P256PublicKey::from_point(const ByteArray<64>& point) {
    ByteArray<65> encoded{0x04};
    std::copy(point.begin(), point.end(), encoded.begin() + 1);
    char group[] = SN_X9_62_prime256v1;
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, encoded.data(), encoded.size()),
        OSSL_PARAM_construct_end()};
    const PkeyCtxPtr context(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
    EVP_PKEY* key = nullptr;
    // Decoding the point refuses one off the curve, and P-256 has no other subgroup to fall into.
    const bool held =
        context && EVP_PKEY_fromdata_init(context.get()) == 1 &&
        EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, const_cast<OSSL_PARAM*>(parameters)) == 1;
    PkeyPtr owner(key);
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
    unsigned char* end = der.data();
    const int size = der_signature(signature, &end);
    const MdCtxPtr context(EVP_MD_CTX_new());
    const bool held = size > 0 && context &&
                      EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) == 1 &&
                      EVP_DigestVerify(context.get(), der.data(), static_cast<std::size_t>(size),
                                       message.data(), message.size()) == 1;
    if (!held) ERR_clear_error();
    return held;
}

}  // namespace ee::crypto
