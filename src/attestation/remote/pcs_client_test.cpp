#include "attestation/remote/pcs_client.h"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "attestation/remote/collateral_terms.h"
#include "attestation/remote/test_pcs.h"
#include "attestation/simulated_platform.h"

namespace ee::attestation {
namespace {

using namespace std::chrono_literals;
using std::chrono::sys_days;

class PcsClientTest : public testing::Test {
protected:
    using Change = std::function<void(http::ClientAnswer&)>;

    // What comes of a fetch when the answers to targets that contain a word are changed.
    Result<Collateral> fetch(std::map<std::string, Change> changes = {},
                             std::string service = "http://pccs.test") {
        asked.clear();
        std::vector<std::function<void()>> answers;
        const PcsClient client(
            parse_pcs_url(service).value(), 10s,
            [&](http::ClientRequest request, http::OnClientAnswer on_answer) {
                asked.push_back(request.url.scheme + "://" + request.url.authority() + request.url.path);
                answers.push_back([&, request, on_answer] {
                    auto answer = answer_to(request.url.path, changes);
                    if (answer && answer->body.size() > request.body_bytes_max)
                        answer = fail("bad_response", "too large");
                    on_answer(std::move(answer));
                });
            });
        std::optional<Result<Collateral>> outcome;
        client.fetch(key, [&](Result<Collateral> collateral) {
            EXPECT_FALSE(outcome);
            outcome = std::move(collateral);
        });
        EXPECT_FALSE(outcome);
        // In the order opposite to the one they were asked in; an answer may lead to more questions.
        while (!answers.empty()) {
            const auto answer = std::move(answers.back());
            answers.pop_back();
            answer();
        }
        EXPECT_TRUE(outcome);
        return std::move(*outcome);
    }
    Result<http::ClientAnswer> answer_to(const std::string& target,
                                         const std::map<std::string, Change>& changes) {
        http::ClientAnswer answer = pcs_answer(published, target);
        for (const auto& [word, change] : changes) {
            if (target.find(word) == std::string::npos) continue;
            if (!change) return fail("timed_out", "http://pccs.test" + target + ": too slow");
            change(answer);
        }
        return answer;
    }
    std::string code(std::map<std::string, Change> changes) {
        const auto outcome = fetch(std::move(changes));
        return outcome ? "ok" : outcome.error().code;
    }
    static Change status(int number) {
        return [number](http::ClientAnswer& answer) { answer.status = number; };
    }
    static Change body(std::string text) {
        return [text](http::ClientAnswer& answer) { answer.body = text; };
    }
    static void replace(std::string& text, std::string_view from, std::string_view to) {
        const std::size_t at = text.find(from);
        ASSERT_NE(at, std::string::npos);
        text.replace(at, from.size(), to);
    }

    const SimulatedPlatform platform = make_simulated_platform(sys_days(2026y / 6 / 1));
    const Collateral published =
        parse_collateral(make_simulated_collateral(platform, sys_days(2026y / 6 / 1))).value();
    CollateralKey key = read_collateral_label(published)->key;
    std::vector<std::string> asked;
};

TEST_F(PcsClientTest, BringsTogetherWhatThePartsSay) {
    const auto collateral = fetch();
    ASSERT_TRUE(collateral) << collateral.error().detail;
    EXPECT_EQ(collateral->sha256(), published.sha256());
    EXPECT_EQ(collateral->sha256().size(), 9u);
    const std::string fmspc = to_hex(key.fmspc);
    std::sort(asked.begin(), asked.end());
    EXPECT_EQ(asked, (std::vector<std::string>{
                         "http://pccs.test/sgx/certification/v4/pckcrl?ca=platform&encoding=der",
                         "http://pccs.test/sgx/certification/v4/rootcacrl",
                         "http://pccs.test/tdx/certification/v4/qe/identity?update=early",
                         "http://pccs.test/tdx/certification/v4/tcb?fmspc=" + fmspc + "&update=early"}));
}

TEST_F(PcsClientTest, AsksIntelsOwnAddressForTheRootCrlOfIntelsService) {
    key.ca = PckCa::processor;
    fetch({}, std::string(intel_pcs_url));
    std::sort(asked.begin(), asked.end());
    EXPECT_EQ(asked[0],
              "https://api.trustedservices.intel.com/sgx/certification/v4/pckcrl?ca=processor&encoding=der");
    EXPECT_EQ(asked[3], "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der");
}

TEST_F(PcsClientTest, TakesAnAddressInEveryFormItIsWrittenIn) {
    for (const char* text : {"https://pccs.test:8081/a", "https://pccs.test:8081/a/",
                             "https://pccs.test:8081/a/sgx/certification/v4/"}) {
        const auto url = parse_pcs_url(text);
        ASSERT_TRUE(url) << text;
        EXPECT_EQ(url->path, "/a") << text;
        EXPECT_EQ(url->port, 8081) << text;
    }
    for (const char* text : {"pccs.test", "ftp://pccs.test", "ws://pccs.test", "https://pccs.test/?a=b"})
        EXPECT_EQ(parse_pcs_url(text).error().code, "invalid_url") << text;
}

TEST_F(PcsClientTest, TakesTheOlderNameOfAChainAndBothFormsOfACrl) {
    const auto collateral =
        fetch({{"/tcb?", [](auto& answer) { answer.fields[0].name = "sgx-tcb-info-issuer-chain"; }},
               {"/pckcrl?", [](auto& answer) { answer.body = to_hex(as_bytes(answer.body)); }},
               {"/rootcacrl", [this](auto& answer) {
                    answer.body.assign(published.root_ca_crl.begin(), published.root_ca_crl.end());
                }}});
    ASSERT_TRUE(collateral) << collateral.error().detail;
    EXPECT_EQ(collateral->sha256(), published.sha256());
}

TEST_F(PcsClientTest, EveryPartThatDoesNotComeOrIsNotWhatItMustBeIsRefused) {
    const auto no_field = [](http::ClientAnswer& answer) { answer.fields.clear(); };
    const auto bad_field = [](http::ClientAnswer& answer) { answer.fields[0].value = "%"; };
    const struct {
        const char* word;
        Change change;
        const char* code;
    } rows[] = {
        {"/tcb?", {}, "collateral_service_failed"},
        {"/qe/identity?", {}, "collateral_service_failed"},
        {"/pckcrl?", {}, "collateral_service_failed"},
        {"/rootcacrl", {}, "collateral_service_failed"},
        {"/tcb?", status(404), "collateral_unavailable"},
        {"/qe/identity?", status(500), "collateral_unavailable"},
        {"/pckcrl?", status(302), "collateral_unavailable"},
        {"/rootcacrl", status(204), "collateral_unavailable"},
        {"/tcb?", no_field, "collateral_malformed:tcb_info"},
        {"/qe/identity?", no_field, "collateral_malformed:qe_identity"},
        {"/pckcrl?", no_field, "collateral_malformed:pck_crl"},
        {"/tcb?", bad_field, "collateral_malformed:tcb_info"},
        {"/tcb?", body("{}"), "collateral_malformed:tcb_info"},
        {"/qe/identity?", body("<html>"), "collateral_malformed:qe_identity"},
        {"/pckcrl?", body("<html>"), "collateral_malformed:pck_crl"},
        {"/rootcacrl", body(""), "collateral_malformed:root_ca_crl"},
        {"/tcb?", body(std::string(70'000, ' ')), "collateral_service_failed"},
        {"/qe/identity?", body(std::string(70'000, ' ')), "collateral_service_failed"},
        {"/rootcacrl", body("30" + std::string(2 * crl_size_max, '0')), "collateral_malformed:root_ca_crl"},
    };
    for (const auto& row : rows) EXPECT_EQ(code({{row.word, row.change}}), row.code) << row.word;
}

TEST_F(PcsClientTest, AnAnswerThatIsNoneIsNamedWithoutTheServicesAddress) {
    const auto moved = fetch({{"/tcb?", status(301)}});
    ASSERT_FALSE(moved);
    EXPECT_TRUE(moved.error().detail.starts_with("/tdx/certification/v4/tcb?fmspc=")) << moved.error().detail;
    EXPECT_NE(moved.error().detail.find("301, a redirect, which is not followed"), std::string::npos);
    EXPECT_NE(fetch({{"/tcb?", status(404)}}).error().detail.find("no such platform"), std::string::npos);
}

TEST_F(PcsClientTest, AsksOnceMoreWithoutEarlyUpdatesWhenTheEvaluationsDiffer) {
    const std::string number = std::to_string(read_collateral_terms(published)->tcb_info_evaluation);
    const Change older = [&](http::ClientAnswer& answer) {
        replace(answer.body, "\"tcbEvaluationDataNumber\":" + number, "\"tcbEvaluationDataNumber\":1");
    };
    const auto settled = fetch({{"/tcb?fmspc=" + to_hex(key.fmspc) + "&update=early", older}});
    ASSERT_TRUE(settled) << settled.error().detail;
    EXPECT_EQ(settled->sha256(), published.sha256());
    EXPECT_EQ(asked.size(), 6u);
    EXPECT_EQ(std::count_if(asked.begin(), asked.end(),
                            [](const std::string& url) { return url.ends_with("update=standard"); }),
              2);
    const auto refused = fetch({{"/tcb?", older}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "collateral_mismatch:tcb_evaluation");
    EXPECT_EQ(refused.error().detail, "TCB info is of evaluation 1, QE identity of " + number);
    EXPECT_EQ(asked.size(), 6u);
}

}  // namespace
}  // namespace ee::attestation
