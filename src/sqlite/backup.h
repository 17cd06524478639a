#pragma once

#include <filesystem>

#include "base/result.h"

namespace ee::sqlite {

// Copies the database in `file` as it is at one moment, beside whoever reads and writes it, into `to` (mode
// 0600), in place of an older copy. `to` is on disk, and whole, when this returns; after a refusal it is as
// it was. `store_locked`: a server writes `to`; `store_unavailable`, also where `to` is `file`, or has a
// write-ahead log, which would be taken for the copy's.
Result<void> back_up(const std::filesystem::path& file, const std::filesystem::path& to);

}  // namespace ee::sqlite
