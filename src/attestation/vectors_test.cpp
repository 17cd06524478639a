// Every line of the shared manifest: genuine quotes, tampered ones, and a software platform's.
#include <algorithm>
#include <cctype>
#include <string>

#include <gtest/gtest.h>

#include "attestation/certificate_chain.h"
#include "attestation/policy.h"
#include "attestation/quote_verifier.h"
#include "attestation/vector_manifest.h"

namespace ee::attestation {
namespace {

// What the checks up to J can answer. Every other refusal of the manifest is about TCB info, QE identity,
// TDX module or TCB levels.
bool is_within_reach(const std::string& code) {
    static const std::string known[] = {"quote_malformed",
                                        "quote_unsupported",
                                        "quote_signature_invalid",
                                        "attestation_key_unbound",
                                        "qe_report_signature_invalid",
                                        "certificate_chain_invalid",
                                        "certificate_revoked",
                                        "certificate_not_yet_valid",
                                        "collateral_unavailable",
                                        "collateral_signature_invalid:root_crl",
                                        "collateral_signature_invalid:pck_crl",
                                        "collateral_mismatch:crl_issuer",
                                        "collateral_expired:root_crl",
                                        "collateral_expired:pck_crl"};
    return std::find(std::begin(known), std::end(known), code) != std::end(known);
}

// Rows where the manifest contradicts the rules it illustrates, and what the rules say.
struct Contradiction {
    std::string_view quote;
    std::string_view collateral;
    std::string_view outcome;
};
constexpr Contradiction contradictions[] = {
    // Its publisher appended "extra bytes(only for testing purpose)". Only zeros may follow a quote, as
    // tampered/v4-trailing-garbage.bin shows.
    {"genuine/go-tdx-guest-v4/quote.bin", "genuine/go-tdx-guest-v4/collateral.json", "quote_malformed"},
    // At its time, October 2024, the PCK certificate (January 2026) is not valid yet, and validity comes
    // before anything about collateral.
    {"genuine/go-tdx-guest-v5/quote.bin", "genuine/go-tdx-guest-v5/collateral.json",
     "certificate_not_yet_valid"},
};

std::vector<std::string> expected_of(const VectorRow& row) {
    for (const Contradiction& known : contradictions) {
        if (row.quote == known.quote && row.collateral == known.collateral)
            return {std::string(known.outcome)};
    }
    return row.expect;
}

TrustAnchors anchors_of(const VectorRow& row) {
    if (!row.simulated_root) return {};
    return TrustAnchors::with_simulated_root(read_vector("roots/simulated_root_ca.der")).value();
}

// A time at which the quote's certificates are valid, for rows that name none.
WallTime time_of(const VectorRow& row, ByteSpan quote) {
    if (row.at) return *row.at;
    WallTime latest{};
    const auto parsed = parse_quote(quote);
    const auto chain = read_pck_certificates(parsed.value().pck_chain);
    for (const auto& certificate : chain.value()) latest = std::max(latest, certificate.not_before());
    return latest;
}

class Vectors : public testing::TestWithParam<VectorRow> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Vectors);

TEST_P(Vectors, GetTheManifestsOutcome) {
    const VectorRow& row = GetParam();
    const std::vector<std::string> expect = expected_of(row);
    const Bytes quote = read_vector(row.quote);
    std::optional<FixedCollateral> collateral;
    VerifyOptions options;
    if (!row.collateral.empty()) {
        auto parsed = parse_collateral(as_text(read_vector(row.collateral)));
        ASSERT_TRUE(parsed) << parsed.error().code << ": " << parsed.error().detail;
        options.collateral = &collateral.emplace(std::move(*parsed));
    }
    const WallTime now = time_of(row, quote);
    const auto verification = QuoteVerifier(anchors_of(row)).verify(quote, options, now);
    const std::string outcome = verification.refusal ? verification.refusal->code : "crypto_ok";
    const std::string detail = verification.refusal ? verification.refusal->detail : "";

    if (is_within_reach(expect.front())) {
        EXPECT_NE(std::find(expect.begin(), expect.end(), outcome), expect.end())
            << outcome << ": " << detail;
        return;
    }
    // Everything else holds up to J.
    ASSERT_EQ(outcome, "crypto_ok") << detail;
    EXPECT_EQ(verification.quote->anchor().simulated, row.simulated_root);
    EXPECT_EQ(verification.checks.back(), row.collateral.empty() ? "H" : "J");
    if (expect.front().starts_with("policy:")) {
        NetworkPolicy policy = forge_1_policy();
        policy.sealed_required = false;
        policy.simulated_root_allowed = true;
        policy.tcb_accepted.insert(TcbStatus::not_evaluated);
        const auto judged = judge_platform(policy, *verification.quote, now);
        ASSERT_FALSE(judged);
        EXPECT_TRUE(judged.error().code.starts_with(expect.front().substr(7))) << judged.error().code;
    } else if (!expect.front().starts_with("ok:") && expect.front() != "crypto_ok") {
        GTEST_SKIP() << "A to J hold; " << expect.front() << " is for checks K to N, which are not made yet";
    }
}

std::string name_of(const testing::TestParamInfo<VectorRow>& row) {
    std::string name = row.param.quote;
    if (row.param.collateral.starts_with("tampered/")) name = row.param.collateral;
    for (char& c : name) {
        if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
    }
    return name;
}

INSTANTIATE_TEST_SUITE_P(Manifest, Vectors, testing::ValuesIn(read_vector_manifest()), name_of);

TEST(VectorManifest, HasRowsOfEveryKind) {
    const auto rows = read_vector_manifest();
    if (rows.empty()) GTEST_SKIP() << "no vectors in " << vector_folder();
    for (const char* folder : {"genuine/", "quotes/", "tampered/", "simulated/"}) {
        EXPECT_TRUE(std::any_of(rows.begin(), rows.end(), [&](const VectorRow& row) {
            return row.quote.starts_with(folder);
        })) << folder;
    }
}

}  // namespace
}  // namespace ee::attestation
