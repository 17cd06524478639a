#pragma once
// The agent's end of the tunnel: connects, registers, answers challenges, serves requests, comes back.

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "agent/backend.h"
#include "agent/challenge_quote.h"
#include "agent/tunnel_streams.h"
#include "agent/witness.h"
#include "attestation/report_data.h"
#include "base/backoff.h"
#include "crypto/random_pool.h"
#include "crypto/signing_key.h"
#include "http/websocket_frames.h"
#include "http/websocket_handshake.h"
#include "net/connector.h"
#include "protocol/decoder.h"
#include "protocol/encoder.h"
#include "telemetry/log.h"

namespace ee::agent {

struct TunnelClientSettings {
    net::Url control;
    std::shared_ptr<const net::TlsContext> tls;  // For wss.
    attestation::AgentIdentity identity;
    std::optional<Secret> node_token;  // Over wss only.
    Claims measurements;
    std::chrono::milliseconds reconnect_min = std::chrono::seconds(1);
    std::chrono::milliseconds reconnect_max = std::chrono::seconds(60);
    std::chrono::milliseconds drain_timeout = std::chrono::seconds(20);
    // TLS and the upgrade; then pings, and how long the control plane may be silent.
    std::chrono::milliseconds handshake_timeout = std::chrono::seconds(15);
    std::chrono::milliseconds ping_interval = std::chrono::seconds(15);
    std::chrono::milliseconds silence_max = std::chrono::seconds(30);
    // After a quote that failed: see ChallengeQuote.
    std::chrono::milliseconds quote_retry_time = std::chrono::seconds(1);
    std::size_t body_bytes_max = 64 * 1024 * 1024;
    std::uint32_t max_requests = 64;
    Sealed* sealed = nullptr;    // Where visitors' TLS ends; must outlive the client. Null: nowhere.
    Witness* witness = nullptr;  // Of the ledger's log; must outlive the client. Null: the agent is none.
};

class TunnelClient final : public net::Stream::Handler {
public:
    TunnelClient(net::Loop& loop, net::WorkerPool& workers, net::Resolver& resolver,
                 attestation::QuoteProvider& provider, Backend& backend, const telemetry::Log& log,
                 TunnelClientSettings settings);
    ~TunnelClient();

    void start() { connect(); }
    // Goes on the wire now when attested, and as the first message after every attestation.
    void report_health(bool pass, const std::string& detail);
    // Takes no new requests, finishes those under way (at most drain_timeout), closes, then calls.
    void stop(std::function<void()> on_stopped);

private:
    enum class State { waiting, connecting, upgrading, registering, attested, closing };

    void connect();
    void connected(Result<net::Fd> socket);
    void send_upgrade();
    void on_secured() override;
    void on_data(std::span<char> data) override;
    void on_flush() override;
    void on_progress() override;
    void on_closed(const Error& why) override;

    bool output_is_full() const;
    std::size_t take_upgrade_answer(std::string_view input);
    void on_event(const http::Event& event);
    void on_text(std::string_view text);
    void on_frames(std::string_view bytes);
    void write_frames();
    void on_streams_changed();
    std::size_t requests_open() const { return requests_open_ + (streams_ ? streams_->open_requests() : 0); }
    void on(const protocol::AttestRequest& request);
    void on(const protocol::Status& status);
    void on(const protocol::ProxyRequest& request);
    void send_quote(const ByteArray<32>& nonce, const attestation::ReportData& report_data, Bytes quote);
    void answer(const std::string& request_id, const http::AnswerView* backend_answer, const Error& error);
    void answer_failed(const std::string& request_id, std::string_view code, int status);
    void send_answer(const protocol::ProxyResponseView& response);
    void send_health();
    std::optional<std::string> checkpoint() const;
    template <class Message>
    void send(const Message& message);
    http::MaskKey mask() { return random_.take<4>(); }
    void on_keep_alive();
    void send_ping(std::string_view payload);
    // `upgrade_status`: what answered the upgrade, where anything did.
    void lost(const std::string& code, const std::string& detail, int upgrade_status = 0);
    void check_stopped();

    net::Loop& loop_;
    Backend& backend_;
    const telemetry::Log& log_;
    TunnelClientSettings settings_;
    crypto::SigningKey key_;
    Bytes key_spki_;
    crypto::RandomPool random_;
    Backoff backoff_;
    net::Connector connector_;
    net::Timer retry_;
    net::Timer keep_alive_;
    protocol::Decoder decoder_;

    State state_ = State::waiting;
    std::uint64_t connection_ = 0;  // Answers of earlier connections are dropped.
    std::shared_ptr<net::Stream> stream_;
    std::optional<http::FrameDecoder> frames_;
    std::string input_;
    http::WebSocketNonce nonce_{};
    MonoTime last_heard_{};
    std::chrono::milliseconds asked_wait_{0};  // By the control plane, before the next try.
    bool is_superseded_ = false;               // Another tunnel of this id has taken the last one's place.
    std::optional<std::pair<bool, std::string>> health_;
    ChallengeQuote quote_;                    // While it is open nobody leaves.
    std::size_t requests_open_ = 0;           // v1
    std::unique_ptr<TunnelStreams> streams_;  // v2
    bool leaving_ = false;                    // The control plane may not have heard yet that we stop.
    std::function<void()> on_stopped_;
    net::Timer stop_deadline_;
    std::string text_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // For what answers late.
};

}  // namespace ee::agent
