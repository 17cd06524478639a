#pragma once
// The client's end of an HTTP/1.1 connection (RFC 9112): one request at a time.

#include <memory>
#include <string>

#include "http/body_decoder.h"
#include "http/client_exchange.h"
#include "http/http1_response_parser.h"
#include "net/connector.h"
#include "net/stream.h"
#include "net/tls.h"

namespace ee::http {

struct OutgoingRequest {
    std::string text;  // A complete head, with all the fields that frame its body; perhaps the body.
    AskedMethod asked = AskedMethod::other;
    Framing body = Framing::none;   // Of what comes with send_body(): none, length or chunked.
    std::uint64_t body_length = 0;  // When length.
    bool may_upgrade = false;       // A 101 is an answer.
    // `whole`: from begin() to the last byte of the answer. `progress`: without a byte either way while the
    // server owes one; to connect it then has 5 s.
    enum class Deadline { whole, progress };
    Deadline deadline = Deadline::progress;
    std::chrono::nanoseconds time = std::chrono::seconds(300);
};

class ClientConnection final : public net::Stream::Handler, public ClientExchange {
public:
    // Who keeps a connection between requests.
    class Owner {
    public:
        // Between requests: the server closed it, or spoke unasked.
        virtual void on_idle_close(ClientConnection& connection) = 0;

    protected:
        ~Owner() = default;
    };

    // `target`: host and port, or a Unix socket; its path is not used. `tls` null for clear text. `owner`
    // null when nobody keeps it.
    ClientConnection(net::Loop& loop, net::Resolver& resolver, net::Url target,
                     std::shared_ptr<const net::TlsContext> tls, Owner* owner);

    // Only when no request is under way. Connects when it has not yet.
    void begin(const OutgoingRequest& request, AnswerObserver& observer);

    bool send_body(std::string_view bytes) override;
    bool end_body(std::span<const Field> trailers) override;
    void body_consumed(std::size_t bytes) override;
    void keep_head() override { keep_head_ = true; }
    void cancel() override;

    // A connection that has served before and may be used again: both the request and its answer were
    // complete, and the server keeps it.
    bool reusable() const { return reusable_ && !busy_; }
    bool used_before() const { return used_before_; }
    bool has_connected() const { return stream_ != nullptr; }
    // Between requests: the server has not closed it, nor spoken unasked. The kernel is asked where it may
    // know more than the loop: after some time without a request.
    bool is_quiet() const;

private:
    void on_data(std::span<char> data) override;
    void on_progress() override;
    void on_secured() override;
    bool on_input_end() override;
    void on_closed(const Error& why) override;

    void connected(Result<net::Fd> socket);
    void connection_is_ready();
    std::string& output() { return stream_ ? stream_->output() : unsent_; }
    void take_heads(std::string_view input);
    void take_answer(std::string_view head, std::string_view rest);
    void hand_over(std::string_view rest);
    void take_body(std::string_view input);
    bool ends_with_the_connection();
    void complete(bool nothing_behind);
    void note_progress() { progress_at_ = loop_.now(); }
    void regulate_reading();
    bool owes_us() const;
    void on_deadline();
    void fail_request(RequestFailure failure, const std::string& why);

    net::Loop& loop_;
    net::Url target_;
    std::shared_ptr<const net::TlsContext> tls_;
    Owner* owner_;
    net::Connector connector_;
    net::Timer deadline_;
    std::unique_ptr<net::Stream> stream_;
    AnswerObserver* observer_ = nullptr;

    // The request.
    std::string unsent_;  // Until there is a connection.
    AskedMethod asked_ = AskedMethod::other;
    Framing body_ = Framing::none;
    std::uint64_t body_left_ = 0;  // To be sent, when its length is known.
    std::size_t unreported_ = 0;   // Of what send_body() was given.
    std::chrono::nanoseconds time_{0};
    MonoTime progress_at_{};
    bool by_progress_ = true;
    bool may_upgrade_ = false;
    bool request_done_ = true;

    // The answer.
    ResponseParser parser_;
    ResponseHead head_;
    BodyDecoder decoder_;
    std::string head_text_;  // What head_ points into when it is kept.
    std::string input_;      // Of a head that is not complete.
    std::size_t unconsumed_ = 0;
    bool keep_head_ = false;
    bool answer_began_ = false;
    bool in_body_ = false;

    bool busy_ = false;
    bool reusable_ = false;
    bool used_before_ = false;
    bool secured_ = false;
};

}  // namespace ee::http
