#include "agent/advice.h"

namespace ee::agent {
namespace {

struct Row {
    std::string_view code;  // Up to a ':'.
    std::string_view advice;
};

constexpr Row rows[] = {
    {"invalid_network",
     "Set EE_NETWORK to a network that the control plane serves (GET /health lists them)."},
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
    {"binding_too_weak",
     "The network wants the quote bound to the TLS session: connect with wss:// to the control plane itself, "
     "with TLS 1.3 ending there."},
    {"ratls_missing",
     "The control plane takes agents with an RA-TLS client certificate only (EE_RATLS=require there), which "
     "this "
     "agent does not make: ask its operator for EE_RATLS=on."},
    {"report_data_mismatch",
     "The quote does not bind what was asked. Does a proxy end TLS on the way? Connect to the control plane "
     "directly."},
    {"nonce_mismatch",
     "The answer was to another challenge; is a second agent using this connection's answers?"},
    {"attestation_timeout", "The quote took longer than the deadline. Is the quote provider busy or stuck?"},
    {"quote_malformed", "The quote provider returned something that is no TDX quote."},
    {"quote_unsupported", "Only TDX quotes of version 4 and 5 are accepted."},
    {"quote_signature_invalid",
     "The quote is not signed by its attestation key: it was changed, or made by something else than a "
     "quoting enclave."},
    {"attestation_key_unbound", "The attestation key is not vouched for by the quoting enclave."},
    {"qe_report_signature_invalid",
     "The quoting enclave's report is not signed by this machine's PCK certificate."},
    {"certificate_chain_invalid",
     "The quote's certificate chain does not lead to a trusted root. A simulated platform works only where "
     "EE_TDX_ROOT_CA names its root."},
    {"certificate_expired",
     "A certificate of the platform has expired: refresh the platform's PCK certificate."},
    {"certificate_not_yet_valid", "A certificate of the platform is not valid yet: check the clocks."},
    {"certificate_revoked", "The platform's certificate is revoked: this machine cannot serve."},
    {"collateral_unavailable",
     "The control plane has no collateral for this platform. Put its collateral.json into EE_COLLATERAL_DIR "
     "there."},
    {"collateral_expired",
     "The control plane's collateral is out of date: renew it there (eectl simulate refresh for a simulated "
     "platform)."},
    {"collateral_not_yet_valid", "The control plane's collateral is not valid yet: check the clocks."},
    {"collateral_signature_invalid",
     "The control plane's collateral was changed, or signed by another root: fetch it again there."},
    {"collateral_malformed", "The control plane's collateral cannot be read: fetch it again there."},
    {"collateral_mismatch",
     "The control plane's collateral is for another platform: fetch this one's there."},
    {"collateral_too_old",
     "The network asks for a newer evaluation than the control plane's collateral is of: renew it there."},
    {"qe_identity_mismatch",
     "The quoting enclave is not Intel's current one: update the platform's DCAP packages."},
    {"tdx_module_mismatch", "The TDX module is not one that Intel lists: update the platform's firmware."},
    {"tcb_not_supported",
     "Intel lists no TCB level this old for the platform: update firmware and microcode."},
    {"simulated_root", "This network does not accept simulated platforms. Use sandbox-1."},
    {"tcb_unacceptable",
     "The platform's TCB level is not accepted on this network: update firmware and microcode, or see the "
     "network's policy."},
    {"debug_td", "The TD runs with debugging on. Start it without."},
    {"td_attributes", "The TD has attributes this network refuses; the bit is named."},
    {"xfam", "The TD uses processor features this network refuses. Start it without them."},
    {"mr_servicetd", "The TD is bound to a service TD, which this network refuses. Start it without."},
    {"advisory_refused",
     "The platform is open to a vulnerability this network refuses: update it as the advisory says."},
    {"fmspc_not_allowed", "This network takes other kinds of platforms only. Ask the operator to allow it."},
    {"platform_not_allowed", "This network takes listed platforms only. Ask the operator to list it."},
    {"sealed_required", "This network takes sealed agents only."},
    {"measurement_mismatch",
     "The machine does not measure what the release's allowlist says. Is it the image of this "
     "EE_RELEASE_TAG?"},
    {"allowlist_missing",
     "The release has no allowlist. Publish one with the release, or put it into EE_ALLOWLIST_DIR of the "
     "control plane."},
    {"allowlist_unavailable", "The allowlist could not be fetched; the agent tries again by itself."},
    {"allowlist_invalid", "The release's allowlist is broken; the field is named."},
    {"superseded", "Another agent with this id has taken over."},
    {"registration_expiring",
     "The registration could not be renewed; it ends soon. See the control plane's log for why."},
};

}  // namespace

std::string_view advice_for(std::string_view code) {
    const std::string_view stem = code.substr(0, code.find(':'));
    for (const Row& row : rows)
        if (row.code == stem) return row.advice;
    return {};
}

}  // namespace ee::agent
