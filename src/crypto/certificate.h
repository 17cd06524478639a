#pragma once
// X.509 certificates (RFC 5280) as chains of trust need them: what was signed, by whom, for how long.
// Parsing says nothing about trust.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/digest.h"
#include "crypto/ecdsa.h"
#include "crypto/openssl.h"

namespace ee::crypto {

// One parsed certificate. Movable; all reads are const and may run on several threads at once.
class Certificate {
public:
    Certificate(Certificate&&) = default;
    Certificate& operator=(Certificate&&) = default;
    Certificate(const Certificate&) = delete;
    Certificate& operator=(const Certificate&) = delete;

    // Exactly one certificate in strict DER, version 3, no extension twice, a path length only of a CA; else
    // `certificate_malformed`.
    // (OpenSSL's own reader takes as long as one and a half signatures.)
    static Result<Certificate> from_der(ByteSpan der);

    const Bytes& der() const { return der_; }
    // SHA-256 of the DER SubjectPublicKeyInfo.
    const Sha256& spki_sha256() const { return spki_sha256_; }
    const Bytes& spki() const { return spki_; }
    // DER of the names, to be compared byte for byte.
    const Bytes& subject() const { return subject_; }
    const Bytes& issuer() const { return issuer_; }
    // The one common name of the subject; nullopt when there is none or more than one.
    const std::optional<std::string>& subject_common_name() const { return subject_common_name_; }
    // "CN=...,O=..." for people.
    std::string subject_text() const;
    // Big-endian magnitude without leading zeros; a negative serial number is refused at parsing.
    const Bytes& serial() const { return serial_; }
    WallTime not_before() const { return not_before_; }
    WallTime not_after() const { return not_after_; }

    bool has_basic_constraints() const { return has_basic_constraints_; }
    bool is_ca() const { return is_ca_; }
    // How many CA certificates may follow below; nullopt: no limit stated.
    std::optional<long> path_length_max() const { return path_length_max_; }
    // Bits as in crypto/issuing.h; nullopt: the extension is absent.
    std::optional<unsigned> key_usage() const { return key_usage_; }
    // Whether a critical extension is neither basic constraints nor key usage.
    bool has_unknown_critical_extension() const { return has_unknown_critical_extension_; }
    // Content of the extension with this dotted OID.
    std::optional<Bytes> extension(std::string_view oid) const;

    // The P-256 key; `key_invalid` for any other kind.
    Result<P256PublicKey> p256_key() const;
    // ecdsa-with-SHA256, the same inside and outside the signed part, without parameters.
    bool is_signed_with_ecdsa_sha256() const;
    // Whether `key` made this certificate's ecdsa-with-SHA256 signature.
    bool is_signed_by(const P256PublicKey& key) const;
    // Whether subject and issuer are one name and the certificate's own key made the signature: a P-256 key
    // with ecdsa-with-SHA256, or an Ed25519 key.
    bool is_self_signed() const;

private:
    // Views of der_, whose storage stays where it is when the certificate moves.
    struct Extension {
        ByteSpan oid;
        ByteSpan value;
    };

    Certificate() = default;
    // Each reads its part and says what is malformed about it.
    std::optional<std::string> read_content(ByteSpan content);
    std::optional<std::string> read_extensions(ByteSpan list);
    std::optional<std::string> read_basic_constraints(ByteSpan value);
    std::optional<std::string> read_key_usage(ByteSpan value);

    Bytes der_, spki_, subject_, issuer_, serial_;
    ByteSpan signed_content_, algorithm_inside_, algorithm_, signature_;
    std::vector<Extension> extensions_;
    std::optional<P256PublicKey> p256_key_;
    Sha256 spki_sha256_{};
    std::optional<std::string> subject_common_name_;
    WallTime not_before_{}, not_after_{};
    bool has_basic_constraints_ = false;
    bool is_ca_ = false;
    std::optional<long> path_length_max_;
    std::optional<unsigned> key_usage_;
    bool has_unknown_critical_extension_ = false;
};

// A text of PEM CERTIFICATE blocks (RFC 7468) with only white space around them, one NUL allowed at the very
// end; anything else, no block at all or more than `count_max` is `certificate_malformed`.
Result<std::vector<Certificate>> parse_pem_chain(std::string_view pem, std::size_t count_max = 8);

// One certificate, as DER or as a PEM text.
Result<Certificate> parse_certificate(ByteSpan der_or_pem);

}  // namespace ee::crypto
