// The challenges in a tunnel's life: asked, answered, judged, missed.

#include <array>
#include <cstring>

#include <fmt/format.h>

#include "base/inconclusive.h"
#include "protocol/encoder.h"
#include "tunnel/session_machine.h"

namespace ee::tunnel {

using protocol::ChallengeReason;
using protocol::StatusState;

double SessionMachine::random() {
    const ByteArray<32> bytes = entropy_();
    std::uint64_t bits = 0;
    std::memcpy(&bits, bytes.data(), sizeof bits);
    // 53 bits are what a double holds exactly: the result is below 1.
    return static_cast<double>(bits >> 11) * 0x1p-53;
}

void SessionMachine::claim_checked(const Result<ClaimTerms>& terms, Moment now, Actions& out) {
    if (state_ != SessionState::claiming) return;
    if (!terms) return refuse(terms.error(), std::nullopt, out);
    binding_ = terms->binding;
    state_ = SessionState::challenged;
    send_challenge(ChallengeReason::registration, now.mono, out);
}

void SessionMachine::send_challenge(ChallengeReason reason, MonoTime now, Actions& out) {
    challenge_ = OpenChallenge{entropy_(), reason};
    answer_.reset();
    schedule_.challenged(now);
    challenge_deadline_ = now + settings_.attestation.deadline;
    const auto deadline = settings_.attestation.deadline.count();
    out.push_back(
        SendText{protocol::encode(protocol::AttestRequest{.nonce = challenge_->nonce,
                                                          .deadline_s = static_cast<std::uint32_t>(deadline),
                                                          .reason = reason,
                                                          .layout2 = true,
                                                          .binding = binding_})});
}

void SessionMachine::challenge(ChallengeReason reason, MonoTime now, Actions& out) {
    if (state_ != SessionState::active || challenge_ || judging_) return;
    send_challenge(reason, now, out);
}

void SessionMachine::on(protocol::AttestResponse& message, Moment now, Actions& out) {
    if (!registration_) return tolerate({"not_registered", "the first message is \"register\""}, out);
    if (!challenge_) return tolerate({"unexpected_attestation", "no challenge is open"}, out);
    const OpenChallenge asked = *challenge_;
    challenge_.reset();
    if (is_let_go()) return;
    if (schedule_.due(now.mono) == AttestationSchedule::Due::missed_deadline)
        return fail_challenge({"attestation_timeout", "the answer came after the deadline"}, std::nullopt,
                              out);
    if (message.nonce != asked.nonce)
        return fail_challenge({"nonce_mismatch", "the answer is to another challenge"}, std::nullopt, out);
    schedule_.answered();
    judging_ = true;
    if (state_ == SessionState::challenged) state_ = SessionState::judging;
    answer_ = std::make_shared<const AttestAnswer>(AttestAnswer{.registration = *registration_,
                                                                .reason = asked.reason,
                                                                .nonce = asked.nonce,
                                                                .wire = wire_,
                                                                .response = std::move(message),
                                                                .answered_at = now});
    out.push_back(Verify{answer_});
}

void SessionMachine::judged(const Result<void>& verdict, Moment now, Actions& out) {
    if (state_ == SessionState::closed || !judging_) return;
    judging_ = false;
    if (!verdict) {
        const Error& error = verdict.error();
        const bool inconclusive = is_inconclusive(error.code);
        if (!inconclusive || !attested_)
            return fail_challenge(error, inconclusive ? std::optional(settings_.retry_after_s) : std::nullopt,
                                  out);
        out.push_back(Inconclusive{error});
        if (state_ != SessionState::active) return end_when_finished(out);
        warn(error, out);
        schedule_.inconclusive(now.mono);
        return;
    }
    if (!attested_) {
        state_ = SessionState::admitting;
        out.push_back(Admit{answer_});
        return;
    }
    out.push_back(Renew{answer_});
    if (state_ == SessionState::active) return accept("", out);
    end_when_finished(out);
}

void SessionMachine::admission(const Result<AdmissionTerms>& terms, Moment, Actions& out) {
    if (state_ != SessionState::admitting) return;
    if (!terms) return refuse(terms.error(), std::nullopt, out);
    state_ = SessionState::active;
    attested_ = true;
    accept(terms->checkpoint, out);
    out.push_back(Activated{});
    if (terms->registration_expiring)
        warn({"registration_expiring",
              "the registration ends soon: its allowlist could not be fetched of late"},
             out);
}

void SessionMachine::accept(const std::string& checkpoint, Actions& out) {
    protocol::Status status{.state = StatusState::ok, .reason = "attested"};
    // One that holds a checkpoint is told a newer one with the proof, which takes longer to make.
    if (wire_ == Wire::v2 && !checkpoint.empty() && !registration_->checkpoint)
        status.checkpoint = checkpoint;
    send(status, out);
    schedule_.succeeded(answer_->answered_at.mono, random());
    answer_.reset();
}

void SessionMachine::fail_challenge(const Error& error, std::optional<std::uint32_t> retry_after_s,
                                    Actions& out) {
    challenge_.reset();
    // An agent that has not attested yet may be anybody: nothing is recorded against the name it gave.
    if (attested_) out.push_back(AttestMiss{error});
    refuse(error, retry_after_s, out);
}

void SessionMachine::tick(MonoTime now, Actions& out) {
    const AttestationSchedule::Due due = schedule_.due(now);
    if (give_up_at_ && now >= *give_up_at_ && due != AttestationSchedule::Due::missed_deadline) {
        if (state_ == SessionState::draining) return close(CloseCode::going_away, drain_reason_, out);
        return refuse({"register_timeout",
                       fmt::format("no \"register\" came within {} s{}", settings_.register_timeout.count(),
                                   tolerated_.empty() ? "" : ", but what was refused: " + tolerated_.back())},
                      std::nullopt, out);
    }
    switch (due) {
        case AttestationSchedule::Due::nothing: return;
        case AttestationSchedule::Due::challenge: return send_challenge(ChallengeReason::periodic, now, out);
        case AttestationSchedule::Due::missed_deadline:
            return fail_challenge(
                {"attestation_timeout",
                 fmt::format("no answer came within {} s", settings_.attestation.deadline.count())},
                std::nullopt, out);
        case AttestationSchedule::Due::judge_again:
            schedule_.answered();
            judging_ = true;
            out.push_back(Verify{answer_});
            return;
    }
}

}  // namespace ee::tunnel
