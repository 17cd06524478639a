#pragma once
// X.509 certificates and CRLs (RFC 5280), issued and signed. Failures of OpenSSL itself throw
// std::runtime_error; so does content that cannot be encoded, which is the caller's bug.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "crypto/signing_key.h"

namespace ee::crypto {

// Attributes in the order they are encoded, by OpenSSL's short names: {{"CN", "Intel SGX Root CA"}, ...}.
// Values must fit their X.520 upper bounds (CN: 64 characters).
using DistinguishedName = std::vector<std::pair<std::string, std::string>>;

struct CertificateExtension {
    std::string oid;  // dotted
    bool critical = false;
    Bytes der;  // the extension's value
};

enum class SignatureDigest { sha256, sha384 };

// Key usage bits (RFC 5280 section 4.2.1.3), joined with |.
enum KeyUsage : unsigned {
    digital_signature = 0x80,
    non_repudiation = 0x40,
    key_cert_sign = 0x04,
    crl_sign = 0x02,
};

struct CertificateContent {
    Bytes serial;  // big-endian, 1 to 20 bytes, positive
    DistinguishedName subject;
    WallTime not_before;  // whole seconds are encoded
    WallTime not_after;
    bool is_ca = false;
    std::optional<int> path_length_max;
    unsigned key_usage = digital_signature;            // 0: no key usage extension
    std::vector<std::string> subject_alternatives;     // "DNS:localhost", "IP:127.0.0.1"
    std::vector<CertificateExtension> extensions;      // after the standard ones
    SignatureDigest digest = SignatureDigest::sha256;  // ignored for Ed25519
};

// Who signs: the key and the name that goes into the issuer field.
struct Issuer {
    const SigningKey& key;
    DistinguishedName name;
};

// DER of a version 3 certificate over `subject_spki`, with subject and authority key identifiers.
// Self-signed when the issuer's key and name are the subject's own.
Bytes issue_certificate(const CertificateContent& content, ByteSpan subject_spki, const Issuer& issuer);

struct RevokedCertificate {
    Bytes serial;
    WallTime revoked_at;
};

struct CrlContent {
    WallTime this_update;
    WallTime next_update;
    std::uint64_t number = 1;
    std::vector<RevokedCertificate> revoked;
};

// DER of a version 2 CRL.
Bytes issue_crl(const CrlContent& content, const Issuer& issuer);

// "-----BEGIN CERTIFICATE-----" and so on, with a newline at the end.
std::string certificate_to_pem(ByteSpan der);

}  // namespace ee::crypto
