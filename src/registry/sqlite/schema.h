#pragma once
// The file serves several components; each has tables, a version and migrations of its own.

#include <span>
#include <string_view>

#include "registry/sqlite/database.h"

namespace ee::registry {

// Brings the tables of `component` up to date. Each step leads from the version of its index to the next one;
// steps are only ever added. Refusals: `store_schema_newer`, `store_unavailable`.
Result<void> migrate(Database& database, std::string_view component, std::span<const char* const> steps);

}  // namespace ee::registry
