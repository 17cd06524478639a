#pragma once
// Whether a ledger is what its journal says: what the server asks at its start, and `eectl ledger check` of
// all.

#include <cstdint>

#include "ledger/check_report.h"
#include "ledger/store.h"

namespace ee::ledger {

// Of what was appended after the first `from` leaves (leaf_check.h): leaves decode, number and time go up,
// they lead to the checkpoints' roots and notes, entries continue each other and are in their accounts'
// journals. And of the whole, whose time goes with the number of accounts and held locks: each account has
// what its journal comes to, the four sums are those of the accounts and the held locks, and no balance is
// negative that may not be. `from` = 0 is the full check, which also verifies the checkpoints' signatures,
// and goes through locks, usage and settlements with their evidence (lock_check.h, settlement_check.h). Of
// other records nothing is said.
CheckReport check_ledger(const Store& store, std::uint64_t from);

// From the last size that a check has found good: what a start asks. What says how far that is may be damaged
// as well.
CheckReport check_since_verified(const Store& store);

// The size up to which a check has found the ledger good; 0: none. Throws DamagedRecord.
std::uint64_t verified_size(const Store& store);
// Keeps it: one commit, no leaves.
Changes remember_verified(std::uint64_t size);

}  // namespace ee::ledger
