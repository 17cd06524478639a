#pragma once
// One request to the backend over HTTP/2: waits for a connection, and is sent again where it may be.

#include "agent/http2_backend.h"
#include "agent/http2_request.h"
#include "agent/whole_call.h"

namespace ee::agent {

struct CallDeadline {
    std::chrono::nanoseconds time;
    // Without a byte either way while the backend owes one; else from begin() to the end of the answer.
    bool is_by_progress;
};

class Http2Backend::Call final : public net::ListNode,
                                 public std::enable_shared_from_this<Call>,
                                 public http::ClientExchange {
public:
    Call(Http2Backend& backend, http::AnswerObserver& observer, CallDeadline deadline);

    // Holds itself until it has ended.
    void begin(const BackendRequest& request);
    void own(std::unique_ptr<WholeCall> whole);
    // Without a call to the observer: the backend goes.
    void drop() { self_.reset(); }

    // ---- From the backend ----
    void wait_in(net::List<Call>& queue, std::size_t& count);
    void leave_queue();
    // There are, or will be, bytes to send behind its head.
    bool has_body() const { return body_follows_ || !body_.empty() || request_.is_websocket(); }
    // All of the request was given.
    bool is_complete() const { return is_complete_; }
    void start_on(Connection& connection);
    void fail(http::RequestFailure failure, const std::string& why);
    // Not from within the asker's call.
    void fail_later(http::RequestFailure failure, std::string why);

    // ---- From its connection ----
    void on_interim(int status, std::span<const http::Field> fields);
    void on_head(const http::Http2Head& head, bool end);
    void on_body(std::string_view bytes);
    void on_end(std::span<const http::Field> trailers);
    void on_taken(std::size_t bytes);
    // The stream is over; the connection may go on.
    void on_reset(std::uint32_t code);
    void on_shed();
    // The connection is over.
    void on_lost(const std::string& why);

    // http::ClientExchange
    bool send_body(std::string_view bytes) override;
    bool end_body(std::span<const http::Field> trailers) override;
    void body_consumed(std::size_t bytes) override;
    void keep_head() override { keeps_head_ = true; }
    void cancel() override;

private:
    bool is_over() const { return !self_; }
    void set_head(int status, std::span<const http::Field> fields);
    void copy_head();
    void release_request();
    void note_progress();
    bool backend_owes() const;
    bool may_be_sent_again() const;
    void send_again();
    void on_due();
    void end(std::uint32_t code);

    Http2Backend& backend_;
    http::AnswerObserver& observer_;
    const CallDeadline deadline_;
    net::Timer due_;
    MonoTime progress_at_{};
    std::size_t* queue_ = nullptr;      // How many wait, while this one does.
    Connection* connection_ = nullptr;  // While it has a stream.
    http::Http2StreamId stream_ = 0;
    std::unique_ptr<WholeCall> whole_;

    // The request.
    Http2Request request_;
    std::string body_;  // Of what is not sent yet, or may have to be sent again.
    std::vector<http::OwnedField> trailers_;
    std::optional<std::uint64_t> body_left_;  // To be given, when its length is known.
    std::size_t reported_ = 0;                // Of the body, as written.
    std::size_t to_skip_ = 0;                 // Was reported when it was sent before.
    int sendings_ = 0;
    bool keeps_body_ = true;
    bool is_complete_ = true;  // The request.
    bool is_idempotent_ = false;
    bool body_follows_ = false;
    bool on_used_connection_ = false;
    bool is_doomed_ = false;  // Will fail; nothing is sent.

    // The answer.
    http::ResponseHead head_;
    std::string head_text_;  // What head_ points into when it is kept.
    std::size_t unconsumed_ = 0;
    bool keeps_head_ = false;
    bool is_answered_ = false;  // Its head, or an interim one, has come.

    std::shared_ptr<Call> self_;
};

}  // namespace ee::agent
