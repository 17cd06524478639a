#include "attestation/remote/collateral_verifier.h"

#include <gtest/gtest.h>

#include "attestation/simulated_platform.h"
#include "crypto/certificate.h"

namespace ee::attestation {
namespace {

using namespace std::chrono_literals;
using std::chrono::sys_days;

const WallTime now = sys_days(2026y / 6 / 1);

class CollateralVerifierTest : public testing::Test {
protected:
    TrustAnchors anchors() const {
        return TrustAnchors::with_simulated_root(platform.root_certificate).value();
    }
    Collateral issued(WallTime at, const SimulatedFaults& faults = {}) const {
        return parse_collateral(make_simulated_collateral(platform, at, faults)).value();
    }
    std::string code(const CollateralKey& asked, const Collateral& collateral, WallTime at = now) const {
        const auto held = make_collateral_verifier(anchors())(asked, collateral, at);
        return held ? "ok" : held.error().code;
    }

    const SimulatedPlatform platform = make_simulated_platform(now - 100 * 24h);
    const CollateralKey key = read_collateral_label(issued(now))->key;
};

TEST_F(CollateralVerifierTest, TakesWhatHoldsForItsPlatformAtTheTimeAskedFor) {
    EXPECT_EQ(code(key, issued(now)), "ok");
    EXPECT_EQ(code(key, issued(now), now + 30 * 24h), "ok");
    EXPECT_TRUE(code(key, issued(now), now + 30 * 24h + 1s).starts_with("collateral_expired:"));
    EXPECT_TRUE(code(key, issued(now), now - 1s).starts_with("collateral_not_yet_valid:"));
}

TEST_F(CollateralVerifierTest, RefusesWhatIsAboutAnotherPlatformOrUnderAnotherRoot) {
    CollateralKey other = key;
    other.fmspc[0] ^= 1;
    EXPECT_EQ(code(other, issued(now)), "collateral_mismatch:fmspc");
    other = key;
    other.ca = PckCa::processor;
    EXPECT_EQ(code(other, issued(now)), "collateral_mismatch:ca");
    // Both roots are known: neither answers for the other.
    other = key;
    other.anchor_spki_sha256 = intel_root_spki_sha256;
    EXPECT_EQ(code(other, issued(now)), "collateral_mismatch:anchor");
    const auto held = make_collateral_verifier(TrustAnchors())(key, issued(now), now);
    ASSERT_FALSE(held);
    EXPECT_EQ(held.error().code, "collateral_signature_invalid:pck_crl");
}

TEST_F(CollateralVerifierTest, RefusesEveryFaultOfCollateral) {
    int count = 0;
    for (const SimulatedFaultRow& row : simulated_faults()) {
        // The PCE id is the PCK certificate's to compare: collateral alone does not say which is right.
        if (!row.in_collateral || row.fault == SimulatedFault::tcb_info_pce_id) continue;
        EXPECT_NE(code(key, issued(now, {row.fault})), "ok") << row.name;
        ++count;
    }
    EXPECT_GE(count, 20);
}

}  // namespace
}  // namespace ee::attestation
