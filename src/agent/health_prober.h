#pragma once
// Asks the backend how it is, at an interval: a GET of EE_HEALTH_URL, or a TCP connection to the backend. The
// status decides; the body is nobody's concern, however large.

#include <functional>
#include <memory>
#include <string>

#include "agent/backend.h"
#include "http/client_connection.h"

namespace ee::agent {

class HealthProber final : http::AnswerObserver {
public:
    using OnResult = std::function<void(bool pass, const std::string& detail)>;

    // `target`: the health URL, or the backend's when `connect_only`.
    HealthProber(net::Loop& loop, net::Resolver& resolver, net::Url target, bool connect_only,
                 std::shared_ptr<const net::TlsContext> tls, std::chrono::seconds interval,
                 OnResult on_result);
    ~HealthProber();

    // Probes now and then at the interval.
    void start();

private:
    void probe();
    void on_head(const http::ResponseHead& head) override;
    void on_body(std::string_view) override {}
    void on_end(std::span<const http::Field> trailers) override;
    void on_failure(http::RequestFailure failure, const std::string& why) override;
    void on_deadline();
    void renew_http2();
    void end_request();
    void report(bool pass, const std::string& detail);

    net::Loop& loop_;
    net::Resolver& resolver_;
    net::Url target_;
    bool connect_only_;
    std::shared_ptr<const net::TlsContext> tls_;
    std::chrono::seconds interval_;
    OnResult on_result_;
    net::Timer timer_;     // The next probe.
    net::Timer deadline_;  // Of this one, its body included.
    net::Connector connector_;
    std::shared_ptr<http::ClientConnection> connection_;
    std::unique_ptr<Backend> http2_;            // Where EE_HEALTH_URL says h2c.
    http::ClientExchange* exchange_ = nullptr;  // While the answer is not over.
    bool is_judged_ = false;
};

}  // namespace ee::agent
