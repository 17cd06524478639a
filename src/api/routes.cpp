#include "api/routes.h"

#include "http/target.h"

namespace ee::api {
namespace {

constexpr Route table[] = {
    {"GET", "/health", Access::anyone, BodyLimit::none, get_health},
    {"GET", "/healthz", Access::anyone, BodyLimit::none, get_healthz},
    {"GET", "/readyz", Access::anyone, BodyLimit::none, get_readyz},
    {"GET", "/v1/tunnel", Access::anyone, BodyLimit::none, get_tunnel},
    {"GET", "/v1/resolve/{app}", Access::anyone, BodyLimit::none, get_resolve},
    {"POST", "/v1/proxy/{app}", Access::anyone, BodyLimit::enveloped, post_proxy},
    {any_method, "/v1/proxy/{app}/{path}", Access::anyone, BodyLimit::forwarded, any_proxy},
    {"GET", "/v1/apps", Access::admin, BodyLimit::none, get_apps},
    {"GET", "/v1/apps/{app}", Access::admin, BodyLimit::none, get_app},
    {"POST", "/v1/apps/{app}/allowlist", Access::admin, BodyLimit::none, post_allowlist},
    {"GET", "/v1/apps/{app}/evidence", Access::anyone, BodyLimit::none, get_evidence},
    {"GET", "/v1/collateral/{sha256}", Access::anyone, BodyLimit::none, get_collateral},
    {"GET", "/metrics", Access::metrics, BodyLimit::none, get_metrics},
    {"GET", "/openapi.yaml", Access::anyone, BodyLimit::none, get_openapi},
};

// Takes the first segment off `path`, which begins with '/'.
std::string_view take_segment(std::string_view& path) {
    path.remove_prefix(1);
    const std::size_t slash = path.find('/');
    const std::string_view segment = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash);
    return segment;
}

// Dot segments are segments like others, before and after they are decoded: nothing here leads upwards.
bool matches(const Route& route, std::string_view path, Match& match) {
    match.parameters.clear();
    std::string_view pattern = route.path;
    while (!pattern.empty() && !path.empty()) {
        const std::string_view before = path;
        const std::string_view expected = take_segment(pattern);
        if (pattern.empty() && route.method == any_method) {
            match.rest = before;
            return true;
        }
        const std::string_view segment = take_segment(path);
        if (!expected.starts_with('{')) {
            if (expected != segment) return false;
            continue;
        }
        auto decoded = http::percent_decode_segment(segment);
        if (!decoded || decoded->empty()) return false;
        match.parameters.push_back(std::move(*decoded));
    }
    return pattern.empty() && path.empty();
}

}  // namespace

std::span<const Route> routes() {
    return table;
}

Match find_route(std::string_view method, std::string_view path) {
    Match match;
    if (!path.starts_with('/')) return match;
    if (method == "HEAD") method = "GET";
    for (const Route& route : table) {
        if (!matches(route, path, match)) continue;
        if (route.method == method || route.method == any_method) {
            match.route = &route;
            match.allow.clear();
            return match;
        }
        match.allow.append(match.allow.empty() ? "" : ", ").append(route.method);
        if (route.method == "GET") match.allow.append(", HEAD");
    }
    return match;
}

}  // namespace ee::api
