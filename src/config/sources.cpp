#include "config/sources.h"

#include <algorithm>
#include <fstream>
#include <numeric>
#include <optional>

// A broken file is a refusal here, not an exception.
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#define TOML_ENABLE_WINDOWS_COMPAT 0
#include <fmt/format.h>
// What a bad file gets is toml++'s own error, in builds with assertions too.
#define TOML_ASSERT(expr) static_cast<void>(0)
#include <toml++/toml.h>

namespace ee::config {
namespace {

std::optional<Action> action_of(std::string_view argument) {
    if (argument == "--help" || argument == "-h") return Action::help;
    if (argument == "--version") return Action::version;
    if (argument == "--check-config") return Action::check_config;
    if (argument == "--print-config") return Action::print_config;
    return std::nullopt;
}

std::optional<std::string> scalar_text(const toml::node& node) {
    if (const auto* text = node.as_string()) return text->get();
    if (const auto* number = node.as_integer()) return std::to_string(number->get());
    if (const auto* flag = node.as_boolean()) return std::string(flag->get() ? "true" : "false");
    return std::nullopt;
}

std::optional<std::string> node_text(const toml::node& node) {
    const toml::array* array = node.as_array();
    if (array == nullptr) return scalar_text(node);
    std::string joined;
    for (const toml::node& element : *array) {
        const auto text = scalar_text(element);
        if (!text) return std::nullopt;
        if (!joined.empty()) joined += ',';
        joined += *text;
    }
    return joined;
}

}  // namespace

CommandLine read_command_line(int argc, const char* const* argv) {
    CommandLine line;
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument = argv[i];
        if (const auto action = action_of(argument)) {
            // Help is asked for by those whose command line is wrong: it wins over what else is there.
            if (line.action != Action::help) line.action = *action;
            continue;
        }
        if (!argument.starts_with("--") || argument.size() < 3) {
            // Not quoted: it may be the value of a secret that lost its flag.
            line.problems.push_back(
                fmt::format("argument {} is not a flag; settings are given as --name value", i));
            continue;
        }
        const std::size_t equals = argument.find('=');
        const std::string flag(argument.substr(0, equals));
        std::string value;
        if (equals != std::string_view::npos) {
            value = argument.substr(equals + 1);
        } else if (i + 1 < argc && !std::string_view(argv[i + 1]).starts_with("--")) {
            value = argv[++i];
        } else {
            line.problems.push_back(flag + " lacks a value");
            continue;
        }
        if (flag == "--config")
            line.config_file = value;
        else
            line.flags[flag] = value;
    }
    return line;
}

SettingsFile read_settings_file(const std::string& path) {
    SettingsFile file;
    std::ifstream stream(path, std::ios::binary);
    if (!stream) {
        file.problems.push_back(fmt::format("--config: {} cannot be read", path));
        return file;
    }
    const std::string text(std::istreambuf_iterator<char>(stream), {});
    const toml::parse_result parsed = toml::parse(text, path);
    if (!parsed) {
        const auto where = parsed.error().source().begin;
        file.problems.push_back(fmt::format("{}:{}:{}: not valid TOML (is a text without quotes?)", path,
                                            where.line, where.column));
        return file;
    }
    for (const auto& [key, node] : parsed.table()) {
        const unsigned line = node.source().begin.line;
        if (auto value = node_text(node)) {
            file.entries.emplace(std::string(key.str()), FileEntry{std::move(*value), line});
        } else {
            file.problems.push_back(
                fmt::format("{}:{}: {} must be a string, a whole number, a boolean, or an array of them",
                            path, line, key.str()));
        }
    }
    return file;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
    // Three rows of the matrix of optimal string alignment.
    std::vector<std::size_t> before(b.size() + 1), previous(b.size() + 1), row(b.size() + 1);
    std::iota(previous.begin(), previous.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t substitution = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            row[j] = std::min({previous[j] + 1, row[j - 1] + 1, substitution});
            const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
        }
        std::swap(before, previous);
        std::swap(previous, row);
    }
    return previous[b.size()];
}

}  // namespace ee::config
