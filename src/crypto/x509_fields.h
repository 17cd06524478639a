#pragma once
// Fields that certificates and CRLs share, out of OpenSSL's types.

#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/time.h"
#include "crypto/openssl.h"

namespace ee::crypto {

std::optional<WallTime> wall_time_of(const ASN1_TIME* time);
// DER, as it was signed.
Bytes der_of_name(const X509_NAME* name);
// The one common name; nullopt for none or several.
std::optional<std::string> common_name_of(const X509_NAME* name);
// Big-endian without leading zeros; nullopt for a negative number.
std::optional<Bytes> magnitude_of(const ASN1_INTEGER* number);
// ecdsa-with-SHA256 without parameters (RFC 5758 section 3.2).
bool is_ecdsa_sha256(const X509_ALGOR* algorithm);

}  // namespace ee::crypto
