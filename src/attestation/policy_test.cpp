#include "attestation/policy.h"

#include <gtest/gtest.h>

namespace ee::attestation {
namespace {

using std::chrono::days;
using std::chrono::sys_days;
using namespace std::chrono_literals;

const WallTime now = sys_days(2026y / 6 / 15);

std::string code_of(const Result<void>& judged) {
    return judged ? "" : judged.error().code;
}

TEST(BuiltInPolicies, AreTheTwoNetworksAsPublished) {
    const auto policies = NetworkPolicies::built_in(true);
    const NetworkPolicy* forge = policies.find("forge-1");
    const NetworkPolicy* sandbox = policies.find("sandbox-1");
    ASSERT_TRUE(forge && sandbox);
    EXPECT_EQ(policies.find("forge-2"), nullptr);
    EXPECT_TRUE(forge->sealed_required);
    EXPECT_FALSE(sandbox->sealed_required);
    EXPECT_FALSE(forge->simulated_root_allowed);
    EXPECT_TRUE(sandbox->simulated_root_allowed);
    EXPECT_FALSE(NetworkPolicies::built_in(false).find("sandbox-1")->simulated_root_allowed);
    EXPECT_EQ(forge->collateral_grace, 0s);
    EXPECT_EQ(sandbox->collateral_grace, 86400s);
    EXPECT_EQ(forge->evidence_grace, 21600s);
    EXPECT_EQ(sandbox->evidence_grace, 86400s);
    EXPECT_FALSE(forge->allowlist_may_be_absent);
    EXPECT_TRUE(sandbox->allowlist_may_be_absent);
}

TEST(BuiltInPolicies, AcceptTheseStatuses) {
    struct Row {
        TcbStatus status;
        bool forge, sandbox;
    };
    const Row rows[] = {{TcbStatus::not_evaluated, false, false},
                        {TcbStatus::up_to_date, true, true},
                        {TcbStatus::sw_hardening_needed, true, true},
                        {TcbStatus::configuration_needed, false, true},
                        {TcbStatus::configuration_and_sw_hardening_needed, false, true},
                        {TcbStatus::out_of_date, false, true},
                        {TcbStatus::out_of_date_configuration_needed, false, true},
                        {TcbStatus::td_relaunch_advised, false, true},
                        {TcbStatus::td_relaunch_advised_configuration_needed, false, true},
                        {TcbStatus::revoked, false, false}};
    for (const Row& row : rows) {
        const TcbEvaluation tcb{
            .status = row.status, .tcb_date = now, .advisory_ids = {}, .evaluation_number = {}};
        const std::string refused = "tcb_unacceptable:" + std::string(to_string(row.status));
        EXPECT_EQ(code_of(judge_tcb_status(forge_1_policy(), tcb, now)), row.forge ? "" : refused);
        EXPECT_EQ(code_of(judge_tcb_status(sandbox_1_policy(true), tcb, now)), row.sandbox ? "" : refused);
        EXPECT_EQ(parse_tcb_status(to_string(row.status)), row.status);
    }
    EXPECT_FALSE(parse_tcb_status("Uptodate"));
}

std::string detail_of(const Result<void>& judged) {
    return judged ? "" : judged.error().detail;
}

TEST(Policy, SaysOfAnUnacceptableStatusWhatItIsSinceWhenAndWhatIsAccepted) {
    NetworkPolicy policy = forge_1_policy();
    policy.platform_grace = days{30};
    const TcbEvaluation tcb{.status = TcbStatus::out_of_date,
                            .tcb_date = sys_days(2024y / 3 / 13),
                            .advisory_ids = {"INTEL-SA-00586", "INTEL-SA-00837"},
                            .evaluation_number = 17};
    EXPECT_EQ(detail_of(judge_tcb_status(policy, tcb, now)),
              "TCB status OutOfDate of 2024-03-13T00:00:00Z under INTEL-SA-00586, INTEL-SA-00837, forge-1 "
              "accepts UpToDate, SWHardeningNeeded, OutOfDate for 30 days");
    EXPECT_EQ(detail_of(judge_tcb_status(forge_1_policy(), {}, now)),
              "forge-1 asks for a TCB status, and there is no collateral to find it by");
}

TEST(Policy, NamesBothSidesOfWhatItRefuses) {
    NetworkPolicy policy = forge_1_policy();
    policy.tcb_evaluation_min = 18;
    const TcbEvaluation tcb{.status = TcbStatus::up_to_date,
                            .tcb_date = now,
                            .advisory_ids = {"INTEL-SA-00586", "INTEL-SA-00837"},
                            .evaluation_number = 17};
    EXPECT_EQ(detail_of(judge_tcb_details(policy, tcb)),
              "evaluated by data of number 17, forge-1 asks for 18");
    policy.tcb_evaluation_min = {};
    policy.advisories_refused = {"INTEL-SA-00837", "INTEL-SA-01036"};
    EXPECT_EQ(detail_of(judge_tcb_details(policy, tcb)),
              "the platform is under INTEL-SA-00586, INTEL-SA-00837, forge-1 refuses INTEL-SA-00837, "
              "INTEL-SA-01036");
    TdReport report;
    EXPECT_EQ(detail_of(judge_td(policy, report)),
              "bit 28 (SEPT_VE_DISABLE) of the TD's attributes 0x0000000000000000 is clear, forge-1 wants it "
              "set");
    report.td_attributes = std::uint64_t{1} << 28 | std::uint64_t{1} << 29;
    EXPECT_EQ(detail_of(judge_td(policy, report)),
              "bit 29 (MIGRATABLE) of the TD's attributes 0x0000000030000000 is set, forge-1 wants it clear");
}

TEST(Policy, TakesLegacyAnswersFromListedPeersOnly) {
    NetworkPolicy policy = sandbox_1_policy(true);
    EXPECT_TRUE(judge_legacy_peer(policy, "192.0.2.1"));
    policy.legacy_cidrs = {*Cidr::parse("10.0.0.0/8"), *Cidr::parse("2001:db8::/32")};
    for (const char* peer : {"10.0.0.1", "10.255.255.255", "2001:db8::7"})
        EXPECT_TRUE(judge_legacy_peer(policy, peer)) << peer;
    for (const char* peer : {"11.0.0.0", "192.0.2.1", "2001:db9::", "::1", "", "10.0.0.1x", "localhost"})
        EXPECT_EQ(code_of(judge_legacy_peer(policy, peer)), "binding_too_weak") << peer;
    EXPECT_EQ(detail_of(judge_legacy_peer(policy, "192.0.2.1")),
              "legacy layout from 192.0.2.1: sandbox-1 takes it from 10.0.0.0/8, 2001:db8::/32 only");
}

TEST(Policy, CountsTheDaysOfGraceFromTheTcbDate) {
    struct Row {
        std::optional<days> grace;
        std::chrono::milliseconds age;
        bool accepted;
    };
    const Row rows[] = {
        {days{0}, 0ms, false},
        {days{1}, 0ms, true},
        {days{1}, days{1} - 1ms, true},
        {days{1}, days{1}, true},
        {days{1}, days{1} + 1ms, false},
        {days{36500}, days{36500}, true},
        {days{36500}, days{36500} + 1ms, false},
        {std::nullopt, days{36500}, true},
        {days{1}, -days{1}, true},  // published for a day to come
    };
    for (const TcbStatus status : {TcbStatus::out_of_date, TcbStatus::out_of_date_configuration_needed}) {
        for (const Row& row : rows) {
            NetworkPolicy policy = forge_1_policy();
            policy.platform_grace = row.grace;
            const TcbEvaluation tcb{
                .status = status, .tcb_date = now - row.age, .advisory_ids = {}, .evaluation_number = {}};
            EXPECT_EQ(judge_tcb_status(policy, tcb, now).has_value(), row.accepted) << row.age.count();
        }
    }
    // Without a date there is nothing to count from.
    NetworkPolicy policy = forge_1_policy();
    policy.platform_grace = days{30};
    TcbEvaluation undated;
    undated.status = TcbStatus::out_of_date;
    EXPECT_FALSE(judge_tcb_status(policy, undated, now));
}

TEST(Policy, AcceptsOutOfDateForItsDaysOfGraceOnly) {
    NetworkPolicy policy = forge_1_policy();
    policy.platform_grace = days{30};
    TcbEvaluation tcb{.status = TcbStatus::out_of_date,
                      .tcb_date = now - days{30},
                      .advisory_ids = {},
                      .evaluation_number = {}};
    EXPECT_TRUE(judge_tcb_status(policy, tcb, now));
    EXPECT_FALSE(judge_tcb_status(policy, tcb, now + 1ms));
    tcb.status = TcbStatus::out_of_date_configuration_needed;
    EXPECT_TRUE(judge_tcb_status(policy, tcb, now));
    tcb.status = TcbStatus::revoked;
    EXPECT_FALSE(judge_tcb_status(policy, tcb, now));
    tcb.status = TcbStatus::configuration_needed;
    EXPECT_FALSE(judge_tcb_status(policy, tcb, now));
    policy.platform_grace = days{0};
    tcb = {.status = TcbStatus::out_of_date, .tcb_date = now, .advisory_ids = {}, .evaluation_number = {}};
    EXPECT_FALSE(judge_tcb_status(policy, tcb, now));
}

TEST(Policy, TakesNoPlatformThatNobodyEvaluatedWhateverItAccepts) {
    NetworkPolicy policy = sandbox_1_policy(true);
    policy.tcb_accepted.insert(TcbStatus::not_evaluated);
    EXPECT_EQ(code_of(judge_tcb_status(policy, {}, now)), "tcb_unacceptable:NotEvaluated");
}

TEST(Policy, RefusesOldEvaluationsAndNamedAdvisories) {
    NetworkPolicy policy = forge_1_policy();
    const TcbEvaluation tcb{.status = TcbStatus::sw_hardening_needed,
                            .tcb_date = now,
                            .advisory_ids = {"INTEL-SA-00586", "INTEL-SA-00837"},
                            .evaluation_number = 17};
    EXPECT_TRUE(judge_tcb_details(policy, tcb));
    policy.tcb_evaluation_min = 17;
    EXPECT_TRUE(judge_tcb_details(policy, tcb));
    policy.tcb_evaluation_min = 18;
    EXPECT_EQ(code_of(judge_tcb_details(policy, tcb)), "collateral_too_old");
    policy.tcb_evaluation_min = {};
    policy.advisories_refused = {"INTEL-SA-00837"};
    EXPECT_EQ(code_of(judge_tcb_details(policy, tcb)), "advisory_refused:INTEL-SA-00837");
}

constexpr std::uint64_t bit(unsigned at) {
    return std::uint64_t{1} << at;
}

TEST(Policy, JudgesTheAttributesOfATd) {
    struct Row {
        std::uint64_t attributes;
        const char* forge;
        const char* sandbox;
    };
    const Row rows[] = {
        {bit(28), "", ""},
        {0, "td_attributes:28", ""},
        {bit(28) | bit(0), "debug_td", ""},
        {bit(28) | bit(1), "td_attributes:1", "td_attributes:1"},
        {bit(28) | bit(7), "td_attributes:7", "td_attributes:7"},
        {bit(28) | bit(29), "td_attributes:29", "td_attributes:29"},
        {bit(28) | bit(30), "", ""},
        {bit(28) | bit(31), "", ""},
        {bit(28) | bit(63), "", ""},
    };
    for (const Row& row : rows) {
        TdReport report;
        report.td_attributes = row.attributes;
        EXPECT_EQ(code_of(judge_td(forge_1_policy(), report)), row.forge) << row.attributes;
        EXPECT_EQ(code_of(judge_td(sandbox_1_policy(true), report)), row.sandbox) << row.attributes;
    }
    NetworkPolicy strict = forge_1_policy();
    strict.key_locker_allowed = false;
    strict.perfmon_allowed = false;
    TdReport report;
    report.td_attributes = bit(28) | bit(31);
    EXPECT_EQ(code_of(judge_td(strict, report)), "td_attributes:31");
    report.td_attributes = bit(28) | bit(63);
    EXPECT_EQ(code_of(judge_td(strict, report)), "td_attributes:63");
}

TEST(Policy, JudgesXfamAndTheServiceTd) {
    NetworkPolicy policy = forge_1_policy();
    TdReport report;
    report.td_attributes = bit(28);
    report.xfam = 0x642e7;
    EXPECT_TRUE(judge_td(policy, report));
    policy.xfam_allowed = 0x642e7;
    EXPECT_TRUE(judge_td(policy, report));
    policy.xfam_allowed = 0x2e7;
    EXPECT_EQ(code_of(judge_td(policy, report)), "xfam");
    policy.xfam_allowed = {};
    report.mr_service_td = Measurement{};
    EXPECT_TRUE(judge_td(policy, report));
    report.mr_service_td->back() = 1;
    EXPECT_EQ(code_of(judge_td(policy, report)), "mr_servicetd");
    EXPECT_TRUE(judge_td(sandbox_1_policy(true), report));
}

// Every level, in both layouts, under every kind of policy.
TEST(Policy, WantsAnswersBoundTightlyEnough) {
    struct Asked {
        Binding least;
        bool legacy_ratls, legacy_none;
        // Which levels are let in, as "none nonce key ratls channel".
        const char* layout2;
        const char* legacy;
    };
    const Asked rows[] = {
        {Binding::channel, false, false, "----y", "-----"}, {Binding::channel, true, false, "---yy", "---y-"},
        {Binding::channel, false, true, "----y", "y--y-"},  {Binding::channel, true, true, "---yy", "y--y-"},
        {Binding::ratls, false, false, "---yy", "-----"},   {Binding::ratls, true, false, "---yy", "---y-"},
        {Binding::ratls, false, true, "---yy", "y--y-"},    {Binding::ratls, true, true, "---yy", "y--y-"},
        {Binding::key, false, false, "--yyy", "-----"},     {Binding::key, true, false, "--yyy", "---y-"},
        {Binding::key, false, true, "--yyy", "y--y-"},      {Binding::key, true, true, "--yyy", "y--y-"},
        {Binding::nonce, false, false, "-yyyy", "-----"},   {Binding::nonce, true, false, "-yyyy", "---y-"},
        {Binding::nonce, false, true, "-yyyy", "y--y-"},    {Binding::nonce, true, true, "-yyyy", "y--y-"},
        {Binding::none, false, false, "-yyyy", "-----"},    {Binding::none, true, false, "-yyyy", "---y-"},
        {Binding::none, false, true, "-yyyy", "y--y-"},     {Binding::none, true, true, "-yyyy", "y--y-"},
    };
    for (const Asked& row : rows) {
        NetworkPolicy policy;
        policy.binding_min = row.least;
        policy.legacy_ratls = row.legacy_ratls;
        policy.legacy_none_allowed = row.legacy_none;
        EXPECT_EQ(admits_legacy_ratls(policy), row.legacy_ratls || row.legacy_none);
        EXPECT_EQ(least_binding(policy), row.legacy_ratls ? std::min(row.least, Binding::ratls) : row.least);
        std::string layout2, legacy;
        for (int level = 0; level < 5; ++level) {
            const auto binding = static_cast<Binding>(level);
            const auto judged = judge_binding(policy, binding, false),
                       judged_legacy = judge_binding(policy, binding, true);
            layout2 += judged ? 'y' : '-';
            legacy += judged_legacy ? 'y' : '-';
            for (const auto* refused : {&judged, &judged_legacy}) {
                if (!*refused) {
                    EXPECT_EQ(refused->error().code, "binding_too_weak");
                }
            }
        }
        const std::string what = std::string(to_string(row.least)) +
                                 (row.legacy_ratls ? " legacy_ratls" : "") + (row.legacy_none ? " none" : "");
        EXPECT_EQ(layout2, row.layout2) << what;
        EXPECT_EQ(legacy, row.legacy) << what;
    }
}

TEST(Policy, NamesTheLevelAndTheOneAskedFor) {
    NetworkPolicy policy = forge_1_policy();
    EXPECT_EQ(judge_binding(policy, Binding::key, false).error().detail,
              "the answer is bound at level key, forge-1 asks for channel");
    EXPECT_EQ(judge_binding(policy, Binding::ratls, true).error().detail,
              "legacy layout: the answer is bound at level ratls, forge-1 takes such answers at no level");
    policy.legacy_ratls = true;
    EXPECT_EQ(judge_binding(policy, Binding::key, false).error().detail,
              "the answer is bound at level key, forge-1 asks for ratls");
    EXPECT_EQ(
        judge_binding(policy, Binding::none, true).error().detail,
        "legacy layout: the answer is bound at level none, forge-1 takes such answers at level ratls only");
}

TEST(Policy, SaysWhichFieldAnAllowlistLacks) {
    const NetworkPolicy policy = forge_1_policy();
    Allowlist allowlist;
    allowlist.measurements = {{"config_sha256", {std::string("aa")}}};
    allowlist.quote_measurements = {{QuoteRegister::mrtd, {{}}},
                                    {QuoteRegister::rtmr0, {{}}},
                                    {QuoteRegister::rtmr1, {{}}},
                                    {QuoteRegister::rtmr2, {{}}}};
    EXPECT_TRUE(judge_allowlist(policy, allowlist, false));
    for (const auto which :
         {QuoteRegister::mrtd, QuoteRegister::rtmr0, QuoteRegister::rtmr1, QuoteRegister::rtmr2}) {
        Allowlist without = allowlist;
        without.quote_measurements.erase(which);
        EXPECT_EQ(code_of(judge_allowlist(policy, without, false)),
                  "allowlist_invalid:/quote_measurements/" + std::string(to_string(which)));
    }
    allowlist.measurements.clear();
    EXPECT_EQ(code_of(judge_allowlist(policy, allowlist, false)),
              "allowlist_invalid:/measurements/config_sha256");
    EXPECT_TRUE(judge_allowlist(policy, allowlist, true));
    EXPECT_TRUE(judge_allowlist(sandbox_1_policy(true), Allowlist{}, false));
}

}  // namespace
}  // namespace ee::attestation
