#pragma once

#include <filesystem>

#include "base/result.h"

namespace ee {

// Whether files can be made in `folder`, once what is missing of it is made as well; leaves nothing behind.
// `folder_unwritable`: which folder, and the system's reason.
Result<void> check_writable(const std::filesystem::path& folder);

}  // namespace ee
