#pragma once
// Sends requests to the backend over a pool of keep-alive connections.

#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "agent/backend_request.h"
#include "crypto/random_pool.h"
#include "http/client_connection.h"
#include "http/whole_answer.h"
#include "net/intrusive_list.h"
#include "protocol/messages.h"

namespace ee::agent {

struct BackendSettings {
    net::Url url;
    std::shared_ptr<const net::TlsContext> tls;                    // For https.
    std::chrono::milliseconds timeout = std::chrono::seconds(15);  // The whole answer, for send().
    // Without a byte either way while the backend owes one, the answer's head included; for open().
    std::chrono::milliseconds idle_time = std::chrono::seconds(300);
    std::size_t body_bytes_max = 64 * 1024 * 1024;  // Of an answer, for send().
    std::size_t idle_max = 64;                      // Kept connections.
};

// `backend_unreachable`, `backend_timeout`, `bad_backend_answer`, or `bad_request` for what cannot be
// written.
const char* error_code(http::RequestFailure failure);

class Backend final : public http::ClientConnection::Owner {
public:
    // Exactly one call for each request. `answer` is null when there is none; `error` then has a code of
    // error_code().
    using OnDone = std::function<void(const http::AnswerView* answer, const Error& error)>;

    Backend(net::Loop& loop, net::WorkerPool& workers, BackendSettings settings);
    ~Backend();

    // A request whose bodies come and go in pieces. The exchange belongs to the backend: see
    // http::ClientExchange for how long it may be used. A request without a body that follows is sent a
    // second time, on a fresh connection, when it is idempotent and a kept one ended before a byte of the
    // answer.
    http::ClientExchange& open(const BackendRequest& request, http::AnswerObserver& observer);
    // A whole request, for a whole answer.
    void send(const protocol::ProxyRequest& request, OnDone on_done);
    std::size_t requests_open() const { return open_; }

private:
    class Call;
    class WholeCall;

    void on_idle_close(http::ClientConnection& connection) override;
    Call& start(const BackendRequest& request, http::AnswerObserver& observer,
                http::OutgoingRequest::Deadline deadline, std::chrono::nanoseconds time);
    http::ClientConnection& take_connection(bool fresh);
    void keep_or_release(http::ClientConnection& connection);
    void release(http::ClientConnection& connection);

    net::Loop& loop_;
    net::WorkerPool& workers_;
    BackendSettings settings_;
    crypto::RandomPool random_;
    std::unordered_map<http::ClientConnection*, std::shared_ptr<http::ClientConnection>> connections_;
    std::vector<http::ClientConnection*> idle_;
    net::List<Call> calls_;
    std::vector<http::Field> fields_;  // Of the request that is being sent.
    std::size_t open_ = 0;
};

}  // namespace ee::agent
