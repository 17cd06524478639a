#pragma once
// Chains that end in a trust anchor: of PCK certificates (check G), of the CA that revokes them, and of the
// signer of TCB info and QE identity (checks K and L).

#include <optional>
#include <string_view>
#include <vector>

#include "attestation/collateral.h"
#include "attestation/trust_anchor.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/certificate.h"

namespace ee::attestation {

// Which intermediate CA bears this common name.
std::optional<PckCa> pck_ca_of(std::string_view common_name);

// The certificates of a quote, leaf first, as they came: `certificate_chain_invalid` when the text is not
// strictly a PEM chain. How many there are and what they say is not judged yet.
Result<std::vector<crypto::Certificate>> read_pck_certificates(std::string_view pem);

// A chain that holds up to a trust anchor; only verify_pck_chain makes one.
class PckChain {
public:
    const crypto::Certificate& leaf() const { return certificates_[0]; }
    const crypto::Certificate& intermediate() const { return certificates_[1]; }
    const crypto::Certificate& root() const { return certificates_[2]; }
    const std::vector<crypto::Certificate>& certificates() const { return certificates_; }
    PckCa ca() const { return ca_; }
    const TrustAnchor& anchor() const { return anchor_; }

private:
    friend Result<PckChain> verify_pck_chain(std::vector<crypto::Certificate>, const TrustAnchors&);
    PckChain(std::vector<crypto::Certificate> certificates, PckCa ca, const TrustAnchor& anchor)
        : certificates_(std::move(certificates)), ca_(ca), anchor_(anchor) {}

    std::vector<crypto::Certificate> certificates_;
    PckCa ca_;
    TrustAnchor anchor_;
};

// Check G: exactly leaf, intermediate and root with the vendor's names, each issued and signed by the next,
// P-256 with SHA-256, CA flags, path lengths and key usages right, the root's key pinned. Any failure is
// `certificate_chain_invalid`.
Result<PckChain> verify_pck_chain(std::vector<crypto::Certificate> certificates, const TrustAnchors& anchors);

// A chain of collateral; only the two functions below make one.
class IssuerChain {
public:
    // Whose chain it is: the signer, or the CA.
    const crypto::Certificate& front() const { return certificates_.front(); }
    const crypto::Certificate& root() const { return certificates_.back(); }
    const std::vector<crypto::Certificate>& certificates() const { return certificates_; }
    const TrustAnchor& anchor() const { return anchor_; }

private:
    friend Result<IssuerChain> verify_tcb_signer_chain(std::string_view, const TrustAnchors&);
    friend Result<IssuerChain> verify_pck_ca_chain(std::string_view, const TrustAnchors&);
    IssuerChain(std::vector<crypto::Certificate> certificates, const TrustAnchor& anchor)
        : certificates_(std::move(certificates)), anchor_(anchor) {}

    std::vector<crypto::Certificate> certificates_;
    TrustAnchor anchor_;
};

// Exactly "Intel SGX TCB Signing", which is no CA and signs, and the root; judged as check G judges.
Result<IssuerChain> verify_tcb_signer_chain(std::string_view pem, const TrustAnchors& anchors);

// Exactly one of the two PCK CAs and the root.
Result<IssuerChain> verify_pck_ca_chain(std::string_view pem, const TrustAnchors& anchors);

}  // namespace ee::attestation
