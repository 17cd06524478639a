#pragma once
// P-256 and Ed25519 private keys: generate, sign, keep in a PEM file.
// Failures of OpenSSL itself (no memory, no entropy) throw std::runtime_error; bad input is a Result. Ed25519
// signatures are libsodium's, which makes one in less than half the time OpenSSL takes (decision 16).

#include <filesystem>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "crypto/openssl.h"

namespace ee::crypto {

enum class KeyKind { p256, ed25519 };

// A private key. Movable; signing does not change it and may run on several threads at once.
class SigningKey {
public:
    static SigningKey generate(KeyKind kind);
    // PKCS#8 or SEC 1, unencrypted. Refuses every kind but the two above: `key_invalid`.
    static Result<SigningKey> from_pem(std::string_view pem);

    KeyKind kind() const { return kind_; }
    Secret to_pem() const;  // PKCS#8
    Bytes spki() const;     // DER SubjectPublicKeyInfo
    // The public point as x || y, big-endian. Only for P-256.
    ByteArray<64> public_point() const;
    // The 32 bytes of RFC 8032. Only for Ed25519.
    ByteArray<32> public_bytes() const;
    // P-256: ECDSA with SHA-256 as raw r || s, big-endian. Ed25519: the signature of RFC 8032.
    ByteArray<64> sign(ByteSpan message) const;

    // For OpenSSL calls that need the key itself; stays owned by this object.
    EVP_PKEY* get() const { return key_.get(); }

private:
    SigningKey(KeyKind kind, PkeyPtr key);

    KeyKind kind_;
    PkeyPtr key_;
    Secret seed_and_public_{};  // of Ed25519, as libsodium has them: 32 bytes each
};

// `key_unreadable` when the file cannot be read, `key_invalid` when it holds no key of ours.
Result<SigningKey> load_signing_key(const std::filesystem::path& file);
// Replaces `file` in one step; only its owner may read it (0600). `key_unwritable` names what failed.
Result<void> save_signing_key(const std::filesystem::path& file, const SigningKey& key);

}  // namespace ee::crypto
