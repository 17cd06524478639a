#include "attestation/ratls_issuing.h"

#include "base/check.h"
#include "crypto/digest.h"

namespace ee::attestation {
namespace {

// Positive, and another for each key.
Bytes serial_of(const ByteArray<32>& spki_sha256) {
    Bytes serial(spki_sha256.begin(), spki_sha256.begin() + 16);
    serial.front() = static_cast<std::uint8_t>((serial.front() & 0x7f) | 0x40);
    return serial;
}

}  // namespace

crypto::CertificateContent ratls_certificate_content(std::string common_name,
                                                     const ByteArray<32>& spki_sha256, WallTime not_before,
                                                     WallTime not_after) {
    return {.serial = serial_of(spki_sha256),
            .subject = {{"CN", std::move(common_name)}},
            .not_before = not_before,
            .not_after = not_after,
            .path_length_max = {},
            .subject_alternatives = {},
            .extensions = {}};
}

Bytes issue_ratls_certificate(const crypto::SigningKey& key, const RatlsIdentity& identity,
                              WallTime not_before, WallTime not_after, ByteSpan quote) {
    EE_CHECK(not_after - not_before <= ratls_life_max);
    const Bytes spki = key.spki();
    crypto::CertificateContent content =
        ratls_certificate_content("easyenclave ratls", crypto::sha256(spki), not_before, not_after);
    content.extensions.push_back({.oid = std::string(ratls_extension_oid),
                                  .critical = false,
                                  .der = encode_ratls_extension(identity, quote)});
    return crypto::issue_certificate(content, spki, {key, content.subject});
}

}  // namespace ee::attestation
