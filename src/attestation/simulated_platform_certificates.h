#pragma once
// Names, serials and certificates of the simulated platform; internal to simulated_platform_*.cpp.

#include <string>

#include "attestation/simulated_platform.h"
#include "crypto/issuing.h"

namespace ee::attestation::simulated {

inline constexpr std::string_view root_common_name = "Intel SGX Root CA";
inline constexpr std::string_view platform_ca_common_name = "Intel SGX PCK Platform CA";
inline constexpr std::string_view processor_ca_common_name = "Intel SGX PCK Processor CA";
inline constexpr std::string_view pck_common_name = "Intel SGX PCK Certificate";
inline constexpr std::string_view tcb_signing_common_name = "Intel SGX TCB Signing";

// A common name with the rest of Intel's distinguished name.
crypto::DistinguishedName intel_name(std::string_view common_name);

// Serial numbers; the revoked ones are on every CRL and used only by certificates that a fault asks for.
Bytes root_serial();
Bytes platform_ca_serial();
Bytes revoked_platform_ca_serial();
Bytes tcb_signing_serial();
Bytes pck_serial();
Bytes revoked_pck_serial();

// The Intel SGX extension's DER for these facts, wrong as `faults` ask.
Bytes pck_extension(const ByteArray<58>& pck_facts, const SimulatedFaults& faults);

Bytes root_certificate(const crypto::SigningKey& key, WallTime made_at, const SimulatedFaults& faults);
Bytes platform_ca_certificate(const SimulatedPlatform& platform, const SimulatedFaults& faults);
Bytes pck_certificate(const SimulatedPlatform& platform, const ByteArray<58>& pck_facts,
                      const SimulatedFaults& faults);
Bytes tcb_signing_certificate(const SimulatedPlatform& platform, const crypto::SigningKey& signer,
                              const SimulatedFaults& faults);
// The chain of TCB info and QE identity in PEM: the signer and the root.
std::string tcb_signer_chain(const SimulatedPlatform& platform, const SimulatedFaults& faults);

// The quote's chain in PEM: leaf, intermediate, root. Certificates are issued anew only where the facts or
// faults ask for others than the platform's own.
std::string pck_chain(const SimulatedPlatform& platform, const ByteArray<58>& pck_facts,
                      const SimulatedFaults& faults);

// Signs the QE's report over the platform's attestation key, as every quote shows it that asks for nothing
// else.
void certify_attestation_key(SimulatedPlatform& platform);

}  // namespace ee::attestation::simulated
