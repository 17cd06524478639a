#pragma once
// Whether what is kept of settlements, their evidence included, is what the log says of them: a part of the
// full check.

#include <cstdint>

#include "ledger/check_report.h"
#include "ledger/leaf.h"
#include "ledger/store.h"

namespace ee::ledger {

class SettlementCheck {
public:
    // Each leaf, from the first one on.
    void follow(const Leaf& leaf) { leaves_ += leaf.kind == LeafKind::settlement ? 1 : 0; }

    // Behind the last: each settled unit is what its leaf says, and each settlement is a unit's. Of one that
    // nobody could decide yet, that its evidence has the digest that is shown. Throws DamagedRecord.
    void compare_units(const Store& store, CheckReport& report) const;

private:
    std::uint64_t leaves_ = 0;
};

}  // namespace ee::ledger
