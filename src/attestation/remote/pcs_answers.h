#pragma once
// What the answers of a collateral service hold (Intel PCS API version 4), taken out without changing a byte
// that is signed. Nothing of it is verified here.

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace ee::attestation {

inline constexpr std::size_t issuer_chain_size_max = 64 * 1024;

// The PEM text of an issuer chain's header field, where it is percent-encoded. Refuses with
// `collateral_malformed`: a bad escape, nothing, or more than 64 KiB.
Result<std::string> decode_issuer_chain(std::string_view field);

struct SignedText {
    std::string text;  // exactly the bytes that the signature covers
    Bytes signature;
};

// {"<key>": {...}, "signature": "<hex>"}: the object as it stands in the body, from brace to brace. Refuses
// with `collateral_malformed`: no JSON, deeper than 32, one of the two missing or of another type, or the
// object larger than `size_max` bytes.
Result<SignedText> cut_signed_object(std::string_view body, std::string_view key, std::size_t size_max);

// A revocation list's DER: the body itself, or in hexadecimal, as caching services answer too. Refuses with
// `collateral_malformed` what is neither, or larger than 1 MiB.
Result<Bytes> decode_crl(std::string_view body);

}  // namespace ee::attestation
