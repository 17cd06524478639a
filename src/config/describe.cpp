#include "config/describe.h"

#include <fmt/format.h>

#include "base/json_writer.h"
#include "config/value.h"

namespace ee::config {
namespace {

std::string fallback_text(const Setting& setting) {
    if (setting.rule.required) return "required";
    return setting.fallback.empty() ? "none" : fmt::format("`{}`", setting.fallback);
}

// Of a URL it is seen where it leads to.
std::string masked(const Setting& setting, const std::string& text) {
    constexpr std::string_view mask = "********";
    if (!setting.rule.secret || text.empty()) return text;
    if (setting.rule.kind != Kind::url) return std::string(mask);
    const std::size_t path = text.find_first_of("/?", text.find("://") + 3);
    return path == std::string::npos ? text : text.substr(0, path + 1).append(mask);
}

std::string marks_of(const Setting& setting, Program program) {
    const bool reread = setting.rule.reread && program == Program::control_plane;
    if (!setting.rule.secret && !reread) return "";
    return fmt::format(" ({}{}{})", setting.rule.secret ? "secret" : "",
                       setting.rule.secret && reread ? ", " : "", reread ? "SIGHUP" : "");
}

void append_table(std::string& out, Program program) {
    out += "| setting | flag | default | meaning | must be |\n|---|---|---|---|---|\n";
    for (const Setting& setting : settings()) {
        if (!concerns(setting.program, program) || setting.rule.kind == Kind::reserved) continue;
        fmt::format_to(std::back_inserter(out), "| `{}`{} | `{}` | {} | {} | {} |\n", setting.name,
                       marks_of(setting, program), flag_of(setting.name), fallback_text(setting),
                       setting.help, allowed_values(setting.rule));
    }
}

void append_reserved(std::string& out, Program program) {
    out += "\nKnown, but not available in this version; setting one is a warning:";
    const char* separator = " ";
    for (const Setting& setting : settings()) {
        if (!concerns(setting.program, program) || setting.rule.kind != Kind::reserved) continue;
        fmt::format_to(std::back_inserter(out), "{}`{}`", separator, setting.name);
        separator = ", ";
    }
    out += ".\n";
}

constexpr std::string_view introduction = R"(# Configuration

<!-- Generated from src/config/settings_table.cpp by `make docs`; a test fails when it is stale. -->

A value is taken from the first of: command-line flag, environment variable, TOML file (`--config FILE`),
default. Flags are written `--name value` or `--name=value`; the file has the variables' names as keys:

```toml
EE_CONTROL_PORT = 8443
EE_TRUSTED_PROXIES = ["loopback", "10.0.0.0/8"]
```

- An empty value means unset. Empty tokens close their role.
- Each secret can be kept in a file instead, named by `<NAME>_FILE` (for example
  `EE_ADMIN_TOKEN_FILE=/run/secrets/admin`); white space at its end is dropped. Setting both is refused.
- Tokens are comma-separated lists, so that a new one can be added before the old one is removed.
- `--check-config` checks everything, what the files hold included, names every bad setting at once and exits
  78; it leaves nothing behind. Starting checks the same. What the database holds and who has the
  ports only a start finds out.
- `--print-config` shows the values in effect and where each came from, with secrets masked.
- On `SIGHUP` the control plane reads the settings marked so again, and the files that they name. What else
  has changed counts after a restart: the log names it (`control.restart_needed`).
- A variable beginning with `EE_` that neither program knows is a warning that names the nearest one.
)";

}  // namespace

std::string_view version() {
    return EE_VERSION;
}

std::string help_text(Program program) {
    std::string out = fmt::format(
        "Usage: {} [--config FILE] [--SETTING VALUE]...\n\n"
        "  --config FILE      read settings from a TOML file\n"
        "  --check-config     check every setting and exit: 0 good, {} bad\n"
        "  --print-config     show the settings in effect and where each came from, and exit\n"
        "  --version          show the version and exit\n"
        "  --help             show this and exit\n\n"
        "Each setting is a flag, an environment variable or a key of the file, in this order of precedence.\n"
        "Secrets (*) can be kept in a file: --NAME-file FILE or <NAME>_FILE.\n",
        binary_name(program), exit_config_invalid);
    for (const Setting& setting : settings()) {
        if (!concerns(setting.program, program) || setting.rule.kind == Kind::reserved) continue;
        fmt::format_to(std::back_inserter(out), "\n  {} VALUE, {}{} ({})\n      {}\n", flag_of(setting.name),
                       setting.name, setting.rule.secret ? " *" : "", fallback_text(setting), setting.help);
    }
    return out;
}

std::string print_text(const Resolved& resolved) {
    std::string out;
    for (const ResolvedSetting& entry : resolved.all()) {
        const Setting& setting = *entry.setting;
        if (setting.rule.kind == Kind::reserved) continue;
        if (!entry.is_set) {
            fmt::format_to(std::back_inserter(out), "# {} is not set\n", setting.name);
            continue;
        }
        std::string value;
        if (setting.rule.kind == Kind::integer)
            value = entry.text;
        else
            append_json_string(value, masked(setting, entry.text));
        fmt::format_to(std::back_inserter(out), "{} = {}  # {}\n", setting.name, value, entry.origin);
    }
    return out;
}

std::string problems_text(Program program, const Resolved& resolved) {
    std::string out = fmt::format("{}: the configuration has {} problem{}:\n", binary_name(program),
                                  resolved.problems().size(), resolved.problems().size() == 1 ? "" : "s");
    for (const std::string& problem : resolved.problems()) out += "  " + problem + '\n';
    for (const std::string& warning : resolved.warnings()) out += "  warning: " + warning + '\n';
    return out;
}

std::string check_text(Program program, const Resolved& resolved) {
    std::string out = fmt::format("{}: the configuration is good\n", binary_name(program));
    for (const std::string& warning : resolved.warnings()) out += "  warning: " + warning + '\n';
    return out;
}

std::string configuration_markdown() {
    std::string out(introduction);
    out += "\n## Control plane (`easyenclave-control`)\n\n";
    append_table(out, Program::control_plane);
    append_reserved(out, Program::control_plane);
    out += "\n## Agent (`easyenclave-agent`)\n\n";
    append_table(out, Program::agent);
    append_reserved(out, Program::agent);
    return out;
}

}  // namespace ee::config
