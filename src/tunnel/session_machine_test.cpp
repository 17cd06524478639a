#include "tunnel/session_machine.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/hex.h"
#include "protocol/encoder.h"
#include "protocol/limits.h"

namespace ee::tunnel {
namespace {

using namespace std::chrono_literals;
using protocol::ChallengeReason;
using Did = std::vector<std::string>;

const MonoTime start{1000h};
const WallTime wall_start{std::chrono::sys_days{std::chrono::year{2026} / 1 / 15}};

std::string describe_text(std::string text) {
    protocol::Decoder decoder;
    const auto message = decoder.decode_control_message(protocol::PaddedText(text));
    if (!message) return "undecodable " + text;
    if (const auto* status = std::get_if<protocol::Status>(&*message)) {
        std::string out = fmt::format("status {} {}", protocol::to_word(status->state), status->reason);
        if (status->retry_after_s) out += fmt::format(" retry {}", *status->retry_after_s);
        if (status->reconnect_after_ms) out += fmt::format(" reconnect {}", *status->reconnect_after_ms);
        if (status->checkpoint) out += " checkpoint " + *status->checkpoint;
        if (status->consistency_proof) out += " proof " + *status->consistency_proof;
        return out;
    }
    const auto& challenge = std::get<protocol::AttestRequest>(*message);
    return fmt::format("challenge {} {} s {} {}", protocol::to_word(challenge.reason), challenge.deadline_s,
                       challenge.layout2 ? "layout 2" : "legacy", challenge.binding);
}

std::string describe(const Action& action) {
    struct Describe {
        std::string operator()(const SendText& a) { return describe_text(a.text); }
        std::string operator()(const CheckClaim&) { return "check claim"; }
        std::string operator()(const Verify& a) {
            return fmt::format("verify {}", protocol::to_word(a.answer->reason));
        }
        std::string operator()(const Admit&) { return "admit"; }
        std::string operator()(const Activated&) { return "activated"; }
        std::string operator()(const Renew&) { return "renew"; }
        std::string operator()(const Inconclusive& a) { return "inconclusive " + a.reason.code; }
        std::string operator()(const AttestMiss& a) { return "attest_miss " + a.reason.code; }
        std::string operator()(const HealthReport& a) {
            return std::string(a.pass ? "health pass" : "health fail") +
                   (a.checkpoint ? " checkpoint " + *a.checkpoint : "");
        }
        std::string operator()(const DeliverAnswer& a) { return "answer " + a.response.request_id; }
        std::string operator()(const Refused& a) {
            return (a.closes ? "refused " : "tolerated ") + a.error.code;
        }
        std::string operator()(const BeginDrain& a) { return "drain " + a.reason; }
        std::string operator()(const Close& a) {
            return fmt::format("close {} {}", static_cast<int>(a.code), a.reason);
        }
    };
    return std::visit(Describe{}, action);
}

Did refusal(const std::string& code, int close = 1008) {
    return {"refused " + code, "status invalid " + code, fmt::format("close {} {}", close, code)};
}
Did tolerated(const std::string& code) {
    return {"tolerated " + code, "status warning " + code};
}
Did operator+(Did a, const Did& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

const std::string register_text =
    R"({"type":"register","repo":"org/repo","release_tag":"v1","app_name":"myapp","agent_id":"a1"})";
const std::string health_pass = R"({"type":"health","status":"pass"})";
const std::string answer_7 =
    R"({"type":"proxy_response","request_id":"7","status":200,"headers":{},"body_b64":""})";

// One machine, its clock, and what it did since it was last asked.
class Tunnel {
public:
    explicit Tunnel(Wire wire = Wire::v1) : machine(settings(), wire, decoder(), entropy(), start) {}

    static const SessionSettings& settings() {
        static const SessionSettings settings{
            .attestation = {.interval = 1000s, .deadline = 30s, .judge_again = 60s},
            .body_bytes_max = 1024 * 1024};
        return settings;
    }

    Did text(std::string message) {
        machine.receive_text(protocol::PaddedText(message), now(), actions_);
        return did();
    }
    Did binary() {
        machine.receive_binary(actions_);
        return did();
    }
    // The answer to the challenge sent last, or to `nonce`.
    Did answer(std::optional<std::string> nonce = std::nullopt) {
        protocol::AttestResponse response;
        response.nonce = nonce ? from_hex_exact<32>(*nonce).value() : nonce_;
        response.quote = {1, 2, 3};
        return text(protocol::encode(response));
    }
    Did claimed(Result<ClaimTerms> terms = ClaimTerms{"channel"}) {
        machine.claim_checked(terms, now(), actions_);
        return did();
    }
    Did judged(Result<void> verdict = {}) {
        machine.judged(verdict, now(), actions_);
        return did();
    }
    Did admitted(Result<AdmissionTerms> terms = AdmissionTerms{}) {
        machine.admission(terms, now(), actions_);
        return did();
    }
    Did pass(std::chrono::milliseconds time) {
        clock_ += time;
        machine.tick(start + clock_, actions_);
        return did();
    }
    Did challenge(ChallengeReason reason) {
        machine.challenge(reason, start + clock_, actions_);
        return did();
    }
    Did drain(std::string_view reason, std::optional<std::uint32_t> reconnect_after_ms = std::nullopt) {
        machine.drain(reason, reconnect_after_ms, start + clock_, actions_);
        return did();
    }
    Did leave() {
        machine.leave(start + clock_, actions_);
        return did();
    }
    template <class Method>
    Did call(Method method) {
        (machine.*method)(actions_);
        return did();
    }
    Tunnel& challenged() {
        text(register_text);
        claimed();
        return *this;
    }
    Tunnel& active() {
        challenged();
        answer();
        judged();
        admitted();
        return *this;
    }

    Moment now() const { return {start + clock_, wall_start + clock_}; }
    std::string nonce() const { return to_hex(nonce_); }
    Actions take() { return std::exchange(actions_, {}); }

    SessionMachine machine;
    Refused refused;  // The last of them.

private:
    static protocol::Decoder& decoder() {
        static protocol::Decoder decoder;
        return decoder;
    }
    Entropy entropy() {
        return [this] {
            ByteArray<32> bytes{};
            bytes[31] = ++entropy_calls_;  // The first eight stay zero: the next challenge comes at 80 %.
            return bytes;
        };
    }
    Did did() {
        Did out;
        for (const Action& action : actions_) {
            out.push_back(describe(action));
            if (const auto* refusal = std::get_if<Refused>(&action)) refused = *refusal;
            const auto* sent = std::get_if<SendText>(&action);
            if (sent == nullptr || out.back().substr(0, 9) != "challenge") continue;
            std::string text = sent->text;
            protocol::Decoder reader;
            nonce_ =
                std::get<protocol::AttestRequest>(*reader.decode_control_message(protocol::PaddedText(text)))
                    .nonce;
        }
        actions_.clear();
        return out;
    }

    std::chrono::milliseconds clock_{0};
    std::uint8_t entropy_calls_ = 0;
    ByteArray<32> nonce_{};
    Actions actions_;
};

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

TEST(SessionMachine, ADrainedTunnelFinishesItsStreams) {
    for (const char* reason : {"draining", "superseded"}) {
        Tunnel tunnel;
        tunnel.active();
        EXPECT_EQ(tunnel.drain(reason, 1500), (Did{fmt::format("status draining {} reconnect 1500", reason),
                                                   fmt::format("drain {}", reason)}));
        EXPECT_EQ(tunnel.machine.state(), SessionState::draining);
        EXPECT_EQ(tunnel.text(answer_7), Did{"answer 7"});
        EXPECT_EQ(tunnel.text(health_pass), Did{"health pass"});
        EXPECT_EQ(tunnel.drain("draining"), Did{});
        EXPECT_EQ(tunnel.challenge(ChallengeReason::operator_request), Did{});
        EXPECT_EQ(tunnel.call(&SessionMachine::streams_finished), Did{fmt::format("close 1001 {}", reason)});
        EXPECT_EQ(tunnel.call(&SessionMachine::streams_finished), Did{});
    }
}

TEST(SessionMachine, DrainingHasAnEnd) {
    Tunnel tunnel;
    tunnel.active();
    tunnel.drain("draining");
    EXPECT_EQ(tunnel.machine.next_deadline(), start + 20s);
    EXPECT_EQ(tunnel.pass(19s), Did{});
    EXPECT_EQ(tunnel.pass(1s), Did{"close 1001 draining"});
}

TEST(SessionMachine, AChallengeThatIsOpenWhenDrainingBeginsIsLetGo) {
    Tunnel tunnel;
    tunnel.active().pass(800s);
    tunnel.drain("superseded");
    EXPECT_EQ(tunnel.answer(), Did{});
    EXPECT_EQ(tunnel.answer(), tolerated("unexpected_attestation"));
}

TEST(SessionMachine, AVerdictThatComesWhileDrainingStillCounts) {
    Tunnel good, bad, unclear;
    for (Tunnel* tunnel : {&good, &bad, &unclear}) {
        tunnel->active().pass(800s);
        tunnel->answer();
        tunnel->drain("draining");
    }
    EXPECT_EQ(good.judged(), Did{"renew"});
    EXPECT_EQ(bad.judged(fail("debug_td")), Did{"attest_miss debug_td"} + refusal("debug_td"));
    EXPECT_EQ(unclear.judged(fail("collateral_unavailable")), Did{"inconclusive collateral_unavailable"});
    EXPECT_EQ(unclear.machine.next_deadline(), unclear.now().mono + 20s);
}

TEST(SessionMachine, AnAgentThatLeavesAnswersWhatItWasAsked) {
    const Did leaving = {"status draining agent_stopping", "drain agent_stopping"};
    Tunnel unasked, good, bad, unclear, silent;
    EXPECT_EQ(unasked.active().leave(), leaving);
    EXPECT_EQ(unasked.machine.next_deadline(), start + 20s);
    EXPECT_EQ(unasked.call(&SessionMachine::streams_finished), Did{"close 1001 agent_stopping"});
    for (Tunnel* tunnel : {&good, &bad, &unclear, &silent}) {
        tunnel->active().pass(800s);
        tunnel->pass(15s);
        EXPECT_EQ(tunnel->leave(), leaving);
        EXPECT_EQ(tunnel->leave(), Did{});
        EXPECT_EQ(tunnel->call(&SessionMachine::streams_finished), Did{});
    }
    for (Tunnel* tunnel : {&good, &bad, &unclear}) EXPECT_EQ(tunnel->answer(), Did{"verify periodic"});
    EXPECT_EQ(good.judged(), (Did{"renew", "close 1001 agent_stopping"}));
    EXPECT_EQ(bad.judged(fail("debug_td")), Did{"attest_miss debug_td"} + refusal("debug_td"));
    EXPECT_EQ(unclear.judged(fail("collateral_unavailable")),
              (Did{"inconclusive collateral_unavailable", "close 1001 agent_stopping"}));
    EXPECT_EQ(silent.pass(15s), Did{"attest_miss attestation_timeout"} + refusal("attestation_timeout"));
    for (const Tunnel* tunnel : {&unasked, &good, &bad, &unclear, &silent})
        EXPECT_EQ(tunnel->machine.owed(), Owed::nothing);
}

TEST(SessionMachine, AnAgentThatLeavesWithStreamsOpenServesThemToTheirEnd) {
    Tunnel tunnel;
    tunnel.active().pass(800s);
    tunnel.leave();
    tunnel.answer();
    EXPECT_EQ(tunnel.judged(), Did{"renew"});
    EXPECT_EQ(tunnel.machine.state(), SessionState::draining);
    EXPECT_EQ(tunnel.call(&SessionMachine::streams_finished), Did{"close 1001 agent_stopping"});
}

TEST(SessionMachine, WhatAnAgentLeavesWithoutIsOwed) {
    Tunnel gone, late, unjudged, replaced;
    for (Tunnel* tunnel : {&gone, &late, &unjudged, &replaced}) tunnel->active().pass(800s);
    gone.leave();
    gone.machine.socket_closed();
    EXPECT_EQ(gone.machine.owed(), Owed::answer);
    late.leave();  // Draining would end before the challenge does.
    EXPECT_EQ(late.pass(20s), Did{});
    EXPECT_EQ(late.pass(10s), Did{"attest_miss attestation_timeout"} + refusal("attestation_timeout"));
    unjudged.answer();
    unjudged.leave();
    EXPECT_EQ(unjudged.call(&SessionMachine::streams_finished), Did{});
    EXPECT_EQ(unjudged.pass(20s), Did{"close 1001 agent_stopping"});
    EXPECT_EQ(unjudged.machine.owed(), Owed::verdict);
    replaced.answer();
    replaced.drain("superseded");
    replaced.machine.socket_closed();
    EXPECT_EQ(replaced.machine.owed(), Owed::verdict);
}

// Who has attested anew on another tunnel, or is let go by an operator, owes no answer on this one.
TEST(SessionMachine, WhoLeavesAndIsDrainedThenOwesNoAnswer) {
    Tunnel busy, idle, judged;
    for (Tunnel* tunnel : {&busy, &idle, &judged}) {
        tunnel->active().pass(800s);
        tunnel->leave();
    }
    EXPECT_EQ(busy.drain("superseded"), Did{});
    busy.machine.socket_closed();
    EXPECT_EQ(busy.machine.owed(), Owed::nothing);
    idle.call(&SessionMachine::streams_finished);
    EXPECT_EQ(idle.drain("superseded"), Did{"close 1001 agent_stopping"});
    EXPECT_EQ(idle.machine.owed(), Owed::nothing);
    judged.answer();
    judged.drain("superseded");
    judged.machine.socket_closed();
    EXPECT_EQ(judged.machine.owed(), Owed::verdict);  // The answer it gave counts.
}

TEST(SessionMachine, ATunnelThatDoesNotServeYetHasNothingToFinish) {
    Tunnel fresh, challenged;
    EXPECT_EQ(fresh.drain("draining"), (Did{"status draining draining", "close 1001 draining"}));
    EXPECT_EQ(challenged.challenged().drain("draining"),
              (Did{"status draining draining", "close 1001 draining"}));
}

TEST(SessionMachine, ASilentTunnelIsClosed) {
    Tunnel tunnel;
    EXPECT_EQ(tunnel.active().call(&SessionMachine::idle), refusal("idle_timeout", 1001));
    EXPECT_EQ(tunnel.call(&SessionMachine::idle), Did{});
}

TEST(SessionMachine, WhatAChallengeIsWithoutAtTheEndIsOwed) {
    Tunnel fresh, idle, asked, answered, missed, drained;
    fresh.machine.socket_closed();
    EXPECT_EQ(fresh.machine.owed(), Owed::nothing);
    idle.active().machine.socket_closed();
    EXPECT_EQ(idle.machine.owed(), Owed::nothing);
    for (Tunnel* tunnel : {&asked, &answered, &missed, &drained}) tunnel->active().pass(800s);
    asked.machine.socket_closed();
    EXPECT_EQ(asked.machine.owed(), Owed::answer);
    answered.answer();
    answered.machine.socket_closed();
    EXPECT_EQ(answered.machine.owed(), Owed::verdict);
    missed.pass(30s);
    ASSERT_EQ(missed.machine.state(), SessionState::closed);
    EXPECT_EQ(missed.machine.owed(), Owed::nothing);  // It is recorded already.
    drained.drain("draining");
    drained.machine.socket_closed();
    EXPECT_EQ(drained.machine.owed(), Owed::nothing);
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
