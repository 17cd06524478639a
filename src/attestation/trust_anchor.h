#pragma once
// The keys a PCK chain may end in: Intel's, built in, and at most one configured for a simulated platform.

#include <filesystem>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/certificate.h"
#include "crypto/digest.h"

namespace ee::attestation {

// SHA-256 of the SubjectPublicKeyInfo of "Intel SGX Root CA".
inline constexpr crypto::Sha256 intel_root_spki_sha256 = {
    0xa0, 0xaf, 0x03, 0x12, 0x89, 0xf5, 0xd5, 0xd4, 0x13, 0x2f, 0x91, 0x86, 0x06, 0x8a, 0x7f, 0xc1,
    0x36, 0x28, 0x63, 0x3b, 0xa2, 0x35, 0x77, 0x74, 0x72, 0xe2, 0x9b, 0x6b, 0x6c, 0x67, 0xa4, 0x9e};

// SHA-256 of the certificate over that key which Intel publishes and platforms come with.
inline constexpr crypto::Sha256 intel_root_certificate_sha256 = {
    0x44, 0xa0, 0x19, 0x6b, 0x2b, 0x99, 0xf8, 0x89, 0xb8, 0xe1, 0x49, 0xe9, 0x5b, 0x80, 0x7a, 0x35,
    0x0e, 0x74, 0x24, 0x96, 0x43, 0x99, 0xe8, 0x85, 0xa7, 0xcb, 0xb8, 0xcc, 0xfa, 0xb6, 0x74, 0xd3};

// A root is pinned by key, not by certificate: two certificates over Intel's root key are in use.
struct TrustAnchor {
    crypto::Sha256 spki_sha256{};
    bool simulated = false;
};

class TrustAnchors {
public:
    // Intel's SGX root only.
    TrustAnchors() = default;
    // And a root of one's own, which counts as simulated (unless it is Intel's).
    static TrustAnchors with_simulated(const crypto::Sha256& spki_sha256);
    // The same from a certificate as DER or PEM, whose self-signature is verified once if it has one:
    // `certificate_malformed`; `key_invalid` when it is not P-256.
    static Result<TrustAnchors> with_simulated_root(ByteSpan der_or_pem);
    // The same from a file (EE_TDX_ROOT_CA); also `certificate_unreadable`.
    static Result<TrustAnchors> with_simulated_root_file(const std::filesystem::path& file);

    std::optional<TrustAnchor> find(const crypto::Sha256& spki_sha256) const;
    // Whether this very certificate's signature by its own key was verified once and for all: Intel's root
    // certificate in use, and the one configured. Another one over the same key is not known.
    bool knows_self_signature(const crypto::Certificate& root) const;
    bool has_simulated() const { return simulated_.has_value(); }

private:
    std::optional<crypto::Sha256> simulated_;
    std::optional<crypto::Sha256> simulated_certificate_;  // of its DER; its self-signature holds
};

}  // namespace ee::attestation
