#pragma once
// One request to a server and its answer, both bodies in pieces, as the code that asks sees them.

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "http/message.h"
#include "net/stream.h"

namespace ee::http {

enum class RequestFailure {
    unwritable,   // The request cannot be written as HTTP: nothing was sent.
    connecting,   // Nothing was sent: no address, no connection, no TLS session.
    silent,       // The connection ended without a byte of an answer.
    timed_out,    // No answer in time; or no connection: then nothing was sent.
    broken,       // The answer began and is not valid, not complete, or too large; or was refused to us.
    unsupported,  // Nothing was sent: the server takes no WebSocket over HTTP/2 (RFC 8441).
};

// Why net::Connector has no connection for a request.
RequestFailure connect_failure(const Error& why);

// Hears what becomes of a request. Exactly one of on_end(), on_failure() and on_upgraded() comes last, and
// none from within a call that the asker makes. The asker may cancel the exchange within any of them.
class AnswerObserver {
public:
    // An interim answer, 1xx but 101. Views that end with the call, as in on_head().
    virtual void on_interim(const ResponseHead& head) { static_cast<void>(head); }
    virtual void on_head(const ResponseHead& head) = 0;
    // `bytes` end with the call and count as unconsumed until ClientExchange::body_consumed().
    virtual void on_body(std::string_view bytes) = 0;
    // The answer is complete, though the request's body may not be: no more of it is sent then.
    virtual void on_end(std::span<const Field> trailers) = 0;
    virtual void on_failure(RequestFailure failure, const std::string& why) = 0;
    // This many more of the bytes given to send_body() wait no longer. HTTP/1.1: the kernel has taken them,
    // never sooner. HTTP/2: the server lets them come, and at most 256 KiB of all requests on the connection
    // are still to be taken by the kernel. At most once a flush.
    virtual void on_written(std::size_t body_bytes) { static_cast<void>(body_bytes); }
    // The server switched protocols, as it was asked to: `stream` needs a handler within this call. What the
    // server sent behind the head comes to that handler before the turn ends.
    virtual void on_upgraded(const ResponseHead& head, std::unique_ptr<net::Stream> stream);
    // The same over HTTP/2 (RFC 8441), in place of on_head(): from here on the bytes of the WebSocket are
    // those of the two bodies, which end as those of other requests do.
    virtual void on_opened(const ResponseHead& head);

protected:
    ~AnswerObserver() = default;
};

// Belongs to who made it. After the last call to the observer, and after cancel(), it must not be touched.
class ClientExchange {
public:
    // Appends to the body. Nothing is refused for its size: how much waits is the sender's to bound, by
    // on_written(). False when this is more than the head announced: the exchange is over, as by cancel().
    [[nodiscard]] virtual bool send_body(std::string_view bytes) = 0;
    // The body is complete. Trailers are sent where it is chunked, and over HTTP/2. False when less came than
    // the head announced, or a trailer cannot be written: the exchange is over, as by cancel().
    [[nodiscard]] virtual bool end_body(std::span<const Field> trailers) = 0;
    // So many bytes of on_body() need no memory any more. HTTP/1.1: while more than 256 KiB are unconsumed
    // the server is not read; one read may go over it by Loop::read_buffer_size. HTTP/2: they count against
    // the stream's window, of 256 KiB at first.
    virtual void body_consumed(std::size_t bytes) = 0;
    // Within on_head(): its views shall live until on_end().
    virtual void keep_head() = 0;
    // Ends the connection, or over HTTP/2 the stream. No call comes after this.
    virtual void cancel() = 0;

protected:
    ~ClientExchange() = default;
};

}  // namespace ee::http
