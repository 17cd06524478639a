#pragma once
// Where settings come from: the command line and the TOML file, read but not yet judged.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/setting.h"

namespace ee::config {

enum class Action { run, help, version, check_config, print_config };

struct CommandLine {
    Action action = Action::run;
    std::string config_file;                                // Empty: none.
    std::map<std::string, std::string, std::less<>> flags;  // By flag: "--control-port". The last one wins.
    std::vector<std::string> problems;
};

// Flags are `--name value` or `--name=value`. Which names are known is decided later.
CommandLine read_command_line(int argc, const char* const* argv);

struct FileEntry {
    std::string text;
    unsigned line = 0;
};

struct SettingsFile {
    std::map<std::string, FileEntry, std::less<>> entries;  // By setting name. Arrays are joined with commas.
    std::vector<std::string> problems;
};

// A problem names the file and the line but never quotes its text, which may be a secret.
SettingsFile read_settings_file(const std::string& path);

// The least number of insertions, deletions, substitutions and swaps of neighbours between two names.
std::size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace ee::config
