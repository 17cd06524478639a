#include "attestation/simulated_platform_faults.h"

#include <algorithm>
#include <iterator>

namespace ee::attestation {
namespace {

#define EE_QUOTE_FAULT(name, check, refusal) {SimulatedFault::name, #name, false, check, refusal}
#define EE_COLLATERAL_FAULT(name, check, refusal) {SimulatedFault::name, #name, true, check, refusal}

constexpr SimulatedFaultRow rows[] = {
    EE_QUOTE_FAULT(quote_signature, 'D', "quote_signature_invalid"),
    EE_QUOTE_FAULT(attestation_key_off_curve, 'D', "quote_signature_invalid"),
    EE_QUOTE_FAULT(attestation_key_binding, 'E', "attestation_key_unbound"),
    EE_QUOTE_FAULT(qe_report_data_tail, 'E', "attestation_key_unbound"),
    EE_QUOTE_FAULT(qe_report_signature, 'F', "qe_report_signature_invalid"),
    EE_QUOTE_FAULT(chain_without_root, 'G', "certificate_chain_invalid"),
    EE_QUOTE_FAULT(chain_with_extra_leaf, 'G', "certificate_chain_invalid"),
    EE_QUOTE_FAULT(leaf_signature, 'G', "certificate_chain_invalid"),
    EE_QUOTE_FAULT(intermediate_signature, 'G', "certificate_chain_invalid"),
    EE_QUOTE_FAULT(root_unknown, 'G', "certificate_chain_invalid"),
    EE_QUOTE_FAULT(leaf_subject, 'G', "certificate_chain_invalid"),
    EE_QUOTE_FAULT(intermediate_subject, 'G', "certificate_chain_invalid"),
    EE_QUOTE_FAULT(root_subject, 'G', "certificate_chain_invalid"),
    EE_QUOTE_FAULT(root_signature, 'G', "certificate_chain_invalid"),
    EE_QUOTE_FAULT(leaf_issuer, 'G', "certificate_chain_invalid"),
    EE_QUOTE_FAULT(intermediate_issuer, 'G', "certificate_chain_invalid"),
    EE_QUOTE_FAULT(leaf_is_ca, 'G', "certificate_chain_invalid"),
    EE_QUOTE_FAULT(intermediate_not_ca, 'G', "certificate_chain_invalid"),
    EE_QUOTE_FAULT(root_path_length, 'G', "certificate_chain_invalid"),
    EE_QUOTE_FAULT(leaf_key_usage, 'G', "certificate_chain_invalid"),
    EE_QUOTE_FAULT(intermediate_key_usage, 'G', "certificate_chain_invalid"),
    EE_QUOTE_FAULT(leaf_digest, 'G', "certificate_chain_invalid"),
    EE_QUOTE_FAULT(leaf_critical_extension, 'G', "certificate_chain_invalid"),
    EE_QUOTE_FAULT(leaf_expired, 'H', "certificate_expired"),
    EE_QUOTE_FAULT(leaf_not_yet_valid, 'H', "certificate_not_yet_valid"),
    EE_QUOTE_FAULT(intermediate_expired, 'H', "certificate_expired"),
    EE_QUOTE_FAULT(intermediate_not_yet_valid, 'H', "certificate_not_yet_valid"),
    EE_QUOTE_FAULT(leaf_revoked, 'I', "certificate_revoked"),
    EE_QUOTE_FAULT(intermediate_revoked, 'I', "certificate_revoked"),
    EE_QUOTE_FAULT(pck_extension_missing, 'J', "certificate_chain_invalid"),
    EE_QUOTE_FAULT(pck_entry_twice, 'J', "certificate_chain_invalid"),
    EE_QUOTE_FAULT(pck_entry_missing, 'J', "certificate_chain_invalid"),
    EE_QUOTE_FAULT(pck_fmspc_short, 'J', "certificate_chain_invalid"),
    EE_QUOTE_FAULT(pck_components_differ, 'J', "certificate_chain_invalid"),
    EE_QUOTE_FAULT(pck_configuration_unknown, 'J', "certificate_chain_invalid"),
    EE_COLLATERAL_FAULT(root_crl_missing, 'I', "collateral_unavailable"),
    EE_COLLATERAL_FAULT(pck_crl_missing, 'I', "collateral_unavailable"),
    EE_COLLATERAL_FAULT(root_crl_signature, 'I', "collateral_signature_invalid:root_crl"),
    EE_COLLATERAL_FAULT(pck_crl_signature, 'I', "collateral_signature_invalid:pck_crl"),
    EE_COLLATERAL_FAULT(root_crl_expired, 'I', "collateral_expired:root_crl"),
    EE_COLLATERAL_FAULT(pck_crl_expired, 'I', "collateral_expired:pck_crl"),
    EE_COLLATERAL_FAULT(root_crl_not_yet_valid, 'I', "collateral_not_yet_valid:root_crl"),
    EE_COLLATERAL_FAULT(pck_crl_not_yet_valid, 'I', "collateral_not_yet_valid:pck_crl"),
    EE_COLLATERAL_FAULT(root_crl_issuer, 'I', "collateral_mismatch:crl_issuer"),
    EE_COLLATERAL_FAULT(pck_crl_issuer, 'I', "collateral_mismatch:crl_issuer"),
    EE_COLLATERAL_FAULT(tcb_signer_revoked, 'I', "certificate_revoked"),
    EE_COLLATERAL_FAULT(tcb_signer_expired, 'K', "certificate_expired"),
    EE_COLLATERAL_FAULT(tcb_signer_subject, 'K', "collateral_signature_invalid:tcb_info"),
    EE_COLLATERAL_FAULT(tcb_signer_not_yet_valid, 'K', "certificate_not_yet_valid"),
    EE_COLLATERAL_FAULT(tcb_signer_signature, 'K', "collateral_signature_invalid:tcb_info"),
    EE_COLLATERAL_FAULT(tcb_signer_is_ca, 'K', "collateral_signature_invalid:tcb_info"),
    EE_COLLATERAL_FAULT(tcb_signer_root_unknown, 'K', "collateral_signature_invalid:tcb_info"),
    EE_COLLATERAL_FAULT(tcb_signer_chain_longer, 'K', "collateral_signature_invalid:tcb_info"),
    EE_COLLATERAL_FAULT(tcb_info_missing, 'K', "collateral_unavailable"),
    EE_COLLATERAL_FAULT(tcb_info_spelling, 'K', "collateral_signature_invalid:tcb_info"),
    EE_COLLATERAL_FAULT(tcb_info_signature, 'K', "collateral_signature_invalid:tcb_info"),
    EE_COLLATERAL_FAULT(tcb_info_version, 'K', "collateral_malformed:tcb_info"),
    EE_COLLATERAL_FAULT(tcb_info_tcb_type, 'K', "collateral_malformed:tcb_info"),
    EE_COLLATERAL_FAULT(tcb_info_duplicate_level, 'K', "collateral_malformed:tcb_info"),
    EE_COLLATERAL_FAULT(tcb_info_component_missing, 'K', "collateral_malformed:tcb_info"),
    EE_COLLATERAL_FAULT(tcb_info_component_large, 'K', "collateral_malformed:tcb_info"),
    EE_COLLATERAL_FAULT(tcb_info_key_twice, 'K', "collateral_malformed:tcb_info"),
    EE_COLLATERAL_FAULT(tcb_info_id, 'K', "collateral_mismatch:tcb_info_id"),
    EE_COLLATERAL_FAULT(tcb_info_fmspc, 'K', "collateral_mismatch:fmspc"),
    EE_COLLATERAL_FAULT(tcb_info_pce_id, 'K', "collateral_mismatch:pce_id"),
    EE_COLLATERAL_FAULT(tcb_info_expired, 'K', "collateral_expired:tcb_info"),
    EE_COLLATERAL_FAULT(tcb_info_not_yet_valid, 'K', "collateral_not_yet_valid:tcb_info"),
    EE_COLLATERAL_FAULT(qe_identity_missing, 'L', "collateral_unavailable"),
    EE_COLLATERAL_FAULT(qe_identity_spelling, 'L', "collateral_signature_invalid:qe_identity"),
    EE_COLLATERAL_FAULT(qe_identity_key_twice, 'L', "collateral_malformed:qe_identity"),
    EE_COLLATERAL_FAULT(qe_identity_duplicate_level, 'L', "collateral_malformed:qe_identity"),
    EE_COLLATERAL_FAULT(qe_identity_signature, 'L', "collateral_signature_invalid:qe_identity"),
    EE_COLLATERAL_FAULT(qe_identity_version, 'L', "collateral_malformed:qe_identity"),
    EE_COLLATERAL_FAULT(qe_identity_id, 'L', "collateral_mismatch:qe_identity_id"),
    EE_COLLATERAL_FAULT(qe_identity_expired, 'L', "collateral_expired:qe_identity"),
    EE_COLLATERAL_FAULT(qe_identity_not_yet_valid, 'L', "collateral_not_yet_valid:qe_identity"),
};

#undef EE_QUOTE_FAULT
#undef EE_COLLATERAL_FAULT

}  // namespace

std::span<const SimulatedFaultRow> simulated_faults() {
    return rows;
}

const SimulatedFaultRow* find_simulated_fault(std::string_view name) {
    const auto* found = std::find_if(std::begin(rows), std::end(rows),
                                     [name](const SimulatedFaultRow& row) { return row.name == name; });
    return found == std::end(rows) ? nullptr : found;
}

}  // namespace ee::attestation
