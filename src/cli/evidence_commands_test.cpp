#include "cli/evidence_commands.h"

#include <fstream>

#include "attestation/evidence_fixture.h"
#include "cli/eectl_run.h"
#include "cli/scripted_server.h"
#include "crypto/certificate.h"

namespace ee::cli {
namespace {

using attestation::JudgedAgent;

struct EvidenceCommands : testing::Test {
    EvidenceCommands() {
        agent.judge();
        write("root.der", std::string(as_text(agent.platform.root_certificate)));
        write("evidence.json", agent.file());
    }
    std::string write(const std::string& name, const std::string& text) {
        std::ofstream(folder.file(name), std::ios::binary) << text;
        return folder.file(name);
    }
    // With the simulated root trusted.
    EectlRun verify(std::vector<std::string> more = {}) {
        std::vector<std::string> arguments = {"evidence", "verify", folder.file("evidence.json"), "--root",
                                              folder.file("root.der")};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return eectl(std::move(arguments));
    }
    void tamper(std::string_view from, std::string_view to) {
        std::string text = agent.file();
        const std::size_t at = text.find(from);
        ASSERT_NE(at, std::string::npos) << from;
        write("evidence.json", text.replace(at, from.size(), to));
    }

    TemporaryFolder folder;
    JudgedAgent agent;
};

TEST_F(EvidenceCommands, VerifyJudgesAFileAgainAndAgrees) {
    const EectlRun run = verify();
    EXPECT_EQ(run.code, exit_good) << run.out << run.err;
    EXPECT_TRUE(
        run.out.starts_with("ok        agent " + agent.evidence().agent + "  myapp v0.1.3 of org/repo"))
        << run.out;
    EXPECT_NE(run.out.find("binding      key"), std::string::npos) << run.out;
    EXPECT_NE(run.out.find("the one given with --root (simulated)"), std::string::npos) << run.out;
}

TEST_F(EvidenceCommands, VerifyAnswersAsJson) {
    const EectlRun run = verify({"--json"});
    EXPECT_EQ(run.code, exit_good);
    EXPECT_TRUE(run.out.starts_with("{\"app_name\":\"myapp\",\"agents\":[{\"agent\":\"")) << run.out;
    EXPECT_NE(
        run.out.find("\"result\":\"ok\",\"code\":null,\"detail\":null,\"remedy\":null,\"differences\":[]"),
        std::string::npos)
        << run.out;
    EXPECT_NE(run.out.find("\"complete\":true,\"ok\":true"), std::string::npos) << run.out;
    EXPECT_NE(run.out.find(R"("judged_by":{"root":"given","rules":"built_in","allowlist":"evidence",)"
                           R"("collateral":"evidence","time":"evidence"})"),
              std::string::npos)
        << run.out;
    const std::string own = write("allowlist.json", agent.allowlist_text);
    const std::string collateral = write("collateral.json", agent.collateral_text);
    const EectlRun mine = verify({"--json", "--allowlist", own, "--collateral", collateral, "--network",
                                  "sandbox-1", "--at", "2026-06-01T00:00:01Z"});
    EXPECT_NE(mine.out.find(R"("rules":"given","allowlist":"given","collateral":"given","time":"given"})"),
              std::string::npos)
        << mine.out;
    EXPECT_NE(verify({"--json", "--accept-policy"}).out.find(R"("rules":"evidence")"), std::string::npos);
}

TEST_F(EvidenceCommands, VerifyTrustsIntelsRootOnlyUnlessToldOtherwise) {
    const EectlRun run = eectl({"evidence", "verify", folder.file("evidence.json")});
    EXPECT_EQ(run.code, exit_refused);
    EXPECT_TRUE(run.out.starts_with("refused   agent")) << run.out;
    EXPECT_NE(run.out.find("certificate_chain_invalid"), std::string::npos) << run.out;
}

TEST_F(EvidenceCommands, ATamperedFileIsRefusedOrDiffers) {
    struct Row {
        const char* from;
        const char* to;
        const char* said;
    };
    const Row rows[] = {
        {"\"nonce\":\"07", "\"nonce\":\"08", "report_data_mismatch"},
        {"\"agent_id\":\"agent-1\"", "\"agent_id\":\"agent-2\"", "evidence_inconsistent:agent"},
        {"\"log_id\":\"0", "\"log_id\":\"1", "evidence_inconsistent:agent"},
        {"{\"app_name\":\"myapp\"", "{\"app_name\":\"other\"", "evidence_inconsistent:app_name"},
        {"\"network\":\"sandbox-1\"", "\"network\":\"forge-1\"", "evidence_inconsistent:network"},
        {"\"binding\":\"key\"", "\"binding\":\"channel\"",
         "differs      binding: recorded channel, repeated key"},
        {"\"sealed\":false", "\"sealed\":true", "differs      sealed: recorded true, repeated false"},
        {"\"anchor\":\"simulated\"", "\"anchor\":\"intel\"", "differs      anchor: recorded intel"},
    };
    for (const Row& row : rows) {
        tamper(row.from, row.to);
        const EectlRun run = verify();
        EXPECT_EQ(run.code, exit_refused) << row.to;
        EXPECT_NE(run.out.find(row.said), std::string::npos) << row.to << ": " << run.out;
    }
    tamper("\"quote\":\"", "\"quote\":\"AAAA");
    EXPECT_NE(verify().out.find("quote_unsupported"), std::string::npos) << verify().out;
    tamper("\"base64\":\"", "\"base64\":\"AAAA");
    EXPECT_EQ(verify().code, exit_refused);
    EXPECT_NE(verify().err.find("evidence_malformed:/contents/"), std::string::npos);
}

TEST_F(EvidenceCommands, AFileWithoutContentsNeedsThemFromElsewhere) {
    const std::string whole = agent.file();
    attestation::EvidencePage page{.app_name = "myapp",
                                   .log_id = std::string(attestation::test_log_id),
                                   .items = {attestation::evidence_json(agent.evidence())}};
    for (const auto& [digest, content] : agent.contents())
        if (content.kind == "policy") page.contents.emplace(digest, content);
    write("evidence.json", attestation::evidence_page_json(page));
    EXPECT_NE(verify().out.find("allowlist_unavailable"), std::string::npos) << verify().out;
    const std::string allowlist = write("allowlist.json", agent.allowlist_text);
    EXPECT_NE(verify({"--allowlist", allowlist}).out.find("collateral_unavailable"), std::string::npos);
    const std::string collateral = write("collateral.json", agent.collateral_text);
    EXPECT_EQ(verify({"--allowlist", allowlist, "--collateral", collateral}).code, exit_good);
}

TEST_F(EvidenceCommands, AnAllowlistOfOnesOwnIsWhatCounts) {
    // The same build, published again: judged ok, but not what the control plane went by.
    const std::string other = write("allowlist.json", agent.allowlist_text + "\n");
    const EectlRun run = verify({"--allowlist", other});
    EXPECT_EQ(run.code, exit_refused);
    EXPECT_NE(run.out.find("differs      allowlist_sha256: recorded"), std::string::npos) << run.out;
}

TEST_F(EvidenceCommands, WhatWasComparedWithNoAllowlistIsCalledSo) {
    agent.without_allowlist = true;
    agent.judge();
    ASSERT_TRUE(agent.verdict.ok) << "sandbox-1 lets an allowlist be absent";
    write("evidence.json", agent.file());
    const EectlRun run = verify();
    EXPECT_EQ(run.code, exit_good) << run.out;
    EXPECT_NE(run.out.find(" P\n"), std::string::npos) << run.out;
    EXPECT_NE(run.out.find("none: the measurements were compared with nothing"), std::string::npos)
        << run.out;
    const std::string allowlist = write("allowlist.json", agent.allowlist_text);
    EXPECT_EQ(verify({"--allowlist", allowlist}).code, exit_refused) << "it was not judged by that one";
}

TEST_F(EvidenceCommands, ABuiltInNameWithOtherRulesIsNotTakenSilently) {
    agent.policy.binding_min = attestation::Binding::none;
    agent.judge();
    write("evidence.json", agent.file());
    const EectlRun run = verify();
    EXPECT_EQ(run.code, exit_refused);
    EXPECT_NE(run.out.find("policy_differs"), std::string::npos) << run.out;
    EXPECT_NE(run.out.find("binding_min: \"none\", not \"nonce\""), std::string::npos) << run.out;
    EXPECT_EQ(verify({"--accept-policy"}).code, exit_good);
    EXPECT_EQ(verify({"--network", "sandbox-1"}).code, exit_good) << "by the built-in rules it is ok, too";
    EXPECT_NE(verify({"--network", "forge-1"}).out.find("network_mismatch"), std::string::npos);
}

TEST_F(EvidenceCommands, TheRulesOfAnUnknownNetworkAreNotTakenFromTheFileThatTheyJudge) {
    agent.policy.name = agent.challenge.identity.network = "mine-1";
    agent.judge();
    write("evidence.json", agent.file());
    EXPECT_EQ(verify().code, exit_refused);
    EXPECT_NE(verify().out.find("policy_unknown"), std::string::npos) << verify().out;
    EXPECT_EQ(verify({"--accept-policy"}).code, exit_good) << verify({"--accept-policy"}).out;
    const std::string own = write("own.toml", "[mine-1]\nbase = \"sandbox-1\"\n");
    EXPECT_EQ(verify({"--policy", own}).code, exit_good) << verify({"--policy", own}).out;
}

TEST_F(EvidenceCommands, AFileOfNetworksJudgesInPlaceOfTheRecordedRules) {
    EXPECT_EQ(verify({"--policy", write("same.toml", "[sandbox-1]\n")}).code, exit_good);
    const std::string strict =
        write("strict.toml", "[sandbox-1]\nbinding = \"channel\"\nlegacy_none = false\n");
    EXPECT_EQ(verify({"--policy", strict}).code, exit_refused);
    EXPECT_NE(verify({"--policy", strict}).out.find("binding_too_weak"), std::string::npos);
    EXPECT_EQ(verify({"--policy", folder.file("absent")}).code, exit_usage);
}

TEST_F(EvidenceCommands, ALegacyAnswerCannotBeVerified) {
    agent.use_legacy();
    agent.judge();
    ASSERT_TRUE(agent.verdict.ok);
    write("evidence.json", agent.file());
    const EectlRun run = verify();
    EXPECT_EQ(run.code, exit_refused);
    EXPECT_NE(run.out.find("evidence_legacy"), std::string::npos) << run.out;
}

TEST_F(EvidenceCommands, NoEvidenceIsNoProof) {
    write("evidence.json", attestation::evidence_page_json({.app_name = "myapp", .log_id = "x"}));
    const EectlRun run = verify();
    EXPECT_EQ(run.code, exit_refused);
    EXPECT_NE(run.err.find("no agent of the app is connected"), std::string::npos) << run.err;
}

TEST_F(EvidenceCommands, JudgedAtAnotherTimeItMayNotHold) {
    EXPECT_EQ(verify({"--at", "2026-06-02T00:00:00Z"}).code, exit_good);
    const EectlRun run = verify({"--at", "2026-09-01T00:00:00Z"});
    EXPECT_EQ(run.code, exit_refused);
    EXPECT_NE(run.out.find("collateral_expired"), std::string::npos) << run.out;
    EXPECT_NE(run.out.find("what to do   Operator: renew"), std::string::npos) << run.out;
    const EectlRun json = verify({"--at", "2026-09-01T00:00:00Z", "--json"});
    EXPECT_NE(json.out.find("\"remedy\":\"Operator: renew"), std::string::npos) << json.out;
}

TEST_F(EvidenceCommands, WrongUseIsSaid) {
    EXPECT_EQ(eectl({"evidence", "verify", folder.file("absent")}).code, exit_usage);
    EXPECT_EQ(eectl({"evidence", "verify"}).code, exit_usage);
    EXPECT_EQ(verify({"--at", "noon"}).code, exit_usage);
    EXPECT_EQ(verify({"--network", "mars-1"}).code, exit_usage);
    EXPECT_EQ(verify({"--root", folder.file("absent")}).code, exit_usage);
    EXPECT_EQ(verify({"--allowlist", folder.file("evidence.json")}).code, exit_usage);
    EXPECT_EQ(verify({"--collateral", folder.file("evidence.json")}).code, exit_usage);
}

TEST_F(EvidenceCommands, ControlCharactersOfTheFileDoNotReachTheTerminal) {
    agent.challenge.identity.release_tag = "v1\x1b[2J";
    agent.judge();
    write("evidence.json", agent.file());
    EXPECT_EQ(verify().out.find('\x1b'), std::string::npos);
    EXPECT_EQ(eectl({"evidence", "show", folder.file("evidence.json")}).out.find('\x1b'), std::string::npos);
}

TEST_F(EvidenceCommands, FetchSaysWhenThereAreMorePagesAndGetsThem) {
    ScriptedServer server(
        {ok(R"({"items":[],"next_cursor":"c/1"})"), ok(R"({"items":[],"next_cursor":null})")});
    const EectlRun first = eectl({"evidence", "fetch", "myapp", "--url", server.url()});
    EXPECT_EQ(first.code, exit_good) << first.err;
    EXPECT_NE(first.err.find("one page of several; more agents with --cursor c/1\n"), std::string::npos);
    const EectlRun last = eectl({"evidence", "fetch", "myapp", "--url", server.url(), "--cursor", "c/1"});
    EXPECT_EQ((std::pair{last.code, last.err}), (std::pair{int{exit_good}, std::string()}));
    ASSERT_EQ(server.requests().size(), 2u);
    EXPECT_EQ(server.requests()[1].substr(0, server.requests()[1].find(" HTTP")),
              "GET /v1/apps/myapp/evidence?include=collateral,allowlist&limit=500&cursor=c%2F1");
}

TEST_F(EvidenceCommands, ShowPrintsEveryField) {
    const EectlRun run = eectl({"evidence", "show", folder.file("evidence.json")});
    EXPECT_EQ(run.code, exit_good) << run.err;
    for (const char* name : {"id ", "agent ", "inputs ", "quote ", "binding ", "collateral ", "content "})
        EXPECT_NE(run.out.find(name), std::string::npos) << name;
    EXPECT_EQ(eectl({"evidence", "show", folder.file("root.der")}).code, exit_refused);
    EXPECT_EQ(eectl({"evidence", "show", folder.file("absent")}).code, exit_usage);
}

}  // namespace
}  // namespace ee::cli
