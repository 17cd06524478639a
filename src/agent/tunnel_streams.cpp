#include "agent/tunnel_streams.h"

#include <algorithm>

#include "agent/sealed_stream.h"
#include "http/fields.h"
#include "protocol/messages.h"
#include "tunnel/message_sink.h"
#include "tunnel/multiplexer.h"

namespace ee::agent {
namespace {

using http::Field;
using http::Http2StreamId;

// What the control plane is offered; it has a limit of its own.
constexpr std::uint32_t streams_max = 1024;
// Of a WebSocket's bytes so many may wait for the tunnel before the backend is slowed.
constexpr std::size_t to_visitor_max = 256 * 1024;

http::Http2Settings session_settings() {
    http::Http2Settings settings{
        .role = http::Http2Settings::Role::server, .streams_max = streams_max, .connect_protocol = true};
    settings.head = tunnel::head_limits;
    return settings;
}

// What of the backend's answer goes on: not what belongs to the hop, nor what only the control plane may say.
bool copy_answer_fields(std::span<const Field> fields, std::vector<Field>& out) {
    if (!http::copy_end_to_end(fields, out)) return false;
    std::erase_if(out, [](const Field& field) { return http::istarts_with(field.name, "ee-"); });
    return true;
}

}  // namespace

// One request. Hears from the backend's answer, and from its connection once that is a WebSocket.
class TunnelStreams::Relay final : public StreamEnd,
                                   public http::AnswerObserver,
                                   public net::Stream::Handler {
public:
    Relay(TunnelStreams& streams, Http2StreamId id) : streams_(streams), id_(id) {}
    Relay(const Relay&) = delete;
    Relay& operator=(const Relay&) = delete;
    ~Relay() override { cancel(); }

    void begin(const http::Http2Head& head, bool end);
    // From the visitor.
    void body(std::string_view bytes) override;
    void end_body(std::span<const Field> trailers) override;
    void taken(std::size_t bytes) override;
    void cancel() override;

private:
    void on_interim(const http::ResponseHead& head) override;
    void on_head(const http::ResponseHead& head) override;
    void on_body(std::string_view bytes) override;
    void on_end(std::span<const Field> trailers) override;
    void on_failure(http::RequestFailure failure, const std::string& why) override;
    void on_written(std::size_t body_bytes) override;
    void on_upgraded(const http::ResponseHead& head, std::unique_ptr<net::Stream> stream) override;
    void on_opened(const http::ResponseHead& head) override;

    void on_data(std::span<char> data) override;
    void on_progress() override;
    void on_closed(const Error& why) override;

    void respond(const http::ResponseHead& head, bool end);
    void open_websocket(const http::ResponseHead& head);
    void pass_on_early();
    void give_back_early();
    void fail(std::string_view code, const std::string& why);
    void finish();

    TunnelStreams& streams_;
    Http2StreamId id_;
    http::ClientExchange* exchange_ = nullptr;  // While it may be used.
    std::unique_ptr<net::Stream> websocket_;
    std::string early_;              // What came before the backend switched: at most the stream's window.
    std::size_t to_backend_ = 0;     // Bytes that the WebSocket's connection has not taken.
    std::size_t to_visitor_ = 0;     // Bytes of it that the tunnel has not taken.
    bool awaits_websocket_ = false;  // Until the backend has switched, or answered otherwise.
    bool ended_early_ = false;       // The visitor has said all by then.
    bool is_receiving_ = false;      // The backend takes a body.
    bool is_answered_ = false;
    bool is_complete_ = false;  // The answer has no body, or all of it was given.
};

void TunnelStreams::Relay::begin(const http::Http2Head& head, bool end) {
    if (head.is_too_large) return fail("bad_request", "the request's head is too large");
    const bool is_websocket = head.protocol == "websocket";
    if (!is_websocket && head.method == "CONNECT")
        return fail("upgrade_unsupported", "the stream asks for " + std::string(head.protocol));
    std::vector<Field>& fields = streams_.fields_;
    fields.clear();
    if (!head.authority.empty()) fields.push_back({"Host", head.authority});
    for (const Field& field : head.fields)
        if (head.authority.empty() || field.name != "host") fields.push_back(field);
    awaits_websocket_ = is_websocket;
    is_receiving_ = !end && !is_websocket;
    exchange_ = &streams_.backend_.open({.method = is_websocket ? std::string_view("GET") : head.method,
                                         .path = head.path,
                                         .fields = fields,
                                         .body_follows = is_receiving_,
                                         .content_length = http::content_length(head.fields),
                                         .accepts_trailers = http::has_token(head.fields, "te", "trailers"),
                                         .websocket = is_websocket},
                                        *this);
}

// ---- From the visitor ----

void TunnelStreams::Relay::body(std::string_view bytes) {
    if (awaits_websocket_) {
        early_.append(bytes);
    } else if (websocket_ && websocket_->is_writable()) {
        websocket_->write(bytes);
        to_backend_ += bytes.size();
    } else if (exchange_ == nullptr || !is_receiving_) {
        streams_.session_.consume(id_, bytes.size());
    } else if (!exchange_->send_body(bytes)) {
        exchange_ = nullptr;
        fail("bad_request", "the body is longer than its Content-Length");
    }
}

void TunnelStreams::Relay::end_body(std::span<const Field> trailers) {
    if (awaits_websocket_) {
        ended_early_ = true;
        return;
    }
    // What the backend still says, its Close frame for one, is heard. One that says nothing and does not
    // close is idle, and the control plane resets its stream.
    if (websocket_) return websocket_->shut_after_flush();
    if (exchange_ == nullptr || !is_receiving_ || exchange_->end_body(trailers)) return;
    exchange_ = nullptr;
    fail("bad_request", "the body is shorter than its Content-Length, or its trailers cannot be written");
}

void TunnelStreams::Relay::taken(std::size_t bytes) {
    if (exchange_ != nullptr) return exchange_->body_consumed(bytes);
    if (!websocket_) return;
    to_visitor_ -= std::min(bytes, to_visitor_);
    if (to_visitor_ < to_visitor_max / 2) websocket_->resume_reading();
}

void TunnelStreams::Relay::cancel() {
    if (exchange_ != nullptr) std::exchange(exchange_, nullptr)->cancel();
    if (websocket_) websocket_->abort();
}

// ---- From the backend ----

// `end`: the answer has no body.
void TunnelStreams::Relay::respond(const http::ResponseHead& head, bool end) {
    std::vector<Field>& fields = streams_.answer_fields_;
    if (!copy_answer_fields(head.fields, fields)) {
        cancel();
        return fail("bad_backend_answer", "Connection names too many options");
    }
    is_answered_ = true;
    is_complete_ = end;
    streams_.session_.respond(id_, {.status = head.status, .fields = fields}, "", end);
    streams_.on_output_();
}

void TunnelStreams::Relay::on_interim(const http::ResponseHead& head) {
    std::vector<Field>& fields = streams_.answer_fields_;
    if (head.status == 100 || !copy_answer_fields(head.fields, fields)) return;
    // Of an interim answer it means nothing (RFC 9110 section 8.6), and over HTTP/2 it breaks the stream.
    std::erase_if(fields, [](const Field& field) { return http::iequals(field.name, "content-length"); });
    streams_.session_.interim(id_, head.status, fields);
    streams_.on_output_();
}

void TunnelStreams::Relay::on_head(const http::ResponseHead& head) {
    // On the tunnel a 2xx would say that there is a WebSocket (RFC 8441 section 5).
    if (awaits_websocket_ && head.status < 300) {
        cancel();
        return fail("bad_backend_answer", "the backend answers " + std::to_string(head.status) +
                                              " to the WebSocket that was asked for, not 101");
    }
    if (std::exchange(awaits_websocket_, false)) give_back_early();
    const bool is_empty = head.framing == http::Framing::none ||
                          (head.framing == http::Framing::length && head.content_length == 0);
    respond(head, is_empty);
}

void TunnelStreams::Relay::on_body(std::string_view bytes) {
    streams_.session_.send_body(id_, bytes);
    streams_.on_output_();
}

void TunnelStreams::Relay::on_end(std::span<const Field> trailers) {
    exchange_ = nullptr;
    if (!is_complete_) {
        std::vector<Field>& passed = streams_.answer_fields_;
        static_cast<void>(copy_answer_fields(trailers, passed));
        streams_.session_.end_body(id_, passed);
    }
    finish();
}

void TunnelStreams::Relay::on_failure(http::RequestFailure failure, const std::string& why) {
    exchange_ = nullptr;
    fail(error_code(failure), why);
}

// Before the head an answer says what went wrong; behind it the stream can only break off.
void TunnelStreams::Relay::fail(std::string_view code, const std::string& why) {
    streams_.log_.warn("backend.failed", {{"stream", id_}, {"code", code}, {"detail", why}});
    if (is_answered_) {
        const bool is_late = code == protocol::backend_timeout;
        streams_.session_.reset(id_, is_late ? http::http2_code::cancel : http::http2_code::internal_error);
    } else {
        const Field fields[] = {{"content-type", "text/plain; charset=utf-8"}, {"ee-error", code}};
        streams_.session_.respond(id_, {.status = status_of_error(code), .fields = fields}, code, true);
    }
    finish();
}

void TunnelStreams::Relay::on_written(std::size_t body_bytes) {
    streams_.session_.consume(id_, body_bytes);
    streams_.on_output_();
}

void TunnelStreams::Relay::finish() {
    streams_.forget(id_);
    streams_.on_output_();
}

// ---- A WebSocket ----

void TunnelStreams::Relay::on_upgraded(const http::ResponseHead& head, std::unique_ptr<net::Stream> stream) {
    exchange_ = nullptr;
    websocket_ = std::move(stream);
    websocket_->set_handler(*this);
    open_websocket(head);
    pass_on_early();
}

void TunnelStreams::Relay::on_opened(const http::ResponseHead& head) {
    is_receiving_ = true;
    open_websocket(head);
    pass_on_early();
}

void TunnelStreams::Relay::open_websocket(const http::ResponseHead& head) {
    http::ResponseHead switched = head;
    switched.status = 200;  // RFC 8441 section 5.
    std::erase_if(switched.fields,
                  [](const Field& field) { return http::iequals(field.name, "sec-websocket-accept"); });
    respond(switched, false);
}

// Opening may have failed: then there is nobody to pass it on to.
void TunnelStreams::Relay::pass_on_early() {
    awaits_websocket_ = false;
    const std::string early = std::exchange(early_, {});
    if (!early.empty()) body(early);
    if (ended_early_) end_body({});
}

void TunnelStreams::Relay::give_back_early() {
    streams_.session_.consume(id_, std::exchange(early_, {}).size());
}

void TunnelStreams::Relay::on_data(std::span<char> data) {
    to_visitor_ += data.size();
    streams_.session_.send_body(id_, {data.data(), data.size()});
    if (to_visitor_ > to_visitor_max) websocket_->pause_reading();
    streams_.on_output_();
}

void TunnelStreams::Relay::on_progress() {
    if (const std::size_t written = websocket_->take_written(to_backend_)) on_written(written);
}

void TunnelStreams::Relay::on_closed(const Error& why) {
    if (why.code == "closed") {
        streams_.session_.end_body(id_);
    } else {
        streams_.session_.reset(id_, http::http2_code::connect_error);
    }
    finish();
}

// ---- All streams ----

TunnelStreams::TunnelStreams(net::Loop& loop, Backend& backend, Sealed* sealed, const telemetry::Log& log,
                             std::function<void()> on_output)
    : loop_(loop),
      backend_(backend),
      sealed_(sealed),
      log_(log),
      on_output_(std::move(on_output)),
      session_(session_settings(), *this) {}

TunnelStreams::~TunnelStreams() = default;

Result<void> TunnelStreams::receive(std::string_view bytes) {
    speaks_ = true;
    auto received = session_.receive(bytes);
    if (received && is_broken())
        return ee::fail("http2_protocol_error", "the control plane ended the HTTP/2 connection");
    return received;
}

void TunnelStreams::close_to_new() {
    speaks_ = true;
    session_.goaway(http::http2_code::no_error);
}

StreamEnd* TunnelStreams::find(Http2StreamId id) const {
    const auto found = ends_.find(id);
    return found == ends_.end() ? nullptr : found->second.get();
}

void TunnelStreams::forget(Http2StreamId id) {
    auto node = ends_.extract(id);
    if (node.empty()) return;
    loop_.dispose(std::move(node.mapped()));
    spare_.keep(std::move(node));
}

void TunnelStreams::on_head(Http2StreamId id, const http::Http2Head& head, bool end) {
    // Either may end at once.
    if (sealed_ != nullptr && head.protocol == tunnel::sealed_protocol) {
        StreamEnds& tunnel = *this;
        const auto sealed = std::make_shared<SealedStream>(tunnel, *sealed_, id);
        spare_.insert(ends_, id) = sealed;
        return sealed->begin();
    }
    const auto relay = std::make_shared<Relay>(*this, id);
    spare_.insert(ends_, id) = relay;
    relay->begin(head, end);
}

void TunnelStreams::on_body(Http2StreamId id, std::string_view bytes) {
    if (StreamEnd* stream = find(id)) return stream->body(bytes);
    session_.consume(id, bytes.size());
}

void TunnelStreams::on_end(Http2StreamId id, std::span<const Field> trailers) {
    if (StreamEnd* stream = find(id)) stream->end_body(trailers);
}

void TunnelStreams::on_reset(Http2StreamId id, std::uint32_t) {
    if (StreamEnd* stream = find(id)) {
        stream->cancel();
        forget(id);
    }
}

void TunnelStreams::on_body_taken(Http2StreamId id, std::size_t bytes) {
    if (StreamEnd* stream = find(id)) stream->taken(bytes);
}

}  // namespace ee::agent
