// What is told of several things that are from another time: the header's table.
#include "attestation/untimely.h"

#include <gtest/gtest.h>

#include "attestation/quote_verifier.h"
#include "attestation/simulated_platform.h"

namespace ee::attestation {
namespace {

using namespace std::chrono_literals;

const WallTime at = *from_rfc3339("2026-01-15T10:30:00Z");

TEST(Untimely, TellsExpiredCollateralFirstTheEarliestOfIt) {
    Untimely untimely(at, 60s);
    EXPECT_FALSE(untimely.refusal());
    untimely.judge_part("root_crl", at, at);
    untimely.judge_part("root_crl", at - 10h, at - 60s);
    EXPECT_FALSE(untimely.refusal()) << "both ends belong to it, and grace";
    untimely.judge_part("root_crl", at + 1ms, at + 10h);
    EXPECT_EQ(untimely.refusal()->code, "collateral_not_yet_valid:root_crl");
    untimely.judge_part("tcb_info", at + 2h, at + 10h);
    untimely.judge_part("pck_crl", at + 1h, at + 10h);
    EXPECT_EQ(untimely.refusal()->code, "collateral_not_yet_valid:tcb_info");
    EXPECT_EQ(untimely.refusal()->detail, "valid from 2026-01-15T12:30:00Z, it is 2026-01-15T10:30:00Z");
    untimely.judge_part("pck_crl", at - 10h, at - 61s);
    EXPECT_EQ(untimely.refusal()->code, "collateral_expired:pck_crl");
    untimely.judge_part("qe_identity", at - 10h, at - 2h);
    untimely.judge_part("tcb_info", at - 10h, at - 1h);
    EXPECT_EQ(untimely.refusal()->code, "collateral_expired:qe_identity");
    EXPECT_EQ(untimely.refusal()->detail,
              "due for renewal at 2026-01-15T08:30:00Z (60 s of grace), it is 2026-01-15T10:30:00Z");
}

// Several faults at once, each alone refused with the code of its row in simulated_platform_faults.cpp.
TEST(Untimely, IsToldAfterEverythingDefinite) {
    const SimulatedPlatform platform = make_simulated_platform(at);
    struct Row {
        SimulatedFaults quote;
        SimulatedFaults collateral;
        const char* code;
    };
    using enum SimulatedFault;
    const Row rows[] = {
        {{leaf_not_yet_valid}, {}, "certificate_not_yet_valid"},
        {{leaf_not_yet_valid}, {root_crl_expired}, "collateral_expired:root_crl"},
        {{leaf_not_yet_valid}, {qe_identity_expired}, "collateral_expired:qe_identity"},
        {{leaf_not_yet_valid}, {tcb_info_not_yet_valid}, "certificate_not_yet_valid"},
        {{}, {tcb_signer_not_yet_valid, tcb_info_not_yet_valid}, "certificate_not_yet_valid"},
        {{}, {tcb_info_not_yet_valid, qe_identity_expired}, "collateral_expired:qe_identity"},
        // Equally early: the one met first.
        {{}, {tcb_info_expired, pck_crl_expired}, "collateral_expired:pck_crl"},
        // Definite, at every check from H to L.
        {{leaf_not_yet_valid, intermediate_expired}, {}, "certificate_expired"},
        {{leaf_not_yet_valid, leaf_revoked}, {pck_crl_expired}, "certificate_revoked"},
        {{intermediate_revoked}, {root_crl_not_yet_valid}, "certificate_revoked"},
        {{leaf_not_yet_valid}, {pck_crl_signature}, "collateral_signature_invalid:pck_crl"},
        {{leaf_not_yet_valid, pck_entry_twice}, {}, "certificate_chain_invalid"},
        {{}, {root_crl_expired, tcb_info_signature}, "collateral_signature_invalid:tcb_info"},
        {{}, {root_crl_expired, tcb_info_version}, "collateral_malformed:tcb_info"},
        {{}, {tcb_info_expired, tcb_info_fmspc}, "collateral_mismatch:fmspc"},
        {{}, {tcb_info_expired, tcb_signer_expired}, "certificate_expired"},
        {{}, {tcb_info_expired, qe_identity_id}, "collateral_mismatch:qe_identity_id"},
        // Not there is not definite.
        {{leaf_not_yet_valid}, {pck_crl_missing}, "certificate_not_yet_valid"},
        {{}, {pck_crl_expired, tcb_info_missing}, "collateral_expired:pck_crl"},
    };
    for (const Row& row : rows) {
        SCOPED_TRACE(row.code);
        SimulatedQuoteRequest request;
        request.faults = row.quote;
        FixedCollateral source(
            parse_collateral(make_simulated_collateral(platform, at, row.collateral)).value());
        VerifyOptions options;
        options.collateral = &source;
        const auto verified = QuoteVerifier(*TrustAnchors::with_simulated_root(platform.root_certificate))
                                  .verify(make_simulated_quote(platform, request), options, at);
        ASSERT_TRUE(verified.refusal);
        EXPECT_EQ(verified.refusal->code, row.code) << verified.refusal->detail;
        EXPECT_EQ(std::count(verified.checks.begin(), verified.checks.end(), "M"), 0);
    }
}

}  // namespace
}  // namespace ee::attestation
