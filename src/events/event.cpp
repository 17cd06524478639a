#include "events/event.h"

#include <algorithm>

#include "base/json_writer.h"

namespace ee::events {
namespace {

constexpr Kind table[] = {
    // Apps and their agents.
    {"registered", "an app's name was bound to a repository and a network"},
    {"attested", "an agent was attested; `code` is its TCB status, `detail` its release"},
    {"attest_miss", "an agent's answer was refused, or did not come in time; `code` says why"},
    {"inconclusive", "nobody could judge an agent's answer; `code` says why"},
    {"backend_pass", "an agent's backend answers again"},
    {"backend_fail", "an agent's backend does not answer"},
    {"health_silent", "an agent has said nothing of its backend for `EE_HEALTH_TIMEOUT_SEC`"},
    {"evidence_lapsed", "an agent's evidence has become too old to serve with"},
    {"ejected",
     "requests to an agent fail in a row: it gets none while others have room; `code` is the last failure, "
     "`detail` says until when"},
    {"readmitted", "an agent that was ejected has answered again"},
    {"unfit",
     "an agent's node lacks what is asked of it; `code` is `no_stake`, `no_price`, `unfunded` or `banned`"},
    {"fit", "an agent's node has what is asked of it again"},
    {"registration_warning",
     "an app's registration ends within `EE_REGISTRATION_WARN_DAYS`; `detail` says when"},
    {"registration_expired", "an app's registration has ended"},
    {"registration_renewed",
     "an app's registration, which had ended or was to end soon, was renewed; `detail` says until when"},
    {"superseded", "a newer tunnel has taken an agent's place"},
    {"draining", "an agent takes no new requests; `code` says why"},
    {"disconnected", "an agent's tunnel has ended; `code` says why"},
    {"allowlist_changed", "another allowlist was published under a release; `code` is the release"},
    {"allowlist_accepted",
     "the admin has accepted another allowlist of a release; `code` is the release, `detail` its SHA-256"},
    {"moved", "an app's name was bound to another repository or network"},
    {"token_changed", "an app was given another token"},
    {"billing_changed", "another account pays for an app; `detail` names it"},
    {"nodes_changed", "other nodes may serve an app; `detail` has them"},
    {"rollout_changed", "an app's releases get other shares; `detail` has them"},
    {"forgotten", "an app's registration was removed"},
    // Nodes and the ledger.
    {"node_registered", "a node was registered"},
    {"node_terms", "a node's price, capacity or tier changes; `data` has them, and from when on"},
    {"node_token", "a node was given another token"},
    {"node_stake", "a node's stake has changed; `data` has what it is now"},
    {"node_banned", "a node was banned; `detail` says why"},
    {"abuse_filed", "abuse of a node was reported; `detail` says what"},
    {"abuse_decided", "a report was decided; `code` is `authorized` or `denied`"},
    {"slashing_proposed", "a penalty was proposed; `code` is its cause"},
    {"slashed", "a node's stake was taken; `code` is the cause"},
    {"slashing_dismissed", "a penalty was dismissed; `code` is its cause, `detail` says why"},
    {"settled", "a unit was settled; `code` is `pass`, `fail` or `inconclusive`, `data` has the money"},
    {"ledger_standstill", "the ledger is read-only from here on; `code` says why"},
    // The control plane.
    {"control_plane_started", "it runs anew: every tunnel of before is gone"},
};

void append_id(JsonWriter& json, std::string_view name, const std::string& id) {
    json.key(name);
    if (id.empty())
        json.null();
    else
        json.value(id);
}

}  // namespace

std::span<const Kind> kinds() {
    return table;
}

bool is_kind(std::string_view name) {
    return std::any_of(std::begin(table), std::end(table),
                       [&](const Kind& kind) { return kind.name == name; });
}

void append_json(std::string& out, const Event& event) {
    JsonWriter json(out);
    json.begin_object().field("seq", event.seq).field("at", to_rfc3339_millis(event.at));
    json.field("kind", event.kind);
    append_id(json, "app_name", event.app_name);
    append_id(json, "agent_id", event.agent_id);
    append_id(json, "node_id", event.node_id);
    json.field("code", event.code).field("detail", event.detail);
    json.key("data").raw(event.data.empty() ? "{}" : event.data).end_object();
}

}  // namespace ee::events
