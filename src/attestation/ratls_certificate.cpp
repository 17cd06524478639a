#include "attestation/ratls_certificate.h"

#include <fmt/format.h>

#include "base/utf8.h"
#include "crypto/certificate.h"
#include "crypto/der.h"

namespace ee::attestation {
namespace {

namespace der_tag = crypto::der_tag;
using crypto::DerReader;

constexpr std::uint64_t extension_version = 2;
// Longer than any name that a registration may have.
constexpr std::size_t text_bytes_max = 256;

tl::unexpected<Error> malformed(std::string detail) {
    return fail("certificate_malformed", std::move(detail));
}

bool take_text(DerReader& reader, std::string& out) {
    const auto text = reader.take(der_tag::utf8_string);
    if (!text || text->size() > text_bytes_max || !is_utf8(as_text(*text))) return false;
    out = as_text(*text);
    return true;
}

Result<void> take_quote(ByteSpan quote, RatlsCertificate& out) {
    if (quote.empty() || quote.size() > quote_size_max)
        return malformed(
            fmt::format("a quote of {} bytes, at most {} are read", quote.size(), quote_size_max));
    out.quote = to_bytes(quote);
    return {};
}

Result<void> read_extension(ByteSpan value, RatlsCertificate& out) {
    DerReader whole(value);
    auto fields = whole.take_sequence();
    if (!fields || !whole.at_end()) return malformed("our extension is not one SEQUENCE");
    const auto version = fields->take_unsigned();
    if (version != extension_version)
        return malformed(fmt::format("version {} of our extension, known is {}",
                                     version ? std::to_string(*version) : "(none)", extension_version));
    RatlsIdentity identity;
    for (std::string* text :
         {&identity.role, &identity.app_name, &identity.repo, &identity.release_tag, &identity.network}) {
        if (!take_text(*fields, *text))
            return malformed(
                fmt::format("our extension lacks a name, or has one of more than {} bytes", text_bytes_max));
    }
    const auto quote = fields->take(der_tag::octet_string);
    if (!quote || !fields->at_end()) return malformed("our extension does not end with a quote");
    out.identity = std::move(identity);
    return take_quote(*quote, out);
}

// A raw quote of version 4 begins like an empty OCTET STRING: only one that covers the whole value is a
// wrapper.
ByteSpan unwrapped(ByteSpan value) {
    DerReader reader(value);
    const auto content = reader.take(der_tag::octet_string);
    return content && reader.at_end() ? *content : value;
}

Result<void> check_validity(const crypto::Certificate& certificate, WallTime now) {
    if (now < certificate.not_before())
        return fail(
            "certificate_not_yet_valid",
            fmt::format("valid from {}, it is {}", to_rfc3339(certificate.not_before()), to_rfc3339(now)));
    if (now > certificate.not_after())
        return fail("certificate_expired", fmt::format("valid until {}, it is {}",
                                                       to_rfc3339(certificate.not_after()), to_rfc3339(now)));
    return {};
}

Result<void> read_content(const crypto::Certificate& certificate, RatlsCertificate& out) {
    if (const auto ours = certificate.extension(ratls_extension_oid)) {
        const auto life = certificate.not_after() - certificate.not_before();
        if (life > ratls_life_max)
            return malformed(fmt::format("it lives {} s, at most {} s are accepted",
                                         std::chrono::floor<std::chrono::seconds>(life).count(),
                                         std::chrono::seconds(ratls_life_max).count()));
        if (auto read = read_extension(*ours, out); !read) return read;
        out.report_data = report_data_ratls(*out.identity, out.spki_sha256, out.not_before, out.not_after);
        return {};
    }
    if (const auto deployed = certificate.extension(deployed_ratls_extension_oid)) {
        out.report_data = report_data_deployed_ratls(out.spki_sha256);
        return take_quote(unwrapped(*deployed), out);
    }
    return malformed("it carries no quote");
}

}  // namespace

Result<RatlsCertificate> read_ratls_certificate(ByteSpan der, WallTime now) {
    if (der.size() > ratls_certificate_bytes_max)
        return malformed(
            fmt::format("{} bytes, at most {} are read", der.size(), ratls_certificate_bytes_max));
    const auto certificate = crypto::Certificate::from_der(der);
    if (!certificate) return fail(certificate.error());
    if (certificate->has_unknown_critical_extension())
        return malformed("an extension that we do not judge is critical");
    if (auto valid = check_validity(*certificate, now); !valid) return fail(std::move(valid.error()));

    RatlsCertificate out;
    out.spki_sha256 = certificate->spki_sha256();
    out.not_before = certificate->not_before();
    out.not_after = certificate->not_after();
    if (auto read = read_content(*certificate, out); !read) return fail(std::move(read.error()));
    // Last: it is what costs.
    if (!certificate->is_self_signed())
        return fail("certificate_signature_invalid",
                    "subject and issuer are two, or its own key (P-256 or Ed25519) did not sign it");
    return out;
}

Bytes encode_ratls_extension(const RatlsIdentity& identity, ByteSpan quote) {
    Bytes fields = crypto::der_element(der_tag::integer, Bytes{extension_version});
    const auto append = [&](std::uint8_t tag, ByteSpan content) {
        const Bytes element = crypto::der_element(tag, content);
        fields.insert(fields.end(), element.begin(), element.end());
    };
    for (const std::string* text :
         {&identity.role, &identity.app_name, &identity.repo, &identity.release_tag, &identity.network})
        append(der_tag::utf8_string, as_bytes(*text));
    append(der_tag::octet_string, quote);
    return crypto::der_element(der_tag::sequence, fields);
}

}  // namespace ee::attestation
