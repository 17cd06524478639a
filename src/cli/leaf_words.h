#pragma once
// A leaf of the log in words, and as JSON.

#include <cstdint>
#include <string>

#include "base/json_writer.h"
#include "ledger/leaf.h"

namespace ee::cli {

// Micro-USD as a decimal: "12.5", "-0.000001", "0".
std::string usd_text(std::int64_t micros);
// Unix microseconds in UTC, "2026-01-15T10:30:00Z"; years before 1970 or after 9999 as the number itself.
std::string time_text(std::int64_t time_us);

// What it is about, a sentence or two; texts from the leaf are shown as printable() has them.
std::string leaf_in_words(const ledger::Leaf& leaf);

// {"kind": ..., "seq": ..., "time": ..., "time_us": ..., "fields": {...}}: numbers as numbers, bytes in
// base64, 32-byte values in hex.
void write_leaf(JsonWriter& json, const ledger::Leaf& leaf);

}  // namespace ee::cli
