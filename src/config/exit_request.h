#pragma once
// What a program should do instead of starting: print this and exit.

#include <map>
#include <string>
#include <vector>

namespace ee::config {

inline constexpr int exit_config_invalid = 78;  // EX_CONFIG of sysexits.h.

// `text` belongs on standard output when `code` is 0, on standard error otherwise. It holds no secret.
struct ExitRequest {
    int code = 0;
    std::string text;
};

// The environment as a value, so that a test needs no setenv.
using Environment = std::map<std::string, std::string, std::less<>>;

// `entries` is the null-terminated environ of the process.
Environment read_environment(const char* const* entries);

}  // namespace ee::config
