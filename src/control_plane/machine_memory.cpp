#include "control_plane/machine_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>
#include <unistd.h>

namespace ee::control_plane {
namespace {

constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();

// Of "/proc/self/cgroup": "0::/system.slice/easyenclave.service" is the line of version 2.
std::filesystem::path group_of(const std::filesystem::path& root) {
    std::ifstream file(root / "proc/self/cgroup");
    std::string line;
    while (std::getline(file, line))
        if (line.starts_with("0::/")) return std::filesystem::path(line.substr(4)).lexically_normal();
    return {};
}

// A number, or "max".
std::size_t limit_of(const std::filesystem::path& group) {
    std::ifstream file(group / "memory.max");
    std::size_t limit = no_limit;
    return file >> limit && limit > 0 ? limit : no_limit;
}

}  // namespace

std::size_t machine_memory(const std::filesystem::path& root) {
    std::size_t memory = static_cast<std::size_t>(::sysconf(_SC_PHYS_PAGES)) *
                         static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::filesystem::path top = root / "sys/fs/cgroup";
    std::filesystem::path group = top;
    memory = std::min(memory, limit_of(group));
    for (const std::filesystem::path& part : group_of(root)) {
        group /= part;
        memory = std::min(memory, limit_of(group));
    }
    return memory;
}

}  // namespace ee::control_plane
