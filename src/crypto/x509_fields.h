#pragma once
// Fields that certificates and CRLs share (RFC 5280 section 4.1).

#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/time.h"
#include "crypto/der.h"

namespace ee::crypto {

// A distinguished name: its DER as it was signed, and the one common name in it.
struct NameField {
    ByteSpan der;
    std::optional<std::string> common_name;  // nullopt: none, several, or in characters other than these
};

// Each takes one field from the reader; nullopt when it is not well formed.
std::optional<NameField> take_name(DerReader& reader);
// UTCTime or GeneralizedTime in the one form that DER has: to the second, in UTC.
std::optional<WallTime> take_time(DerReader& reader);
// An AlgorithmIdentifier, whole.
std::optional<ByteSpan> take_algorithm(DerReader& reader);

struct ExtensionField {
    ByteSpan oid;  // the content of the OBJECT IDENTIFIER
    bool critical = false;
    ByteSpan value;
};
std::optional<ExtensionField> take_extension(DerReader& reader);

// ecdsa-with-SHA256 without parameters (RFC 5758 section 3.2): the whole AlgorithmIdentifier.
inline constexpr ByteArray<12> ecdsa_sha256_algorithm = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                                         0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
// The same of Ed25519 (RFC 8410 section 3).
inline constexpr ByteArray<7> ed25519_algorithm = {0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70};

// What is signed, how, and the signature; both algorithms, inside and outside, are compared by their reader.
struct SignedField {
    DerElement content;
    ByteSpan algorithm;
    ByteSpan signature;
};
// SEQUENCE { content, algorithm, signature } and nothing behind it.
std::optional<SignedField> read_signed(ByteSpan der);

}  // namespace ee::crypto
