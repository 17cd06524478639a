#pragma once
// The client's end of an HTTP/1.1 connection (RFC 9112): one request at a time, its answer whole.

#include <functional>
#include <memory>
#include <string>

#include "http/body_decoder.h"
#include "http/http1_response_parser.h"
#include "net/connector.h"
#include "net/stream.h"
#include "net/tls.h"

namespace ee::http {

// Views that end with the callback.
struct AnswerView {
    const ResponseHead& head;
    std::string_view body;
};

class ClientConnection final : public net::Stream::Handler {
public:
    enum class Failure {
        connecting,  // Nothing was sent: no address, no connection, no TLS session.
        silent,  // It ended without a byte of an answer: a kept connection may have been closed meanwhile.
        timed_out,
        broken,  // The answer began and is not valid, not complete, or too large.
    };
    // Exactly one of the two for each request, never from within send().
    class Observer {
    public:
        virtual void on_answer(ClientConnection& connection, const AnswerView& answer) = 0;
        virtual void on_failure(ClientConnection& connection, Failure failure, const std::string& why) = 0;
        // Between requests: the server closed a kept connection.
        virtual void on_idle_close(ClientConnection& connection) = 0;

    protected:
        ~Observer() = default;
    };

    // `target`: host and port, its path is not used; `tls` null for clear text.
    ClientConnection(net::Loop& loop, net::WorkerPool& workers, net::Url target,
                     std::shared_ptr<const net::TlsContext> tls, std::size_t body_bytes_max,
                     Observer& observer);

    // `request` is the complete text of an HTTP/1.1 request. Only when no request is under way.
    void send(std::string request, AskedMethod asked, std::chrono::nanoseconds timeout);
    // No callback comes after this.
    void abort();
    // A connection that has served before and may be used again.
    bool reusable() const { return reusable_ && !busy_; }
    bool used_before() const { return used_before_; }

private:
    void on_data(std::span<char> data) override;
    void on_secured() override;
    void on_closed(const Error& why) override;

    void connected(Result<net::Fd> socket);
    bool take_head();
    void take_body(std::string_view input);
    void refuse_size();
    void complete(std::string_view body);
    void fail_request(Failure failure, const std::string& why);

    net::Loop& loop_;
    net::Url target_;
    std::shared_ptr<const net::TlsContext> tls_;
    std::size_t body_bytes_max_;
    Observer& observer_;
    net::Connector connector_;
    net::Timer deadline_;
    std::unique_ptr<net::Stream> stream_;
    std::string request_;
    AskedMethod asked_ = AskedMethod::other;
    ResponseParser parser_;
    ResponseHead head_;
    BodyDecoder decoder_;
    std::string head_text_;  // What head_ points into.
    std::string input_;      // Of a head that is not complete.
    std::string body_;
    bool busy_ = false;
    bool reusable_ = false;
    bool used_before_ = false;
    bool secured_ = false;
    bool answer_began_ = false;
    bool in_body_ = false;
};

}  // namespace ee::http
