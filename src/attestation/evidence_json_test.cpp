#include "attestation/evidence_json.h"

#include <functional>

#include <gtest/gtest.h>

#include "attestation/evidence_fixture.h"

namespace ee::attestation {
namespace {

const JudgedAgent& judged() {
    static const JudgedAgent made = [] {
        JudgedAgent agent;
        agent.judge();
        return agent;
    }();
    return made;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

std::string code_of(std::string_view json) {
    const auto file = parse_evidence_file(json);
    return file ? "accepted" : file.error().code;
}

TEST(EvidenceJson, IsTheSameAfterARoundTrip) {
    JudgedAgent with_channel;
    with_channel.challenge.channel = Bytes(32, 0xcc);
    with_channel.challenge.identity.node_id = "node-1";
    JudgedAgent without_key;
    without_key.answer.agent_key.clear();
    without_key.answer.measurements.clear();
    JudgedAgent legacy;
    legacy.use_legacy();
    for (JudgedAgent* agent : {&with_channel, &without_key, &legacy}) {
        agent->judge();
        ASSERT_TRUE(agent->verdict.ok)
            << agent->verdict.refusal.code << ": " << agent->verdict.refusal.detail;
        const std::string text = evidence_json(agent->evidence());
        const auto file = parse_evidence_file(agent->file());
        ASSERT_TRUE(file) << file.error().code << ": " << file.error().detail;
        ASSERT_EQ(file->items.size(), 1u);
        EXPECT_EQ(evidence_json(file->items[0]), text);
        EXPECT_EQ(file->items[0].answer.has_value(), agent->answer.layout.has_value());
        EXPECT_EQ(file->contents.size(), agent->contents().size());
    }
}

TEST(EvidenceJson, CarriesEverythingThatReportDataAreMadeOf) {
    const auto file = parse_evidence_file(judged().file()).value();
    const Evidence& evidence = file.items[0];
    EXPECT_EQ(evidence.verdict.judged_at, judged().at);
    EXPECT_EQ(evidence.challenge->requester, "") << "the agent's address is nobody's business";
    const ReportData recomputed = report_data_layout2({.nonce = evidence.challenge->nonce,
                                                       .agent_key = evidence.answer->agent_key,
                                                       .channel = evidence.challenge->channel,
                                                       .wire = evidence.challenge->wire,
                                                       .identity = evidence.challenge->identity,
                                                       .measurements = evidence.answer->measurements});
    EXPECT_EQ(to_hex(recomputed), evidence.verdict.report_data);
}

TEST(EvidenceJson, ShowsNothingOfALegacyAnswer) {
    JudgedAgent agent;
    agent.use_legacy();
    agent.judge();
    ASSERT_TRUE(agent.verdict.ok);
    const std::string text = evidence_json(agent.evidence());
    for (const char* shown : {"\"binding\":\"none\"", "\"legacy\":true", "\"unbound\":true", "\"quote\":null",
                              "\"measurements\":null", "\"inputs\":null", "\"report_data\":null"})
        EXPECT_NE(text.find(shown), std::string::npos) << shown << " in " << text;
    for (const std::string& secret :
         {to_base64(agent.answer.quote), agent.verdict.report_data, agent.verdict.mrtd,
          agent.verdict.rtmrs[0], to_hex(crypto::sha256(agent.answer.report_data)),
          to_hex(agent.challenge.nonce), std::string("agent-1"), std::string("vm_image_id")})
        EXPECT_EQ(text.find(secret), std::string::npos) << secret;
}

TEST(EvidenceJson, RefusesWhatItDoesNotUnderstandAndNamesIt) {
    struct Row {
        const char* from;
        const char* to;
        const char* code;
    };
    const Row rows[] = {
        {"\"app_name\":\"myapp\"", "\"app_name\":7", "/app_name"},
        {"{\"app_name\"", "{\"more\":1,\"app_name\"", "/more"},
        {"\"log_id\":", "\"app_name\":\"x\",\"log_id\":", "/app_name"},
        {"\"next_cursor\":null", "\"next_cursor\":\"\"", "/next_cursor"},
        {"\"items\":[", "\"items\":[7,", "/items/0"},
        {"\"id\":\"", "\"id\":\"0", "/items/0/id"},
        {"\"agent\":\"", "\"agent\":\"G", "/items/0/agent"},
        {"\"judged_at\":\"2026", "\"judged_at\":\"X", "/items/0/judged_at"},
        {"\"verdict\":{", "\"verdict\":{\"more\":1,", "/items/0/verdict/more"},
        {"\"ok\":true", "\"ok\":1", "/items/0/verdict/ok"},
        {"\"checks\":[\"A\"", "\"checks\":[1", "/items/0/verdict/checks"},
        {"\"binding\":\"key\"", "\"binding\":\"tight\"", "/items/0/binding"},
        {"\"legacy\":false", "\"legacy\":true", "/items/0/inputs"},
        {"\"anchor\":\"simulated\"", "\"anchor\":\"mine\"", "/items/0/anchor"},
        {"\"tcb_status\":\"", "\"tcb_status\":\"Not", "/items/0/tcb_status"},
        {"\"layout\":2", "\"layout\":3", "/items/0/inputs/layout"},
        {"\"role\":\"agent\"", "\"role\":\"control\"", "/items/0/inputs/role"},
        {"\"nonce\":\"07", "\"nonce\":\"", "/items/0/inputs/nonce"},
        {"\"nonce\":\"07", "\"nonce\":\"0707", "/items/0/inputs/nonce"},
        {"\"wire\":\"1\"", "\"wire\":1", "/items/0/inputs/wire"},
        {"\"measurements\":{", "\"measurements\":{\"a\":1,", "/items/0/measurements"},
        {"\"quote\":\"", "\"quote\":\"!", "/items/0/quote"},
        {"\"quote\":\"", "\"qoute\":\"", "/items/0/quote"},
        {"\"collateral\":{\"", "\"collateral\":{\"x\":\"00\",\"", "/items/0/collateral/x"},
        {"\"policy_sha256\":\"", "\"policy_sha256\":\"0", "/items/0/policy_sha256"},
        {"\"kind\":\"", "\"kind\":1,\"k\":\"", "/contents/"},
        {"\"base64\":\"", "\"base64\":\"AAAA", "/contents/"},
    };
    const std::string file = judged().file();
    ASSERT_EQ(code_of(file), "accepted");
    for (const Row& row : rows)
        EXPECT_TRUE(code_of(replaced(file, row.from, row.to))
                        .starts_with(std::string("evidence_malformed:") + row.code))
            << row.to << ": " << code_of(replaced(file, row.from, row.to));
    EXPECT_EQ(code_of("[]"), "evidence_malformed:/");
    EXPECT_EQ(code_of(""), "evidence_malformed:/");
    EXPECT_EQ(code_of(std::string(100, '[')), "evidence_malformed:/");
}

TEST(EvidenceJson, AMissingMemberIsNamed) {
    EXPECT_EQ(code_of("{\"app_name\":\"a\"}"), "evidence_malformed:/log_id");
    EXPECT_EQ(
        code_of("{\"app_name\":\"a\",\"log_id\":\"\",\"items\":[],\"contents\":{},\"next_cursor\":null}"),
        "accepted");
}

TEST(PolicyJson, IsTheSameAfterARoundTripAndDiffersInWhatWasChanged) {
    NetworkPolicy policy = forge_1_policy();
    policy.xfam_allowed = 0x602e7;
    policy.tcb_evaluation_min = 17;
    policy.platform_grace.reset();
    policy.advisories_refused = {"INTEL-SA-00837"};
    policy.fmspc_allowed = {ByteArray<6>{0xb0}};
    policy.platforms_allowed = {crypto::Sha256{1}};
    for (const NetworkPolicy& given : {policy, forge_1_policy(), sandbox_1_policy(true)}) {
        const auto read = parse_policy_json(policy_json(given));
        ASSERT_TRUE(read) << read.error().code << ": " << read.error().detail;
        EXPECT_EQ(policy_json(*read), policy_json(given));
        EXPECT_TRUE(policy_differences(*read, given).empty());
    }
    EXPECT_EQ(policy_differences(policy, forge_1_policy()).size(), 6u);
    policy = sandbox_1_policy(true);
    policy.binding_min = Binding::key;
    EXPECT_EQ(policy_differences(policy, sandbox_1_policy(true)),
              std::vector<std::string>{"binding_min: \"key\", not \"nonce\""});
}

TEST(PolicyJson, RefusesOtherTexts) {
    const std::string json = policy_json(sandbox_1_policy(true));
    const auto code = [](const std::string& text) { return parse_policy_json(text).error().code; };
    EXPECT_EQ(code(replaced(json, "\"debug_allowed\":true", "\"debug_allowed\":1")),
              "policy_malformed:/debug_allowed");
    EXPECT_EQ(code(replaced(json, "\"UpToDate\"", "\"Fine\"")), "policy_malformed:/tcb_accepted");
    EXPECT_EQ(code(replaced(json, "{\"name\"", "{\"join\":1,\"name\"")), "policy_malformed:/join");
    EXPECT_EQ(code(replaced(json, "\"xfam_allowed\":null", "\"xfam_allowed\":\"1\"")),
              "policy_malformed:/xfam_allowed");
    EXPECT_EQ(code("{"), "policy_malformed:/");
    // Deeper than any policy, in a member that none has.
    const auto nested = [&](std::size_t depth) {
        return replaced(json, "{\"name\"",
                        "{\"join\":" + std::string(depth, '[') + std::string(depth, ']') + ",\"name\"");
    };
    EXPECT_EQ(code(nested(7)), "policy_malformed:/join");
    EXPECT_EQ(code(nested(8)), "policy_malformed:/");
}

TEST(PolicyJson, IsTakenUpToItsCapAndNoFurther) {
    std::string json = policy_json(forge_1_policy());
    json.resize(1024 * 1024, ' ');
    EXPECT_TRUE(parse_policy_json(json));
    json.push_back(' ');
    const auto larger = parse_policy_json(json);
    ASSERT_FALSE(larger);
    EXPECT_EQ(larger.error().code, "policy_malformed:/");
}

}  // namespace
}  // namespace ee::attestation
