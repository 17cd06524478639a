#pragma once
// RA-TLS certificates with a simulated quote, right or wrong in any one thing.

#include <optional>

#include "attestation/ratls_certificate.h"
#include "attestation/simulated_platform.h"
#include "crypto/issuing.h"

namespace ee::attestation {

// The defaults give one that earns level `ratls`, given the identity.
struct SimulatedCertificateRequest {
    RatlsIdentity identity;
    bool deployed_layout = false;
    bool wrapped = false;  // deployed layout: an OCTET STRING around the quote
    WallTime not_before{};
    std::chrono::seconds life = ratls_life_max;
    SimulatedQuoteRequest quote;            // its report data is what the certificate asks for, or else
    std::optional<ReportData> report_data;  // what the quote is over instead
    bool signed_by_stranger = false;
    std::optional<Bytes> extension_value;  // in place of the layout's own
    std::vector<crypto::CertificateExtension> more_extensions;
};

// DER, over `key`'s public half and signed by it.
Bytes make_simulated_certificate(const SimulatedPlatform& platform, const crypto::SigningKey& key,
                                 const SimulatedCertificateRequest& request);

}  // namespace ee::attestation
