#pragma once

#include <filesystem>
#include <string_view>

#include <sys/types.h>

#include "base/result.h"

namespace ee {

// Makes `file` hold `text`, with the permissions `mode`: whoever reads it finds what it held before or all of
// the text, also when this process or the machine stops meanwhile. In between the text is in a file with
// ".new" behind the name; what else was there is gone. `file_unwritable`: which file, and the system's
// reason.
Result<void> replace_file(const std::filesystem::path& file, std::string_view text, mode_t mode);

}  // namespace ee
