#include "crypto/ed25519.h"

#include <algorithm>

#include "crypto/sodium.h"

namespace ee::crypto {
namespace {

// RFC 8410: SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING of 32 bytes }.
constexpr ByteArray<12> spki_prefix = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                       0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};

}  // namespace

Result<Ed25519PublicKey> Ed25519PublicKey::from_spki(ByteSpan der) {
    ByteArray<32> raw;
    if (der.size() != spki_prefix.size() + raw.size() ||
        !std::equal(spki_prefix.begin(), spki_prefix.end(), der.begin())) {
        return fail("key_invalid", "not the public key info of an Ed25519 key");
    }
    std::copy(der.begin() + spki_prefix.size(), der.end(), raw.begin());
    return Ed25519PublicKey(raw);
}

bool Ed25519PublicKey::verifies(ByteSpan message, ByteSpan signature) const {
    begin_sodium();
    return signature.size() == crypto_sign_ed25519_BYTES &&
           crypto_sign_ed25519_verify_detached(signature.data(), message.data(), message.size(),
                                               raw_.data()) == 0;
}

}  // namespace ee::crypto
