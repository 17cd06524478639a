#include "crypto/crl.h"

#include <algorithm>
#include <string_view>

#include "crypto/der.h"
#include "crypto/x509_fields.h"

namespace ee::crypto {
namespace {

constexpr std::uint8_t extensions_tag = 0xa0;

tl::unexpected<Error> malformed(std::string detail) {
    return fail("crl_malformed", std::move(detail));
}

// Of the list or of an entry: nullopt when they are well formed, none is critical and none is there twice.
std::optional<std::string> judge_extensions(DerReader& list) {
    if (list.at_end()) return "an empty list of extensions";
    std::vector<std::string_view> oids;
    while (!list.at_end()) {
        const auto extension = take_extension(list);
        if (!extension) return "an extension that is not well formed";
        if (extension->critical) return "a critical extension";
        oids.push_back(as_text(extension->oid));
    }
    // Sorted first: a list has room for too many to compare each with each.
    std::ranges::sort(oids);
    if (std::ranges::adjacent_find(oids) != oids.end()) return "an extension twice";
    return std::nullopt;
}

}  // namespace

Result<Crl> Crl::from_der(ByteSpan der) {
    Crl out;
    out.der_ = to_bytes(der);
    const auto parts = read_signed(out.der_);
    if (!parts) return malformed("not one CRL in DER");
    out.signed_content_ = parts->content.whole;
    out.algorithm_ = parts->algorithm;
    out.signature_ = parts->signature;
    if (auto wrong = out.read_content(parts->content.content)) return malformed(std::move(*wrong));
    std::sort(out.revoked_.begin(), out.revoked_.end());
    return out;
}

std::optional<std::string> Crl::read_content(ByteSpan content) {
    DerReader reader(content);
    // Version 2 is written as 1; version 1 is not written.
    if (reader.next_is(der_tag::integer) && reader.take_unsigned() != 1u) return "an unknown version";
    const auto algorithm = take_algorithm(reader);
    const auto issuer = algorithm ? take_name(reader) : std::nullopt;
    const auto this_update = issuer ? take_time(reader) : std::nullopt;
    const auto next_update = this_update ? take_time(reader) : std::nullopt;
    if (!next_update) return "an algorithm, issuer, thisUpdate or nextUpdate that is not well formed";
    algorithm_inside_ = *algorithm;
    issuer_ = to_bytes(issuer->der);
    issuer_common_name_ = issuer->common_name;
    this_update_ = *this_update;
    next_update_ = *next_update;

    if (reader.next_is(der_tag::sequence)) {
        auto entries = reader.take_sequence();
        if (!entries) return "entries that are not well formed";
        while (!entries->at_end()) {
            auto entry = entries->take_sequence();
            const auto serial = entry ? entry->take_magnitude() : std::nullopt;
            if (!serial || !take_time(*entry)) return "an entry that is not well formed";
            if (!entry->at_end()) {
                auto extensions = entry->take_sequence();
                if (!extensions || !entry->at_end()) return "an entry that is not well formed";
                if (auto wrong = judge_extensions(*extensions)) return *wrong + " of an entry";
            }
            revoked_.push_back(to_bytes(*serial));
        }
    }
    if (reader.at_end()) return std::nullopt;
    const auto field = reader.take(extensions_tag);
    if (!field || !reader.at_end()) return "bytes behind the entries that are no extensions";
    DerReader outside(*field);
    auto extensions = outside.take_sequence();
    if (!extensions || !outside.at_end()) return "extensions that are not one list";
    return judge_extensions(*extensions);
}

bool Crl::is_signed_by(const P256PublicKey& key) const {
    return std::ranges::equal(algorithm_, ecdsa_sha256_algorithm) &&
           std::ranges::equal(algorithm_inside_, ecdsa_sha256_algorithm) &&
           key.verifies_der(signed_content_, signature_);
}

bool Crl::revokes(const Bytes& serial) const {
    return std::binary_search(revoked_.begin(), revoked_.end(), serial);
}

}  // namespace ee::crypto
