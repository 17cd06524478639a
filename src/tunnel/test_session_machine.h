#pragma once
// A session machine on its own, driven by a test, and what it did in words.

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include "base/hex.h"
#include "protocol/encoder.h"
#include "tunnel/session_machine.h"

namespace ee::tunnel {

using Did = std::vector<std::string>;

inline const MonoTime start{std::chrono::hours{1000}};
inline const WallTime wall_start{std::chrono::sys_days{std::chrono::year{2026} / 1 / 15}};

inline std::string describe_text(std::string text) {
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

inline std::string describe(const Action& action) {
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

inline Did refusal(const std::string& code, int close = 1008) {
    return {"refused " + code, "status invalid " + code, fmt::format("close {} {}", close, code)};
}
inline Did tolerated(const std::string& code) {
    return {"tolerated " + code, "status warning " + code};
}
inline Did operator+(Did a, const Did& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

inline const std::string register_text =
    R"({"type":"register","repo":"org/repo","release_tag":"v1","app_name":"myapp","agent_id":"a1"})";
inline const std::string health_pass = R"({"type":"health","status":"pass"})";
inline const std::string answer_7 =
    R"({"type":"proxy_response","request_id":"7","status":200,"headers":{},"body_b64":""})";

// One machine, its clock, and what it did since it was last asked.
class Tunnel {
public:
    explicit Tunnel(Wire wire = Wire::v1) : machine(settings(), wire, decoder(), entropy(), start) {}

    static const SessionSettings& settings() {
        static const SessionSettings settings{.attestation = {.interval = std::chrono::seconds{1000},
                                                              .deadline = std::chrono::seconds{30},
                                                              .judge_again = std::chrono::seconds{60}},
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
    Did challenge(protocol::ChallengeReason reason) {
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

}  // namespace ee::tunnel
