#pragma once
// Collecting what a unit is judged by.

#include <functional>

#include "ledger/batch.h"
#include "ledger/node_records.h"
#include "ledger/outcome.h"

namespace ee::ledger {

UnitEvidence gather(const Batch& batch, const UnitName& name, const Unit& unit, LedgerTime now);

// The node's reports of abuse, the oldest first, until `visit` says false.
void for_each_abuse(const Batch& batch, std::string_view node,
                    const std::function<bool(std::uint64_t id, const AbuseReport& report)>& visit);

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
