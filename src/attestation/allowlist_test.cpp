#include "attestation/allowlist.h"

#include <gtest/gtest.h>

#include "base/hex.h"

namespace ee::attestation {
namespace {

std::string register_hex(char digit) {
    return std::string(96, digit);
}

Measurement measurement(char digit) {
    return from_hex_exact<48>(register_hex(digit)).value();
}

TEST(Allowlist, ReadsThePublishedForm) {
    const std::string json = R"({"version":"1.0","release_tag":"v0.1.3","created_at":"2026-01-01T00:00:00Z",
        "measurements":{"agent_dir_sha256":"aa","vm_image_id":"tag=v0.1.3","sealed":true,"note":null},
        "report_data":")" + std::string(128, '7') +
                             R"(","quote_measurements":{"rtmr0":")" + register_hex('0') + R"(","rtmr3":[")" +
                             register_hex('3') + R"(",")" + register_hex('4') + R"("]},"quote":"ignored"})";
    const auto allowlist = parse_allowlist(json);
    ASSERT_TRUE(allowlist) << allowlist.error().code;
    EXPECT_EQ(allowlist->release_tag, "v0.1.3");
    EXPECT_EQ(allowlist->sha256, crypto::sha256(as_bytes(json)));
    EXPECT_EQ(to_hex(*allowlist->report_data), std::string(128, '7'));
    ASSERT_EQ(allowlist->quote_measurements.size(), 2u);
    EXPECT_EQ(allowlist->quote_measurements.at(QuoteRegister::rtmr3),
              (std::vector{measurement('3'), measurement('4')}));
    EXPECT_EQ(allowlist->measurements.at("note"), std::vector<Claim>{nullptr});
    EXPECT_TRUE(allowlist->allows_sealed());
}

TEST(Allowlist, NeedsNothingButItsVersion) {
    const auto allowlist = parse_allowlist(R"({"version":"1.0"})");
    ASSERT_TRUE(allowlist);
    EXPECT_TRUE(allowlist->quote_measurements.empty());
    EXPECT_FALSE(allowlist->allows_sealed());
}

TEST(Allowlist, NamesTheWrongFieldByPointer) {
    const std::string good = register_hex('a');
    const std::pair<std::string, std::string> rows[] = {
        {"", "/"},
        {"[]", "/"},
        {"{", "/"},
        {R"({"version":"1.0"} x)", "/"},
        {"\"1.0\"", "/"},
        {"{}", "/version"},
        {R"({"version":1.0})", "/version"},
        {R"({"version":"2.0"})", "/version"},
        {R"({"version":"1.0","release_tag":3})", "/release_tag"},
        {R"({"version":"1.0","created_at":null})", "/created_at"},
        {R"({"version":"1.0","report_data":"00"})", "/report_data"},
        {R"({"version":"1.0","report_data":false})", "/report_data"},
        {R"({"version":"1.0","quote_measurements":[]})", "/quote_measurements"},
        {R"({"version":"1.0","quote_measurements":{"mrtd":"00"}})", "/quote_measurements/mrtd"},
        {R"({"version":"1.0","quote_measurements":{"mrtd":""}})", "/quote_measurements/mrtd"},
        {R"({"version":"1.0","quote_measurements":{"mrtd":null}})", "/quote_measurements/mrtd"},
        {R"({"version":"1.0","quote_measurements":{"rtmr0":[]}})", "/quote_measurements/rtmr0"},
        {R"({"version":"1.0","quote_measurements":{"rtmr0":[")" + good + R"(",5]}})",
         "/quote_measurements/rtmr0/1"},
        {R"({"version":"1.0","quote_measurements":{"rtmr4":")" + good + R"("}})",
         "/quote_measurements/rtmr4"},
        {R"({"version":"1.0","quote_measurements":{"mr~x/y":")" + good + R"("}})",
         "/quote_measurements/mr~0x~1y"},
        {R"({"version":"1.0","quote_measurements":{"rtmr1":")" + good + R"(","rtmr1":")" + good + R"("}})",
         "/quote_measurements/rtmr1"},
        {R"({"version":"1.0","measurements":"x"})", "/measurements"},
        {R"({"version":"1.0","measurements":{"n":1}})", "/measurements/n"},
        {R"({"version":"1.0","measurements":{"n":{}}})", "/measurements/n"},
        {R"({"version":"1.0","measurements":{"n":["a",["b"]]}})", "/measurements/n/1"},
        {R"({"version":"1.0","measurements":{"n":[]}})", "/measurements/n"},
        {R"({"version":"1.0","measurements":{"n":"a","n":"b"}})", "/measurements/n"},
        {R"({"version":"1.0","version":"1.0"})", "/version"},
        {std::string(allowlist_size_max + 1, ' '), "/"},
        {R"({"version":"1.0","x":)" + std::string(40, '[') + std::string(40, ']') + "}", "/"},
    };
    for (const auto& [json, pointer] : rows) {
        const auto allowlist = parse_allowlist(json);
        ASSERT_FALSE(allowlist) << json.substr(0, 200);
        EXPECT_EQ(allowlist.error().code, "allowlist_invalid:" + pointer) << json.substr(0, 200);
    }
}

struct Matching : testing::Test {
    TdReport report;
    Allowlist allowlist;

    Matching() {
        report.mr_td = measurement('d');
        for (std::size_t i = 0; i < report.rtmr.size(); ++i)
            report.rtmr[i] = measurement(static_cast<char>('0' + i));
        allowlist.quote_measurements = {{QuoteRegister::mrtd, {measurement('d')}},
                                        {QuoteRegister::rtmr0, {measurement('f'), measurement('0')}},
                                        {QuoteRegister::rtmr3, {measurement('3')}}};
        allowlist.measurements = {{"sealed", {true}}, {"image", {std::string("a"), std::string("b")}}};
    }
};

TEST_F(Matching, TakesAnyOfTheListedRegisters) {
    EXPECT_TRUE(match_quote(allowlist, report));
    // What the allowlist does not name may be anything.
    report.rtmr[1] = measurement('9');
    EXPECT_TRUE(match_quote(allowlist, report));
}

TEST_F(Matching, NamesTheRegisterThatDiffers) {
    struct Row {
        QuoteRegister which;
        const char* code;
    };
    for (const Row& row : {Row{QuoteRegister::mrtd, "measurement_mismatch:mrtd"},
                           Row{QuoteRegister::rtmr0, "measurement_mismatch:rtmr0"},
                           Row{QuoteRegister::rtmr3, "measurement_mismatch:rtmr3"}}) {
        TdReport other = report;
        Measurement& changed = row.which == QuoteRegister::mrtd    ? other.mr_td
                               : row.which == QuoteRegister::rtmr0 ? other.rtmr[0]
                                                                   : other.rtmr[3];
        changed[47] ^= 1;
        const auto matched = match_quote(allowlist, other);
        ASSERT_FALSE(matched);
        EXPECT_EQ(matched.error().code, row.code);
        EXPECT_NE(matched.error().detail.find(to_hex(changed)), std::string::npos);
    }
}

TEST_F(Matching, ComparesClaimsByTypeAndValue) {
    EXPECT_TRUE(match_claims(allowlist, {{"sealed", true}, {"image", "b"}, {"more", "anything"}}));
    const std::pair<Claims, const char*> rows[] = {
        {{{"sealed", true}}, "measurement_mismatch:image"},
        {{{"image", "a"}}, "measurement_mismatch:sealed"},
        {{{"sealed", "true"}, {"image", "a"}}, "measurement_mismatch:sealed"},
        {{{"sealed", false}, {"image", "a"}}, "measurement_mismatch:sealed"},
        {{{"sealed", true}, {"image", nullptr}}, "measurement_mismatch:image"},
        {{{"sealed", true}, {"image", "c"}}, "measurement_mismatch:image"},
    };
    for (const auto& [claims, code] : rows) {
        const auto matched = match_claims(allowlist, claims);
        ASSERT_FALSE(matched);
        EXPECT_EQ(matched.error().code, code);
    }
}

}  // namespace
}  // namespace ee::attestation
