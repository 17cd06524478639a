#include "attestation/remedy.h"

#include <algorithm>

#include <fmt/format.h>

namespace ee::attestation {
namespace {

struct Row {
    std::string_view code;  // with a suffix: only for that one
    std::string_view remedy;
};

constexpr Row rows[] = {
    // What the tunnel, the registry and the ledger's nodes say.
    {"app_bound_to_other_repo",
     "Provider: the app's name belongs to another repository; choose another EE_APP_NAME, or ask the "
     "operator to move it. Operator: POST /v1/apps moves a name."},
    {"app_bound_to_other_network",
     "Provider: the app is bound to another network; correct EE_NETWORK, or ask the operator to move the "
     "app. Operator: POST /v1/apps moves it."},
    {"agent_id_taken",
     "Provider: another agent with this id is connected and alive; give each agent its own EE_AGENT_ID or "
     "EE_STATE_DIR."},
    {"join_not_allowed",
     "Provider: run the agent on a registered node (EE_NODE_ID, EE_NODE_TOKEN) and, where the detail speaks "
     "of a list, ask the app's owner to list that node. Operator: join of the network says whom it takes."},
    {"node_token_invalid",
     "Provider: set EE_NODE_ID to a node that is registered here and EE_NODE_TOKEN to what its registration "
     "answered last, or leave out both: the agent then earns nothing. Operator: POST /v1/nodes/register with "
     "rotate_token gives a new token."},
    {"node_banned", "Provider: ask the operator why; GET /v1/nodes/{node} says it, too."},
    {"invalid_field",
     "Provider: a setting has a value the control plane does not accept; the field is named."},
    {"missing_fields",
     "Provider: the control plane wants fields this agent does not send; update the agent."},
    {"invalid_json",
     "Provider: the control plane cannot read what the agent sends. Does something on the way change it?"},
    {"unknown_message",
     "Provider: the control plane does not know a message of the agent's; update the older one."},
    {"message_too_large",
     "Provider: a message is over the control plane's limit. An app's answer? EE_MAX_BODY_BYTES must not be "
     "larger here than there."},
    {"register_timeout",
     "Provider: the control plane heard nothing for 10 s. Is the connection or this machine stuck?"},
    {"not_registered",
     "Provider: the control plane and the agent disagree on what was said; update the older one."},
    {"already_registered",
     "Provider: the control plane and the agent disagree on what was said; update the older one."},
    {"unexpected_attestation",
     "Provider: an answer came when no challenge was open; usually one that was too late."},
    {"idle_timeout",
     "Provider: the control plane heard nothing for 30 s. Is the connection or this machine stuck?"},
    {"draining", "Provider: the control plane is stopping or moves this agent, which comes back by itself."},
    {"app_forgotten",
     "Provider: the operator has deleted the app. It is registered anew when the agent comes back."},
    {"rate_limited",
     "Provider: the control plane is admitting other agents; this one tries again by itself."},
    {"too_many_tunnels",
     "Provider: close other tunnels; this agent tries again by itself. Operator: raise the limit that the "
     "detail names, or see which tunnels are never attested."},
    {"too_many_apps",
     "Operator: the control plane binds no more names; reserve this one (POST /v1/apps), or raise "
     "EE_MAX_APPS."},
    {"too_many_new_apps",
     "Provider: agents of this address have bound many names within an hour; this one tries again by "
     "itself."},
    {"superseded",
     "Provider: another agent with this id has taken over. Two of them take turns; give each its own "
     "EE_AGENT_ID."},
    {"registration_expiring",
     "Operator: the registration could not be renewed and ends soon; see in the log why."},

    {"invalid_network",
     "Provider: set EE_NETWORK to a network that GET /health of the control plane lists. Operator: add the "
     "network to EE_NETWORKS_FILE and send SIGHUP."},
    {"nonce_mismatch",
     "Provider: run one agent for each EE_STATE_DIR, and let nothing on the way repeat or reorder its "
     "messages."},
    {"attestation_timeout",
     "Provider: see in the agent's log what keeps the quote provider busy (a host makes one quote at a "
     "time). "
     "Operator: raise EE_ATTEST_DEADLINE_SEC if quotes of this platform take longer."},
    {"binding_too_weak",
     "Provider: connect with wss:// to the control plane itself (EE_CONTROL_WS), with TLS 1.3 ending there, "
     "and update an agent that answers in the legacy layout. Operator: the network's binding, legacy_none, "
     "legacy_ratls and legacy_cidrs in EE_NETWORKS_FILE say what it takes."},
    {"ratls_missing",
     "Provider: the agent must show an RA-TLS client certificate, which easyenclave-agent does not make. "
     "Operator: EE_RATLS=on asks for one without insisting on it."},
    {"report_data_mismatch",
     "Provider: connect to the control plane directly, without a proxy that ends TLS, and use an agent and "
     "claims that belong to this EE_RELEASE_TAG."},

    {"quote_malformed",
     "Provider: the quote provider returned something that is no TDX quote; update the guest's kernel and "
     "the "
     "host's DCAP packages, and look at it with eectl quote show."},
    {"quote_unsupported",
     "Provider: run in a TDX guest whose quoting service makes TDX quotes of version 4 or 5 with ECDSA "
     "P-256; "
     "SGX quotes and other key types are not taken."},
    {"quote_signature_invalid",
     "Provider: the quote was changed after it was signed or is not a quoting enclave's; take it unaltered "
     "from configfs-tsm and restart the host's quoting service."},
    {"attestation_key_unbound",
     "Provider: restart the host's quoting service so that its enclave certifies a fresh attestation key; if "
     "that does not help, reinstall the DCAP packages."},
    {"qe_report_signature_invalid",
     "Provider: the quoting enclave's report and the PCK certificate are of different machines or TCB "
     "levels; "
     "fetch the platform's PCK certificate again (PCKIDRetrievalTool, then restart the quoting service)."},
    {"certificate_chain_invalid",
     "Provider: fetch the platform's PCK certificate chain from Intel or the PCCS again. Operator: a "
     "simulated "
     "platform's root must be the one that EE_TDX_ROOT_CA names."},
    {"certificate_expired",
     "Provider: fetch the platform's PCK certificate again. Operator: check the control plane's clock; if it "
     "is the TCB signer's, fetch the collateral again."},
    {"certificate_not_yet_valid",
     "Operator: check the control plane's clock. Provider: check the clock of the host that fetched the "
     "platform's certificates."},
    {"certificate_revoked",
     "Provider: Intel has revoked a certificate of this platform; update its firmware and register it anew "
     "for "
     "another PCK certificate, or use another machine. Operator: if it is the TCB signer's, fetch the "
     "collateral again."},

    {"collateral_unavailable",
     "Operator: see in the log why the service at EE_PCCS_URL does not answer, or put the platform's "
     "collateral file into EE_COLLATERAL_DIR. The agent tries again by itself."},
    {"collateral_malformed",
     "Operator: fetch the named part of the collateral again; replace the file in EE_COLLATERAL_DIR, or "
     "check what serves EE_PCCS_URL."},
    {"collateral_signature_invalid",
     "Operator: the named part of the collateral was changed or signed by somebody else; fetch it again from "
     "Intel, and check the file in EE_COLLATERAL_DIR or the service at EE_PCCS_URL."},
    {"collateral_expired",
     "Operator: renew the named part: see why EE_PCCS_URL gives nothing newer, or replace the file in "
     "EE_COLLATERAL_DIR (eectl simulate refresh for a simulated platform). collateral_grace_s of the network "
     "can bridge an outage."},
    {"collateral_not_yet_valid",
     "Operator: check the control plane's clock; the named part of the collateral begins in the future."},
    {"collateral_mismatch",
     "Operator: the collateral is another platform's, CA's or kind's; fetch this FMSPC's again and replace "
     "the "
     "file in EE_COLLATERAL_DIR, or check what serves EE_PCCS_URL."},

    {"qe_identity_mismatch",
     "Provider: update the host's DCAP packages; the quoting enclave is not the one whose identity Intel "
     "publishes."},
    {"tdx_module_mismatch",
     "Provider: update the BIOS or the TDX module; the one that is loaded is none that Intel's TCB info "
     "lists "
     "for this platform."},
    {"tcb_not_supported",
     "Provider: Intel lists no TCB level this old. Install the newest BIOS with its microcode and TDX "
     "module, "
     "reboot, and register the platform again."},

    {"simulated_root",
     "Provider: a simulated platform is taken on networks for tests only; set EE_NETWORK=sandbox-1, or run "
     "on "
     "TDX hardware. Operator: simulated_root in EE_NETWORKS_FILE, never on a sealed network."},
    {"tcb_unacceptable:OutOfDate",
     "Provider: install the BIOS that carries the microcode, TDX module and SEAM loader of the current TCB "
     "recovery, reboot, and register the platform again so that its PCK certificate shows the new level. "
     "Operator: platform_grace_days of the network gives time for that."},
    {"tcb_unacceptable:OutOfDateConfigurationNeeded",
     "Provider: install the current BIOS with its microcode and TDX module, change the BIOS settings that "
     "the "
     "advisories name (often: Hyper-Threading), reboot, and register the platform again. Operator: "
     "platform_grace_days of the network gives time for that."},
    {"tcb_unacceptable:SWHardeningNeeded",
     "Provider: run a release whose software holds the mitigations that the advisories ask for. Operator: "
     "the "
     "network must list SWHardeningNeeded in tcb_accepted to trust the release with that."},
    {"tcb_unacceptable:ConfigurationNeeded",
     "Provider: change the BIOS settings that the advisories name (often: Hyper-Threading), reboot, and "
     "register the platform again. Operator: or list ConfigurationNeeded in tcb_accepted."},
    {"tcb_unacceptable:ConfigurationAndSWHardeningNeeded",
     "Provider: change the BIOS settings that the advisories name, register the platform again, and run a "
     "release that holds their mitigations. Operator: or list the status in tcb_accepted."},
    {"tcb_unacceptable:TDRelaunchAdvised",
     "Provider: the platform was updated since this TD was started; stop the TD and start it again."},
    {"tcb_unacceptable:TDRelaunchAdvisedConfigurationNeeded",
     "Provider: the platform was updated since this TD was started; change the BIOS settings that the "
     "advisories name, then start the TD again."},
    {"tcb_unacceptable:Revoked",
     "Provider: this TCB level is revoked: its keys may be known to others. Install the newest BIOS, "
     "register "
     "the platform again for a new PCK certificate, or use another machine."},
    {"tcb_unacceptable:NotEvaluated",
     "Operator: the platform's TCB level was not looked up; give its TCB info and QE identity through "
     "EE_PCCS_URL or EE_COLLATERAL_DIR."},
    {"tcb_unacceptable",
     "Provider: update BIOS, microcode and TDX module, reboot, and register the platform again. Operator: "
     "tcb_accepted and platform_grace_days of the network say what is taken."},
    {"debug_td",
     "Provider: start the TD without its debug attribute (QEMU: debug=off). Operator: a network of one's own "
     "with debug = true takes debug TDs, a sealed one never."},
    {"td_attributes:28",
     "Provider: start the TD with SEPT_VE_DISABLE (QEMU: sept-ve-disable=on). Operator: sept_ve_disable of "
     "the network asks for it."},
    {"td_attributes:29",
     "Provider: start the TD as one that cannot be migrated; no network takes MIGRATABLE."},
    {"td_attributes:31",
     "Provider: start the TD without Key Locker. Operator: key_locker of the network refuses it."},
    {"td_attributes:63",
     "Provider: start the TD without performance monitoring (QEMU: pmu=off). Operator: perfmon of the "
     "network "
     "refuses it."},
    {"td_attributes",
     "Provider: start the TD without the attribute whose bit is named; it makes a TD untrusted on every "
     "network."},
    {"xfam",
     "Provider: start the TD without the processor features (a CPU model without AMX, say) that the "
     "network's "
     "mask leaves out. Operator: xfam in EE_NETWORKS_FILE is that mask."},
    {"mr_servicetd",
     "Provider: start the TD without binding a service TD, such as one for migration. Operator: mr_servicetd "
     "= \"any\" takes them."},
    {"collateral_too_old",
     "Operator: fetch TCB info and QE identity of a newer evaluation (EE_PCCS_URL, with update=early), or "
     "lower tcb_evaluation_min of the network."},
    {"advisory_refused",
     "Provider: update the platform as Intel's advisory of that name says, until its TCB level is no longer "
     "under it. Operator: advisories_refused of the network names it."},
    {"fmspc_not_allowed",
     "Operator: add the platform's FMSPC to fmspc_allowed of the network. Provider: ask for that, or use a "
     "machine of a kind that is allowed."},
    {"platform_not_allowed",
     "Operator: add the platform's hash, as the refusal gives it, to platforms_allowed of the network. "
     "Provider: ask for that."},

    {"measurement_mismatch",
     "Provider: run the image that belongs to EE_RELEASE_TAG, with the firmware and TD settings it was "
     "measured "
     "with. Release author: if the image is right, add its values (eectl quote show) to the release's "
     "allowlist."},
    {"measurement_mismatch:config_sha256",
     "Provider: set EE_APP_NAME, EE_BACKEND_URL, EE_HEALTH_URL, EE_NETWORK, EE_RELEASE_TAG and EE_REPO as "
     "the "
     "release says, to the letter: the claim is their digest. Release author: if they are right, publish the "
     "digest that the agent claims."},
    {"measurement_mismatch:tcb_min",
     "Provider: update BIOS, microcode and TDX module to a TCB recovery of that day or later, reboot, and "
     "register the platform again. Release author: or lower tcb_min in the release's allowlist."},
    {"measurement_mismatch:subject",
     "Provider: start the agent again once the control plane can judge quotes. Operator: end what keeps it "
     "from judging, as the detail says; until then only the TD that was judged good keeps its place."},
    {"sealed_required",
     "Provider: run the sealed image of the release, not as a debug TD. Release author: publish an allowlist "
     "with \"sealed\": true. Networks of unsealed machines, such as sandbox-1, take others."},
    {"allowlist_missing",
     "Release author: publish the allowlist as an asset of the release. Operator: EE_ALLOWLIST_ASSET is its "
     "name, EE_GITHUB_TOKEN opens private repositories, and EE_ALLOWLIST_DIR/<owner>/<repo>/<tag>.json comes "
     "first."},
    {"allowlist_unavailable",
     "Operator: see in the log why EE_GITHUB_API_URL gives no answer (an outage, a rate limit that "
     "EE_GITHUB_TOKEN would raise), or put the allowlist into EE_ALLOWLIST_DIR. The agent tries again by "
     "itself."},
    {"allowlist_invalid",
     "Release author: correct the field that the refusal names in the release's allowlist, and publish it "
     "again."},
};

std::string advisory_address(std::string_view id) {
    std::string name(id);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return "https://www.intel.com/content/www/us/en/security-center/advisory/" + name + ".html";
}

}  // namespace

std::string_view remedy_of(std::string_view code) {
    const auto find = [](std::string_view wanted) {
        const auto row = std::find_if(std::begin(rows), std::end(rows),
                                      [&](const Row& candidate) { return candidate.code == wanted; });
        return row == std::end(rows) ? std::string_view() : row->remedy;
    };
    const std::string_view particular = find(code);
    return particular.empty() ? find(code.substr(0, code.find(':'))) : particular;
}

std::string remedy_of(std::string_view code, const std::vector<std::string>& advisory_ids) {
    std::string out(remedy_of(code));
    constexpr std::string_view advisory_refused = "advisory_refused:";
    if (code.starts_with(advisory_refused))
        return fmt::format("{} See {}.", out, advisory_address(code.substr(advisory_refused.size())));
    if (!code.starts_with("tcb_unacceptable") || advisory_ids.empty()) return out;
    constexpr std::size_t shown_max = 8;
    out += " Advisories:";
    for (std::size_t i = 0; i < std::min(advisory_ids.size(), shown_max); ++i)
        out += fmt::format("{} {}", i == 0 ? "" : ",", advisory_ids[i]);
    if (advisory_ids.size() > shown_max) out += fmt::format(" and {} more", advisory_ids.size() - shown_max);
    return fmt::format("{}; the first is at {}.", out, advisory_address(advisory_ids.front()));
}

}  // namespace ee::attestation
