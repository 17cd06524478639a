#include "attestation/allowlist.h"

#include <functional>

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
        {R"({"version":"3.0"})", "/version"},
        {R"({"version":"1"})", "/version"},
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

// A member of version 2 in place of, or besides, what every such allowlist says.
std::string version_2(const std::string& members, const std::string& tag = "v1") {
    return R"({"version":"2.0","release_tag":")" + tag + "\"" + (members.empty() ? "" : "," + members) + "}";
}

TEST(AllowlistVersion2, ReadsEveryMember) {
    const std::string top = R"("repo":"org/repo","created_at":"2026-01-01T00:00:00Z",)"
                            R"("tcb_min":"2024-03-13T00:00:00Z","expires_at":"2027-01-01T00:00:00Z",)"
                            R"("measurements":{"sealed":true},"quote_measurements":{"rtmr3":")" +
                            register_hex('3') + R"("},"report_data":")" + std::string(128, '7') + "\"";
    const std::string builds = R"("builds":[{"name":"gcp","quote_measurements":{"mrtd":")" +
                               register_hex('d') + R"("}},{"name":"azure","quote_measurements":{"mrtd":[")" +
                               register_hex('e') + R"("]},"measurements":{"image":"x"}}])";
    const auto allowlist = parse_allowlist(version_2(top + "," + builds));
    ASSERT_TRUE(allowlist) << allowlist.error().code << allowlist.error().detail;
    EXPECT_EQ(allowlist->version, 2);
    EXPECT_EQ(allowlist->release_tag, "v1");
    EXPECT_EQ(allowlist->repo, "org/repo");
    EXPECT_EQ(allowlist->tcb_min, from_rfc3339("2024-03-13T00:00:00Z"));
    EXPECT_EQ(allowlist->expires_at, from_rfc3339("2027-01-01T00:00:00Z"));
    ASSERT_EQ(allowlist->builds.size(), 2u);
    EXPECT_EQ(allowlist->builds[1].name, "azure");
    EXPECT_EQ(allowlist->builds[1].quote_measurements.at(QuoteRegister::mrtd), std::vector{measurement('e')});
    EXPECT_TRUE(allowlist->names(QuoteRegister::rtmr3) && allowlist->names(QuoteRegister::mrtd));
    EXPECT_FALSE(allowlist->names(QuoteRegister::rtmr0));
    EXPECT_TRUE(allowlist->names("sealed"));
    EXPECT_FALSE(allowlist->names("image"));  // Only one of the builds does.
    EXPECT_TRUE(parse_allowlist(R"({"version":"2","release_tag":"v1"})"));
}

TEST(AllowlistVersion2, NamesTheWrongMemberByPointer) {
    const std::string good = register_hex('a');
    const std::string build = R"({"name":"a","quote_measurements":{"mrtd":")" + good + R"("}})";
    const std::pair<std::string, std::string> rows[] = {
        {R"({"version":"2.0"})", "/release_tag"},
        {version_2("", ""), "/release_tag"},
        {version_2("", "../v1"), "/release_tag"},
        {version_2(R"("quote":"x")"), "/quote"},
        {version_2(R"("a/b":1)"), "/a~1b"},
        {version_2(R"("repo":"org")"), "/repo"},
        {version_2(R"("repo":1)"), "/repo"},
        {version_2(R"("tcb_min":17)"), "/tcb_min"},
        {version_2(R"("tcb_min":"2024-03-13")"), "/tcb_min"},
        {version_2(R"("expires_at":"soon")"), "/expires_at"},
        {version_2(R"("expires_at":null)"), "/expires_at"},
        {version_2(R"("builds":{})"), "/builds"},
        {version_2(R"("builds":[])"), "/builds"},
        {version_2(R"("builds":[1])"), "/builds/0"},
        {version_2(R"("builds":[{}])"), "/builds/0/name"},
        {version_2(R"("builds":[{"name":""}])"), "/builds/0/name"},
        {version_2(R"("builds":[{"name":"a","rtmr0":"x"}])"), "/builds/0/rtmr0"},
        {version_2(R"("builds":[{"name":"a","name":"b"}])"), "/builds/0/name"},
        {version_2(R"("builds":[)" + build + "," + build + "]"), "/builds/1/name"},
        {version_2(R"("builds":[{"name":"a","quote_measurements":{"mrtd":"00"}}])"),
         "/builds/0/quote_measurements/mrtd"},
        {version_2(R"("builds":[{"name":"a","measurements":{"n":1}}])"), "/builds/0/measurements/n"},
        {version_2(R"("quote_measurements":{"mrtd":")" + good + R"("},"builds":[)" + build + "]"),
         "/builds/0/quote_measurements/mrtd"},
        {version_2(R"("builds":[{"name":"a","measurements":{"n":"x"}}],"measurements":{"n":"x"})"),
         "/builds/0/measurements/n"},
    };
    for (const auto& [json, pointer] : rows) {
        const auto allowlist = parse_allowlist(json);
        ASSERT_FALSE(allowlist) << json;
        EXPECT_EQ(allowlist.error().code, "allowlist_invalid:" + pointer) << json;
    }
}

TEST(AllowlistVersion2, AMemberOfVersion2MeansNothingInVersion1) {
    const auto allowlist =
        parse_allowlist(R"({"version":"1.0","expires_at":5,"tcb_min":5,"builds":5,"repo":5,"quote":5})");
    ASSERT_TRUE(allowlist);
    EXPECT_FALSE(allowlist->expires_at || allowlist->tcb_min);
    EXPECT_TRUE(allowlist->builds.empty() && allowlist->repo.empty());
}

TEST(Allowlist, MembersWithoutEndAreReadInTime) {
    std::string json = R"({"version":"1.0")";
    for (int i = 0; json.size() < allowlist_size_max - 32; ++i) json += ",\"" + std::to_string(i) + "\":0";
    EXPECT_TRUE(parse_allowlist(json + "}"));
}

std::string repeated(std::size_t count, const std::function<std::string(std::size_t)>& item) {
    std::string out;
    for (std::size_t i = 0; i < count; ++i) out.append(i == 0 ? "" : ",").append(item(i));
    return out;
}

TEST(Allowlist, TakesAsMuchAsEachCapSaysAndNoMore) {
    struct Row {
        std::size_t most;
        const char* pointer;
        std::string (*make)(std::size_t size);
    };
    const Row rows[] = {
        {allowlist_size_max, "/",
         [](std::size_t size) {
             std::string json = R"({"version":"1.0"})";
             json.resize(size, ' ');
             return json;
         }},
        {256, "/measurements/n",
         [](std::size_t size) {
             return R"({"version":"1.0","measurements":{"n":[)" +
                    repeated(size, [](std::size_t) { return "null"; }) + "]}}";
         }},
        {256, "/measurements",
         [](std::size_t size) {
             return R"({"version":"1.0","measurements":{)" +
                    repeated(size, [](std::size_t i) { return "\"n" + std::to_string(i) + "\":null"; }) +
                    "}}";
         }},
        {256, "/builds/0/measurements",
         [](std::size_t size) {
             return version_2(
                 R"("builds":[{"name":"n","measurements":{)" +
                 repeated(size, [](std::size_t i) { return "\"n" + std::to_string(i) + "\":null"; }) + "}}]");
         }},
        {256, "/builds",
         [](std::size_t size) {
             const auto build = [](std::size_t i) { return R"({"name":"b)" + std::to_string(i) + "\"}"; };
             return version_2(R"("builds":[)" + repeated(size, build) + "]");
         }},
        {128, "/builds/0/name",
         [](std::size_t size) {
             return version_2(R"("builds":[{"name":")" + std::string(size, 'n') + "\"}]");
         }},
    };
    for (const Row& row : rows) {
        const auto most = parse_allowlist(row.make(row.most));
        EXPECT_TRUE(most) << row.pointer << most.error().detail;
        const auto more = parse_allowlist(row.make(row.most + 1));
        ASSERT_FALSE(more) << row.pointer;
        EXPECT_EQ(more.error().code, "allowlist_invalid:" + std::string(row.pointer));
    }
}

TEST(CheckAllowlist, IsOfThisReleaseAndStillHolds) {
    const WallTime now = std::chrono::sys_days(std::chrono::year(2026) / 6 / 1);
    Allowlist allowlist;
    const auto code = [&] {
        const auto checked = check_allowlist(allowlist, "Org/repo", "v1", now);
        return checked ? "" : checked.error().code;
    };
    EXPECT_EQ(code(), "");  // Version 1 need not say.
    allowlist.release_tag = "v1";
    allowlist.repo = "org/Repo";
    allowlist.expires_at = now + std::chrono::milliseconds(1);
    EXPECT_EQ(code(), "");
    allowlist.expires_at = now;
    EXPECT_EQ(code(), "allowlist_invalid:/expires_at");
    allowlist.repo = "org/repo2";
    EXPECT_EQ(code(), "allowlist_invalid:/repo");
    for (const char* other : {"v2", "V1", "v1 ", "v"}) {
        allowlist.release_tag = other;
        EXPECT_EQ(code(), "allowlist_invalid:/release_tag") << other;
    }
}

TEST(MatchTcbDate, WantsAnEvaluatedDateThatIsRecentEnough) {
    const WallTime day = std::chrono::sys_days(std::chrono::year(2024) / 3 / 13);
    const std::chrono::milliseconds tick(1);
    Allowlist allowlist;
    EXPECT_TRUE(match_tcb_date(allowlist, std::nullopt));
    allowlist.tcb_min = day;
    EXPECT_TRUE(match_tcb_date(allowlist, day));
    for (const auto& older : {std::optional<WallTime>(day - tick), std::optional<WallTime>()}) {
        const auto matched = match_tcb_date(allowlist, older);
        ASSERT_FALSE(matched);
        EXPECT_EQ(matched.error().code, "measurement_mismatch:tcb_min");
        EXPECT_NE(matched.error().detail.find("2024-03-13T00:00:00Z"), std::string::npos);
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
    EXPECT_TRUE(match_machine(allowlist, report, {{"sealed", true}, {"image", "b"}, {"more", "anything"}}));
    const std::pair<Claims, const char*> rows[] = {
        {{{"sealed", true}}, "measurement_mismatch:image"},
        {{{"image", "a"}}, "measurement_mismatch:sealed"},
        {{{"sealed", "true"}, {"image", "a"}}, "measurement_mismatch:sealed"},
        {{{"sealed", false}, {"image", "a"}}, "measurement_mismatch:sealed"},
        {{{"sealed", true}, {"image", nullptr}}, "measurement_mismatch:image"},
        {{{"sealed", true}, {"image", "c"}}, "measurement_mismatch:image"},
    };
    for (const auto& [claims, code] : rows) {
        const auto matched = match_machine(allowlist, report, claims);
        ASSERT_FALSE(matched);
        EXPECT_EQ(matched.error().code, code);
    }
}

TEST_F(Matching, AMachineIsOneBuildWhole) {
    allowlist.quote_measurements = {{QuoteRegister::rtmr3, {measurement('3')}}};
    allowlist.measurements.clear();
    allowlist.builds = {
        {"one",
         {{QuoteRegister::mrtd, {measurement('d')}}, {QuoteRegister::rtmr0, {measurement('a')}}},
         {{"image", {std::string("a")}}}},
        {"two",
         {{QuoteRegister::mrtd, {measurement('e')}}, {QuoteRegister::rtmr0, {measurement('0')}}},
         {{"image", {std::string("b")}}, {"sealed", {true}}}}};
    const Claims a = {{"image", "a"}}, b = {{"image", "b"}, {"sealed", true}};
    // mrtd of one, rtmr0 of the other.
    const auto mixed = match_machine(allowlist, report, a);
    ASSERT_FALSE(mixed);
    EXPECT_EQ(mixed.error().code, "measurement_mismatch:rtmr0");
    EXPECT_NE(mixed.error().detail.find("build \"one\", the closest of 2"), std::string::npos)
        << mixed.error().detail;
    EXPECT_FALSE(match_quote(allowlist, report));

    report.rtmr[0] = measurement('a');
    EXPECT_TRUE(match_quote(allowlist, report));
    const auto one = match_machine(allowlist, report, a);
    ASSERT_TRUE(one);
    EXPECT_EQ(one->build, "one");
    EXPECT_FALSE(one->allows_sealed);  // The other one does.
    EXPECT_TRUE(allowlist.allows_sealed());
    // Registers of one, claims of the other.
    EXPECT_EQ(match_machine(allowlist, report, b).error().code, "measurement_mismatch:image");

    report.mr_td = measurement('e');
    report.rtmr[0] = measurement('0');
    const auto two = match_machine(allowlist, report, b);
    ASSERT_TRUE(two);
    EXPECT_EQ(two->build, "two");
    EXPECT_TRUE(two->allows_sealed);
    // What stands beside the builds is asked of each of them.
    report.rtmr[3] = measurement('4');
    EXPECT_EQ(match_machine(allowlist, report, b).error().code, "measurement_mismatch:rtmr3");
}

}  // namespace
}  // namespace ee::attestation
