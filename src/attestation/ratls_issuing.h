#pragma once
// Making RA-TLS certificates of our layout: what they say, around a quote that was made before.

#include "attestation/ratls_certificate.h"
#include "crypto/issuing.h"

namespace ee::attestation {

// What every RA-TLS certificate has but its extension. Times are whole seconds. The serial number is of the
// key.
crypto::CertificateContent ratls_certificate_content(std::string common_name,
                                                     const ByteArray<32>& spki_sha256, WallTime not_before,
                                                     WallTime not_after);

// DER over the key's public half, signed by it. `quote` is over report_data_ratls() of the same, which are
// whole seconds at most ratls_life_max apart.
Bytes issue_ratls_certificate(const crypto::SigningKey& key, const RatlsIdentity& identity,
                              WallTime not_before, WallTime not_after, ByteSpan quote);

}  // namespace ee::attestation
