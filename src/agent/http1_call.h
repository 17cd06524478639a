#pragma once
// One request over HTTP/1.1: takes a connection, sends again where it may, and gives the connection back.

#include "agent/http1_backend.h"
#include "agent/whole_call.h"

namespace ee::agent {

class Http1Backend::Call final : public net::ListNode,
                                 public std::enable_shared_from_this<Call>,
                                 public http::ClientExchange,
                                 public http::AnswerObserver {
public:
    Call(Http1Backend& backend, http::AnswerObserver& observer) : backend_(backend), observer_(observer) {}

    // Holds itself until it has ended.
    void begin(Result<http::OutgoingRequest> request, bool may_send_again);
    // Of a request that a WebSocket is asked for with.
    void set_websocket_key(std::string key) { websocket_key_ = std::move(key); }
    void own(std::unique_ptr<WholeCall> whole);
    // Without a call to the observer: the backend goes.
    void drop() { self_.reset(); }

    // http::ClientExchange
    bool send_body(std::string_view bytes) override;
    bool end_body(std::span<const http::Field> trailers) override;
    void body_consumed(std::size_t bytes) override { connection_->body_consumed(bytes); }
    void keep_head() override { connection_->keep_head(); }
    void cancel() override;

private:
    // http::AnswerObserver
    void on_interim(const http::ResponseHead& head) override { observer_.on_interim(head); }
    void on_head(const http::ResponseHead& head) override { observer_.on_head(head); }
    void on_body(std::string_view bytes) override { observer_.on_body(bytes); }
    void on_end(std::span<const http::Field> trailers) override;
    void on_failure(http::RequestFailure failure, const std::string& why) override;
    void on_written(std::size_t body_bytes) override { observer_.on_written(body_bytes); }
    void on_upgraded(const http::ResponseHead& head, std::unique_ptr<net::Stream> stream) override;

    bool ended() const { return !self_; }
    void end();
    void end_with(http::RequestFailure failure, const std::string& why);

    Http1Backend& backend_;
    http::AnswerObserver& observer_;
    http::ClientConnection* connection_ = nullptr;  // Null for a request that cannot be written.
    http::OutgoingRequest again_;  // For a second try on a fresh connection; without text when there is none.
    std::string websocket_key_;
    std::unique_ptr<WholeCall> whole_;
    std::shared_ptr<Call> self_;
};

}  // namespace ee::agent
