#include "config/value.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <unistd.h>

#include <arpa/inet.h>

#include "base/names.h"

namespace ee::config {
namespace {

constexpr bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
constexpr char to_lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string lower_case(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(), to_lower);
    return out;
}

std::string_view trim(std::string_view text) {
    constexpr std::string_view blank = " \t\r\n";
    const std::size_t first = text.find_first_not_of(blank);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blank) - first + 1);
}

std::vector<std::string_view> split_list(std::string_view text) {
    std::vector<std::string_view> parts;
    for (;;) {
        const std::size_t comma = text.find(',');
        parts.push_back(trim(text.substr(0, comma)));
        if (comma == std::string_view::npos) return parts;
        text.remove_prefix(comma + 1);
    }
}

// Private networks that Docker takes for its bridges, and the edge networks that Cloudflare publishes.
constexpr std::string_view loopback_networks[] = {"127.0.0.0/8", "::1/128"};
constexpr std::string_view docker_networks[] = {"172.16.0.0/12"};
constexpr std::string_view cloudflare_networks[] = {
    "173.245.48.0/20",  "103.21.244.0/22", "103.22.200.0/22", "103.31.4.0/22",    "141.101.64.0/18",
    "108.162.192.0/18", "190.93.240.0/20", "188.114.96.0/20", "197.234.240.0/22", "198.41.128.0/17",
    "162.158.0.0/15",   "104.16.0.0/13",   "104.24.0.0/14",   "172.64.0.0/13",    "131.0.72.0/22",
    "2400:cb00::/32",   "2606:4700::/32",  "2803:f800::/32",  "2405:b500::/32",   "2405:8100::/32",
    "2a06:98c0::/29",   "2c0f:f248::/32"};

std::span<const std::string_view> networks_of_word(std::string_view word) {
    if (word == "loopback") return loopback_networks;
    if (word == "docker") return docker_networks;
    if (word == "cloudflare") return cloudflare_networks;
    return {};
}

bool is_network(std::string_view text) {
    const std::size_t slash = text.find('/');
    const std::string_view address = text.substr(0, slash);
    if (!is_ip_address(address)) return false;
    if (slash == std::string_view::npos) return true;
    const auto bits = parse_integer(text.substr(slash + 1));
    return bits && *bits <= (address.find(':') == std::string_view::npos ? 32 : 128);
}

bool is_host(std::string_view host) {
    if (host.starts_with('[')) {
        return host.ends_with(']') && host.find(':') != std::string_view::npos &&
               is_ip_address(host.substr(1, host.size() - 2));
    }
    return is_domain(host);  // Dotted IPv4 reads as a name, too.
}

}  // namespace

std::optional<std::int64_t> parse_integer(std::string_view text) {
    std::int64_t value = 0;
    const char* end = text.data() + text.size();
    if (text.empty() || !is_digit(text.front())) return std::nullopt;
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc{} || stop != end) return std::nullopt;
    return value;
}

std::optional<std::int64_t> parse_byte_size(std::string_view text) {
    const auto digits_end = std::find_if_not(text.begin(), text.end(), is_digit);
    const auto digits = static_cast<std::size_t>(digits_end - text.begin());
    const auto number = parse_integer(text.substr(0, digits));
    if (!number) return std::nullopt;
    const std::string unit = lower_case(trim(text.substr(digits)));
    int shift = 0;
    if (unit == "kib")
        shift = 10;
    else if (unit == "mib")
        shift = 20;
    else if (unit == "gib")
        shift = 30;
    else if (!unit.empty() && unit != "b")
        return std::nullopt;
    if (*number > (std::numeric_limits<std::int64_t>::max() >> shift)) return std::nullopt;
    return *number << shift;
}

std::optional<bool> parse_boolean(std::string_view text) {
    const std::string word = lower_case(text);
    if (word == "true" || word == "yes" || word == "on" || word == "1") return true;
    if (word == "false" || word == "no" || word == "off" || word == "0") return false;
    return std::nullopt;
}

std::optional<std::vector<std::string>> parse_networks(std::string_view text) {
    std::vector<std::string> networks;
    if (trim(text) == "none") return networks;
    for (const std::string_view part : split_list(text)) {
        const auto expanded = networks_of_word(part);
        if (expanded.empty() && !is_network(part)) return std::nullopt;
        if (expanded.empty())
            networks.emplace_back(part);
        else
            networks.insert(networks.end(), expanded.begin(), expanded.end());
    }
    return networks;
}

std::optional<std::vector<std::string>> parse_tokens(std::string_view text) {
    std::vector<std::string> tokens;
    for (const std::string_view token : split_list(text)) {
        const bool visible =
            std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c <= '~'; });
        if (token.empty() || !visible) return std::nullopt;
        tokens.emplace_back(token);
    }
    return tokens;
}

bool is_ip_address(std::string_view text) {
    if (text.find('\0') != std::string_view::npos) return false;
    const std::string address(text);
    unsigned char octets[16];
    return ::inet_pton(AF_INET, address.c_str(), octets) == 1 ||
           ::inet_pton(AF_INET6, address.c_str(), octets) == 1;
}

bool is_domain(std::string_view text) {
    if (text.empty() || text.size() > 253) return false;
    const std::string name = lower_case(text);
    std::string_view rest = name;
    for (;;) {
        const std::size_t dot = rest.find('.');
        if (!is_app_name(rest.substr(0, dot))) return false;
        if (dot == std::string_view::npos) return true;
        rest.remove_prefix(dot + 1);
    }
}

bool is_url(std::string_view text, std::string_view schemes, bool origin_only) {
    const bool http2 = (' ' + std::string(schemes) + ' ').find(" h2c ") != std::string::npos;
    if (http2 && text.starts_with("h2c+unix:")) text.remove_prefix(4);
    if (text.starts_with("unix:") && schemes.ends_with(" unix")) {
        return text.substr(5).starts_with('/') && text.find('\0') == std::string_view::npos;
    }
    const std::size_t colon = text.find("://");
    if (colon == std::string_view::npos || colon == 0 || text.starts_with("unix:")) return false;
    const std::string scheme = ' ' + std::string(text.substr(0, colon)) + ' ';
    if ((' ' + std::string(schemes) + ' ').find(scheme) == std::string::npos) return false;
    const std::string_view rest = text.substr(colon + 3);
    if (!std::all_of(rest.begin(), rest.end(), [](char c) { return c > ' ' && c <= '~' && c != '#'; }))
        return false;

    const std::size_t authority_end = std::min(rest.find('/'), rest.find('?'));
    const std::string_view authority = rest.substr(0, authority_end);
    const std::string_view target = authority_end == std::string_view::npos ? "" : rest.substr(authority_end);
    if (origin_only && !target.empty() && target != "/") return false;

    const std::size_t bracket = authority.rfind(']');
    const std::size_t port_colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
    if (port_colon == std::string_view::npos) return is_host(authority);
    const auto port = parse_integer(authority.substr(port_colon + 1));
    return port && *port >= 1 && *port <= 65535 && is_host(authority.substr(0, port_colon));
}

bool accepts(const Rule& rule, std::string_view text) {
    const auto in_range = [&rule](std::optional<std::int64_t> value) {
        return value && *value >= rule.min && *value <= rule.max;
    };
    std::error_code ignored;
    switch (rule.kind) {
        case Kind::reserved: return true;
        case Kind::bind_address: return is_ip_address(text);
        case Kind::integer: return in_range(parse_integer(text));
        case Kind::bytes: return in_range(parse_byte_size(text));
        case Kind::boolean: return parse_boolean(text).has_value();
        case Kind::choice: {
            const std::string word = ' ' + std::string(text) + ' ';
            return text.find(' ') == std::string_view::npos &&
                   (' ' + std::string(rule.words) + ' ').find(word) != std::string::npos;
        }
        case Kind::file: {
            const std::string path(text);
            return !std::filesystem::is_directory(path, ignored) && ::access(path.c_str(), R_OK) == 0;
        }
        case Kind::directory: return std::filesystem::is_directory(text, ignored);
        case Kind::path: return text.find('\0') == std::string_view::npos;
        case Kind::url:
            return (text == "none" && rule.words.ends_with(" none")) || is_url(text, rule.words, false);
        case Kind::origin: return is_url(text, rule.words, true);
        case Kind::tokens: {
            const auto tokens = parse_tokens(text);
            return text.empty() || (tokens && std::ssize(*tokens) <= rule.max);
        }
        case Kind::networks: return parse_networks(text).has_value();
        case Kind::domain: return is_domain(text);
        case Kind::dns_label: return is_app_name(text);
        case Kind::network_name: return is_network_name(text);
        case Kind::repository: return is_repo(text);
        case Kind::release_tag: return is_release_tag(text);
        case Kind::identifier: return is_agent_id(text);
    }
    return false;
}

}  // namespace ee::config
