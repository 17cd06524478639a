#include "api/routes.h"

#include <set>

#include <gtest/gtest.h>

namespace ee::api {
namespace {

// The route's path and the parameters, or what the path takes instead.
std::string find(std::string_view method, std::string_view path) {
    const Match match = find_route(method, path);
    if (match.route == nullptr) return match.allow.empty() ? "none" : "takes " + match.allow;
    std::string out(match.route->path);
    for (const std::string& parameter : match.parameters) out.append(" ").append(parameter);
    if (!match.rest.empty()) out.append(" + ").append(match.rest);
    return out;
}

TEST(Routes, AreFoundByMethodAndPath) {
    struct Row {
        const char* method;
        const char* path;
        const char* expected;
    };
    const Row rows[] = {
        {"GET", "/health", "/health"},
        {"HEAD", "/health", "/health"},
        {"POST", "/health", "takes GET, HEAD"},
        {"get", "/health", "takes GET, HEAD"},  // Methods are case-sensitive (RFC 9110 section 9.1).
        {"GET", "/health/", "none"},
        {"GET", "/Health", "none"},
        {"GET", "//health", "none"},
        {"GET", "/", "none"},
        {"GET", "", "none"},
        {"GET", "health", "none"},
        {"OPTIONS", "*", "none"},
        {"GET", "/v1/apps", "/v1/apps"},
        {"GET", "/v1/apps/", "none"},
        {"GET", "/v1/apps/myapp", "/v1/apps/{app} myapp"},
        {"GET", "/v1/apps/my%61pp", "/v1/apps/{app} myapp"},
        {"GET", "/v1/apps/a%2Fb", "/v1/apps/{app} a/b"},  // One segment still.
        {"GET", "/v1/apps/a/b", "none"},
        {"DELETE", "/v1/apps", "takes GET, HEAD, POST"},
        {"PATCH", "/v1/apps/a", "takes GET, HEAD, DELETE"},
        {"PUT", "/v1/apps/a/nodes", "/v1/apps/{app}/nodes a"},
        {"GET", "/v1/apps/a/rollout", "takes PUT"},
        {"POST", "/v1/apps/a/agents/b%2Fc/drain", "/v1/apps/{app}/agents/{agent_id}/drain a b/c"},
        {"GET", "/v1/authz/a", "/v1/authz/{app} a"},
        {"POST", "/v1/apps/myapp/allowlist", "/v1/apps/{app}/allowlist myapp"},
        {"GET", "/v1/apps/myapp/allowlist", "takes POST"},
        {"GET", "/v1/apps/a/evidence", "/v1/apps/{app}/evidence a"},
        {"POST", "/v1/collateral/00", "takes GET, HEAD"},
        {"GET", "/v1/apps/a%", "none"},
        {"GET", "/v1/apps/a%0ab", "none"},
        {"GET", "/v1/apps/a%ff", "none"},
        {"GET", "/v1/apps/%2e%2e", "/v1/apps/{app} .."},
        {"GET", "/v1/resolve/myapp", "/v1/resolve/{app} myapp"},
        {"POST", "/v1/proxy/myapp", "/v1/proxy/{app} myapp"},
        {"GET", "/v1/proxy/myapp", "takes POST"},
        {"DELETE", "/metrics", "takes GET, HEAD"},
    };
    for (const Row& row : rows)
        EXPECT_EQ(find(row.method, row.path), row.expected) << row.method << " " << row.path;
}

// The rest of the path is the app's: nothing in it is decoded, joined or followed upwards.
TEST(Routes, AProxiedPathBelongsToTheAppBeforeIt) {
    struct Row {
        const char* path;
        const char* expected;
    };
    const std::string found = "/v1/proxy/{app}/{path} ";
    const Row rows[] = {
        {"/v1/proxy/myapp/", "myapp + /"},
        {"/v1/proxy/myapp/a/b", "myapp + /a/b"},
        {"/v1/proxy/myapp//", "myapp + //"},
        {"/v1/proxy/myapp//other/x", "myapp + //other/x"},
        {"/v1/proxy/my%61pp/x", "myapp + /x"},
        {"/v1/proxy/myapp/%2e%2E/%2Fa%", "myapp + /%2e%2E/%2Fa%"},
        {"/v1/proxy/myapp/..", "myapp + /.."},
        {"/v1/proxy/myapp/../other/x", "myapp + /../other/x"},
        {"/v1/proxy/myapp/../../apps", "myapp + /../../apps"},
        {"/v1/proxy/myapp/./x", "myapp + /./x"},
        {"/v1/proxy/myapp/{path}", "myapp + /{path}"},
        {"/v1/proxy/myapp/\\..\\x", "myapp + /\\..\\x"},
        // Names that no app has.
        {"/v1/proxy/../apps", ".. + /apps"},
        {"/v1/proxy/%2e%2e/apps", ".. + /apps"},
        {"/v1/proxy/./myapp/", ". + /myapp/"},
        {"/v1/proxy/a%2Fb/c", "a/b + /c"},
    };
    for (const Row& row : rows)
        for (const char* method : {"GET", "HEAD", "POST", "PUT", "TRACE", "PROPFIND", "get"})
            EXPECT_EQ(find(method, row.path), found + row.expected) << method << " " << row.path;
    for (const char* path : {"/v1/proxy//x", "/v1/proxy/", "/v1/proxy", "/v1/proxy/a%/x", "/v1/proxy/a%00/x",
                             "/v1/proxy/%ff/x", "/v1//proxy/myapp/", "/v1/Proxy/myapp/", "/v1/./proxy/myapp/",
                             "/v1/apps/../proxy/myapp/", "/v1/%70roxy/myapp/"})
        EXPECT_EQ(find("GET", path), "none") << path;
}

TEST(Routes, OnlyTheseAreOpenToAnyone) {
    const std::set<std::string_view> open = {"/health",
                                             "/healthz",
                                             "/readyz",
                                             "/v1/tunnel",
                                             "/v1/resolve/{app}",
                                             "/v1/authz/{app}",
                                             "/v1/proxy/{app}",
                                             "/v1/proxy/{app}/{path}",
                                             "/openapi.yaml",
                                             "/v1/apps/{app}/evidence",
                                             "/v1/collateral/{sha256}",
                                             "/v1/ledger/head",
                                             "/v1/ledger/proof/inclusion",
                                             "/v1/ledger/proof/consistency"};
    for (const Route& route : routes())
        EXPECT_EQ(route.access.includes(Role::anyone), open.contains(route.path)) << route.path;
}

TEST(Routes, OnlyARequestToAnAppMayBeLarge) {
    for (const Route& route : routes()) {
        EXPECT_EQ(route.body == BodyLimit::enveloped, route.path == "/v1/proxy/{app}") << route.path;
        EXPECT_EQ(route.body == BodyLimit::forwarded, route.path == "/v1/proxy/{app}/{path}") << route.path;
    }
}

TEST(Routes, TakeNoParameterThatTheyDoNotKnow) {
    const Route& finalize = *find_route("POST", "/v1/settlements/2026-01-09T13/finalize").route;
    const Route& transfer = *find_route("POST", "/v1/credits/transfer").route;
    const auto code = [](const Route& route, std::string_view query) {
        const auto why = unknown_parameter(route, query);
        return why ? why->code : "";
    };
    for (const char* query : {"", "&", "dry_run=true", "dry_run", "dry_run=true&", "%64ry_run=true",
                              "dry_run=false&dry_run=true"})
        EXPECT_EQ(code(finalize, query), "") << query;
    EXPECT_EQ(code(finalize, "dry-run=true"), "invalid_parameter:dry-run");
    EXPECT_EQ(code(finalize, "dry_run=true&dryrun"), "invalid_parameter:dryrun");
    for (const char* query : {"=", "dry_run=true&=", "%zz=1", "\r=1", "dry_run;x=1"})
        EXPECT_EQ(code(finalize, query), "invalid_parameter") << query;
    EXPECT_EQ(code(transfer, "dry_run=true"), "invalid_parameter:dry_run");
    const Route& nodes = *find_route("GET", "/v1/nodes").route;
    EXPECT_EQ(code(nodes, "limit=1&cursor=a"), "");
    EXPECT_EQ(code(nodes, "limit=1&node_id=n1"), "invalid_parameter:node_id");
    EXPECT_EQ(code(nodes, "limit+cursor=1"), "invalid_parameter");
    EXPECT_EQ(code(*find_route("HEAD", "/health").route, "x=1"), "invalid_parameter:x");
    // What is asked for visitors may have their query, and what is forwarded is the app's.
    for (const char* path : {"/v1/tunnel", "/v1/resolve/app", "/v1/authz/app", "/v1/proxy/app/path"})
        EXPECT_EQ(code(*find_route("GET", path).route, "x=1"), "") << path;
    EXPECT_EQ(code(*find_route("POST", "/v1/proxy/app").route, "x=1"), "");
}

TEST(StatusOf, EveryRefusalHasItsStatus) {
    struct Row {
        const char* code;
        int status;
    };
    const Row rows[] = {
        {"invalid_json", 400},
        {"invalid_cursor", 400},
        {"invalid_parameter:limit", 400},
        {"log_range", 400},
        {"bad_request", 400},
        {"unauthorized", 401},
        {"role_not_configured", 403},
        {"forbidden", 403},
        {"not_found", 404},
        {"unknown_app", 404},
        {"method_not_allowed", 405},
        {"allowlist_differs", 409},
        {"allowlist_not_seen", 409},
        {"allowlist_invalid:/version", 409},
        {"body_too_large", 413},
        {"unknown_field:x", 422},
        {"invalid_field:path", 422},
        {"missing_fields", 422},
        {"upgrade_required", 426},
        {"unsupported_websocket_version", 426},
        {"too_many_wrong_tokens", 429},
        {"not_ready", 503},
        {"too_many_tunnels", 503},
        {"insufficient_credit", 409},
        {"ledger_halted", 503},
        {"never_heard_of", 500},
        {"", 500},
    };
    for (const Row& row : rows) EXPECT_EQ(status_of(row.code), row.status) << row.code;
}

}  // namespace
}  // namespace ee::api
