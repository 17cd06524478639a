#pragma once
// The ledger's tables in the file at EE_DB_PATH: ledger_<word> of a Table, the leaves and tiles of the log.

#include <span>

#include "sqlite/database.h"

namespace ee::ledger {

// Brings the tables up to date. What is of an older schema is backed up first, beside the file, as
// `<file>.ledger-<its version>.backup`. Refusals: `store_schema_newer`, `store_unavailable`.
Result<void> migrate_ledger(sqlite::Database& database, const std::filesystem::path& file);
// The program's steps, each from its index to the next version.
std::span<const char* const> ledger_migrations();
// The same by other steps than the program's.
Result<void> migrate_ledger(sqlite::Database& database, const std::filesystem::path& file,
                            std::span<const char* const> steps);

// Whether the tables are those the program knows: for who may not change them. `no_ledger`,
// `store_schema_newer`, `store_schema_older`, `store_unavailable`.
Result<void> check_ledger_schema(sqlite::Database& database);

}  // namespace ee::ledger
