// Every line of the shared manifest through `eectl quote verify FILE --json --at`, as a table.
#include <algorithm>
#include <iostream>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include "attestation/certificate_chain.h"
#include "attestation/directory_source.h"
#include "attestation/policy.h"
#include "attestation/quote.h"
#include "attestation/quote_verifier.h"
#include "attestation/vector_manifest.h"
#include "cli/eectl_run.h"
#include "cli/quote_file.h"

namespace ee::cli {
namespace {

namespace att = ee::attestation;

std::string in_folder(const std::string& name) {
    return (att::vector_folder() / name).string();
}

Bytes quote_in(const att::VectorRow& row) {
    std::ostringstream notes;
    return read_quote_file(in_folder(row.quote), notes).value();
}

// The row's time; where it names none, one at which the quote's certificates are valid.
WallTime time_of(const att::VectorRow& row) {
    if (row.at) return *row.at;
    WallTime latest{};
    const auto quote = att::parse_quote(quote_in(row));
    const auto chain = att::read_pck_certificates(quote.value().pck_chain);
    for (const auto& certificate : chain.value()) latest = std::max(latest, certificate.not_before());
    return latest;
}

// What an unsealed copy of forge-1 that admits the simulated root says of a quote that verifies.
std::string policy_outcome(const att::VectorRow& row) {
    att::FixedCollateral collateral(att::parse_collateral(as_text(att::read_vector(row.collateral))).value());
    const auto anchors =
        att::TrustAnchors::with_simulated_root_file(in_folder("roots/simulated_root_ca.der"));
    att::VerifyOptions options;
    options.collateral = &collateral;
    const auto verified = att::QuoteVerifier(anchors.value()).verify(quote_in(row), options, time_of(row));
    if (!verified.quote) return verified.refusal->code;
    att::NetworkPolicy policy = att::forge_1_policy();
    policy.sealed_required = false;
    policy.simulated_root_allowed = true;
    const auto judged = att::judge_platform(policy, *verified.quote, time_of(row));
    return judged ? "ok" : "policy:" + judged.error().code;
}

struct RowOutcome {
    std::string outcome;
    std::set<std::string> advisories;
    std::string detail;
};

RowOutcome judge(const att::VectorRow& row) {
    std::vector<std::string> arguments{"quote",  "verify", in_folder(row.quote),
                                       "--json", "--at",   to_rfc3339(time_of(row))};
    if (row.simulated_root)
        arguments.insert(arguments.end(), {"--root", in_folder("roots/simulated_root_ca.der")});
    if (!row.collateral.empty())
        arguments.insert(arguments.end(), {"--collateral", in_folder(row.collateral)});
    const EectlRun run = eectl(arguments);
    simdjson::dom::parser parser;
    const simdjson::dom::element root = parser.parse(run.out);
    RowOutcome out;
    out.detail = root["detail"].get_string().value();
    const std::string result(root["result"].get_string().value());
    EXPECT_EQ(run.code, result == "refused" ? exit_refused : exit_good);
    if (result == "refused")
        out.outcome = root["code"].get_string().value();
    else if (row.expect.front().starts_with("policy:"))
        out.outcome = policy_outcome(row);
    else if (result == "ok")
        out.outcome = fmt::format("ok:{}", root["tcb_status"].get_string().value());
    else
        out.outcome = result;
    const simdjson::dom::array advisories = root["advisory_ids"];
    for (const simdjson::dom::element id : advisories) out.advisories.emplace(id.get_string().value());
    return out;
}

bool agrees(const att::VectorRow& row, const RowOutcome& judged) {
    const bool outcome = std::any_of(row.expect.begin(), row.expect.end(), [&](const std::string& expected) {
        return expected.starts_with("policy:") ? judged.outcome.starts_with(expected)
                                               : judged.outcome == expected;
    });
    // The software platform's rows leave the column empty, whatever their levels say.
    const bool named = judged.outcome.starts_with("ok:") && !row.simulated_root;
    return outcome && (!named || judged.advisories == row.advisories);
}

TEST(QuoteVectors, AllGetTheManifestsVerdictStatusAndAdvisories) {
    const std::vector<att::VectorRow> rows = att::read_vector_manifest();
    std::size_t agree = 0, differ = 0;
    for (const att::VectorRow& row : rows) {
        const RowOutcome judged = judge(row);
        if (agrees(row, judged)) {
            ++agree;
            continue;
        }
        ++differ;
        ADD_FAILURE() << row.quote << " " << row.collateral << ": " << judged.outcome << " (" << judged.detail
                      << "), the manifest has " << row.expect.front();
    }
    std::cout << fmt::format("vectors {}  agree {}  differ {}  skipped {}\n", rows.size(), agree, differ,
                             rows.empty() ? "all: no folder" : "0");
    EXPECT_EQ(differ, 0u);
    if (rows.empty()) GTEST_SKIP() << "no vectors in " << att::vector_folder();
}

}  // namespace
}  // namespace ee::cli
