#pragma once
// Collecting what a unit is judged by.

#include "ledger/batch.h"
#include "ledger/outcome.h"

namespace ee::ledger {

UnitEvidence gather(const Batch& batch, const UnitName& name, const Unit& unit, LedgerTime now);

}  // namespace ee::ledger
