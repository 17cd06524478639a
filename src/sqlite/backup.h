#pragma once

#include <filesystem>

#include "base/result.h"

namespace ee::sqlite {

// Copies the database in `file` as it is at one moment, beside whoever reads and writes it, into `to` (mode
// 0600), in place of what is there. `to` is on disk, and whole, when this returns; after a refusal
// (`store_unavailable`) it is as it was.
Result<void> back_up(const std::filesystem::path& file, const std::filesystem::path& to);

}  // namespace ee::sqlite
