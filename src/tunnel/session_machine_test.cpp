#include "tunnel/session_machine.h"

#include <algorithm>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/hex.h"
#include "protocol/encoder.h"
#include "protocol/limits.h"
#include "tunnel/test_session_machine.h"

namespace ee::tunnel {
namespace {

using namespace std::chrono_literals;
using protocol::ChallengeReason;

// ---- The way to active ----

TEST(SessionMachine, AnAgentRegistersAnswersAndIsAdmitted) {
    Tunnel tunnel;
    EXPECT_EQ(tunnel.text(register_text), Did{"check claim"});
    EXPECT_EQ(tunnel.machine.registration()->network, "forge-1");
    EXPECT_EQ(tunnel.claimed(), Did{"challenge register 30 s layout 2 channel"});
    EXPECT_EQ(tunnel.machine.state(), SessionState::challenged);
    EXPECT_EQ(tunnel.answer(), Did{"verify register"});
    EXPECT_EQ(tunnel.machine.state(), SessionState::judging);
    EXPECT_EQ(tunnel.judged(), Did{"admit"});
    EXPECT_FALSE(tunnel.machine.attested());
    EXPECT_EQ(tunnel.admitted(), (Did{"status ok attested", "activated"}));
    EXPECT_TRUE(tunnel.machine.attested());
    EXPECT_EQ(tunnel.machine.state(), SessionState::active);
    EXPECT_EQ(tunnel.text(health_pass), Did{"health pass"});
    EXPECT_EQ(tunnel.text(R"({"type":"health","status":"sick"})"), Did{"health fail"});
    EXPECT_EQ(tunnel.text(answer_7), Did{"answer 7"});
}

TEST(SessionMachine, AnAnswerIsJudgedWithAllThatItWasAskedFor) {
    Tunnel tunnel;
    tunnel.challenged();
    const std::string nonce = tunnel.nonce();
    protocol::AttestResponse response;
    response.nonce = from_hex_exact<32>(nonce).value();
    response.quote = {9};
    response.layout2 = true;
    Actions actions;
    std::string text = protocol::encode(response);
    tunnel.machine.receive_text(protocol::PaddedText(text), tunnel.now(), actions);
    const auto& answer = *std::get<Verify>(actions.at(0)).answer;
    EXPECT_EQ(answer.registration.app_name, "myapp");
    EXPECT_EQ(to_hex(answer.nonce), nonce);
    EXPECT_EQ(answer.response.quote, Bytes{9});
    EXPECT_TRUE(answer.response.layout2);
    EXPECT_EQ(answer.wire, Wire::v1);
    EXPECT_EQ(answer.answered_at.mono, start);
}

TEST(SessionMachine, ARegistrationThatEndsSoonIsSaid) {
    Tunnel tunnel;
    tunnel.challenged();
    tunnel.answer();
    tunnel.judged();
    EXPECT_EQ(tunnel.admitted(AdmissionTerms{.registration_expiring = true}),
              (Did{"status ok attested", "activated", "status warning registration_expiring"}));
}

// ---- Checkpoints ----

TEST(SessionMachine, AnAgentOfV2ThatHoldsNoCheckpointIsToldTheNewestOnceAdmitted) {
    const std::string holds = register_text.substr(0, register_text.size() - 1) + R"(,"checkpoint":"held"})";
    const struct {
        Wire wire;
        std::string registration;
        const char* told;
    } cases[] = {{Wire::v2, register_text, "status ok attested checkpoint newest"},
                 {Wire::v2, holds, "status ok attested"},
                 {Wire::v1, register_text, "status ok attested"}};
    for (const auto& [wire, registration, told] : cases) {
        Tunnel tunnel(wire);
        tunnel.text(registration);
        tunnel.claimed();
        tunnel.answer();
        tunnel.judged();
        EXPECT_EQ(tunnel.admitted(AdmissionTerms{.registration_expiring = false, .checkpoint = "newest"}),
                  (Did{told, "activated"}));
    }
}

TEST(SessionMachine, ACheckpointIsToldWithItsProofWhileATunnelOfV2Serves) {
    const auto tell = [](Tunnel& tunnel) {
        Actions actions;
        tunnel.machine.tell_checkpoint("newer", "old 7", actions);
        return actions.empty() ? "" : describe(actions.at(0));
    };
    Tunnel old(Wire::v1), early(Wire::v2), tunnel(Wire::v2);
    EXPECT_EQ(tell(old.active()), "");
    EXPECT_EQ(tell(early.challenged()), "");
    EXPECT_EQ(tell(tunnel.active()), "status ok checkpoint checkpoint newer proof old 7");
    EXPECT_EQ(tunnel.text(R"({"type":"health","status":"pass","checkpoint":"newer"})"),
              Did{"health pass checkpoint newer"});
    tunnel.drain("draining");
    EXPECT_EQ(tell(tunnel), "");
}

// ---- Malformed messages ----

TEST(SessionMachine, MalformedMessagesAreToldAndTolerated) {
    const std::pair<std::string, std::string> rows[] = {
        {"{", "invalid_json"},
        {"[]", "invalid_json"},
        {"null", "invalid_json"},
        {R"({"type":"hello"})", "unknown_message"},
        {"{}", "unknown_message"},
        {R"({"type":"register"})", "missing_fields"},
        {R"({"type":"health","status":5})", "invalid_field:status"},
        {R"({"type":"register","repo":"../../<script>","release_tag":"v","app_name":"a","agent_id":"a"})",
         "invalid_field:repo"},
    };
    for (const auto& [message, code] : rows) {
        Tunnel fresh, active;
        active.active();
        EXPECT_EQ(fresh.text(message), tolerated(code)) << message;
        EXPECT_EQ(active.text(message), tolerated(code)) << message;
        EXPECT_EQ(active.machine.state(), SessionState::active);
    }
}

TEST(SessionMachine, TenMalformedMessagesInARowCloseTheTunnel) {
    Tunnel tunnel;
    for (int i = 0; i < 9; ++i) EXPECT_EQ(tunnel.text("{"), tolerated("invalid_json"));
    EXPECT_EQ(tunnel.text("nonsense"), refusal("invalid_json"));
    EXPECT_EQ(tunnel.machine.state(), SessionState::closed);
    EXPECT_EQ(tunnel.text(register_text), Did{});
}

TEST(SessionMachine, AWellFormedMessageBeginsTheCountAnew) {
    Tunnel tunnel;
    tunnel.active();
    for (int round = 0; round < 100; ++round) {
        for (int i = 0; i < 9; ++i) EXPECT_EQ(tunnel.text("{"), tolerated("invalid_json"));
        EXPECT_EQ(tunnel.text(health_pass), Did{"health pass"});
    }
}

TEST(SessionMachine, BinaryIsUnknownOnV1AndBeforeAttestation) {
    Tunnel v1, v2(Wire::v2);
    EXPECT_EQ(v1.active().binary(), tolerated("unknown_message"));
    EXPECT_EQ(v2.binary(), tolerated("unknown_message"));
    EXPECT_EQ(v2.challenged().binary(), tolerated("unknown_message"));
    for (int i = 0; i < 8; ++i) EXPECT_EQ(v2.binary(), tolerated("unknown_message"));
    EXPECT_EQ(v2.binary(), refusal("unknown_message")) << "the tenth in a row";
}

TEST(SessionMachine, V2CarriesNoAnswersInMessages) {
    Tunnel tunnel(Wire::v2);
    tunnel.active();
    EXPECT_EQ(tunnel.text(answer_7), tolerated("unknown_message"));
    EXPECT_EQ(tunnel.text(health_pass), Did{"health pass"});
}

TEST(SessionMachine, ALargerMessageIsAllowedOnceAttested) {
    Tunnel tunnel, v2(Wire::v2);
    EXPECT_EQ(tunnel.machine.text_bytes_max(), 64u * 1024);
    EXPECT_EQ(tunnel.challenged().machine.text_bytes_max(), 64u * 1024);
    Tunnel attested;
    EXPECT_EQ(attested.active().machine.text_bytes_max(), base64_size(1024 * 1024) + 64 * 1024);
    EXPECT_EQ(v2.active().machine.text_bytes_max(), 256u * 1024);
    const std::string large =
        R"({"type":"health","status":"pass","x":")" + std::string(65 * 1024, 'x') + "\"}";
    EXPECT_EQ(attested.text(large), Did{"health pass"});
    EXPECT_EQ(tunnel.text(large), refusal("message_too_large", 1009));
}

TEST(SessionMachine, AMessageOverTheLimitClosesTheTunnel) {
    Tunnel tunnel;
    tunnel.active();
    EXPECT_EQ(tunnel.call(&SessionMachine::message_too_large), refusal("message_too_large", 1009));
    EXPECT_EQ(tunnel.call(&SessionMachine::message_too_large), Did{});
}

// ---- Out of order ----

TEST(SessionMachine, WhoDoesNotRegisterInTimeIsClosed) {
    Tunnel tunnel;
    EXPECT_EQ(tunnel.machine.next_deadline(), start + 10s);
    EXPECT_EQ(tunnel.pass(9999ms), Did{});
    EXPECT_EQ(tunnel.pass(1ms), refusal("register_timeout"));
    EXPECT_EQ(tunnel.refused.error.detail, "no \"register\" came within 10 s");
    EXPECT_FALSE(tunnel.machine.next_deadline());
}

TEST(SessionMachine, WhoRegistersWronglyIsToldAtTheEndWhyThatDidNotCount) {
    Tunnel tunnel;
    const std::string wrong =
        R"({"type":"register","repo":"org/repo","release_tag":"v1","app_name":"MyApp","agent_id":"a1"})";
    for (const std::string& text : {wrong, std::string("{"), wrong}) tunnel.text(text);
    EXPECT_EQ(tunnel.pass(10s), refusal("register_timeout"));
    EXPECT_EQ(tunnel.refused.error.detail,
              "no \"register\" came within 10 s, but what was refused: invalid_field:app_name");
}

TEST(SessionMachine, SaysWhetherTheSameWasToleratedBefore) {
    Tunnel tunnel;
    for (const auto& [text, is_repeated] :
         {std::pair<std::string, bool>{"{", false}, {health_pass, false}, {"{", true}, {health_pass, true}}) {
        tunnel.text(text);
        EXPECT_EQ(tunnel.refused.is_repeated, is_repeated) << text;
    }
    Tunnel other;
    other.text("{");
    EXPECT_FALSE(other.refused.is_repeated);
}

TEST(SessionMachine, NothingCountsBeforeRegisterAndAttestation) {
    Tunnel tunnel;
    EXPECT_EQ(tunnel.text(health_pass), tolerated("not_registered"));
    EXPECT_EQ(tunnel.text(answer_7), tolerated("not_registered"));
    EXPECT_EQ(tunnel.answer(), tolerated("not_registered"));
    tunnel.challenged();
    EXPECT_EQ(tunnel.text(health_pass), tolerated("not_registered"));
    EXPECT_EQ(tunnel.text(answer_7), tolerated("not_registered"));
    EXPECT_EQ(tunnel.answer(), Did{"verify register"});
    EXPECT_EQ(tunnel.text(health_pass), tolerated("not_registered"));
    tunnel.judged();
    EXPECT_EQ(tunnel.text(health_pass), tolerated("not_registered"));
}

TEST(SessionMachine, ASecondRegisterIsRefusedAndTheFirstStands) {
    Tunnel tunnel;
    tunnel.challenged();
    const std::string other =
        R"({"type":"register","repo":"evil/repo","release_tag":"v1","app_name":"victim","agent_id":"a1"})";
    EXPECT_EQ(tunnel.text(other), tolerated("already_registered"));
    EXPECT_EQ(tunnel.machine.registration()->app_name, "myapp");
    Tunnel active;
    EXPECT_EQ(active.active().text(register_text), tolerated("already_registered"));
}

// ---- Refusals at the door ----

TEST(SessionMachine, AClaimThatIsRefusedClosesTheTunnel) {
    for (const char* code : {"invalid_network", "app_bound_to_other_repo", "app_bound_to_other_network"}) {
        Tunnel tunnel;
        tunnel.text(register_text);
        EXPECT_EQ(tunnel.claimed(fail(code)), refusal(code));
        EXPECT_EQ(tunnel.claimed(), Did{}) << "too late";
    }
}

TEST(SessionMachine, AnAdmissionThatIsRefusedClosesTheTunnelAndRecordsNothing) {
    for (const char* code : {"agent_id_taken", "app_bound_to_other_repo", "binding_too_weak"}) {
        Tunnel tunnel;
        tunnel.challenged();
        tunnel.answer();
        tunnel.judged();
        EXPECT_EQ(tunnel.admitted(fail(code)), refusal(code));
        EXPECT_FALSE(tunnel.machine.attested());
    }
}

TEST(SessionMachine, TheServerMayRefuseWithATimeToComeBack) {
    for (const char* code : {"too_many_tunnels", "rate_limited"}) {
        Tunnel tunnel;
        Actions actions;
        tunnel.machine.refuse({code, ""}, 7, actions);
        ASSERT_EQ(actions.size(), 3u);
        EXPECT_EQ(describe(actions[1]), fmt::format("status invalid {} retry 7", code));
        EXPECT_EQ(describe(actions[2]), fmt::format("close 1008 {}", code));
    }
}

// ---- Challenges ----

TEST(SessionMachine, NoncesAreUsedOnce) {
    Tunnel tunnel;
    tunnel.active();
    std::vector<std::string> nonces{tunnel.nonce()};
    for (int i = 0; i < 3; ++i) {
        tunnel.pass(800s);
        nonces.push_back(tunnel.nonce());
        tunnel.answer();
        tunnel.judged();
    }
    std::sort(nonces.begin(), nonces.end());
    EXPECT_EQ(std::adjacent_find(nonces.begin(), nonces.end()), nonces.end());
}

TEST(SessionMachine, AFirstChallengeThatFailsIsNobodysMiss) {
    Tunnel late, wrong, refused;
    late.challenged();
    EXPECT_EQ(late.pass(29999ms), Did{});
    EXPECT_EQ(late.pass(1ms), refusal("attestation_timeout"));
    wrong.challenged();
    EXPECT_EQ(wrong.answer(std::string(64, 'f')), refusal("nonce_mismatch"));
    refused.challenged();
    refused.answer();
    EXPECT_EQ(refused.judged(fail("quote_signature_invalid")), refusal("quote_signature_invalid"));
}

TEST(SessionMachine, ALaterChallengeThatFailsIsAMiss) {
    Tunnel late, wrong, refused;
    late.active().pass(800s);
    EXPECT_EQ(late.pass(30s), Did{"attest_miss attestation_timeout"} + refusal("attestation_timeout"));
    wrong.active().pass(800s);
    EXPECT_EQ(wrong.answer(std::string(64, 'f')),
              Did{"attest_miss nonce_mismatch"} + refusal("nonce_mismatch"));
    refused.active().pass(800s);
    refused.answer();
    EXPECT_EQ(refused.judged(fail("measurement_mismatch:rtmr1")),
              Did{"attest_miss measurement_mismatch:rtmr1"} + refusal("measurement_mismatch:rtmr1"));
}

TEST(SessionMachine, AnAnswerAfterTheDeadlineIsLateEvenBeforeTheClockTicks) {
    Tunnel tunnel;
    tunnel.challenged();
    std::string message;
    protocol::AttestResponse response;
    response.nonce = from_hex_exact<32>(tunnel.nonce()).value();
    message = protocol::encode(response);
    Actions actions;
    tunnel.machine.receive_text(protocol::PaddedText(message), {start + 30s, wall_start + 30s}, actions);
    EXPECT_EQ(describe(actions.at(0)), "refused attestation_timeout");
}

TEST(SessionMachine, EveryRefusalOfAVerdictClosesWithItsCode) {
    for (const char* code :
         {"quote_malformed", "quote_unsupported", "report_data_mismatch", "attestation_key_unbound",
          "certificate_chain_invalid", "certificate_expired", "certificate_revoked", "tcb_not_supported",
          "tcb_unacceptable:OutOfDate", "debug_td", "simulated_root", "sealed_required", "binding_too_weak",
          "allowlist_missing", "allowlist_invalid:/quote_measurements/mrtd", "collateral_malformed:tcb_info",
          "collateral_signature_invalid:pck_crl", "collateral_mismatch:fmspc"}) {
        Tunnel tunnel;
        tunnel.challenged();
        tunnel.answer();
        EXPECT_EQ(tunnel.judged(fail(code)), refusal(code));
    }
}

TEST(SessionMachine, AnAnswerNobodyAskedForIsTolerated) {
    Tunnel tunnel;
    tunnel.challenged();
    const std::string nonce = tunnel.nonce();
    tunnel.answer();
    EXPECT_EQ(tunnel.answer(nonce), tolerated("unexpected_attestation")) << "the first is being judged";
    tunnel.judged();
    EXPECT_EQ(tunnel.answer(nonce), tolerated("unexpected_attestation"));
    tunnel.admitted();
    EXPECT_EQ(tunnel.answer(nonce), tolerated("unexpected_attestation")) << "a nonce is used once";
    EXPECT_EQ(tunnel.machine.state(), SessionState::active);
}

TEST(SessionMachine, ChallengesComePeriodicallyOneAtATimeAndTheAgentServesMeanwhile) {
    Tunnel tunnel;
    tunnel.active();
    EXPECT_EQ(tunnel.machine.next_deadline(), start + 800s);
    for (int i = 0; i < 13; ++i) {
        EXPECT_EQ(tunnel.pass(800s), Did{"challenge periodic 30 s layout 2 channel"});
        EXPECT_EQ(tunnel.pass(1s), Did{});
        EXPECT_EQ(tunnel.text(answer_7), Did{"answer 7"});
        EXPECT_EQ(tunnel.answer(), Did{"verify periodic"});
        EXPECT_FALSE(tunnel.machine.next_deadline());
        EXPECT_EQ(tunnel.judged(), (Did{"renew", "status ok attested"}));
        EXPECT_EQ(tunnel.machine.next_deadline(), tunnel.now().mono + 800s);
    }
}

TEST(SessionMachine, AnOperatorsChallengeJoinsAnOpenOne) {
    Tunnel tunnel;
    EXPECT_EQ(tunnel.challenged().challenge(ChallengeReason::operator_request), Did{});
    Tunnel active;
    active.active();
    EXPECT_EQ(active.challenge(ChallengeReason::operator_request),
              Did{"challenge operator 30 s layout 2 channel"});
    EXPECT_EQ(active.challenge(ChallengeReason::periodic), Did{});
    EXPECT_EQ(active.answer(), Did{"verify operator"});
    EXPECT_EQ(active.challenge(ChallengeReason::operator_request), Did{});
    EXPECT_EQ(active.judged(), (Did{"renew", "status ok attested"}));
    EXPECT_EQ(active.pass(799s), Did{});
    EXPECT_EQ(active.pass(1s), Did{"challenge periodic 30 s layout 2 channel"});
}

TEST(SessionMachine, WhatCannotBeJudgedIsJudgedAgainWhileTheTunnelStays) {
    for (const char* code : {"collateral_unavailable", "collateral_expired:tcb_info",
                             "collateral_not_yet_valid:root_crl", "allowlist_unavailable"}) {
        Tunnel tunnel;
        tunnel.active().pass(800s);
        tunnel.answer();
        const Did inconclusive{std::string("inconclusive ") + code, std::string("status warning ") + code};
        EXPECT_EQ(tunnel.judged(fail(code)), inconclusive);
        EXPECT_EQ(tunnel.pass(59s), Did{});
        EXPECT_EQ(tunnel.pass(1s), Did{"verify periodic"});
        EXPECT_EQ(tunnel.pass(600s), Did{}) << "one verdict at a time";
        EXPECT_EQ(tunnel.judged(fail(code)), inconclusive);
        EXPECT_EQ(tunnel.answer(), tolerated("unexpected_attestation"));
        EXPECT_EQ(tunnel.pass(60s), Did{"verify periodic"});
        EXPECT_EQ(tunnel.judged(), (Did{"renew", "status ok attested"}));
        // The evidence is as old as its answer: the next challenge is due 800 s after that.
        EXPECT_EQ(tunnel.pass(79s), Did{});
        EXPECT_EQ(tunnel.pass(1s), Did{"challenge periodic 30 s layout 2 channel"});
    }
}

TEST(SessionMachine, ARefusalAfterAnInconclusiveVerdictIsAMiss) {
    Tunnel tunnel;
    tunnel.active().pass(800s);
    tunnel.answer();
    tunnel.judged(fail("collateral_unavailable"));
    tunnel.pass(60s);
    EXPECT_EQ(tunnel.judged(fail("certificate_revoked")),
              Did{"attest_miss certificate_revoked"} + refusal("certificate_revoked"));
}

TEST(SessionMachine, AnOperatorsChallengeReplacesAnInconclusiveAnswer) {
    Tunnel tunnel;
    tunnel.active().pass(800s);
    tunnel.answer();
    tunnel.judged(fail("collateral_unavailable"));
    EXPECT_EQ(tunnel.challenge(ChallengeReason::operator_request),
              Did{"challenge operator 30 s layout 2 channel"});
    EXPECT_EQ(tunnel.answer(), Did{"verify operator"});
    EXPECT_EQ(tunnel.pass(600s), Did{});
    EXPECT_EQ(tunnel.judged(), (Did{"renew", "status ok attested"}));
}

TEST(SessionMachine, AtRegistrationWhatCannotBeJudgedIsRefusedForNow) {
    for (const char* code :
         {"collateral_unavailable", "collateral_expired:tcb_info", "allowlist_unavailable"}) {
        Tunnel tunnel;
        tunnel.challenged();
        tunnel.answer();
        EXPECT_EQ(tunnel.judged(fail(code)),
                  (Did{std::string("refused ") + code, fmt::format("status invalid {} retry 60", code),
                       std::string("close 1008 ") + code}));
    }
}

// ---- The end ----

TEST(SessionMachine, ASilentTunnelIsClosed) {
    Tunnel tunnel;
    EXPECT_EQ(tunnel.active().call(&SessionMachine::idle), refusal("idle_timeout", 1001));
    EXPECT_EQ(tunnel.call(&SessionMachine::idle), Did{});
}

TEST(SessionMachine, AfterTheEndNothingIsDone) {
    Tunnel tunnel;
    tunnel.active().pass(800s);
    tunnel.answer();
    tunnel.machine.socket_closed();
    EXPECT_EQ(tunnel.machine.state(), SessionState::closed);
    EXPECT_EQ(tunnel.judged(), Did{});
    EXPECT_EQ(tunnel.admitted(), Did{});
    EXPECT_EQ(tunnel.text(health_pass), Did{});
    EXPECT_EQ(tunnel.binary(), Did{});
    EXPECT_EQ(tunnel.drain("draining"), Did{});
    EXPECT_EQ(tunnel.pass(10000s), Did{});
    EXPECT_FALSE(tunnel.machine.next_deadline());
}

}  // namespace
}  // namespace ee::tunnel
