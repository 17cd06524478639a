#pragma once
// Whether a ledger is what its journal says: what the server asks at its start, and `eectl ledger check` of
// all.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "ledger/store.h"

namespace ee::ledger {

// Everything that was found; empty: nothing.
struct CheckReport {
    std::uint64_t leaves = 0;  // that were read
    std::uint64_t accounts = 0;
    std::uint64_t held_locks = 0;
    std::vector<std::string> findings;  // "<invariant>: <what differs>", at most `findings_max`
    static constexpr std::size_t findings_max = 100;

    bool is_good() const { return findings.empty(); }
};

// From the leaves on that were not verified before, to the newest: leaves decode, number and time go up, they
// lead to the checkpoints' roots, entries continue each other, and the accounts touched stand where their
// last entry says. And of the whole: the four sums are those of the accounts and the held locks, and no
// balance is negative that may not be. `from` = 0 is the full check.
CheckReport check_ledger(const Store& store, std::uint64_t from);

// The size up to which a check has found the ledger good; 0: none.
std::uint64_t verified_size(const Store& store);
// Keeps it: one commit, no leaves.
Changes remember_verified(std::uint64_t size);

}  // namespace ee::ledger
