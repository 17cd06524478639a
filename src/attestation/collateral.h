#pragma once
// Collateral: what the vendor publishes about a platform, as one JSON file that other verifiers share.

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/digest.h"

namespace ee::attestation {

inline constexpr std::size_t tcb_info_size_max = 64 * 1024;
inline constexpr std::size_t qe_identity_size_max = 64 * 1024;
inline constexpr std::size_t crl_size_max = 1024 * 1024;
// CRLs are hex in the file, and there are two.
inline constexpr std::size_t collateral_file_size_max = 5 * 1024 * 1024;

// Which of Intel's two intermediate CAs issued a PCK certificate.
enum class PckCa { platform, processor };
std::string_view to_string(PckCa ca);

// What is being looked for. The anchor is part of it: collateral under a simulated root never answers for a
// chain under Intel's.
struct CollateralKey {
    crypto::Sha256 anchor_spki_sha256{};
    ByteArray<6> fmspc{};
    PckCa ca = PckCa::platform;

    friend auto operator<=>(const CollateralKey&, const CollateralKey&) = default;
};

// As published and unverified. An absent or null entry is empty.
struct Collateral {
    std::string pck_crl_issuer_chain;
    Bytes root_ca_crl;  // DER
    Bytes pck_crl;      // DER
    std::string tcb_info_issuer_chain;
    std::string tcb_info;  // the exact JSON text that is signed
    Bytes tcb_info_signature;
    std::string qe_identity_issuer_chain;
    std::string qe_identity;
    Bytes qe_identity_signature;

    // Each part present, by its name in the file ("tcb_info", "root_ca_crl", ...); views into this object.
    std::map<std::string, ByteSpan, std::less<>> parts() const;
    // SHA-256 of each of them.
    std::map<std::string, crypto::Sha256, std::less<>> sha256() const;

    // Byte for byte.
    friend bool operator==(const Collateral&, const Collateral&) = default;
};

// Refuses with `collateral_malformed:<key>` (an entry of the wrong type, bad hex, over its size) or
// `collateral_malformed` (no JSON object, deeper than 32, none of the entries).
Result<Collateral> parse_collateral(std::string_view json);
// The same as a file; what is empty is null.
std::string to_json(const Collateral& collateral);

// What a piece of collateral says it is about, to find it by; nothing of it has been verified.
struct CollateralLabel {
    CollateralKey key;
    WallTime issued_at{};  // of the TCB info
};
std::optional<CollateralLabel> read_collateral_label(const Collateral& collateral);

}  // namespace ee::attestation
