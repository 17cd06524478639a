// Every endpoint of the ledger as a command.

#include "cli/ledger_api.h"

namespace ee::cli {
namespace {

using enum ApiField::Kind;

constexpr bool required = true, in_query = true;

constexpr ApiField at[] = {{"at", "At this time, such as 2026-01-15T10:30:00Z", text, false, in_query}};
constexpr ApiField payment[] = {{"amount_usd", "", text, required},
                                {"payment_ref", "Names the payment; it happens once"}};
constexpr ApiField transfer[] = {{"from_account", "Who pays", text, required},
                                 {"to_account", "Who gets it", text, required},
                                 {"amount_usd", "", text, required},
                                 {"memo", "Some words for both"}};
constexpr ApiField lock[] = {{"account_id", "", text, required},
                             {"node_id", "", text, required},
                             {"app_name", ""},
                             {"period", "The cell, such as 2026-01-09T13", text, required},
                             {"vcpu_hours", "This, or"},
                             {"amount_usd", ""}};
constexpr ApiField usage[] = {{"account_id", "", text, required},
                              {"node_id", "", text, required},
                              {"app_name", ""},
                              {"period", "", text, required},
                              {"vcpu_hours", "", text, required},
                              {"report_id", "Names the report; it counts once"}};
constexpr ApiField node_terms[] = {{"capacity_vcpus", "How many vCPUs it has", number},
                                   {"price_usd_per_vcpu_hour", ""},
                                   {"stake_tier", "premium, standard or economy"},
                                   {"stake_amount_usd", "The stake there is to be; 0 returns it"},
                                   {"owner_account", "Who pays the stake"},
                                   {"rotate_token", "A new token in place of the one it has", flag}};
constexpr ApiField event[] = {
    {"event_id", "Names the event", text, required},
    {"type", "health_pass, health_miss, attest_miss or downtime_migration", text, required},
    {"app_name", ""},
    {"from", "When it began", text, required},
    {"to", "When it ended", text, required},
    {"evidence_url", ""}};
constexpr ApiField slash[] = {
    {"cause", "downtime_migration, attestation_fraud, abuse or other", text, required},
    {"amount_usd", ""},
    {"event_ids", "What happened; may be repeated", list, required},
    {"reason", "", text, required}};
constexpr ApiField reason[] = {{"reason", "", text, required}};
constexpr ApiField optional_reason[] = {{"reason", ""}};
constexpr ApiField slashing_status[] = {{"status", "proposed, done or dismissed", text, false, in_query}};
constexpr ApiField unit[] = {{"node_id", "", text, false, in_query}, {"app_name", "", text, false, in_query}};
constexpr ApiField finalize[] = {{"node_id", ""},
                                 {"allow_pending", "Also where abuse reports are not decided", flag},
                                 {"dry_run", "Only say what would come out", flag, false, in_query}};
constexpr ApiField resolve[] = {{"node_id", "", text, required},
                                {"app_name", ""},
                                {"outcome", "pass or fail", text, required},
                                {"allow_pending", "Also where abuse reports are not decided", flag},
                                {"reason", "", text, required}};
constexpr ApiField abuse[] = {
    {"node_id", "", text, required},          {"reason", "", text, required},    {"app_name", ""},
    {"period", "When; else the cell of now"}, {"reported_by", "Who complained"}, {"evidence_url", ""}};
constexpr ApiField abuse_status[] = {{"status", "pending, authorized or denied", text, false, in_query}};
constexpr ApiField decision[] = {{"action", "authorize or deny", text, required},
                                 {"authorized_by", "Who decided"}};
constexpr ApiField inclusion[] = {{"leaf_index", "Which leaf", number, required, in_query},
                                  {"tree_size", "Of the tree; else the newest", number, false, in_query}};
constexpr ApiField consistency[] = {{"first", "The older size", number, required, in_query},
                                    {"second", "The newer one; else the newest", number, false, in_query}};

constexpr ApiCommand table[] = {
    {"account",
     "open",
     "Open an account; prints its token, once",
     "POST",
     "/v1/accounts",
     "ACCOUNT_ID",
     {},
     ""},
    {"account",
     "token",
     "A new token in place of the one it has",
     "POST",
     "/v1/accounts/{}/token",
     "ACCOUNT",
     {},
     ""},
    {"account", "balance", "What it has", "GET", "/v1/balances/{}", "ACCOUNT", at, ""},
    {"account",
     "entries",
     "Its journal",
     "GET",
     "/v1/accounts/{}/entries",
     "ACCOUNT",
     {},
     "time kind counterparty available_delta_usd locked_delta_usd available_usd locked_usd reference memo"},
    {"credits", "purchase", "Mint credits", "POST", "/v1/credits/purchase", "ACCOUNT_ID", payment, ""},
    {"credits", "redeem", "Burn credits: refund, payout, chargeback", "POST", "/v1/credits/redeem",
     "ACCOUNT_ID", payment, ""},
    {"credits", "transfer", "Pass credits on", "POST", "/v1/credits/transfer", "", transfer, ""},
    {"lock", "take", "Hold credits for a node and a cell", "POST", "/v1/locks", "", lock, ""},
    {"lock", "show", "One lock", "GET", "/v1/locks/{}", "LOCK_ID", {}, ""},
    {"lock",
     "release",
     "Give it back, before its cell starts",
     "POST",
     "/v1/locks/{}/release",
     "LOCK_ID",
     {},
     ""},
    {"usage", "report", "Say what compute ran (uptime's token)", "POST", "/v1/usage/report", "", usage, ""},
    {"node", "register", "Register a node, or change what it offers", "POST", "/v1/nodes/register", "NODE_ID",
     node_terms, ""},
    {"node",
     "list",
     "One line a node",
     "GET",
     "/v1/nodes",
     "",
     {},
     "node_id capacity_vcpus price_usd_per_vcpu_hour stake_tier stake_amount_usd owner_account banned "
     "available_usd open_units"},
    {"node", "show", "One node", "GET", "/v1/nodes/{}", "NODE", {}, ""},
    {"node", "event", "Say what was seen of it (uptime's token)", "POST", "/v1/nodes/{}/events", "NODE",
     event, ""},
    {"node", "slash", "Take stake", "POST", "/v1/nodes/{}/slash", "NODE", slash, ""},
    {"node", "dismiss", "Dismiss a slashing that is proposed, once", "POST", "/v1/slashings/{}/dismiss",
     "SLASHING_ID", reason, ""},
    {"node", "ban", "Ban it", "POST", "/v1/nodes/{}/ban", "NODE", reason, ""},
    {"node", "unstake", "Return its stake to where it came from", "POST", "/v1/nodes/{}/unstake", "NODE",
     optional_reason, ""},
    {"node", "slashings", "Slashings, oldest first", "GET", "/v1/slashings", "", slashing_status,
     "slashing_id node_id cause amount_usd status proposed_at done_at reason evidence"},
    {"settlement", "list", "Outcomes of a period; --json has their evidence", "GET", "/v1/settlements/{}",
     "PERIOD", unit,
     "cell node_id app_name outcome reasons paid_usd returned_usd uncollected_usd settled_at"},
    {"settlement", "finalize", "Settle every ended cell of a period", "POST", "/v1/settlements/{}/finalize",
     "PERIOD", finalize, ""},
    {"settlement", "resolve", "Decide what nobody can judge", "POST", "/v1/settlements/{}/resolve", "PERIOD",
     resolve, ""},
    {"abuse", "file", "File a report (the launcher's token)", "POST", "/v1/abuse/reports", "", abuse, ""},
    {"abuse", "list", "Reports, oldest first", "GET", "/v1/abuse/reports", "", abuse_status,
     "report_id status node_id app_name period filed_at decided_by reason"},
    {"abuse", "decide", "Authorize or deny a report, once", "POST", "/v1/abuse/reports/{}/authorize",
     "REPORT_ID", decision, ""},
    {"ledger", "head", "The newest checkpoint of the log", "GET", "/v1/ledger/head", "", {}, ""},
    {"ledger", "entries", "Leaves of the log", "GET", "/v1/ledger/entries", "", {}, "leaf_index time kind"},
    {"ledger",
     "audit",
     "Who changed what, when and from where, newest first",
     "GET",
     "/v1/audit",
     "",
     {},
     "time principal method path leaf_index"},
    {"ledger", "inclusion", "Prove that a leaf is in the log", "GET", "/v1/ledger/proof/inclusion", "",
     inclusion, ""},
    {"ledger", "consistency", "Prove that the log goes on from an older one", "GET",
     "/v1/ledger/proof/consistency", "", consistency, ""},
};

}  // namespace

std::span<const ApiCommand> api_commands() {
    return table;
}

}  // namespace ee::cli
