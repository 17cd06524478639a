#include "attestation/trust_anchor.h"

#include "attestation/directory_source.h"
#include "crypto/certificate.h"

namespace ee::attestation {

TrustAnchors TrustAnchors::with_simulated(const crypto::Sha256& spki_sha256) {
    TrustAnchors anchors;
    anchors.simulated_ = spki_sha256;
    return anchors;
}

Result<TrustAnchors> TrustAnchors::with_simulated_root(ByteSpan der_or_pem) {
    const auto certificate = crypto::parse_certificate(der_or_pem);
    if (!certificate) return fail(certificate.error());
    if (const auto key = certificate->p256_key(); !key) return fail(key.error());
    TrustAnchors anchors = with_simulated(certificate->spki_sha256());
    if (certificate->is_self_signed()) anchors.simulated_certificate_ = crypto::sha256(certificate->der());
    return anchors;
}

Result<TrustAnchors> TrustAnchors::with_simulated_root_file(const std::filesystem::path& file) {
    const auto content = read_whole_file(file, 64 * 1024);
    if (!content) return fail("certificate_unreadable", content.error().detail);
    return with_simulated_root(as_bytes(*content));
}

bool TrustAnchors::knows_self_signature(const crypto::Certificate& root) const {
    const crypto::Sha256 digest = crypto::sha256(root.der());
    return digest == intel_root_certificate_sha256 || digest == simulated_certificate_;
}

std::optional<TrustAnchor> TrustAnchors::find(const crypto::Sha256& spki_sha256) const {
    // Intel's own root named as one's own stays Intel's: configuring it weakens nothing.
    if (spki_sha256 == intel_root_spki_sha256) return TrustAnchor{spki_sha256, false};
    if (simulated_ && spki_sha256 == *simulated_) return TrustAnchor{spki_sha256, true};
    return std::nullopt;
}

}  // namespace ee::attestation
