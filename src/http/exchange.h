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

// Hears that the visitor left before its answer was complete. The exchange is gone after the call.
class VisitorObserver {
public:
    virtual void on_visitor_gone() = 0;

protected:
    ~VisitorObserver() = default;
};

// A connection that has become something else: a WebSocket.
struct Upgraded {
    std::unique_ptr<net::Stream> stream;
    net::Endpoint peer;
};

// Belongs to the connection. The server of the request ends it exactly once: with respond(), with finish()
// or cut() after begin(), or with upgrade(). Until then it may answer at any later time, provided it set an
// observer; after the end, and after on_visitor_gone(), the exchange must not be touched.
class Exchange {
public:
    // Head and body are views that end with RequestHandler::on_request().
    virtual const RequestHead& head() const = 0;
    virtual std::string_view body() const = 0;
    virtual const net::Endpoint& peer() const = 0;
    virtual bool is_tls() const = 0;
    virtual MonoTime started_at() const = 0;

    virtual void set_observer(VisitorObserver* observer) = 0;

    // A whole answer. Content-Length and Connection are added; a body is left out where the method or the
    // status forbids one.
    virtual void respond(int status, std::span<const Field> fields, std::string_view body) = 0;

    // An answer in pieces. Without `content_length` it is chunked (HTTP/1.0: ended by the close). Answers
    // false, with nothing sent, when a field cannot be written.
    [[nodiscard]] virtual bool begin(int status, std::span<const Field> fields,
                                     std::optional<std::uint64_t> content_length) = 0;
    virtual void send(std::string_view piece) = 0;
    virtual void finish() = 0;
    // The answer cannot be completed: ends the connection, so that no part passes for the whole.
    virtual void cut() = 0;

    // Hands the connection over after `response`, the complete 101 head, was written to it. Only within
    // on_request(): what the visitor sent right behind the request follows to the new owner.
    virtual Upgraded upgrade(std::string_view response) = 0;

protected:
    ~Exchange() = default;
};

// Serves the requests of a listener.
class RequestHandler {
public:
    virtual ~RequestHandler() = default;

    // Asked when the head is there: the largest body this request may have. More gets 413.
    virtual std::size_t body_bytes_max(const RequestHead& head) = 0;
    // The request is complete.
    virtual void on_request(Exchange& exchange) = 0;
    // The codec refuses what was sent, or a limit or deadline was hit. Answers the request's id, for the
    // X-Request-Id of the refusal.
    virtual std::string on_refused(const net::Endpoint& peer, int status, const Error& why) = 0;
};

}  // namespace ee::http
