#include "proxy/visitor.h"

#include "base/hex.h"
#include "http/fields.h"
#include "http/target.h"
#include "telemetry/trace.h"

namespace ee::proxy {
namespace {

// The right-most untrusted element. A malformed one ends the search: what stands left of it was not
// written by anyone we trust.
net::IpAddress client_behind(std::span<const http::Field> fields, const net::IpAddress& peer,
                             const TrustSettings& settings) {
    net::IpAddress client = peer;
    for (std::size_t i = fields.size(); i-- > 0;) {
        if (!http::iequals(fields[i].name, "x-forwarded-for")) continue;
        std::string_view list = fields[i].value;
        while (!list.empty()) {
            const std::size_t comma = list.rfind(',');
            const std::string_view element =
                http::trim_whitespace(comma == std::string_view::npos ? list : list.substr(comma + 1));
            const auto ip = net::IpAddress::parse(element);
            if (!ip) return client;
            client = *ip;
            if (!contains(settings.trusted_proxies, client)) return client;
            if (comma == std::string_view::npos) break;
            list = list.substr(0, comma);
        }
    }
    return client;
}

std::optional<net::IpAddress> client_of_cloudflare(std::span<const http::Field> fields) {
    constexpr std::string_view name = "cf-connecting-ip";
    if (http::count(fields, name) != 1) return std::nullopt;
    return net::IpAddress::parse(http::trim_whitespace(*http::find(fields, name)));
}

Result<std::string> app_of_host(const http::RequestHead& head, bool peer_trusted,
                                const TrustSettings& settings) {
    const auto authority = http::parse_authority(head.authority);
    if (!authority || authority->kind != http::Authority::Kind::name)
        return fail("missing_app", "the Host is not a name, so no app is named");
    if (settings.app_domain.empty()) {
        if (!peer_trusted)
            return fail("missing_app",
                        "EE_APP_DOMAIN is not set, and only a trusted proxy may name an app otherwise");
    } else if (!http::is_under_domain(authority->host, settings.app_domain)) {
        return fail("missing_app", "the Host is not under " + settings.app_domain);
    }
    std::string app = http::to_lower(http::first_label(authority->host));
    if (!http::is_dns_label(app)) return fail("missing_app", "the Host's first label is not an app name");
    return app;
}

}  // namespace

std::string_view request_id_of(const http::RequestHead& head, crypto::RandomPool& random, std::string& made) {
    const auto given = http::find(head.fields, "x-request-id");
    if (given && telemetry::is_sane_request_id(*given)) return *given;
    made.clear();
    append_hex(made, random.take<16>());
    return made;
}

Visitor identify_visitor(const http::RequestHead& head, const net::Endpoint& peer,
                         const TrustSettings& settings) {
    Visitor visitor{peer.ip, contains(settings.trusted_proxies, peer.ip)};
    if (!visitor.peer_trusted) return visitor;
    const auto named =
        contains(settings.cloudflare, peer.ip) ? client_of_cloudflare(head.fields) : std::nullopt;
    visitor.client = named ? *named : client_behind(head.fields, peer.ip, settings);
    visitor.is_cloudflares_word = named.has_value();
    return visitor;
}

Result<std::string> select_app(const http::RequestHead& head, bool peer_trusted,
                               const TrustSettings& settings) {
    if (peer_trusted) {
        // Which of them the trusted peer wrote, and which its visitor, cannot be told.
        if (http::count(head.fields, "x-ee-app") > 1)
            return fail("missing_app", "there is more than one X-EE-App");
        if (const auto named = http::find(head.fields, "x-ee-app")) {
            std::string app = http::to_lower(*named);
            if (!http::is_dns_label(app))
                return fail("missing_app", "X-EE-App is not an app name (a DNS label)");
            return app;
        }
    }
    auto app = app_of_host(head, peer_trusted, settings);
    if (!app && !peer_trusted && http::find(head.fields, "x-ee-app"))
        app.error().detail += "; X-EE-App was ignored, since the peer is not in EE_TRUSTED_PROXIES";
    return app;
}

}  // namespace ee::proxy
