#include "config/resolve.h"

#include <fstream>

#include <fmt/format.h>

#include "base/check.h"
#include "config/value.h"

namespace ee::config {
namespace {

constexpr std::size_t secret_file_bytes_max = 64 * 1024;

struct Candidate {
    std::string text;
    std::string origin;
};

std::string file_variant(std::string_view name) {
    return std::string(name) + "_FILE";
}

// Whether some program knows the name: an environment file is often shared by both.
bool is_known_anywhere(std::string_view name) {
    for (const Setting& setting : settings())
        if (setting.name == name || (setting.rule.secret && file_variant(setting.name) == name)) return true;
    return false;
}

}  // namespace

struct Resolved::Sources {
    const CommandLine& line;
    const Environment& environment;
    const SettingsFile& file;

    std::optional<Candidate> from_flag(std::string_view name) const {
        const std::string flag = flag_of(name);
        const auto found = line.flags.find(flag);
        if (found == line.flags.end()) return std::nullopt;
        return Candidate{found->second, "flag " + flag};
    }
    std::optional<Candidate> from_environment(std::string_view name) const {
        const auto found = environment.find(name);
        if (found == environment.end()) return std::nullopt;
        return Candidate{found->second, "environment"};
    }
    std::optional<Candidate> from_file(std::string_view name) const {
        const auto found = file.entries.find(name);
        if (found == file.entries.end()) return std::nullopt;
        return Candidate{found->second.text, fmt::format("{}:{}", line.config_file, found->second.line)};
    }
    using Lookup = std::optional<Candidate> (Sources::*)(std::string_view) const;
    static constexpr Lookup by_precedence[] = {&Sources::from_flag, &Sources::from_environment,
                                               &Sources::from_file};
};

Resolved::Resolved(Program program, const CommandLine& line, const Environment& environment)
    : problems_(line.problems) {
    SettingsFile file;
    if (!line.config_file.empty()) file = read_settings_file(line.config_file);
    problems_.insert(problems_.end(), file.problems.begin(), file.problems.end());

    const Sources sources{line, environment, file};
    for (const Setting& setting : settings())
        if (concerns(setting.program, program)) resolve(setting, sources);
    report_unknown(program, sources);
}

void Resolved::resolve(const Setting& setting, const Sources& sources) {
    ResolvedSetting resolved;
    resolved.setting = &setting;
    for (const auto lookup : Sources::by_precedence) {
        auto direct = (sources.*lookup)(setting.name);
        const auto by_file =
            setting.rule.secret ? (sources.*lookup)(file_variant(setting.name)) : std::nullopt;
        // An empty value means unset, so that `NAME=` in an environment file falls back to the default. A
        // list of tokens is different: left empty it closes the role, whatever a weaker source says.
        const bool counts = direct && (!direct->text.empty() || setting.rule.kind == Kind::tokens);
        if (counts && by_file && !direct->text.empty()) {
            problems_.push_back(fmt::format("{} and {} are both set ({}); set one of them", setting.name,
                                            file_variant(setting.name), direct->origin));
            resolved.is_valid = false;
        } else if (by_file && !by_file->text.empty()) {
            resolved.is_set = read_secret_file(resolved, by_file->text, by_file->origin);
        } else if (counts) {
            resolved.text = std::move(direct->text);
            resolved.origin = std::move(direct->origin);
            resolved.is_set = true;
        } else {
            continue;
        }
        check(resolved);
        all_.push_back(std::move(resolved));
        return;
    }
    if (!setting.fallback.empty()) {
        resolved.text = setting.fallback;
        resolved.origin = "default";
        resolved.is_set = true;
        resolved.is_default = true;
    }
    check(resolved);
    all_.push_back(std::move(resolved));
}

bool Resolved::read_secret_file(ResolvedSetting& resolved, const std::string& path,
                                const std::string& origin) {
    const std::string name = file_variant(resolved.setting->name);
    resolved.origin = fmt::format("{} of {}", path, origin);
    std::ifstream stream(path, std::ios::binary);
    std::string text(secret_file_bytes_max + 1, '\0');
    if (!std::filesystem::is_directory(path) && stream)
        stream.read(text.data(), std::ssize(text));
    else
        stream.setstate(std::ios::badbit);
    if (stream.bad()) {
        problems_.push_back(fmt::format("{} = {} ({}): must be a file that can be read", name, path, origin));
        resolved.is_valid = false;
        return false;
    }
    text.resize(static_cast<std::size_t>(stream.gcount()));
    if (text.size() > secret_file_bytes_max) {
        problems_.push_back(fmt::format("{} = {} ({}): must hold at most 64 KiB", name, path, origin));
        resolved.is_valid = false;
        return false;
    }
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
        text.pop_back();
    resolved.text = std::move(text);
    return true;
}

void Resolved::check(ResolvedSetting& resolved) {
    const Setting& setting = *resolved.setting;
    if (!resolved.is_valid) return;
    if (!resolved.is_set) {
        if (!setting.rule.required) return;
        problems_.push_back(
            fmt::format("{} is not set: must be {}", setting.name, allowed_values(setting.rule)));
        resolved.is_valid = false;
        return;
    }
    if (setting.rule.kind == Kind::reserved) {
        warnings_.push_back(fmt::format("{} ({}) has no effect: {} is not available in this version",
                                        setting.name, resolved.origin, setting.name));
        return;
    }
    if (accepts(setting.rule, resolved.text)) return;
    resolved.is_valid = false;
    const std::string allowed = allowed_values(setting.rule);
    if (setting.rule.secret)
        problems_.push_back(fmt::format("{} ({}): must be {}", setting.name, resolved.origin, allowed));
    else
        problems_.push_back(fmt::format("{} = \"{}\" ({}): must be {}", setting.name, resolved.text,
                                        resolved.origin, allowed));
}

void Resolved::report_unknown(Program program, const Sources& sources) {
    const auto knows = [program](std::string_view name) {
        if (find_setting(name, program) != nullptr) return true;
        constexpr std::string_view suffix = "_FILE";
        if (!name.ends_with(suffix)) return false;
        const Setting* secret = find_setting(name.substr(0, name.size() - suffix.size()), program);
        return secret != nullptr && secret->rule.secret;
    };
    for (const auto& [name, value] : sources.environment) {
        if (!name.starts_with("EE_") || is_known_anywhere(name)) continue;
        warnings_.push_back(
            fmt::format("{} (environment) is not a setting and has no effect; the nearest name is {}", name,
                        nearest_name(name, program)));
    }
    for (const auto& [name, entry] : sources.file.entries) {
        if (is_known_anywhere(name)) continue;
        warnings_.push_back(
            fmt::format("{} ({}:{}) is not a setting and has no effect; the nearest name is {}", name,
                        sources.line.config_file, entry.line, nearest_name(name, program)));
    }
    for (const auto& [flag, value] : sources.line.flags) {
        // A mistyped flag is a mistake in this very command, so it stops the program; a variable may be meant
        // for another one.
        std::string name;
        for (const char c : flag.substr(2))
            name += c == '-' ? '_' : (c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c);
        if ((knows("EE_" + name) || knows(name)) && flag == flag_of(name)) continue;
        problems_.push_back(fmt::format("{} is not a flag of {}; the nearest one is {}", flag,
                                        binary_name(program), flag_of(nearest_name("EE_" + name, program))));
    }
}

std::string Resolved::nearest_name(std::string_view name, Program program) const {
    std::string_view nearest;
    std::size_t least = std::string::npos;
    for (const Setting& setting : settings()) {
        if (!concerns(setting.program, program) || setting.rule.kind == Kind::reserved) continue;
        const std::size_t distance = edit_distance(name, setting.name);
        if (distance < least) {
            least = distance;
            nearest = setting.name;
        }
    }
    return std::string(nearest);
}

const ResolvedSetting& Resolved::find(std::string_view name) const {
    for (const ResolvedSetting& resolved : all_)
        if (resolved.setting->name == name) return resolved;
    EE_CHECK(!"a getter names a setting that the table does not have for this program");
    return all_.front();
}

std::string Resolved::text(std::string_view name) const {
    return find(name).text;
}

std::optional<std::string> Resolved::optional_text(std::string_view name) const {
    const ResolvedSetting& resolved = find(name);
    return resolved.is_set ? std::optional(resolved.text) : std::nullopt;
}

std::optional<std::filesystem::path> Resolved::optional_path(std::string_view name) const {
    const ResolvedSetting& resolved = find(name);
    return resolved.is_set ? std::optional<std::filesystem::path>(resolved.text) : std::nullopt;
}

std::int64_t Resolved::integer(std::string_view name) const {
    const ResolvedSetting& resolved = find(name);
    if (!resolved.is_valid) return 0;
    return resolved.setting->rule.kind == Kind::bytes ? parse_byte_size(resolved.text).value_or(0)
                                                      : parse_integer(resolved.text).value_or(0);
}

std::optional<bool> Resolved::boolean(std::string_view name) const {
    return parse_boolean(find(name).text);
}

std::vector<std::string> Resolved::networks(std::string_view name) const {
    return parse_networks(find(name).text).value_or(std::vector<std::string>{});
}

std::vector<Secret> Resolved::tokens(std::string_view name) const {
    std::vector<Secret> secrets;
    for (std::string& token : parse_tokens(find(name).text).value_or(std::vector<std::string>{}))
        secrets.emplace_back(std::move(token));
    return secrets;
}

}  // namespace ee::config
