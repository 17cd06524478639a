#pragma once
// Writing to a descriptor that somebody else reads, without waiting for them.

#include <cstddef>
#include <string_view>

namespace ee::telemetry {

// A write of at most PIPE_BUF bytes to a pipe that polls writable does not block (POSIX, pipe(7)).
inline constexpr std::size_t pipe_write_bytes_max = 4096;

bool is_pipe_or_socket(int fd);

// True when a write would not block now.
bool is_writable(int fd);

// Writes what the descriptor takes; answers how much that was. Retries when a signal interrupts.
std::size_t write_some(int fd, std::string_view text);

}  // namespace ee::telemetry
