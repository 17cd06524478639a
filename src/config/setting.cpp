#include "config/setting.h"

#include <fmt/format.h>

namespace ee::config {
namespace {

// "auto, json or text" from "auto json text".
std::string join_words(std::string_view words) {
    std::string out;
    while (!words.empty()) {
        const std::size_t space = words.find(' ');
        const std::string_view word = words.substr(0, space);
        words.remove_prefix(space == std::string_view::npos ? words.size() : space + 1);
        if (!out.empty()) out += words.empty() ? " or " : ", ";
        out += word;
    }
    return out;
}

std::string bytes_text(std::int64_t bytes) {
    constexpr std::int64_t kib = 1024;
    if (bytes % (kib * kib * kib) == 0) return fmt::format("{} GiB", bytes / (kib * kib * kib));
    if (bytes % (kib * kib) == 0) return fmt::format("{} MiB", bytes / (kib * kib));
    if (bytes % kib == 0) return fmt::format("{} KiB", bytes / kib);
    return fmt::format("{}", bytes);
}

}  // namespace

std::string_view binary_name(Program program) {
    return program == Program::agent ? "easyenclave-agent" : "easyenclave-control";
}

const Setting* find_setting(std::string_view name, Program program) {
    for (const Setting& setting : settings())
        if (setting.name == name && concerns(setting.program, program)) return &setting;
    return nullptr;
}

std::string flag_of(std::string_view name) {
    if (name.starts_with("EE_")) name.remove_prefix(3);
    std::string flag = "--";
    for (const char c : name) {
        if (c == '_')
            flag += '-';
        else
            flag += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    return flag;
}

std::string allowed_values(const Rule& rule) {
    switch (rule.kind) {
        case Kind::reserved: return "left unset: it is not available in this version";
        case Kind::bind_address: return "an IPv4 or IPv6 address, e.g. 0.0.0.0 or ::";
        case Kind::integer: {
            const std::string unit = rule.unit.empty() ? "" : fmt::format(" of {}", rule.unit);
            return fmt::format("a whole number{} from {} to {}", unit, rule.min, rule.max);
        }
        case Kind::bytes:
            return fmt::format("a number of bytes, or of KiB, MiB or GiB, from {} to {}",
                               bytes_text(rule.min), bytes_text(rule.max));
        case Kind::boolean: return "true, yes, on or 1; or false, no, off or 0";
        case Kind::choice: return join_words(rule.words);
        case Kind::file: return "a file that can be read";
        case Kind::directory: return "a folder that exists";
        case Kind::path: return "a path";
        case Kind::url: {
            std::string_view schemes = rule.words;
            const bool none = schemes.ends_with(" none");
            if (none) schemes.remove_suffix(5);
            return fmt::format("a URL with the scheme {}, a host and no user name{}", join_words(schemes),
                               none ? "; or none" : "");
        }
        case Kind::origin: {
            std::string_view schemes = rule.words;
            const bool sockets = schemes.ends_with(" unix");
            if (sockets) schemes.remove_suffix(5);
            const bool http2 = schemes.find("h2c") != std::string_view::npos;
            return fmt::format("a URL with the scheme {}, a host, perhaps a port, and nothing after it{}{}{}",
                               join_words(schemes), sockets ? "; or unix:" : "",
                               sockets && http2 ? " or h2c+unix:" : "",
                               sockets ? " and an absolute path" : "");
        }
        case Kind::tokens:
            return rule.max == 1 ? "one token of visible ASCII characters other than a comma"
                                 : "one token or several, separated by commas, of visible ASCII characters";
        case Kind::networks:
            return "networks such as 10.0.0.0/8, addresses, and the words loopback, docker, cloudflare and "
                   "none, "
                   "separated by commas";
        case Kind::domain: return "a DNS name, e.g. apps.example.com";
        case Kind::dns_label: return "1 to 63 of a-z, 0-9 and -, neither first nor last a -";
        case Kind::repository:
            return "owner/name: up to 39 of A-Z, a-z, 0-9 and -, then up to 100 of those, . and _";
        case Kind::release_tag:
            return "1 to 128 characters without a leading /, \\, .. or control characters";
        case Kind::network_name: return "1 to 64 of A-Z, a-z, 0-9, ., _ and -";
        case Kind::identifier: return "1 to 128 of A-Z, a-z, 0-9, ., _, : and -";
    }
    return {};
}

}  // namespace ee::config
