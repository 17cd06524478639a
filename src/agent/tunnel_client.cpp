#include "agent/tunnel_client.h"

#include "agent/advice.h"
#include "attestation/remedy.h"
#include "base/hex.h"
#include "base/kept_buffer.h"
#include "http/fields.h"
#include "http/http1_response_parser.h"
#include "protocol/encoder.h"
#include "protocol/limits.h"
#include "tunnel/message_sink.h"

namespace ee::agent {
namespace {

constexpr std::chrono::seconds connect_timeout{10};
// The longest wait before the next try that a control plane may ask for.
constexpr std::chrono::milliseconds asked_wait_max = std::chrono::hours(1);

// For the answer to a challenge, where the control plane does not say.
constexpr std::chrono::seconds challenge_time{30};

// A challenge or a request of the largest size, and no more.
constexpr http::MessageLimits limits_v1{.text_bytes_max = protocol::control_text_bytes_max,
                                        .binary_bytes_max = 0};
constexpr http::MessageLimits limits_v2{.text_bytes_max = protocol::text_bytes_max_v2,
                                        .binary_bytes_max = tunnel::message_bytes_max};

// While more waits for a control plane that does not read it, it is not listened to: what it says has
// answers.
constexpr std::size_t output_bytes_max = 4 * protocol::kib * protocol::kib;
constexpr std::size_t unsent_frames_max = 4096;

constexpr std::string_view offered[] = {tunnel::v2_subprotocol};

}  // namespace

TunnelClient::TunnelClient(net::Loop& loop, net::WorkerPool& workers, net::Resolver& resolver,
                           attestation::QuoteProvider& provider, Backend& backend, const telemetry::Log& log,
                           TunnelClientSettings settings)
    : loop_(loop),
      backend_(backend),
      log_(log),
      settings_(std::move(settings)),
      key_(crypto::SigningKey::generate(crypto::KeyKind::ed25519)),
      key_spki_(key_.spki()),
      backoff_(settings_.reconnect_min, settings_.reconnect_max),
      connector_(loop, resolver),
      retry_(loop, [this] { connect(); }),
      keep_alive_(loop, [this] { on_keep_alive(); }),
      quote_(loop, workers, provider, log, settings_.quote_retry_time),
      stop_deadline_(loop, [this] {
          requests_open_ = 0;
          quote_.cancel();
          if (streams_) loop_.dispose(std::shared_ptr<TunnelStreams>(std::move(streams_)));
          leaving_ = false;
          check_stopped();
      }) {}

TunnelClient::~TunnelClient() {
    *alive_ = false;
}

// ---- Connecting ----

void TunnelClient::connect() {
    state_ = State::connecting;
    ++connection_;
    connector_.connect(settings_.control, connect_timeout,
                       [this](Result<net::Fd> socket) { connected(std::move(socket)); });
}

void TunnelClient::connected(Result<net::Fd> socket) {
    if (!socket) return lost("connect_failed", socket.error().detail);
    auto session =
        settings_.tls ? std::make_unique<net::TlsSession>(settings_.tls, settings_.control.host) : nullptr;
    stream_ = std::make_shared<net::Stream>(loop_, std::move(*socket), *this, std::move(session));
    state_ = State::upgrading;
    last_heard_ = loop_.now();
    input_.clear();
    frames_.reset();
    keep_alive_.arm_after(settings_.handshake_timeout);
    stream_->start();
    if (!settings_.tls && state_ == State::upgrading) send_upgrade();
}

void TunnelClient::on_secured() {
    send_upgrade();
}

void TunnelClient::send_upgrade() {
    nonce_ = random_.take<16>();
    const std::string host = settings_.control.authority();
    const std::string_view path = settings_.control.path;
    const http::WebSocketRequest request{.target = path.empty() ? std::string_view("/v1/tunnel") : path,
                                         .host = host,
                                         .protocols = offered,
                                         .fields = {}};
    if (!http::append_websocket_request(stream_->output(), request, nonce_))
        return lost("invalid_url", "EE_CONTROL_WS cannot be written as a request");
    stream_->flush_later();
}

// Answers the bytes used; 0 while the head is not complete or when it was refused.
std::size_t TunnelClient::take_upgrade_answer(std::string_view input) {
    http::ResponseParser parser;
    http::ResponseHead head;
    const auto size = parser.parse(input, http::AskedMethod::other, head);
    if (!size) {
        lost("bad_handshake", "no HTTP answer to the upgrade: " + size.error().detail);
        return 0;
    }
    if (*size == 0) return 0;
    const auto protocol = http::check_websocket_response(head, nonce_, offered);
    if (!protocol) {
        lost("bad_handshake",
             "the control plane answered " + std::to_string(head.status) +
                 " to the upgrade: " + protocol.error().detail,
             head.status);
        return 0;
    }
    state_ = State::registering;
    // An older control plane chooses none: the first version.
    const bool is_v2 = !protocol->empty();
    frames_.emplace(http::FrameDecoder::Role::client, is_v2 ? limits_v2 : limits_v1);
    frames_->stream_binary(is_v2);
    if (is_v2)
        streams_ = std::make_unique<TunnelStreams>(loop_, backend_, settings_.sealed, log_,
                                                   [this] { on_streams_changed(); });
    keep_alive_.arm_after(settings_.ping_interval);
    const attestation::AgentIdentity& identity = settings_.identity;
    protocol::Register message;
    message.repo = identity.repo;
    message.release_tag = identity.release_tag;
    message.app_name = identity.app_name;
    message.network = identity.network;
    message.agent_id = identity.agent_id;
    if (!identity.node_id.empty()) message.node_id = identity.node_id;
    message.tunnel_version = is_v2 ? "2" : "1";
    message.max_requests = settings_.max_requests;
    message.checkpoint = checkpoint();
    send(message);
    log_.info("tunnel.connected", {{"control", settings_.control.authority()},
                                   {"app", identity.app_name},
                                   {"agent", identity.agent_id},
                                   {"version", is_v2 ? 2 : 1}});
    return *size;
}

// ---- Receiving ----

void TunnelClient::on_data(std::span<char> data) {
    last_heard_ = loop_.now();
    if (state_ == State::upgrading) {
        input_.append(data.data(), data.size());
        const std::size_t used = take_upgrade_answer(input_);
        if (used == 0) return;
        std::string rest = input_.substr(used);
        input_.clear();
        if (!rest.empty()) on_data(rest);
        return;
    }
    const std::uint64_t connection = connection_;
    while (connection == connection_ && frames_ && state_ != State::waiting) {
        std::size_t consumed = 0;
        const auto step = frames_->next(data, consumed);
        data = data.subspan(consumed);
        if (!step) {
            http::append_close(stream_->output(), step.error().close_code, "", mask());
            return lost(step.error().error.code, step.error().error.detail);
        }
        if (!*step) break;
        on_event(**step);
    }
    if (connection == connection_ && stream_->is_writable() && output_is_full()) stream_->pause_reading();
}

bool TunnelClient::output_is_full() const {
    return stream_->pending_output() > output_bytes_max ||
           (streams_ && streams_->unsent_frames() > unsent_frames_max);
}

void TunnelClient::on_event(const http::Event& event) {
    switch (event.kind) {
        case http::Event::Kind::text: return on_text(event.payload);
        case http::Event::Kind::binary: return on_frames(event.payload);
        case http::Event::Kind::pong:
            if (event.payload != tunnel::leaving_mark) return;
            leaving_ = false;
            if (streams_) {
                streams_->close_to_new();
                write_frames();
                stream_->flush_later();
            }
            return check_stopped();
        case http::Event::Kind::ping:
            http::append_frame(stream_->output(), http::Opcode::pong, event.payload, mask());
            return stream_->flush_later();
        case http::Event::Kind::close: {
            http::append_close(stream_->output(), event.close_code, "", mask());
            return lost("closed", "the control plane closed the tunnel: " + std::string(event.payload));
        }
    }
}

void TunnelClient::on_frames(std::string_view bytes) {
    if (!streams_ || state_ != State::attested) return;
    const auto received = streams_->receive(bytes);
    if (!received) {
        http::append_close(stream_->output(), http::close_code::protocol_error, "", mask());
        return lost(received.error().code, received.error().detail);
    }
    stream_->flush_later();
}

void TunnelClient::write_frames() {
    tunnel::pull_messages(*streams_, stream_->output(), stream_->pending_output(),
                          [this] { return std::optional(mask()); });
}

void TunnelClient::on_flush() {
    if (!streams_ || state_ != State::attested) return;
    write_frames();
    if (streams_->is_broken())
        return lost("http2_protocol_error", "the control plane broke the HTTP/2 protocol");
    if (on_stopped_)
        loop_.post([this, alive = alive_] {
            if (*alive) check_stopped();
        });
}

void TunnelClient::on_progress() {
    if (stream_->is_paused()) {
        last_heard_ = loop_.now();  // It reads: that is a sign of life while nothing else is looked at.
        if (!output_is_full()) stream_->resume_reading();
    }
    if (streams_ && streams_->wants_output()) stream_->flush_later();
}

void TunnelClient::on_streams_changed() {
    if (stream_) stream_->flush_later();
    check_stopped();
}

void TunnelClient::on_text(std::string_view text) {
    const bool padded = loop_.is_followed_by(text, protocol::text_padding);
    if (!padded) {
        text_.reserve(text.size() + protocol::text_padding);
        text_.assign(text);
    }
    auto message = decoder_.decode_control_message(
        padded ? protocol::PaddedText::vouched(text.data(), text.size()) : protocol::PaddedText(text_));
    empty_buffer(text_);
    // A newer control plane may say what this agent does not know.
    if (!message)
        return log_.debug("tunnel.message_ignored",
                          {{"code", message.error().code}, {"detail", message.error().detail}});
    std::visit([this](auto& known) { on(known); }, *message);
}

void TunnelClient::on(const protocol::AttestRequest& request) {
    if (state_ == State::closing) return;
    const Bytes channel = stream_->tls() ? stream_->tls()->channel_binding().value_or(Bytes{}) : Bytes{};
    const auto time = request.deadline_s > 0 ? std::chrono::seconds(request.deadline_s) : challenge_time;
    const attestation::ReportData report_data =
        attestation::report_data_layout2({.nonce = request.nonce,
                                          .agent_key = key_spki_,
                                          .channel = channel,
                                          .wire = streams_ ? "2" : "1",
                                          .identity = settings_.identity,
                                          .measurements = settings_.measurements});
    log_.debug("attestation.challenged", {{"reason", to_word(request.reason)}, {"binding", request.binding}});
    // One challenge is open at a time: a quote for the one before is nobody's any more.
    quote_.begin(report_data, time, [this, nonce = request.nonce, report_data](std::optional<Bytes> quote) {
        if (quote) send_quote(nonce, report_data, std::move(*quote));
        check_stopped();
    });
}

void TunnelClient::send_quote(const ByteArray<32>& nonce, const attestation::ReportData& report_data,
                              Bytes quote) {
    protocol::AttestResponse response;
    response.nonce = nonce;
    response.quote = std::move(quote);
    response.report_data = report_data;
    response.measurements = settings_.measurements;
    response.layout2 = true;
    response.agent_key = key_spki_;
    response.signature = to_bytes(key_.sign(attestation::session_message(report_data)));
    // The server's certificate has been checked: nobody on the way reads it.
    if (settings_.control.scheme == "wss") response.node_token = settings_.node_token;
    send(response);
}

void TunnelClient::on(const protocol::Status& status) {
    const std::string_view advice = attestation::remedy_of(status.reason);
    const telemetry::Fields fields = {{"state", to_word(status.state)},
                                      {"reason", status.reason},
                                      {"detail", status.detail},
                                      {"advice", advice}};
    if (status.retry_after_s) asked_wait_ = std::chrono::seconds(*status.retry_after_s);
    if (status.reconnect_after_ms) asked_wait_ = std::chrono::milliseconds(*status.reconnect_after_ms);
    if (status.checkpoint && settings_.witness != nullptr)
        settings_.witness->told(*status.checkpoint, status.consistency_proof.value_or(""));
    switch (status.state) {
        case protocol::StatusState::ok:
            if (state_ == State::attested && status.reason != "attested") return;
            state_ = State::attested;
            if (streams_) stream_->set_shared();
            // Two agents of one id must not take turns as fast as they can.
            if (!std::exchange(is_superseded_, false)) backoff_.reset();
            log_.info("agent.serving", fields);
            return send_health();
        case protocol::StatusState::warning: return log_.warn("agent.warned", fields);
        case protocol::StatusState::invalid: return log_.error("agent.refused", fields);
        case protocol::StatusState::draining:
            is_superseded_ = status.reason == "superseded";
            return log_.info("agent.draining", fields);
    }
}

void TunnelClient::on(const protocol::ProxyRequest& request) {
    if (requests_open_ >= settings_.max_requests) return answer_failed(request.request_id, "overloaded", 503);
    ++requests_open_;
    backend_.send(request, [this, id = request.request_id, alive = alive_, connection = connection_](
                               const http::AnswerView* backend_answer, const Error& error) {
        if (!*alive || connection != connection_) return;
        answer(id, backend_answer, error);
        if (requests_open_ > 0) --requests_open_;
        check_stopped();
    });
}

// ---- Sending ----

template <class Message>
void TunnelClient::send(const Message& message) {
    http::append_frame(stream_->output(), http::Opcode::text, protocol::encode(message), mask());
    stream_->flush_later();
}

void TunnelClient::answer(const std::string& request_id, const http::AnswerView* backend_answer,
                          const Error& error) {
    if (!stream_ || !stream_->is_writable()) return;
    if (backend_answer != nullptr) {
        std::vector<protocol::HeaderView> headers;
        for (const http::Field& field : backend_answer->head.fields)
            if (!http::istarts_with(field.name, "ee-")) headers.push_back({field.name, field.value});
        return send_answer({.request_id = request_id,
                            .status = backend_answer->head.status,
                            .headers = headers,
                            .body = backend_answer->body,
                            .error = {}});
    }
    log_.warn("backend.failed", {{"request", request_id}, {"code", error.code}, {"detail", error.detail}});
    answer_failed(request_id, error.code, error.code == protocol::backend_timeout ? 504 : 502);
}

// Control planes that do not know the code go by the status and the body.
void TunnelClient::answer_failed(const std::string& request_id, std::string_view code, int status) {
    const protocol::HeaderView type{"Content-Type", "text/plain; charset=utf-8"};
    send_answer(
        {.request_id = request_id, .status = status, .headers = {&type, 1}, .body = code, .error = code});
}

// Written straight into the output, masked in place.
void TunnelClient::send_answer(const protocol::ProxyResponseView& response) {
    http::FrameInPlace frame(stream_->output(), mask());
    protocol::append_proxy_response(stream_->output(), response);
    frame.end(http::Opcode::text);
    stream_->flush_later();
}

void TunnelClient::report_health(bool pass, const std::string& detail) {
    if (!health_ || health_->first != pass) {
        if (pass)
            log_.info("backend.healthy");
        else
            log_.warn("backend.unhealthy",
                      {{"detail", detail}, {"advice", "The app gets no traffic until the backend answers."}});
    }
    health_ = {pass, detail};
    send_health();
}

void TunnelClient::send_health() {
    if (state_ != State::attested || !health_ || on_stopped_) return;
    send(protocol::Health{.pass = health_->first, .detail = health_->second, .checkpoint = checkpoint()});
}

std::optional<std::string> TunnelClient::checkpoint() const {
    if (settings_.witness == nullptr || settings_.witness->note().empty()) return std::nullopt;
    return settings_.witness->note();
}

// ---- Ends ----

void TunnelClient::on_keep_alive() {
    if (state_ == State::upgrading)
        return lost("timeout", "the control plane did not finish the handshake in time");
    const auto silence = loop_.now() - last_heard_;
    if (silence >= settings_.silence_max)
        return lost("idle_timeout", "the control plane has been silent for too long");
    send_ping("");
    keep_alive_.arm_after(
        std::min<std::chrono::nanoseconds>(settings_.ping_interval, settings_.silence_max - silence));
}

void TunnelClient::send_ping(std::string_view payload) {
    http::append_frame(stream_->output(), http::Opcode::ping, payload, mask());
    stream_->flush_later();
}

void TunnelClient::on_closed(const Error& why) {
    if (state_ == State::closing) return check_stopped();
    lost(why.code, why.detail);
}

// Whatever ended the connection: log it once, and come back later.
void TunnelClient::lost(const std::string& code, const std::string& detail, int upgrade_status) {
    if (state_ == State::waiting || state_ == State::closing) return;
    const bool was_tunnel = state_ == State::registering || state_ == State::attested;
    state_ = State::waiting;
    ++connection_;
    keep_alive_.cancel();
    requests_open_ = 0;
    quote_.cancel();
    // It may be in one of its calls.
    if (streams_) loop_.dispose(std::shared_ptr<TunnelStreams>(std::move(streams_)));
    if (stream_) {
        // A close frame may still be in the output; the stream ends by itself in the next turns.
        net::Stream::close_in_background(loop_, std::move(stream_));
    }
    if (on_stopped_) return check_stopped();
    // On top of what was asked: agents that were all told the same do not come back together.
    const auto wait = std::min(asked_wait_, asked_wait_max) + backoff_.next(random_.unit());
    asked_wait_ = std::chrono::milliseconds(0);
    const std::string_view advice =
        was_tunnel ? std::string_view()
                   : connection_advice({settings_.control.scheme == "wss", code, detail, upgrade_status});
    log_.warn("tunnel.lost",
              {{"code", code}, {"detail", detail}, {"advice", advice}, {"retry_in_ms", wait.count()}});
    retry_.arm_after(wait);
}

void TunnelClient::stop(std::function<void()> on_stopped) {
    on_stopped_ = std::move(on_stopped);
    retry_.cancel();
    if (state_ == State::attested) {
        // Out of routing at once, while the open requests are answered, and those that are on their way. No
        // GOAWAY before the mark is back: it would refuse what the control plane is about to send.
        if (!streams_)
            send(protocol::Health{.pass = false, .detail = "the agent is stopping", .checkpoint = {}});
        send_ping(tunnel::leaving_mark);
        leaving_ = true;
    }
    stop_deadline_.arm_after(settings_.drain_timeout);
    check_stopped();
}

void TunnelClient::check_stopped() {
    if (!on_stopped_ || (stream_ && (requests_open() > 0 || quote_.is_open() || leaving_))) return;
    connector_.cancel();
    if (stream_ && state_ != State::closing && stop_deadline_.armed()) {
        state_ = State::closing;  // on_closed() comes when the last answer has left.
        if (frames_) http::append_close(stream_->output(), http::close_code::going_away, "stopping", mask());
        return stream_->close_after_flush();
    }
    if (state_ == State::closing && stream_ && stream_->is_open() && stop_deadline_.armed()) return;
    stop_deadline_.cancel();
    loop_.post(std::exchange(on_stopped_, nullptr));
}

}  // namespace ee::agent
