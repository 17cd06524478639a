#pragma once
// Every fixed-size field of a simulated quote and of its PCK certificate, as a table: name, place, size.

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace ee::attestation {

// The blocks a quote is put together from; a field's offset counts within its block.
enum class QuotePart {
    header,      // 48 bytes
    descriptor,  // version 5 only: body type and size, 6 bytes
    body,        // TD report, up to 648 bytes
    qe_report,   // 384 bytes
    signatures,  // quote signature, attestation key, QE report signature: 64 bytes each
    lengths,     // the type and length words between the blocks, 18 bytes
    pck,         // what the PCK certificate's Intel extension says, 58 bytes
};

struct QuoteField {
    std::string_view name;
    QuotePart part;
    std::uint16_t offset;
    std::uint16_t size;
    bool is_number;  // little-endian unsigned, written as a number; else hex
    std::string_view text;
};

std::span<const QuoteField> quote_fields();
const QuoteField* find_quote_field(std::string_view name);

// A value that replaces the default before the part is signed. `bytes` has the field's size.
struct FieldOverride {
    const QuoteField* field;
    Bytes bytes;
};

// Numbers in decimal or 0x…, everything else in hex of exactly the field's size.
// Refuses with `invalid_field:<name>`.
Result<FieldOverride> parse_field_override(const QuoteField& field, std::string_view value);

void write_field(std::span<std::uint8_t> block, const QuoteField& field, ByteSpan bytes);
void write_field(std::span<std::uint8_t> block, std::string_view name, ByteSpan bytes);
void write_number(std::span<std::uint8_t> block, std::string_view name, std::uint64_t number);
// Writes those overrides that belong to `part`.
void apply_overrides(std::span<std::uint8_t> block, QuotePart part, std::span<const FieldOverride> overrides);

}  // namespace ee::attestation
