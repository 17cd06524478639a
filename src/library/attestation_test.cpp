// The public header's promises; the verifier behind it has tests of its own.
#include <easyenclave/attestation.h>

#include <gtest/gtest.h>

#include "attestation/simulated_platform.h"

namespace easyenclave::attestation {
namespace {

namespace att = ee::attestation;
using std::chrono::sys_days;
using namespace std::chrono_literals;

const Time at = sys_days(2026y / 6 / 1);

const att::SimulatedPlatform& platform() {
    static const att::SimulatedPlatform made = att::make_simulated_platform(at);
    return made;
}

struct Library : testing::Test {
    Verifier verifier = *Verifier::with_simulated_root(platform().root_certificate);
    Collateral collateral = *Collateral::parse(att::make_simulated_collateral(platform(), at));
    att::SimulatedQuoteRequest wanted;
    ee::Bytes quote;

    Request request() {
        quote = att::make_simulated_quote(platform(), wanted);
        return {.quote = quote,
                .collateral = collateral,
                .policy = Policy::sandbox_1(),
                .report_data = wanted.report_data,
                .now = at};
    }
};

TEST_F(Library, SaysOkAndWhatTheQuoteMeasures) {
    const Verdict verdict = verifier.verify(request());
    EXPECT_EQ(verdict.result, Result::ok) << verdict.refusal.code << ": " << verdict.refusal.detail;
    EXPECT_TRUE(verdict.refusal.code.empty());
    EXPECT_EQ(verdict.tcb_status, "UpToDate");
    EXPECT_TRUE(verdict.tcb_date);
    EXPECT_EQ(verdict.mrtd.size(), 96u);
    EXPECT_EQ(verdict.rtmrs.size(), 4u);
    EXPECT_EQ(verdict.report_data, std::string(128, '0'));
    EXPECT_EQ(verdict.fmspc.size(), 12u);
    EXPECT_TRUE(verdict.simulated);
    EXPECT_TRUE(verdict.collateral_sha256.contains("tcb_info"));
    EXPECT_EQ(verdict.checks.back(), "O");
    EXPECT_TRUE(verdict.not_checked.empty());
}

TEST_F(Library, JudgesOnlyTheSignatureChainWithoutCollateral) {
    Request asked = request();
    asked.collateral.reset();
    asked.policy.reset();
    const Verdict verdict = verifier.verify(asked);
    EXPECT_EQ(verdict.result, Result::crypto_ok);
    EXPECT_EQ(verdict.tcb_status, "");
}

TEST_F(Library, AcceptsNoSimulatedRootByItself) {
    const Verdict verdict = Verifier().verify(request());
    EXPECT_EQ(verdict.result, Result::refused);
    EXPECT_EQ(verdict.refusal.code, "certificate_chain_invalid");
    EXPECT_EQ(verdict.mrtd, "");
}

TEST_F(Library, RefusesOtherReportDataThanAskedFor) {
    Request asked = request();
    const ee::ByteArray<64> other{1};
    asked.report_data = other;
    EXPECT_EQ(verifier.verify(asked).refusal.code, "report_data_mismatch");
    asked.report_data = asked.report_data.first(63);
    EXPECT_EQ(verifier.verify(asked).refusal.code, "report_data_mismatch");
}

TEST_F(Library, PoliciesRefuseWithASentenceOnWhatToDo) {
    Request asked = request();
    asked.policy = Policy::forge_1();
    const Verdict forge = verifier.verify(asked);
    EXPECT_EQ(forge.refusal.code, "simulated_root");
    EXPECT_FALSE(forge.refusal.remedy.empty());

    wanted.tcb_status = att::TcbStatus::revoked;
    const Verdict revoked = verifier.verify(request());
    EXPECT_EQ(revoked.refusal.code, "tcb_unacceptable:Revoked");
    EXPECT_EQ(revoked.tcb_status, "Revoked");
    EXPECT_FALSE(revoked.advisory_ids.empty());
}

TEST_F(Library, ReadsPoliciesAndSaysWhatIsWrongWithThem) {
    const auto strict = Policy::parse(
        "[lab]\nbase = \"sandbox-1\"\ntcb_accepted = [\"UpToDate\"]\nplatform_grace_days = 0\n", "lab");
    ASSERT_TRUE(strict) << strict.refusal().detail;
    EXPECT_EQ(strict->name(), "lab");
    wanted.tcb_status = att::TcbStatus::out_of_date;
    Request asked = request();
    asked.policy = *strict;
    EXPECT_EQ(verifier.verify(asked).refusal.code, "tcb_unacceptable:OutOfDate");

    EXPECT_EQ(Policy::parse("[lab]\nsealde = true\n", "lab").refusal().code, "policy_invalid");
    EXPECT_EQ(Policy::parse("", "lab").refusal().code, "policy_invalid");
}

TEST_F(Library, RefusesWhatIsNoCollateralAndNoCertificate) {
    EXPECT_EQ(Collateral::parse("[]").refusal().code, "collateral_malformed");
    EXPECT_EQ(Collateral::parse(R"({"tcb_info": 1})").refusal().code, "collateral_malformed:tcb_info");
    const ee::Bytes garbage = {1, 2, 3};
    EXPECT_EQ(Verifier::with_simulated_root(garbage).refusal().code, "certificate_malformed");
    EXPECT_FALSE(Verifier::with_simulated_root(garbage).refusal().remedy.empty());
    EXPECT_FALSE(Collateral::parse("[]").refusal().remedy.empty());
    EXPECT_FALSE(Policy::parse("", "lab").refusal().remedy.empty());
}

}  // namespace
}  // namespace easyenclave::attestation
