#include "attestation/certificate_chain.h"

#include <array>
#include <span>

#include <fmt/format.h>

#include "base/hex.h"
#include "crypto/issuing.h"

namespace ee::attestation {
namespace {

constexpr std::string_view leaf_name = "Intel SGX PCK Certificate";
constexpr std::string_view platform_ca_name = "Intel SGX PCK Platform CA";
constexpr std::string_view processor_ca_name = "Intel SGX PCK Processor CA";
constexpr std::string_view root_name = "Intel SGX Root CA";
constexpr std::string_view tcb_signer_name = "Intel SGX TCB Signing";

// Who may stand at a place of a chain.
struct ChainPlace {
    std::string_view position;
    std::string_view name;
    std::string_view other_name;  // empty: only the one
    bool is_ca;
    long cas_below;  // how many other CAs there are between it and the end of the chain
};

constexpr std::array<ChainPlace, 3> pck_places = {
    {{"leaf", leaf_name, {}, false, 0},
     {"intermediate", platform_ca_name, processor_ca_name, true, 0},
     {"root", root_name, {}, true, 1}}};
constexpr std::array<ChainPlace, 2> tcb_signer_places = {
    {{"signer", tcb_signer_name, {}, false, 0}, {"root", root_name, {}, true, 0}}};
constexpr std::array<ChainPlace, 2> pck_ca_places = {{pck_places[1], pck_places[2]}};

tl::unexpected<Error> invalid(std::string detail) {
    return fail("certificate_chain_invalid", std::move(detail));
}

Result<void> judge_name(const crypto::Certificate& certificate, const ChainPlace& place) {
    const std::optional<std::string>& name = certificate.subject_common_name();
    if (name && (*name == place.name || (!place.other_name.empty() && *name == place.other_name))) return {};
    return invalid(
        fmt::format("the {} is named {}, not {}", place.position, certificate.subject_text(), place.name));
}

// RFC 5280 sections 4.2.1.3 and 4.2.1.9, and 6.1.4 for the path length.
Result<void> judge_role(const crypto::Certificate& certificate, const ChainPlace& place) {
    const unsigned usage = certificate.key_usage().value_or(0);
    if (certificate.is_ca() != place.is_ca) {
        return invalid(fmt::format("the {} is {}a CA", place.position, certificate.is_ca() ? "" : "not "));
    }
    const unsigned required = place.is_ca ? unsigned{crypto::key_cert_sign | crypto::crl_sign}
                                          : unsigned{crypto::digital_signature};
    if ((usage & required) != required || (!place.is_ca && (usage & crypto::key_cert_sign) != 0)) {
        return invalid(
            fmt::format("key usage {:#04x} of the {}, it needs {:#04x}", usage, place.position, required));
    }
    if (place.is_ca && certificate.path_length_max().value_or(place.cas_below) < place.cas_below) {
        return invalid(fmt::format("the {} allows {} CAs below it, there are {}", place.position,
                                   *certificate.path_length_max(), place.cas_below));
    }
    if (certificate.has_unknown_critical_extension()) {
        return invalid(fmt::format("an unknown critical extension in the {}", place.position));
    }
    return {};
}

Result<void> judge_issuer(const crypto::Certificate& certificate, const crypto::Certificate& parent,
                          const ChainPlace& place) {
    if (certificate.issuer() != parent.subject()) {
        return invalid(
            fmt::format("the {} was not issued in the name {}", place.position, parent.subject_text()));
    }
    const auto key = parent.p256_key();
    if (!key) return invalid(fmt::format("the issuer of the {}: {}", place.position, key.error().detail));
    if (!certificate.is_signed_by(*key)) {
        return invalid(fmt::format("the {} is not signed by {}", place.position, parent.subject_text()));
    }
    return {};
}

Result<TrustAnchor> verify_chain(const std::vector<crypto::Certificate>& certificates,
                                 std::span<const ChainPlace> places, const TrustAnchors& anchors) {
    if (certificates.size() != places.size()) {
        std::string wanted;
        for (const ChainPlace& place : places)
            wanted += fmt::format("{}{}", wanted.empty() ? "" : ", ", place.position);
        return invalid(fmt::format("{} certificates, exactly {} are taken", certificates.size(), wanted));
    }
    for (std::size_t at = 0; at < certificates.size(); ++at) {
        if (auto held = judge_name(certificates[at], places[at]); !held) return fail(held.error());
        if (auto held = judge_role(certificates[at], places[at]); !held) return fail(held.error());
        if (auto key = certificates[at].p256_key(); !key)
            return invalid(fmt::format("the {}: {}", places[at].position, key.error().detail));
    }
    // The root is pinned by key: several certificates over it are in use. Its own signature is checked all
    // the same, or its dates and flags would be anybody's; once for the certificates that are known.
    const auto anchor = anchors.find(certificates.back().spki_sha256());
    if (!anchor) {
        return invalid(
            fmt::format("the root's key {} is no trust anchor", to_hex(certificates.back().spki_sha256())));
    }
    for (std::size_t at = certificates.size(); at-- > 0;) {
        const bool is_root = at + 1 == certificates.size();
        if (is_root && anchors.knows_self_signature(certificates[at])) continue;
        const crypto::Certificate& parent = certificates[is_root ? at : at + 1];
        if (auto held = judge_issuer(certificates[at], parent, places[at]); !held) return fail(held.error());
    }
    return *anchor;
}

}  // namespace

std::optional<PckCa> pck_ca_of(std::string_view common_name) {
    if (common_name == platform_ca_name) return PckCa::platform;
    if (common_name == processor_ca_name) return PckCa::processor;
    return std::nullopt;
}

Result<std::vector<crypto::Certificate>> read_pck_certificates(std::string_view pem) {
    auto chain = crypto::parse_pem_chain(pem);
    if (!chain) return invalid(chain.error().detail);
    return std::move(*chain);
}

Result<PckChain> verify_pck_chain(std::vector<crypto::Certificate> certificates,
                                  const TrustAnchors& anchors) {
    const auto anchor = verify_chain(certificates, pck_places, anchors);
    if (!anchor) return fail(anchor.error());
    const PckCa ca = *pck_ca_of(*certificates[1].subject_common_name());
    return PckChain(std::move(certificates), ca, *anchor);
}

Result<IssuerChain> verify_tcb_signer_chain(std::string_view pem, const TrustAnchors& anchors) {
    auto certificates = read_pck_certificates(pem);
    if (!certificates) return fail(certificates.error());
    const auto anchor = verify_chain(*certificates, tcb_signer_places, anchors);
    if (!anchor) return fail(anchor.error());
    return IssuerChain(std::move(*certificates), *anchor);
}

Result<IssuerChain> verify_pck_ca_chain(std::string_view pem, const TrustAnchors& anchors) {
    auto certificates = read_pck_certificates(pem);
    if (!certificates) return fail(certificates.error());
    const auto anchor = verify_chain(*certificates, pck_ca_places, anchors);
    if (!anchor) return fail(anchor.error());
    return IssuerChain(std::move(*certificates), *anchor);
}

}  // namespace ee::attestation
