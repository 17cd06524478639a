#pragma once
// One stream of an HTTP/2 connection as a request and its answer.

#include <string>
#include <vector>

#include "base/body_memory.h"
#include "http/exchange.h"
#include "http/http2_session.h"

namespace ee::http {

class Http2ServerConnection;

class Http2Exchange final : public Exchange {
public:
    Http2Exchange(Http2ServerConnection& connection, BodyMemory* memory)
        : connection_(connection), gathered_(memory) {}

    // Forgets the stream before it, if any.
    void reset(Http2StreamId id);

    // From the connection. The exchange may be over after any of these.
    void begin_request(const Http2Head& head, bool end);
    void receive(std::string_view bytes);
    void end_of_body(std::span<const Field> trailers);
    void taken(std::size_t bytes);
    void go_on();
    void visitor_gone();
    // The session has forgotten the stream. True when the exchange is over too.
    bool stream_closed();
    // Nothing has come or gone since the last look, though it was the visitor's turn.
    bool is_stalled();
    bool is_over() const { return phase_ == Phase::over; }
    // The visitor has had its time.
    void give_up();
    // Of a body that is being gathered, when more of it must have come; else never.
    MonoTime body_due() const { return phase_ == Phase::gathering ? body_due_ : MonoTime::max(); }
    bool is_gathering() const { return phase_ == Phase::gathering; }
    // With the head.
    std::size_t gathered_bytes() const { return gathered_.bytes(); }
    void refuse_gathering(int status, const Error& why);

    // Exchange
    const RequestHead& head() const override { return head_; }
    std::string_view body() const override { return body_; }
    const net::Endpoint& peer() const override;
    bool is_tls() const override;
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

private:
    // `gathering`: of a body that is handed out whole. `over`: answered; what the visitor still sends is
    // thrown away.
    enum class Phase { gathering, serving, over };

    bool receives() const { return phase_ == Phase::serving && body_follows_; }
    void gather(std::string_view bytes);
    void expect_body();
    void count_gathered();
    void let_go_of_request();
    void serve();
    bool begin_answer(int status, std::span<const Field> fields, std::optional<std::uint64_t> content_length,
                      std::string_view body, bool end);
    void end_answer();
    void refuse(const Refusal& refusal);
    void refuse_head(int status, const Error& why);
    void break_off(int status, const Error& why);

    Http2ServerConnection& connection_;
    Http2StreamId id_ = 0;
    Phase phase_ = Phase::over;
    RequestHead head_;
    std::string head_text_;  // Keeps the head alive while its body is gathered.
    std::string body_;       // Gathered; or, where it is handed out, what came before take_body().
    HeldBytes gathered_;     // By both; what came before take_body() counts in the session.
    std::unique_ptr<Claim> claim_;
    std::vector<OwnedField> trailers_;
    ExchangeObserver* observer_ = nullptr;
    MonoTime started_at_, body_due_;
    std::size_t body_bytes_max_ = 0;
    std::uint64_t body_received_ = 0;
    std::uint64_t moved_ = 0, moved_before_ = 0;  // Bytes of both bodies; at the last look.
    std::size_t dropped_ = 0;                     // Of an answer that has no body: not reported yet.
    bool body_follows_ = false;
    bool taking_body_ = false;
    bool body_ended_ = false;  // The last of it waits in `body_`.
    bool told_to_continue_ = false;
    bool begun_ = false;  // The answer.
    bool body_allowed_ = true;
    bool answer_complete_ = false;  // It ended with its head.
    bool is_closed_ = false;        // The stream, as far as the session is concerned.
};

}  // namespace ee::http
