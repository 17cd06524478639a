#include "crypto/certificate.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/base64.h"
#include "crypto/der.h"
#include "crypto/ed25519.h"
#include "crypto/x509_fields.h"

namespace ee::crypto {
namespace {

constexpr ByteArray<3> basic_constraints_oid = {0x55, 0x1d, 0x13};  // 2.5.29.19
constexpr ByteArray<3> key_usage_oid = {0x55, 0x1d, 0x0f};          // 2.5.29.15
// Those of a PCK or of an agent have up to 10; each is compared with each.
constexpr std::size_t extensions_max = 32;
constexpr std::uint8_t version_tag = 0xa0, extensions_tag = 0xa3;

constexpr std::string_view pem_begin = "-----BEGIN CERTIFICATE-----";
constexpr std::string_view pem_end = "-----END CERTIFICATE-----";

tl::unexpected<Error> malformed(std::string detail) {
    return fail("certificate_malformed", std::move(detail));
}

bool is_pem_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void skip_pem_space(std::string_view& text) {
    while (!text.empty() && is_pem_space(text.front())) text.remove_prefix(1);
}

}  // namespace

Result<Certificate> Certificate::from_der(ByteSpan der) {
    Certificate out;
    out.der_ = to_bytes(der);
    const auto parts = read_signed(out.der_);
    if (!parts) return malformed("not one X.509 certificate in DER");
    out.signed_content_ = parts->content.whole;
    out.algorithm_ = parts->algorithm;
    out.signature_ = parts->signature;
    if (auto wrong = out.read_content(parts->content.content)) return malformed(std::move(*wrong));
    if (auto key = P256PublicKey::from_spki(out.spki_)) out.p256_key_ = std::move(*key);
    out.spki_sha256_ = sha256(out.spki_);
    return out;
}

std::optional<std::string> Certificate::read_content(ByteSpan content) {
    DerReader reader(content);
    const auto version = reader.take(version_tag);
    if (!version) return "not a version 3 certificate";
    DerReader version_reader(*version);
    if (version_reader.take_unsigned() != 2u || !version_reader.at_end())
        return "not a version 3 certificate";
    const auto serial = reader.take_magnitude();
    if (!serial) return "a serial number that is negative or not in its shortest form";
    const auto algorithm = take_algorithm(reader);
    const auto issuer = algorithm ? take_name(reader) : std::nullopt;
    if (!issuer) return "an algorithm or issuer that is not well formed";
    auto validity = reader.take_sequence();
    const auto not_before = validity ? take_time(*validity) : std::nullopt;
    const auto not_after = not_before ? take_time(*validity) : std::nullopt;
    if (!not_after || !validity->at_end()) return "a validity that is no time";
    const auto subject = take_name(reader);
    const auto key = subject ? reader.take_any() : std::nullopt;
    if (!key || key->tag != der_tag::sequence) return "a subject or key that is not well formed";
    DerReader key_reader(key->content);
    if (!take_algorithm(key_reader) || !key_reader.take_bit_octets() || !key_reader.at_end())
        return "a key that is not well formed";

    serial_ = to_bytes(*serial);
    algorithm_inside_ = *algorithm;
    issuer_ = to_bytes(issuer->der);
    not_before_ = *not_before;
    not_after_ = *not_after;
    subject_ = to_bytes(subject->der);
    subject_common_name_ = subject->common_name;
    spki_ = to_bytes(key->whole);
    // RFC 5280 section 4.1.2.8: no CA makes unique identifiers, which would stand here.
    if (reader.at_end()) return std::nullopt;
    const auto extensions = reader.take(extensions_tag);
    if (!extensions || !reader.at_end()) return "bytes behind the key that are no extensions";
    return read_extensions(*extensions);
}

std::optional<std::string> Certificate::read_extensions(ByteSpan field) {
    DerReader outside(field);
    auto list = outside.take_sequence();
    if (!list || !outside.at_end() || list->at_end()) return "extensions that are not one list";
    while (!list->at_end()) {
        const auto extension = take_extension(*list);
        if (!extension) return "an extension that is not well formed";
        if (extensions_.size() == extensions_max)
            return fmt::format("more than {} extensions", extensions_max);
        for (const Extension& other : extensions_) {
            if (std::ranges::equal(other.oid, extension->oid)) return "an extension twice";
        }
        extensions_.push_back({extension->oid, extension->value});
        std::optional<std::string> wrong;
        if (std::ranges::equal(extension->oid, basic_constraints_oid))
            wrong = read_basic_constraints(extension->value);
        else if (std::ranges::equal(extension->oid, key_usage_oid))
            wrong = read_key_usage(extension->value);
        else if (extension->critical)
            has_unknown_critical_extension_ = true;
        if (wrong) return wrong;
    }
    return std::nullopt;
}

std::optional<std::string> Certificate::read_basic_constraints(ByteSpan value) {
    DerReader reader(value);
    auto content = reader.take_sequence();
    if (!content || !reader.at_end()) return "basic constraints that do not decode";
    has_basic_constraints_ = true;
    if (content->next_is(der_tag::boolean)) {
        // DER leaves a default out, and false is the default.
        if (content->take_boolean() != true) return "basic constraints that do not decode";
        is_ca_ = true;
    }
    if (content->at_end()) return std::nullopt;
    // RFC 5280 section 4.2.1.9.
    if (!is_ca_) return "a path length of what is no CA";
    const auto path_length = content->take_unsigned();
    if (!path_length || *path_length > 0xffff || !content->at_end()) return "a path length that is none";
    path_length_max_ = static_cast<long>(*path_length);
    return std::nullopt;
}

std::optional<std::string> Certificate::read_key_usage(ByteSpan value) {
    DerReader reader(value);
    const auto bits = reader.take(der_tag::bit_string);
    // The first octet counts the unused bits of the last one, which are zero in DER. RFC 5280
    // section 4.2.1.3: there are bits.
    if (!bits || !reader.at_end() || bits->size() < 2 || bits->size() > 3 || (*bits)[0] > 7 ||
        (bits->back() & ((1u << (*bits)[0]) - 1)) != 0)
        return "a key usage that does not decode";
    key_usage_ = (*bits)[1];
    return std::nullopt;
}

std::string Certificate::subject_text() const {
    const unsigned char* at = subject_.data();
    const X509NamePtr name(d2i_X509_NAME(nullptr, &at, static_cast<long>(subject_.size())));
    const BioPtr out(BIO_new(BIO_s_mem()));
    if (!name || !out || X509_NAME_print_ex(out.get(), name.get(), 0, XN_FLAG_RFC2253) < 0) {
        take_openssl_errors();
        return {};
    }
    char* text = nullptr;
    const long size = BIO_get_mem_data(out.get(), &text);
    return {text, static_cast<std::size_t>(size)};
}

std::optional<Bytes> Certificate::extension(std::string_view oid) const {
    // Arcs may be larger than a machine word (2.25 and a UUID).
    ByteArray<64> wanted;
    const int size = a2d_ASN1_OBJECT(wanted.data(), static_cast<int>(wanted.size()), oid.data(),
                                     static_cast<int>(oid.size()));
    if (size <= 0) {
        take_openssl_errors();
        return std::nullopt;
    }
    const ByteSpan content = ByteSpan(wanted).first(static_cast<std::size_t>(size));
    for (const Extension& extension : extensions_) {
        if (std::ranges::equal(extension.oid, content)) return to_bytes(extension.value);
    }
    return std::nullopt;
}

Result<P256PublicKey> Certificate::p256_key() const {
    if (p256_key_) return *p256_key_;
    return P256PublicKey::from_spki(spki_);
}

bool Certificate::is_signed_with_ecdsa_sha256() const {
    return std::ranges::equal(algorithm_, ecdsa_sha256_algorithm) &&
           std::ranges::equal(algorithm_inside_, ecdsa_sha256_algorithm);
}

bool Certificate::is_signed_by(const P256PublicKey& key) const {
    return is_signed_with_ecdsa_sha256() && key.verifies_der(signed_content_, signature_);
}

bool Certificate::is_self_signed() const {
    if (subject_ != issuer_) return false;
    if (const auto key = p256_key()) return is_signed_by(*key);
    const auto key = Ed25519PublicKey::from_spki(spki_);
    return key && std::ranges::equal(algorithm_, ed25519_algorithm) &&
           std::ranges::equal(algorithm_inside_, ed25519_algorithm) &&
           key->verifies(signed_content_, signature_);
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
