#include "api/routes.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/names.h"
#include "http/target.h"

namespace ee::api {
namespace {

// Accounts and nodes, as far as the ledger finds it is theirs.
constexpr Access own = Role::admin | Role::holder;
constexpr Access readers = own | Role::auditor;
// The app itself, named by the path's first parameter.
constexpr Access app_owner = Role::admin | Role::app;

constexpr std::string_view paged = "limit cursor";

constexpr Route table[] = {
    {"GET", "/health", Role::anyone, BodyLimit::none, get_health},
    {"GET", "/healthz", Role::anyone, BodyLimit::none, get_healthz},
    {"GET", "/readyz", Role::anyone, BodyLimit::none, get_readyz, "verbose"},
    {"GET", "/v1/tunnel", Role::anyone, BodyLimit::none, get_tunnel, any_parameter},
    {"GET", "/v1/resolve/{app}", Role::anyone, BodyLimit::none, get_resolve, any_parameter},
    {"GET", "/v1/authz/{app}", Role::anyone, BodyLimit::none, get_authz, any_parameter},
    {"POST", "/v1/proxy/{app}", Role::anyone, BodyLimit::enveloped, post_proxy, any_parameter},
    {any_method, "/v1/proxy/{app}/{path}", Role::anyone, BodyLimit::forwarded, any_proxy, any_parameter},
    {"GET", "/v1/apps", Role::admin, BodyLimit::none, get_apps, "network status repo limit cursor"},
    {"POST", "/v1/apps", Role::admin, BodyLimit::none, post_apps},
    {"GET", "/v1/apps/{app}", app_owner, BodyLimit::none, get_app},
    {"DELETE", "/v1/apps/{app}", Role::admin, BodyLimit::none, delete_app},
    {"PUT", "/v1/apps/{app}/nodes", app_owner, BodyLimit::none, put_app_nodes},
    {"PUT", "/v1/apps/{app}/rollout", app_owner, BodyLimit::none, put_app_rollout},
    {"POST", "/v1/apps/{app}/attest", Role::admin, BodyLimit::none, post_app_attest},
    {"POST", "/v1/apps/{app}/agents/{agent_id}/drain", app_owner, BodyLimit::none, post_agent_drain},
    {"GET", "/v1/route/{app}/explain", app_owner, BodyLimit::none, get_route_explanation},
    {"POST", "/v1/apps/{app}/allowlist", Role::admin, BodyLimit::none, post_allowlist},
    {"GET", "/v1/apps/{app}/evidence", Role::anyone, BodyLimit::none, get_evidence,
     "id include limit cursor"},
    {"GET", "/v1/collateral/{sha256}", Role::anyone, BodyLimit::none, get_collateral},
    {"GET", "/v1/events", Role::admin, BodyLimit::none, get_events, "after app kind"},
    {"GET", "/metrics", Role::metrics | Role::admin, BodyLimit::none, get_metrics},
    {"POST", "/v1/accounts", Role::admin, BodyLimit::none, post_accounts},
    {"POST", "/v1/accounts/{account}/token", own, BodyLimit::none, post_account_token},
    {"GET", "/v1/accounts/{account}/entries", readers, BodyLimit::none, get_entries, paged},
    {"GET", "/v1/balances/{account}", readers, BodyLimit::none, get_balance, "at"},
    {"POST", "/v1/credits/purchase", Role::admin, BodyLimit::none, post_purchase},
    {"POST", "/v1/credits/redeem", Role::admin, BodyLimit::none, post_redeem},
    {"POST", "/v1/credits/transfer", own, BodyLimit::none, post_transfer},
    {"POST", "/v1/locks", own, BodyLimit::none, post_locks},
    {"GET", "/v1/locks/{id}", readers, BodyLimit::none, get_lock},
    {"POST", "/v1/locks/{id}/release", own, BodyLimit::none, post_lock_release},
    {"POST", "/v1/usage/report", Role::admin | Role::uptime, BodyLimit::none, post_usage},
    {"POST", "/v1/settlements/{period}/finalize", Role::admin, BodyLimit::none, post_finalize, "dry_run"},
    {"POST", "/v1/settlements/{period}/resolve", Role::admin, BodyLimit::none, post_resolve},
    {"GET", "/v1/settlements/{period}", readers, BodyLimit::none, get_settlements,
     "node_id app_name limit cursor"},
    {"POST", "/v1/abuse/reports", Role::launcher, BodyLimit::none, post_abuse_report},
    {"GET", "/v1/abuse/reports", Role::admin | Role::auditor, BodyLimit::none, get_abuse_reports,
     "status limit cursor"},
    {"POST", "/v1/abuse/reports/{id}/authorize", Role::admin, BodyLimit::none, post_abuse_decision},
    {"POST", "/v1/nodes/register", own, BodyLimit::none, post_node},
    {"GET", "/v1/nodes", Role::admin | Role::auditor, BodyLimit::none, get_nodes, paged},
    {"GET", "/v1/nodes/{node}", readers, BodyLimit::none, get_node},
    {"POST", "/v1/nodes/{node}/events", Role::uptime, BodyLimit::none, post_node_event},
    {"POST", "/v1/nodes/{node}/slash", Role::admin, BodyLimit::none, post_node_slash},
    {"POST", "/v1/nodes/{node}/ban", Role::admin, BodyLimit::none, post_node_ban},
    {"POST", "/v1/nodes/{node}/unstake", Role::admin, BodyLimit::none, post_node_unstake},
    {"GET", "/v1/slashings", Role::admin | Role::auditor, BodyLimit::none, get_slashings,
     "status limit cursor"},
    {"POST", "/v1/slashings/{id}/dismiss", Role::admin, BodyLimit::none, post_slashing_dismissal},
    {"GET", "/v1/audit", Role::admin | Role::auditor, BodyLimit::none, get_audit, paged},
    {"GET", "/v1/ledger/head", Role::anyone, BodyLimit::none, get_ledger_head},
    {"GET", "/v1/ledger/entries", Role::admin | Role::auditor, BodyLimit::none, get_ledger_entries, paged},
    {"GET", "/v1/ledger/proof/inclusion", Role::anyone, BodyLimit::none, get_inclusion_proof,
     "leaf_index tree_size"},
    {"GET", "/v1/ledger/proof/consistency", Role::anyone, BodyLimit::none, get_consistency_proof,
     "first second"},
    {"GET", "/openapi.yaml", Role::anyone, BodyLimit::none, get_openapi},
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

bool is_word_of(std::string_view words, std::string_view word) {
    while (!words.empty()) {
        const std::size_t end = std::min(words.find(' '), words.size());
        if (words.substr(0, end) == word) return true;
        words.remove_prefix(std::min(end + 1, words.size()));
    }
    return false;
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

std::optional<Error> unknown_parameter(const Route& route, std::string_view query) {
    if (route.parameters == any_parameter) return std::nullopt;
    while (const auto parameter = http::take_query_parameter(query)) {
        if (parameter->name && is_word_of(route.parameters, *parameter->name)) continue;
        const bool is_plain = parameter->name && is_agent_id(*parameter->name);
        return Error{is_plain ? "invalid_parameter:" + *parameter->name : "invalid_parameter",
                     route.parameters.empty()
                         ? std::string("this path takes no query parameter")
                         : fmt::format("this path takes no query parameter but {}", route.parameters)};
    }
    return std::nullopt;
}

}  // namespace ee::api
