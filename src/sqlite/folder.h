#pragma once
// Files and folders whose names are on disk, too: what is written into a file is lost with its name.

#include <filesystem>

#include "base/result.h"

namespace ee::sqlite {

// Each refuses with `store_unavailable`.

// Makes what is missing of the path, mode 0700.
Result<void> make_folders(const std::filesystem::path& folder);
// Makes an empty file, mode 0600, where there is none. One that is there is not opened: closing it again
// would give back the locks that this process has on it.
Result<void> make_file(const std::filesystem::path& file);
// Whether there is a database, or one can be made, with the folders that are missing; makes and changes
// nothing. Not for a file that this process has open.
Result<void> check_file(const std::filesystem::path& file);
// Puts the names in `folder` on disk.
Result<void> sync_folder(const std::filesystem::path& folder);

}  // namespace ee::sqlite
