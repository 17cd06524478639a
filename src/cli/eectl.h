#pragma once
// eectl: the operator's and the verifier's command line.

#include <functional>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>

#include "base/time.h"

namespace ee::cli {

inline constexpr int exit_good = 0;
inline constexpr int exit_refused = 1;  // what was asked about is refused, or could not be done
inline constexpr int exit_usage = 2;

// What a command touches besides files and sockets.
struct Context {
    std::ostream& out;
    std::ostream& err;
    std::function<std::optional<std::string>(const char* name)> environment;
    WallTime now;
};

// `arguments` without the program's name. Answers the exit code.
int run_eectl(std::span<const std::string> arguments, Context& context);

}  // namespace ee::cli
