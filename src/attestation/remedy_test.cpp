#include "attestation/remedy.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <regex>
#include <set>

#include <gtest/gtest.h>

#include "attestation/refusal_codes.h"
#include "attestation/tcb_status.h"
#include "base/inconclusive.h"

namespace ee::attestation {
namespace {

// With which a control plane refuses or warns before a quote is looked at, and without one.
constexpr std::string_view tunnel_codes[] = {
    "invalid_json",
    "unknown_message",
    "missing_fields",
    "invalid_field",
    "message_too_large",
    "register_timeout",
    "not_registered",
    "already_registered",
    "agent_id_taken",
    "join_not_allowed",
    "app_bound_to_other_repo",
    "app_bound_to_other_network",
    "node_token_invalid",
    "node_banned",
    "rate_limited",
    "too_many_tunnels",
    "too_many_apps",
    "too_many_new_apps",
    "unexpected_attestation",
    "superseded",
    "draining",
    "idle_timeout",
    "registration_expiring",
    "app_forgotten",
};

TEST(Remedy, IsThereForEveryCode) {
    std::vector<std::string_view> codes(refusal_codes.begin(), refusal_codes.end());
    codes.insert(codes.end(), std::begin(tunnel_codes), std::end(tunnel_codes));
    std::set<std::string_view> seen;
    for (const std::string_view code : codes) {
        EXPECT_TRUE(seen.insert(code).second) << code << " is listed twice";
        const std::string_view remedy = remedy_of(code);
        EXPECT_TRUE(remedy.ends_with('.') || remedy.ends_with('?')) << code << ": " << remedy;
        // It says whose turn it is.
        EXPECT_THAT(std::string(remedy), testing::ContainsRegex("(Provider|Operator|Release author): "))
            << code;
        EXPECT_EQ(remedy_of(std::string(code) + ":anything"), remedy) << code;
    }
}

TEST(Remedy, IsNotMadeUpForOtherCodes) {
    for (const char* code : {"", ":", "attested", "debug", "debug_td_", "quote", "tcb_unacceptable_"})
        EXPECT_EQ(remedy_of(code), "") << code;
}

TEST(Remedy, IsParticularForEachStatus) {
    std::set<std::string_view> seen;
    for (const TcbStatus status : all_tcb_statuses()) {
        if (status == TcbStatus::up_to_date) continue;  // Refused by nobody who has read what it means.
        const std::string code = "tcb_unacceptable:" + std::string(to_string(status));
        EXPECT_TRUE(seen.insert(remedy_of(code)).second) << code;
        EXPECT_NE(remedy_of(code), remedy_of("tcb_unacceptable")) << code;
    }
}

// What to do about these has nothing to do with the image.
TEST(Remedy, IsParticularForMismatchesThatNoOtherImageMends) {
    std::set<std::string_view> seen = {remedy_of("measurement_mismatch:rtmr2")};
    EXPECT_EQ(*seen.begin(), remedy_of("measurement_mismatch"));
    for (const char* what : {"config_sha256", "tcb_min", "subject"})
        EXPECT_TRUE(seen.insert(remedy_of(std::string("measurement_mismatch:") + what)).second) << what;
    EXPECT_THAT(std::string(remedy_of("measurement_mismatch:config_sha256")),
                testing::HasSubstr("EE_BACKEND_URL"));
}

TEST(Remedy, SaysWhichAdvisories) {
    EXPECT_THAT(remedy_of("advisory_refused:INTEL-SA-00837", {}),
                testing::EndsWith("/security-center/advisory/intel-sa-00837.html."));
    const std::string remedy = remedy_of("tcb_unacceptable:OutOfDate", {"INTEL-SA-00586", "INTEL-SA-00837"});
    EXPECT_THAT(remedy, testing::StartsWith(std::string(remedy_of("tcb_unacceptable:OutOfDate"))));
    EXPECT_THAT(remedy, testing::HasSubstr("Advisories: INTEL-SA-00586, INTEL-SA-00837; the first is at "));
    EXPECT_THAT(remedy_of("tcb_unacceptable:OutOfDate", std::vector<std::string>(20, "INTEL-SA-00837")),
                testing::HasSubstr(" and 12 more;"));
    EXPECT_EQ(remedy_of("debug_td", {"INTEL-SA-00837"}), remedy_of("debug_td"));
}

// Of all that can be refused; a code that changes its name changes it in inconclusive.h, too.
TEST(Inconclusive, AreFourOfTheRefusals) {
    std::vector<std::string_view> found;
    std::ranges::copy_if(refusal_codes, std::back_inserter(found), is_inconclusive);
    EXPECT_THAT(found, testing::UnorderedElementsAre("collateral_unavailable", "collateral_expired",
                                                     "collateral_not_yet_valid", "allowlist_unavailable"));
}

// The two refusals by which a node's agent is most often kept out.
TEST(Remedy, NamesBothSettingsOfANode) {
    for (const char* code : {"join_not_allowed", "node_token_invalid"})
        EXPECT_THAT(std::string(remedy_of(code)),
                    testing::AllOf(testing::HasSubstr("EE_NODE_ID"), testing::HasSubstr("EE_NODE_TOKEN")))
            << code;
}

// A new refusal without a line in refusal_codes.h fails here.
TEST(Remedy, IsThereForEveryCodeInTheSource) {
    // Files that cannot be read, saved evidence, and why an RA-TLS certificate does not count:
    // binding_too_weak follows from it.
    const std::set<std::string> no_verdicts = {
        "certificate_malformed",   "certificate_mismatch",
        "certificate_not_counted", "certificate_signature_invalid",
        "certificate_unreadable",  "evidence_inconsistent",
        "evidence_malformed",      "policy_malformed",
        "file_too_large",          "file_unreadable",
        "invalid_field",           "platform_mismatch",
    };
    const std::regex refusal(
        R"re((?:^|[^.\w])(?:fail|refuse|Error)\s*[({]\s*(?:fmt::format\(\s*)?"([a-z_]+)[":])re");
    std::set<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(EE_SOURCE_DIR "/src/attestation")) {
        const std::string name = entry.path().filename();
        if (!name.ends_with(".cpp") || name.ends_with("_test.cpp") || name.starts_with("simulated_"))
            continue;
        std::ifstream file(entry.path());
        const std::string text(std::istreambuf_iterator<char>(file), {});
        for (std::sregex_iterator it(text.begin(), text.end(), refusal), end; it != end; ++it)
            found.insert((*it)[1]);
    }
    EXPECT_GE(found.size(), 20u);
    for (const std::string& code : found)
        EXPECT_TRUE(no_verdicts.contains(code) || !remedy_of(code).empty()) << code;
}

}  // namespace
}  // namespace ee::attestation
