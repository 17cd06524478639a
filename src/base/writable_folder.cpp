#include "base/writable_folder.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <unistd.h>

namespace ee {
namespace {

// Permissions tell root nothing. A file without a name, or where the file system has none, a folder that is
// gone at once.
bool takes_files(const std::filesystem::path& folder) {
    const int file = ::open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    if (file >= 0) return ::close(file) == 0;
    if (errno != EOPNOTSUPP && errno != EISDIR) return false;
    std::string name = folder / ".easyenclave-XXXXXX";
    return ::mkdtemp(name.data()) != nullptr && ::rmdir(name.c_str()) == 0;
}

}  // namespace

Result<void> check_writable(const std::filesystem::path& folder) {
    std::error_code failed;
    std::filesystem::path nearest = std::filesystem::absolute(folder.empty() ? "." : folder, failed);
    while (nearest.has_relative_path() && !std::filesystem::exists(nearest, failed))
        nearest = nearest.parent_path();
    if (takes_files(nearest)) return {};
    return fail("folder_unwritable",
                "cannot make files in " + nearest.string() + ": " + std::strerror(errno));
}

}  // namespace ee
