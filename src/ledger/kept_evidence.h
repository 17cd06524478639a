#pragma once
// Evidence bundles as units keep them. What is observed of a node touches each of its units, and anyone may
// make as many of those as they like, by locks that come back: a long list of observations is kept once, by
// its digest, for as long as a unit names it. A unit that was judged stays.

#include "ledger/batch.h"
#include "ledger/outcome.h"

namespace ee::ledger {

// Bytes of JSON from which on a list is kept apart.
inline constexpr std::size_t shared_list_min = 256;

// The unit, which the caller saves, is judged by this from now on, no longer by what it was judged by before.
void keep_evidence(Batch& batch, Unit& unit, const UnitEvidence& evidence);

// The bundle, JSON; empty where the unit was never judged. Throws DamagedRecord.
std::string evidence_json(const Batch& batch, const Unit& unit);
// Its SHA-256.
std::optional<crypto::Sha256> evidence_digest(const Unit& unit);

}  // namespace ee::ledger
