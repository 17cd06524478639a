#pragma once
// Intel's extension in PCK certificates, 1.2.840.113741.1.13.1 ("SGX PCK Certificate and CRL Specification").

#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/certificate.h"

namespace ee::attestation {

struct PckExtension {
    ByteArray<16> ppid{};
    ByteArray<16> cpu_svn{};  // each byte is one component's SVN
    std::uint16_t pce_svn = 0;
    ByteArray<2> pce_id{};
    ByteArray<6> fmspc{};
    std::uint8_t sgx_type = 0;  // 0 standard, 1 scalable, 2 scalable with integrity
    std::optional<ByteArray<16>> platform_instance_id;
    // "Configuration", each nullopt where the certificate does not say.
    std::optional<bool> dynamic_platform;
    std::optional<bool> cached_keys;
    std::optional<bool> smt_enabled;
};

inline constexpr std::string_view pck_extension_oid = "1.2.840.113741.1.13.1";

// Refuses with `certificate_chain_invalid` unless every required entry is there exactly once with its exact
// size, the component SVNs are the bytes of CPUSVN, and the optional entries are well formed where present.
Result<PckExtension> parse_pck_extension(ByteSpan der);
Result<PckExtension> pck_extension_of(const crypto::Certificate& leaf);

}  // namespace ee::attestation
