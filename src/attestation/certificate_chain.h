#pragma once
// The chain of a PCK certificate: checks G and H.

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

// Check H: every certificate valid at `now`, both ends included; `certificate_expired`,
// `certificate_not_yet_valid`.
Result<void> judge_validity(const std::vector<crypto::Certificate>& certificates, WallTime now);

}  // namespace ee::attestation
