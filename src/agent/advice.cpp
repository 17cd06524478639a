#include "agent/advice.h"

#include "attestation/remedy.h"

namespace ee::agent {
namespace {

struct Row {
    std::string_view code;  // Up to a ':'.
    std::string_view advice;
};

// What the tunnel says of itself; what attestation refuses has its remedies there.
constexpr Row rows[] = {
    {"app_bound_to_other_repo",
     "The app's name belongs to another repository. Choose another EE_APP_NAME, or ask the operator to move "
     "it."},
    {"app_bound_to_other_network",
     "The app is bound to another network. Correct EE_NETWORK, or ask the operator to move the app."},
    {"agent_id_taken",
     "Another agent with this id is connected and alive. Give each agent its own EE_AGENT_ID or "
     "EE_STATE_DIR."},
    {"join_not_allowed", "The app takes listed nodes only. Ask its owner to list this node."},
    {"node_token_invalid", "The node's token is not the one its registration was answered with."},
    {"node_banned", "This node is banned. Ask the operator why."},
    {"invalid_field", "A setting has a value the control plane does not accept; the field is named."},
    {"missing_fields", "The control plane wants fields this agent does not send: update the agent."},
    {"invalid_json",
     "The control plane cannot read what this agent sends. Does something on the way change it?"},
    {"unknown_message", "The control plane does not know a message of this agent's: update the older one."},
    {"message_too_large",
     "A message is over the control plane's limit. An app's answer? EE_MAX_BODY_BYTES must not be larger "
     "here than there."},
    {"register_timeout",
     "The control plane heard nothing for 10 s. Is the connection or this machine stuck?"},
    {"not_registered", "The control plane and this agent disagree on what was said: update the older one."},
    {"already_registered",
     "The control plane and this agent disagree on what was said: update the older one."},
    {"unexpected_attestation", "An answer came when no challenge was open; usually one that was too late."},
    {"idle_timeout", "The control plane heard nothing for 30 s. Is the connection or this machine stuck?"},
    {"draining", "The control plane is stopping or moves this agent; it comes back by itself."},
    {"app_forgotten", "The operator has deleted the app. It is registered anew when the agent comes back."},
    {"rate_limited", "The control plane is admitting other agents; this one tries again by itself."},
    {"too_many_tunnels",
     "The control plane has too many tunnels from this address, or in all. Close others or raise "
     "EE_MAX_UNREGISTERED_PER_ADDRESS there."},
    {"too_many_apps",
     "The control plane binds no more names. Ask its operator to reserve this one, or to raise EE_MAX_APPS."},
    {"too_many_new_apps",
     "Agents of this address have bound many names within an hour; this one tries again by itself."},
    {"superseded",
     "Another agent with this id has taken over. Two of them take turns: give each its own EE_AGENT_ID."},
    {"registration_expiring",
     "The registration could not be renewed; it ends soon. See the control plane's log for why."},
};

}  // namespace

std::string_view advice_for(std::string_view code) {
    const std::string_view stem = code.substr(0, code.find(':'));
    for (const Row& row : rows)
        if (row.code == stem) return row.advice;
    return attestation::remedy_of(code);
}

std::string_view connection_advice(const LostConnection& lost) {
    if (lost.code == "invalid_url") return {};
    if (lost.code == "connect_failed")
        return "Check host and port of EE_CONTROL_WS. Is the control plane up, may this machine reach it?";
    if (lost.code == "tls_failed" && lost.detail.find("certificate verify failed") != std::string_view::npos)
        return "The control plane's certificate is not believed. EE_TLS_CA must name the root of a private "
               "one, and the certificate be for the host in EE_CONTROL_WS.";
    if (lost.code == "tls_failed")
        return "What answers does not speak TLS with agents. Check the port of EE_CONTROL_WS; where the "
               "control plane has no TLS it must begin with ws://.";
    if (lost.status == 429 || lost.status >= 500)
        return "The control plane, or what is in front of it, takes no tunnel now; the agent tries again.";
    if (lost.status == 101)
        return "Something on the way changes the answer to the upgrade. Connect to the control plane itself.";
    if (lost.status != 0)
        return "What answers has no tunnel there. EE_CONTROL_WS must have the path /v1/tunnel and the port "
               "that is EE_CONTROL_PORT at the control plane, not its visitors'.";
    if (!lost.over_tls)
        return "Is TLS expected there? Then EE_CONTROL_WS must begin with wss://. Check its port, too.";
    return "What is there ends the connection or says nothing. Check host and port of EE_CONTROL_WS.";
}

}  // namespace ee::agent
