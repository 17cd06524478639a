#pragma once
// The settings as text: --help, --print-config, the list of problems, docs/configuration.md.

#include <string>

#include "config/resolve.h"

namespace ee::config {

// The product's version, e.g. "0.1.0".
std::string_view version();

std::string help_text(Program program);
// Valid TOML with the origin of each value as a comment; secrets are masked.
std::string print_text(const Resolved& resolved);
std::string problems_text(Program program, const Resolved& resolved);
std::string check_text(Program program, const Resolved& resolved);
std::string configuration_markdown();

}  // namespace ee::config
