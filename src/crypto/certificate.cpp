#include "crypto/certificate.h"

#include <algorithm>
#include <set>

#include <openssl/err.h>

#include "base/base64.h"
#include "crypto/ed25519.h"
#include "crypto/x509_fields.h"

namespace ee::crypto {
namespace {

using BasicConstraintsPtr = std::unique_ptr<BASIC_CONSTRAINTS, FreeWith<BASIC_CONSTRAINTS_free>>;
using BitStringPtr = std::unique_ptr<ASN1_BIT_STRING, FreeWith<ASN1_BIT_STRING_free>>;
using ObjectPtr = std::unique_ptr<ASN1_OBJECT, FreeWith<ASN1_OBJECT_free>>;

constexpr std::string_view pem_begin = "-----BEGIN CERTIFICATE-----";
constexpr std::string_view pem_end = "-----END CERTIFICATE-----";

tl::unexpected<Error> malformed(std::string detail) {
    take_openssl_errors();
    return fail("certificate_malformed", std::move(detail));
}

std::string oid_of(const X509_EXTENSION* extension) {
    char text[128];
    const ASN1_OBJECT* type = X509_EXTENSION_get_object(const_cast<X509_EXTENSION*>(extension));
    const int size = OBJ_obj2txt(text, sizeof text, type, 1);
    return size > 0 ? text : "";
}

// No extension twice (RFC 5280 section 4.2); which critical ones are neither of the two we judge.
bool has_repeated_extension(const X509* certificate, bool& has_unknown_critical) {
    std::set<std::string> seen;
    for (int i = 0; i < X509_get_ext_count(certificate); ++i) {
        X509_EXTENSION* extension = X509_get_ext(certificate, i);
        if (!seen.insert(oid_of(extension)).second) return true;
        const int nid = OBJ_obj2nid(X509_EXTENSION_get_object(extension));
        if (X509_EXTENSION_get_critical(extension) != 0 && nid != NID_basic_constraints &&
            nid != NID_key_usage) {
            has_unknown_critical = true;
        }
    }
    return false;
}

bool is_pem_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void skip_pem_space(std::string_view& text) {
    while (!text.empty() && is_pem_space(text.front())) text.remove_prefix(1);
}

}  // namespace

Result<Certificate> Certificate::from_der(ByteSpan der) {
    const unsigned char* at = der.data();
    Certificate out;
    out.x509_.reset(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
    const X509* x509 = out.x509_.get();
    if (x509 == nullptr) return malformed("not an X.509 certificate");
    if (at != der.data() + der.size()) return malformed("bytes after the certificate");
    if (X509_get_version(x509) != X509_VERSION_3) return malformed("not a version 3 certificate");

    out.der_ = to_bytes(der);
    out.subject_ = der_of_name(X509_get_subject_name(x509));
    out.issuer_ = der_of_name(X509_get_issuer_name(x509));
    out.subject_common_name_ = common_name_of(X509_get_subject_name(x509));
    const auto serial = magnitude_of(X509_get0_serialNumber(x509));
    const auto not_before = wall_time_of(X509_get0_notBefore(x509));
    const auto not_after = wall_time_of(X509_get0_notAfter(x509));
    if (!serial) return malformed("a negative serial number");
    if (!not_before || !not_after) return malformed("a validity that is no time");
    out.serial_ = *serial;
    out.not_before_ = *not_before;
    out.not_after_ = *not_after;

    unsigned char* spki = nullptr;
    const int spki_size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x509), &spki);
    if (spki_size <= 0) return malformed("no public key");
    out.spki_.assign(spki, spki + spki_size);
    OPENSSL_free(spki);
    out.spki_sha256_ = sha256(out.spki_);

    if (has_repeated_extension(x509, out.has_unknown_critical_extension_))
        return malformed("an extension twice");
    // OpenSSL sets `found` to -1 when the extension is absent; null with anything else: it does not decode.
    int found = 0;
    const BasicConstraintsPtr constraints(
        static_cast<BASIC_CONSTRAINTS*>(X509_get_ext_d2i(x509, NID_basic_constraints, &found, nullptr)));
    if (!constraints && found != -1) return malformed("basic constraints that do not decode");
    if (constraints) {
        out.has_basic_constraints_ = true;
        out.is_ca_ = constraints->ca != 0;
        if (constraints->pathlen != nullptr) {
            out.path_length_max_ = ASN1_INTEGER_get(constraints->pathlen);
            if (*out.path_length_max_ < 0) return malformed("a negative path length");
        }
    }
    const BitStringPtr usage(
        static_cast<ASN1_BIT_STRING*>(X509_get_ext_d2i(x509, NID_key_usage, &found, nullptr)));
    if (!usage && found != -1) return malformed("a key usage that does not decode");
    if (usage) out.key_usage_ = usage->length > 0 ? usage->data[0] : 0;
    return out;
}

std::string Certificate::subject_text() const {
    const BioPtr out(BIO_new(BIO_s_mem()));
    if (!out || X509_NAME_print_ex(out.get(), X509_get_subject_name(x509_.get()), 0, XN_FLAG_RFC2253) < 0)
        return {};
    char* text = nullptr;
    const long size = BIO_get_mem_data(out.get(), &text);
    return {text, static_cast<std::size_t>(size)};
}

std::optional<Bytes> Certificate::extension(std::string_view oid) const {
    const ObjectPtr type(OBJ_txt2obj(std::string(oid).c_str(), 1));
    const int at = type ? X509_get_ext_by_OBJ(x509_.get(), type.get(), -1) : -1;
    if (at < 0) return std::nullopt;
    const ASN1_OCTET_STRING* value = X509_EXTENSION_get_data(X509_get_ext(x509_.get(), at));
    const ByteSpan bytes(ASN1_STRING_get0_data(value), static_cast<std::size_t>(ASN1_STRING_length(value)));
    return to_bytes(bytes);
}

bool Certificate::is_signed_with_ecdsa_sha256() const {
    const X509_ALGOR* outside = nullptr;
    X509_get0_signature(nullptr, &outside, x509_.get());
    return is_ecdsa_sha256(outside) && is_ecdsa_sha256(X509_get0_tbs_sigalg(x509_.get()));
}

bool Certificate::is_signed_by(const P256PublicKey& key) const {
    if (!is_signed_with_ecdsa_sha256()) return false;
    const bool held = X509_verify(x509_.get(), key.get()) == 1;
    if (!held) ERR_clear_error();
    return held;
}

bool Certificate::is_self_signed() const {
    if (subject_ != issuer_) return false;
    if (const auto key = p256_key()) return is_signed_by(*key);
    if (!Ed25519PublicKey::from_spki(spki_)) return false;
    const bool held = X509_verify(x509_.get(), X509_get0_pubkey(x509_.get())) == 1;
    ERR_clear_error();
    return held;
}

Result<std::vector<Certificate>> parse_pem_chain(std::string_view pem, std::size_t count_max) {
    if (!pem.empty() && pem.back() == '\0') pem.remove_suffix(1);
    std::vector<Certificate> chain;
    for (skip_pem_space(pem); !pem.empty(); skip_pem_space(pem)) {
        if (!pem.starts_with(pem_begin))
            return malformed("something other than PEM certificates in the chain");
        pem.remove_prefix(pem_begin.size());
        const std::size_t end = pem.find(pem_end);
        if (end == std::string_view::npos) return malformed("a PEM certificate without an end");
        if (chain.size() == count_max)
            return malformed("more certificates than " + std::to_string(count_max));
        std::string encoded(pem.substr(0, end));
        std::erase_if(encoded, is_pem_space);
        const auto der = from_base64(encoded);
        if (!der) return malformed("a PEM certificate that is not base64");
        auto certificate = Certificate::from_der(*der);
        if (!certificate) return fail(std::move(certificate.error()));
        chain.push_back(std::move(*certificate));
        pem.remove_prefix(end + pem_end.size());
    }
    if (chain.empty()) return malformed("no certificate in the chain");
    return chain;
}

Result<Certificate> parse_certificate(ByteSpan der_or_pem) {
    // DER starts with the tag of a SEQUENCE, which is the character 0 in a text.
    if (!der_or_pem.empty() && der_or_pem[0] == 0x30) return Certificate::from_der(der_or_pem);
    auto chain = parse_pem_chain(as_text(der_or_pem), 1);
    if (!chain) return fail(std::move(chain.error()));
    return std::move(chain->front());
}

}  // namespace ee::crypto
