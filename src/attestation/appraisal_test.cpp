#include "attestation/appraisal.h"

#include <functional>

#include <gtest/gtest.h>

#include "attestation/simulated_platform.h"
#include "base/hex.h"

namespace ee::attestation {
namespace {

using std::chrono::sys_days;
using namespace std::chrono_literals;

const WallTime at = sys_days(2026y / 6 / 1);

const SimulatedPlatform& platform() {
    static const SimulatedPlatform made = make_simulated_platform(at);
    return made;
}

class Releases final : public ReleaseSource {
public:
    Result<PublishedAllowlist> find(const ReleaseQuery& query, WallTime) override {
        asked.push_back(query.release);
        if (refusal) return fail(*refusal);
        return PublishedAllowlist{std::make_shared<const Allowlist>(allowlist)};
    }
    std::vector<ReleaseId> asked;
    Allowlist allowlist;
    std::optional<Error> refusal;
};

// sandbox-1 and forge-1 as built in, and "forge-test": forge-1's rules for a simulated platform.
NetworkPolicies policies() {
    NetworkPolicy forge_test = forge_1_policy();
    forge_test.name = "forge-test";
    forge_test.simulated_root_allowed = true;
    return NetworkPolicies({forge_1_policy(), sandbox_1_policy(true), forge_test});
}

struct Appraisal : testing::Test {
    FixedCollateral collateral{parse_collateral(make_simulated_collateral(platform(), at)).value()};
    Releases releases;
    Appraiser appraiser{policies(), TrustAnchors::with_simulated_root(platform().root_certificate).value(),
                        collateral, releases};
    crypto::SigningKey agent_key = crypto::SigningKey::generate(crypto::KeyKind::ed25519);
    Challenge challenge{.nonce = {},
                        .wire = "1",
                        .channel = {},
                        .identity = {.agent_id = "agent-1",
                                     .node_id = "",
                                     .app_name = "myapp",
                                     .repo = "org/repo",
                                     .release_tag = "v0.1.3",
                                     .network = "sandbox-1"}};
    Answer answer;
    SimulatedQuoteRequest request;

    Appraisal() {
        challenge.nonce.fill(7);
        answer.layout = 2;
        releases.allowlist = parse_allowlist(make_simulated_allowlist(platform(), at)).value();
    }

    ReportData report_data() const {
        return report_data_layout2({.nonce = challenge.nonce,
                                    .agent_key = answer.agent_key,
                                    .channel = challenge.channel,
                                    .wire = challenge.wire,
                                    .identity = challenge.identity,
                                    .measurements = answer.measurements});
    }
    void use_key() { answer.agent_key = agent_key.spki(); }
    void use_channel() { challenge.channel = Bytes(32, 0xcc); }
    // What a sealed release publishes and its agent claims.
    void use_sealed_release() {
        answer.measurements = {{"sealed", true}, {"config_sha256", "aa"}};
        releases.allowlist.measurements = {{"sealed", {true}}, {"config_sha256", {std::string("aa")}}};
    }
    void use_legacy() {
        answer.layout.reset();
        answer.measurements = {{"agent_dir_sha256", "a"},
                               {"agent_py_sha256", "b"},
                               {"vm_image_id", "tag=v0.1.3"},
                               {"sealed", false}};
    }

    // Answers as an honest agent does.
    void make_answer() {
        request.report_data = answer.layout ? report_data() : report_data_legacy(answer.measurements).value();
        answer.report_data = to_bytes(request.report_data);
        answer.quote = make_simulated_quote(platform(), request);
        if (!answer.agent_key.empty()) {
            answer.signature = to_bytes(agent_key.sign(session_message(request.report_data)));
        }
    }
    Verdict judge() {
        make_answer();
        return appraiser.appraise(challenge, answer, at);
    }
    std::string code() { return judge().refusal.code; }
};

std::string letters(const CheckList& checks) {
    std::string out;
    for (const std::string& check : checks) out += check;
    return out;
}

TEST_F(Appraisal, AdmitsAnHonestAgentAndSaysWhatWasJudged) {
    use_key();
    const Verdict verdict = judge();
    ASSERT_TRUE(verdict.ok) << verdict.refusal.code << ": " << verdict.refusal.detail;
    EXPECT_EQ(verdict.refusal, Error{});
    EXPECT_EQ(verdict.binding, Binding::key);
    EXPECT_EQ(verdict.agent_key, agent_key.spki());
    EXPECT_FALSE(verdict.legacy || verdict.unbound || verdict.sealed || verdict.debug);
    EXPECT_TRUE(verdict.simulated);
    EXPECT_EQ(verdict.tcb_status, "UpToDate");
    EXPECT_EQ(verdict.tcb_date, "2025-08-13T00:00:00Z");
    EXPECT_EQ(letters(verdict.checks), "ABCDEFGHIJKLMNOP");
    EXPECT_EQ(letters(verdict.not_checked), "");
    EXPECT_EQ(verdict.report_data, to_hex(answer.report_data));
    EXPECT_EQ(verdict.rtmrs.size(), 4u);
    EXPECT_EQ(verdict.mrtd.size(), 96u);
    EXPECT_EQ(verdict.fmspc.size(), 12u);
    EXPECT_TRUE(verdict.collateral_sha256.contains("pck_crl"));
    EXPECT_TRUE(verdict.allowlist_found);
    EXPECT_EQ(verdict.allowlist_sha256, to_hex(releases.allowlist.sha256));
    EXPECT_EQ(verdict.judged_at, at);
    EXPECT_EQ(releases.asked, (std::vector<ReleaseId>{{"org/repo", "v0.1.3"}}));
}

TEST_F(Appraisal, EarnsTheBindingThatTheAnswerShows) {
    EXPECT_EQ(judge().binding, Binding::nonce);
    use_key();
    EXPECT_EQ(judge().binding, Binding::key);
    // A key that signed nothing is named, not proven.
    make_answer();
    answer.signature.clear();
    const Verdict unsigned_key = appraiser.appraise(challenge, answer, at);
    EXPECT_TRUE(unsigned_key.ok);
    EXPECT_EQ(unsigned_key.binding, Binding::nonce);
    EXPECT_TRUE(unsigned_key.agent_key.empty());
    use_channel();
    EXPECT_EQ(judge().binding, Binding::channel);
}

// The nonce was echoed, not bound: one quote attested two agents, for ever.
TEST_F(Appraisal, RefusesAnAnswerMadeForAnotherChallenge) {
    use_key();
    make_answer();
    const Challenge asked = challenge;
    const std::function<void(Challenge&)> changes[] = {
        [](Challenge& c) { c.nonce[0] ^= 1; },
        [](Challenge& c) { c.wire = "2"; },
        [](Challenge& c) { c.channel = Bytes(32, 1); },
        [](Challenge& c) { c.identity.agent_id = "agent-2"; },
        [](Challenge& c) { c.identity.node_id = "node-1"; },
        [](Challenge& c) { c.identity.app_name = "other"; },
        [](Challenge& c) { c.identity.repo = "org/other"; },
        [](Challenge& c) { c.identity.release_tag = "v0.1.4"; },
    };
    for (const auto& change : changes) {
        Challenge other = asked;
        change(other);
        const Verdict verdict = appraiser.appraise(other, answer, at);
        EXPECT_EQ(verdict.refusal.code, "report_data_mismatch");
        EXPECT_EQ(letters(verdict.checks), "ABC");
    }
    EXPECT_TRUE(appraiser.appraise(asked, answer, at).ok);
}

TEST_F(Appraisal, RefusesAMessageThatDiffersFromItsQuote) {
    use_key();
    const std::function<void(Answer&)> changes[] = {
        [](Answer& a) { a.report_data[63] ^= 1; },
        [](Answer& a) { a.report_data.pop_back(); },
        [](Answer& a) { a.report_data.clear(); },
        [](Answer& a) { a.measurements["extra"] = "x"; },
        [](Answer& a) { a.agent_key = crypto::SigningKey::generate(crypto::KeyKind::ed25519).spki(); },
        [](Answer& a) { a.agent_key.clear(); },
        [](Answer& a) { a.signature[0] ^= 1; },
        [](Answer& a) { a.signature.pop_back(); },
    };
    make_answer();
    for (const auto& change : changes) {
        Answer other = answer;
        change(other);
        EXPECT_EQ(appraiser.appraise(challenge, other, at).refusal.code, "report_data_mismatch");
    }
    // The message is right, the quote says something else.
    request.report_data.fill(9);
    answer.quote = make_simulated_quote(platform(), request);
    EXPECT_EQ(appraiser.appraise(challenge, answer, at).refusal.code, "report_data_mismatch");
}

TEST_F(Appraisal, RefusesALayoutItDoesNotKnow) {
    make_answer();
    answer.layout = 3;
    EXPECT_EQ(appraiser.appraise(challenge, answer, at).refusal.code, "invalid_field:layout");
}

TEST_F(Appraisal, RefusesANetworkItDoesNotServe) {
    challenge.identity.network = "forge-9";
    EXPECT_EQ(code(), "invalid_network");
}

// What a look-up has found since an answer was judged: nothing to go by, no allowlist, or one.
TEST_F(Appraisal, SaysWhichAllowlistIsInForceNow) {
    const ReleaseId release{"org/repo", "v0.1.3"};
    const auto in_force = [&](std::string_view network) {
        return appraiser.fresh_allowlist(release, network, at);
    };
    EXPECT_EQ(in_force("sandbox-1"), to_hex(releases.allowlist.sha256));
    EXPECT_EQ(in_force("forge-9"), std::nullopt) << "a network that is gone";
    for (const auto* none : {"allowlist_missing", "allowlist_invalid:/x"}) {
        releases.refusal = Error{none, ""};
        EXPECT_EQ(in_force("sandbox-1"), "") << none;
    }
    for (const auto* unknown : {"allowlist_pending", "allowlist_unavailable"}) {
        releases.refusal = Error{unknown, ""};
        EXPECT_EQ(in_force("sandbox-1"), std::nullopt) << unknown;
    }
}

TEST_F(Appraisal, TakesLegacyAnswersWhereThePolicySaysSoAndMarksThem) {
    use_legacy();
    const Verdict verdict = judge();
    ASSERT_TRUE(verdict.ok) << verdict.refusal.code << ": " << verdict.refusal.detail;
    EXPECT_EQ(verdict.binding, Binding::none);
    EXPECT_TRUE(verdict.legacy && verdict.unbound);
    challenge.identity.network = "forge-1";
    EXPECT_EQ(code(), "binding_too_weak");
}

TEST_F(Appraisal, TakesLegacyAnswersFromListedPeersOnly) {
    NetworkPolicy policy = sandbox_1_policy(true);
    policy.legacy_cidrs = {*Cidr::parse("10.0.0.0/8")};
    appraiser.set_policies(NetworkPolicies({policy}));
    use_legacy();
    challenge.requester = "10.1.2.3";
    EXPECT_EQ(code(), "");
    challenge.requester = "192.0.2.1";
    EXPECT_EQ(code(), "binding_too_weak");
    challenge.requester = "";
    EXPECT_EQ(code(), "binding_too_weak");
    // Others may come from anywhere.
    answer.layout = 2;
    EXPECT_EQ(code(), "");
}

TEST_F(Appraisal, JudgesByThePoliciesThatAreInForce) {
    make_answer();
    EXPECT_TRUE(appraiser.appraise(challenge, answer, at).ok);
    const auto before = appraiser.policies();
    NetworkPolicy policy = sandbox_1_policy(true);
    policy.binding_min = Binding::channel;
    appraiser.set_policies(NetworkPolicies({policy}));
    EXPECT_EQ(appraiser.appraise(challenge, answer, at).refusal.code, "binding_too_weak");
    EXPECT_EQ(before->find("sandbox-1")->binding_min, Binding::nonce);  // Who holds the old ones keeps them.
    appraiser.set_policies(NetworkPolicies({forge_1_policy()}));
    EXPECT_EQ(appraiser.appraise(challenge, answer, at).refusal.code, "invalid_network");
}

TEST_F(Appraisal, RefusesLegacyAnswersWhoseClaimsTheirQuoteDoesNotCarry) {
    use_legacy();
    make_answer();
    answer.measurements["vm_image_id"] = "tag=v0.1.4";
    EXPECT_EQ(appraiser.appraise(challenge, answer, at).refusal.code, "report_data_mismatch");
    answer.measurements.erase("vm_image_id");
    EXPECT_EQ(appraiser.appraise(challenge, answer, at).refusal.code, "report_data_mismatch");
}

TEST_F(Appraisal, CountsOnlyTheLegacyClaimsThatTheirQuoteBinds) {
    use_legacy();
    answer.measurements["config_sha256"] = "aa";
    releases.allowlist.measurements = {{"vm_image_id", {std::string("tag=v0.1.3")}}};
    EXPECT_EQ(code(), "");
    releases.allowlist.measurements = {{"config_sha256", {std::string("aa")}}};
    EXPECT_EQ(code(), "measurement_mismatch:config_sha256");
}

TEST_F(Appraisal, ComparesAnAssetsReportDataWithLegacyQuotesOnly) {
    releases.allowlist.report_data = ReportData{};
    EXPECT_EQ(code(), "");
    use_legacy();
    EXPECT_EQ(code(), "measurement_mismatch:report_data");
    releases.allowlist.report_data = report_data_legacy(answer.measurements);
    EXPECT_EQ(code(), "");
}

TEST_F(Appraisal, BindsTooWeaklyForASealedNetworkWithoutAChannel) {
    use_sealed_release();
    challenge.identity.network = "forge-test";
    EXPECT_EQ(code(), "binding_too_weak");
    use_key();
    EXPECT_EQ(code(), "binding_too_weak");
    use_channel();
    EXPECT_EQ(code(), "");
}

TEST_F(Appraisal, NeverAdmitsASimulatedPlatformToForge1) {
    use_sealed_release();
    use_channel();
    challenge.identity.network = "forge-1";
    const Verdict verdict = judge();
    EXPECT_EQ(verdict.refusal.code, "simulated_root");
    EXPECT_EQ(letters(verdict.checks), "ABCDEFGHIJKLMNO");
    EXPECT_TRUE(releases.asked.empty());
}

TEST_F(Appraisal, RefusesAPlatformWhoseStatusTheNetworkDoesNotAccept) {
    NetworkPolicy policy = forge_1_policy();
    policy.simulated_root_allowed = true;
    const Appraiser strict(NetworkPolicies({policy}),
                           TrustAnchors::with_simulated_root(platform().root_certificate).value(), collateral,
                           releases);
    use_sealed_release();
    use_channel();
    challenge.identity.network = "forge-1";
    make_answer();
    EXPECT_TRUE(strict.appraise(challenge, answer, at).ok);
    request.tcb_status = TcbStatus::configuration_needed;
    make_answer();
    const Verdict verdict = strict.appraise(challenge, answer, at);
    EXPECT_EQ(verdict.refusal.code, "tcb_unacceptable:ConfigurationNeeded");
    EXPECT_EQ(verdict.tcb_status, "ConfigurationNeeded");
    EXPECT_EQ(verdict.advisory_ids, std::vector<std::string>{"INTEL-SA-90002"});
}

// Everything is wrong that policy can refuse: each refusal shows once those before it are gone.
TEST_F(Appraisal, RefusesByPolicyInThisOrder) {
    request.format = QuoteFormat::v5_td_1_5;
    request.fields = {parse_field_override(*find_quote_field("td_attributes"), "0x20000001").value(),
                      parse_field_override(*find_quote_field("xfam"), "0x642e7").value(),
                      parse_field_override(*find_quote_field("mrservicetd"), std::string(96, 'e')).value()};
    NetworkPolicy policy = sandbox_1_policy(false);
    policy.tcb_accepted = {};
    policy.debug_allowed = false;
    policy.xfam_allowed = 3;
    policy.mr_service_td_zero = true;
    policy.tcb_evaluation_min = 1000;
    policy.fmspc_allowed = {ByteArray<6>{}};
    policy.platforms_allowed = {crypto::Sha256{}};
    make_answer();
    const auto refusal = [&] {
        appraiser.set_policies(NetworkPolicies({policy}));
        const Error told = appraiser.appraise(challenge, answer, at).refusal;
        EXPECT_TRUE(told.code.empty() || told.detail.find("sandbox-1") != told.detail.npos) << told.detail;
        return told.code.substr(0, told.code.find(':'));
    };
    EXPECT_EQ(refusal(), "simulated_root");
    policy.simulated_root_allowed = true;
    EXPECT_EQ(refusal(), "tcb_unacceptable");
    policy.tcb_accepted = sandbox_1_policy(true).tcb_accepted;
    EXPECT_EQ(refusal(), "debug_td");
    policy.debug_allowed = true;
    EXPECT_EQ(refusal(), "td_attributes");
    request.fields[0] = parse_field_override(*find_quote_field("td_attributes"), "0x10000001").value();
    make_answer();
    EXPECT_EQ(refusal(), "xfam");
    policy.xfam_allowed = 0x642e7;
    EXPECT_EQ(refusal(), "mr_servicetd");
    policy.mr_service_td_zero = false;
    EXPECT_EQ(refusal(), "collateral_too_old");
    policy.tcb_evaluation_min.reset();
    EXPECT_EQ(refusal(), "fmspc_not_allowed");
    policy.fmspc_allowed.clear();
    EXPECT_EQ(refusal(), "platform_not_allowed");
    policy.platforms_allowed.clear();
    EXPECT_EQ(refusal(), "");
}

TEST_F(Appraisal, AsksForTheAllowlistOnlyOnceTheQuoteHolds) {
    using enum SimulatedFault;
    for (const SimulatedFault fault : {quote_signature, qe_report_signature, root_unknown, leaf_revoked}) {
        request.faults = {fault};
        EXPECT_FALSE(judge().ok);
    }
    EXPECT_TRUE(releases.asked.empty());
}

TEST_F(Appraisal, RefusesQuotesThatTheAllowlistDoesNotName) {
    use_legacy();
    releases.allowlist.report_data = ReportData{};  // Differs too, and is told after the registers.
    for (const char* name : {"mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3"}) {
        request.fields = {parse_field_override(*find_quote_field(name), std::string(96, 'e')).value()};
        EXPECT_EQ(code(), "measurement_mismatch:" + std::string(name));
    }
}

// The allowlist was compared with what the agent said, not with the quote.
TEST_F(Appraisal, DoesNotTakeAnAgentsWordForItsRegisters) {
    answer.measurements = {{"rtmr0", std::string(96, '0')}};
    releases.allowlist.quote_measurements[QuoteRegister::rtmr0] = {Measurement{}};
    EXPECT_EQ(code(), "measurement_mismatch:rtmr0");
}

TEST_F(Appraisal, WantsTheClaimsOfTheAllowlist) {
    releases.allowlist.measurements = {{"config_sha256", {std::string("aa")}}};
    EXPECT_EQ(code(), "measurement_mismatch:config_sha256");
    answer.measurements = {{"config_sha256", "aa"}};
    EXPECT_EQ(code(), "");
}

TEST_F(Appraisal, TakesAnAllowlistOnlyForItsOwnReleaseAndWhileItHolds) {
    releases.allowlist.release_tag = challenge.identity.release_tag;
    releases.allowlist.repo = challenge.identity.repo;
    releases.allowlist.expires_at = at + 1ms;
    EXPECT_EQ(code(), "");
    releases.allowlist.expires_at = at;
    EXPECT_EQ(code(), "allowlist_invalid:/expires_at");
    releases.allowlist.repo = "org/another";
    EXPECT_EQ(code(), "allowlist_invalid:/repo");
    releases.allowlist.release_tag = "v9.9.9";
    EXPECT_EQ(code(), "allowlist_invalid:/release_tag");
}

TEST_F(Appraisal, WantsTheTcbOfTheAllowlist) {
    releases.allowlist.tcb_min = at + std::chrono::days(3650);
    EXPECT_EQ(code(), "measurement_mismatch:tcb_min");
}

TEST_F(Appraisal, CallsSealedOnlyWhatItsOwnBuildMayBe) {
    use_sealed_release();
    Allowlist& allowlist = releases.allowlist;
    allowlist.builds = {{"unsealed", {}, {{"config_sha256", {std::string("other")}}}},
                        {"sealed", {}, {{"sealed", {true}}}}};
    allowlist.measurements.erase("sealed");
    EXPECT_TRUE(judge().sealed);
    allowlist.builds[1].measurements = {{"sealed", {false, true}}};
    allowlist.builds[0].measurements = {};
    EXPECT_FALSE(judge().sealed);  // It is the first build as well, and that one is none.
}

TEST_F(Appraisal, CallsSealedOnlyWhatClaimAllowlistAndTdAgreeOn) {
    use_sealed_release();
    EXPECT_TRUE(judge().sealed);
    request.debug = true;
    const Verdict debug = judge();
    EXPECT_TRUE(debug.ok && debug.debug);
    EXPECT_FALSE(debug.sealed);
    request.debug = false;
    releases.allowlist.measurements.erase("sealed");
    EXPECT_FALSE(judge().sealed);
    releases.refusal = Error{"allowlist_missing", ""};
    EXPECT_FALSE(judge().sealed);
}

TEST_F(Appraisal, RequiresASealedReleaseOnASealedNetwork) {
    use_sealed_release();
    use_channel();
    challenge.identity.network = "forge-test";
    const Verdict sealed = judge();
    EXPECT_TRUE(sealed.ok) << sealed.refusal.code;
    EXPECT_TRUE(sealed.sealed);
    releases.allowlist.measurements.erase("sealed");
    EXPECT_EQ(code(), "sealed_required");
    releases.allowlist.measurements["sealed"] = {false};
    answer.measurements["sealed"] = false;
    EXPECT_EQ(code(), "sealed_required");
    releases.allowlist.measurements.erase("config_sha256");
    EXPECT_EQ(code(), "allowlist_invalid:/measurements/config_sha256");
    releases.allowlist.quote_measurements.erase(QuoteRegister::mrtd);
    EXPECT_EQ(code(), "allowlist_invalid:/quote_measurements/mrtd");
}

TEST_F(Appraisal, RefusesDebugTdsOnASealedNetwork) {
    use_sealed_release();
    use_channel();
    challenge.identity.network = "forge-test";
    request.debug = true;
    EXPECT_EQ(code(), "debug_td");
}

TEST_F(Appraisal, DoesWithoutAnAllowlistOnlyWhereThePolicySaysSo) {
    releases.refusal = Error{"allowlist_missing", "none published"};
    const Verdict verdict = judge();
    EXPECT_TRUE(verdict.ok);
    EXPECT_FALSE(verdict.allowlist_found);
    EXPECT_EQ(letters(verdict.not_checked), "P");
    for (const char* refused : {"allowlist_unavailable", "allowlist_invalid:/version"}) {
        releases.refusal = Error{refused, ""};
        EXPECT_EQ(code(), refused);
    }
    use_sealed_release();
    use_channel();
    challenge.identity.network = "forge-test";
    releases.refusal = Error{"allowlist_missing", "none published"};
    EXPECT_EQ(code(), "allowlist_missing");
}

// What a forged quote needs: own key, self-signed expired chain, zeroed QE report, debug bit set.
TEST_F(Appraisal, RefusesQuotesOfOtherMakers) {
    const SimulatedPlatform other = make_simulated_platform(at);
    make_answer();
    answer.quote = make_simulated_quote(other, request);
    EXPECT_EQ(appraiser.appraise(challenge, answer, at).refusal.code, "certificate_chain_invalid");
    for (const Bytes& junk : {Bytes{}, Bytes(64, 1), Bytes(17000, 0)}) {
        answer.quote = junk;
        EXPECT_FALSE(appraiser.appraise(challenge, answer, at).ok);
    }
}

}  // namespace
}  // namespace ee::attestation
