#pragma once
// The life of one tunnel on the control plane's side: what comes in decides what is done, without any I/O.
//
//   connected -> claiming -> challenged -> judging -> admitting -> active -> draining -> closed
//
// The session feeds in what happens and carries out the actions in their order. Some actions are questions
// (CheckClaim, Verify, Admit); each is answered by one call of claim_checked(), judged(), admission().

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "protocol/decoder.h"
#include "protocol/messages.h"
#include "tunnel/attestation_schedule.h"

namespace ee::tunnel {

enum class Wire { v1, v2 };

// RFC 6455 section 7.4.1.
enum class CloseCode : std::uint16_t {
    normal = 1000,
    going_away = 1001,
    policy_violation = 1008,
    too_big = 1009
};

// ---- Actions ----

// Write a text message, before any waiting proxied request.
struct SendText {
    std::string text{};
};
// Ask the registry whether such an agent may come (registration()); answer with claim_checked().
struct CheckClaim {};
// An answer to a challenge, to be judged on a worker. It outlives the tunnel when it must.
struct AttestAnswer {
    protocol::Register registration{};
    protocol::ChallengeReason reason = protocol::ChallengeReason::registration;
    ByteArray<32> nonce{};
    Wire wire = Wire::v1;
    protocol::AttestResponse response{};
    Moment answered_at{};
};
// Answer with judged().
struct Verify {
    std::shared_ptr<const AttestAnswer> answer{};
};
// The first answer was judged good: ask the registry for the agent's place, probe the holder of its
// identity if need be, store a new binding; answer with admission().
struct Admit {
    std::shared_ptr<const AttestAnswer> answer{};
};
// The tunnel serves from here on.
struct Activated {};
// A later answer was judged good.
struct Renew {
    std::shared_ptr<const AttestAnswer> answer{};
};
// No verdict through no fault of the agent's: eligible for the network's evidence grace.
struct Inconclusive {
    Error reason{};
};
// Out of routing at once, and recorded against the agent.
struct AttestMiss {
    Error reason{};
};
struct HealthReport {
    bool pass = false;
    std::string detail{};
    std::optional<std::string> checkpoint{};  // of the ledger's log, that the agent holds
};
// For the v1 multiplexer.
struct DeliverAnswer {
    protocol::ProxyResponse response;
};
// To be logged with agent, app and peer, counted by code, and shown to operators.
struct Refused {
    Error error{};
    bool closes = false;
    bool is_repeated = false;  // The tunnel stays open, and has been refused by this code before.
};
// No new streams; call streams_finished() when none is open (at once if none is).
struct BeginDrain {
    std::string reason{};  // "draining" or "superseded"
};
// Send a close frame and end the connection; open streams fail with `tunnel_closed`. Always the last action
// of a tunnel.
struct Close {
    CloseCode code = CloseCode::normal;
    std::string reason{};
};

using Action = std::variant<SendText, CheckClaim, Verify, Admit, Activated, Renew, Inconclusive, AttestMiss,
                            HealthReport, DeliverAnswer, Refused, BeginDrain, Close>;
// Carried out by index and moved out before: carrying one out may append more.
using Actions = std::vector<Action>;

// ---- Settings and answers ----

struct SessionSettings {
    ScheduleSettings attestation;
    std::chrono::seconds register_timeout{10};
    std::chrono::seconds drain_timeout{20};
    int malformed_in_a_row_max = 10;
    std::size_t body_bytes_max = 64 * 1024 * 1024;
    // Told to an agent that is refused because it cannot be judged now.
    std::uint32_t retry_after_s = 60;
};

struct ClaimTerms {
    std::string binding{};  // The least level the network asks for.
};

struct AdmissionTerms {
    bool registration_expiring = false;
    // The newest of the ledger's log: on v2 an agent that holds none is told. Empty: none.
    std::string checkpoint{};
};

// Fills 32 bytes with what nobody can guess: nonces are made of them.
using Entropy = std::function<ByteArray<32>()>;

// What is open of a challenge when a tunnel that serves is closed.
enum class Owed { nothing, answer, verdict };

enum class SessionState { connected, claiming, challenged, judging, admitting, active, draining, closed };

class SessionMachine {
public:
    // `decoder` and `settings` are shared by the tunnels of a thread and outlive them.
    SessionMachine(const SessionSettings& settings, Wire wire, protocol::Decoder& decoder, Entropy entropy,
                   MonoTime now);
    SessionMachine(const SessionMachine&) = delete;
    SessionMachine& operator=(const SessionMachine&) = delete;

    // ---- From the socket ----
    void receive_text(protocol::PaddedText text, Moment now, Actions& out);
    // A binary message where none is taken: on v1, and before attestation.
    void receive_binary(Actions& out);
    // A message over text_bytes_max() began.
    void message_too_large(Actions& out);
    // No pong and nothing else came for 30 s.
    void idle(Actions& out);
    // A message was begun and did not end.
    void message_stalled(Actions& out);
    // The connection is gone; no further action comes.
    void socket_closed();

    // ---- Answers to actions; ignored when the question is no longer open ----
    void claim_checked(const Result<ClaimTerms>& terms, Moment now, Actions& out);
    // To Verify: the refusal's code decides whether it is one or inconclusive.
    void judged(const Result<void>& verdict, Moment now, Actions& out);
    void admission(const Result<AdmissionTerms>& terms, Moment now, Actions& out);
    void streams_finished(Actions& out);

    // ---- From the server ----
    void tick(MonoTime now, Actions& out);
    // An operator's, or a caller's who needs fresh evidence (`periodic`). Joins a challenge that is open;
    // ignored unless active.
    void challenge(protocol::ChallengeReason reason, MonoTime now, Actions& out);
    // What later challenges are to say of the network's terms, once those have changed.
    void set_terms(const ClaimTerms& terms) { binding_ = terms.binding; }
    // `reason`: "draining" (operator, shutdown) or "superseded".
    void drain(std::string_view reason, std::optional<std::uint32_t> reconnect_after_ms, MonoTime now,
               Actions& out);
    // The agent takes no new requests. It is drained, `agent_stopping`, once it has answered what it was
    // asked.
    void leave(MonoTime now, Actions& out);
    // Refuses and closes: `too_many_tunnels`, `rate_limited`, a forgotten app, ...
    void refuse(const Error& error, std::optional<std::uint32_t> retry_after_s, Actions& out);
    // v2, while it serves: a newer checkpoint than the agent's, and what leads there from it.
    void tell_checkpoint(std::string note, std::string proof, Actions& out);
    // `status warning`, for instance registration_expiring.
    void warn(const Error& error, Actions& out);

    // No tick() is needed before this moment.
    std::optional<MonoTime> next_deadline() const;
    // When the answer to the challenge asked last was due.
    MonoTime challenge_deadline() const { return challenge_deadline_; }
    // Once it is closed: what the challenge asked last is without. Whom this side drains owes no answer, but
    // a verdict on the one it gave.
    Owed owed() const { return owed_; }
    // The limit that holds for the next text message.
    std::size_t text_bytes_max() const;

    SessionState state() const { return state_; }
    bool attested() const { return attested_; }
    Wire wire() const { return wire_; }
    // Empty before `register`.
    const std::optional<protocol::Register>& registration() const { return registration_; }

private:
    void on(protocol::Register& message, Moment now, Actions& out);
    void on(protocol::AttestResponse& message, Moment now, Actions& out);
    void on(protocol::Health& message, Moment now, Actions& out);
    void on(protocol::ProxyResponse& message, Moment now, Actions& out);

    void send(const protocol::Status& status, Actions& out);
    void send_challenge(protocol::ChallengeReason reason, MonoTime now, Actions& out);
    void tolerate(const Error& error, Actions& out);
    void malformed(const Error& error, Actions& out);
    // Recorded against an attested agent, of no consequence before.
    void fail_challenge(const Error& error, std::optional<std::uint32_t> retry_after_s, Actions& out);
    void begin_drain(std::string_view reason, std::optional<std::uint32_t> reconnect_after_ms, MonoTime now,
                     Actions& out);
    // It drains since this side has said so, and owes no answer.
    bool is_let_go() const;
    void end_when_finished(Actions& out);
    void close(CloseCode code, std::string_view reason, Actions& out);
    void time_out(std::string detail, Actions& out);
    void accept(const std::string& checkpoint, Actions& out);
    double random();

    const SessionSettings& settings_;
    Wire wire_;
    protocol::Decoder& decoder_;
    Entropy entropy_;
    SessionState state_ = SessionState::connected;
    bool attested_ = false;
    int malformed_in_a_row_ = 0;
    std::vector<std::string> tolerated_;  // By which codes, each once, the last one last.
    std::optional<MonoTime> give_up_at_;  // register_timeout, later the end of draining.
    std::string drain_reason_;
    bool leaves_ = false;  // It is the agent that drains.
    bool streams_finished_ = false;
    std::optional<protocol::Register> registration_;
    std::string binding_;
    AttestationSchedule schedule_;

    struct OpenChallenge {
        ByteArray<32> nonce;
        protocol::ChallengeReason reason;
    };
    std::optional<OpenChallenge> challenge_;
    MonoTime challenge_deadline_{};
    std::shared_ptr<const AttestAnswer> answer_;  // Being judged, or to be judged again.
    bool judging_ = false;
    Owed owed_ = Owed::nothing;
};

}  // namespace ee::tunnel
