#include "attestation/verified_collateral.h"

#include <gtest/gtest.h>

#include "attestation/simulated_platform_certificates.h"

namespace ee::attestation {
namespace {

using namespace std::chrono_literals;

const WallTime at = *from_rfc3339("2026-01-15T10:30:00Z");

const SimulatedPlatform& platform() {
    static const SimulatedPlatform made = make_simulated_platform(at);
    return made;
}

TrustAnchors own_root() {
    return *TrustAnchors::with_simulated_root(platform().root_certificate);
}

Collateral collateral_with(const SimulatedFaults& faults = {}) {
    return parse_collateral(make_simulated_collateral(platform(), at, faults)).value();
}

TEST(VerifiedCollateral, SaysWhatItIsAboutAndHowLongItIsValid) {
    const auto verified = verify_collateral(collateral_with(), own_root());
    ASSERT_TRUE(verified) << verified.error().code << ": " << verified.error().detail;
    EXPECT_EQ(verified->key().anchor_spki_sha256, crypto::sha256(platform().root_key.spki()));
    EXPECT_TRUE(std::equal(verified->key().fmspc.begin(), verified->key().fmspc.end(),
                           platform().pck_facts.begin() + 36));
    EXPECT_EQ(verified->key().ca, PckCa::platform);
    EXPECT_TRUE(verified->anchor().simulated);
    EXPECT_EQ(verified->evaluation_number(), 20u);
    EXPECT_EQ(verified->issued_at_latest(), at);
    EXPECT_EQ(verified->next_update_earliest(), at + simulated_collateral_life);
    const WallTime end = verified->next_update_earliest();
    EXPECT_TRUE(judge_collateral_time(*verified, 0s, at));
    EXPECT_TRUE(judge_collateral_time(*verified, 0s, end));
    EXPECT_FALSE(judge_collateral_time(*verified, 0s, end + 1ms));
    EXPECT_TRUE(judge_collateral_time(*verified, 60s, end + 60s));
    EXPECT_FALSE(judge_collateral_time(*verified, 60s, at - 1ms));
}

TEST(VerifiedCollateral, TakesTheEarliestEndAndTheLatestBeginning) {
    using enum SimulatedFault;
    for (const SimulatedFault fault :
         {root_crl_expired, pck_crl_expired, tcb_info_expired, qe_identity_expired}) {
        const auto verified = verify_collateral(collateral_with({fault}), own_root());
        ASSERT_TRUE(verified);
        EXPECT_EQ(verified->next_update_earliest(), at - simulated_collateral_life);
    }
    for (const SimulatedFault fault :
         {root_crl_not_yet_valid, pck_crl_not_yet_valid, tcb_info_not_yet_valid, qe_identity_not_yet_valid}) {
        const auto verified = verify_collateral(collateral_with({fault}), own_root());
        ASSERT_TRUE(verified);
        EXPECT_EQ(verified->issued_at_latest(), at + 24h);
    }
}

// The same codes as for a quote, but for what only a quote can be compared with.
TEST(VerifiedCollateral, RefusesEveryFaultThatNeedsNoQuote) {
    for (const SimulatedFaultRow& row : simulated_faults()) {
        if (!row.in_collateral) continue;
        SCOPED_TRACE(row.name);
        const auto verified = verify_collateral(collateral_with({row.fault}), own_root());
        if (row.refusal == "collateral_mismatch:fmspc" || row.refusal == "collateral_mismatch:pce_id") {
            EXPECT_TRUE(verified);
            continue;
        }
        const bool is_time = row.refusal.starts_with("certificate_expired") ||
                             row.refusal.starts_with("certificate_not_yet") ||
                             row.refusal.starts_with("collateral_expired") ||
                             row.refusal.starts_with("collateral_not_yet");
        ASSERT_EQ(verified.has_value(), is_time);
        const auto code =
            is_time ? judge_collateral_time(*verified, 0s, at).error().code : verified.error().code;
        EXPECT_EQ(code, row.refusal);
    }
}

TEST(VerifiedCollateral, OfARevokedCaIsRefused) {
    Collateral collateral = collateral_with();
    collateral.pck_crl_issuer_chain = crypto::certificate_to_pem(simulated::platform_ca_certificate(
                                          platform(), {SimulatedFault::intermediate_revoked})) +
                                      crypto::certificate_to_pem(platform().root_certificate);
    const auto verified = verify_collateral(collateral, own_root());
    ASSERT_FALSE(verified);
    EXPECT_EQ(verified.error().code, "certificate_revoked");
}

TEST(VerifiedCollateral, IsOfOneAnchorOnly) {
    EXPECT_EQ(verify_collateral(collateral_with(), TrustAnchors()).error().code,
              "collateral_signature_invalid:pck_crl");
    // Parts of another platform's, under a root that is trusted too, do not mix with this one's.
    const SimulatedPlatform other = make_simulated_platform(at);
    const Collateral foreign = parse_collateral(make_simulated_collateral(other, at)).value();
    struct Row {
        void (*swap)(Collateral& into, const Collateral& from);
        const char* code;
    };
    const Row rows[] = {
        {[](Collateral& c, const Collateral& f) { c.root_ca_crl = f.root_ca_crl; },
         "collateral_signature_invalid:root_crl"},
        {[](Collateral& c, const Collateral& f) { c.pck_crl = f.pck_crl; },
         "collateral_signature_invalid:pck_crl"},
        {[](Collateral& c, const Collateral& f) { c.pck_crl_issuer_chain = f.pck_crl_issuer_chain; },
         "collateral_signature_invalid:pck_crl"},
        {[](Collateral& c, const Collateral& f) { c.tcb_info_issuer_chain = f.tcb_info_issuer_chain; },
         "collateral_signature_invalid:tcb_info"},
        {[](Collateral& c, const Collateral& f) { c.tcb_info_signature = f.tcb_info_signature; },
         "collateral_signature_invalid:tcb_info"},
        {[](Collateral& c, const Collateral& f) { c.tcb_info_signature = f.qe_identity_signature; },
         "collateral_signature_invalid:tcb_info"},
        {[](Collateral& c, const Collateral& f) { c.qe_identity_issuer_chain = f.qe_identity_issuer_chain; },
         "collateral_signature_invalid:qe_identity"},
        {[](Collateral& c, const Collateral&) { c.qe_identity = c.tcb_info; },
         "collateral_signature_invalid:qe_identity"},
        {[](Collateral& c, const Collateral&) { c.pck_crl_issuer_chain.clear(); }, "collateral_unavailable"},
        {[](Collateral& c, const Collateral&) { c.tcb_info_issuer_chain.clear(); }, "collateral_unavailable"},
        {[](Collateral& c, const Collateral&) { c.qe_identity_issuer_chain.clear(); },
         "collateral_unavailable"},
        {[](Collateral& c, const Collateral&) { c.pck_crl_issuer_chain = c.tcb_info_issuer_chain; },
         "collateral_signature_invalid:pck_crl"},
        {[](Collateral& c, const Collateral&) { c.tcb_info_issuer_chain = c.pck_crl_issuer_chain; },
         "collateral_signature_invalid:tcb_info"},
        {[](Collateral& c, const Collateral&) { c.tcb_info_signature.pop_back(); },
         "collateral_signature_invalid:tcb_info"},
    };
    for (const Row& row : rows) {
        Collateral mixed = collateral_with();
        row.swap(mixed, foreign);
        const auto verified = verify_collateral(mixed, own_root());
        ASSERT_FALSE(verified);
        EXPECT_EQ(verified.error().code, row.code) << verified.error().detail;
    }
}

}  // namespace
}  // namespace ee::attestation
