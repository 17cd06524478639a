#include "agent/advice.h"

#include <gtest/gtest.h>

namespace ee::agent {
namespace {

// Every code with which a control plane may refuse or warn: the tunnel's own, then those of a quote.
constexpr std::string_view codes[] = {
    "invalid_json",
    "unknown_message",
    "missing_fields",
    "invalid_field:app_name",
    "message_too_large",
    "register_timeout",
    "not_registered",
    "already_registered",
    "invalid_network",
    "app_bound_to_other_repo",
    "app_bound_to_other_network",
    "agent_id_taken",
    "join_not_allowed",
    "node_token_invalid",
    "node_banned",
    "rate_limited",
    "too_many_tunnels",
    "too_many_apps",
    "too_many_new_apps",
    "binding_too_weak",
    "unexpected_attestation",
    "nonce_mismatch",
    "attestation_timeout",
    "allowlist_unavailable",
    "allowlist_missing",
    "allowlist_invalid:/quote_measurements/mrtd",
    "superseded",
    "draining",
    "idle_timeout",
    "registration_expiring",
    "app_forgotten",
    "quote_malformed",
    "quote_unsupported",
    "report_data_mismatch",
    "quote_signature_invalid",
    "attestation_key_unbound",
    "qe_report_signature_invalid",
    "certificate_chain_invalid",
    "certificate_expired",
    "certificate_not_yet_valid",
    "certificate_revoked",
    "collateral_unavailable",
    "collateral_signature_invalid:tcb_info",
    "collateral_expired:pck_crl",
    "collateral_not_yet_valid:root_crl",
    "collateral_malformed:qe_identity",
    "collateral_mismatch:fmspc",
    "collateral_too_old",
    "qe_identity_mismatch:mrsigner",
    "tdx_module_mismatch:version",
    "tcb_not_supported",
    "tcb_unacceptable:OutOfDate",
    "debug_td",
    "td_attributes:sept_ve_disable",
    "xfam",
    "mr_servicetd",
    "simulated_root",
    "advisory_refused:INTEL-SA-00828",
    "fmspc_not_allowed",
    "platform_not_allowed",
    "measurement_mismatch:rtmr1",
    "sealed_required",
};

TEST(Advice, IsGivenForEveryReasonAControlPlaneGives) {
    for (const std::string_view code : codes) {
        const std::string_view advice = advice_for(code);
        EXPECT_FALSE(advice.empty()) << code;
        EXPECT_TRUE(advice.ends_with('.') || advice.ends_with('?')) << code << ": " << advice;
    }
}

TEST(Advice, IsNotMadeUpForOtherCodes) {
    for (const char* code : {"", ":", "attested", "debug", "debug_td_", "quote"})
        EXPECT_EQ(advice_for(code), "") << code;
}

// The commonest mistakes in EE_CONTROL_WS and EE_TLS_CA, by what they look like from here.
TEST(Advice, NamesTheSettingForWhichThereIsNoTunnel) {
    struct Row {
        LostConnection lost;
        std::string_view named;
    };
    const Row rows[] = {
        {{false, "connect_failed", "c.example:8088: Connection refused"}, "host and port"},
        {{true, "tls_failed", "error:0A00010B:SSL routines::wrong version number"}, "ws://"},
        {{true, "tls_failed",
          "error:0A000086:SSL routines::certificate verify failed (certificate: self-signed certificate)"},
         "EE_TLS_CA"},
        {{false, "closed", "the peer closed the connection"}, "wss://"},
        {{false, "connection_lost", "Connection reset by peer"}, "wss://"},
        {{false, "timeout", ""}, "wss://"},
        {{false, "bad_handshake", "no HTTP answer to the upgrade"}, "wss://"},
        {{true, "closed", "the peer closed the connection"}, "host and port"},
        {{true, "bad_handshake", "", 404}, "/v1/tunnel"},
        {{true, "bad_handshake", "", 400}, "EE_CONTROL_PORT"},
        {{true, "bad_handshake", "", 101}, "on the way"},
        {{true, "bad_handshake", "", 429}, "tries again"},
        {{true, "bad_handshake", "", 503}, "tries again"},
    };
    for (const Row& row : rows)
        EXPECT_NE(connection_advice(row.lost).find(row.named), std::string_view::npos)
            << row.lost.code << " " << row.lost.status << ": " << connection_advice(row.lost);
    EXPECT_EQ(connection_advice({true, "invalid_url", ""}), "");
}

}  // namespace
}  // namespace ee::agent
