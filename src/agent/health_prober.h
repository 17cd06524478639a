#pragma once
// Asks the backend how it is, at an interval: a GET of EE_HEALTH_URL, or a TCP connection to the backend.

#include <functional>
#include <memory>
#include <string>

#include "agent/backend.h"
#include "http/client_connection.h"
#include "http/whole_answer.h"

namespace ee::agent {

class HealthProber final : http::WholeAnswer::Receiver {
public:
    using OnResult = std::function<void(bool pass, const std::string& detail)>;

    // `target`: the health URL, or the backend's when `connect_only`.
    HealthProber(net::Loop& loop, net::WorkerPool& workers, net::Url target, bool connect_only,
                 std::shared_ptr<const net::TlsContext> tls, std::chrono::seconds interval,
                 OnResult on_result);
    ~HealthProber();

    // Probes now and then at the interval.
    void start();

private:
    void probe();
    void probe_http2();
    void report(bool pass, const std::string& detail);
    void on_answer(const http::AnswerView& answer) override;
    void on_failure(http::RequestFailure failure, const std::string& why) override;

    net::Loop& loop_;
    net::WorkerPool& workers_;
    net::Url target_;
    bool connect_only_;
    std::shared_ptr<const net::TlsContext> tls_;
    std::chrono::seconds interval_;
    OnResult on_result_;
    net::Timer timer_;
    net::Connector connector_;
    http::WholeAnswer answer_;
    std::shared_ptr<http::ClientConnection> connection_;
    std::unique_ptr<Backend> http2_;  // Where EE_HEALTH_URL says h2c.
};

}  // namespace ee::agent
