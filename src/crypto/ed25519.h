#pragma once
// Ed25519 public keys and signatures (RFC 8032). Private ones: crypto/signing_key.h.

#include "base/bytes.h"
#include "base/result.h"

namespace ee::crypto {

class Ed25519PublicKey {
public:
    // A DER SubjectPublicKeyInfo (RFC 8410): exactly the 44 bytes of an Ed25519 key, else `key_invalid`.
    static Result<Ed25519PublicKey> from_spki(ByteSpan der);

    // The 32 bytes of RFC 8032. Ones that are no point verify nothing.
    static Ed25519PublicKey from_raw(const ByteArray<32>& raw) { return Ed25519PublicKey(raw); }

    const ByteArray<32>& raw() const { return raw_; }
    bool verifies(ByteSpan message, ByteSpan signature) const;

private:
    explicit Ed25519PublicKey(const ByteArray<32>& raw) : raw_(raw) {}

    ByteArray<32> raw_;
};

}  // namespace ee::crypto
