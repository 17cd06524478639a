#pragma once
// One tunnel on the control plane's side: carries out what the session machine decides, moves the
// multiplexer's messages, and keeps the connection alive with pings.

#include <functional>
#include <memory>
#include <string>

#include "http/exchange.h"
#include "http/websocket_frames.h"
#include "net/loop.h"
#include "net/stream.h"
#include "protocol/limits.h"
#include "tunnel/multiplexer_v1.h"
#include "tunnel/multiplexer_v2.h"
#include "tunnel/session_machine.h"

namespace ee::tunnel {

// Names one tunnel of this process; never used twice, never 0.
using TunnelId = std::uint64_t;

class Session;

// Who decides about tunnels: knows the registry and the verifier. Called on the loop's thread. Questions may
// be answered within the call or later, by the tunnel's id (it may be gone by then).
class SessionOwner {
public:
    // Answer with Session::claim_checked().
    virtual void check_claim(Session& session) = 0;
    // Answer with Session::judged().
    virtual void verify(Session& session, std::shared_ptr<const AttestAnswer> answer) = 0;
    // Answer with Session::admission().
    virtual void admit(Session& session, std::shared_ptr<const AttestAnswer> answer) = 0;
    virtual void on_activated(Session& session) = 0;
    virtual void on_renewed(Session& session, std::shared_ptr<const AttestAnswer> answer) = 0;
    virtual void on_inconclusive(Session& session, const Error& reason) = 0;
    virtual void on_attest_miss(Session& session, const Error& reason) = 0;
    virtual void on_health(Session& session, const HealthReport& report) = 0;
    virtual void on_refused(Session& session, const Refused& refused) = 0;
    virtual void on_drain(Session& session, const std::string& reason) = 0;
    virtual void on_rtt(Session& session, std::chrono::microseconds rtt) = 0;
    // An answer that no visitor waits for: `unknown_request` or `visitor_gone`.
    virtual void on_answer_dropped(Session& session, std::string_view why) = 0;
    // Out of routing at once. `reason` is a code: the one it was closed with, or `tunnel_closed`.
    virtual void on_closed(Session& session, const std::string& reason) = 0;

protected:
    ~SessionOwner() = default;
};

struct KeepAlive {
    std::chrono::milliseconds ping_interval = std::chrono::seconds(15);
    std::chrono::milliseconds silence_max = std::chrono::seconds(30);
    std::chrono::milliseconds probe_time = std::chrono::seconds(5);
};

struct TunnelSettings {
    SessionSettings session;
    KeepAlive keep_alive;
    std::size_t streams_per_agent_max = 256;
    bool takes_v2 = true;  // False: as control planes of the first version.
    // v1: for a whole answer. v2: without a byte either way.
    std::chrono::milliseconds answer_time = std::chrono::seconds(15);
    std::chrono::milliseconds stream_idle_time = std::chrono::seconds(300);
    // Requests to an agent whose socket is full wait in the multiplexer beyond this.
    std::size_t output_bytes_max = 4 * 1024 * 1024;
    // An agent that does not read what it is sent is not listened to beyond this much more: else pings and
    // malformed messages would make us collect answers without end.
    std::size_t replies_bytes_max = 256 * 1024;
    http::Http2StreamId first_stream = 1;  // v2: of the request that comes first.
    // Where bodies that wait are counted. May be null; outlives every tunnel.
    BodyMemory* memory = nullptr;
    // An agent that shows no client certificate is refused with `ratls_missing`.
    bool client_certificate_required = false;
    // For a message that comes in pieces, beyond answer_time; and for each byte that has come what it takes
    // at this rate. A v1 agent's answer is one message, however slow its way is.
    std::chrono::milliseconds message_time = std::chrono::seconds(30);
    std::size_t message_bytes_per_second_min = 64 * 1024;
    // How long a closed tunnel may take to read what it was sent last.
    std::chrono::milliseconds farewell_time = std::chrono::seconds(10);
};

// What the tunnels of a thread share.
struct SessionContext {
    net::Loop& loop;
    const TunnelSettings& settings;
    SessionOwner& owner;
    protocol::Decoder& decoder;
    Entropy entropy;
};

class Session final : public net::Stream::Handler {
public:
    // `on_gone` is called last, when nothing of the session is on the stack but its own frame.
    Session(const SessionContext& context, TunnelId id, Wire wire, http::Upgraded connection,
            std::function<void(Session&)> on_gone);

    TunnelId id() const { return id_; }
    const net::Endpoint& peer() const { return peer_; }
    // RFC 9266 channel binding when TLS 1.3 ends here; empty otherwise.
    Bytes channel() const;
    // DER, shown in the TLS handshake that ends here, its key proven; empty otherwise.
    Bytes client_certificate() const;
    const SessionMachine& machine() const { return machine_; }
    const std::optional<protocol::Register>& registration() const { return machine_.registration(); }
    std::optional<std::chrono::microseconds> rtt() const { return rtt_; }
    std::uint64_t bytes_in() const { return stream_->bytes_in(); }
    std::uint64_t bytes_out() const { return stream_->bytes_out(); }

    // ---- Answers to the owner's questions ----
    void claim_checked(const Result<ClaimTerms>& terms);
    void judged(const Result<void>& verdict);
    void admission(const Result<AdmissionTerms>& terms);

    // ---- From the server ----
    void challenge(protocol::ChallengeReason reason);
    void set_terms(const ClaimTerms& terms) { machine_.set_terms(terms); }
    void drain(std::string_view reason, std::optional<std::uint32_t> reconnect_after_ms);
    void refuse(const Error& error, std::optional<std::uint32_t> retry_after_s);
    void warn(const Error& error);
    void tell_checkpoint(std::string note, std::string proof);
    // Asks whether the agent is still there: any sign of life within probe_time is an answer.
    void probe(std::function<void(bool answered)> on_answer);

    // ---- The handle through which requests travel; see Multiplexer ----
    // Besides: `tunnel_closed` when the tunnel does not serve.
    Result<StreamId> open_stream(const StreamRequest& request, StreamObserver& observer, MonoTime now);
    bool takes_requests() const;
    bool streams_bodies() const { return v2_ != nullptr; }
    void send_body(StreamId id, std::string_view bytes);
    void end_body(StreamId id, std::span<const http::Field> trailers);
    void consumed(StreamId id, std::size_t bytes);
    void cancel_stream(StreamId id);
    std::size_t open_streams() const { return mux_ ? mux_->open_streams() : 0; }
    std::uint64_t requests() const { return requests_; }
    std::size_t stream_limit() const { return mux_ ? mux_->stream_limit() : 0; }
    // v2: bytes of answers that visitors have not taken, and of requests that the agent has not. v1: of an
    // answer that has not come whole.
    std::size_t held_bytes() const { return v2_ != nullptr ? v2_->held_bytes() : gathered_.bytes(); }
    // Of each stream of v2, and as stream 0 of a message that has not come whole: `visit(id, bytes,
    // last_active)`.
    template <class Visit>
    void visit_held(Visit&& visit) const {
        if (gathered_.bytes() > 0) visit(StreamId{0}, gathered_.bytes(), gathered_at_);
        if (v2_ != nullptr) v2_->visit_held(visit);
    }
    // Of stream 0: ends the tunnel.
    void shed_stream(StreamId id);

private:
    void on_data(std::span<char> data) override;
    void on_flush() override;
    void write_frames();
    void on_progress() override;
    void on_drained() override;
    void on_ending() override;
    void on_closed(const Error& why) override;

    void on_event(const http::Event& event);
    void on_text(std::string_view text);
    void count_gathered();
    MonoTime message_deadline() const {
        const TunnelSettings& settings = context_.settings;
        const std::chrono::milliseconds at_least(1000 * gathered_.bytes() /
                                                 settings.message_bytes_per_second_min);
        return *gathered_since_ + settings.answer_time + settings.message_time + at_least;
    }
    void on_frames(std::string_view bytes);
    void run_actions();
    void carry_out(Action& action);
    void activate();
    void pump();
    bool output_is_full() const;
    void count_refusal();
    MonoTime deaf_until() const;
    bool is_deaf() const { return deaf_until() > context_.loop.now(); }
    void after_streams_changed();
    void on_timer();
    void schedule_timer();
    void send_ping();
    void heard();
    void fail_connection(std::uint16_t close_code, const std::string& reason);
    void end(const std::string& reason, const std::string& why);
    void deliver(protocol::ProxyResponse response);
    Moment now() const;

    const SessionContext& context_;
    TunnelId id_;
    std::unique_ptr<net::Stream> stream_;
    net::Endpoint peer_;
    std::function<void(Session&)> on_gone_;
    http::FrameDecoder decoder_;
    HeldBytes gathered_;                      // By it.
    MonoTime gathered_at_{};                  // When that changed.
    std::optional<MonoTime> gathered_since_;  // When the message began that it gathers.
    SessionMachine machine_;
    std::unique_ptr<Multiplexer> mux_;  // Once it is active: one of these.
    MultiplexerV1* v1_ = nullptr;
    MultiplexerV2* v2_ = nullptr;
    Actions actions_;
    std::uint64_t requests_ = 0;
    bool running_ = false;
    bool closed_ = false;
    bool draining_ = false;
    // It calls us while it reads, or writes, and may not be asked to write then.
    bool is_within_http2_ = false;

    net::Timer timer_;
    MonoTime timer_due_{};
    MonoTime last_heard_;
    MonoTime refusals_until_{};  // How long those before attestation keep us from listening, and some more.
    MonoTime next_ping_;
    std::optional<MonoTime> ping_sent_;
    std::string pongs_;  // Frames that follow the requests of this turn, on v2.
    std::optional<std::chrono::microseconds> rtt_;
    std::function<void(bool)> on_probe_;
    MonoTime probe_until_{};
    std::string text_;  // For messages that need a padded copy, and for requests on their way out.
};

}  // namespace ee::tunnel
