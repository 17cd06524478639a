#include "net/url.h"

#include <algorithm>
#include <charconv>

#include "net/address.h"

namespace ee::net {
namespace {

std::uint16_t default_port(std::string_view scheme) {
    if (scheme == "ws" || scheme == "http" || scheme == "h2c") return 80;
    if (scheme == "wss" || scheme == "https") return 443;
    return 0;
}

}  // namespace

std::string Url::authority() const {
    if (is_unix()) return "localhost";
    std::string out = host.find(':') == std::string::npos ? host : "[" + host + "]";
    if (port != default_port(scheme)) out += ":" + std::to_string(port);
    return out;
}

bool Url::is_loopback() const {
    if (is_unix() || host == "localhost") return true;
    const auto ip = IpAddress::parse(host);
    return ip && ip->is_loopback();
}

Result<Url> parse_url(std::string_view text) {
    const auto refuse = [&](const char* why) {
        return fail("invalid_url", "\"" + std::string(text) + "\": " + why);
    };
    for (const char c : text)
        if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f)
            return refuse("has a space or control character");

    Url url;
    url.scheme = text.substr(0, std::min(text.find(':'), text.size()));
    if (url.is_unix()) {
        url.host = text.substr(std::min(url.scheme.size() + 1, text.size()));
        if (url.host.empty() || url.host.front() != '/')
            return refuse("unix: takes an absolute path, as in unix:/run/app.sock");
        if (url.host.size() > 107) return refuse("a Unix socket's path has at most 107 bytes");
        return url;
    }
    const std::size_t colon = text.find("://");
    if (colon == std::string_view::npos) return refuse("has no scheme, as in http://host:port");
    url.scheme = text.substr(0, colon);
    std::transform(url.scheme.begin(), url.scheme.end(), url.scheme.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    url.port = default_port(url.scheme);
    if (url.port == 0) return refuse("the scheme must be one of ws, wss, http, https, h2c, unix, h2c+unix");

    std::string_view rest = text.substr(colon + 3);
    const std::size_t end = rest.find_first_of("/?#");
    if (end != std::string_view::npos) {
        url.path = rest.substr(end);
        if (url.path.find('#') != std::string::npos) return refuse("a fragment has no meaning here");
        if (url.path.front() == '?') url.path.insert(0, "/");
        rest = rest.substr(0, end);
    }
    if (rest.find('@') != std::string_view::npos) return refuse("user information is not allowed");

    std::string_view port;
    if (rest.starts_with('[')) {
        const std::size_t close = rest.find(']');
        if (close == std::string_view::npos) return refuse("the IPv6 address is not closed");
        url.host = rest.substr(1, close - 1);
        if (!IpAddress::parse(url.host)) return refuse("no IPv6 address between the brackets");
        rest = rest.substr(close + 1);
        if (!rest.empty() && rest.front() != ':') return refuse("only a port may follow the IPv6 address");
        if (!rest.empty()) port = rest.substr(1);
    } else {
        const std::size_t at = rest.find(':');
        url.host = rest.substr(0, at);
        if (at != std::string_view::npos) port = rest.substr(at + 1);
    }
    if (url.host.empty()) return refuse("has no host");
    if (!port.empty()) {
        unsigned number = 0;
        const auto [stop, error] = std::from_chars(port.data(), port.data() + port.size(), number);
        if (error != std::errc{} || stop != port.data() + port.size() || number == 0 || number > 65535)
            return refuse("the port must be 1-65535");
        url.port = static_cast<std::uint16_t>(number);
    }
    return url;
}

}  // namespace ee::net
