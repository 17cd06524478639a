#pragma once
// Collecting what a unit is judged by.

#include "ledger/batch.h"
#include "ledger/outcome.h"

namespace ee::ledger {

UnitEvidence gather(const Batch& batch, const UnitName& name, const Unit& unit, LedgerTime now);

// A report that touches the unit and waits for its decision.
std::optional<std::uint64_t> pending_abuse_of(const Batch& batch, const UnitName& unit);

// What the unit's held locks come to.
struct HeldMoney {
    std::uint64_t locks = 0;
    Money locked{};
    Money drawn{};
};
HeldMoney held_money_of(const Batch& batch, const UnitName& unit);

}  // namespace ee::ledger
