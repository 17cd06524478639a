#pragma once
// The seam between who needs a quote and the machine that makes one.

#include "base/bytes.h"
#include "base/result.h"

namespace ee::attestation {

// Makes TDX quotes. `quote` blocks (a genuine one takes about 40 ms, one at a time a host), so it is called
// on a worker, never on a data-plane thread; calls of several threads are allowed and wait for each other.
class QuoteProvider {
public:
    virtual ~QuoteProvider() = default;

    // A quote over exactly these 64 bytes. Refusals (`quote_provider_failed`, `quote_provider_busy`) are
    // sentences an operator can act on.
    virtual Result<Bytes> quote(const ByteArray<64>& report_data) = 0;
};

}  // namespace ee::attestation
