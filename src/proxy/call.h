#pragma once
// One request on its way from a visitor to an agent, and the answer back.

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "http/exchange.h"
#include "proxy/byte_flow.h"
#include "proxy/forwarder.h"
#include "proxy/kept_request.h"

namespace ee::proxy {

// Owns itself: destroyed after its last callback. Ended exactly once, with a line in the access log.
class Call final : public tunnel::StreamObserver {
public:
    Call(Forwarder& forwarder, http::Exchange& exchange, const ForwardRequest& request);
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    ~Call() override;

    // Version, trace id, parent id and flags, as Forwarder::traceparent() answers it.
    void set_trace(std::string_view traceparent);
    // A WebSocket: what Sec-WebSocket-Accept will say.
    void set_websocket(std::string accept) { websocket_accept_ = std::move(accept); }
    bool is_upgrade() const { return !websocket_accept_.empty(); }
    // EE-Require: holds for every agent that it goes to.
    void require(Requirement requirement, MonoTime asked_at);
    void set_carrier(Carrier carrier) { carrier_ = carrier; }
    void set_body_follows(bool follows) { body_follows_ = follows; }
    std::string_view app() const { return app_; }
    // Who may get it now.
    Selection selection() const;
    // What it counts against, until it ends.
    void hold_client(Buckets::Pass pass) { client_pass_ = std::move(pass); }
    void hold_app(Buckets::Pass pass) { app_pass_ = std::move(pass); }
    // Seconds after which a visitor that is refused may try again.
    void set_retry_after(std::uint32_t seconds) { retry_after_s_ = seconds; }

    // ---- A copy, to be sent later or once more ----
    // Idempotent, and all of its body is here.
    bool may_be_sent_twice(const tunnel::StreamRequest& request) const;
    void keep(const tunnel::StreamRequest& request, std::string_view host);
    tunnel::StreamRequest kept(bool streams_bodies) const { return kept_->request(streams_bodies); }
    // This agent shall not be chosen again.
    void was_with(const tunnel::Session& session);
    // Until an agent is chosen.
    void wait() { exchange_->set_observer(&visitor_side_); }

    // To be called before each agent that it is given to: on v1 it is sent at once.
    void sending();
    // Takes the stream's events from here on, and the rest of the request's body where it follows.
    void opened(tunnel::Session& session, tunnel::StreamId id);
    void on_failed(const Error& error) override;

private:
    // From the agent.
    void on_sent() override;
    void on_interim(int status, std::span<const http::Field> fields) override;
    void on_head(int status, std::span<const http::Field> fields, std::optional<std::uint64_t> content_length,
                 bool end) override;
    void on_body(std::string_view bytes) override;
    void on_end(std::span<const http::Field> trailers) override;
    void on_body_taken(std::size_t bytes) override;

    // What comes from the visitor: by HTTP, and once the connection has become a WebSocket.
    class VisitorSide final : public http::ExchangeObserver, public net::Stream::Handler {
    public:
        explicit VisitorSide(Call& call) : call_(call) {}

    private:
        void on_visitor_gone() override;
        std::string on_visitor_broke(int status, const Error& why) override;
        void on_body(std::string_view bytes) override;
        void on_body_end(std::span<const http::Field> trailers) override;
        void on_written(std::size_t body_bytes) override;
        void on_data(std::span<char> data) override;
        void on_progress() override;
        bool on_input_end() override;
        void on_closed(const Error& why) override;

        Call& call_;
        bool has_ended_ = false;  // All that it had to say on a WebSocket has come.
    };

    AnswerContext answer_context() const;
    void let_go_of_copy();
    void answered();
    bool is_agents_failure(const Error& error) const;
    bool goes_on_elsewhere(const Error& error);
    void send_again(const Error& lost);
    void become_websocket(std::span<const http::Field> fields);
    void refuse_answer(std::string_view why);
    void visitor_left();
    void end_by_visitor(int status, std::string_view error);
    void finish();

    Forwarder& forwarder_;
    VisitorSide visitor_side_{*this};
    http::Exchange* exchange_;
    ByteFlow flow_;
    Origin origin_;
    bool is_head_;
    bool begun_ = false;
    bool body_follows_ = false;
    bool is_whole_;  // All of the request is here: it is the agent's turn.
    std::size_t interim_heads_ = 0, interim_bytes_ = 0;  // Once one has come, the agent has begun.
    Carrier carrier_ = Carrier::any;
    std::unique_ptr<const Requirement> requirement_;
    MonoTime asked_at_{};
    std::unique_ptr<KeptRequest> kept_;
    bool may_repeat_ = false;            // What is kept, once the first agent is lost.
    std::unique_ptr<net::Timer> again_;  // Once that has happened.
    int attempts_ = 0;
    std::vector<std::string> not_agents_;
    std::shared_ptr<const registry::ShownVerdict> verdict_;  // That it was good for.
    int status_ = 0;
    std::string text_;  // What these point into.
    std::string_view app_, method_, path_, request_id_;
    std::string agent_;
    Attempt attempt_;
    net::IpAddress client_;
    std::array<char, 32> trace_id_{};
    bool traced_ = false;
    std::string error_;
    std::uint32_t retry_after_s_ = 2;  // About the agents' first reconnection.
    Buckets::Pass client_pass_, app_pass_;
    MonoTime started_at_;
    MonoTime opened_at_ = std::chrono::steady_clock::now();
    std::optional<MonoTime> sent_at_, head_at_;
    std::uint64_t request_bytes_;
    const std::size_t whole_body_bytes_;  // Of the body that came with the head.
    std::size_t whole_body_ = 0;          // Of these, not yet on their way.
    std::uint64_t response_bytes_ = 0;
    std::chrono::microseconds rtt_{-1};

    std::string websocket_accept_;
    std::unique_ptr<net::Stream> websocket_;  // Instead of the exchange, once it is one.
    std::unique_ptr<net::Timer> farewell_;    // Once its visitor is gone.
};

}  // namespace ee::proxy
