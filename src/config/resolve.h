#pragma once
// Chooses each setting's value by precedence and checks it. What is wrong is gathered, not thrown.

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.h"
#include "config/exit_request.h"
#include "config/setting.h"
#include "config/sources.h"

namespace ee::config {

struct ResolvedSetting {
    const Setting* setting = nullptr;
    std::string text;    // Empty with `is_set` false: unset, and no default.
    std::string origin;  // "flag --control-port", "environment", "ee.toml:3", "default".
    bool is_set = false;
    bool is_default = false;
    bool is_valid = true;
};

// Every setting of one program. The typed getters may be called for valid settings; an invalid or unset one
// reads as a zero value, and the problems say so before anybody uses it.
class Resolved {
public:
    Resolved(Program program, const CommandLine& line, const Environment& environment);

    const std::vector<ResolvedSetting>& all() const { return all_; }
    const std::vector<std::string>& problems() const { return problems_; }
    const std::vector<std::string>& warnings() const { return warnings_; }
    void add_problem(std::string sentence) { problems_.push_back(std::move(sentence)); }
    void add_warning(std::string sentence) { warnings_.push_back(std::move(sentence)); }

    bool is_set(std::string_view name) const { return find(name).is_set; }
    bool is_valid(std::string_view name) const { return find(name).is_valid; }
    std::string text(std::string_view name) const;
    std::optional<std::string> optional_text(std::string_view name) const;
    std::optional<std::filesystem::path> optional_path(std::string_view name) const;
    std::int64_t integer(std::string_view name) const;  // Bytes, too.
    std::chrono::seconds seconds(std::string_view name) const { return std::chrono::seconds(integer(name)); }
    std::chrono::days days(std::string_view name) const {
        return std::chrono::days(static_cast<std::chrono::days::rep>(integer(name)));
    }
    std::size_t size(std::string_view name) const { return static_cast<std::size_t>(integer(name)); }
    std::optional<bool> boolean(std::string_view name) const;
    std::vector<std::string> networks(std::string_view name) const;
    std::vector<Secret> tokens(std::string_view name) const;

private:
    struct Sources;

    const ResolvedSetting& find(std::string_view name) const;
    void resolve(const Setting& setting, const Sources& sources);
    bool read_secret_file(ResolvedSetting& resolved, const std::string& path, const std::string& origin);
    void check(ResolvedSetting& resolved);
    void report_unknown(Program program, const Sources& sources);
    std::string nearest_name(std::string_view name, Program program) const;

    std::vector<ResolvedSetting> all_;
    std::vector<std::string> problems_;
    std::vector<std::string> warnings_;
};

}  // namespace ee::config
