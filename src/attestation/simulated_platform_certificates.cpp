#include "attestation/simulated_platform_certificates.h"

#include <algorithm>
#include <utility>

#include "attestation/pck_extension.h"
#include "crypto/der.h"

namespace ee::attestation::simulated {
namespace {

using namespace std::chrono_literals;
using crypto::CertificateContent;
using crypto::SigningKey;
using enum SimulatedFault;

constexpr auto leaf_life = std::chrono::days(7 * 365);
constexpr auto ca_life = std::chrono::days(24 * 365);

// ---- DER, only what the Intel extension needs ----

Bytes der(std::uint8_t tag, ByteSpan content) {
    return crypto::der_element(tag, content);
}

Bytes joined(std::initializer_list<Bytes> parts) {
    Bytes out;
    for (const Bytes& part : parts) out.insert(out.end(), part.begin(), part.end());
    return out;
}

Bytes der_integer(unsigned value) {
    Bytes content;
    for (unsigned rest = value; rest != 0; rest >>= 8)
        content.insert(content.begin(), static_cast<std::uint8_t>(rest));
    if (content.empty() || content.front() >= 0x80) content.insert(content.begin(), 0);
    return der(0x02, content);
}

Bytes der_boolean(bool value) {
    return {0x01, 0x01, static_cast<std::uint8_t>(value ? 0xff : 0x00)};
}
Bytes der_octets(ByteSpan bytes) {
    return der(0x04, bytes);
}

// SEQUENCE { OID 1.2.840.113741.1.13.1.<arcs>, value }
Bytes entry(std::initializer_list<std::uint8_t> arcs, const Bytes& value) {
    Bytes oid{0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};
    oid.insert(oid.end(), arcs);
    return der(0x30, joined({der(0x06, oid), value}));
}

Bytes tcb_entry(ByteSpan cpu_svn, unsigned pce_svn, bool components_differ) {
    Bytes entries;
    for (std::uint8_t i = 0; i < 16; ++i) {
        const unsigned svn = components_differ && i == 0 ? (cpu_svn[i] ^ 1u) : cpu_svn[i];
        const Bytes component = entry({2, static_cast<std::uint8_t>(i + 1)}, der_integer(svn));
        entries.insert(entries.end(), component.begin(), component.end());
    }
    return joined({entries, entry({2, 17}, der_integer(pce_svn)), entry({2, 18}, der_octets(cpu_svn))});
}

CertificateContent ca_content(Bytes serial, std::string_view common_name, WallTime made_at,
                              int path_length_max) {
    return {.serial = std::move(serial),
            .subject = intel_name(common_name),
            .not_before = made_at - 24h,
            .not_after = made_at + ca_life,
            .is_ca = true,
            .path_length_max = path_length_max,
            .key_usage = crypto::key_cert_sign | crypto::crl_sign,
            .subject_alternatives = {},
            .extensions = {}};
}

CertificateContent leaf_content(Bytes serial, std::string_view common_name, WallTime made_at) {
    return {.serial = std::move(serial),
            .subject = intel_name(common_name),
            .not_before = made_at - 24h,
            .not_after = made_at + leaf_life,
            .path_length_max = {},
            .key_usage = crypto::digital_signature | crypto::non_repudiation,
            .subject_alternatives = {},
            .extensions = {}};
}

void set_validity(CertificateContent& content, bool expired, bool not_yet_valid) {
    if (expired) content.not_after = content.not_before + 1h;
    if (not_yet_valid) content.not_before += std::chrono::days(366);
}

bool any_of(const SimulatedFaults& faults, std::initializer_list<SimulatedFault> wanted) {
    return std::any_of(wanted.begin(), wanted.end(),
                       [&](SimulatedFault fault) { return faults.contains(fault); });
}

bool leaf_is_own(const SimulatedPlatform& platform, const ByteArray<58>& pck_facts,
                 const SimulatedFaults& faults) {
    return pck_facts == platform.pck_facts &&
           !any_of(faults,
                   {leaf_signature, leaf_subject, leaf_issuer, leaf_is_ca, leaf_key_usage, leaf_digest,
                    leaf_critical_extension, leaf_expired, leaf_not_yet_valid, leaf_revoked,
                    intermediate_subject, pck_extension_missing, pck_entry_twice, pck_entry_missing,
                    pck_fmspc_short, pck_components_differ, pck_configuration_unknown});
}

}  // namespace

crypto::DistinguishedName intel_name(std::string_view common_name) {
    return {{"CN", std::string(common_name)},
            {"O", "Intel Corporation"},
            {"L", "Santa Clara"},
            {"ST", "CA"},
            {"C", "US"}};
}

Bytes root_serial() {
    return {0x10, 0x01};
}
Bytes platform_ca_serial() {
    return {0x10, 0x02};
}
Bytes revoked_platform_ca_serial() {
    return {0x10, 0x0f};
}
Bytes tcb_signing_serial() {
    return {0x10, 0x04};
}
Bytes pck_serial() {
    return {0x20, 0x01};
}
Bytes revoked_pck_serial() {
    return {0x20, 0x0f};
}

// The order and types of Intel's own certificates (SGX PCK Certificate and CRL Specification, section 1.3.5).
Bytes pck_extension(const ByteArray<58>& pck_facts, const SimulatedFaults& faults) {
    const ByteSpan facts(pck_facts);
    const unsigned pce_svn = pck_facts[32] | static_cast<unsigned>(pck_facts[33] << 8);
    const ByteSpan fmspc = facts.subspan(36, faults.contains(pck_fmspc_short) ? 5 : 6);
    const Bytes fmspc_entry = entry({4}, der_octets(fmspc));
    const std::uint8_t third = faults.contains(pck_configuration_unknown) ? 4 : 3;
    const Bytes configuration = joined({entry({7, 1}, der_boolean(true)), entry({7, 2}, der_boolean(false)),
                                        entry({7, third}, der_boolean(true))});
    const Bytes tcb = tcb_entry(facts.subspan(16, 16), pce_svn, faults.contains(pck_components_differ));
    return der(
        0x30,
        joined({entry({1}, der_octets(facts.subspan(0, 16))), entry({2}, der(0x30, tcb)),
                faults.contains(pck_entry_missing) ? Bytes{} : entry({3}, der_octets(facts.subspan(34, 2))),
                fmspc_entry, faults.contains(pck_entry_twice) ? fmspc_entry : Bytes{},
                entry({5}, {0x0a, 0x01, 0x01}), entry({6}, der_octets(facts.subspan(42, 16))),
                entry({7}, der(0x30, configuration))}));
}

Bytes root_certificate(const SigningKey& key, WallTime made_at, const SimulatedFaults& faults) {
    const std::string_view name = faults.contains(root_subject) ? "Intel SGX Root CA 2" : root_common_name;
    const int path_length_max = faults.contains(root_path_length) ? 0 : 1;
    const CertificateContent content = ca_content(root_serial(), name, made_at, path_length_max);
    const SigningKey stranger = SigningKey::generate(crypto::KeyKind::p256);
    const SigningKey& signer = faults.contains(root_signature) ? stranger : key;
    return crypto::issue_certificate(content, key.spki(), {signer, content.subject});
}

Bytes platform_ca_certificate(const SimulatedPlatform& platform, const SimulatedFaults& faults) {
    CertificateContent content = ca_content(
        faults.contains(intermediate_revoked) ? revoked_platform_ca_serial() : platform_ca_serial(),
        faults.contains(intermediate_subject) ? "Intel SGX PCK Rack CA" : platform_ca_common_name,
        platform.made_at, 0);
    if (faults.contains(intermediate_not_ca)) {
        content.is_ca = false;
        content.path_length_max.reset();
    }
    if (faults.contains(intermediate_key_usage)) content.key_usage = crypto::crl_sign;
    set_validity(content, faults.contains(intermediate_expired), faults.contains(intermediate_not_yet_valid));
    const bool other_issuer = faults.contains(root_subject) || faults.contains(intermediate_issuer);
    const std::string_view issuer = other_issuer ? "Intel SGX Root CA 2" : root_common_name;
    const SigningKey stranger = SigningKey::generate(crypto::KeyKind::p256);
    const SigningKey& signer = faults.contains(intermediate_signature) ? stranger : platform.root_key;
    return crypto::issue_certificate(content, platform.platform_ca_key.spki(), {signer, intel_name(issuer)});
}

Bytes pck_certificate(const SimulatedPlatform& platform, const ByteArray<58>& pck_facts,
                      const SimulatedFaults& faults) {
    CertificateContent content =
        leaf_content(faults.contains(leaf_revoked) ? revoked_pck_serial() : pck_serial(),
                     faults.contains(leaf_subject) ? "Intel SGX PCK" : pck_common_name, platform.made_at);
    if (!faults.contains(pck_extension_missing)) {
        content.extensions.push_back({.oid = std::string(pck_extension_oid),
                                      .critical = false,
                                      .der = pck_extension(pck_facts, faults)});
    }
    if (faults.contains(leaf_critical_extension)) {
        content.extensions.push_back({.oid = "2.25.1", .critical = true, .der = {0x05, 0x00}});
    }
    if (faults.contains(leaf_is_ca)) {
        content.is_ca = true;
        content.key_usage |= crypto::key_cert_sign;
    }
    if (faults.contains(leaf_key_usage)) content.key_usage = crypto::crl_sign;
    if (faults.contains(leaf_digest)) content.digest = crypto::SignatureDigest::sha384;
    set_validity(content, faults.contains(leaf_expired), faults.contains(leaf_not_yet_valid));
    std::string_view issuer = platform_ca_common_name;
    if (faults.contains(intermediate_subject)) issuer = "Intel SGX PCK Rack CA";
    if (faults.contains(leaf_issuer)) issuer = processor_ca_common_name;
    const SigningKey stranger = SigningKey::generate(crypto::KeyKind::p256);
    const SigningKey& signer = faults.contains(leaf_signature) ? stranger : platform.platform_ca_key;
    return crypto::issue_certificate(content, platform.pck_key.spki(), {signer, intel_name(issuer)});
}

Bytes tcb_signing_certificate(const SimulatedPlatform& platform, const SigningKey& signer,
                              const SimulatedFaults& faults) {
    CertificateContent content =
        leaf_content(tcb_signing_serial(),
                     faults.contains(tcb_signer_subject) ? "Intel SGX Signing" : tcb_signing_common_name,
                     platform.made_at);
    set_validity(content, faults.contains(tcb_signer_expired), faults.contains(tcb_signer_not_yet_valid));
    if (faults.contains(tcb_signer_is_ca)) {
        content.is_ca = true;
        content.key_usage |= crypto::key_cert_sign;
    }
    return crypto::issue_certificate(content, platform.tcb_signing_key.spki(),
                                     {signer, intel_name(root_common_name)});
}

std::string tcb_signer_chain(const SimulatedPlatform& platform, const SimulatedFaults& faults) {
    const SigningKey stranger = SigningKey::generate(crypto::KeyKind::p256);
    const bool other_signer =
        any_of(faults, {tcb_signer_subject, tcb_signer_expired, tcb_signer_not_yet_valid, tcb_signer_is_ca,
                        tcb_signer_signature, tcb_signer_root_unknown});
    const bool by_stranger = any_of(faults, {tcb_signer_signature, tcb_signer_root_unknown});
    std::string pem = crypto::certificate_to_pem(
        other_signer ? tcb_signing_certificate(platform, by_stranger ? stranger : platform.root_key, faults)
                     : platform.tcb_signing_certificate);
    if (faults.contains(tcb_signer_chain_longer))
        pem += crypto::certificate_to_pem(platform.platform_ca_certificate);
    return pem + crypto::certificate_to_pem(faults.contains(tcb_signer_root_unknown)
                                                ? root_certificate(stranger, platform.made_at, {})
                                                : platform.root_certificate);
}

std::string pck_chain(const SimulatedPlatform& platform, const ByteArray<58>& pck_facts,
                      const SimulatedFaults& faults) {
    const Bytes leaf = leaf_is_own(platform, pck_facts, faults)
                           ? platform.pck_certificate
                           : pck_certificate(platform, pck_facts, faults);
    const bool other_intermediate =
        any_of(faults, {intermediate_signature, intermediate_subject, intermediate_not_ca,
                        intermediate_key_usage, intermediate_issuer, intermediate_expired,
                        intermediate_not_yet_valid, intermediate_revoked, root_subject});
    Bytes intermediate =
        other_intermediate ? platform_ca_certificate(platform, faults) : platform.platform_ca_certificate;
    Bytes root = any_of(faults, {root_subject, root_path_length, root_signature})
                     ? root_certificate(platform.root_key, platform.made_at, faults)
                     : platform.root_certificate;
    if (faults.contains(root_unknown)) {
        // A consistent chain of the same names under somebody else's root.
        const SigningKey stranger = SigningKey::generate(crypto::KeyKind::p256);
        root = root_certificate(stranger, platform.made_at, faults);
        const CertificateContent content =
            ca_content(platform_ca_serial(), platform_ca_common_name, platform.made_at, 0);
        intermediate = crypto::issue_certificate(content, platform.platform_ca_key.spki(),
                                                 {stranger, intel_name(root_common_name)});
    }
    std::string pem = crypto::certificate_to_pem(leaf);
    if (faults.contains(chain_with_extra_leaf)) pem += crypto::certificate_to_pem(leaf);
    pem += crypto::certificate_to_pem(intermediate);
    if (!faults.contains(chain_without_root)) pem += crypto::certificate_to_pem(root);
    return pem;
}

}  // namespace ee::attestation::simulated
