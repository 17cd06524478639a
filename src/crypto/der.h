#pragma once
// DER (X.690): definite, shortest lengths only, tags below 31. Reading copies nothing.

#include <optional>
#include <string>

#include "base/bytes.h"

namespace ee::crypto {

namespace der_tag {
inline constexpr std::uint8_t boolean = 0x01;
inline constexpr std::uint8_t integer = 0x02;
inline constexpr std::uint8_t bit_string = 0x03;
inline constexpr std::uint8_t octet_string = 0x04;
inline constexpr std::uint8_t null = 0x05;
inline constexpr std::uint8_t oid = 0x06;
inline constexpr std::uint8_t enumerated = 0x0a;
inline constexpr std::uint8_t utf8_string = 0x0c;
inline constexpr std::uint8_t printable_string = 0x13;
inline constexpr std::uint8_t ia5_string = 0x16;
inline constexpr std::uint8_t utc_time = 0x17;
inline constexpr std::uint8_t generalized_time = 0x18;
inline constexpr std::uint8_t sequence = 0x30;
inline constexpr std::uint8_t set = 0x31;
}  // namespace der_tag

struct DerElement {
    std::uint8_t tag = 0;
    ByteSpan content;
    ByteSpan whole;  // with tag and length
};

// Reads the elements of one level, in order. After a failed take the reader is unchanged.
class DerReader {
public:
    explicit DerReader(ByteSpan bytes) : bytes_(bytes) {}

    bool at_end() const { return bytes_.empty(); }
    // The content of the next element, when its tag is this one and its length fits.
    std::optional<ByteSpan> take(std::uint8_t tag);
    // The next element, whatever its tag.
    std::optional<DerElement> take_any();
    bool next_is(std::uint8_t tag) const { return !bytes_.empty() && bytes_[0] == tag; }
    std::optional<DerReader> take_sequence();
    // A non-negative INTEGER of at most eight bytes in its shortest form.
    std::optional<std::uint64_t> take_unsigned();
    // The magnitude of a non-negative INTEGER in its shortest form, without leading zeros.
    std::optional<ByteSpan> take_magnitude();
    // A BOOLEAN; true has one spelling (X.690 section 11.1).
    std::optional<bool> take_boolean();
    // The octets of a BIT STRING whose length is whole octets.
    std::optional<ByteSpan> take_bit_octets();
    // An OBJECT IDENTIFIER in dotted form.
    std::optional<std::string> take_oid();

private:
    ByteSpan bytes_;
};

// One element: tag, length, content. The content is shorter than 4 GiB.
Bytes der_element(std::uint8_t tag, ByteSpan content);

}  // namespace ee::crypto
