#pragma once
// The backend as those who ask it see it, whichever version of HTTP it speaks.

#include <functional>
#include <memory>

#include "agent/backend_request.h"
#include "http/client_exchange.h"
#include "http/whole_answer.h"
#include "net/resolver.h"
#include "net/tls.h"
#include "net/url.h"
#include "protocol/messages.h"

namespace ee::agent {

struct BackendSettings {
    net::Url url;
    std::shared_ptr<const net::TlsContext> tls;                    // For https.
    std::chrono::milliseconds timeout = std::chrono::seconds(15);  // The whole answer, for send().
    // Without a byte either way while the backend owes one, the answer's head included; for open().
    std::chrono::milliseconds idle_time = std::chrono::seconds(300);
    std::size_t body_bytes_max = 64 * 1024 * 1024;  // Of an answer, for send().
    std::size_t idle_max = 64;                      // Kept HTTP/1.1 connections.

    // ---- HTTP/2 ----
    std::chrono::milliseconds connect_time = std::chrono::seconds(5);  // Until the backend's SETTINGS.
    std::size_t connections_max = 16;
    std::uint32_t streams_max = 256;  // On one connection, where the backend does not allow less.
    std::size_t waiting_max = 1024;   // Requests, for a connection that takes them.
    // A connection without a request for so long is closed.
    std::chrono::milliseconds unused_time = std::chrono::seconds(60);
};

// `backend_unreachable`, `backend_timeout`, `bad_backend_answer`, `upgrade_unsupported`, or `bad_request` for
// what cannot be written. A backend that refuses the connection is unreachable; one that lets the attempt
// lapse is silent, as one that does not answer.
const char* error_code(http::RequestFailure failure);
// Of an answer that says such a code: 504, 502, 501 or 400.
int status_of_error(std::string_view code);

class Backend {
public:
    // Exactly one call for each request. `answer` is null when there is none; `error` then has a code of
    // error_code().
    using OnDone = std::function<void(const http::AnswerView* answer, const Error& error)>;

    // Open requests end without a call.
    virtual ~Backend() = default;

    // A request whose bodies come and go in pieces. The exchange belongs to the backend: see
    // http::ClientExchange for how long it may be used. A request without a body that follows is sent a
    // second time, on a fresh connection, when it is idempotent and one that served before ended before a
    // byte of the answer.
    virtual http::ClientExchange& open(const BackendRequest& request, http::AnswerObserver& observer) = 0;
    // A whole request, for a whole answer.
    virtual void send(const protocol::ProxyRequest& request, OnDone on_done) = 0;
    virtual std::size_t requests_open() const = 0;
};

// HTTP/2 with prior knowledge where the URL says `h2c`, else HTTP/1.1.
std::unique_ptr<Backend> make_backend(net::Loop& loop, net::Resolver& resolver, BackendSettings settings);

}  // namespace ee::agent
