#include "attestation/certificate_chain.h"

#include <array>

#include <fmt/format.h>

#include "base/hex.h"
#include "crypto/issuing.h"

namespace ee::attestation {
namespace {

constexpr std::string_view leaf_name = "Intel SGX PCK Certificate";
constexpr std::string_view platform_ca_name = "Intel SGX PCK Platform CA";
constexpr std::string_view processor_ca_name = "Intel SGX PCK Processor CA";
constexpr std::string_view root_name = "Intel SGX Root CA";
constexpr std::array<std::string_view, 3> positions = {"leaf", "intermediate", "root"};

tl::unexpected<Error> invalid(std::string detail) {
    return fail("certificate_chain_invalid", std::move(detail));
}

Result<void> judge_name(const crypto::Certificate& certificate, std::size_t at) {
    const std::optional<std::string>& name = certificate.subject_common_name();
    const bool held = name && (at == 0   ? *name == leaf_name
                               : at == 1 ? pck_ca_of(*name).has_value()
                                         : *name == root_name);
    if (held) return {};
    return invalid(fmt::format("the {} is named {}", positions[at], certificate.subject_text()));
}

// RFC 5280 sections 4.2.1.3 and 4.2.1.9, and 6.1.4 for the path length.
Result<void> judge_role(const crypto::Certificate& certificate, std::size_t at) {
    const std::string_view position = positions[at];
    const unsigned usage = certificate.key_usage().value_or(0);
    const bool is_ca = at > 0;
    if (certificate.is_ca() != is_ca) {
        return invalid(fmt::format("the {} is {}a CA", position, certificate.is_ca() ? "" : "not "));
    }
    const unsigned required =
        is_ca ? unsigned{crypto::key_cert_sign | crypto::crl_sign} : unsigned{crypto::digital_signature};
    if ((usage & required) != required || (!is_ca && (usage & crypto::key_cert_sign) != 0)) {
        return invalid(
            fmt::format("key usage {:#04x} of the {}, it needs {:#04x}", usage, position, required));
    }
    const auto cas_below = static_cast<long>(at) - 1;
    if (is_ca && certificate.path_length_max().value_or(cas_below) < cas_below) {
        return invalid(fmt::format("the {} allows {} CAs below it, there are {}", position,
                                   *certificate.path_length_max(), cas_below));
    }
    if (certificate.has_unknown_critical_extension()) {
        return invalid(fmt::format("an unknown critical extension in the {}", position));
    }
    return {};
}

Result<void> judge_issuer(const crypto::Certificate& certificate, const crypto::Certificate& parent,
                          std::size_t at) {
    if (certificate.issuer() != parent.subject()) {
        return invalid(
            fmt::format("the {} was not issued in the name {}", positions[at], parent.subject_text()));
    }
    const auto key = parent.p256_key();
    if (!key) return invalid(fmt::format("the issuer of the {}: {}", positions[at], key.error().detail));
    if (!certificate.is_signed_by(*key)) {
        return invalid(fmt::format("the {} is not signed by {}", positions[at], parent.subject_text()));
    }
    return {};
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
    if (certificates.size() != positions.size()) {
        return invalid(fmt::format("{} certificates, exactly leaf, intermediate and root are taken",
                                   certificates.size()));
    }
    for (std::size_t at = 0; at < certificates.size(); ++at) {
        if (auto held = judge_name(certificates[at], at); !held) return fail(held.error());
        if (auto held = judge_role(certificates[at], at); !held) return fail(held.error());
        if (auto key = certificates[at].p256_key(); !key) {
            return invalid(fmt::format("the {}: {}", positions[at], key.error().detail));
        }
    }
    // The root is pinned by key: several certificates over it are in use. Its own signature is checked all
    // the same, or its dates and flags would be anybody's.
    const auto anchor = anchors.find(certificates[2].spki_sha256());
    if (!anchor) {
        return invalid(
            fmt::format("the root's key {} is no trust anchor", to_hex(certificates[2].spki_sha256())));
    }
    for (std::size_t at = certificates.size(); at-- > 0;) {
        const crypto::Certificate& parent = certificates[std::min(at + 1, certificates.size() - 1)];
        if (auto held = judge_issuer(certificates[at], parent, at); !held) return fail(held.error());
    }
    const PckCa ca = *pck_ca_of(*certificates[1].subject_common_name());
    return PckChain(std::move(certificates), ca, *anchor);
}

Result<void> judge_validity(const std::vector<crypto::Certificate>& certificates, WallTime now) {
    for (const crypto::Certificate& certificate : certificates) {
        if (now < certificate.not_before()) {
            return fail("certificate_not_yet_valid",
                        fmt::format("{} is valid from {}, it is {}", certificate.subject_text(),
                                    to_rfc3339(certificate.not_before()), to_rfc3339(now)));
        }
        if (now > certificate.not_after()) {
            return fail("certificate_expired",
                        fmt::format("{} was valid until {}, it is {}", certificate.subject_text(),
                                    to_rfc3339(certificate.not_after()), to_rfc3339(now)));
        }
    }
    return {};
}

}  // namespace ee::attestation
