#include "http/target.h"

#include <algorithm>
#include <array>

#include <arpa/inet.h>

#include "base/utf8.h"
#include "http/fields.h"

namespace ee::http {
namespace {

constexpr std::size_t host_size_max = 253;
constexpr std::size_t label_size_max = 63;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}
bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}
constexpr auto host_characters = [] {
    std::array<bool, 256> table{};
    for (const char c : std::string_view("-._0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))
        table[static_cast<unsigned char>(c)] = true;
    return table;
}();
bool is_host_text(std::string_view text) {
    for (const char c : text)
        if (!host_characters[static_cast<unsigned char>(c)]) return false;
    return true;
}

int hex_value(char c) {
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '%') {
            if (text.size() - i < 3) return std::nullopt;
            const int high = hex_value(text[i + 1]);
            const int low = hex_value(text[i + 2]);
            if ((high | low) < 0) return std::nullopt;
            c = static_cast<char>(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (is_control(c)) return std::nullopt;
        out.push_back(c);
    }
    if (!is_utf8(out)) return std::nullopt;
    return out;
}

bool is_address(int family, std::string_view text) {
    char zero_ended[INET6_ADDRSTRLEN];
    unsigned char address[16];
    if (text.size() >= sizeof zero_ended) return false;
    std::copy(text.begin(), text.end(), zero_ended);
    zero_ended[text.size()] = '\0';
    return inet_pton(family, zero_ended, address) == 1;
}

// 1-65535; leading zeros do not matter, up to five digits.
std::optional<std::uint16_t> parse_port(std::string_view text) {
    if (text.size() > 5 || !std::all_of(text.begin(), text.end(), is_digit)) return std::nullopt;
    unsigned value = 0;
    for (const char c : text) value = value * 10 + static_cast<unsigned>(c - '0');
    if (value == 0 || value > 65535) return std::nullopt;
    return static_cast<std::uint16_t>(value);
}

}  // namespace

bool is_target_text(std::string_view text) {
    for (const char c : text) {
        if (c <= ' ' || c > '~' || c == '#') return false;
    }
    return !text.empty();
}

PathAndQuery split_origin_form(std::string_view origin_form) {
    const std::size_t mark = origin_form.find('?');
    if (mark == std::string_view::npos) return {origin_form, {}};
    return {origin_form.substr(0, mark), origin_form.substr(mark + 1)};
}

std::optional<std::string> percent_decode_segment(std::string_view segment) {
    return percent_decode(segment, false);
}

std::optional<QueryParameter> take_query_parameter(std::string_view& query) {
    std::string_view pair;
    while (pair.empty() && !query.empty()) {
        const std::size_t end = query.find('&');
        pair = query.substr(0, end);
        query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
    }
    if (pair.empty()) return std::nullopt;
    const std::size_t equals = pair.find('=');
    return QueryParameter{percent_decode(pair.substr(0, equals), true),
                          equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1)};
}

Result<std::optional<std::string>> query_parameter(std::string_view query, std::string_view name) {
    const auto refuse = [&](const char* detail) {
        return fail("invalid_parameter:" + std::string(name), detail);
    };
    std::optional<std::string> found;
    while (const auto parameter = take_query_parameter(query)) {
        if (parameter->name != name) continue;
        if (found) return refuse("the query has the parameter twice");
        found = percent_decode(parameter->value, true);
        if (!found) return refuse("the parameter's value does not decode to text");
    }
    return found;
}

std::optional<Authority> parse_authority(std::string_view text) {
    Authority out;
    std::string_view port;
    if (text.starts_with('[')) {
        const std::size_t close = text.find(']');
        if (close == std::string_view::npos) return std::nullopt;
        out.host = text.substr(1, close - 1);
        out.kind = Authority::Kind::ipv6;
        port = text.substr(close + 1);
        if (!is_address(AF_INET6, out.host)) return std::nullopt;
    } else {
        const std::size_t colon = text.find(':');
        out.host = text.substr(0, colon);
        port = colon == std::string_view::npos ? std::string_view() : text.substr(colon);
        if (out.host.empty() || out.host.size() > host_size_max) return std::nullopt;
        if (!is_host_text(out.host)) return std::nullopt;
        if (is_digit(out.host.front()) && is_address(AF_INET, out.host)) out.kind = Authority::Kind::ipv4;
    }
    if (port.empty()) return out;
    if (port.front() != ':') return std::nullopt;
    port.remove_prefix(1);
    if (port.empty()) return out;  // RFC 3986 section 3.2.3: the colon may stand alone.
    out.port = parse_port(port);
    if (!out.port) return std::nullopt;
    return out;
}

std::string_view first_label(std::string_view host) {
    return host.substr(0, host.find('.'));
}

bool is_under_domain(std::string_view host, std::string_view domain) {
    if (domain.empty() || host.size() < domain.size() + 2) return false;
    const std::size_t dot = host.size() - domain.size() - 1;
    return host[dot] == '.' && iequals(host.substr(dot + 1), domain);
}

bool is_dns_label(std::string_view label) {
    if (label.empty() || label.size() > label_size_max) return false;
    if (label.front() == '-' || label.back() == '-') return false;
    return std::all_of(label.begin(), label.end(),
                       [](char c) { return is_digit(c) || is_lower(c) || c == '-'; });
}

std::string to_lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        if (is_upper(c)) c = static_cast<char>(c | 0x20);
    }
    return out;
}

}  // namespace ee::http
