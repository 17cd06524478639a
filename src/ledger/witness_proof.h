#pragma once
// What leads a witness from the checkpoint it holds to the newest one (spec: ledger, "Witnesses"). As text,
// in `consistency_proof` of the tunnel's `status`, one of
//
//   old <size>          then a line for each hash of the consistency proof from that size, in base64;
//   lost <leaf index>   then the leaf of kind "restored", its salt, and its inclusion path, in base64: the
//                       log itself says that what the witness holds was lost.

#include <string>
#include <string_view>

#include "ledger/checkpoint.h"
#include "ledger/loss_mark.h"
#include "ledger/merkle.h"
#include "ledger/receipt.h"

namespace ee::ledger {

std::string write_consistency(std::uint64_t older_size, const ProofPath& path);
std::string write_loss(const ProvenLeaf& restored);

// How the checkpoint that is told goes on from the one that is held.
enum class Continuation { same, appended, restored };

// Refusals: `witness_other_log`; `witness_went_back` (the one told is smaller), `witness_other_root` (the
// same size, another root), `witness_unproven` (larger, and no proof from the held size comes with it), each
// naming both; `witness_proof_malformed`; `witness_loss_not_said` (the leaf says nothing of the held size);
// `witness_loss_before` (the held one has gone through this loss already: it is among `followed`, which its
// note names); `consistency_invalid:...`, `inclusion_invalid:...`.
Result<Continuation> check_continuation(const Checkpoint& held, const Checkpoint& told,
                                        std::string_view proof, const std::vector<LossId>& followed = {});

}  // namespace ee::ledger
