#include "tunnel/session_machine.h"

#include <fmt/format.h>

#include "protocol/encoder.h"
#include "protocol/limits.h"

namespace ee::tunnel {

using protocol::Status;
using protocol::StatusState;

SessionMachine::SessionMachine(const SessionSettings& settings, Wire wire, protocol::Decoder& decoder,
                               Entropy entropy, MonoTime now)
    : settings_(settings),
      wire_(wire),
      decoder_(decoder),
      entropy_(std::move(entropy)),
      give_up_at_(now + settings.register_timeout),
      schedule_(settings.attestation) {}

// ---- From the socket ----

void SessionMachine::receive_text(protocol::PaddedText text, Moment now, Actions& out) {
    if (state_ == SessionState::closed) return;
    if (text.size() > text_bytes_max()) return message_too_large(out);
    auto message = decoder_.decode_agent_message(text);
    if (!message) return malformed(message.error(), out);
    if (wire_ == Wire::v2 && std::holds_alternative<protocol::ProxyResponse>(*message))
        return malformed({"unknown_message", "v2 carries answers as HTTP/2"}, out);
    malformed_in_a_row_ = 0;
    std::visit([&](auto& content) { on(content, now, out); }, *message);
}

void SessionMachine::receive_binary(Actions& out) {
    if (state_ == SessionState::closed) return;
    malformed({"unknown_message", wire_ == Wire::v1 ? "v1 has text messages only"
                                                    : "binary messages follow \"status ok attested\""},
              out);
}

void SessionMachine::message_too_large(Actions& out) {
    if (state_ == SessionState::closed) return;
    const Error error{"message_too_large",
                      fmt::format("a message has at most {} bytes here", text_bytes_max())};
    out.push_back(Refused{.error = error, .closes = true});
    send({.state = StatusState::invalid, .reason = error.code, .detail = error.detail}, out);
    close(CloseCode::too_big, error.code, out);
}

void SessionMachine::idle(Actions& out) {
    time_out("no pong and no other message came for too long", out);
}

void SessionMachine::message_stalled(Actions& out) {
    time_out("a message was begun and did not end in time", out);
}

void SessionMachine::time_out(std::string detail, Actions& out) {
    if (state_ == SessionState::closed) return;
    const Error error{"idle_timeout", std::move(detail)};
    out.push_back(Refused{.error = error, .closes = true});
    send({.state = StatusState::invalid, .reason = error.code, .detail = error.detail}, out);
    close(CloseCode::going_away, error.code, out);
}

void SessionMachine::socket_closed() {
    if (state_ == SessionState::active || state_ == SessionState::draining) {
        if (judging_)
            owed_ = Owed::verdict;
        else if (challenge_ && !is_let_go())
            owed_ = Owed::answer;
    }
    state_ = SessionState::closed;
    schedule_.stop();
    give_up_at_.reset();
}

// ---- Messages ----

void SessionMachine::on(protocol::Register& message, Moment, Actions& out) {
    if (state_ != SessionState::connected)
        return tolerate({"already_registered", fmt::format("this tunnel is agent {} of {}",
                                                           registration_->agent_id, registration_->app_name)},
                        out);
    registration_ = std::move(message);
    state_ = SessionState::claiming;
    give_up_at_.reset();
    out.push_back(CheckClaim{});
}

void SessionMachine::on(protocol::Health& message, Moment, Actions& out) {
    if (!attested_) return tolerate({"not_registered", "health counts after the first attestation"}, out);
    out.push_back(HealthReport{message.pass, std::move(message.detail), std::move(message.checkpoint)});
}

void SessionMachine::on(protocol::ProxyResponse& message, Moment, Actions& out) {
    if (!attested_)
        return tolerate({"not_registered", "no request was sent before the first attestation"}, out);
    out.push_back(DeliverAnswer{std::move(message)});
}

// ---- What is said and done ----

void SessionMachine::send(const Status& status, Actions& out) {
    out.push_back(SendText{protocol::encode(status)});
}

void SessionMachine::warn(const Error& error, Actions& out) {
    if (state_ == SessionState::closed) return;
    send({.state = StatusState::warning, .reason = error.code, .detail = error.detail}, out);
}

void SessionMachine::tell_checkpoint(std::string note, std::string proof, Actions& out) {
    if (wire_ != Wire::v2 || state_ != SessionState::active) return;
    send({.state = StatusState::ok,
          .reason = "checkpoint",
          .checkpoint = std::move(note),
          .consistency_proof = std::move(proof)},
         out);
}

void SessionMachine::tolerate(const Error& error, Actions& out) {
    const bool is_repeated = std::erase(tolerated_, error.code) > 0;
    tolerated_.push_back(error.code);
    out.push_back(Refused{.error = error, .is_repeated = is_repeated});
    warn(error, out);
}

void SessionMachine::malformed(const Error& error, Actions& out) {
    if (++malformed_in_a_row_ < settings_.malformed_in_a_row_max)
        tolerate(error, out);
    else
        refuse(error, std::nullopt, out);
}

void SessionMachine::refuse(const Error& error, std::optional<std::uint32_t> retry_after_s, Actions& out) {
    if (state_ == SessionState::closed) return;
    out.push_back(Refused{.error = error, .closes = true});
    send({.state = StatusState::invalid,
          .reason = error.code,
          .detail = error.detail,
          .retry_after_s = retry_after_s},
         out);
    close(CloseCode::policy_violation, error.code, out);
}

void SessionMachine::drain(std::string_view reason, std::optional<std::uint32_t> reconnect_after_ms,
                           MonoTime now, Actions& out) {
    if (state_ == SessionState::closed) return;
    schedule_.stop();
    if (state_ != SessionState::draining) return begin_drain(reason, reconnect_after_ms, now, out);
    // The agent drains already, and need not answer any more: it has attested anew, or an operator has said
    // so.
    leaves_ = false;
    end_when_finished(out);
}

// Nothing more is asked of it, but what was asked stands: whoever could leave its challenge behind would.
void SessionMachine::leave(MonoTime now, Actions& out) {
    if (state_ == SessionState::closed || state_ == SessionState::draining) return;
    leaves_ = true;
    if (!challenge_) schedule_.stop();
    begin_drain("agent_stopping", std::nullopt, now, out);
    if (challenge_ && give_up_at_) give_up_at_ = std::max(*give_up_at_, challenge_deadline_);
}

void SessionMachine::begin_drain(std::string_view reason, std::optional<std::uint32_t> reconnect_after_ms,
                                 MonoTime now, Actions& out) {
    send({.state = StatusState::draining,
          .reason = std::string(reason),
          .reconnect_after_ms = reconnect_after_ms},
         out);
    // Nothing is served before the first attestation: there is nothing to finish.
    if (state_ != SessionState::active) return close(CloseCode::going_away, reason, out);
    state_ = SessionState::draining;
    drain_reason_ = reason;
    give_up_at_ = now + settings_.drain_timeout;
    out.push_back(BeginDrain{drain_reason_});
}

bool SessionMachine::is_let_go() const {
    return state_ == SessionState::draining && !leaves_;
}

void SessionMachine::streams_finished(Actions& out) {
    if (state_ != SessionState::draining) return;
    streams_finished_ = true;
    end_when_finished(out);
}

void SessionMachine::end_when_finished(Actions& out) {
    const bool is_asked = challenge_ || judging_;
    if (streams_finished_ && (is_let_go() || !is_asked)) close(CloseCode::going_away, drain_reason_, out);
}

void SessionMachine::close(CloseCode code, std::string_view reason, Actions& out) {
    socket_closed();
    out.push_back(Close{code, std::string(reason)});
}

// ---- Limits ----

std::optional<MonoTime> SessionMachine::next_deadline() const {
    const auto planned = schedule_.next();
    if (!planned || !give_up_at_) return planned ? planned : give_up_at_;
    return std::min(*planned, *give_up_at_);
}

std::size_t SessionMachine::text_bytes_max() const {
    if (!attested_) return protocol::text_bytes_max_unattested;
    return wire_ == Wire::v2 ? protocol::text_bytes_max_v2
                             : protocol::answer_text_bytes_max(settings_.body_bytes_max);
}

}  // namespace ee::tunnel
