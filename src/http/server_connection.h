#pragma once
// One connection of an HTTP server. Requests are served one after another, in order.

#include <string>

#include "http/body_decoder.h"
#include "http/exchange.h"
#include "http/http1_request_parser.h"
#include "http/server.h"

namespace ee::http {

class ServerConnection final : public net::Stream::Handler, public Exchange {
public:
    ServerConnection(Server& server, net::Fd socket, const net::Endpoint& peer);

    void start();
    bool busy() const {
        return (phase_ != Phase::idle && phase_ != Phase::ended) || stream_->pending_output() > 0;
    }
    void drain();
    // Ends it now. The server has let go of it.
    void end();

private:
    enum class Phase { idle, head, body, serving, ended };

    // net::Stream::Handler
    void on_data(std::span<char> data) override;
    void on_drained() override;
    void on_closed(const Error& why) override;

    // Exchange
    const RequestHead& head() const override { return head_; }
    std::string_view body() const override { return body_view_; }
    const net::Endpoint& peer() const override { return peer_; }
    bool is_tls() const override { return server_.tls_ != nullptr; }
    MonoTime started_at() const override { return started_at_; }
    void set_observer(VisitorObserver* observer) override { observer_ = observer; }
    void respond(int status, std::span<const Field> fields, std::string_view body) override;
    bool begin(int status, std::span<const Field> fields,
               std::optional<std::uint64_t> content_length) override;
    void send(std::string_view piece) override;
    void finish() override;
    void cut() override;
    Upgraded upgrade(std::string_view response) override;

    void process_buffered();
    void keep_unread(std::span<char> rest);
    void pause_when_ahead();
    bool many_unread() const;
    bool output_is_full() const;
    std::size_t process(std::string_view input);
    bool take_head(std::string_view input, std::size_t& used);
    bool take_body(std::string_view input, std::size_t& used);
    bool append_to_body(std::string_view piece);
    void serve();
    void refuse(int status, const Error& why);
    void refuse(const Error& why);
    void end_request();
    void on_deadline();
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
    std::string_view body_view_;
    std::string unread_;  // Behind what was processed.
    VisitorObserver* observer_ = nullptr;
    net::Stream* handed_over_ = nullptr;  // After upgrade(): lives at least to the end of the turn.
    MonoTime started_at_;
    Phase phase_ = Phase::idle;
    std::size_t body_bytes_max_ = 0;
    std::uint64_t written_before_ = 0;  // Bytes out when the write deadline was armed.
    bool head_method_ = false;
    bool keep_alive_ = true;
    bool chunked_answer_ = false;
    bool body_allowed_ = true;
    bool processing_ = false;
};

}  // namespace ee::http
