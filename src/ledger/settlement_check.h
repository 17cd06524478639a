#pragma once
// Whether what is kept of settlements, their evidence included, is what the log says of them: a part of the
// full check.

#include <cstdint>

#include "ledger/check_report.h"
#include "ledger/store.h"

namespace ee::ledger {

// Each settled unit is what its leaf says, and there are as many as the log has settlements. Of a unit that
// nobody could decide yet, its evidence has the digest that is shown. Throws DamagedRecord.
void compare_settlements(const Store& store, std::uint64_t in_the_log, CheckReport& report);

}  // namespace ee::ledger
