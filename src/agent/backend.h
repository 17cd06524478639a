#pragma once
// Sends requests to the backend over a pool of keep-alive connections.

#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "http/client_connection.h"
#include "protocol/messages.h"

namespace ee::agent {

struct BackendSettings {
    net::Url url;
    std::shared_ptr<const net::TlsContext> tls;                    // For https.
    std::chrono::milliseconds timeout = std::chrono::seconds(15);  // The whole answer.
    std::size_t body_bytes_max = 64 * 1024 * 1024;
    std::size_t idle_max = 64;  // Kept connections.
};

class Backend final : public http::ClientConnection::Observer {
public:
    // Exactly one call for each request. `answer` is null when there is none; `error` then is
    // `backend_unreachable`, `backend_timeout` or `bad_backend_answer`.
    using OnDone = std::function<void(const http::AnswerView* answer, const Error& error)>;

    Backend(net::Loop& loop, net::WorkerPool& workers, BackendSettings settings);
    ~Backend();

    void send(const protocol::ProxyRequest& request, OnDone on_done);
    std::size_t requests_open() const { return open_; }

private:
    struct Call;
    void on_answer(http::ClientConnection& connection, const http::AnswerView& answer) override;
    void on_failure(http::ClientConnection& connection, http::ClientConnection::Failure failure,
                    const std::string& why) override;
    void on_idle_close(http::ClientConnection& connection) override;

    http::ClientConnection& take_connection(bool fresh);
    void start(std::unique_ptr<Call> call, bool fresh);
    void release(http::ClientConnection& connection);
    std::unique_ptr<Call> take_call(http::ClientConnection& connection);

    net::Loop& loop_;
    net::WorkerPool& workers_;
    BackendSettings settings_;
    std::unordered_map<http::ClientConnection*, std::shared_ptr<http::ClientConnection>> connections_;
    std::vector<http::ClientConnection*> idle_;
    std::unordered_map<http::ClientConnection*, std::unique_ptr<Call>> calls_;
    std::size_t open_ = 0;
};

}  // namespace ee::agent
