#pragma once
// Fields that TCB info and QE identity have in common. Only this folder's .cpp files include it: simdjson is
// a large header.

#include <cstdint>
#include <vector>

#include "attestation/collateral_json.h"
#include "attestation/tcb_info.h"
#include "attestation/tcb_status.h"
#include "base/time.h"

namespace ee::attestation {

// What a level says of those it fits; its status is one of `statuses`.
TcbVerdict read_verdict(const CollateralJson::Object& level, TcbStatusSet statuses);

// The `tcbLevels` of an enclave or of a TDX module: each SVN once, highest first.
std::vector<IsvSvnLevel> read_isvsvn_levels(const CollateralJson::Object& holder);

// The fields that both begin with.
struct DocumentLife {
    WallTime issued_at{};
    WallTime next_update{};
};
// Checks `version` and that the times are in order.
DocumentLife read_document_life(const CollateralJson::Object& document, std::uint64_t version);

}  // namespace ee::attestation
