#pragma once
// How much memory there is for this process.

#include <cstddef>
#include <filesystem>

namespace ee::control_plane {

// In bytes: the machine's, or what the process's control group (cgroup v2, itself or one above it) may use
// where that is less. `root`: where proc and sys are, "/" but for tests.
std::size_t machine_memory(const std::filesystem::path& root = "/");

}  // namespace ee::control_plane
