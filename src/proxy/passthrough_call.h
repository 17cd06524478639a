#pragma once
// One visitor's TLS connection on its way through: first its ClientHello is read, then bytes go both ways.

#include <optional>
#include <string>

#include "net/stream.h"
#include "proxy/byte_flow.h"
#include "proxy/client_hello.h"
#include "proxy/passthrough.h"

namespace ee::proxy {

// Belongs to the listener until it has ended, exactly once, with a line in the access log.
class PassthroughCall final : net::Stream::Handler, tunnel::StreamObserver {
public:
    PassthroughCall(Passthrough& owner, net::Fd socket, const net::Endpoint& peer);
    ~PassthroughCall() override;
    PassthroughCall(const PassthroughCall&) = delete;
    PassthroughCall& operator=(const PassthroughCall&) = delete;

    void start();
    bool is_reading_hello() const { return state_ == State::reading; }
    // The process ends, or drains: nobody is told but the access log.
    void cut(const Error& why);

private:
    // `refused`: an alert is on its way to the visitor.
    enum class State { reading, carried, refused };

    // From the visitor.
    void on_data(std::span<char> data) override;
    void on_progress() override;
    bool on_input_end() override;
    void on_closed(const Error& why) override;
    // From the agent.
    void on_sent() override;
    void on_head(int status, std::span<const http::Field> fields, std::optional<std::uint64_t> content_length,
                 bool end) override;
    void on_body(std::string_view bytes) override;
    bool on_answer_end() override;
    void on_end(std::span<const http::Field> trailers) override;
    void on_body_taken(std::size_t bytes) override;
    void on_failed(const Error& error) override;

    Result<void> open(const std::string& server_name);
    void leave_reading();
    void refuse(const Error& why);
    void finish();

    Passthrough& owner_;
    net::Stream visitor_;
    net::Endpoint peer_;
    ByteFlow flow_;
    net::Timer hello_due_;
    ClientHelloReader hello_;
    std::string early_;  // What came with the ClientHello, until it is on its way.
    State state_ = State::reading;
    bool answered_ = false;       // The agent takes part.
    bool visitor_ended_ = false;  // What the visitor had to say.
    bool agent_ended_ = false;
    bool stream_over_ = false;

    int status_ = 0;
    std::string app_, agent_, error_;
    Attempt attempt_;
    Buckets::Pass client_pass_, app_pass_;  // What it counts against while it is carried.
    std::uint64_t request_bytes_ = 0, response_bytes_ = 0;
    MonoTime started_at_ = std::chrono::steady_clock::now();
    std::optional<MonoTime> opened_at_, sent_at_, head_at_;
    std::chrono::microseconds rtt_{-1};
};

}  // namespace ee::proxy
