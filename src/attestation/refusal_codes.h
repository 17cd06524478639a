#pragma once
// Every code with which this folder refuses a quote, an answer to a challenge, or an allowlist; up to a ':'.
// What an auditor, a metric or a remedy must know of comes from this list.

#include <array>
#include <string_view>

namespace ee::attestation {

inline constexpr auto refusal_codes = std::to_array<std::string_view>({
    // The challenge and how its answer is bound to it.
    "invalid_network",
    "nonce_mismatch",
    "attestation_timeout",
    "binding_too_weak",
    "ratls_missing",
    "report_data_mismatch",
    // The quote.
    "quote_malformed",
    "quote_unsupported",
    "quote_signature_invalid",
    "attestation_key_unbound",
    "qe_report_signature_invalid",
    "certificate_chain_invalid",
    "certificate_expired",
    "certificate_not_yet_valid",
    "certificate_revoked",
    // Collateral.
    "collateral_unavailable",
    "collateral_malformed",
    "collateral_signature_invalid",
    "collateral_expired",
    "collateral_not_yet_valid",
    "collateral_mismatch",
    // The platform.
    "qe_identity_mismatch",
    "tdx_module_mismatch",
    "tcb_not_supported",
    // Policy.
    "simulated_root",
    "tcb_unacceptable",
    "debug_td",
    "td_attributes",
    "xfam",
    "mr_servicetd",
    "collateral_too_old",
    "advisory_refused",
    "fmspc_not_allowed",
    "platform_not_allowed",
    // The release.
    "measurement_mismatch",
    "sealed_required",
    "allowlist_missing",
    "allowlist_unavailable",
    "allowlist_invalid",
});

}  // namespace ee::attestation
