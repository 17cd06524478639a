// Every line of the shared manifest: genuine quotes, tampered ones, and a software platform's.
#include <algorithm>
#include <cctype>
#include <set>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "attestation/certificate_chain.h"
#include "attestation/policy.h"
#include "attestation/quote_verifier.h"
#include "attestation/vector_manifest.h"

namespace ee::attestation {
namespace {

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

// Of a policy row: what an unsealed copy of forge-1 that admits the simulated root says.
std::string policy_outcome(const VerifiedQuote& quote, WallTime now) {
    NetworkPolicy policy = forge_1_policy();
    policy.sealed_required = false;
    policy.simulated_root_allowed = true;
    const auto judged = judge_platform(policy, quote, now);
    return judged ? "ok" : "policy:" + judged.error().code;
}

class Vectors : public testing::TestWithParam<VectorRow> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Vectors);

TEST_P(Vectors, GetTheManifestsOutcome) {
    const VectorRow& row = GetParam();
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
    if (verification.refusal) {
        const std::string& code = verification.refusal->code;
        EXPECT_NE(std::find(row.expect.begin(), row.expect.end(), code), row.expect.end())
            << code << ": " << verification.refusal->detail;
        return;
    }
    const TcbEvaluation& tcb = verification.quote->tcb();
    EXPECT_EQ(verification.quote->anchor().simulated, row.simulated_root);
    if (row.expect.front().starts_with("policy:")) {
        EXPECT_TRUE(policy_outcome(*verification.quote, now).starts_with(row.expect.front()));
        return;
    }
    const std::string outcome =
        verification.tcb_evaluated() ? fmt::format("ok:{}", to_string(tcb.status)) : "crypto_ok";
    EXPECT_EQ(outcome, row.expect.front());
    EXPECT_EQ(verification.checks.back(), row.collateral.empty() ? "H" : "N");
    // The software platform's rows leave the column empty, whatever their levels say.
    if (!row.simulated_root) {
        EXPECT_EQ(std::set(tcb.advisory_ids.begin(), tcb.advisory_ids.end()), row.advisories);
    }
}

// All but the one whose file has a remark behind the quote: src/cli, which reads files, has that one too.
std::vector<VectorRow> rows_of_bare_quotes() {
    std::vector<VectorRow> rows = read_vector_manifest();
    std::erase_if(rows,
                  [](const VectorRow& row) { return row.quote == "genuine/go-tdx-guest-v4/quote.bin"; });
    return rows;
}

std::string name_of(const testing::TestParamInfo<VectorRow>& row) {
    std::string name = row.param.quote;
    if (row.param.collateral.starts_with("tampered/")) name = row.param.collateral;
    for (char& c : name) {
        if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
    }
    return name;
}

INSTANTIATE_TEST_SUITE_P(Manifest, Vectors, testing::ValuesIn(rows_of_bare_quotes()), name_of);

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
