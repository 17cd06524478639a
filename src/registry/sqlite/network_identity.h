#pragma once
// Who this network's records belong to: made once, with the database, and never changed.

#include <filesystem>
#include <string>

#include "base/result.h"

namespace ee::registry {

// The log id: 32 random hex digits, used as these ASCII bytes. Made when the database has none yet.
// Refusals: `store_schema_newer`, `store_unavailable`.
Result<std::string> load_log_id(const std::filesystem::path& file);

}  // namespace ee::registry
