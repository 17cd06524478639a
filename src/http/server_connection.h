#pragma once
// One HTTP/1.1 connection of a server. Requests are served one after another, in order. One that turns out to
// speak HTTP/2 is handed to an Http2ServerConnection.

#include <string>

#include "http/body_decoder.h"
#include "http/exchange.h"
#include "http/http1_request_parser.h"
#include "http/server.h"

namespace ee::http {

class ServerConnection final : public Connection,
                               public net::Stream::Handler,
                               public Exchange,
                               net::Deferred {
public:
    ServerConnection(Server& server, net::Fd socket, const net::Endpoint& peer);

    void start() override;
    bool busy() const override {
        return phase_ == Phase::head || phase_ == Phase::gathering || phase_ == Phase::serving ||
               stream_->pending_output() > 0;
    }
    void drain() override;
    void end() override;
    std::size_t answered_bytes(MonoTime stalled_since) const override {
        const bool waits = phase_ != Phase::serving && last_progress_ <= stalled_since;
        return waits ? stream_->pending_output() : 0;
    }
    void list_gathering(std::vector<Gathering>& into) override;
    void refuse_gathering(std::int32_t stream, int status, const Error& why) override;

private:
    // `gathering`: of a body that is handed out whole. `discarding`: the request is answered, and the rest of
    // its body is thrown away.
    enum class Phase { idle, head, gathering, serving, discarding, ended };

    // net::Stream::Handler
    void on_data(std::span<char> data) override;
    void on_progress() override;
    void on_drained() override;
    void on_closed(const Error& why) override;
    void on_secured() override;

    // Exchange
    const RequestHead& head() const override { return head_; }
    std::string_view body() const override { return body_view_; }
    const net::Endpoint& peer() const override { return peer_; }
    bool is_tls() const override { return server_.tls_ != nullptr; }
    MonoTime started_at() const override { return started_at_; }
    void set_observer(ExchangeObserver* observer) override { observer_ = observer; }
    bool body_follows() const override { return body_follows_; }
    void take_body() override;
    Claim* claim() const override { return claim_.get(); }
    void body_consumed(std::size_t bytes) override;
    bool interim(int status, std::span<const Field> fields) override;
    void respond(int status, std::span<const Field> fields, std::string_view body) override;
    bool begin(int status, std::span<const Field> fields, std::optional<std::uint64_t> content_length,
               bool end) override;
    void send(std::string_view piece) override;
    void finish(std::span<const Field> trailers) override;
    void cut() override;
    Upgraded upgrade(std::string_view response) override;

    // net::Deferred
    void on_deferred() override;

    bool begins_http2(std::string_view input);
    void become_http2(std::string_view input);
    void process_buffered();
    std::size_t process(std::string_view input);
    bool takes_input() const;
    bool take_some(std::string_view input, std::size_t& used);
    bool take_head(std::string_view input, std::size_t& used);
    void keep_unread(std::string_view rest);
    void regulate_reading();
    bool is_ahead() const;
    bool output_is_full() const;
    std::size_t unconsumed_bytes_max() const;

    bool begin_body(std::string_view head, std::string_view behind, std::size_t& used);
    bool gather_body(std::string_view input, std::size_t& used);
    bool append_to_body(std::string_view piece);
    void expect_body();
    void count_gathered();
    bool delivers_body() const { return phase_ == Phase::serving && body_follows_ && taking_body_; }
    bool deliver_body(std::string_view input, std::size_t& used);
    bool discard_body(std::string_view input, std::size_t& used);
    bool rest_is_small() const;

    void serve();
    void refuse(const Refusal& refusal);
    void refuse_head(int status, const Error& why);
    void break_off(int status, const Error& why);
    void report_written();
    void end_request();
    void end_after_flush();
    void arm_deadline(std::chrono::nanoseconds delay);
    void expect_taken();
    void on_deadline();
    void tell_handshake_failed(const Error& why) const;
    void remove();

    Server& server_;
    std::unique_ptr<net::Stream> stream_;
    net::Endpoint peer_;
    net::Timer deadline_;
    RequestParser parser_;
    RequestHead head_;
    std::string head_text_;  // Keeps the head alive while its body is still coming.
    BodyDecoder decoder_;
    std::string body_;
    HeldBytes gathered_;  // Head and body, when that one is gathered.
    std::unique_ptr<Claim> claim_;
    std::string_view body_view_;
    std::string unread_;  // Behind what was processed.
    ExchangeObserver* observer_ = nullptr;
    net::Stream* handed_over_ = nullptr;  // After upgrade(): lives at least to the end of the turn.
    MonoTime started_at_;
    MonoTime last_progress_;  // When the visitor took something.
    Phase phase_ = Phase::idle;
    std::size_t body_bytes_max_ = 0;
    std::uint64_t body_received_ = 0;
    std::size_t unconsumed_ = 0;        // Of what on_body() was given.
    std::size_t unreported_ = 0;        // Of what send() was given.
    std::size_t discarded_ = 0;         // Framing included.
    std::uint64_t written_before_ = 0;  // Bytes out when the deadline was armed.
    bool secured_ = false;              // The TLS handshake is done.
    bool may_be_http2_ = false;         // Nothing but a part of its preface has come.
    bool head_method_ = false;
    bool keep_alive_ = true;
    bool body_follows_ = false;
    bool taking_body_ = false;
    bool told_to_continue_ = false;
    bool begun_ = false;  // The answer.
    bool chunked_answer_ = false;
    bool body_allowed_ = true;
    bool processing_ = false;
};

}  // namespace ee::http
