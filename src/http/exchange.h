#pragma once
// One request and its answer, as the code that serves it sees them.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/time.h"
#include "http/message.h"
#include "net/address.h"
#include "net/stream.h"

namespace ee::http {

// Hears what becomes of an exchange. It may end the exchange within any of these calls.
class ExchangeObserver {
public:
    // The visitor left before the answer was complete. The exchange is gone after the call.
    virtual void on_visitor_gone() = 0;
    // It broke the rules of HTTP, and is told so by `status` unless an answer has begun. The exchange is gone
    // after the call. Answers the id under which that is on record; empty: it is nowhere.
    virtual std::string on_visitor_broke(int status, const Error& why) {
        static_cast<void>(status), static_cast<void>(why);
        on_visitor_gone();
        return {};
    }

    // A piece of a body that follows; on_body_end() comes once, behind the last. `bytes` end with the call
    // and count as unconsumed until Exchange::body_consumed(): while more than ServerLimits says are, the
    // visitor is slowed.
    virtual void on_body(std::string_view bytes) { static_cast<void>(bytes); }
    // Views that end with the call.
    virtual void on_body_end(std::span<const Field> trailers) { static_cast<void>(trailers); }

    // The kernel has taken this many more of the bytes given to send(): never sooner, at most once a flush.
    virtual void on_written(std::size_t body_bytes) { static_cast<void>(body_bytes); }

protected:
    ~ExchangeObserver() = default;
};

// A connection that has become something else: a WebSocket, or bytes of another protocol. What the visitor
// has sent behind its request comes to the handler that is set before the turn ends. Credit both ways:
// net::Stream's pause_reading() and resume_reading(), pending_output() and Handler::on_progress().
struct Upgraded {
    std::unique_ptr<net::Stream> stream;
    net::Endpoint peer;
};

// What a request counts against while its body is gathered: known to the handler alone, kept to the end of
// the exchange.
class Claim {
public:
    virtual ~Claim() = default;
};

// Belongs to the connection. The server of the request ends it exactly once: with respond(), with finish()
// or cut() after begin(), or with upgrade(). Until then it may answer at any later time, provided it set an
// observer; after the end, and after on_visitor_gone(), the exchange must not be touched.
// An answer may begin, and end, before the request's body has come: what is left of it is then read and
// thrown away, or the connection ends once the visitor has the answer.
class Exchange {
public:
    // Head and body are views that end with RequestHandler::on_request().
    virtual const RequestHead& head() const = 0;
    virtual std::string_view body() const = 0;
    virtual const net::Endpoint& peer() const = 0;
    virtual bool is_tls() const = 0;
    virtual MonoTime started_at() const = 0;

    virtual void set_observer(ExchangeObserver* observer) = 0;

    // Of a request whose handler streams bodies: whether one is still to come in pieces. False also when it
    // came with the head and is small: then body() has it whole.
    virtual bool body_follows() const = 0;
    // From here on the body may come; an observer must be set. A visitor that waits for 100 Continue is told
    // to go on. Until then what it sends waits in the socket. No piece comes within this call.
    virtual void take_body() = 0;
    // That of body_terms(); null when there was none.
    virtual Claim* claim() const = 0;
    // So many bytes of on_body() need no memory any more.
    virtual void body_consumed(std::size_t bytes) = 0;

    // An interim answer (1xx but 101) before the answer begins; HTTP/1.0 visitors get none. Answers false,
    // with nothing sent, when a field cannot be written.
    [[nodiscard]] virtual bool interim(int status, std::span<const Field> fields) = 0;

    // A whole answer. Content-Length and Connection are added; a body is left out where the method or the
    // status forbids one.
    virtual void respond(int status, std::span<const Field> fields, std::string_view body) = 0;

    // An answer in pieces. Without `content_length` it is chunked (HTTP/1.0: ended by the close). `end`: no
    // body follows, nor trailers, and over HTTP/2 the head says so. Answers false, with nothing sent, when a
    // field cannot be written.
    [[nodiscard]] virtual bool begin(int status, std::span<const Field> fields,
                                     std::optional<std::uint64_t> content_length, bool end) = 0;
    [[nodiscard]] bool begin(int status, std::span<const Field> fields,
                             std::optional<std::uint64_t> content_length) {
        return begin(status, fields, content_length, content_length == 0);
    }
    // Appends: nothing is refused. How much waits is the sender's to bound, by on_written().
    virtual void send(std::string_view piece) = 0;
    void finish() { finish({}); }
    // With trailers, which over HTTP/1 only a chunked answer to a visitor that said `TE: trailers` carries.
    // Trailers that cannot be written cut the answer.
    virtual void finish(std::span<const Field> trailers) = 0;
    // The answer cannot be completed: ends the connection, so that no part passes for the whole.
    virtual void cut() = 0;

    // Hands the connection over after `response`, the complete 101 head, was written to it: in place of an
    // answer, at any time, once no body follows.
    virtual Upgraded upgrade(std::string_view response) = 0;

protected:
    ~Exchange() = default;
};

// What is to become of a request's body.
struct BodyTerms {
    std::size_t bytes_max = 0;  // More gets 413.
    // on_request() comes with the head, and the body in pieces to the observer. How long a visitor may take
    // over such a body is the handler's to bound.
    bool streamed = false;
    std::unique_ptr<Claim> claim{};  // May be null.
};

// What the codec does not serve: it is no request, or a limit or deadline was hit. Borrowed for the call.
struct Refusal {
    const net::Endpoint& peer;
    int status;
    const Error& why;
    const RequestHead* head = nullptr;  // where one was read and nobody has been asked to serve it
    std::string_view request_id{};      // under which it is on record already; empty: it is not
    bool is_connections = false;        // No request is answered by it.
    std::size_t body_bytes = 0;         // of the answer
};

// Serves the requests of a listener.
class RequestHandler {
public:
    virtual ~RequestHandler() = default;

    // Asked when the head of a request with a body is there.
    virtual BodyTerms body_terms(const RequestHead& head, const net::Endpoint& peer) = 0;
    // The request is complete, or, where bodies are streamed, its head is.
    virtual void on_request(Exchange& exchange) = 0;
    // Answers the request's id, for the X-Request-Id of the refusal.
    virtual std::string on_refused(const Refusal& refusal) = 0;
};

}  // namespace ee::http
