#include "crypto/issuing.h"

#include <stdexcept>
#include <string_view>

#include "base/base64.h"

namespace ee::crypto {
namespace {

using Asn1IntegerPtr = std::unique_ptr<ASN1_INTEGER, FreeWith<ASN1_INTEGER_free>>;
using Asn1ObjectPtr = std::unique_ptr<ASN1_OBJECT, FreeWith<ASN1_OBJECT_free>>;
using Asn1OctetsPtr = std::unique_ptr<ASN1_OCTET_STRING, FreeWith<ASN1_OCTET_STRING_free>>;
using Asn1TimePtr = std::unique_ptr<ASN1_TIME, FreeWith<ASN1_TIME_free>>;
using RevokedPtr = std::unique_ptr<X509_REVOKED, FreeWith<X509_REVOKED_free>>;

void require(bool held, const char* what) {
    if (!held) throw std::runtime_error(std::string(what) + ": " + take_openssl_errors());
}

// Runs an i2d function twice, as OpenSSL asks: for the size, then for the bytes.
template <class Encode>
Bytes to_der(Encode encode) {
    const int size = encode(nullptr);
    require(size > 0, "encoding DER");
    Bytes der(static_cast<std::size_t>(size));
    std::uint8_t* end = der.data();
    require(encode(&end) == size, "encoding DER");
    return der;
}

Asn1TimePtr asn1_time(WallTime time) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
    Asn1TimePtr encoded(ASN1_TIME_set(nullptr, seconds));
    require(encoded != nullptr, "encoding a time");
    return encoded;
}

Asn1IntegerPtr asn1_integer(ByteSpan big_endian) {
    const BignumPtr number(BN_bin2bn(big_endian.data(), static_cast<int>(big_endian.size()), nullptr));
    require(number != nullptr, "reading a serial number");
    Asn1IntegerPtr encoded(BN_to_ASN1_INTEGER(number.get(), nullptr));
    require(encoded != nullptr, "encoding a serial number");
    return encoded;
}

X509NamePtr x509_name(const DistinguishedName& name) {
    X509NamePtr encoded(X509_NAME_new());
    require(encoded != nullptr, "allocating a name");
    for (const auto& [type, value] : name) {
        const auto text = as_bytes(value);
        require(X509_NAME_add_entry_by_txt(encoded.get(), type.c_str(), MBSTRING_UTF8, text.data(),
                                           static_cast<int>(text.size()), -1, 0) == 1,
                "encoding a distinguished name");
    }
    return encoded;
}

// RFC 5280 section 4.2.1.2, method 1: SHA-1 over the public key's bit string.
Bytes key_identifier(EVP_PKEY* key) {
    X509_PUBKEY* encoded = nullptr;
    require(X509_PUBKEY_set(&encoded, key) == 1, "encoding a public key");
    const std::unique_ptr<X509_PUBKEY, FreeWith<X509_PUBKEY_free>> owner(encoded);
    const unsigned char* bits = nullptr;
    int size = 0;
    require(X509_PUBKEY_get0_param(nullptr, &bits, &size, nullptr, encoded) == 1, "reading a public key");
    Bytes identifier(20);
    require(EVP_Digest(bits, static_cast<std::size_t>(size), identifier.data(), nullptr, EVP_sha1(),
                       nullptr) == 1,
            "hashing a public key");
    return identifier;
}

void add_extension(X509* certificate, const CertificateExtension& extension) {
    const Asn1ObjectPtr type(OBJ_txt2obj(extension.oid.c_str(), 1));
    require(type != nullptr, "reading an extension's OID");
    const Asn1OctetsPtr value(ASN1_OCTET_STRING_new());
    require(value != nullptr && ASN1_OCTET_STRING_set(value.get(), extension.der.data(),
                                                      static_cast<int>(extension.der.size())) == 1,
            "encoding an extension");
    const X509ExtensionPtr encoded(
        X509_EXTENSION_create_by_OBJ(nullptr, type.get(), extension.critical ? 1 : 0, value.get()));
    require(encoded != nullptr && X509_add_ext(certificate, encoded.get(), -1) == 1, "adding an extension");
}

X509ExtensionPtr authority_key_identifier(const SigningKey& key) {
    const Bytes identifier = key_identifier(key.get());
    // AuthorityKeyIdentifier ::= SEQUENCE { [0] IMPLICIT OCTET STRING (20 bytes) }
    Bytes der{0x30, 0x16, 0x80, 0x14};
    der.insert(der.end(), identifier.begin(), identifier.end());
    const Asn1OctetsPtr value(ASN1_OCTET_STRING_new());
    require(
        value != nullptr && ASN1_OCTET_STRING_set(value.get(), der.data(), static_cast<int>(der.size())) == 1,
        "encoding a key identifier");
    X509ExtensionPtr encoded(
        X509_EXTENSION_create_by_NID(nullptr, NID_authority_key_identifier, 0, value.get()));
    require(encoded != nullptr, "encoding a key identifier");
    return encoded;
}

void add_subject_key_identifier(X509* certificate, EVP_PKEY* key) {
    const Bytes identifier = key_identifier(key);
    Bytes der{0x04, 0x14};
    der.insert(der.end(), identifier.begin(), identifier.end());
    add_extension(certificate, {.oid = "2.5.29.14", .critical = false, .der = std::move(der)});
}

void add_configured(X509* certificate, int nid, const std::string& value) {
    const X509ExtensionPtr encoded(X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str()));
    require(encoded != nullptr && X509_add_ext(certificate, encoded.get(), -1) == 1, "adding an extension");
}

std::string joined(const std::vector<std::string>& parts) {
    std::string out;
    for (const std::string& part : parts) {
        if (!out.empty()) out += ',';
        out += part;
    }
    return out;
}

void add_usage_and_constraints(X509* certificate, const CertificateContent& content) {
    if (content.key_usage != 0) {
        static constexpr std::pair<KeyUsage, const char*> names[] = {{digital_signature, "digitalSignature"},
                                                                     {non_repudiation, "nonRepudiation"},
                                                                     {key_cert_sign, "keyCertSign"},
                                                                     {crl_sign, "cRLSign"}};
        std::vector<std::string> parts{"critical"};
        for (const auto& [bit, name] : names) {
            if ((content.key_usage & bit) != 0) parts.emplace_back(name);
        }
        add_configured(certificate, NID_key_usage, joined(parts));
    }
    std::string constraints = content.is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE";
    if (content.path_length_max) constraints += ",pathlen:" + std::to_string(*content.path_length_max);
    add_configured(certificate, NID_basic_constraints, constraints);
}

const EVP_MD* digest_for(const SigningKey& key, SignatureDigest digest) {
    if (key.kind() == KeyKind::ed25519) return nullptr;  // Ed25519 hashes by itself.
    return digest == SignatureDigest::sha384 ? EVP_sha384() : EVP_sha256();
}

}  // namespace

Bytes issue_certificate(const CertificateContent& content, ByteSpan subject_spki, const Issuer& issuer) {
    const std::uint8_t* spki = subject_spki.data();
    const PkeyPtr subject_key(d2i_PUBKEY(nullptr, &spki, static_cast<long>(subject_spki.size())));
    require(subject_key != nullptr, "reading the subject's public key");
    const X509Ptr certificate(X509_new());
    require(certificate != nullptr && X509_set_version(certificate.get(), X509_VERSION_3) == 1 &&
                X509_set_serialNumber(certificate.get(), asn1_integer(content.serial).get()) == 1 &&
                X509_set_issuer_name(certificate.get(), x509_name(issuer.name).get()) == 1 &&
                X509_set_subject_name(certificate.get(), x509_name(content.subject).get()) == 1 &&
                X509_set1_notBefore(certificate.get(), asn1_time(content.not_before).get()) == 1 &&
                X509_set1_notAfter(certificate.get(), asn1_time(content.not_after).get()) == 1 &&
                X509_set_pubkey(certificate.get(), subject_key.get()) == 1,
            "filling a certificate");
    const X509ExtensionPtr authority = authority_key_identifier(issuer.key);
    require(X509_add_ext(certificate.get(), authority.get(), -1) == 1, "adding a key identifier");
    add_subject_key_identifier(certificate.get(), subject_key.get());
    add_usage_and_constraints(certificate.get(), content);
    if (!content.subject_alternatives.empty()) {
        add_configured(certificate.get(), NID_subject_alt_name, joined(content.subject_alternatives));
    }
    for (const CertificateExtension& extension : content.extensions)
        add_extension(certificate.get(), extension);
    require(X509_sign(certificate.get(), issuer.key.get(), digest_for(issuer.key, content.digest)) > 0,
            "signing a certificate");
    return to_der([&](std::uint8_t** out) { return i2d_X509(certificate.get(), out); });
}

Bytes issue_crl(const CrlContent& content, const Issuer& issuer) {
    const X509CrlPtr crl(X509_CRL_new());
    require(crl != nullptr && X509_CRL_set_version(crl.get(), X509_CRL_VERSION_2) == 1 &&
                X509_CRL_set_issuer_name(crl.get(), x509_name(issuer.name).get()) == 1 &&
                X509_CRL_set1_lastUpdate(crl.get(), asn1_time(content.this_update).get()) == 1 &&
                X509_CRL_set1_nextUpdate(crl.get(), asn1_time(content.next_update).get()) == 1,
            "filling a CRL");
    for (const RevokedCertificate& revoked : content.revoked) {
        RevokedPtr entry(X509_REVOKED_new());
        require(entry != nullptr &&
                    X509_REVOKED_set_serialNumber(entry.get(), asn1_integer(revoked.serial).get()) == 1 &&
                    X509_REVOKED_set_revocationDate(entry.get(), asn1_time(revoked.revoked_at).get()) == 1 &&
                    X509_CRL_add0_revoked(crl.get(), entry.get()) == 1,
                "adding a revoked certificate");
        static_cast<void>(entry.release());  // The CRL owns it now.
    }
    const Asn1IntegerPtr number(ASN1_INTEGER_new());
    require(number != nullptr && ASN1_INTEGER_set_uint64(number.get(), content.number) == 1 &&
                X509_CRL_add1_ext_i2d(crl.get(), NID_crl_number, number.get(), 0, 0) == 1,
            "numbering a CRL");
    const X509ExtensionPtr authority = authority_key_identifier(issuer.key);
    require(X509_CRL_add_ext(crl.get(), authority.get(), -1) == 1 && X509_CRL_sort(crl.get()) == 1,
            "finishing a CRL");
    require(X509_CRL_sign(crl.get(), issuer.key.get(), digest_for(issuer.key, SignatureDigest::sha256)) > 0,
            "signing a CRL");
    return to_der([&](std::uint8_t** out) { return i2d_X509_CRL(crl.get(), out); });
}

std::string certificate_to_pem(ByteSpan der) {
    const std::string encoded = to_base64(der);
    std::string pem = "-----BEGIN CERTIFICATE-----\n";
    constexpr std::size_t line_length = 64;  // RFC 7468 section 2
    for (std::size_t at = 0; at < encoded.size(); at += line_length) {
        pem.append(encoded, at, line_length).push_back('\n');
    }
    return pem += "-----END CERTIFICATE-----\n";
}

}  // namespace ee::crypto
