#include "attestation/evidence.h"

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

Repetition repeat(const Evidence& evidence, const EvidenceContents& contents, WallTime now) {
    FixedCollateral collateral(*collateral_of(evidence, contents).value());
    FixedRelease release(allowlist_of(evidence, contents).value());
    return repeat_judgement(evidence, {.policy = policy_of(evidence, contents).value(),
                                       .anchors = judged().anchors,
                                       .collateral = collateral,
                                       .releases = release,
                                       .now = now});
}

Repetition repeat(const Evidence& evidence) {
    return repeat(evidence, judged().contents(), judged().at);
}

TEST(Evidence, NamesAnAgentAndAnAnswerWithoutTheirNames) {
    // SHA-256("log" || "agent-1"), SHA-256 of 64 zeros.
    EXPECT_EQ(hashed_agent_id("log", "agent-1"),
              to_hex(crypto::sha256(as_bytes("logagent-1"))).substr(0, 16));
    Answer answer;
    answer.report_data = Bytes(64, 0);
    answer.layout = 2;
    EXPECT_EQ(evidence_id({}, answer), "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b");
    // A legacy answer is the same each time: the nonce tells one challenge from the next.
    answer.layout.reset();
    EXPECT_EQ(evidence_id({}, answer), to_hex(crypto::sha256(ByteArray<32>{})));
}

TEST(Evidence, JudgedAgainComesToTheSameVerdict) {
    ASSERT_TRUE(judged().verdict.ok) << judged().verdict.refusal.code;
    const Repetition repeated = repeat(judged().evidence());
    EXPECT_TRUE(repeated.verdict.ok) << repeated.verdict.refusal.code << ": "
                                     << repeated.verdict.refusal.detail;
    EXPECT_EQ(repeated.differences, std::vector<std::string>{});
    EXPECT_TRUE(check_consistency(judged().evidence(), test_log_id));
}

TEST(Evidence, JudgedLaterByTheSameCollateralIsRefused) {
    const Repetition repeated =
        repeat(judged().evidence(), judged().contents(), judged().at + simulated_collateral_life * 2);
    EXPECT_FALSE(repeated.verdict.ok);
    EXPECT_TRUE(repeated.verdict.refusal.code.starts_with("collateral_expired"))
        << repeated.verdict.refusal.code;
}

TEST(Evidence, WhateverIsChangedInItIsNoticed) {
    struct Row {
        const char* what;
        std::function<void(Evidence&)> change;
        const char* noticed;  // a refusal's code, or the beginning of a difference
    };
    const Row rows[] = {
        {"nonce", [](Evidence& e) { e.challenge->nonce[0] ^= 1; }, "report_data_mismatch"},
        {"wire", [](Evidence& e) { e.challenge->wire = "2"; }, "report_data_mismatch"},
        {"channel", [](Evidence& e) { e.challenge->channel = Bytes(32, 1); }, "report_data_mismatch"},
        {"agent_id", [](Evidence& e) { e.challenge->identity.agent_id = "agent-2"; }, "report_data_mismatch"},
        {"node_id", [](Evidence& e) { e.challenge->identity.node_id = "n"; }, "report_data_mismatch"},
        {"app", [](Evidence& e) { e.challenge->identity.app_name = "other"; }, "report_data_mismatch"},
        {"repo", [](Evidence& e) { e.challenge->identity.repo = "org/other"; }, "report_data_mismatch"},
        {"release", [](Evidence& e) { e.challenge->identity.release_tag = "v2"; }, "report_data_mismatch"},
        {"measurements", [](Evidence& e) { e.answer->measurements["sealed"] = true; },
         "report_data_mismatch"},
        {"signature", [](Evidence& e) { e.answer->signature[5] ^= 1; }, "report_data_mismatch"},
        {"no signature", [](Evidence& e) { e.answer->signature.clear(); }, "binding: recorded key"},
        {"key", [](Evidence& e) { e.answer->agent_key.clear(); }, "report_data_mismatch"},
        {"report data", [](Evidence& e) { e.answer->report_data[0] ^= 1; }, "report_data_mismatch"},
        {"rtmr3 in the quote", [](Evidence& e) { e.answer->quote[48 + 472] ^= 1; },
         "quote_signature_invalid"},
        {"a cut quote", [](Evidence& e) { e.answer->quote.pop_back(); }, "quote_malformed"},
        {"binding", [](Evidence& e) { e.verdict.binding = Binding::channel; }, "binding: recorded channel"},
        {"sealed", [](Evidence& e) { e.verdict.sealed = true; }, "sealed: recorded true"},
        {"debug", [](Evidence& e) { e.verdict.debug = true; }, "debug: recorded true"},
        {"unbound", [](Evidence& e) { e.verdict.unbound = true; }, "unbound: recorded true"},
        {"anchor", [](Evidence& e) { e.verdict.simulated = false; }, "anchor: recorded intel"},
        {"TCB status", [](Evidence& e) { e.verdict.tcb_status = "Revoked"; }, "tcb_status: recorded Revoked"},
        {"TCB date", [](Evidence& e) { e.verdict.tcb_date = "x"; }, "tcb_date: recorded x"},
        {"advisories", [](Evidence& e) { e.verdict.advisory_ids.push_back("x"); }, "advisory_ids: recorded"},
        {"fmspc", [](Evidence& e) { e.verdict.fmspc = "00"; }, "fmspc: recorded 00"},
        {"mrtd", [](Evidence& e) { e.verdict.mrtd = "00"; }, "mrtd: recorded 00"},
        {"rtmrs", [](Evidence& e) { e.verdict.rtmrs[1] = "00"; }, "rtmrs: recorded"},
        {"checks", [](Evidence& e) { e.verdict.checks.pop_back(); }, "checks: recorded"},
        {"not checked", [](Evidence& e) { e.verdict.not_checked.push_back("Z"); }, "not_checked: recorded"},
        {"ok", [](Evidence& e) { e.verdict.ok = false; }, "ok: recorded false"},
        {"code", [](Evidence& e) { e.verdict.refusal.code = "debug_td"; }, "code: recorded debug_td"},
    };
    for (const Row& row : rows) {
        Evidence evidence = judged().evidence();
        row.change(evidence);
        const Repetition repeated = repeat(evidence);
        if (!repeated.verdict.ok) {
            EXPECT_EQ(repeated.verdict.refusal.code, row.noticed) << row.what;
            continue;
        }
        ASSERT_EQ(repeated.differences.size(), 1u) << row.what;
        EXPECT_TRUE(repeated.differences[0].starts_with(row.noticed))
            << row.what << ": " << repeated.differences[0];
    }
}

TEST(Evidence, WhatItSaysTwiceMustAgree) {
    struct Row {
        const char* field;
        std::function<void(Evidence&)> change;
    };
    const Row rows[] = {
        {"id", [](Evidence& e) { e.id[0] = e.id[0] == '0' ? '1' : '0'; }},
        {"agent", [](Evidence& e) { e.agent[0] = e.agent[0] == '0' ? '1' : '0'; }},
        {"app_name", [](Evidence& e) { e.app_name = "other"; }},
        {"repo", [](Evidence& e) { e.release.repo = "org/other"; }},
        {"release_tag", [](Evidence& e) { e.release.tag = "v9"; }},
        {"network", [](Evidence& e) { e.network = "forge-1"; }},
    };
    for (const Row& row : rows) {
        Evidence evidence = judged().evidence();
        row.change(evidence);
        const auto held = check_consistency(evidence, test_log_id);
        ASSERT_FALSE(held) << row.field;
        EXPECT_EQ(held.error().code, std::string("evidence_inconsistent:") + row.field);
    }
    EXPECT_EQ(check_consistency(judged().evidence(), "another log").error().code,
              "evidence_inconsistent:agent");
}

TEST(Evidence, SaysWhichContentIsMissing) {
    const Evidence evidence = judged().evidence();
    for (const auto& [part, digest] : evidence.verdict.collateral_sha256) {
        EvidenceContents contents = judged().contents();
        contents.erase(digest);
        const auto collateral = collateral_of(evidence, contents);
        ASSERT_FALSE(collateral) << part;
        EXPECT_EQ(collateral.error().code, "collateral_unavailable");
        EXPECT_NE(collateral.error().detail.find(digest), std::string::npos) << part;
    }
    EXPECT_EQ(allowlist_of(evidence, {}).error().code, "allowlist_unavailable");
    EXPECT_EQ(policy_of(evidence, {}).error().code, "policy_unavailable");
}

TEST(Evidence, AnotherAllowlistOrPolicyIsNoticed) {
    const Evidence evidence = judged().evidence();
    FixedCollateral collateral(*collateral_of(evidence, judged().contents()).value());
    FixedRelease none(nullptr);
    const auto again = [&](const NetworkPolicy& policy, ReleaseSource& release) {
        return repeat_judgement(evidence, {.policy = policy,
                                           .anchors = judged().anchors,
                                           .collateral = collateral,
                                           .releases = release,
                                           .now = judged().at});
    };
    EXPECT_FALSE(again(judged().policy, none).differences.empty());
    NetworkPolicy strict = judged().policy;
    strict.binding_min = Binding::channel;
    EXPECT_EQ(again(strict, none).verdict.refusal.code, "binding_too_weak");
    Allowlist other = parse_allowlist(judged().allowlist_text).value();
    other.quote_measurements[QuoteRegister::rtmr2] = {Measurement{9}};
    FixedRelease changed(std::make_shared<const Allowlist>(other));
    EXPECT_EQ(again(judged().policy, changed).verdict.refusal.code, "measurement_mismatch:rtmr2");
}

}  // namespace
}  // namespace ee::attestation
