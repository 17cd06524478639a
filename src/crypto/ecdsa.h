#pragma once
// ECDSA over P-256 with SHA-256 (FIPS 186-4): public keys as raw points, signatures as raw r || s.

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/openssl.h"

namespace ee::crypto {

// A point on P-256; copies share the key. Verifying does not change it and may run on several threads at
// once.
class P256PublicKey {
public:
    // x || y, big-endian. Refuses (`key_invalid`) a coordinate outside the field or a point off the curve.
    static Result<P256PublicKey> from_point(const ByteArray<64>& point);
    // A DER SubjectPublicKeyInfo of id-ecPublicKey, named curve prime256v1, uncompressed point; nothing else.
    static Result<P256PublicKey> from_spki(ByteSpan der);

    const ByteArray<64>& point() const { return point_; }

    // Whether `signature` (r || s, big-endian, both within [1, n-1]) is one over SHA-256(message).
    // Both s and n - s verify: a signature's bytes identify nothing.
    bool verifies(ByteSpan message, const ByteArray<64>& signature) const;
    // The same for a signature as X.509 has it: DER of ECDSA-Sig-Value, in its one spelling.
    bool verifies_der(ByteSpan message, ByteSpan signature) const;

    // For OpenSSL calls that need the key itself; stays owned by this object.
    EVP_PKEY* get() const { return key_.get(); }

private:
    P256PublicKey(const ByteArray<64>& point, PkeyPtr key) : point_(point), key_(std::move(key)) {}

    ByteArray<64> point_;
    std::shared_ptr<EVP_PKEY> key_;
};

}  // namespace ee::crypto
