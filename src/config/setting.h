#pragma once
// The one table of settings. Flags, checks, --help, --print-config and docs/configuration.md come from it.

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace ee::config {

enum class Program : std::uint8_t { control_plane = 1, agent = 2, both = 3 };

constexpr bool concerns(Program setting, Program program) {
    return (static_cast<unsigned>(setting) & static_cast<unsigned>(program)) != 0;
}
// "easyenclave-control" or "easyenclave-agent".
std::string_view binary_name(Program program);

enum class Kind : std::uint8_t {
    reserved,      // Known, but not built yet: setting it has no effect and says so.
    bind_address,  // An IP address to listen on.
    integer,       // A whole number with a unit: ports, seconds, days, counts.
    bytes,         // A whole number with an optional KiB, MiB or GiB.
    boolean,
    choice,     // One of the words in `words`.
    file,       // Must exist and be readable.
    directory,  // Must exist.
    path,       // Made when needed.
    url,        // With a scheme from `words`; the word none when that is the last of them.
    origin,     // A URL of scheme, host and port only, or a Unix socket.
    tokens,     // Comma-separated secrets, at most `max`.
    networks,   // Comma-separated CIDRs, addresses and words.
    domain,     // A DNS name.
    dns_label,  // One label of it, lower case.
    network_name,
    repository,  // owner/name.
    release_tag,
    identifier,  // 1-128 of [A-Za-z0-9._:-].
};

// What a value may be. Made by the functions below, so that a row of the table reads as a sentence.
struct Rule {
    Kind kind = Kind::reserved;
    std::string_view words{};  // Space-separated choices or URL schemes.
    std::int64_t min = 0;
    std::int64_t max = std::numeric_limits<std::int64_t>::max();
    std::string_view unit{};
    bool secret = false;
    bool required = false;
    bool reread = false;  // At SIGHUP, by the control plane.
};

struct Setting {
    std::string_view name;
    Program program;
    Rule rule;
    std::string_view fallback;  // As one would write it; empty: none.
    std::string_view help;
};

std::span<const Setting> settings();

// The row for `name` that concerns `program`; nullptr when there is none. Several programs may have a row
// each for one name, a program has at most one.
const Setting* find_setting(std::string_view name, Program program);

// "--control-port" for "EE_CONTROL_PORT", "--cloudflare-zone" for "CLOUDFLARE_ZONE".
std::string flag_of(std::string_view name);

// What the setting accepts, as the end of "must be ...".
std::string allowed_values(const Rule& rule);

}  // namespace ee::config
