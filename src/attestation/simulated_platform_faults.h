#pragma once
// The ways a simulated quote or its collateral can be wrong beyond a field's value: mis-signed links, bad
// chains, stale or foreign collateral. One row a fault, with the refusal that it must produce.

#include <optional>
#include <set>
#include <span>
#include <string_view>

namespace ee::attestation {

enum class SimulatedFault {
    // In the quote.
    quote_signature,
    attestation_key_off_curve,
    attestation_key_binding,
    qe_report_data_tail,
    qe_report_signature,
    chain_without_root,
    chain_with_extra_leaf,
    leaf_signature,
    intermediate_signature,
    root_unknown,
    leaf_subject,
    intermediate_subject,
    root_subject,
    root_signature,
    leaf_issuer,
    intermediate_issuer,
    leaf_is_ca,
    intermediate_not_ca,
    root_path_length,
    leaf_key_usage,
    intermediate_key_usage,
    leaf_digest,
    leaf_critical_extension,
    leaf_expired,
    leaf_not_yet_valid,
    intermediate_expired,
    intermediate_not_yet_valid,
    leaf_revoked,
    intermediate_revoked,
    pck_extension_missing,
    pck_entry_twice,
    pck_entry_missing,
    pck_fmspc_short,
    pck_components_differ,
    pck_configuration_unknown,
    // In the collateral.
    root_crl_missing,
    pck_crl_missing,
    root_crl_signature,
    pck_crl_signature,
    root_crl_expired,
    pck_crl_expired,
    root_crl_not_yet_valid,
    pck_crl_not_yet_valid,
    root_crl_issuer,
    pck_crl_issuer,
    tcb_signer_revoked,
    tcb_signer_expired,
    tcb_signer_subject,
    tcb_signer_not_yet_valid,
    tcb_signer_signature,
    tcb_signer_is_ca,
    tcb_signer_root_unknown,
    tcb_signer_chain_longer,
    tcb_info_missing,
    tcb_info_spelling,
    tcb_info_signature,
    tcb_info_version,
    tcb_info_tcb_type,
    tcb_info_duplicate_level,
    tcb_info_component_missing,
    tcb_info_component_large,
    tcb_info_key_twice,
    tcb_info_id,
    tcb_info_fmspc,
    tcb_info_pce_id,
    tcb_info_expired,
    tcb_info_not_yet_valid,
    qe_identity_missing,
    qe_identity_signature,
    qe_identity_spelling,
    qe_identity_key_twice,
    qe_identity_duplicate_level,
    qe_identity_version,
    qe_identity_id,
    qe_identity_expired,
    qe_identity_not_yet_valid,
};

struct SimulatedFaultRow {
    SimulatedFault fault;
    std::string_view name;
    bool in_collateral;        // else in the quote
    char check;                // letter of the check that must refuse, as in quote_verifier.h
    std::string_view refusal;  // the code a verifier must answer
};

using SimulatedFaults = std::set<SimulatedFault>;

std::span<const SimulatedFaultRow> simulated_faults();
const SimulatedFaultRow* find_simulated_fault(std::string_view name);

}  // namespace ee::attestation
