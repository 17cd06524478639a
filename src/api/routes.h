#pragma once
// Every endpoint of the control listener, in one table.

#include <optional>
#include <span>
#include <string_view>

#include "api/access.h"
#include "api/request.h"

namespace ee::api {

enum class BodyLimit {
    none,       // 1 MiB.
    enveloped,  // EE_MAX_BODY_BYTES, and its envelope.
    forwarded,  // What the app takes, in pieces.
};

// Stands for every method.
inline constexpr std::string_view any_method = "ANY";
// Stands for every parameter: those of an app's, and of what front ends and agents ask by what they were
// told.
inline constexpr std::string_view any_parameter = "*";

struct Route {
    std::string_view method;
    std::string_view path;  // "{name}" stands for one segment; the last one of `any_method` for the rest.
    Access access;
    BodyLimit body;
    void (*serve)(Request&);
    // Of the query, with spaces between, or `any_parameter`. Others are refused: one that is mistyped might
    // be what narrows the answer, or keeps a change from being made.
    std::string_view parameters{};
};

std::span<const Route> routes();

struct Match {
    const Route* route = nullptr;         // nullptr: no route, or none for this method.
    std::vector<std::string> parameters;  // Decoded.
    std::string_view rest;  // Of a route for `any_method`: the rest of the path, from '/' on, as it was sent.
    std::string allow;      // The methods the path takes, when `route` is null; empty: unknown path.
};
// HEAD is served as GET.
Match find_route(std::string_view method, std::string_view path);

// The first query parameter that a route does not take: `invalid_parameter`, with its name where that is
// plain.
std::optional<Error> unknown_parameter(const Route& route, std::string_view query);

// Resources, one a file.
void get_health(Request& request);
void get_healthz(Request& request);
void get_readyz(Request& request);
void get_tunnel(Request& request);
void get_resolve(Request& request);
void get_authz(Request& request);
void post_proxy(Request& request);
void any_proxy(Request& request);
void get_apps(Request& request);
void get_app(Request& request);
void get_route_explanation(Request& request);
void post_apps(Request& request);
void delete_app(Request& request);
void put_app_nodes(Request& request);
void put_app_rollout(Request& request);
void post_app_attest(Request& request);
void post_agent_drain(Request& request);
void post_allowlist(Request& request);
void get_evidence(Request& request);
void get_collateral(Request& request);
void get_events(Request& request);
void get_metrics(Request& request);
void get_openapi(Request& request);

void post_accounts(Request& request);
void post_account_token(Request& request);
void post_purchase(Request& request);
void post_redeem(Request& request);
void post_transfer(Request& request);
void get_balance(Request& request);
void get_entries(Request& request);
void post_locks(Request& request);
void get_lock(Request& request);
void post_lock_release(Request& request);
void post_usage(Request& request);
void post_finalize(Request& request);
void post_resolve(Request& request);
void get_settlements(Request& request);
void post_abuse_report(Request& request);
void post_abuse_decision(Request& request);
void get_abuse_reports(Request& request);
void post_node(Request& request);
void get_nodes(Request& request);
void get_node(Request& request);
void post_node_event(Request& request);
void post_node_slash(Request& request);
void post_node_ban(Request& request);
void post_node_unstake(Request& request);
void get_slashings(Request& request);
void post_slashing_dismissal(Request& request);
void get_audit(Request& request);
void get_ledger_head(Request& request);
void get_ledger_entries(Request& request);
void get_inclusion_proof(Request& request);
void get_consistency_proof(Request& request);

}  // namespace ee::api
