#include "tunnel/session.h"

#include <algorithm>

#include "base/check.h"
#include "base/kept_buffer.h"
#include "tunnel/message_sink.h"

namespace ee::tunnel {
namespace {

template <class... Cases>
struct Match : Cases... {
    using Cases::operator()...;
};

// A binary message is refused on v1 (`unknown_message`), so none is worth gathering beyond this; on v2 they
// are not gathered.
http::MessageLimits limits_of(const SessionMachine& machine) {
    return {.text_bytes_max = machine.text_bytes_max(),
            .binary_bytes_max =
                machine.wire() == Wire::v2 ? message_bytes_max : protocol::text_bytes_max_unattested};
}

}  // namespace

Session::Session(const SessionContext& context, TunnelId id, Wire wire, http::Upgraded connection,
                 std::function<void(Session&)> on_gone)
    : context_(context),
      id_(id),
      stream_(std::move(connection.stream)),
      peer_(connection.peer),
      on_gone_(std::move(on_gone)),
      decoder_(http::FrameDecoder::Role::server,
               {protocol::text_bytes_max_unattested, protocol::text_bytes_max_unattested}),
      gathered_(context.settings.memory),
      machine_(context.settings.session, wire, context.decoder, context.entropy, context.loop.now()),
      timer_(context.loop, [this] { on_timer(); }),
      last_heard_(context.loop.now()),
      next_ping_(last_heard_ + context.settings.keep_alive.ping_interval) {
    stream_->set_handler(*this);
    // Thousands may come at once: until one of them serves a visitor, those who do go first.
    stream_->set_urgency(net::Urgency::background);
    schedule_timer();
}

Moment Session::now() const {
    return {context_.loop.now(), wall_now()};
}

Bytes Session::channel() const {
    const net::TlsSession* tls = stream_->tls();
    return tls == nullptr ? Bytes{} : tls->channel_binding().value_or(Bytes{});
}

Bytes Session::client_certificate() const {
    const net::TlsSession* tls = stream_->tls();
    return tls == nullptr ? Bytes{} : tls->peer_certificate().value_or(Bytes{});
}

// ---- From the socket ----

void Session::on_data(std::span<char> data) {
    heard();
    while (!closed_) {
        // Only between messages may it change.
        if (v2_ != nullptr && !decoder_.in_message()) decoder_.stream_binary(true);
        std::size_t consumed = 0;
        const auto step = decoder_.next(data, consumed);
        data = data.subspan(consumed);
        if (!step) {
            if (step.error().error.code == "message_too_large") {
                machine_.message_too_large(actions_);
            } else {
                fail_connection(step.error().close_code, step.error().error.code);
            }
        } else if (*step) {
            on_event(**step);
        } else {
            break;
        }
        run_actions();
    }
    count_gathered();
    if (!closed_ && (output_is_full() || is_deaf())) stream_->pause_reading();
}

void Session::count_gathered() {
    if (closed_) decoder_.stop();
    const std::size_t held = decoder_.held_bytes();
    if (held != gathered_.bytes()) gathered_at_ = context_.loop.now();
    gathered_.set(held);
    if (held == 0) return gathered_since_.reset();
    if (gathered_since_) return;
    gathered_since_ = context_.loop.now();
    schedule_timer();
}

// An agent reads its requests while it answers others, so these alone must never stop us from listening.
bool Session::output_is_full() const {
    const TunnelSettings& settings = context_.settings;
    const std::size_t requests = v1_   ? settings.output_bytes_max + protocol::request_text_bytes_max
                                 : v2_ ? 2 * frames_bytes_max
                                       : 0;
    return stream_->pending_output() + pongs_.size() > requests + settings.replies_bytes_max;
}

void Session::on_event(const http::Event& event) {
    switch (event.kind) {
        case http::Event::Kind::text: gathered_since_.reset(); return on_text(event.payload);
        case http::Event::Kind::binary:
            if (v2_ != nullptr) return on_frames(event.payload);
            return machine_.receive_binary(actions_);
        case http::Event::Kind::ping:
            http::append_frame(v2_ == nullptr ? stream_->output() : pongs_, http::Opcode::pong,
                               event.payload);
            if (v2_ != nullptr && event.payload == leaving_mark)
                machine_.leave(context_.loop.now(), actions_);
            return stream_->flush_later();
        case http::Event::Kind::pong:
            if (ping_sent_) {
                rtt_ = std::chrono::duration_cast<std::chrono::microseconds>(
                    std::chrono::steady_clock::now() - *ping_sent_);
                ping_sent_.reset();
                context_.owner.on_rtt(*this, *rtt_);
            }
            return;
        case http::Event::Kind::close: return fail_connection(http::close_code::normal, "closed_by_agent");
    }
}

void Session::on_text(std::string_view text) {
    if (context_.loop.is_followed_by(text, protocol::text_padding)) {
        machine_.receive_text(protocol::PaddedText::vouched(text.data(), text.size()), now(), actions_);
        return;
    }
    text_.reserve(text.size() + protocol::text_padding);
    text_.assign(text);
    machine_.receive_text(protocol::PaddedText(text_), now(), actions_);
    empty_buffer(text_);
}

// On v2: what the agent's HTTP/2 says. Each piece of a message at once.
void Session::on_frames(std::string_view bytes) {
    if (v2_->open_streams() > 0) context_.loop.favor_foreground();
    is_within_http2_ = true;
    const auto received = v2_->receive(bytes, context_.loop.now());
    is_within_http2_ = false;
    if (closed_) return;  // By what one of the streams' visitors did.
    if (!received) return fail_connection(http::close_code::protocol_error, received.error().code);
    stream_->flush_later();
    if (v2_->is_draining() && !draining_ && !v2_->is_used_up()) machine_.leave(context_.loop.now(), actions_);
    after_streams_changed();
}

void Session::write_frames() {
    is_within_http2_ = true;
    pull_messages(*v2_, stream_->output(), stream_->pending_output(),
                  [] { return std::optional<http::MaskKey>(); });
    is_within_http2_ = false;
}

void Session::on_flush() {
    if (closed_ || v2_ == nullptr) return;
    const std::size_t waiting = stream_->pending_output();
    write_frames();
    // Heads leave before bodies, but not all of them at once. An agent that leaves learns from a pong that no
    // request is on its way any more: it may not overtake one.
    if (waiting < frames_bytes_max && !v2_->has_unsent_heads())
        stream_->output().append(std::exchange(pongs_, {}));
    if (v2_->is_broken()) return fail_connection(http::close_code::protocol_error, "http2_protocol_error");
    if (v2_->is_used_up() && !draining_) drain("draining", 0);
}

void Session::on_progress() {
    if (v2_ != nullptr && (!pongs_.empty() || v2_->wants_output())) stream_->flush_later();
}

void Session::on_drained() {
    if (!is_deaf()) stream_->resume_reading();
    pump();
}

// It will answer nothing any more, however long it takes to read what it was sent.
void Session::on_ending() {
    end("tunnel_closed", "the agent has shut its side");
}

void Session::on_closed(const Error& why) {
    end("tunnel_closed", why.detail);
    timer_.cancel();
    on_gone_(*this);
}

// The peer broke the protocol below our messages, or ended it.
void Session::fail_connection(std::uint16_t close_code, const std::string& reason) {
    http::append_close(stream_->output(), close_code, reason);
    stream_->close_after_flush();
    end(reason, reason);
}

void Session::end(const std::string& reason, const std::string& why) {
    if (closed_) return;
    closed_ = true;
    machine_.socket_closed();
    context_.owner.on_closed(*this, reason);
    // It is out of routing by now: who is told of a failed request may send another.
    timer_.arm_after(context_.settings.farewell_time);
    if (on_probe_) std::exchange(on_probe_, nullptr)(false);
    if (mux_) mux_->close({"tunnel_closed", "the tunnel closed before the answer was complete: " + why});
}

// ---- Actions ----

void Session::run_actions() {
    if (running_) return;  // The loop below reaches what was appended.
    running_ = true;
    for (std::size_t i = 0; i < actions_.size(); ++i) {
        Action action = std::move(actions_[i]);
        carry_out(action);
    }
    actions_.clear();
    running_ = false;
    if (closed_) return;
    decoder_.set_limits(limits_of(machine_));
    schedule_timer();
}

void Session::carry_out(Action& action) {
    SessionOwner& owner = context_.owner;
    std::visit(Match{
                   [&](SendText& send) {
                       http::append_frame(stream_->output(), http::Opcode::text, send.text);
                       stream_->flush_later();
                   },
                   [&](CheckClaim&) { owner.check_claim(*this); },
                   [&](Verify& verify) { owner.verify(*this, std::move(verify.answer)); },
                   [&](Admit& admit) { owner.admit(*this, std::move(admit.answer)); },
                   [&](Activated&) { activate(); },
                   [&](Renew& renew) { owner.on_renewed(*this, std::move(renew.answer)); },
                   [&](Inconclusive& inconclusive) { owner.on_inconclusive(*this, inconclusive.reason); },
                   [&](AttestMiss& miss) { owner.on_attest_miss(*this, miss.reason); },
                   [&](HealthReport& report) { owner.on_health(*this, report); },
                   [&](DeliverAnswer& answer) {
                       deliver(std::move(answer.response));
                       after_streams_changed();
                   },
                   [&](Refused& refused) {
                       if (!machine_.attested()) count_refusal();
                       owner.on_refused(*this, refused);
                   },
                   [&](BeginDrain& drain) {
                       draining_ = true;
                       owner.on_drain(*this, drain.reason);
                       after_streams_changed();
                   },
                   [&](Close& close) {
                       http::append_close(stream_->output(), static_cast<std::uint16_t>(close.code),
                                          close.reason);
                       stream_->close_after_flush();
                       end(close.reason, close.reason);
                   },
               },
               action);
}

void Session::activate() {
    const TunnelSettings& settings = context_.settings;
    if (machine_.wire() == Wire::v2) {
        auto mux =
            std::make_unique<MultiplexerV2>(MultiplexerV2Limits{.streams_max = settings.streams_per_agent_max,
                                                                .idle_time = settings.stream_idle_time,
                                                                .memory = settings.memory,
                                                                .first_stream = settings.first_stream});
        v2_ = mux.get();
        stream_->set_shared();
        mux_ = std::move(mux);
    } else {
        auto mux = std::make_unique<MultiplexerV1>(MultiplexerV1Limits{
            .outstanding_max =
                std::min<std::size_t>(registration()->max_requests, settings.streams_per_agent_max),
            .answer_time = settings.answer_time,
            .body_bytes_max = settings.session.body_bytes_max,
            .memory = settings.memory});
        v1_ = mux.get();
        mux_ = std::move(mux);
    }
    context_.owner.on_activated(*this);
}

// ---- Answers and orders ----

void Session::claim_checked(const Result<ClaimTerms>& terms) {
    machine_.claim_checked(terms, now(), actions_);
    run_actions();
}

void Session::judged(const Result<void>& verdict) {
    machine_.judged(verdict, now(), actions_);
    run_actions();
}

void Session::admission(const Result<AdmissionTerms>& terms) {
    machine_.admission(terms, now(), actions_);
    run_actions();
}

void Session::challenge(protocol::ChallengeReason reason) {
    machine_.challenge(reason, context_.loop.now(), actions_);
    run_actions();
}

void Session::drain(std::string_view reason, std::optional<std::uint32_t> reconnect_after_ms) {
    machine_.drain(reason, reconnect_after_ms, context_.loop.now(), actions_);
    run_actions();
}

void Session::refuse(const Error& error, std::optional<std::uint32_t> retry_after_s) {
    machine_.refuse(error, retry_after_s, actions_);
    run_actions();
}

void Session::warn(const Error& error) {
    machine_.warn(error, actions_);
    run_actions();
}

void Session::tell_checkpoint(std::string note, std::string proof) {
    machine_.tell_checkpoint(std::move(note), std::move(proof), actions_);
    run_actions();
}

void Session::deliver(protocol::ProxyResponse response) {
    if (v1_ == nullptr) return;
    using Receipt = MultiplexerV1::Receipt;
    const Receipt receipt = v1_->receive(std::move(response));
    if (receipt != Receipt::delivered)
        context_.owner.on_answer_dropped(*this,
                                         receipt == Receipt::unknown ? "unknown_request" : "visitor_gone");
}

// ---- Streams ----

bool Session::takes_requests() const {
    return !closed_ && !draining_ && mux_ && (v2_ == nullptr || !v2_->is_draining());
}

Result<StreamId> Session::open_stream(const StreamRequest& request, StreamObserver& observer, MonoTime now) {
    if (closed_ || draining_ || !mux_) return fail("tunnel_closed", "the tunnel takes no new requests");
    // Visitors that give up what has not left yet, however fast, shall keep nobody from asking.
    if (v2_ != nullptr && v2_->is_clogged() && !is_within_http2_) write_frames();
    auto opened = mux_->open(request, observer, now);
    if (!opened) return opened;
    stream_->set_urgency(net::Urgency::normal);
    context_.loop.favor_foreground();
    ++requests_;
    pump();
    if (const auto due = mux_->next_deadline(); due && *due < timer_due_) schedule_timer();
    return opened;
}

void Session::send_body(StreamId id, std::string_view bytes) {
    if (closed_ || !mux_) return;
    context_.loop.favor_foreground();
    mux_->send_body(id, bytes);
    pump();
}

void Session::end_body(StreamId id, std::span<const http::Field> trailers) {
    if (closed_ || !mux_) return;
    mux_->end_body(id, trailers);
    pump();
}

void Session::consumed(StreamId id, std::size_t bytes) {
    if (closed_ || !mux_) return;
    mux_->consumed(id, bytes);
    pump();
}

void Session::cancel_stream(StreamId id) {
    if (!mux_) return;
    mux_->cancel(id);
    after_streams_changed();
    run_actions();
}

void Session::shed_stream(StreamId id) {
    if (id == 0) {
        refuse({"overloaded", "a message that had not come whole was among what held the most memory"},
               std::nullopt);
        return count_gathered();
    }
    if (closed_ || v2_ == nullptr) return;
    v2_->shed(id);
    after_streams_changed();
    run_actions();
}

// Writes the requests that the agent takes now; they leave with everything else at the end of the turn.
void Session::pump() {
    if (closed_ || !mux_) return;
    if (v2_ != nullptr) {
        if (v2_->wants_output()) stream_->flush_later();  // on_flush() writes them.
        return;
    }
    while (stream_->pending_output() < context_.settings.output_bytes_max && v1_->next_message(text_)) {
        http::append_frame(stream_->output(), http::Opcode::text, text_);
        stream_->flush_later();
    }
    empty_buffer(text_);
}

void Session::after_streams_changed() {
    pump();
    if (draining_ && !closed_ && open_streams() == 0) machine_.streams_finished(actions_);
}

}  // namespace ee::tunnel
