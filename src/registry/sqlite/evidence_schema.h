#pragma once
// The tables of evidence, and what is deleted from them.

#include <chrono>
#include <cstdint>

#include "sqlite/database.h"

namespace ee::registry {

// Brings the tables up to date; refusals as of migrate().
Result<void> migrate_evidence(sqlite::Database& database);

struct EvidenceLimits {
    std::int64_t life_ms = 24 * 3600 * 1000LL;
    // An agent's newest evidence stays for as long as a registration does.
    std::int64_t newest_life_ms = 30 * 24 * 3600 * 1000LL;
    std::int64_t bytes_max = 1LL << 30;  // of the records; beyond it the oldest go
    // How long a record waits for others to share its transaction, unless somebody reads.
    std::chrono::milliseconds gather_time{200};
};

// Deletes what is too old at `now_ms` or too much, and the contents that nothing refers to any more, within
// the caller's transaction. Answers whether contents were deleted.
Result<bool> prune_evidence(sqlite::Database& database, const EvidenceLimits& limits, std::int64_t now_ms);

}  // namespace ee::registry
