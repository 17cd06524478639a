#include "attestation/policy_file.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "attestation/policy_fields.h"
#include "base/hex.h"

namespace ee::attestation {
namespace {

using namespace std::chrono_literals;
using std::chrono::days;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

PolicyFile good(std::string_view text) {
    auto file = parse_policies(text, "networks.toml");
    if (!file) {
        ADD_FAILURE() << text << "\n" << testing::PrintToString(file.error());
        return {};
    }
    return std::move(*file);
}

PolicyProblems problems(std::string_view text) {
    const auto file = parse_policies(text, "networks.toml");
    return file ? PolicyProblems{} : file.error();
}

NetworkPolicy only(std::string_view text) {
    const PolicyFile file = good(text);
    EXPECT_EQ(file.networks.size(), 1u);
    return file.networks.empty() ? NetworkPolicy{} : file.networks[0].policy;
}

std::vector<std::string> names_of(const NetworkPolicies& policies) {
    std::vector<std::string> names;
    for (const NetworkPolicy& policy : policies.all()) names.push_back(policy.name);
    return names;
}

TEST(PolicyFile, ThatIsEmptyLeavesTheBuiltInNetworks) {
    for (const bool simulated : {false, true}) {
        EXPECT_EQ(good("").in_force(simulated).all(), NetworkPolicies::built_in(simulated).all());
        EXPECT_EQ(good("[forge-1]\n[sandbox-1]\n").in_force(simulated).all(),
                  NetworkPolicies::built_in(simulated).all());
    }
}

TEST(PolicyFile, BeginsEachNetworkFromItsBase) {
    EXPECT_EQ(only("[forge-1]"), forge_1_policy());
    EXPECT_EQ(only("[sandbox-1]"), sandbox_1_policy(true));
    NetworkPolicy expected = forge_1_policy();
    expected.name = "mine";
    EXPECT_EQ(only("[mine]"), expected);
    expected = sandbox_1_policy(true);
    expected.name = "mine";
    EXPECT_EQ(only("[mine]\nbase = \"sandbox-1\""), expected);
    // A built-in name may begin from the other one.
    expected = forge_1_policy();
    expected.name = "sandbox-1";
    EXPECT_EQ(only("[sandbox-1]\nbase = \"forge-1\""), expected);
}

TEST(PolicyFile, AddsToTheBuiltInNetworksAndServesNoneThatItTakesOut) {
    EXPECT_THAT(names_of(good("[lab]\nbase = \"sandbox-1\"").in_force(true)),
                ElementsAre("forge-1", "lab", "sandbox-1"));
    EXPECT_THAT(names_of(good("[sandbox-1]\nserved = false").in_force(true)), ElementsAre("forge-1"));
    EXPECT_THAT(problems("[sandbox-1]\nserved = false\n[forge-1]\nserved = false"),
                ElementsAre("networks.toml: no network is left: every one has served = false"));
}

TEST(PolicyFile, AdmitsNoSimulatedRootWithoutOneBeingConfigured) {
    const PolicyFile file = good("[lab]\nsealed = false\nsimulated_root = true");
    EXPECT_TRUE(file.in_force(true).find("lab")->simulated_root_allowed);
    EXPECT_FALSE(file.in_force(false).find("lab")->simulated_root_allowed);
}

TEST(PolicyFile, SetsEveryField) {
    const NetworkPolicy policy = only(R"(
[lab]
base = "forge-1"
sealed = false
tcb_accepted = ["UpToDate", "OutOfDate"]
debug = true
sept_ve_disable = false
mr_servicetd = "any"
xfam = "0xe702e7"
perfmon = false
key_locker = false
tcb_evaluation_min = 17
collateral_grace_s = 60
platform_grace_days = 30
advisories_refused = ["INTEL-SA-00837"]
simulated_root = true
binding = "key"
legacy_ratls = true
legacy_none = true
legacy_cidrs = ["10.0.0.0/8", "2001:db8::1"]
allowlist = { quote_measurements = ["rtmr3"], measurements = ["vm_image_id"], may_be_absent = true }
join = "listed"
stake_required = true
stake_min_usd = { premium = 100, standard = 10, economy = 1 }
price_required = true
funded = true
evidence = "app"
evidence_grace_s = 3600
fmspc_allowed = ["b0c06f000000"]
platforms_allowed = ["00000000000000000000000000000000000000000000000000000000000000aA"]
)");
    NetworkPolicy expected;
    expected.name = "lab";
    expected.tcb_accepted = {TcbStatus::up_to_date, TcbStatus::out_of_date};
    expected.debug_allowed = true;
    expected.xfam_allowed = 0xe702e7;
    expected.perfmon_allowed = expected.key_locker_allowed = false;
    expected.tcb_evaluation_min = 17;
    expected.collateral_grace = 60s;
    expected.platform_grace = days{30};
    expected.advisories_refused = {"INTEL-SA-00837"};
    expected.simulated_root_allowed = true;
    expected.binding_min = Binding::key;
    expected.legacy_ratls = expected.legacy_none_allowed = true;
    expected.legacy_cidrs = {*Cidr::parse("10.0.0.0/8"), *Cidr::parse("2001:db8::1")};
    expected.registers_required = {QuoteRegister::rtmr3};
    expected.claims_required = {"vm_image_id"};
    expected.allowlist_may_be_absent = true;
    expected.join = Join::listed;
    expected.stake_required = expected.price_required = expected.funded_required = true;
    expected.stake_min_usd = {{"premium", 100}, {"standard", 10}, {"economy", 1}};
    expected.evidence = EvidenceVisibility::private_;
    expected.evidence_grace = 3600s;
    expected.fmspc_allowed = {*from_hex_exact<6>("b0c06f000000")};
    crypto::Sha256 platform{};
    platform.back() = 0xaa;
    expected.platforms_allowed = {platform};
    EXPECT_EQ(policy, expected);
}

TEST(PolicyFile, TakesBackWhatItsBaseAsks) {
    const NetworkPolicy policy = only(R"(
[sandbox-1]
xfam = "any"
tcb_evaluation_min = "none"
platform_grace_days = "any"
advisories_refused = "none"
legacy_cidrs = "any"
fmspc_allowed = "any"
platforms_allowed = "any"
mr_servicetd = "any"
join = "open"
evidence = "public"
)");
    EXPECT_EQ(policy, sandbox_1_policy(true));
    EXPECT_EQ(only("[a]\nxfam = 0x642e7").xfam_allowed, 0x642e7);
    EXPECT_EQ(only("[a]\nallowlist.measurements = [\"config_sha256\", \"x\"]").registers_required,
              forge_1_policy().registers_required);
}

TEST(PolicyFile, SaysWhatHasNoEffectOrIsUnwise) {
    EXPECT_THAT(good("[forge-1]\njoin = \"node\"\nstake_required = true\nstake_min_usd.premium = 1\n"
                     "price_required = true\nfunded = true")
                    .warnings,
                IsEmpty());
    EXPECT_THAT(good("[forge-1]\nstake_min_usd.premium = 1").warnings,
                ElementsAre("networks.toml: [forge-1] stake_min_usd has no effect: stake_required is false"));
    EXPECT_THAT(good("[a]\nsealed = false\ntcb_accepted = [\"Revoked\"]").warnings,
                ElementsAre(HasSubstr("[a] tcb_accepted holds Revoked")));
    EXPECT_THAT(good("[forge-1]\nlegacy_cidrs = [\"10.0.0.0/8\"]").warnings,
                ElementsAre(HasSubstr("[forge-1] legacy_cidrs has no effect")));
}

// ---- Refusals ----

struct BadValue {
    const char* line;
    const char* subject;  // what the sentence is about
    const char* allowed;  // a part of what it says is allowed
};

TEST(PolicyFile, RefusesEachBadValueAndSaysWhatIsAllowed) {
    const BadValue rows[] = {
        {"sealed = 1", "sealed = 1", "true or false"},
        {"sealed = \"true\"", "sealed = \"true\"", "true or false"},
        {"served = \"no\"", "served = \"no\"", "true or false"},
        {"base = \"forge-2\"", "base = \"forge-2\"", "\"forge-1\" or \"sandbox-1\""},
        {"base = 1", "base = 1", "\"forge-1\" or \"sandbox-1\""},
        {"tcb_accepted = \"UpToDate\"", "tcb_accepted = \"UpToDate\"", "a list of UpToDate"},
        {"tcb_accepted = []", "tcb_accepted = []", "a list of UpToDate"},
        {"tcb_accepted = [\"UpToDate\", \"Uptodate\"]", "tcb_accepted = \"Uptodate\"", "a list of UpToDate"},
        {"tcb_accepted = [\"NotEvaluated\"]", "tcb_accepted = \"NotEvaluated\"", "a list of UpToDate"},
        {"tcb_accepted = [1]", "tcb_accepted = 1", "a list of UpToDate"},
        {"debug = \"allowed\"", "debug = \"allowed\"", "true or false"},
        {"sept_ve_disable = 0", "sept_ve_disable = 0", "true or false"},
        {"mr_servicetd = \"none\"", "mr_servicetd = \"none\"", "\"zero\" or \"any\""},
        {"mr_servicetd = true", "mr_servicetd = true", "\"zero\" or \"any\""},
        {"xfam = -1", "xfam = -1", "bits 0 and 1"},
        {"xfam = 0x642e4", "xfam = 410340", "bits 0 and 1"},
        {"xfam = \"642e7\"", "xfam = \"642e7\"", "0xe742e7"},
        {"xfam = \"0x\"", "xfam = \"0x\"", "0xe742e7"},
        {"xfam = \"0x10000000000000003\"", "xfam = \"0x10000000000000003\"", "0xe742e7"},
        {"perfmon = \"any\"", "perfmon = \"any\"", "true or false"},
        {"key_locker = \"any\"", "key_locker = \"any\"", "true or false"},
        {"tcb_evaluation_min = 0", "tcb_evaluation_min = 0", "from 1"},
        {"tcb_evaluation_min = 1.5", "tcb_evaluation_min = a fraction", "from 1"},
        {"collateral_grace_s = -1", "collateral_grace_s = -1", "from 0 to 31622400"},
        {"collateral_grace_s = 31622401", "collateral_grace_s = 31622401", "from 0 to 31622400"},
        {"collateral_grace_s = \"1d\"", "collateral_grace_s = \"1d\"", "from 0 to 31622400"},
        {"platform_grace_days = 36501", "platform_grace_days = 36501", "from 0 to 36500"},
        {"platform_grace_days = -1", "platform_grace_days = -1", "from 0 to 36500"},
        {"platform_grace_days = \"none\"", "platform_grace_days = \"none\"", "\"any\""},
        {"advisories_refused = [\"INTEL-SA-837\"]", "= \"INTEL-SA-837\"", "INTEL-SA-00837"},
        {"advisories_refused = [\"INTEL-XX-00837\"]", "= \"INTEL-XX-00837\"", "INTEL-SA-00837"},
        {"advisories_refused = [\"INTEL-SA-0083x\"]", "= \"INTEL-SA-0083x\"", "INTEL-SA-00837"},
        {"advisories_refused = []", "advisories_refused = []", "\"none\""},
        {"simulated_root = \"never\"", "simulated_root = \"never\"", "true or false"},
        {"binding = \"none\"", "binding = \"none\"", "\"nonce\", \"key\", \"ratls\" or \"channel\""},
        {"binding = [\"channel\"]", "binding = [\"channel\"]", "\"channel\""},
        {"legacy_ratls = 1", "legacy_ratls = 1", "true or false"},
        {"legacy_none = 1", "legacy_none = 1", "true or false"},
        {"legacy_cidrs = [\"10.0.0.0/33\"]", "legacy_cidrs = \"10.0.0.0/33\"", "10.0.0.0/8"},
        {"legacy_cidrs = [\"loopback\"]", "legacy_cidrs = \"loopback\"", "10.0.0.0/8"},
        {"legacy_cidrs = []", "legacy_cidrs = []", "\"any\""},
        {"allowlist = [\"mrtd\"]", "allowlist = [\"mrtd\"]", "a table"},
        {"allowlist.quote_measurements = [\"rtmr4\"]", "allowlist.quote_measurements = \"rtmr4\"", "rtmr3"},
        {"allowlist.measurements = [\"a b\"]", "allowlist.measurements = \"a b\"", "names of claims"},
        {"allowlist.measurements = [\"\"]", "allowlist.measurements = \"\"", "names of claims"},
        {"allowlist.may_be_absent = 1", "allowlist.may_be_absent = 1", "true or false"},
        {"allowlist.claims = []", "allowlist.claims = []", "quote_measurements, measurements, may_be_absent"},
        {"join = \"closed\"", "join = \"closed\"", "\"open\", \"node\" or \"listed\""},
        {"stake_required = \"yes\"", "stake_required = \"yes\"", "true or false"},
        {"stake_min_usd = 5", "stake_min_usd = 5", "a table"},
        {"stake_min_usd.premium = -1", "stake_min_usd.premium = -1", "whole dollars"},
        {"stake_min_usd.gold = 1", "stake_min_usd.gold = 1", "premium, standard, economy"},
        {"price_required = \"yes\"", "price_required = \"yes\"", "true or false"},
        {"funded = \"yes\"", "funded = \"yes\"", "true or false"},
        {"evidence = \"private\"", "evidence = \"private\"", "\"public\" or \"app\""},
        {"evidence_grace_s = 1979-05-27", "evidence_grace_s = a date or time", "seconds"},
        {"fmspc_allowed = [\"b0c06f\"]", "fmspc_allowed = \"b0c06f\"", "12 hex"},
        {"fmspc_allowed = []", "fmspc_allowed = []", "\"any\""},
        {"platforms_allowed = [\"00\"]", "platforms_allowed = \"00\"", "64 hex"},
        {"Sealed = true", "Sealed = true", "known are base, served, sealed, tcb_accepted"},
        {"name = \"x\"", "name = \"x\"", "no such key"},
    };
    for (const BadValue& row : rows) {
        const PolicyProblems found = problems(fmt::format("# a comment\n[forge-1]\n{}\n", row.line));
        ASSERT_EQ(found.size(), 1u) << row.line << testing::PrintToString(found);
        EXPECT_THAT(found[0], testing::StartsWith("networks.toml:3: [forge-1] ")) << row.line;
        EXPECT_THAT(found[0], HasSubstr(row.subject)) << row.line;
        EXPECT_THAT(found[0], HasSubstr(row.allowed)) << row.line;
    }
}

TEST(PolicyFile, HasARefusalOfABadValueForEachFieldThere) {
    for (const PolicyField& field : policy_fields()) {
        const PolicyProblems found = problems(fmt::format("[a]\n{} = 1979-05-27\n", field.name));
        EXPECT_THAT(found, ElementsAre(HasSubstr(fmt::format("[a] {} = a date", field.name))));
    }
}

TEST(PolicyFile, TellsEveryProblemAtOnceInTheOrderOfTheFile) {
    const PolicyProblems found = problems(R"(title = "mine"
[sandbox-1]
tcb_acepted = []
binding = "weak"
["a b"]
[forge-1]
debug = true
legacy_none = true
join = 3
)");
    ASSERT_EQ(found.size(), 7u) << testing::PrintToString(found);
    EXPECT_THAT(found[0], HasSubstr("networks.toml:1: title = \"mine\": must be a table"));
    EXPECT_THAT(found[1], HasSubstr(":3: [sandbox-1] tcb_acepted"));
    EXPECT_THAT(found[2], HasSubstr(":4: [sandbox-1] binding"));
    EXPECT_THAT(found[3], HasSubstr(":5: [a b]: a network's name must be"));
    EXPECT_THAT(found[4], HasSubstr(":7: [forge-1] debug = true: a sealed network admits no debug TD"));
    EXPECT_THAT(found[5], HasSubstr(":8: [forge-1] legacy_none = true: a sealed network"));
    EXPECT_THAT(found[6], HasSubstr(":9: [forge-1] join = 3"));
}

TEST(PolicyFile, RefusesWhatIsNoFileOfNetworks) {
    EXPECT_THAT(problems("[forge-1\n"), ElementsAre(HasSubstr("networks.toml:1:")));
    EXPECT_THAT(problems("[a]\n[a]\n"), ElementsAre(HasSubstr("not valid TOML")));
    EXPECT_THAT(problems("[a]\ndebug = true\ndebug = false\n"), ElementsAre(HasSubstr("not valid TOML")));
    EXPECT_THAT(problems("[[forge-1]]\n"), ElementsAre(HasSubstr("must be a table")));
    EXPECT_THAT(problems(std::string(policy_file_size_max + 1, '#')), ElementsAre(HasSubstr("262145 bytes")));
    EXPECT_THAT(problems(std::string(policy_file_size_max, '#')), IsEmpty());
    EXPECT_THAT(problems("\"a\\nb\" = 1\n"), ElementsAre(HasSubstr("a?b = 1")));
    EXPECT_EQ(problems(std::string(20000, '[')).size(), 1u);
    std::string deep = "[a]\nsealed = ";
    for (int i = 0; i < 50000; ++i) deep += '[';
    EXPECT_EQ(problems(deep).size(), 1u);
    std::string many;
    for (int i = 0; i < 1000; ++i) many += fmt::format("k{} = 1\n", i);
    EXPECT_EQ(problems(many).size(), 201u);
    EXPECT_THAT(problems(many).back(), HasSubstr("and 800 more"));
    std::string networks;
    for (int i = 0; i < 257; ++i) networks += fmt::format("[n{}]\n", i);
    EXPECT_THAT(problems(networks), ElementsAre(HasSubstr("257 networks, at most 256")));
}

TEST(PolicyFile, IsReadFromDiskOrSaysWhyNot) {
    std::string folder = (std::filesystem::temp_directory_path() / "ee-networks-XXXXXX").string();
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    const std::filesystem::path file = std::filesystem::path(folder) / "networks.toml";
    EXPECT_THAT(read_policy_file(file).error(), ElementsAre(HasSubstr(file.string())));
    std::ofstream(file) << "[lab]\n";
    EXPECT_EQ(read_policy_file(file).value().networks.size(), 1u);
    std::ofstream(file) << "[lab]\nx = 1\n";
    EXPECT_THAT(read_policy_file(file).error(),
                ElementsAre(testing::StartsWith(file.string() + ":2: [lab] x")));
    std::filesystem::remove_all(folder);
}

TEST(PolicyFile, IsDocumentedWithEachFieldAndAnExampleThatIsGood) {
    std::ifstream stream(EE_SOURCE_DIR "/docs/networks.md");
    const std::string page(std::istreambuf_iterator<char>(stream), {});
    for (const PolicyField& field : policy_fields()) {
        const std::string prefix = field.read == nullptr ? fmt::format("`{}.", field.name) : "";
        const bool in_columns = field.name == "stake_min_usd";
        EXPECT_THAT(page, HasSubstr(prefix.empty() || in_columns ? fmt::format("`{}`", field.name) : prefix));
        for (const PolicyField& member : field.members) EXPECT_THAT(page, HasSubstr(member.name));
    }
    const std::size_t begin = page.find("```toml\n") + 8;
    const PolicyFile example = good(page.substr(begin, page.find("```", begin) - begin));
    EXPECT_THAT(names_of(example.in_force(true)), ElementsAre("forge-1", "staging"));
    EXPECT_EQ(example.in_force(true).find("staging")->registers_required.size(), 3u);
    EXPECT_THAT(example.warnings, IsEmpty());
}

// ---- The floor ----

TEST(PolicyFile, CannotMakeASealedNetworkWeakerThanTheFloor) {
    const std::pair<const char*, const char*> rows[] = {
        {"debug = true", "debug"},
        {"simulated_root = true", "simulated_root"},
        {"tcb_accepted = [\"UpToDate\", \"Revoked\"]", "tcb_accepted"},
        {"binding = \"key\"", "binding"},
        {"binding = \"nonce\"", "binding"},
        {"legacy_none = true", "legacy_none"},
        {"allowlist.may_be_absent = true", "allowlist"},
        {"allowlist.quote_measurements = []", "allowlist"},
        {"allowlist.quote_measurements = [\"rtmr0\", \"rtmr1\", \"rtmr2\", \"rtmr3\"]", "allowlist"},
        {"allowlist.measurements = []", "allowlist"},
    };
    for (const char* network : {"forge-1", "mine"}) {
        for (const auto& [line, key] : rows) {
            const PolicyProblems found = problems(fmt::format("[{}]\n{}\n", network, line));
            ASSERT_EQ(found.size(), 1u) << line;
            EXPECT_THAT(found[0], HasSubstr(fmt::format("networks.toml:2: [{}] {}", network, key)));
            EXPECT_THAT(problems(fmt::format("[{}]\nsealed = false\n{}\n", "mine", line)), IsEmpty()) << line;
        }
    }
    EXPECT_THAT(problems("[forge-1]\nsealed = false"),
                ElementsAre(HasSubstr("[forge-1] sealed = false: forge-1 is always sealed")));
    EXPECT_THAT(problems("[forge-1]\nbase = \"sandbox-1\""),
                ElementsAre(HasSubstr("forge-1 is always sealed")));
    // What the base brings along counts as well.
    EXPECT_EQ(problems("[mine]\nbase = \"sandbox-1\"\nsealed = true").size(), 6u);
    EXPECT_THAT(problems("[forge-1]\nbinding = \"ratls\"\nlegacy_ratls = true"), IsEmpty());
}

// Values for each key, good and bad ones, hostile ones first.
const std::map<std::string, std::vector<std::string>>& values_of_keys() {
    static const std::map<std::string, std::vector<std::string>> values = {
        {"base", {"\"sandbox-1\"", "\"forge-1\""}},
        {"served", {"true", "false"}},
        {"sealed", {"false", "true", "0", "\"false\""}},
        {"tcb_accepted",
         {"[\"Revoked\"]", "[\"NotEvaluated\"]", "[\"UpToDate\", \"Revoked\"]", "[\"OutOfDate\"]", "[]",
          "[\"UpToDate\"]", "\"any\""}},
        {"debug", {"true", "false"}},
        {"sept_ve_disable", {"false", "true"}},
        {"mr_servicetd", {"\"any\"", "\"zero\""}},
        {"xfam", {"\"any\"", "3", "\"0xffffffffffffffff\""}},
        {"perfmon", {"true", "false"}},
        {"key_locker", {"true", "false"}},
        {"tcb_evaluation_min", {"\"none\"", "1", "99"}},
        {"collateral_grace_s", {"31622400", "0"}},
        {"platform_grace_days", {"\"any\"", "36500", "0"}},
        {"advisories_refused", {"\"none\"", "[\"INTEL-SA-00837\"]"}},
        {"simulated_root", {"true", "false"}},
        {"binding", {"\"nonce\"", "\"key\"", "\"none\"", "\"ratls\"", "\"channel\""}},
        {"legacy_ratls", {"true", "false"}},
        {"legacy_none", {"true", "false"}},
        {"legacy_cidrs", {"\"any\"", "[\"0.0.0.0/0\"]"}},
        {"allowlist",
         {"{ may_be_absent = true }", "{ quote_measurements = [] }", "{ measurements = [] }",
          "{ quote_measurements = [\"rtmr3\"], measurements = [], may_be_absent = true }", "{}"}},
        {"join", {"\"open\"", "\"node\"", "\"listed\""}},
        {"stake_required", {"false", "true"}},
        {"stake_min_usd", {"{}", "{ premium = 0 }"}},
        {"price_required", {"false", "true"}},
        {"funded", {"false", "true"}},
        {"evidence", {"\"app\"", "\"public\""}},
        {"evidence_grace_s", {"31622400", "0"}},
        {"fmspc_allowed", {"\"any\"", "[\"b0c06f000000\"]"}},
        {"platforms_allowed", {"\"any\"", "[]"}},
    };
    return values;
}

// What must never pass a sealed network, whatever was set.
void expect_floor(const NetworkPolicy& policy, const std::string& text) {
    const WallTime now = std::chrono::sys_days(std::chrono::year(2026) / 6 / 15);
    ASSERT_TRUE(policy.sealed_required) << text;  // With it the appraiser refuses every unsealed answer.
    ASSERT_FALSE(policy.allowlist_may_be_absent || policy.simulated_root_allowed) << text;
    for (const TcbStatus status : {TcbStatus::revoked, TcbStatus::not_evaluated}) {
        const TcbEvaluation tcb{
            .status = status, .tcb_date = now, .advisory_ids = {}, .evaluation_number = 99};
        ASSERT_FALSE(judge_tcb_status(policy, tcb, now)) << text;
    }
    TdReport report;
    for (const unsigned tud_bit : {0u, 1u, 7u, 29u}) {
        report.td_attributes = std::uint64_t{1} << 28 | std::uint64_t{1} << tud_bit;
        ASSERT_FALSE(judge_td(policy, report)) << text;
    }
    for (const Binding binding : {Binding::none, Binding::nonce, Binding::key}) {
        for (const bool legacy : {false, true}) ASSERT_FALSE(judge_binding(policy, binding, legacy)) << text;
    }
    // A release that names no measured registers could call anything sealed.
    Allowlist allowlist;
    allowlist.measurements = {{"sealed", {true}}, {"config_sha256", {std::string("aa")}}};
    ASSERT_FALSE(judge_allowlist(policy, allowlist, true)) << text;
}

// The networks of the file that must keep to the floor; how many there were.
int check_file(const std::string& text) {
    const auto file = parse_policies(text, "networks.toml");
    if (!file) {
        EXPECT_FALSE(file.error().empty());
        return 0;
    }
    int checked = 0;
    for (const bool simulated : {false, true}) {
        const NetworkPolicies policies = file->in_force(simulated);
        for (const NetworkPolicy& policy : policies.all()) {
            if (policy.name != "forge-1" && !policy.sealed_required) continue;
            expect_floor(policy, text);
            ++checked;
        }
    }
    return checked;
}

TEST(PolicyFile, KnowsAValueForEveryKeyInTheseTests) {
    for (const PolicyField& field : policy_fields())
        EXPECT_TRUE(values_of_keys().contains(std::string(field.name))) << field.name;
    EXPECT_EQ(values_of_keys().size(), policy_fields().size() + 2);
}

TEST(PolicyFile, LetsNothingHostilePassForge1WhateverOneOrTwoSettingsSay) {
    std::vector<std::string> lines;
    for (const auto& [key, values] : values_of_keys())
        for (const std::string& value : values) lines.push_back(key + " = " + value + '\n');
    int checked = 0;
    for (const char* network : {"forge-1", "other"}) {
        for (const std::string& first : lines) {
            for (const std::string& second : lines) {
                checked +=
                    check_file(fmt::format("[{}]\n{}{}", network, first, first < second ? second : ""));
                if (HasFatalFailure()) return;
            }
        }
    }
    EXPECT_GT(checked, 1000);
}

TEST(PolicyFile, LetsNothingHostilePassForge1WhateverManySettingsSay) {
    std::mt19937 random(20260115);  // The same files at each run.
    int checked = 0;
    for (int round = 0; round < 4000; ++round) {
        std::string text;
        for (const char* network : {"forge-1", "sandbox-1", "other"}) {
            if (random() % 3 == 0) continue;
            text += fmt::format("[{}]\n", network);
            for (const auto& [key, values] : values_of_keys()) {
                if (random() % 4 == 0) text += key + " = " + values[random() % values.size()] + '\n';
            }
        }
        checked += check_file(text);
        if (HasFatalFailure()) return;
    }
    EXPECT_GT(checked, 100);
}

}  // namespace
}  // namespace ee::attestation
