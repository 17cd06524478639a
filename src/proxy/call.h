#pragma once
// One request on its way from a visitor to an agent, and the answer back.

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "http/exchange.h"
#include "proxy/byte_flow.h"
#include "proxy/forwarder.h"

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
    // What it counts against, until it ends.
    void hold_client(Buckets::Pass pass) { client_pass_ = std::move(pass); }
    void hold_app(Buckets::Pass pass) { app_pass_ = std::move(pass); }
    // Seconds after which a visitor that is refused may try again.
    void set_retry_after(std::uint32_t seconds) { retry_after_s_ = seconds; }

    // Takes the stream's events from here on, and the rest of the request's body where it follows.
    void opened(tunnel::Session& session, tunnel::StreamId id, bool body_follows);
    void on_failed(const Error& error) override;

private:
    // From the agent.
    void on_sent() override;
    void on_interim(int status, std::span<const http::Field> fields) override;
    void on_head(int status, std::span<const http::Field> fields,
                 std::optional<std::uint64_t> content_length) override;
    void on_body(std::string_view bytes) override;
    void on_end(std::span<const http::Field> trailers) override;
    void on_body_taken(std::size_t bytes) override;

    // What comes from the visitor: by HTTP, and once the connection has become a WebSocket.
    class VisitorSide final : public http::ExchangeObserver, public net::Stream::Handler {
    public:
        explicit VisitorSide(Call& call) : call_(call) {}

    private:
        void on_visitor_gone() override;
        void on_body(std::string_view bytes) override;
        void on_body_end(std::span<const http::Field> trailers) override;
        void on_written(std::size_t body_bytes) override;
        void on_data(std::span<char> data) override;
        void on_progress() override;
        void on_closed(const Error& why) override;

        Call& call_;
    };

    void become_websocket(std::span<const http::Field> fields);
    void refuse_answer();
    void visitor_left();
    void finish();

    Forwarder& forwarder_;
    VisitorSide visitor_side_{*this};
    http::Exchange* exchange_;
    ByteFlow flow_;
    Origin origin_;
    bool is_head_;
    bool begun_ = false;
    int status_ = 0;
    std::string text_;  // What these point into.
    std::string_view app_, method_, path_, request_id_;
    std::string agent_;
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
    std::size_t whole_body_;  // Of the body that came with the head: not yet on its way.
    std::uint64_t response_bytes_ = 0;
    std::chrono::microseconds rtt_{-1};

    std::string websocket_accept_;
    std::unique_ptr<net::Stream> websocket_;  // Instead of the exchange, once it is one.
};

}  // namespace ee::proxy
