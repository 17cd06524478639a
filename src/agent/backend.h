#pragma once
// Sends requests to the backend over a pool of keep-alive connections.

#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "agent/backend_connection.h"
#include "protocol/messages.h"

namespace ee::agent {

struct BackendSettings {
    net::Url url;
    std::shared_ptr<const net::TlsContext> tls;                    // For https.
    std::chrono::milliseconds timeout = std::chrono::seconds(15);  // The whole answer.
    std::size_t body_bytes_max = 64 * 1024 * 1024;
    std::size_t idle_max = 64;  // Kept connections.
};

class Backend final : public BackendConnection::Observer {
public:
    // Exactly one call for each request. `answer` is null when there is none; `error` then is
    // `backend_unreachable`, `backend_timeout` or `bad_backend_answer`.
    using OnDone = std::function<void(const BackendAnswer* answer, const Error& error)>;

    Backend(net::Loop& loop, net::WorkerPool& workers, BackendSettings settings);
    ~Backend();

    void send(const protocol::ProxyRequest& request, OnDone on_done);
    std::size_t requests_open() const { return open_; }

private:
    struct Call;
    void on_answer(BackendConnection& connection, const BackendAnswer& answer) override;
    void on_failure(BackendConnection& connection, BackendConnection::Failure failure,
                    const std::string& why) override;
    void on_idle_close(BackendConnection& connection) override;

    BackendConnection& take_connection(bool fresh);
    void start(std::unique_ptr<Call> call, bool fresh);
    void release(BackendConnection& connection);
    std::unique_ptr<Call> take_call(BackendConnection& connection);

    net::Loop& loop_;
    net::WorkerPool& workers_;
    BackendSettings settings_;
    std::unordered_map<BackendConnection*, std::shared_ptr<BackendConnection>> connections_;
    std::vector<BackendConnection*> idle_;
    std::unordered_map<BackendConnection*, std::unique_ptr<Call>> calls_;
    std::size_t open_ = 0;
};

}  // namespace ee::agent
