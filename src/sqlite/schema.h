#pragma once
// The file serves several components; each has tables, a version and migrations of its own.

#include <span>
#include <string_view>

#include "sqlite/database.h"

namespace ee::sqlite {

// How many of its steps the component's tables have been through; 0: there are none. `store_unavailable`.
Result<std::int64_t> schema_version(Database& database, std::string_view component);

// Brings the tables of `component` up to date. Each step leads from the version of its index to the next one;
// steps are only ever added. Refusals: `store_schema_newer`, `store_unavailable`.
Result<void> migrate(Database& database, std::string_view component, std::span<const char* const> steps);

}  // namespace ee::sqlite
