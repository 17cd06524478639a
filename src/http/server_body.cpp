// The bodies of requests: gathered whole before the request is served, handed out in pieces while it is, or
// thrown away because it has been answered.

#include "base/check.h"
#include "http/server_connection.h"

namespace ee::http {

// `behind`: what has come behind the head. True when the request is being served.
bool ServerConnection::begin_body(std::string_view head, std::string_view behind, std::size_t& used) {
    const ServerLimits& limits = server_.limits_;
    const bool sized = head_.framing == Framing::length;
    BodyTerms terms = server_.handler_.body_terms(head_, peer_);
    claim_ = std::move(terms.claim);
    body_bytes_max_ = terms.bytes_max;
    if (sized && head_.content_length > body_bytes_max_) {
        refuse_head(413, body_too_large(head_.content_length, body_bytes_max_));
        return false;
    }
    const bool streamed = terms.streamed;
    const bool is_here = sized && behind.size() >= head_.content_length;
    if (is_here && (!streamed || head_.content_length <= limits.whole_body_bytes_max)) {
        // Head and body are there together: no copy.
        body_view_ = behind.substr(0, static_cast<std::size_t>(head_.content_length));
        used += body_view_.size();
        serve();
        return true;
    }
    decoder_ = BodyDecoder(head_);
    body_received_ = 0;
    if (streamed) {
        body_follows_ = true;
        unconsumed_ = 0;
        serve();
        return true;
    }
    if (!limits.has_room(0)) {
        refuse_head(503, no_room_for_body());
        return false;
    }
    // The head has to outlive this input: parse the copy, so that its views point there.
    head_text_.assign(head);
    RequestParser again(limits.head);
    EE_CHECK(again.parse(head_text_, head_).has_value());
    count_gathered();
    if (head_.expect_continue) stream_->write("HTTP/1.1 100 Continue\r\n\r\n");
    phase_ = Phase::gathering;
    expect_body();
    return true;
}

// ---- Whole ----

bool ServerConnection::gather_body(std::string_view input, std::size_t& used) {
    std::size_t taken = 0;
    while (!decoder_.done() && taken < input.size()) {
        const Result<BodyDecoder::Step> step = decoder_.next(input.substr(taken));
        if (!step) {
            refuse_head(refusal_status(step.error().code), step.error());
            return false;
        }
        taken += step->consumed;
        if (!append_to_body(step->data)) return false;
    }
    used += taken;
    if (!decoder_.done()) {
        expect_body();
        return false;
    }
    body_view_ = body_;
    serve();
    return true;
}

void ServerConnection::expect_body() {
    deadline_.arm_at(server_.limits_.body_due(started_at_, body_.size(), server_.loop_.now()));
}

void ServerConnection::count_gathered() {
    gathered_.set(head_.held_with(head_text_) + body_.size());
}

void ServerConnection::list_gathering(std::vector<Gathering>& into) {
    if (phase_ == Phase::gathering) into.push_back({this, 0, gathered_.bytes(), started_at_});
}

void ServerConnection::refuse_gathering(std::int32_t, int status, const Error& why) {
    if (phase_ == Phase::gathering) refuse_head(status, why);
}

bool ServerConnection::append_to_body(std::string_view piece) {
    if (body_.size() + piece.size() > body_bytes_max_) {
        refuse_head(413, body_too_large(std::nullopt, body_bytes_max_));
        return false;
    }
    if (!server_.limits_.has_room(body_.size() + piece.size())) {
        refuse_head(503, no_room_for_body());
        return false;
    }
    body_.append(piece);
    count_gathered();
    return true;
}

// ---- In pieces ----

void ServerConnection::take_body() {
    if (!body_follows_ || taking_body_) return;
    EE_CHECK(observer_ != nullptr);
    taking_body_ = true;
    if (head_.expect_continue && !told_to_continue_ && !begun_) {
        told_to_continue_ = true;
        stream_->write("HTTP/1.1 100 Continue\r\n\r\n");
    }
    if (!processing_) server_.loop_.defer(*this);
}

// Within these calls the observer may end the exchange, and the server may end the connection.
bool ServerConnection::deliver_body(std::string_view input, std::size_t& used) {
    while (delivers_body() && !input.empty()) {
        const Result<BodyDecoder::Step> step = decoder_.next(input);
        if (!step) {
            break_off(refusal_status(step.error().code), step.error());
            return false;
        }
        used += step->consumed;
        input.remove_prefix(step->consumed);
        body_received_ += step->data.size();
        if (body_received_ > body_bytes_max_) {
            break_off(413, body_too_large(std::nullopt, body_bytes_max_));
            return false;
        }
        unconsumed_ += step->data.size();
        if (!step->data.empty()) observer_->on_body(step->data);
        if (!decoder_.done() || !delivers_body()) continue;
        body_follows_ = false;
        observer_->on_body_end(decoder_.trailers());
    }
    return true;
}

void ServerConnection::body_consumed(std::size_t bytes) {
    EE_CHECK(bytes <= unconsumed_);
    unconsumed_ -= bytes;
    if (!processing_) regulate_reading();
}

// ---- Thrown away ----

// Whether to read the rest, now that the request is answered: else the connection has to end.
bool ServerConnection::rest_is_small() const {
    return head_.framing == Framing::chunked ||
           head_.content_length - body_received_ <= server_.limits_.discarded_bytes_max;
}

bool ServerConnection::discard_body(std::string_view input, std::size_t& used) {
    while (!decoder_.done() && !input.empty()) {
        const Result<BodyDecoder::Step> step = decoder_.next(input);
        discarded_ += step ? step->consumed : 0;
        if (!step || discarded_ > server_.limits_.discarded_bytes_max) {
            end_after_flush();
            return false;
        }
        used += step->consumed;
        input.remove_prefix(step->consumed);
    }
    if (!decoder_.done()) return false;
    body_follows_ = false;
    phase_ = Phase::idle;
    arm_deadline(server_.limits_.keep_alive_time);
    return true;
}

}  // namespace ee::http
