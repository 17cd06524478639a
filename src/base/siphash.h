#pragma once
// SipHash-2-4 (Aumasson and Bernstein): a hash of short inputs that nobody can aim without its key.

#include <cstdint>

#include "base/bytes.h"

namespace ee {

// For tables whose keys strangers choose; no signature.
std::uint64_t siphash(const ByteArray<16>& key, ByteSpan data);

}  // namespace ee
